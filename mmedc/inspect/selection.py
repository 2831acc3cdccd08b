"""Answers from the catalog: how many documents a question has, which they are, and how their scores are spread."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmedc.inspect.catalog import Catalog, Chunk
from mmedc.inspect.question import ALL, PAGE, PUBLISHED, Question
from mmedc.inspect.scales import NONE, Scale

MOST_SORTED = 10_000
"""The documents that can be reached in a sorted list."""
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """A document of the catalog."""

    file: str
    """The name of its file."""
    row: int
    lang: str
    source: str
    kind: str
    fate: str
    tokens: int
    number: int
    """Its number among the documents that the filters keep, from 0."""


def chosen(catalog: Catalog, chunk: Chunk, asked: Question) -> Bools:
    """Return which documents of a chunk a question asks for, but for its search."""
    found = np.ones(chunk.rows, bool)
    for name, names, wanted in (
        ("source", catalog.sources, asked.source),
        ("kind", catalog.kinds, asked.kind),
        ("fate", catalog.fates, asked.reason),
    ):
        if wanted:
            number = names.known.get(wanted)
            if number is None:
                return np.zeros(chunk.rows, bool)
            found &= chunk.column(name) == number
    if asked.show != ALL and not asked.reason:
        found &= (chunk.column("fate") == 0) == (asked.show == PUBLISHED)
    for measure, bounds in asked.ranges.items():
        codes, (low, high) = chunk.column(measure), codes_of(catalog.scales[measure], *bounds)
        found &= (codes >= low) & (codes < high)
    return found


def codes_of(scale: Scale, low: float | None, high: float | None) -> tuple[int, int]:
    """Return (first, after last) codes of the scores from `low` on and below `high`."""
    return scale.lowest(low), scale.size if high is None else 2 * scale.nearest(high) + 1


def total(catalog: Catalog, asked: Question) -> tuple[int, int]:
    """Return the documents that a question asks for, and their tokens."""
    documents = tokens = 0
    for chunk in catalog.rows([asked.lang] if asked.lang else ()):
        mask = chosen(catalog, chunk, asked)
        documents += int(mask.sum())
        tokens += int(chunk.column("tokens")[mask].sum(dtype=np.int64))
    return documents, tokens


def matching(catalog: Catalog, asked: Question, start: int = 0) -> Iterator[tuple[int, Chunk, npt.NDArray[np.int64]]]:
    """Yield (number of the first, chunk, places in it) of the documents from number `start` on."""
    before = 0
    for chunk in catalog.rows([asked.lang] if asked.lang else ()):
        places = np.flatnonzero(chosen(catalog, chunk, asked))
        if before + len(places) > start:
            skip = max(start - before, 0)
            yield before + skip, chunk, places[skip:]
        before += len(places)


def listed(catalog: Catalog, asked: Question, start: int, most: int = PAGE) -> list[Row]:
    """Return documents from number `start` on, in the order that is asked for."""
    if asked.sort:
        return _sorted(catalog, asked, start, most)
    found: list[Row] = []
    for number, chunk, places in matching(catalog, asked, start):
        found += rows_of(catalog, chunk, places[: most - len(found)], number)
        if len(found) == most:
            break
    return found


def rows_of(catalog: Catalog, chunk: Chunk, places: npt.NDArray[np.int64], number: int) -> list[Row]:
    """Return the documents at places of a chunk; `number` is that of the first."""
    columns = [chunk.column(name)[places].tolist() for name in ("file", "row", "source", "kind", "fate", "tokens")]
    files = catalog.opened.files
    return [
        Row(
            files[file].name,
            row,
            chunk.lang,
            catalog.sources.name(source),
            catalog.kinds.name(kind),
            catalog.fates.name(fate),
            tokens,
            number + at,
        )
        for at, (file, row, source, kind, fate, tokens) in enumerate(zip(*columns, strict=True))
    ]


def _sorted(catalog: Catalog, asked: Question, start: int, most: int) -> list[Row]:
    """Return documents by a measure; those without the score come last, equal ones in the order of the files."""
    wanted, name = min(start + most, MOST_SORTED), asked.sort.removeprefix("-")
    best: list[tuple[npt.NDArray[np.int64], int, npt.NDArray[np.int64]]] = []
    chunks = list(catalog.rows([asked.lang] if asked.lang else ()))
    for at, chunk in enumerate(chunks):
        places = np.flatnonzero(chosen(catalog, chunk, asked))
        codes = chunk.column(name)[places].astype(np.int64)
        keys = np.where(codes == NONE, int(NONE), int(NONE) - 1 - codes if asked.sort.startswith("-") else codes)
        order = np.argsort(keys, kind="stable")[:wanted]
        best.append((keys[order], at, places[order]))
    if not best:
        return []
    keys = np.concatenate([part[0] for part in best])
    owners = np.concatenate([np.full(len(part[0]), part[1]) for part in best])
    places = np.concatenate([part[2] for part in best])
    order = np.argsort(keys, kind="stable")[start:wanted]
    return [
        rows_of(catalog, chunks[int(owners[at])], places[at : at + 1], start + number)[0]
        for number, at in enumerate(order.tolist())
    ]


def spread(catalog: Catalog, asked: Question) -> dict[str, npt.NDArray[np.int64]]:
    """Return for each measure how many of the documents have each code; `NONE` is counted after the last one."""
    counts = {name: np.zeros(catalog.scales[name].size + 1, np.int64) for name in catalog.measures}
    for chunk in catalog.rows([asked.lang] if asked.lang else ()):
        mask = chosen(catalog, chunk, asked)
        every = bool(mask.all())
        for name, found in counts.items():
            codes = chunk.column(name) if every else chunk.column(name)[mask]
            found += np.bincount(np.minimum(codes, len(found) - 1), minlength=len(found))
    return counts


def fates(catalog: Catalog, lang: str = "", source: str = "") -> dict[str, int]:
    """Return how many documents have each fate."""
    counts = np.zeros(256, np.int64)
    asked = Question(lang=lang, source=source, show=ALL)
    for chunk in catalog.rows([lang] if lang else ()):
        counts += np.bincount(chunk.column("fate")[chosen(catalog, chunk, asked)], minlength=256)
    return {name: int(counts[number]) for name, number in [*catalog.fates.known.items()] if counts[number]}
