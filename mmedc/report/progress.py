"""The progress of a build, on a terminal (a bar for each pass) or in a log (plain lines, every 10 s and at the end)."""

import re
import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from mmedc.corpus.outcome import counted
from mmedc.engine.run import AnyPass
from mmedc.engine.run import Progress as UnitProgress
from mmedc.engine.unit import Accounted

LINE_S = 10.0  # between lines of a log
NAME, BAR = 13, 10  # columns
NOUNS = {"covers": "PDF file", "pages": "page"}
"""What the passes read that do not read documents. They remove nothing; they leave out what is no PDF."""


def shown_name(name: str) -> str:
    """Return the name of a pass for people: the rounds of a pass that is repeated have one name."""
    return re.sub(r"-\d+$", "", name)


class Bars:
    """Shows passes on a console; see `mmedc.engine.run.Watcher`."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self._bars: Progress | None = None
        if console.is_terminal and not quiet:
            name = TextColumn(f"{{task.description:<{NAME}}}", markup=False)
            text = TextColumn("{task.fields[text]}", markup=False)
            self._bars = Progress(name, BarColumn(BAR), text, console=console)
            self._bars.start()
        self._tasks: dict[str, TaskID] = {}
        self._sizes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        """The seconds that each pass took in this run."""

    def begin(self, current: AnyPass, done: int) -> None:
        """Show a new pass."""
        self.read = self.kept = self.exact_read = self.exact_kept = 0
        self.units, self.before, self.total = done, done, len(current.units)
        self.begun = self.reported = time.monotonic()
        self._sizes = {unit.id: max(unit.bytes, 1) for unit in current.units}
        self.size, self.finished = sum(self._sizes.values()), 0
        self.name = shown_name(current.name)
        if self._bars is not None:
            if self.name not in self._tasks:
                self._tasks[self.name] = self._bars.add_task(self.name, total=self.size, text="")
            completed = self.size if done == self.total else 0
            self._bars.reset(self._tasks[self.name], total=self.size, completed=completed)
            self._show()

    def update(self, progress: UnitProgress) -> None:
        """Show the progress."""
        self.read += progress.read
        self.kept += progress.kept
        if progress.done:
            self.units += 1
            self.finished += self._sizes.get(progress.done.unit, 0)
            left = progress.done.left
            if isinstance(left, Accounted) and left.funnel:
                counts = list(left.funnel.values())
                self.exact_read += counts[0].read - (sum(counts[0].dropped.values()) if self.name in NOUNS else 0)
                self.exact_kept += counts[-1].kept
        if not self.quiet:
            self._tell(progress)
        if self._bars is not None:
            if progress.done:
                self._bars.advance(self._tasks[self.name], self._sizes.get(progress.done.unit, 0))
            self._show()
        elif not self.quiet and time.monotonic() - self.reported > LINE_S:
            self.reported = time.monotonic()
            self._line()

    def end(self, current: AnyPass, seconds: float) -> None:
        """Show that a pass has ended, with its totals: those of its commits, because live figures may lag behind."""
        self.seconds[current.name] = round(seconds, 3)
        if self.exact_read or self.name in NOUNS:
            self.read, self.kept = self.exact_read, self.exact_kept
        needless = self.name in NOUNS and self.units > self.before and not self.read
        if self._bars is not None:
            self._bars.update(self._tasks[self.name], visible=not needless)
            self._show(ended=True)
        elif not self.quiet and self.units > self.before and not needless:
            self._line(f"in {seconds:,.1f} s")

    def close(self) -> None:
        """Restore the terminal."""
        if self._bars is not None:
            self._bars.stop()

    def _tell(self, progress: UnitProgress) -> None:
        """Show a unit that failed, or that is tried again."""
        for word, style, attempt in (("failed", "red", progress.failed), ("again", "yellow", progress.retried)):
            if attempt:
                unit, why = attempt
                self.console.print(f"[{style}]{word}[/] {escape(unit.label)}: {escape(why)}", highlight=False)

    def _show(self, ended: bool = False) -> None:
        assert self._bars is not None
        room = self.console.width - NAME - BAR - 2
        self._bars.update(self._tasks[self.name], text=fitting([self._time(ended), *self._counts()], room))

    def _line(self, tail: str = "") -> None:
        self.console.print(f"{self.name}: {', '.join(filter(None, [*self._counts(), tail]))}", highlight=False)

    def _counts(self) -> list[str]:
        """Return the parts of what is counted, the most important first."""
        units = f"{self.units:,} of {self.total:,} unit{'s' * (self.total != 1)}"
        if not self.read:
            return [units]
        seconds = max(time.monotonic() - self.begun, 0.001)
        noun = NOUNS.get(self.name)
        kept = [] if noun else [f"{self.kept / self.read:.1%} kept"]
        return [units, counted(self.read, noun or "document"), *kept, f"{self.read / seconds:,.0f}/s"]

    def _time(self, ended: bool) -> str:
        """Return the time that has passed and, while the pass runs, the time that it will still take."""
        passed = time.monotonic() - self.begun
        if ended or not self.finished:
            return clock(passed)
        left = passed * (self.size - self.finished) / self.finished
        return f"{clock(passed)}, {clock(left)} left"


def fitting(parts: list[str], room: int) -> str:
    """Return as many of the parts, from the first on, as fit into `room` characters, joined by commas."""
    while len(parts) > 1 and len(", ".join(parts)) > room:
        parts = parts[:-1]
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Return a time such as 7 s, 2:05 min or 3:07 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600:,}:{whole % 3600 // 60:02} h"
