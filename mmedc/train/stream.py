"""The stream of training: sequence `n` is a pure function of (corpora, tokenizer, shares, seed, n).

Its whole state is one integer, so that any number of devices reads the same global stream, a seek
costs nothing, and the documents of any step can be named afterwards. No token is dropped, none
comes twice in an epoch.

Each cell is an endless tape: its documents in an order drawn anew for every epoch, end to end.
Sequence k of a cell is tokens k(S+1) to (k+1)(S+1) of its tape. Which cell gives sequence n is
settled in blocks: of the first m blocks, cell c gives floor(m·B·W_c) - floor(m·B·W_(c-1)) sequences,
W being the cumulative shares, so that it is never more than one sequence from its share; within a
block the order is drawn.
"""

import functools
import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mmedc.errors import RecipeError
from mmedc.train.cells import Cell, Longs

IGNORE = -100
BLOCK, LARGEST_BLOCK = 1 << 12, 1 << 20
SCALE = 40  # bits of a share


class Sequence(NamedTuple):
    """One sequence of S tokens, as the model sees it."""

    tokens: npt.NDArray[np.int64]
    """(S,)"""
    targets: npt.NDArray[np.int64]
    """(S,) the next token; IGNORE where the next one belongs to another document."""
    lengths: Longs
    """(pieces,) tokens of each piece of a document; they sum to S. Positions begin anew in each."""
    cell: int
    """Where it comes from."""


class Piece(NamedTuple):
    """A part of a document in a sequence."""

    cell: int
    row: int
    start: int
    stop: int


class Sequences(Protocol):
    """Any object that gives sequence `n`."""

    def sequence(self, number: int) -> Sequence:
        """Return sequence `number`, from 0."""


class Stream(Sequences, Protocol):
    """What the loop reads."""

    names: list[str]
    """Of the cells."""

    def provenance(self, number: int) -> list[dict[str, Any]]:
        """Return what sequence `number` is made of."""

    def record(self) -> dict[str, Any]:
        """Return what the stream depends on; a resumed run must find the same."""


def generator(*key: int) -> np.random.Generator:
    """Return a counter-based generator (Philox) keyed by integers: the same numbers on every machine."""
    return np.random.Generator(np.random.Philox(key=np.random.SeedSequence(key).generate_state(2, np.uint64)))


@dataclass(frozen=True)
class _Epoch:
    """A cell's documents in the order of one epoch."""

    rows: Longs
    ends: Longs
    """(documents,) tokens of the tape up to the end of each."""


@dataclass
class PackedStream:
    """Documents end to end, in sequences of `context` + 1 tokens. Raises: RecipeError for shares below 2**-20."""

    cells: list[Cell]
    shares: npt.NDArray[np.float64]
    context: int
    seed: int
    identity: dict[str, Any]
    """What the cells came from: digests of corpora and tokenizer."""
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        chosen = self.shares > 0
        self.cells = [cell for cell, wanted in zip(self.cells, chosen, strict=True) if wanted]
        self.shares = self.shares[chosen] / self.shares[chosen].sum()
        self.names = [cell.name for cell in self.cells]
        low = float(self.shares.min())
        self.block = BLOCK
        while self.block * low < 1 + 1e-6:
            self.block *= 2
        if self.block > LARGEST_BLOCK:
            name = self.names[int(np.argmin(self.shares))]
            raise RecipeError(
                f"{name}: its share of {low:.1e} is too small to be planned; give it one with data.shares"
            )
        # Whole numbers from here on, so that no machine rounds another way.
        edges = [round(float(edge) * 2**SCALE) for edge in np.cumsum(self.shares)[:-1]]
        self._edges = [0, *edges, 1 << SCALE]
        self._block = functools.lru_cache(maxsize=4)(self._draw_block)
        self._epoch = functools.lru_cache(maxsize=2 * len(self.cells) + 2)(self._draw_epoch)
        self._tokens = [cell.tokens for cell in self.cells]

    def planned(self, blocks: int) -> list[int]:
        """Return how many sequences each cell gives in the first `blocks` blocks."""
        marks = [(blocks * self.block * edge) >> SCALE for edge in self._edges]
        return [high - low for low, high in itertools.pairwise(marks)]

    def _draw_block(self, number: int) -> tuple[Longs, Longs]:
        """Return for each sequence of a block its cell, and its number in the cell."""
        before, after = self.planned(number), self.planned(number + 1)
        take = [b - a for a, b in zip(before, after, strict=True)]
        cell = np.repeat(np.arange(len(take)), take)
        within = np.concatenate([np.arange(a, b) for a, b in zip(before, after, strict=True)])
        order = generator(self.seed, 1, number).permutation(len(cell))
        # The sequences of a cell keep their order within the block: its tape is read forwards.
        mixed = cell[order]
        rank = np.empty(len(cell), np.int64)
        rank[np.argsort(mixed, kind="stable")] = within
        return mixed, rank

    def _draw_epoch(self, cell: int, epoch: int) -> _Epoch:
        rows = self.cells[cell].training
        rows = rows[self.cells[cell].lengths[rows] > 0]
        rows = rows[generator(self.seed, 2, cell, epoch).permutation(len(rows))]
        return _Epoch(rows, np.cumsum(self.cells[cell].lengths[rows]))

    def place(self, number: int) -> tuple[int, int]:
        """Return (cell, its sequence) of sequence `number`."""
        cells, ranks = self._block(number // self.block)
        return int(cells[number % self.block]), int(ranks[number % self.block])

    def pieces(self, number: int) -> list[Piece]:
        """Return the parts of documents that sequence `number` is made of, in their order."""
        cell, rank = self.place(number)
        at, wanted = rank * (self.context + 1), self.context + 1
        out = []
        while wanted:
            epoch, offset = divmod(at, self._tokens[cell])
            tape = self._epoch(cell, epoch)
            index = int(np.searchsorted(tape.ends, offset, side="right"))
            row = int(tape.rows[index])
            start = offset - int(tape.ends[index] - self.cells[cell].lengths[row])
            stop = min(start + wanted, int(self.cells[cell].lengths[row]))
            out.append(Piece(cell, row, start, stop))
            at, wanted = at + stop - start, wanted - (stop - start)
        return out

    def sequence(self, number: int) -> Sequence:
        """Return sequence `number`; see `Stream`."""
        pieces = self.pieces(number)
        tokens = np.concatenate([self.cells[p.cell].read(p.row, p.start, p.stop) for p in pieces]).astype(np.int64)
        lengths = np.array([p.stop - p.start for p in pieces], np.int64)
        targets = tokens[1:].copy()
        # The first token of a document is nothing that the one before could tell.
        begins = np.cumsum(lengths)[:-1]
        targets[begins - 1] = IGNORE
        lengths[-1] -= 1  # the last token is only a target
        return Sequence(tokens[:-1], targets, lengths[lengths > 0], pieces[0].cell)

    def provenance(self, number: int) -> list[dict[str, Any]]:
        """Return what sequence `number` is made of: cell, shard, row, and which of the document's tokens."""
        out = []
        for piece in self.pieces(number):
            cell = self.cells[piece.cell]
            shard, row = cell.place(piece.row)
            span = [piece.start, piece.stop]
            out.append({"cell": cell.name, "shard": cell.paths[shard], "row": row, "tokens": span})
        return out

    def record(self) -> dict[str, Any]:
        """Return what the stream depends on; see `Stream`."""
        table = {name: round(float(share), 9) for name, share in zip(self.names, self.shares, strict=True)}
        return {**self.identity, "context": self.context, "seed": self.seed, "shares": table}


def numbers_of_step(step: int, batch: int, micro_batch: int, rank: int, ranks: int) -> list[list[int]]:
    """Return the sequences of a device in a step, micro-batch by micro-batch.

    Together the devices take `batch` sequences from step·batch on, whatever their number.
    """
    rounds = batch // (micro_batch * ranks)
    first = step * batch
    return [
        [first + (round_ * ranks + rank) * micro_batch + index for index in range(micro_batch)]
        for round_ in range(rounds)
    ]
