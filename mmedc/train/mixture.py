"""The mixture of a training: its components, and the share of each in what is read.

A component is all documents of one corpus, language, source and kind. Its share follows from its tokens, a
temperature, and shares that are fixed by pattern. Some documents, drawn by hash, are held out of training.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmedc.corpus.manifest import Manifest
from mmedc.errors import RecipeError
from mmedc.train.config import Data
from mmedc.train.tokens import FlatShard, Tokenised, flat_shard

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Component:
    """Documents in the order of the manifest. The row of a document is its place among all of the component."""

    name: str
    """`corpus/language/source/kind`."""
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
    corpora: dict[str, tuple[str, Manifest, list[Tokenised]]], held_out: float, cache: Path
) -> list[Component]:
    """Return the components of `corpora` (name → URL, manifest, what its token pass left), sorted by name."""
    grouped: dict[str, list[_Part]] = {}
    for name, (url, manifest, tokenised) in corpora.items():
        for shard, left in zip(manifest.shards, tokenised, strict=True):
            flat = flat_shard(url, left.file, cache)
            kinds = np.unique(flat.kinds).tolist()
            for kind in kinds:
                rows = None if len(kinds) == 1 else np.flatnonzero(flat.kinds == kind)
                key = f"{name}/{shard.lang}/{shard.source}/{kind.decode()}"
                grouped.setdefault(key, []).append(_Part(shard.path, flat, rows))
    return [_component(name, parts, held_out) for name, parts in sorted(grouped.items())]


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
    tokens = np.array([component.tokens for component in components], float)
    natural = np.where(tokens > 0, tokens**data.temperature, 0.0)
    names = [component.name for component in components]
    out = np.zeros(len(components))
    free = natural > 0
    if not free.any():
        raise RecipeError("data.corpora: there are no tokens to train on")
    for pattern, share in data.shares.items():
        fitting = np.array([_fits(name, pattern) for name in names]) & free
        if not fitting.any():
            raise RecipeError(
                f'data.shares: "{pattern}" fits no component that an earlier pattern left; '
                f"the components are {', '.join(names)}"
            )
        out[fitting] = share * natural[fitting] / natural[fitting].sum()
        free &= ~fitting
    rest = 1 - sum(data.shares.values())
    if rest <= 0 or (not free.any() and rest > 1e-9):
        raise RecipeError(
            f"data.shares: they sum to {1 - rest:g}; leave a share for the other components, or name every component"
        )
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
    """Tell whether `corpus/lang/source/kind` fits a pattern, which may omit the last parts."""
    parts = pattern.split("/")
    return all(fnmatch.fnmatchcase(have, want) for have, want in zip(name.split("/"), parts, strict=False))


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
