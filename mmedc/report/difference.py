"""`mmedc diff`: the documents that one corpus has and the other has not, with the reason for which it removed them.

Documents are compared by their ids, and by their locators where the sources have other names. Columns are read, no
texts. Memory: about 100 bytes for each document of the two corpora (397 MB for two of a million each), and the rows
of one shard or ledger.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Group

from mmedc.corpus.history import History
from mmedc.corpus.manifest import Manifest, read_manifest
from mmedc.corpus.outcome import counted
from mmedc.errors import CorpusError
from mmedc.report.grid import Column, Grid, Passage, number
from mmedc.storage import Store

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
READ = ("id", "locator", "chars", "removed_chars")
NOT_READ = "not in its sources"
UNKNOWN = "not known: what its passes left was deleted"


@dataclass
class Documents:
    """The documents of a corpus, (N,) each."""

    corpus: str
    manifest: Manifest
    ids: U64
    """The first 64 bits of the id."""
    locators: I64
    """A hash of the locator."""
    shards: I64
    """The number of the shard in the manifest."""
    rows: I64
    """The row in the shard."""
    texts: I64
    """A hash of what differs where the text does: the content that deduplication hashed, tokens and lengths."""

    def names(self, which: I64, name: Callable[[Any], str]) -> Counter[str]:
        """Return how many of the documents `which` each shard's `name` has."""
        counts = np.bincount(self.shards[which], minlength=len(self.manifest.shards))
        total: Counter[str] = Counter()
        for shard, count in zip(self.manifest.shards, counts.tolist(), strict=True):
            if count:
                total[name(shard)] += count
        return total


@dataclass
class Difference:
    """How corpus B differs from corpus A."""

    a: str
    b: str
    same: int = 0
    changed: int = 0
    """Documents of both whose text differs."""
    moved: int = 0
    """Documents of both, changed or not, whose source has another name in B."""
    lost: int = 0
    """Documents of A that B has not."""
    gained: int = 0
    """Documents of B that A has not."""
    lost_by: dict[str, int] = field(default_factory=dict)
    """Why B has not what it lost, as `STEP: REASON`."""
    gained_by: dict[str, int] = field(default_factory=dict)
    """Why A has not what B gained."""
    languages: dict[str, dict[str, int]] = field(default_factory=dict)
    """By language: in_a, in_b, lost, gained and changed."""
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    samples: list[dict[str, str]] = field(default_factory=list)
    """Some documents, with the keys `what` (lost, gained or changed), reason, locator, lang and source."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def difference(a: str, b: str, limit: int = 3) -> Difference:
    """Compare two corpora; `limit` is the number of samples of each reason. Raises: CorpusError."""
    manifests = read_manifest(a), read_manifest(b)
    columns = [*READ, *(["tokens"] if manifests[0].tokenizer == manifests[1].tokenizer else [])]
    one, two = (_documents(corpus, columns, _same_signatures(*manifests)) for corpus in (a, b))
    in_one, in_two, moved = _pairs(one, two)
    differs = one.texts[in_one] != two.texts[in_two]
    lost = np.setdiff1d(np.arange(len(one.ids)), in_one)
    gained = np.setdiff1d(np.arange(len(two.ids)), in_two)
    found = Difference(a, b, int((~differs).sum()), int(differs.sum()), moved, len(lost), len(gained))
    why_lost, why_gained = _reasons(b, one, lost), _reasons(a, two, gained)
    found.lost_by, found.gained_by = _counted(why_lost), _counted(why_gained)
    changed = in_one[differs]
    for name, into in ((_lang, found.languages), (_source, found.sources)):
        every = {
            "in_a": one.names(np.arange(len(one.ids)), name),
            "in_b": two.names(np.arange(len(two.ids)), name),
            "lost": one.names(lost, name),
            "gained": two.names(gained, name),
            "changed": one.names(changed, name),
        }
        for key in sorted(set().union(*every.values())):
            into[key] = {what: counts[key] for what, counts in every.items()}
    found.samples += _samples("lost", one, lost, why_lost, limit)
    found.samples += _samples("gained", two, gained, why_gained, limit)
    found.samples += _samples("changed", one, changed, ["the text differs"] * len(changed), limit)
    return found


def _lang(shard: Any) -> str:
    return str(shard.lang)


def _source(shard: Any) -> str:
    return str(shard.source)


def _same_signatures(*manifests: Manifest) -> bool:
    """Return whether the keys of the corpora hold hashes of texts that were made alike."""
    versions = {(each.keys.sign, each.keys.layout) if each.keys and each.keys.files else None for each in manifests}
    return len(versions) == 1 and None not in versions


def _documents(corpus: str, names: list[str], with_content: bool) -> Documents:
    """Read the columns of a corpus, one shard after the other."""
    manifest, store = read_manifest(corpus), Store(corpus)
    parts: list[tuple[U64, I64, I64, I64, I64]] = []
    for at, shard in enumerate(manifest.shards):
        with store.open_input(shard.path) as handle:
            table = pq.read_table(handle, columns=names, use_threads=False)
        rows = zip(*(table[name].to_pylist() for name in names[2:]), strict=True)
        texts = np.fromiter(map(hash, rows), np.int64, table.num_rows)
        places = np.full(table.num_rows, at, np.int64), np.arange(table.num_rows)
        parts.append((_ids(table["id"]), _hashes(table["locator"].to_pylist()), *places, texts))
    empty = (np.zeros(0, np.uint64), *(np.zeros(0, np.int64) for _ in range(4)))
    columns = [np.concatenate(column) for column in zip(empty, *parts, strict=True)]
    found = Documents(corpus, manifest, *columns)
    if with_content and manifest.keys:
        order: I64 = np.argsort(found.ids).astype(np.int64)
        for file in manifest.keys.files:
            with store.open_input(file.path) as handle:
                table = pq.read_table(handle, columns=["id", "content"], use_threads=False)
            ids = _ids(table["id"])
            near = np.minimum(np.searchsorted(found.ids, ids, sorter=order), max(len(order) - 1, 0))
            there = found.ids[order[near]] == ids if len(order) else np.zeros(len(ids), bool)
            content = np.fromiter(map(hash, table["content"].to_pylist()), np.int64, len(ids))
            found.texts[order[near[there]]] ^= content[there]
    return found


def _ids(column: pa.ChunkedArray) -> U64:
    """Return the first 64 bits of ids in hexadecimal digits."""
    return np.array([int(value[:16], 16) for value in column.to_pylist()], np.uint64)


def _hashes(values: Iterable[Any]) -> I64:
    """Return hashes that are equal for equal values within this process."""
    return np.array([hash(value) for value in values], np.int64)


def _pairs(one: Documents, two: Documents) -> tuple[I64, I64, int]:
    """Return the places in both of the documents that both have, and how many of them have another source."""
    _, in_one, in_two = np.intersect1d(one.ids, two.ids, return_indices=True)
    rest_one = np.setdiff1d(np.arange(len(one.ids)), in_one)
    rest_two = np.setdiff1d(np.arange(len(two.ids)), in_two)
    _, at_one, at_two = np.intersect1d(one.locators[rest_one], two.locators[rest_two], return_indices=True)
    both = np.concatenate([in_one, rest_one[at_one]]), np.concatenate([in_two, rest_two[at_two]])
    return both[0].astype(np.int64), both[1].astype(np.int64), len(at_one)


def _reasons(corpus: str, documents: Documents, which: I64) -> list[str]:
    """Return why `corpus` has not the documents `which` of another one, as `STEP: REASON`."""
    try:
        history = History(corpus)
        why = [NOT_READ] * len(which)
        wanted = documents.locators[which]
        order = np.argsort(wanted)
        for _, _, ledger in history.ledgers() if len(which) else ():
            table = history.read(ledger, ["locator", "step", "reason"])
            hashes = _hashes(table["locator"].to_pylist())
            at = np.minimum(np.searchsorted(wanted, hashes, sorter=order), len(order) - 1)
            rows = np.flatnonzero(wanted[order[at]] == hashes)
            for place, row in zip(order[at[rows]].tolist(), table.take(rows).to_pylist(), strict=True):
                why[place] = f"{row['step']}: {row['reason']}"
        return why
    except CorpusError:
        return [UNKNOWN] * len(which)


def _counted(why: list[str]) -> dict[str, int]:
    return dict(Counter(why).most_common())


def _samples(what: str, documents: Documents, which: I64, why: list[str], limit: int) -> list[dict[str, str]]:
    """Return the first documents of each reason by id, with their locators."""
    chosen: dict[str, list[int]] = {}
    for at in np.argsort(documents.ids[which]).tolist():
        mine = chosen.setdefault(why[at], [])
        if len(mine) < limit:
            mine.append(int(which[at]))
    store, out = Store(documents.corpus), []
    for reason, places in sorted(chosen.items(), key=lambda item: -why.count(item[0])):
        for place in places:
            shard = documents.manifest.shards[int(documents.shards[place])]
            with store.open_input(shard.path) as handle:
                locator = pq.read_table(handle, columns=["locator"])["locator"][int(documents.rows[place])].as_py()
            out.append({"what": what, "reason": reason, "locator": locator, "lang": shard.lang, "source": shard.source})
    return out


def difference_tables(found: Difference) -> Group:
    """Return the tables of `mmedc diff`."""
    moved = f"; {found.moved:,} of these under a source of another name" if found.moved else ""
    same = f"{counted(found.same, 'document')} {'is' if found.same == 1 else 'are'}"
    parts: list[Any] = [
        Passage(f"{found.a} → {found.b}", style="bold"),
        Passage(f"{same} the same and {found.changed:,} changed{moved}"),
        Passage(f"{found.lost:,} lost, {found.gained:,} gained"),
    ]
    for title, counts in (
        ("why B lost them", found.lost_by),
        ("why A lacked them", found.gained_by),
    ):
        if counts:
            why = [(reason, f"{count:,}") for reason, count in counts.items()]
            parts += ["", Grid([Column(title, wrap=True), number("documents")], why)]
    names = ("in_a", "in_b", "lost", "gained", "changed")
    columns = [number("in A"), number("in B"), *map(number, names[2:])]
    for title, groups in (("language", found.languages), ("source", found.sources)):
        rows = [(key, *(f"{counts[name]:,}" for name in names)) for key, counts in groups.items()]
        parts += ["", Grid([Column(title), *columns], rows)]
    last = ""
    for sample in found.samples:
        head = f"{sample['what']}, {sample['reason']}"
        if head != last:
            parts += ["", Passage(head, style="bold")]
            last = head
        parts.append(Passage(f"{sample['locator']}  ({sample['lang']}, {sample['source']})", 2))
    return Group(*parts)
