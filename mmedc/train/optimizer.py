"""AdamW, its learning-rate schedule, and a guard against loss spikes."""

import math
import statistics
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from mmedc.errors import RecipeError
from mmedc.train.config import Optimizer

WINDOW, ENOUGH = 128, 32
"""Steps that the guard looks back on, and the fewest that it judges by."""


def adamw(parameters: Iterable[torch.nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer. Vectors (norms, biases) do not decay.

    Raises: RecipeError where the states need torchao and it is not installed.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    options: dict[str, Any] = {"lr": settings.lr, "betas": settings.betas}
    groups = [group for group in groups if group["params"]]
    if settings.states == "float32":
        return torch.optim.AdamW(groups, fused=True, **options)
    try:
        from torchao import optim
    except ImportError:
        raise RecipeError(f"optimizer.states {settings.states} needs `pip install 'mmedc[low-memory]'`") from None
    made = optim.AdamW8bit if settings.states == "8bit" else optim._AdamW
    return made(groups, bf16_stochastic_round=True, **options)  # type: ignore[no-any-return]


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate. torchao keeps it in a tensor, which its compiled update reads."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def lr_at(step: int, steps: int, settings: Optimizer) -> float:
    """Return the learning rate of `step`, counted from 0. Warm-up is linear and ends at the full rate."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    low = settings.min_lr_ratio
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule == "cosine":
        done = (step - warmup) / max(1, steps - warmup)
        return settings.lr * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))
    begin = steps - max(1, round(settings.decay * steps))
    done = max(0.0, (step - begin) / max(1, steps - begin))
    return settings.lr * (1 - (1 - low) * done)


@dataclass
class SpikeGuard:
    """Decides which steps to skip: those whose loss or gradient norm is far above that of the last 128 steps.

    A value is far if it is `k` median absolute deviations above the median, or not finite.
    """

    k: float
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    norms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def spike(self, loss: float, norm: float) -> bool:
        """Return whether the update of a step with these values is to be skipped."""
        far = any(self._far(value, seen) for value, seen in ((loss, self.losses), (norm, self.norms)))
        if not far:
            self.losses.append(loss)
            self.norms.append(norm)
        return far

    def _far(self, value: float, seen: deque[float]) -> bool:
        if not math.isfinite(value):
            return True
        if len(seen) < ENOUGH:
            return False
        middle = statistics.median(seen)
        deviation = statistics.median(abs(value_ - middle) for value_ in seen)
        # Where all values are nearly equal, a hundredth of the median replaces the deviation.
        return value > middle + self.k * max(deviation, 0.01 * abs(middle))

    def state(self) -> dict[str, list[float]]:
        """Return what a resumed run needs."""
        return {"losses": list(self.losses), "norms": list(self.norms)}

    def load(self, state: dict[str, list[float]]) -> None:
        """Restore what `state` returned."""
        self.losses.extend(state["losses"])
        self.norms.extend(state["norms"])
