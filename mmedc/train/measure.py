"""What a person watches: speed, share of the device's peak, loss by language, and bits per byte of held-out text."""

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
from mmedc.train.cells import Cell
from mmedc.train.loader import Batch
from mmedc.train.stream import IGNORE, Sequence
from mmedc.train.windows import Judged, Windows

METRICS = "metrics.jsonl"


class Logger(Protocol):
    """Takes the values of a step."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take `values` of `step`."""

    def close(self) -> None:
        """Write what is held."""


@dataclass
class LinesLogger:
    """Appends one JSON line a step; what a resumed run does again is cut off first."""

    path: Path
    first: int

    def __post_init__(self) -> None:
        kept = [line for line in read_lines(self.path) if line["step"] < self.first]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._file = self.path.open("a")

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take `values` of `step`."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Write what is held."""
        self._file.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of a run, a dict a logged step; a torn last line is left out."""
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


class TensorBoard:
    """Writes TensorBoard's event files."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take `values` of `step`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is held."""
        self._writer.close()


def plugin(name: str, folder: Path) -> Logger:
    """Return the logger `package.module:Class`, made with the run's folder. Raises: RecipeError."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)(folder)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as problem:
        raise RecipeError(f"watch.plugins: {name}: {problem}") from None


def measured_peak(device: torch.device, seconds: float = 1.0) -> float | None:
    """Return the bfloat16 matrix rate of a CUDA device in TFLOP/s, measured, or None on the CPU."""
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
    """Loss and targets of each cell since the last report, on the device."""

    cells: int
    device: torch.device
    sums: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.sums = torch.zeros(2, self.cells, dtype=torch.float64, device=self.device)

    def add(self, batch: Batch, each: torch.Tensor) -> None:
        """Add the losses (T,) of a batch."""
        learnt = (batch.targets != IGNORE).double()
        cells = batch.cells.long()
        self.sums[0].index_add_(0, cells, each.double())
        self.sums[1].index_add_(0, cells, learnt)

    def take(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return (2, cells) sums over all devices, and begin anew."""
        if dist.is_initialized():
            dist.all_reduce(self.sums)
        out: np.ndarray[Any, np.dtype[np.float64]] = self.sums.cpu().numpy().copy()
        self.sums.zero_()
        return out


def mean_by(names: list[str], sums: Any, part: int) -> dict[str, float]:
    """Return the mean loss by a part of the cells' names (1: language, 3: kind), where there is any."""
    out: dict[str, list[float]] = {}
    for name, loss, count in zip(names, *sums, strict=True):
        total = out.setdefault(name.split("/")[part], [0.0, 0.0])
        total[0] += loss
        total[1] += count
    return {key: loss / count for key, (loss, count) in sorted(out.items()) if count}


class HeldOut(Windows):
    """The held-out documents."""

    def __init__(self, cells: list[Cell], documents: int, context: int) -> None:
        self.names = [cell.name for cell in cells]
        windows: list[Sequence] = []
        self.text_bytes = np.zeros(len(cells))
        for number, cell in enumerate(cells):
            rows = np.flatnonzero(cell.held_out)
            ids = np.concatenate([shard.ids for shard in cell.shards])[rows]
            rows = np.sort(rows[np.argsort(ids, kind="stable")[:documents]])
            sizes = np.concatenate([shard.text_bytes for shard in cell.shards])
            self.text_bytes[number] = sizes[rows].sum()
            for row in rows.tolist():
                tokens = cell.read(row, 0, int(cell.lengths[row])).astype(np.int64)
                for at in range(0, len(tokens) - 1, context):
                    windows.append(_window(tokens[at : at + context + 1], context, number))
        super().__init__(windows)

    def evaluate(self, judged: Judged) -> dict[str, float]:
        """Return bits per byte by language and over all, and the loss per token (`held_out/…`).

        The first token of a document is not predicted; bytes are counted whole.
        """
        if not len(self):
            return {}
        tally = Tally(len(self.names), judged.device)
        for _, batch, each in self.losses(judged):
            tally.add(batch, each)
        sums = tally.take()
        bits = {}
        for lang in sorted({name.split("/")[1] for name in self.names}):
            mine = np.array([name.split("/")[1] == lang for name in self.names])
            if (size_ := self.text_bytes[mine].sum()) > 0:
                bits[f"bits_per_byte/{lang}"] = float(sums[0][mine].sum() / math.log(2) / size_)
        bits["bits_per_byte/all"] = float(sums[0].sum() / math.log(2) / self.text_bytes.sum())
        return {**bits, "held_out/loss": float(sums[0].sum() / max(sums[1].sum(), 1))}


def _window(tokens: Any, context: int, cell: int) -> Sequence:
    """Return tokens as a sequence of `context`, filled up with a piece that has no targets."""
    inputs, targets = np.zeros(context, np.int64), np.full(context, IGNORE, np.int64)
    have = len(tokens) - 1
    inputs[:have], targets[:have] = tokens[:-1], tokens[1:]
    lengths = np.array([have, context - have], np.int64)
    return Sequence(inputs, targets, lengths[lengths > 0], cell)
