"""Sequences that a model is evaluated on during training, distributed over devices."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmedc.train.loader import Batch, make_batch
from mmedc.train.stream import IGNORE, Sequence


@dataclass(frozen=True)
class Evaluation:
    """A model to evaluate, and the part of the windows that this device evaluates."""

    model: torch.nn.Module
    autocast: Callable[[], AbstractContextManager[Any]]
    device: torch.device
    micro_batch: int
    rank: int
    ranks: int
    asked: Callable[[], bool] = lambda: False
    """Whether any process was asked to stop; all processes ask at the same time."""


class Interrupted(Exception):
    """The training was asked to stop during an evaluation, whose values are dropped."""


class Windows:
    """Sequences of the same shape as in training; every evaluation uses the same ones."""

    def __init__(self, windows: list[Sequence]) -> None:
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    def sequence(self, number: int) -> Sequence:
        """Return window `number`, or a window without targets for a number beyond the last."""
        if number < len(self._windows):
            return self._windows[number]
        blank = self._windows[0]
        return blank._replace(targets=np.full_like(blank.targets, IGNORE))

    def losses(self, evaluation: Evaluation) -> Iterator[tuple[list[int], Batch, torch.Tensor]]:
        """Yield (numbers of windows, their batch, (T,) losses of its tokens) for the part of this device.

        All devices have the same number of batches, because a model that is sharded over them needs them all at once.

        Raises: Interrupted.
        """
        size = evaluation.micro_batch
        for first in range(0, len(self), size * evaluation.ranks):
            if evaluation.asked():
                raise Interrupted
            numbers = [first + evaluation.rank * size + index for index in range(size)]
            batch = make_batch(self, numbers).to(evaluation.device)
            with torch.no_grad(), evaluation.autocast():
                _, losses = evaluation.model(batch)
            yield numbers, batch, losses
