"""`mmedc forget`: a new version of a corpus in which nothing is left of certain documents.

Everything that changes is written aside first: shards and keys without the rows, tables of removed rows without those
that name or quote the documents, WARC files without their records, statistics. Then one file, the order to finish, is
put in place; that is the act that decides. What follows only moves and deletes, and any `mmedc forget` goes on with it
after a stop. As in a build, the old manifest is deleted before the first file is moved, and the new one comes last.

What the passes of the build left in `.work/` holds the texts too, and is deleted.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmedc.corpus.leftovers import remove_empty
from mmedc.corpus.manifest import FOLDERS, NAME, Manifest, read_manifest
from mmedc.corpus.tokens import FOLDER as TOKENS
from mmedc.engine.lock import NAME as LOCK
from mmedc.engine.lock import Lock
from mmedc.engine.run import WORK
from mmedc.errors import CorpusError
from mmedc.forgetting import Entry
from mmedc.pipeline.folder import ORIGIN, OWNER
from mmedc.pipeline.forgotten import Forgettable, forgettable
from mmedc.pipeline.publish import describe_folder, sweep
from mmedc.pipeline.rewriting import Order, Rewriting
from mmedc.pipeline.traces import Trace, traces
from mmedc.pipeline.unmatched import check_known
from mmedc.storage import Store, is_local

ORDER = f"{WORK}/forget.json"
LIST = "forget.txt"
"""The list of all that a corpus has forgotten, in its folder, for the recipe's `forget`."""
KEPT = (OWNER, ORIGIN, LOCK)
"""What is left in `.work/`: which recipe the folder belongs to, and the lock."""

Report = Callable[[str], None]


@dataclass
class Outcome:
    """What was forgotten, or would be."""

    corpus: str
    what: Forgettable
    before: Manifest
    after: Manifest | None = None
    """None for a dry run."""
    files: int = 0
    """The number of files that changed."""
    work_bytes: int = 0
    """The size of what the passes of the build left, which is deleted."""
    resumed: bool = False
    """Whether an earlier forgetting was stopped, and has been ended first."""
    left: list[Trace] = field(default_factory=list)
    """What a scan of the whole folder found afterwards."""

    @property
    def traces(self) -> list[Trace]:
        """What is left and should not be."""
        return [trace for trace in self.left if not trace.mention]


def forget(
    corpus: str,
    entries: tuple[Entry, ...],
    addresses: Sequence[str] = (),
    domains: Sequence[str] = (),
    out: str = "",
    together: bool = False,
    dry_run: bool = False,
    report: Report = lambda _: None,
) -> Outcome:
    """Forget `entries` in a corpus, or in a copy of it in the folder `out`, and look for what is left.

    `addresses` and `domains` are the entries that were given in plain words; `together` forgets neighbours too.

    Raises: CorpusError where there is no corpus, nothing in it is to be forgotten, or `out` holds something;
    FolderBusy while a run is under way.
    """
    store = Store(corpus)
    if dry_run:
        manifest = read_manifest(corpus)
        what = forgettable(corpus, manifest, entries, addresses, domains, together)
        if not what.documents:
            check_known(store, manifest, entries, addresses, domains)
        return Outcome(corpus, what, manifest, work_bytes=0 if out else _work_bytes(store))
    target = Store(out) if out else store
    if out:
        _check_empty(target)
    with Lock(target) as lock:
        order = pending(target)
        if order is not None:
            finish(target, order)
        manifest = read_manifest(corpus)
        what = forgettable(corpus, manifest, entries, addresses, domains, together)
        if not what.documents and order is None:
            check_known(store, manifest, entries, addresses, domains)
        size = 0 if out else _work_bytes(store)
        outcome = Outcome(out or corpus, what, manifest, None, 0, size, order is not None)
        rewriting = Rewriting(store, target, manifest, what, what.needles())
        order = rewriting.order()
        if out:
            _copy_unchanged(store, target, manifest, order)
        lock.check()
        decide(target, order)
        finish(target, order)
        outcome.after, outcome.files = order.manifest, len(order.moves)
        outcome.left = traces(target, rewriting.needles, report)
    return outcome


def _check_empty(target: Store) -> None:
    if any(not name.startswith(WORK) for name in target.names()) and not target.exists(ORDER):
        raise CorpusError(f"--out {target.url}: the folder is not empty; name another, or leave --out out")


def _copy_unchanged(store: Store, target: Store, manifest: Manifest, order: Order) -> None:
    moved = {move.path for move in order.moves}
    for file in order.manifest.files:
        if file.path not in moved:
            target.put(file.path, store.get(file.path))


def pending(store: Store) -> Order | None:
    """Return the order of a forgetting that was stopped after it had decided, or None."""
    try:
        return Order.model_validate_json(store.get(ORDER))
    except FileNotFoundError:
        return None


def decide(store: Store, order: Order) -> None:
    """Put the order in place: from here on the old version is gone."""
    store.put(ORDER, order.model_dump_json().encode())


def finish(store: Store, order: Order) -> None:
    """Do what is ordered; doing it again changes nothing."""
    store.delete(NAME)
    for move in order.moves:
        if store.exists(f"{WORK}/{move.file}"):
            store.copy(f"{WORK}/{move.file}", move.path)
    sweep(store, {file.path for file in order.manifest.files})
    store.put(LIST, list_of(order.manifest))
    for name in store.names(TOKENS):  # counts of the old version
        store.delete(name)
    describe_folder(store, order.manifest)
    _empty_work(store)


def list_of(manifest: Manifest) -> bytes:
    """Return the list of what a corpus has forgotten."""
    head = "# What this corpus has forgotten, as hashes. Name the file in the recipe: `forget: forget.txt`."
    return "\n".join([head, *manifest.forgotten, ""]).encode()


def _work_bytes(store: Store) -> int:
    """Return the size of what `_empty_work` deletes."""
    return sum(size for name, size in store.sizes(WORK).items() if not name.startswith(KEPT))


def _empty_work(store: Store) -> None:
    """Delete what the passes left, the order last."""
    for name in store.names(WORK):
        if not name.startswith((*KEPT, ORDER)):
            store.delete(name)
    if is_local(store.url):
        for folder in (WORK, *FOLDERS):
            remove_empty(os.path.join(store.url, folder))
    store.delete(ORDER)


def check_not_brought_back(out: str, entries: tuple[Entry, ...]) -> None:
    """Check that a build does not bring back what its folder has forgotten. Raises: CorpusError."""
    store = Store(out)
    if store.exists(ORDER):
        raise CorpusError(f"{out}: a `mmedc forget` was stopped here; give it again, which ends it")
    if not store.exists(NAME):
        return
    missing = set(read_manifest(out).forgotten) - set(map(str, entries))
    if missing:
        what = f"{len(missing)} entr{'y' if len(missing) == 1 else 'ies'}"
        raise CorpusError(
            f"{out}: this corpus has forgotten {what} that the recipe would bring back; copy {out}/{LIST} beside the "
            f"recipe and put `forget: {LIST}` into it, or build into another folder with --out"
        )
