"""What is logged of a run: speed, share of the device's peak, loss by language, bits per byte of held-out text."""

import json
import math
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist

from mmedc.errors import RecipeError
from mmedc.train.loader import Batch
from mmedc.train.mixture import Component
from mmedc.train.stream import IGNORE, Sequence
from mmedc.train.windows import Evaluation, Windows

METRICS = "metrics.jsonl"


class Logger(Protocol):
    """Receives the values of steps."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log the values of a step."""

    def close(self) -> None:
        """Write what is buffered, and close the files."""


@dataclass
class LinesLogger:
    """Appends one JSON line for each logged step, after cutting off the steps that a resumed run repeats."""

    path: Path
    first: int

    def __post_init__(self) -> None:
        kept = [line for line in read_lines(self.path) if line["step"] < self.first]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._file = self.path.open("a")

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log the values of a step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Write what is buffered, and close the files."""
        self._file.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of a run, one mapping for each logged step, without a last line that was cut off."""
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


class TensorBoard:
    """Writes the event files of TensorBoard."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log the values of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is buffered, and close the files."""
        self._writer.close()


class Tracker:
    """Sends values to Trackio or Weights & Biases, whose `init`, `log` and `finish` are alike.

    Raises: RecipeError where the package is missing.
    """

    def __init__(self, package: str, project: str, settings: dict[str, Any]) -> None:
        try:
            self._run: Any = import_module(package)
        except ImportError:
            raise RecipeError(f"watch.trackers: {package} needs `pip install 'mmedc[trackers]'`") from None
        self._run.init(project=project, config=settings)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log the values of a step."""
        self._run.log(values, step=step)

    def close(self) -> None:
        """Send what is buffered, and end the run there."""
        self._run.finish()


def plugin(name: str, folder: Path) -> Logger:
    """Return the logger `package.module:Class`, constructed with the folder of the run. Raises: RecipeError."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)(folder)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as problem:
        raise RecipeError(f"watch.plugins: {name}: {problem}") from None


def measured_peak(device: torch.device, seconds: float = 1.0) -> float | None:
    """Measure the rate of bfloat16 matrix products of a CUDA device, in TFLOP/s. Returns None on the CPU."""
    if device.type != "cuda":
        return None
    size = 8192
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize(device)
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for _ in range(10):
            a @ b
        torch.cuda.synchronize(device)
        times += 10
    return 2 * size**3 * times / (time.perf_counter() - begun) / 1e12


@dataclass
class Tally:
    """Sums of the losses and of the targets of each component since the last report, kept on the device."""

    components: int
    device: torch.device
    sums: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.sums = torch.zeros(2, self.components, dtype=torch.float64, device=self.device)

    def add(self, batch: Batch, losses: torch.Tensor) -> None:
        """Add the losses (T,) of a batch."""
        learnt = (batch.targets != IGNORE).double()
        components = batch.components.long()
        self.sums[0].index_add_(0, components, losses.double())
        self.sums[1].index_add_(0, components, learnt)

    def take(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the (2, components) sums over all devices, and reset them."""
        if dist.is_initialized():
            dist.all_reduce(self.sums)
        out: np.ndarray[Any, np.dtype[np.float64]] = self.sums.cpu().numpy().copy()
        self.sums.zero_()
        return out


def mean_by(names: list[str], sums: Any, part: int) -> dict[str, float]:
    """Return the mean loss by a part of the names of components (1: language, 3: kind), where there are targets."""
    out: dict[str, list[float]] = {}
    for name, loss, count in zip(names, *sums, strict=True):
        total = out.setdefault(name.split("/")[part], [0.0, 0.0])
        total[0] += loss
        total[1] += count
    return {key: loss / count for key, (loss, count) in sorted(out.items()) if count}


class HeldOut(Windows):
    """The held-out documents, at most `documents` of each component, several to a window.

    None attends to another, as in training, so that packing changes what an evaluation costs and not what it finds.
    """

    def __init__(self, components: list[Component], documents: int, context: int) -> None:
        self.names = [component.name for component in components]
        windows: list[Sequence] = []
        self.text_bytes = np.zeros(len(components))
        for number, component in enumerate(components):
            rows = np.flatnonzero(component.held_out)
            rows = np.sort(rows[np.argsort(component.ids[rows], kind="stable")[:documents]])
            self.text_bytes[number] = component.text_bytes[rows].sum()
            whole = (component.read(row, 0, int(component.lengths[row])).astype(np.int64) for row in rows.tolist())
            pieces = [tokens[at : at + context + 1] for tokens in whole for at in range(0, len(tokens) - 1, context)]
            windows += [_window(packed, context, number) for packed in _packed(pieces, context)]
        super().__init__(windows)

    def evaluate(self, evaluation: Evaluation) -> dict[str, float]:
        """Return bits per byte by language and over all, and the loss per token (`held_out/…`).

        The first token of a document is not predicted, but all bytes of the document count.
        """
        if not len(self):
            return {}
        tally = Tally(len(self.names), evaluation.device)
        for _, batch, losses in self.losses(evaluation):
            tally.add(batch, losses)
        sums = tally.take()
        bits = {}
        for lang in sorted({name.split("/")[1] for name in self.names}):
            chosen = np.array([name.split("/")[1] == lang for name in self.names])
            if (size := self.text_bytes[chosen].sum()) > 0:
                bits[f"bits_per_byte/{lang}"] = float(sums[0][chosen].sum() / math.log(2) / size)
        bits["bits_per_byte/all"] = float(sums[0].sum() / math.log(2) / self.text_bytes.sum())
        return {**bits, "held_out/loss": float(sums[0].sum() / max(sums[1].sum(), 1))}


Piece = np.ndarray[Any, np.dtype[np.int64]]


def _packed(pieces: list[Piece], context: int) -> list[list[Piece]]:
    """Return pieces in groups that fit a window: the longest first, each where it leaves the least room."""
    groups: list[list[Piece]] = []
    room: list[int] = []
    for piece in sorted(pieces, key=len, reverse=True):
        size = len(piece) - 1
        fits = [(left, number) for number, left in enumerate(room[-OPEN:], max(0, len(room) - OPEN)) if left >= size]
        if fits:
            _, number = min(fits)
            groups[number].append(piece)
            room[number] -= size
        else:
            groups.append([piece])
            room.append(context - size)
    return groups


OPEN = 32
"""The last windows that a further piece may be packed into."""


def _window(pieces: list[Piece], context: int, component: int) -> Sequence:
    """Return pieces as a sequence of `context` tokens, padded with a piece that has no targets."""
    inputs, targets, first = np.zeros(context, np.int64), np.full(context, IGNORE, np.int64), 0
    for piece in pieces:
        last = first + len(piece) - 1
        inputs[first:last], targets[first:last] = piece[:-1], piece[1:]
        first = last
    lengths = np.array([*(len(piece) - 1 for piece in pieces), context - first], np.int64)
    return Sequence(inputs, targets, lengths[lengths > 0], component)
