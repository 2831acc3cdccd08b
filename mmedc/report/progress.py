"""The progress of a build, on a terminal (bars with rate and time left) or in a log (a line every 10 s)."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmedc.engine.run import AnyPass
from mmedc.engine.run import Progress as UnitProgress

LINE_S = 10.0  # between lines of a log


class Bars:
    """Shows passes on a console; see `mmedc.engine.run.Watcher`."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self._bars: Progress | None = None
        if console.is_terminal and not quiet:
            columns = (
                TextColumn("{task.description:<9}"),
                BarColumn(),
                TextColumn("{task.fields[units]}"),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._bars = Progress(*columns, console=console)
            self._bars.start()
        self._sizes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        """The seconds that each pass took in this run."""

    def begin(self, current: AnyPass, done: int) -> None:
        """Show a new pass."""
        self.read = self.kept = 0
        self.units, self.before, self.total = done, done, len(current.units)
        self.begun = self.reported = time.monotonic()
        self._sizes = {unit.id: max(unit.bytes, 1) for unit in current.units}
        self.name = current.name
        if self._bars is not None:
            total = sum(self._sizes.values())
            self._task = self._bars.add_task(current.name, total=total, units="", rate="")
            if done == self.total:
                self._bars.update(self._task, completed=total)
            self._show()

    def update(self, progress: UnitProgress) -> None:
        """Show the progress."""
        self.read += progress.read
        self.kept += progress.kept
        if progress.done:
            self.units += 1
        if progress.failed and not self.quiet:
            unit, why = progress.failed
            self.console.print(f"[red]failed[/] {escape(unit.label)}: {escape(why)}", highlight=False)
        if progress.retried and not self.quiet:
            unit, why = progress.retried
            self.console.print(f"[yellow]again[/] {escape(unit.label)}: {escape(why)}", highlight=False)
        if self._bars is not None:
            if progress.done:
                self._bars.advance(self._task, self._sizes[progress.done.unit])
            self._show()
        elif not self.quiet and time.monotonic() - self.reported > LINE_S:
            self.reported = time.monotonic()
            self._line("")

    def end(self, current: AnyPass, seconds: float) -> None:
        """Show that a pass has ended."""
        self.seconds[current.name] = round(seconds, 3)
        if self._bars is not None:
            self._show()
        elif not self.quiet and self.units > self.before:
            self._line(f" in {seconds:.1f} s")

    def close(self) -> None:
        """Restore the terminal."""
        if self._bars is not None:
            self._bars.stop()

    def _show(self) -> None:
        assert self._bars is not None
        self._bars.update(self._task, units=f"{self.units}/{self.total} units", rate=self._rate())

    def _line(self, tail: str) -> None:
        self.console.print(f"{self.name}: {self.units}/{self.total} units {self._rate()}{tail}", highlight=False)

    def _rate(self) -> str:
        if not self.read:
            return ""
        seconds = max(time.monotonic() - self.begun, 0.001)
        return f"{self.read:,} documents, {self.read / seconds:,.0f}/s, {self.kept / self.read:.1%} kept"
