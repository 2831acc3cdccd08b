"""The stream of training: sequence `n` is a pure function of (corpora, tokenizer, shares, seed, n).

The whole state is one integer. Therefore any number of devices reads the same global stream, seeking costs
nothing, and the documents of any step can be named afterwards. Within an epoch every token occurs exactly once.

Each component is an endless tape: its documents, end to end, in an order that is drawn anew for every epoch.
Sequence k of a component is tokens k(S+1) to (k+1)(S+1) of its tape. The component of sequence n is decided in
blocks of B sequences: of the first m blocks, component c gives floor(m·B·W_c) - floor(m·B·W_(c-1)) sequences,
where W are the cumulative shares, so that it is never more than one sequence from its share. Within a block
the order is drawn.
"""

import functools
import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mmedc.errors import RecipeError
from mmedc.train.mixture import Component, Longs

IGNORE = -100
BLOCK, LARGEST_BLOCK = 1 << 12, 1 << 20
SCALE = 40  # bits that a share is rounded to


class Sequence(NamedTuple):
    """A sequence of S tokens, as the model sees it."""

    tokens: npt.NDArray[np.int64]
    """(S,)"""
    targets: npt.NDArray[np.int64]
    """(S,) the next token, or IGNORE where it belongs to another document."""
    lengths: Longs
    """(pieces,) tokens of each piece of a document, which sum to S. Positions restart in each piece."""
    component: int
    """The component that it comes from."""


class Span(NamedTuple):
    """The tokens `start` to `stop` of a document, in a sequence."""

    component: int
    row: int
    start: int
    stop: int


class Sequences(Protocol):
    """Any object that gives sequence `n`."""

    def sequence(self, number: int) -> Sequence:
        """Return sequence `number`, from 0."""


class TrainingStream(Sequences, Protocol):
    """What the training loop reads."""

    names: list[str]
    """The names of the components."""

    def provenance(self, number: int) -> list[dict[str, Any]]:
        """Return what sequence `number` is made of."""

    def record(self) -> dict[str, Any]:
        """Return what the stream depends on. A resumed run must find the same."""


def generator(*key: int) -> np.random.Generator:
    """Return a counter-based generator (Philox) keyed by integers: the same numbers on every machine."""
    return np.random.Generator(np.random.Philox(key=np.random.SeedSequence(key).generate_state(2, np.uint64)))


@dataclass(frozen=True)
class _Epoch:
    """The documents of a component in the order of one epoch."""

    rows: Longs
    ends: Longs
    """(documents,) tokens of the tape up to the end of each document."""


@dataclass
class PackedStream:
    """Documents end to end, in sequences of `context` + 1 tokens. Raises: RecipeError for shares below 2**-20."""

    components: list[Component]
    shares: npt.NDArray[np.float64]
    context: int
    seed: int
    identity: dict[str, Any]
    """What the components were made from: digests of corpora and tokenizer."""
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        chosen = self.shares > 0
        self.components = [component for component, wanted in zip(self.components, chosen, strict=True) if wanted]
        self.shares = self.shares[chosen] / self.shares[chosen].sum()
        self.names = [component.name for component in self.components]
        low = float(self.shares.min())
        self.block = BLOCK
        while self.block * low < 1 + 1e-6:
            self.block *= 2
        if self.block > LARGEST_BLOCK:
            name = self.names[int(np.argmin(self.shares))]
            raise RecipeError(
                f"{name}: its share of {low:.1e} is too small to be planned; give it a larger one with data.shares"
            )
        # Integers from here on, so that every machine rounds alike.
        edges = [round(float(edge) * 2**SCALE) for edge in np.cumsum(self.shares)[:-1]]
        self._edges = [0, *edges, 1 << SCALE]
        self._block = functools.lru_cache(maxsize=4)(self._draw_block)
        self._epoch = functools.lru_cache(maxsize=2 * len(self.components) + 2)(self._draw_epoch)
        self._tokens = [component.tokens for component in self.components]

    def planned(self, blocks: int) -> list[int]:
        """Return how many sequences each component gives in the first `blocks` blocks."""
        marks = [(blocks * self.block * edge) >> SCALE for edge in self._edges]
        return [high - low for low, high in itertools.pairwise(marks)]

    def _draw_block(self, number: int) -> tuple[Longs, Longs]:
        """Return the component of each sequence of a block, and its number in the component."""
        before, after = self.planned(number), self.planned(number + 1)
        take = [b - a for a, b in zip(before, after, strict=True)]
        component = np.repeat(np.arange(len(take)), take)
        within = np.concatenate([np.arange(a, b) for a, b in zip(before, after, strict=True)])
        order = generator(self.seed, 1, number).permutation(len(component))
        # The sequences of a component keep their order within the block, so that its tape is read forwards.
        mixed = component[order]
        rank = np.empty(len(component), np.int64)
        rank[np.argsort(mixed, kind="stable")] = within
        return mixed, rank

    def _draw_epoch(self, component: int, epoch: int) -> _Epoch:
        rows = self.components[component].training
        rows = rows[self.components[component].lengths[rows] > 0]
        rows = rows[generator(self.seed, 2, component, epoch).permutation(len(rows))]
        return _Epoch(rows, np.cumsum(self.components[component].lengths[rows]))

    def place(self, number: int) -> tuple[int, int]:
        """Return the component of sequence `number`, and the number of the sequence in it."""
        components, ranks = self._block(number // self.block)
        return int(components[number % self.block]), int(ranks[number % self.block])

    def pieces(self, number: int) -> list[Span]:
        """Return the parts of documents that make up sequence `number`, in their order."""
        component, rank = self.place(number)
        at, wanted = rank * (self.context + 1), self.context + 1
        out = []
        while wanted:
            epoch, offset = divmod(at, self._tokens[component])
            tape = self._epoch(component, epoch)
            index = int(np.searchsorted(tape.ends, offset, side="right"))
            row = int(tape.rows[index])
            start = offset - int(tape.ends[index] - self.components[component].lengths[row])
            stop = min(start + wanted, int(self.components[component].lengths[row]))
            out.append(Span(component, row, start, stop))
            at, wanted = at + stop - start, wanted - (stop - start)
        return out

    def sequence(self, number: int) -> Sequence:
        """Return sequence `number`; see `TrainingStream`."""
        pieces = self.pieces(number)
        tokens = np.concatenate([self.components[p.component].read(p.row, p.start, p.stop) for p in pieces]).astype(
            np.int64
        )
        lengths = np.array([p.stop - p.start for p in pieces], np.int64)
        targets = tokens[1:].copy()
        # The first token of a document is not predicted from the document before it.
        begins = np.cumsum(lengths)[:-1]
        targets[begins - 1] = IGNORE
        lengths[-1] -= 1  # the last token is only a target
        return Sequence(tokens[:-1], targets, lengths[lengths > 0], pieces[0].component)

    def provenance(self, number: int) -> list[dict[str, Any]]:
        """Return what sequence `number` is made of: component, shard, row, and which of the document's tokens."""
        out = []
        for piece in self.pieces(number):
            component = self.components[piece.component]
            shard, row = component.place(piece.row)
            span = [piece.start, piece.stop]
            out.append({"component": component.name, "shard": component.paths[shard], "row": row, "tokens": span})
        return out

    def record(self) -> dict[str, Any]:
        """Return what the stream depends on; see `TrainingStream`."""
        table = {name: round(float(share), 9) for name, share in zip(self.names, self.shares, strict=True)}
        return {**self.identity, "context": self.context, "seed": self.seed, "shares": table}


def numbers_of_step(step: int, batch: int, micro_batch: int, rank: int, ranks: int) -> list[list[int]]:
    """Return the numbers of a device's sequences in a step, a list for each micro-batch.

    All devices together read the `batch` sequences from step·batch on, however many devices there are.
    """
    rounds = batch // (micro_batch * ranks)
    first = step * batch
    return [
        [first + (round_ * ranks + rank) * micro_batch + index for index in range(micro_batch)]
        for round_ in range(rounds)
    ]
