"""The nursery of a process: it opens the steps of a pass once, and forks its parser processes, however many there are.

To import what steps need and to open them takes two seconds; a fork takes milliseconds, and the lexicons and models are
in memory once. A parser process that died is replaced as quickly. The nursery itself runs no step. Threads do not
survive a fork, so where opening the steps starts some, each parser process opens them for itself.
"""

import atexit
import functools
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from mmedc import modules

OPENS_S = 120.0
"""Seconds in which steps must be opened."""


class NoNursery(Exception):
    """The nursery is lost, or can't fork."""


class Nursery:
    """A process that forks parser processes for this one (`mmedc.engine.child`)."""

    def __init__(self, opens: bool, preload: str = "") -> None:
        """Start it. `opens`: whether it opens steps before it forks. `preload`: a module that it imports at once."""
        self.folders: tuple[str, ...] | None = None
        """The folders of the user's modules that it knows."""
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        self._asks = Connection(os.dup(self._socket.fileno()))
        command = [sys.executable, "-m", "mmedc.engine.child", str(theirs.fileno()), str(int(opens)), preload]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=quiet, stdout=quiet, stderr=quiet)
        theirs.close()

    def fork(self, packed: bytes, files: list[int]) -> int | None:
        """Return the id of a parser process for a pickled (source, steps) with `files`; None where it must not fork.

        Raises: NoNursery.
        """
        with self._lock:
            self.folders = modules.folders()
            found: int | None = self._ask(("fork", self.folders, packed), files)
            return found

    def expect(self, packed: bytes) -> None:
        """Have the steps of a pickled (source, steps) opened, without waiting for it. Raises: NoNursery."""
        with self._lock:
            self.folders = modules.folders()
            try:
                self._asks.send(("open", self.folders, packed))
            except OSError as problem:
                raise NoNursery(str(problem)) from None

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def code_of(self, pid: int) -> int:
        """Return the exit code of a parser process that has ended or is about to, and forget the process."""
        with self._lock:
            try:
                code: int = self._ask(("wait", pid), [])
            except NoNursery:
                return -signal.SIGKILL  # its children are killed with it
            return code

    def close(self) -> None:
        """End the nursery and the parser processes that it forked."""
        self._process.kill()
        self._process.wait()
        self._asks.close()
        self._socket.close()

    def _ask(self, what: tuple[Any, ...], files: list[int]) -> Any:
        try:
            self._asks.send(what)
            if files:
                socket.send_fds(self._socket, [b"f"], files)
            if not self._asks.poll(OPENS_S):
                raise NoNursery(f"no answer within {OPENS_S:.0f} s")
            return self._asks.recv()
        except (OSError, EOFError) as problem:
            raise NoNursery(f"{type(problem).__name__}: {problem}") from None


class _Nurseries:
    """The nursery of this process, which is replaced when it is lost, or knows modules of other folders."""

    def __init__(self) -> None:
        self._lock, self._opens = threading.Lock(), True
        self.expected = b""
        """The packed work whose steps are to be opened after the next fork."""
        self._nursery: Nursery | None = None
        atexit.register(self.close)

    def get(self, preload: str = "") -> Nursery:
        with self._lock:
            now = self._nursery
            if now is not None and (now.ended or now.folders not in (None, modules.folders())):
                now.close()
                now = None
            self._nursery = now or Nursery(self._opens, preload)
            return self._nursery

    def replace(self, lost: Nursery) -> None:
        """Replace a nursery that could not fork by one that opens no steps."""
        with self._lock:
            self._opens = False
            if self._nursery is lost:
                lost.close()
                self._nursery = None

    def close(self) -> None:
        """End the nursery, if there is one."""
        with self._lock:
            if self._nursery is not None:
                self._nursery.close()
                self._nursery = None


@functools.cache
def _nurseries() -> _Nurseries:
    return _Nurseries()


def begin(preload: str) -> None:
    """Start the nursery of this process, unless it is there; it imports the module `preload` meanwhile."""
    _nurseries().get(preload)


def end() -> None:
    """End the nursery of this process, if it is there, with all parser processes."""
    _nurseries().close()


def expect(source: Any, steps: Any) -> None:
    """Have steps opened that parser processes will soon run, while those of another pass are busy."""
    _nurseries().expected = packed(source, steps)


def packed(source: Any, steps: Any) -> bytes:
    """Return source and steps as `forked` takes them."""
    return pickle.dumps((source, steps))


def forked(work: bytes, files: list[int]) -> tuple[Nursery, int]:
    """Return a new parser process for packed work as (its nursery, its id); it has the open `files`.

    Raises: NoNursery when no process can be started.
    """
    for _ in range(2):
        nursery = _nurseries().get()
        try:
            if (pid := nursery.fork(work, files)) is not None:
                expected, _nurseries().expected = _nurseries().expected, b""
                if expected not in (b"", work):
                    nursery.expect(expected)
                return nursery, pid
        except NoNursery as problem:
            why = problem
        else:
            why = NoNursery("it has threads")
        _nurseries().replace(nursery)
    raise why
