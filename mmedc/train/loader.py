"""Prepares batches in a thread, ahead of the steps that need them."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmedc.errors import WorkError
from mmedc.train.stream import IGNORE, Sequences, TrainingStream, numbers_of_step

AHEAD = 4
"""Steps that are prepared in advance."""


@dataclass
class Batch:
    """A micro-batch of B sequences, laid end to end as B·S tokens."""

    tokens: torch.Tensor
    """(B·S,) int64."""
    targets: torch.Tensor
    """(B·S,) int64, IGNORE where there is nothing to learn."""
    positions: torch.Tensor
    """(B·S,) int64, from 0 in each piece of a document."""
    bounds: torch.Tensor
    """(pieces + 1,) int32, where pieces begin, padded with the end to a multiple of 64 (few shapes to compile)."""
    longest: int
    """The most tokens that a piece may have: S."""
    components: torch.Tensor
    """(B·S,) int16, the component that each token comes from."""
    lengths: np.ndarray[Any, np.dtype[np.int64]]
    """(pieces,) the lengths of the pieces, from which the work is computed."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("tokens", "targets", "positions", "bounds", "components")
        }
        return Batch(**moved, longest=self.longest, lengths=self.lengths)


def make_batch(stream: Sequences, numbers: list[int], pin: bool = False) -> Batch:
    """Return the sequences `numbers` of a stream as a batch."""
    sequences = [stream.sequence(number) for number in numbers]
    size = len(sequences[0].tokens)
    lengths = np.concatenate([sequence.lengths for sequence in sequences])
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    positions = np.arange(total) - np.repeat(ends - lengths, lengths)
    # The number of pieces is rounded up, so that compiled code sees few shapes.
    slots = -(-len(lengths) // 64) * 64
    bounds = np.full(slots + 1, total, np.int32)
    bounds[0], bounds[1 : len(ends) + 1] = 0, ends
    arrays = {
        "tokens": np.concatenate([sequence.tokens for sequence in sequences]),
        "targets": np.concatenate([sequence.targets for sequence in sequences]),
        "positions": positions,
        "bounds": bounds,
        "components": np.repeat(np.array([sequence.component for sequence in sequences], np.int16), size),
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if pin:
        tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
    return Batch(**tensors, longest=size, lengths=lengths)


def targets_in(batches: list[Batch]) -> int:
    """Return how many targets the batches have."""
    return sum(int((batch.targets != IGNORE).sum()) for batch in batches)


class Loader:
    """Yields the micro-batches of each step, prepared a few steps ahead. Use it as a context manager."""

    def __init__(
        self,
        stream: TrainingStream,
        first: int,
        last: int,
        batch: int,
        micro_batch: int,
        rank: int,
        ranks: int,
        pin: bool,
    ) -> None:
        self._made: queue.Queue[Any] = queue.Queue(AHEAD)
        self._over = threading.Event()

        def make(step: int) -> list[Batch]:
            numbers = numbers_of_step(step, batch, micro_batch, rank, ranks)
            return [make_batch(stream, micro, pin) for micro in numbers]

        self._thread = threading.Thread(target=self._run, args=(range(first, last), make), daemon=True)

    def __enter__(self) -> "Loader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self, steps: range, make: Callable[[int], list[Batch]]) -> None:
        try:
            for step in steps:
                self._put(make(step))
        except BaseException as problem:
            self._put(problem)

    def _put(self, item: Any) -> None:
        while not self._over.is_set():
            try:
                return self._made.put(item, timeout=0.2)
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[list[Batch]]:
        return self

    def __next__(self) -> list[Batch]:
        """Return the micro-batches of the next step. Raises: what reading raised."""
        made = self._next()
        if isinstance(made, BaseException):
            raise made
        return made  # type: ignore[no-any-return]

    def _next(self) -> Any:
        while True:
            try:
                return self._made.get(timeout=5)
            except queue.Empty:
                if not self._thread.is_alive() and self._made.empty():
                    raise WorkError("the thread that prepares batches has ended; run the same command again") from None
