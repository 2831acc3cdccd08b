"""The mixture of a training: its components, and the share of each in what is read.

A component is all documents of one corpus, language, source and kind. Its share follows from its tokens, a
temperature, and shares that are fixed by pattern. Some documents, drawn by hash, are held out of training.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from mmedc.corpus.manifest import Manifest
from mmedc.errors import RecipeError
from mmedc.mixing import allot, bucket_of
from mmedc.storage import Store
from mmedc.train.config import Data
from mmedc.train.tokens import FlatShard, Tokenised, flat_shard

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Component:
    """Documents in the order of the manifest. The row of a document is its place among all of the component."""

    name: str
    """`corpus/language/source/kind`, and the range of quality where `data.buckets` divides them."""
    shards: tuple[FlatShard, ...]
    rows: tuple[Longs | None, ...]
    """The rows of each shard that are of this kind; None for all of them."""
    paths: tuple[str, ...]
    starts: Longs
    """(shards + 1,) the first row of the component in each shard, and the number of its rows."""
    lengths: Longs
    """(rows,) tokens of each document, with its begin and end tokens."""
    held_out: npt.NDArray[np.bool_]
    """(rows,) which documents are only evaluated on, never trained on."""

    @property
    def lang(self) -> str:
        """The language's code."""
        return self.name.split("/")[1]

    @property
    def training(self) -> Longs:
        """Rows that are trained on."""
        return np.flatnonzero(~self.held_out)

    @property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return int(self.lengths[~self.held_out].sum())

    def place(self, row: int) -> tuple[int, int]:
        """Return (shard, row in the shard) of a row."""
        shard = int(np.searchsorted(self.starts, row, side="right")) - 1
        inside, chosen = row - int(self.starts[shard]), self.rows[shard]
        return shard, inside if chosen is None else int(chosen[inside])

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """(rows,) the first 64 bits of the id of each document."""
        return _joined([shard.ids for shard in self.shards], self.rows)

    @property
    def text_bytes(self) -> Longs:
        """(rows,) UTF-8 bytes of the text of each document."""
        return _joined([shard.text_bytes for shard in self.shards], self.rows)

    def read(self, row: int, start: int, stop: int) -> npt.NDArray[np.uint32]:
        """Return tokens `start` to `stop` of a document."""
        shard, inside = self.place(row)
        first = int(self.shards[shard].offsets[inside])
        return self.shards[shard].tokens[first + start : first + stop]


def components_of(
    corpora: dict[str, tuple[str, Manifest, list[Tokenised]]],
    held_out: float,
    cache: Path,
    buckets: tuple[float, ...] = (),
) -> list[Component]:
    """Return the components of `corpora` (name → URL, manifest, what its token pass left), sorted by name.

    `buckets` are bounds of quality that divide them; the quality of documents is read from the corpora.
    """
    grouped: dict[str, list[_Part]] = {}
    for name, (url, manifest, tokenised) in corpora.items():
        for shard, left in zip(manifest.shards, tokenised, strict=True):
            flat = flat_shard(url, left.file, cache)
            kinds = flat.kinds.astype(np.str_)
            if buckets:
                kinds = np.char.add(np.char.add(kinds, "/"), bucket_of(_quality(url, shard.path), buckets))
            names = np.unique(kinds).tolist()
            for kind in names:
                rows = None if len(names) == 1 else np.flatnonzero(kinds == kind)
                key = f"{name}/{shard.lang}/{shard.source}/{kind}"
                grouped.setdefault(key, []).append(_Part(shard.path, flat, rows))
    return [_component(name, parts, held_out) for name, parts in sorted(grouped.items())]


def _quality(corpus: str, path: str) -> npt.NDArray[np.float32]:
    """Return the quality of the documents of a shard, NaN where it has none."""
    with Store(corpus).open_input(path) as handle:
        column = pq.read_table(handle, columns=["quality"], use_threads=False)["quality"]
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)


class _Part(NamedTuple):
    """The documents of one kind in a shard."""

    path: str
    shard: FlatShard
    rows: Longs | None


def _joined(columns: Sequence[npt.NDArray[Any]], rows: tuple[Longs | None, ...]) -> npt.NDArray[Any]:
    """Return a column of shards in the chosen rows of each."""
    parts = [column if mine is None else column[mine] for column, mine in zip(columns, rows, strict=True)]
    return np.concatenate(parts)


def _component(name: str, parts: list[_Part], held_out: float) -> Component:
    paths, shards, rows = zip(*parts, strict=True)
    lengths = _joined([np.diff(shard.offsets) for shard in shards], rows)
    ids = _joined([shard.ids for shard in shards], rows)
    sizes = [len(shard.ids) if mine is None else len(mine) for shard, mine in zip(shards, rows, strict=True)]
    # An id is a hash, so its first 32 bits decide, and decide alike in every corpus that has the document.
    out = (ids >> np.uint64(32)).astype(np.float64) < held_out * 2**32
    return Component(name, shards, rows, paths, np.cumsum([0, *sizes]), lengths, out)


def shares(components: list[Component], data: Data, sequences: int) -> npt.NDArray[np.float64]:
    """Return the share of each component in what is read. Shares sum to 1; a component without tokens has none.

    Raises: RecipeError for a pattern that fits no component, fixed shares that sum to 1 or more, or a component that
    would be read more than `data.max_epochs` times in `sequences` sequences.
    """
    budget = sequences * (data.context + 1)
    found = allot([component.name for component in components], [one.tokens for one in components], data, budget)
    if found.missing > 1e-6 * budget:
        raise RecipeError(
            f"data.max_epochs: {budget:,} tokens are to be read, and {data.max_epochs:g} times the documents are only "
            f"{found.read.sum():,.0f}. Train for fewer steps, add documents, or raise the limit"
        )
    worst = int(np.argmax(found.epochs))
    if found.epochs[worst] > data.max_epochs * (1 + 1e-9):
        raise RecipeError(
            f"{found.names[worst]}: would be read {found.epochs[worst]:.1f} times; at most {data.max_epochs:g} "
            "(data.max_epochs). Train for fewer steps, add documents, lower its share, raise the limit, or cap it "
            "(data.over: cap)"
        )
    table: npt.NDArray[np.float64] = found.read / found.read.sum()
    return table


def counts(components: Iterable[Component]) -> dict[str, dict[str, int]]:
    """Return the documents and tokens of each component, and those held out, for the record of a run."""
    return {
        component.name: {
            "documents": int((~component.held_out).sum()),
            "tokens": component.tokens,
            "held_out_documents": int(component.held_out.sum()),
            "held_out_tokens": int(component.lengths[component.held_out].sum()),
        }
        for component in components
    }
