"""The report of a training: a live table in the terminal, and curves."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table as RichTable

from mmedc.train.measure import METRICS, read_lines

SHOWN = (
    "loss",
    "tokens_per_second",
    "mfu",
    "memory_gib",
    "gradient_norm",
    "lr",
    "bits_per_byte/all",
    "accuracy/mean",
    "stalled_ms",
)


class Table:
    """Shows the last values of a training, and the time that remains. Use it as a context manager."""

    def __init__(self, console: Console, steps: int, quiet: bool) -> None:
        self.console, self.steps, self.quiet = console, steps, quiet
        self._values: dict[str, float] = {}
        self._first: tuple[float, int] | None = None
        self._live: Any = None

    def __enter__(self) -> "Table":
        if self.console.is_terminal and not self.quiet:
            self._live = Live(console=self.console, refresh_per_second=2).__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def report(self, step: int, values: dict[str, float]) -> None:
        """Receive the values of a step, and show them."""
        if self.quiet:
            return
        if "skipped" in values:
            self.console.print(f"step {step}: skipped, loss {values['loss']:.3g}; documents in spikes.jsonl")
            return
        self._values |= values
        self._first = self._first or (time.monotonic(), step)
        if self._live is not None:
            self._live.update(self._table(step))
        elif "loss" in values:
            shown = " ".join(f"{name} {values[name]:.4g}" for name in SHOWN if name in values)
            self.console.print(f"step {step + 1}/{self.steps} {shown}", highlight=False)

    def _table(self, step: int) -> RichTable:
        begun, first = self._first or (0.0, step)
        done = step - first
        left = (time.monotonic() - begun) / done * (self.steps - step - 1) if done else math.nan
        table = RichTable(title=f"step {step + 1:,} of {self.steps:,}, {_span(left)} left", title_justify="left")
        table.add_column("measure")
        table.add_column("value", justify="right")
        languages = sorted(name for name in self._values if name.startswith(("loss/", "bits_per_byte/", "accuracy/")))
        for name in dict.fromkeys((*SHOWN, *languages)):
            if name in self._values:
                table.add_row(name, f"{self._values[name]:,.4g}")
        return table


def _span(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def plot(run: Path) -> Path | None:
    """Draw the curves of a run to `curves.svg`: loss by language, held-out bits per byte, questions, norm, speed.

    Returns the file, or None where matplotlib is not installed or nothing was logged.
    """
    lines = read_lines(run / METRICS)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    if not lines:
        return None
    panels: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("loss by language", lambda name: name == "loss" or (name.startswith("loss/") and "kind" not in name)),
        ("held out, bits per byte", lambda name: name.startswith("bits_per_byte/")),
        ("questions answered rightly", lambda name: name.startswith("accuracy/")),
        ("gradient norm", lambda name: name == "gradient_norm"),
        ("tokens per second", lambda name: name == "tokens_per_second"),
    )
    shown = [
        (title, names)
        for title, wanted in panels
        if (names := sorted({name for line in lines for name in line if wanted(name)}))
    ]
    rows = -(-len(shown) // 2)
    figure: Any = Figure(figsize=(11, 3.5 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).flat
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, (title, names) in zip(axes, shown, strict=False):
        for name in names:
            points = [(line["step"], line[name]) for line in lines if name in line]
            axis.plot(*zip(*points, strict=True), label=name.split("/")[-1], linewidth=2 if "/" not in name else 1)
        axis.set_title(title, loc="left")
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        if len(axis.lines) > 1:
            axis.legend(fontsize=7)
    figure.savefig(run / "curves.svg", metadata={"Date": None})
    return run / "curves.svg"
