"""A signal that asks a training to stop is kept until the step is done, so that the step is saved."""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what schedulers of clusters send before they take a machine away."""
STOP = "stop"
"""The file in the folder of a run that asks workers on other machines to stop."""


class Asked(Protocol):
    """Says whether a training was asked to stop."""

    @property
    def asked(self) -> bool:
        """Whether it was."""

    def keep(self) -> None:
        """Keep what asks from now on until `asked` is read, because there are steps to be saved."""


class Stopping:
    """Whether this process was asked to stop by a signal.

    Until `keep` is called nothing can be lost, and a signal interrupts at once. Afterwards the first one is kept in
    `asked`, and a second one interrupts.
    """

    def __init__(self, keeps: bool = False) -> None:
        self.asked = False
        self._keeps = keeps
        self._before: dict[int, Any] = {}

    def keep(self) -> None:
        """Keep the next signal in `asked`."""
        self._keeps = True

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only there can signals be received
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again or not self._keeps:
            raise KeyboardInterrupt


class StopFile:
    """Whether workers on other machines were asked to stop: by a file, because they do not receive signals."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STOP

    @property
    def asked(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def keep(self) -> None:
        """Do nothing, because the file stays by itself."""

    def ask(self) -> None:
        """Ask every worker to stop after the step that it is at."""
        self._path.touch()

    def clear(self) -> None:
        """Take back what an earlier run was asked."""
        self._path.unlink(missing_ok=True)
