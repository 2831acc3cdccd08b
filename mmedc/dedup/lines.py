"""Lines that several documents have: the boilerplate of a site, the passages of another edition.

A line is what stands between two line breaks: of a page a paragraph, a heading, an item of a list. Lines
are compared as words (`mmedc.words`), within a language. Two kinds are removed: boilerplate, lines of many documents
where a text begins or ends, and passages, runs of lines that other documents have too. Each line stays in the
best of its documents, by the rank that decides between duplicates, so that the corpus loses nothing.
A single line in the middle stays: pages on many diseases share sentences that each of them needs.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.exchange import ranks
from mmedc.dedup.records import I64, cut, place_of, range_of, read_cut
from mmedc.dedup.texts import Span, joined, removed_row, text_slices
from mmedc.document import edited_text
from mmedc.engine.chain import REMOVED, SAMPLES, Count
from mmedc.engine.commit import read_groups, read_table
from mmedc.engine.selection import EDIT, Selection, Sizes, sizes_by_language
from mmedc.engine.unit import Accounted, DataFile, Stream, Unit, UnitFiles
from mmedc.folding import plain_texts
from mmedc.limits import reasons
from mmedc.policy import Policy
from mmedc.recipe_parts import Lines
from mmedc.storage import Store
from mmedc.words import U64, UNSPACED, TextBatch, mix, sums

GROUP_BYTES = 128 << 20
"""Text whose lines one task holds, unless an ingest unit has more; a task needs two to three times as much memory."""
RANGE_BYTES = 512 << 20
"""Text whose lines make one key range."""
SHOWN = 100
"""Lines of a group that are candidates for the report."""
QUOTED = 300  # characters of such a line
FIXED = np.uint64(0)
"""The key of a line that must stay."""
TABLE_MARKS = (ord("|"), ord("\t"))
HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?:[Ww]{3}\.)?(?P<host>[^/:?#]+)"

LINE = pa.schema(
    [
        ("row", pa.int64()),
        ("start", pa.int64()),  # characters of the row's text
        ("stop", pa.int64()),
        ("words", pa.float32()),
        ("at", pa.uint64()),  # a hash of the line's words, the language and the site; 0 where it must stay
    ]
)
SIGHTING = pa.schema(
    [
        ("key", pa.uint64()),  # of the line's words and the language
        ("site", pa.uint64()),  # a hash of the host; 0 where the locator has none
        ("documents", pa.int64()),  # of this site, in a group of ingest units
        ("words", pa.float32()),  # of the line
        ("rank", pa.uint64()),  # of the best of the documents
        ("place", pa.int64()),
    ]
)
REPEAT = pa.schema([("at", pa.uint64()), ("keeper", pa.int64()), ("site_keeper", pa.int64())])
"""A line of several documents: the place of the one that keeps it, and of the one that does as boilerplate, or -1."""
COMMON = pa.schema(
    [
        ("at", pa.uint64()),
        ("documents", pa.int64()),  # that it was removed from
        ("why", pa.string()),  # boilerplate | passage
        ("lang", pa.string()),
        ("locator", pa.string()),  # of one of them
        ("line", pa.string()),
    ]
)
"""A line that was removed."""


@dataclass(frozen=True)
class Group:
    """Ingest units whose lines are processed together, and the number of the group."""

    number: int
    units: tuple[Selection, ...]


def groups_of(units: list[Selection]) -> list[Group]:
    """Return the units in groups of about GROUP_BYTES of text."""
    groups: list[list[Selection]] = [[]]
    held = 0
    for unit in units:
        size = sum(size.text_bytes for size in unit.sizes.values())
        if groups[-1] and held + size > GROUP_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(unit)
        held += size
    return [Group(number, tuple(group)) for number, group in enumerate(groups)]


@dataclass(frozen=True)
class Sighted:
    """What `Sight` leaves: LINE rows, a row group for each ingest unit, and SIGHTING rows, cut by key range."""

    lines: DataFile
    sightings: DataFile


@dataclass(frozen=True)
class Sight:
    """Lists the lines of a group of ingest units. Unit spec: Group."""

    sources: tuple[str, ...]
    words: int
    ranges: int
    kinds: tuple[str, ...] = ()

    def run(self, unit: Unit[Group], out: UnitFiles) -> Sighted:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec, store = unit.spec, out.store
        lines, seen = [], [SIGHTING.empty_table()]
        for chosen in spec.units:
            mine = [LINE.empty_table()]
            for at, table in text_slices(store, chosen.documents, read_table(store, chosen.keep)["row"].to_numpy()):
                found = lines_of(table, self.words)
                text = found["text"].to_numpy()
                one = [np.ones(len(text), np.int64), found["words"], ranks(table, self.sources, kinds=self.kinds)[text]]
                places = place_of(chosen.number, at)[text]
                seen.append(pa.table([found["key"], found["site"], *one, places], schema=SIGHTING))
                own = joint(found["key"], found["site"])
                columns = [at[text], *(found[name] for name in ("start", "stop", "words")), own]
                mine.append(pa.table(columns, schema=LINE))
            lines.append(pa.concat_tables(mine))
        every = pa.concat_tables(seen).combine_chunks()
        sightings = summed(every.filter(pc.not_equal(every["key"], FIXED)))
        by_range = cut(sightings, range_of(sightings["key"].to_numpy(), self.ranges), self.ranges)
        return Sighted(out.write("lines", Stream(LINE, iter(lines), whole=True)), out.write("sightings", by_range))


def lines_of(table: pa.Table, words: int) -> pa.Table:
    """Return the lines of `words` words and more of the texts of a table of `text_slices`, in their order.

    Columns: text (its number), start and stop (characters), key, site, words. Two characters of scripts without
    spaces count as a word. Rows of tables are among them however short they are; they have the key FIXED, and so has
    whatever is of kind qa.
    """
    texts = table["text"].to_pylist()
    split = [text.split("\n") for text in texts]
    lines = [line for part in split for line in part]
    text = np.repeat(np.arange(len(texts)), [len(part) for part in split])
    length = np.array([len(line) for line in lines], np.int64)
    begin = np.cumsum(length + 1) - (length + 1)
    first = np.searchsorted(text, np.arange(len(texts)))
    start = begin - begin[first][text]
    batch = TextBatch(plain_texts(pa.array(lines, pa.large_string())))
    unspaced = (batch.classes[batch.word_starts] & UNSPACED) != 0
    weight = np.diff(batch.word_offsets) - sums(unspaced, batch.word_offsets) / 2
    tabled = batch.count(np.isin(batch.codes, TABLE_MARKS)) > 0
    at = np.flatnonzero(tabled | (weight >= words))
    key = mix(batch.text_hashes[at] ^ _hashes(table["lang"])[text[at]])
    key[tabled[at] | pc.equal(table["kind"], "qa").to_numpy(zero_copy_only=False)[text[at]]] = FIXED
    columns = {"text": text[at], "start": start[at], "stop": (start + length)[at], "key": key}
    return pa.table(columns | {"site": sites(table["locator"])[text[at]], "words": weight[at].astype(np.float32)})


def sites(locators: pa.ChunkedArray) -> U64:
    """Return a hash of the host of each locator, without `www.`; 0 for one that has none."""
    hosts = pc.utf8_lower(pc.struct_field(pc.extract_regex(locators, HOST), "host"))
    return np.where(pc.is_null(hosts).to_numpy(zero_copy_only=False), np.uint64(0), _hashes(pc.fill_null(hosts, "")))


def _hashes(names: pa.ChunkedArray) -> U64:
    """Return a 64-bit hash of each of a few different strings."""
    coded = names.combine_chunks().dictionary_encode()
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in coded.dictionary.to_pylist()]
    found: U64 = np.frombuffer(b"".join(digests), "<u8")[coded.indices.to_numpy()]
    return found


def joint(key: pa.ChunkedArray, site: pa.ChunkedArray) -> U64:
    """Return a hash of line and site together, FIXED where the line is."""
    found: U64 = mix(key.to_numpy() ^ mix(site.to_numpy() + np.uint64(1)))
    return np.where(key.to_numpy() == FIXED, FIXED, found)


def summed(sightings: pa.Table) -> pa.Table:
    """Return SIGHTING rows of single documents, each document of a line once, as one row for each line and site."""
    key, site, rank, place = (sightings[name].to_numpy() for name in ("key", "site", "rank", "place"))
    order = np.lexsort((place, rank, site, key))
    key, site, place = key[order], site[order], place[order]
    again = np.zeros(len(order), bool)
    again[1:] = (key[1:] == key[:-1]) & (place[1:] == place[:-1])
    order, key, site = order[~again], key[~again], site[~again]
    first = np.flatnonzero(_begins(key) | _begins(site))
    count = np.diff(np.append(first, len(order)))
    return sightings.take(pa.array(order[first])).set_column(2, SIGHTING.field(2), pa.array(count))


@dataclass(frozen=True)
class Repeated:
    """What `Repeats` leaves: REPEAT rows, cut by the group of ingest units that the lines were seen in."""

    repeats: DataFile


@dataclass(frozen=True)
class Repeats:
    """Says which lines of a key range several documents have. Unit spec: the range's number."""

    limits: Lines
    files: tuple[DataFile, ...]
    """The sightings, a file for each group."""

    def run(self, unit: Unit[int], out: UnitFiles) -> Repeated:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        parts = [read_cut(out.store, (file,), unit.spec, SIGHTING) for file in self.files]
        group = np.repeat(np.arange(len(parts)), [part.num_rows for part in parts])
        sightings = pa.concat_tables(parts).combine_chunks()
        repeats, origin = repeated(sightings, self.limits)
        return Repeated(out.write("repeats", cut(repeats, group[origin], len(parts))))


def repeated(sightings: pa.Table, limits: Lines) -> tuple[pa.Table, I64]:
    """Return the lines of several documents among `sightings` as REPEAT rows, and the sighting of each.

    Boilerplate is what `corpus` documents have, of which one keeps it, or `site` of a site, of which one does.
    """
    names = ("key", "site", "documents", "rank", "place")
    key, site, documents, rank, place = (sightings[name].to_numpy() for name in names)
    by_site, by_key = np.lexsort((place, rank, site, key)), np.lexsort((place, rank, key))
    site_keeper, here = _over(by_site, key, site, documents, place)
    keeper, everywhere = _over(by_key, key, np.zeros_like(site), documents, place)
    of_site = (site != 0) & (here >= limits.site) & (limits.site > 0)
    of_all = (everywhere >= limits.corpus) & (limits.corpus > 0)
    site_keeper = np.where(of_all, keeper, np.where(of_site, site_keeper, -1))
    origin = np.flatnonzero(everywhere > 1)
    at = joint(sightings["key"], sightings["site"])
    return pa.table([at[origin], keeper[origin], site_keeper[origin]], schema=REPEAT), origin


def _over(order: I64, key: U64, site: U64, documents: I64, place: I64) -> tuple[I64, I64]:
    """Return for each row (the place that comes first, the documents) of its key and site; `order` sorts by them."""
    first = np.flatnonzero(_begins(key[order]) | _begins(site[order]))
    size = np.diff(np.append(first, len(order)))
    total = np.add.reduceat(documents[order], first) if len(first) else documents
    found = np.empty((2, len(order)), np.int64)
    found[:, order] = np.repeat(place[order][first], size), np.repeat(total, size)
    return found[0], found[1]


def _begins(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell for each value whether it is unlike the one before it."""
    return np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]


@dataclass(frozen=True)
class TrimmedUnit:
    """The rows and edits of one ingest unit after `Trim`, those of the passes before included."""

    number: int
    keep: DataFile
    edits: DataFile
    sizes: Sizes


@dataclass(frozen=True)
class TrimCounts:
    """Documents that were changed, lines removed by reason, and characters removed."""

    documents: int = 0
    passages: int = 0
    boilerplate: int = 0
    characters: int = 0


@dataclass(frozen=True, kw_only=True)
class Trimmed(Accounted):
    """What `Trim` leaves of a group: each unit's part, and COMMON rows, the lines removed from most documents."""

    units: tuple[TrimmedUnit, ...]
    common: DataFile
    counts: TrimCounts


@dataclass(frozen=True)
class Trim:
    """Removes repeated lines from the texts of a group of ingest units. Unit spec: Group.

    Documents that are left with less than the policy's limits of characters and words are removed.
    """

    policy: Policy
    passage: int
    lines: tuple[DataFile, ...]
    """A file for each group."""
    repeats: tuple[DataFile, ...]

    def run(self, unit: Unit[Group], out: UnitFiles) -> Trimmed:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec, store = unit.spec, out.store
        repeats = read_cut(store, self.repeats, spec.number, REPEAT).sort_by("at")
        units = []
        trimming = _Trimming(self.policy)
        for index, chosen in enumerate(spec.units):
            lines = read_groups(store, self.lines[spec.number], [index])
            keep, edits = trimming.take_out(store, chosen, lines_to_remove(lines, repeats, chosen.number, self.passage))
            kept_file = out.write(f"keep-{chosen.number:06d}", keep)
            edits_file = out.write(f"edits-{chosen.number:06d}", edits)
            units.append(TrimmedUnit(chosen.number, kept_file, edits_file, sizes_by_language(keep)))
        dropped = dict(Counter(row["reason"] for row in trimming.removed))
        return Trimmed(
            units=tuple(units),
            common=out.write("common", trimming.commonest()),
            counts=TrimCounts(**trimming.counts),
            funnel={"lines": Count(trimming.read, trimming.read - len(trimming.removed), dropped)},
            removed=out.write("removed", pa.Table.from_pylist(trimming.removed, schema=REMOVED)),
        )


def lines_to_remove(lines: pa.Table, repeats: pa.Table, unit: int, passage: int) -> pa.Table:
    """Return which `lines` of an ingest unit are removed: their rows, and `why`, boilerplate or passage.

    `repeats` are sorted by `at`. The lines of a passage are taken as one, with shorter lines between them.
    """
    row, at, words = (lines[name].to_numpy() for name in ("row", "at", "words"))
    known = repeats["at"].to_numpy()
    where = np.minimum(np.searchsorted(known, at), max(len(known) - 1, 0))
    found = (known[where] == at) & (at != FIXED) if len(known) else np.zeros(len(at), bool)
    if not found.any():
        return lines.slice(0, 0).append_column("why", pa.array([], pa.string()))
    mine = place_of(unit, row)
    keeper, site_keeper = (repeats[name].to_numpy()[where] for name in ("keeper", "site_keeper"))
    elsewhere = found & (keeper != mine)
    often = found & (site_keeper >= 0) & (site_keeper != mine)
    begins = _begins(row)
    run = np.cumsum(begins | _begins(elsewhere)) - 1
    passages = elsewhere & (np.bincount(run, words)[run] >= passage) & (passage > 0)
    ends = np.append(begins[1:], True)
    edges = _none_before(~often, begins) | _none_before(~often[::-1], ends[::-1])[::-1]
    boilerplate = often & edges & ~passages
    first = np.flatnonzero(passages & (_begins(run)))
    last = np.flatnonzero(passages & np.append(run[1:] != run[:-1], True))
    whole = lines.take(pa.array(first)).set_column(2, LINE.field("stop"), lines["stop"].take(pa.array(last)))
    parts = [
        part.append_column("why", pa.array([why] * part.num_rows, pa.string()))
        for why, part in (("boilerplate", lines.filter(pa.array(boilerplate))), ("passage", whole))
    ]
    return pa.concat_tables(parts).sort_by([("row", "ascending"), ("start", "ascending")])


def _none_before(mask: npt.NDArray[np.bool_], begins: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell for each line whether neither it nor one before it in its text is in `mask`."""
    total = np.cumsum(mask)
    first = np.flatnonzero(begins)
    before: npt.NDArray[np.int64] = np.repeat((total - mask)[first], np.diff(np.append(first, len(mask))))
    return np.asarray(total == before)


class _Trimming:
    """What was removed from the texts of some ingest units."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.read = 0
        self.counts = {"documents": 0, "passages": 0, "boilerplate": 0, "characters": 0}
        self.removed: list[dict[str, Any]] = []
        self._common: dict[int, dict[str, Any]] = {}

    def take_out(self, store: Store, chosen: Selection, lines: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return `keep` and `edits` of an ingest unit without the `lines` (with `why`)."""
        keep = read_table(store, chosen.keep)
        self.read += keep.num_rows
        edits = read_table(store, chosen.edits) if chosen.edits else EDIT.empty_table()
        rows, size = keep["row"].to_numpy(), keep["bytes"].to_numpy().copy()
        changed = np.unique(lines["row"].to_numpy())
        self.counts["documents"] += len(changed)
        removed: dict[int, list[dict[str, Any]]] = {row: [] for row in changed.tolist()}
        for line in lines.to_pylist():
            removed[line["row"]].append(line)
        kept = edits.filter(pa.array(~np.isin(edits["row"].to_numpy(), changed)))
        masks: dict[int, list[Span]] = {row: [] for row in removed}
        for edit in edits.filter(pa.array(np.isin(edits["row"].to_numpy(), changed))).to_pylist():
            masks[edit["row"]].append((edit["start"], edit["stop"], edit["by"]))
        found: list[dict[str, Any]] = []
        went: list[int] = []
        for at, table in text_slices(store, chosen.documents, changed) if len(changed) else ():
            documents = table.to_pylist()
            spans = [
                without_gaps(one["text"], [*((line["start"], line["stop"], "") for line in removed[row]), *masks[row]])
                for row, one in zip(at.tolist(), documents, strict=True)
            ]
            left = [edited_text(one["text"], mine) for one, mine in zip(documents, spans, strict=True)]
            why = self._too_short(chosen.source, table["lang"], left)
            for row, one, mine, text, reason in zip(at.tolist(), documents, spans, left, why, strict=True):
                size[np.searchsorted(rows, row)] = len(text.encode())
                self._note(one, removed[row])
                cut = len(one["text"]) - len(text)
                self.counts["characters"] += cut
                if reason:
                    went.append(row)
                    sample = sum(other["reason"] == reason for other in self.removed) < SAMPLES
                    detail = f"{cut} of {len(one['text'])} characters were lines of other documents"
                    self.removed.append(removed_row(one, row, "lines", reason, detail, sample))
                else:
                    found += [{"row": row, "start": low, "stop": high, "by": by} for low, high, by in mine]
        edits = pa.concat_tables([kept, pa.Table.from_pylist(found, schema=EDIT)])
        keep = keep.set_column(2, "bytes", pa.array(size)).filter(pa.array(~np.isin(rows, went)))
        return keep, edits.sort_by([("row", "ascending"), ("start", "ascending")])

    def commonest(self) -> pa.Table:
        """Return the SHOWN lines that went from most documents, as COMMON rows."""
        rows = sorted(self._common.values(), key=lambda row: (-row["documents"], row["at"]))
        return pa.Table.from_pylist(rows[:SHOWN], schema=COMMON)

    def _note(self, document: dict[str, Any], lines: list[dict[str, Any]]) -> None:
        for line in lines:
            self.counts["passages" if line["why"] == "passage" else "boilerplate"] += 1
            quoted = " ".join(document["text"][line["start"] : line["stop"]].split())[:QUOTED]
            one = self._common.setdefault(
                line["at"],
                {"at": line["at"], "documents": 0, "why": line["why"], "line": quoted}
                | {name: document[name] for name in ("lang", "locator")},
            )
            one["documents"] += 1

    def _too_short(self, source: str, langs: pa.ChunkedArray, texts: list[str]) -> list[str | None]:
        """Return for each text the policy's limit of length that it now misses, or None."""
        array = pa.array(texts, pa.large_string())
        words = np.diff(TextBatch(plain_texts(array)).word_offsets)
        columns = {"lang": langs, "chars": pc.utf8_length(array).cast(pa.float32()), "words": words.astype(np.float32)}
        why = reasons(pa.table(columns), self.policy.of(source), ("chars", "words")).to_pylist()
        return [reason or (None if text else "chars_low") for reason, text in zip(why, texts, strict=True)]


def without_gaps(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans of lines that go with the line breaks before them, at the beginning with those after them."""
    out: list[Span] = []
    for low, high, by in spans:
        while not by and low and text[low - 1] == "\n":
            low -= 1
        out.append((low, high, by))
    out = joined(out)
    low, high, by = out[0]
    while not low and not by and high < len(text) and text[high] == "\n":
        high += 1
    return joined([(low, high, by), *out[1:]])
