"""One run at a time in an output folder, on a local disk, a shared disk or an object store.

A lock is a file that is created and never replaced by another run, with one atomic act: a hard link on a disk, a
conditional put on an object store. It says who holds it. A run on the same machine whose process has ended is
recognised at once. The holder counts up in the file every `BEAT_S` seconds, so a run on another machine is known to
be dead when the count stands still for `SILENT_S` seconds; no clocks are compared. Who finds a dead holder creates a
second file, named after the first, and holds the lock; of several who try, one succeeds.

A holder that is not dead but was silent for so long (a machine that was suspended, a disk that hung) finds the second
file, and stops before it publishes. What it has committed is sound in any case, because commits are made once.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
import warnings
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import psutil

from mmedc.errors import FolderBusy, StorageError, WorkError
from mmedc.storage import Store

NAME = ".work/lock"
BEAT_S = 10.0
SILENT_S = 60.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    token: str
    host: str
    machine: str
    """What tells machines and containers apart: the boot, and the namespace of process numbers."""
    pid: int
    started: float
    """When the process started, in seconds since 1970; a number is given to another process some time."""
    since: str
    beat: int = 0

    @classmethod
    def here(cls) -> "Holder":
        """Return this process as a holder."""
        pid = os.getpid()
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return cls(secrets.token_hex(8), socket.gethostname(), machine(), pid, psutil.Process(pid).create_time(), now)

    def __str__(self) -> str:
        return f"host {self.host}, process {self.pid}, since {self.since}"


class Lock:
    """Holds the lock of an output folder while the context is open.

    Raises: FolderBusy when another run holds it.
    """

    def __init__(self, store: Store, beat_s: float = BEAT_S, silent_s: float = SILENT_S) -> None:
        self.store, self.beat_s, self.silent_s = store, beat_s, silent_s
        self._me = Holder.here()
        self._place, self._ended, self._lost = NAME, threading.Event(), ""

    def __enter__(self) -> "Lock":
        while not self._try():
            pass
        self._thread = threading.Thread(target=self._beat, name="mmedc-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(WorkError):
            if self._is_mine():
                self.store.delete(NAME)  # first, because whoever comes next begins here
                self.store.delete(self._place)

    def check(self) -> None:
        """Check that this run still holds the lock. Raises: WorkError if it does not."""
        if not self._lost and not self._is_mine():
            self._lost = self._why_lost()
        if self._lost:
            raise WorkError(f"{self.store.url}: {self._lost}; nothing was published, and what is committed is kept")

    def _try(self) -> bool:
        """Go from the first file to the last, and create the next if its holder is dead; return whether we hold it."""
        place, way = NAME, [NAME]
        while not self.store.put_new(place, json.dumps(asdict(self._me)).encode()):
            found = holder(self.store, place)
            if found is None:
                return False  # it has just been released
            if found.token == self._me.token:
                break  # the answer to our own attempt was lost
            following = _after(found)
            if not self.store.exists(following) and self._is_alive(found, place):
                raise FolderBusy(
                    f"{self.store.url}: another run is under way there ({found}); wait until it has ended, stop it, or "
                    "choose another folder with --out"
                )
            place = following
            way.append(place)
        self._place = place
        # A run that took over and ended in the meantime has deleted the first file, and nobody would find ours.
        if place != NAME and not self._is_reached(way):
            self.store.delete(place)
            return False
        return True

    def _is_reached(self, way: list[str]) -> bool:
        for place, following in pairwise(way):
            found = holder(self.store, place)
            if found is None or _after(found) != following:
                return False
        return True

    def _is_alive(self, found: Holder, place: str) -> bool:
        if found.machine == self._me.machine:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(found.pid)
                return bool(abs(process.create_time() - found.started) < 2 and process.status() != psutil.STATUS_ZOMBIE)
            return False
        warnings.warn(
            f"{self.store.url} is locked by another machine ({found}); waiting up to {self.silent_s:.0f} s to see "
            "whether that run is alive",
            stacklevel=2,
        )
        until = time.monotonic() + self.silent_s
        while time.monotonic() < until:
            time.sleep(min(1.0, self.beat_s / 2))
            now = holder(self.store, place)
            if now is None or now.token != found.token:
                return False
            if now.beat != found.beat:
                return True
        return False

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(self.beat_s):
            with contextlib.suppress(StorageError):  # a store that does not answer fails the run elsewhere
                if not self._is_mine():
                    self._lost = self._why_lost()
                    return
                beat += 1
                self._me = replace(self._me, beat=beat)
                self.store.put(self._place, json.dumps(asdict(self._me)).encode())

    def _is_mine(self) -> bool:
        found = holder(self.store, self._place)
        return found is not None and found.token == self._me.token and not self.store.exists(_after(self._me))

    def _why_lost(self) -> str:
        if self.store.exists(_after(self._me)):
            return "another run took this one for dead and holds the lock now"
        return "the folder, or its lock, was deleted during the run"


def holder(store: Store, place: str = NAME) -> Holder | None:
    """Return who holds the lock, as the file `place` says; None without a file. Raises: WorkError if it is no lock."""
    try:
        return Holder(**json.loads(store.get(place)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise WorkError(f"{store.url}/{place}: is no lock of mmedc; delete the file if no run is under way") from None


def _after(found: Holder) -> str:
    return f"{NAME}.after-{found.token}"


def machine() -> str:
    """Return what tells this machine, and this container on it, from others."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id") as file:
            parts.append(file.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
