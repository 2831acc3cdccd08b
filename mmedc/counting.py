"""Shows on a terminal how far a count has come: answers of a scoring, folds of an evaluation."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Counting:
    """Shows how many of `what` are done, and the time that remains. Use it as a context manager."""

    def __init__(self, console: Console, quiet: bool = False, what: str = "answers") -> None:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=quiet)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> "Counting":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done; the first call shows the bar, so what fails before it leaves none."""
        self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
