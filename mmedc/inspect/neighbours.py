"""The cluster of duplicates that a document belongs to, and the differences between two texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.history import History
from mmedc.dedup.records import KNOWN
from mmedc.inspect.files import PUBLISHED, Opened, RowFile

MOST = 50
"""The members of a cluster that are shown."""
COMPARED = 60_000
"""Characters of each text that are compared."""
WORDS = 1_500
"""A part that differs and has more words on a side is marked as a whole: the comparison of words is quadratic."""
LINES = 3_000
WORD = re.compile(r"\s+|\w+|[^\w\s]", re.UNICODE)


@dataclass(frozen=True)
class Member:
    """A document of a cluster."""

    file: str
    row: int
    stays: bool
    jaccard: float | None
    """The estimated similarity to the one that stays."""
    reason: str = ""


def place_of(opened: Opened, file: RowFile, row: int) -> int | None:
    """Return the number of a document among those of ingest, as `History` has it; None where that is not known."""
    history = opened.history
    if history is None:
        return None
    if file.what != PUBLISHED:
        return (file.unit << 32) + row
    at = row + sum(
        other.rows
        for other in opened.files
        if other.what == PUBLISHED and (other.lang, other.source) == (file.lang, file.source) and other.path < file.path
    )
    for unit, keys in _units_of(history, file.source):
        with opened.store.open_input(keys) as handle:
            table = pq.read_table(handle, columns=["lang", "at"], use_threads=False)
        mine = np.flatnonzero(
            pc.and_(pc.equal(table["lang"], file.lang), pc.equal(table["at"], at)).to_numpy(zero_copy_only=False)
        )
        if len(mine):
            return (unit << 32) + int(history.published_rows(unit)[mine[0]])
    return None


def _units_of(history: History, source: str) -> list[tuple[int, str]]:
    """Return (unit, path of its published keys) of a source."""
    keys = history.manifest.keys
    files = keys.files if keys else ()
    if len(files) != len(history.record.sources):
        return []
    return [(unit, files[unit].path) for unit, name in enumerate(history.record.sources) if name == source]


def row_of(opened: Opened, place: int) -> tuple[str, int] | None:
    """Return the (file, row) of a document of ingest: in its shard if it is published."""
    history = opened.history
    if history is None:
        return None
    unit, row = place >> 32, place & 0xFFFFFFFF
    if unit >= len(history.record.sources):
        return None  # of a corpus that `dedup.against` names
    rows = history.published_rows(unit)
    at = int(np.searchsorted(rows, row))
    if at == len(rows) or rows[at] != row:
        return next(file.name for file in opened.files if file.unit == unit), row
    source = history.record.sources[unit]
    (_, path), *_ = [each for each in _units_of(history, source) if each[0] == unit]
    with opened.store.open_input(path) as handle:
        table = pq.read_table(handle, columns=["lang", "at"], use_threads=False).slice(at, 1).to_pylist()[0]
    left = table["at"]
    for file in opened.files:
        if file.what == PUBLISHED and (file.lang, file.source) == (table["lang"], source):
            if left < file.rows:
                return file.name, left
            left -= file.rows
    return None


def cluster(opened: Opened, file: RowFile, row: int) -> list[Member]:
    """Return the documents that were removed as duplicates of the same one, and that one first; none without any."""
    place = place_of(opened, file, row)
    if place is None or opened.history is None:
        return []
    history, survivor = opened.history, place
    for drop in _drops(history, "place", place):
        if drop["reason"] == KNOWN:
            return []
        survivor = drop["survivor"]
    lost = [drop for drop in _drops(history, "survivor", survivor) if drop["reason"] != KNOWN]
    if not lost:
        return []
    first = row_of(opened, survivor)
    found = [Member(*first, True, None)] if first else []
    lost.sort(key=lambda drop: (drop["place"] != place, -(drop["jaccard"] or 0.0)))
    for drop in lost[:MOST]:
        if (at := row_of(opened, drop["place"])) is not None:
            found.append(Member(*at, False, drop["jaccard"], drop["reason"]))
    return found


def _drops(history: History, name: str, place: int) -> Iterator[dict[str, Any]]:
    """Yield what deduplication dropped with `place` in a column."""
    for table in history.drops():
        yield from table.filter(pc.equal(table[name], place)).to_pylist()


Piece = tuple[str, bool]
"""A part of a text, and whether the other text lacks it."""


def differences(left: str, right: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces, of their first `COMPARED` characters: by lines, then by words inside of lines."""
    lines = [text[:COMPARED].splitlines(keepends=True)[:LINES] for text in (left, right)]
    found: tuple[list[Piece], list[Piece]] = ([], [])
    for kind, a, b, c, d in SequenceMatcher(None, lines[0], lines[1], autojunk=False).get_opcodes():
        old, new = "".join(lines[0][a:b]), "".join(lines[1][c:d])
        if kind == "equal":
            found[0].append((old, False))
            found[1].append((new, False))
            continue
        words = WORD.findall(old), WORD.findall(new)
        if max(map(len, words)) > WORDS or not old or not new:
            found[0].append((old, True))
            found[1].append((new, True))
            continue
        for part, i, j, k, m in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
            found[0].append(("".join(words[0][i:j]), part != "equal"))
            found[1].append(("".join(words[1][k:m]), part != "equal"))
    return ([piece for piece in found[0] if piece[0]], [piece for piece in found[1] if piece[0]])
