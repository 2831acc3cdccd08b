"""`mmedc clean`: the files of passes and units that the published corpus is not made of, and their removal."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mmedc.corpus.manifest import read_manifest
from mmedc.corpus.record import RUNNING, Begun, read_begun, read_record
from mmedc.engine.journal import RUNS
from mmedc.engine.lock import Lock
from mmedc.engine.run import WORK
from mmedc.errors import CorpusError, RequestError
from mmedc.storage import Store, is_local, read_each

KEPT = (f"{WORK}/place-", f"{WORK}/crawl/", f"{RUNS}/")
"""What the pass that places files left (a few bytes for each group of files), the state of crawls, and journals."""


@dataclass(frozen=True)
class Leftover:
    """What is left over of one pass."""

    folder: str
    """The folder of the pass below `.work/`."""
    files: tuple[str, ...]
    freed: int
    """The bytes that deleting them frees. A file that is published too is stored once, and frees none."""


def leftovers(corpus: str, abandoned: bool = False) -> list[Leftover]:
    """Return what the published corpus does not need of its passes.

    Raises: RequestError where a build has begun that has not published, unless it is `abandoned`; CorpusError where
    what the present build needs is not recorded.
    """
    store = Store(corpus)
    manifest = read_manifest(corpus)
    record = read_record(store, manifest)
    begun = read_begun(store)
    if begun and not abandoned:
        raise RequestError(_under_way(corpus, begun))
    if record is None:
        raise CorpusError(
            f"{corpus}: which passes its build {manifest.build} is made of is not recorded; give its `mmedc run` "
            "again, which records them, then clean"
        )
    needed = set[str]()
    for each in record.passes:
        names = [f"{WORK}/{each.folder}/units/{unit}.json" for unit in each.units]
        needed |= {*names, *_named_files(store, names)}
    old: dict[str, list[tuple[str, int]]] = {}
    for name, size in store.sizes(WORK).items():
        # Files beside the folders of passes are the record, the lock and the like; journals are bounded by themselves.
        if name.count("/") > 1 and name not in needed and not name.startswith(KEPT):
            old.setdefault(name.split("/")[1], []).append((name, size))
    return [
        Leftover(folder, tuple(name for name, _ in files), sum(_freed(store, *file) for file in files))
        for folder, files in sorted(old.items())
    ]


def remove(corpus: str, abandoned: bool = False) -> list[Leftover]:
    """Delete what `leftovers` finds, and return it. Raises: FolderBusy while a run is under way, and as `leftovers`."""
    store = Store(corpus)
    with Lock(store):
        found = leftovers(corpus, abandoned)
        for each in found:
            for name in each.files:
                store.delete(name)
            if is_local(corpus):
                remove_empty(os.path.join(corpus, WORK, each.folder))
        store.delete(RUNNING)
    return found


def _under_way(corpus: str, begun: Begun) -> str:
    return (
        f'{corpus}: a build of the recipe "{begun.recipe}" began at {begun.at} and has not published; what it needs is '
        "not known yet. Let it end, or give the same `mmedc run` again; if it is not to be resumed, give --abandoned"
    )


def _named_files(store: Store, commits: list[str]) -> Iterator[str]:
    """Yield the files that commits name. Raises: CorpusError when a commit is gone."""
    try:
        for data in read_each(store.get, commits):
            yield from (f"{WORK}/{path}" for path in _paths(json.loads(data)["left"]))
    except FileNotFoundError as problem:
        raise CorpusError(
            f"{store.url}: a result of its build is gone ({problem}); give the same `mmedc run`"
        ) from None


def _paths(left: Any) -> Iterator[str]:
    if isinstance(left, dict):
        if "sha256" in left and "path" in left:
            yield left["path"]
        for value in left.values():
            yield from _paths(value)
    elif isinstance(left, list):
        for value in left:
            yield from _paths(value)


def _freed(store: Store, name: str, size: int) -> int:
    if not is_local(store.url):
        return size
    with suppress(FileNotFoundError):
        return size if os.stat(os.path.join(store.url, name)).st_nlink == 1 else 0
    return 0


def remove_empty(folder: str) -> None:
    """Remove the empty folders below and including `folder`."""
    for below, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(below)
