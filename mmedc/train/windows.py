"""Sequences that a model under training is judged by and does not learn from, shared out over devices."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmedc.train.loader import Batch, make_batch
from mmedc.train.stream import IGNORE, Sequence


@dataclass(frozen=True)
class Judged:
    """A model, and which share of the windows is this device's."""

    model: torch.nn.Module
    autocast: Callable[[], AbstractContextManager[Any]]
    device: torch.device
    micro_batch: int
    rank: int
    ranks: int


class Windows:
    """Sequences of the same shape as in training, the same ones in every evaluation."""

    def __init__(self, windows: list[Sequence]) -> None:
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    def sequence(self, number: int) -> Sequence:
        """Return window `number`; beyond the last one, a window without targets."""
        if number < len(self._windows):
            return self._windows[number]
        blank = self._windows[0]
        return blank._replace(targets=np.full_like(blank.targets, IGNORE))

    def losses(self, judged: Judged) -> Iterator[tuple[list[int], Batch, torch.Tensor]]:
        """Yield (numbers of windows, their batch, (T,) losses of its tokens) of this device's share.

        Every device has as many batches, as a model that is sharded over them needs.
        """
        size = judged.micro_batch
        for first in range(0, len(self), size * judged.ranks):
            numbers = [first + judged.rank * size + index for index in range(size)]
            batch = make_batch(self, numbers).to(judged.device)
            with torch.no_grad(), judged.autocast():
                _, each = judged.model(batch)
            yield numbers, batch, each
