"""The blocks of a page in the order of the document, and the text of those that are kept.

A block is a run of the walk, or a table of data as a whole.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedc.steps.extract.tables import Table
from mmedc.steps.extract.tree import Walk

LONG_CELL_CHARS = 600
"""A table with a longer cell lays out a page and holds no data; its cells are containers like any other."""
MEAN_CELL_CHARS = 120
LAYOUT = frozenset(("form", "article", "main", "nav", "aside", "blockquote", "pre"))
"""Elements that no table of data holds."""
NESTED_CHARS = 3_000
"""A table of data that holds another one has a cell of the head and no more characters than this."""


@dataclass(slots=True)
class Blocks:
    """Parallel lists, one entry for each block, in the order of the document."""

    walk: Walk
    texts: list[str]
    owners: list[int]
    """The block element of each: of a table of data the table."""
    linked: list[int]
    links: list[int]
    images: list[int]
    runs: list[int]
    """The number of the first run of each block."""
    rows: list[int]
    """The number of rows of a table of data, 0 for any other block."""


def blocks_of(walk: Walk) -> Blocks:
    """Return the blocks of a page."""
    found = Blocks(walk, walk.texts, walk.owners, walk.linked, walk.links, walk.images, [], [])
    tables = [(number, table) for number in _tables(walk) if (table := _data(walk, number))]
    if not tables:
        found.runs = list(range(len(walk.texts)))
        found.rows = [0] * len(walk.texts)
        return found
    return _with_tables(walk, tables)


def spans_of(found: Blocks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each block element the number of its first block, and the number after its last one."""
    runs = np.array(found.runs, np.int64)
    return np.searchsorted(runs, found.walk.starts), np.searchsorted(runs, found.walk.ends)


def _tables(walk: Walk) -> list[int]:
    """Return the tables that hold enough runs to be data, and another table only within a cell of a small one."""
    return [
        number
        for number, tag in enumerate(walk.tags)
        if tag == "table"
        and walk.names[number][2] not in ("presentation", "none")
        and walk.ends[number] - walk.starts[number] >= 4
        and LAYOUT.isdisjoint(inside := walk.tags[number + 1 : walk.lasts[number]])
        and ("table" not in inside or _holds_tables(walk, number, inside))
    ]


def _holds_tables(walk: Walk, number: int, inside: list[str]) -> bool:
    """Return whether a table with the elements `inside` has tables within its cells and is one of data itself."""
    if "th" not in inside[: inside.index("table")]:
        return False
    return sum(map(len, walk.texts[walk.starts[number] : walk.ends[number]])) <= NESTED_CHARS


def _data(walk: Walk, number: int) -> Table | None:
    """Return a table of data, or None for a table that lays out a page."""
    start, end = walk.starts[number], walk.ends[number]
    lengths = [len(text) for text in walk.texts[start:end]]
    if max(lengths) > LONG_CELL_CHARS or sum(lengths) > MEAN_CELL_CHARS * len(lengths):
        return None
    table = Table(walk, number)
    return table if len(table.rows) > 1 and len(table.rows[0]) > 1 else None


def _with_tables(walk: Walk, tables: list[tuple[int, Table]]) -> Blocks:
    """Return the blocks with each table of data as one."""
    found = Blocks(walk, [], [], [], [], [], [], [])

    def take(start: int, end: int) -> None:
        found.texts += walk.texts[start:end]
        found.owners += walk.owners[start:end]
        found.linked += walk.linked[start:end]
        found.links += walk.links[start:end]
        found.images += walk.images[start:end]
        found.runs += range(start, end)
        found.rows += [0] * (end - start)

    at = 0
    for number, table in tables:
        start, end = walk.starts[number], walk.ends[number]
        if start < at:
            continue  # within the table before
        take(at, start)
        found.texts.append(str(table))
        found.owners.append(number)
        found.linked.append(sum(walk.linked[start:end]))
        found.links.append(sum(walk.links[start:end]))
        found.images.append(sum(walk.images[start:end]))
        found.runs.append(start)
        found.rows.append(len(table.rows))
        at = end
    take(at, len(walk.texts))
    return found
