"""What the corpora of a training hold, cell by cell, and in which shares they are read.

A cell is all documents of a corpus, language, source and kind. Shares come from token counts, a
temperature and fixed shares by pattern; a part of the documents, by hash, is held out of training.
"""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmedc.corpus.manifest import Manifest
from mmedc.errors import RecipeError
from mmedc.train.config import Data
from mmedc.train.tokens import FlatShard, Tokenised, flat_shard

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """The documents of one kind, in the order of the manifest. A document's row is its place among all."""

    name: str
    """`corpus/language/source/kind`."""
    shards: tuple[FlatShard, ...]
    paths: tuple[str, ...]
    starts: Longs
    """(shards + 1,) the first row of each shard."""
    lengths: Longs
    """(rows,) tokens of each document, its end token included."""
    held_out: npt.NDArray[np.bool_]
    """(rows,) which documents are measured, never trained on."""

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
        return shard, row - int(self.starts[shard])

    def read(self, row: int, start: int, stop: int) -> npt.NDArray[np.uint32]:
        """Return tokens `start` to `stop` of a document."""
        shard, inside = self.place(row)
        one = self.shards[shard]
        first = int(one.offsets[inside])
        return one.tokens[first + start : first + stop]


def cells_of(corpora: dict[str, tuple[str, Manifest, list[Tokenised]]], held_out: float, cache: Path) -> list[Cell]:
    """Return the cells of corpora, sorted by name. `corpora`: name → (URL, manifest, what its token pass left)."""
    grouped: dict[str, list[tuple[str, FlatShard]]] = {}
    for name, (url, manifest, tokenised) in corpora.items():
        for shard, left in zip(manifest.shards, tokenised, strict=True):
            key = f"{name}/{shard.lang}/{shard.source}/{shard.kind}"
            grouped.setdefault(key, []).append((shard.path, flat_shard(url, left.file, cache)))
    return [_cell(name, parts, held_out) for name, parts in sorted(grouped.items())]


def _cell(name: str, parts: list[tuple[str, FlatShard]], held_out: float) -> Cell:
    shards = tuple(one for _, one in parts)
    starts = np.cumsum([0, *(len(one.ids) for one in shards)])
    lengths = np.concatenate([np.diff(one.offsets) for one in shards])
    ids = np.concatenate([one.ids for one in shards])
    # An id is a hash already: its first 32 bits draw the lot, the same in every corpus that holds the document.
    out = (ids >> np.uint64(32)).astype(np.float64) < held_out * 2**32
    return Cell(name, shards, tuple(path for path, _ in parts), starts, lengths, out)


def shares(cells: list[Cell], data: Data, sequences: int) -> npt.NDArray[np.float64]:
    """Return the share of each cell in what is read; they sum to 1. Cells without tokens get none.

    Raises: RecipeError for a pattern that fits no cell, fixed shares of 1 and more, or a cell that
    would be repeated more than `data.max_epochs` times in `sequences` sequences.
    """
    tokens = np.array([cell.tokens for cell in cells], float)
    natural = np.where(tokens > 0, tokens**data.temperature, 0.0)
    names = [cell.name for cell in cells]
    out = np.zeros(len(cells))
    free = natural > 0
    if not free.any():
        raise RecipeError("data.corpora: no tokens are left to train on")
    for pattern, share in data.shares.items():
        mine = np.array([_fits(name, pattern) for name in names]) & free
        if not mine.any():
            raise RecipeError(f'data.shares: "{pattern}" fits no cell that is left; cells: {", ".join(names)}')
        out[mine] = share * natural[mine] / natural[mine].sum()
        free &= ~mine
    rest = 1 - sum(data.shares.values())
    if rest <= 0 or (not free.any() and rest > 1e-9):
        raise RecipeError(f"data.shares: they sum to {1 - rest:g}; leave some for the other cells, or give all of them")
    if free.any():
        out[free] = rest * natural[free] / natural[free].sum()
    out /= out.sum()
    epochs = out * sequences * (data.context + 1) / np.maximum(tokens, 1)
    worst = int(np.argmax(epochs))
    if epochs[worst] > data.max_epochs:
        raise RecipeError(
            f"{names[worst]}: would be read {epochs[worst]:.1f} times; at most {data.max_epochs:g} (data.max_epochs). "
            "Train for fewer steps, add documents, lower its share, or raise the limit"
        )
    return out


def _fits(name: str, pattern: str) -> bool:
    """Tell whether `corpus/lang/source/kind` fits a pattern, which may leave the later parts away."""
    parts = pattern.split("/")
    return all(fnmatch.fnmatchcase(have, want) for have, want in zip(name.split("/"), parts, strict=False))


def counts(cells: Iterable[Cell]) -> dict[str, dict[str, int]]:
    """Return documents and tokens of each cell, and those held out, for the run's record."""
    return {
        cell.name: {
            "documents": int((~cell.held_out).sum()),
            "tokens": cell.tokens,
            "held_out_documents": int(cell.held_out.sum()),
            "held_out_tokens": int(cell.lengths[cell.held_out].sum()),
        }
        for cell in cells
    }
