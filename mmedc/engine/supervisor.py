"""The supervisor of a parser process kills it at its limits, finds the record at fault, and resumes with the next.

The child streams the result of each batch, and what has arrived is kept. A crash therefore costs the
batch in which it happened and, once the batch is narrowed down to one record, that record. A child that
is killed from outside, or whose memory earlier records had filled, is no evidence against the current
record: the record is retried a few times (`PATIENCE`) before it is blamed.
"""

import atexit
import contextlib
import fcntl
import hashlib
import mmap
import os
import pickle
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pipe
from typing import Any

import psutil

from mmedc.engine import nursery, slot
from mmedc.engine.chain import Chain, Fault, Produced, Step, given_up
from mmedc.engine.child import stream
from mmedc.engine.unit import Report, Streamed, Unit
from mmedc.errors import WorkError

POLL_S = 0.05
STALLED = 10  # a record may take this many times its CPU limit in wall time
STARTUP_S = 120.0  # for loading models and parsers before the first record
READ_AT_ONCE = 4  # records' CPU limits that a source may take for records that it reads together
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)  # no parser causes these signals itself
PATIENCE = {"killed": 5, "memory": 2}
"""Deaths at one record after which the record is blamed, for reasons that it need not have caused."""
FEW_CHAINS = 3  # are kept open by `produce_here`; each may hold models and automata of some 100 MB
_CHAINS: dict[bytes, tuple[tuple[Step, ...], Chain]] = {}
"""Steps and their chain by the pickled steps, as a digest of steps leaves out what units tell."""


class ChildDied(Exception):
    """The parser process ended, or was ended, in the middle of its work."""

    def __init__(self, step: int, first: int, count: int, reason: str, detail: str) -> None:
        super().__init__(f"step {step}, record {first}: {reason}; {detail}")
        self.step, self.first, self.count, self.fault = step, first, count, Fault(step, reason, detail)


class Supervisor:
    """Owns one parser process and starts another when it dies."""

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._work: Streamed[Any, Any] | None = None
        self._packed = b""
        atexit.register(self.close)

    def produce(self, work: Streamed[Any, Any], unit: Unit[Any], report: Report) -> Iterator[Produced]:
        """Yield the result of each batch of `unit`, in order, whatever happens to the child.

        Raises: WorkError when the unit can't be read at all.
        """
        start, alone_until = 0, 0
        faults: dict[int, Fault] = {}
        deaths: Counter[tuple[int, int]] = Counter()
        while True:
            whole = False  # a child that is left in the middle of a unit still holds results, so it is ended
            try:
                for produced in self._child_for(work).ask(work, unit, start, faults, alone_until):
                    start = produced.next_ordinal
                    read = next(iter(produced.funnel.values())).read
                    report(read, produced.kept.num_rows if produced.kept is not None else 0)
                    yield produced
                whole = True
                return
            except ChildDied as died:
                deaths[died.step, died.first] += 1
                if deaths[died.step, died.first] < PATIENCE.get(died.fault.reason.split()[0], 1):
                    continue
                if died.step < 0:
                    raise WorkError(f"{unit.label}: the parser process can't start: {died}") from None
                if died.count > 1:
                    alone_until = max(alone_until, died.first + died.count)
                elif faults.get(died.first, Fault(-1, "", "")).step != died.step:
                    faults[died.first] = died.fault
                elif died.step == 0:
                    # The record can't even be skipped, so one rejected record stands for the rest of the source.
                    yield given_up(start, unit.label, f"{died.fault.reason} at record {died.first}")
                    return
                else:
                    raise WorkError(
                        f"{unit.label}: record {died.first} ends the process ({died.fault.reason}) even when it is "
                        f"skipped; {died.fault.detail}"
                    ) from None
            except _RunSingly as failed:
                alone_until, whole = max(alone_until, failed.last + 1), True
            finally:
                if not whole:
                    self.close()

    def _child_for(self, work: Streamed[Any, Any]) -> "_Child":
        """Return a child for source and steps of a work: the one that is there, if these are its own."""
        if work is not self._work:
            packed = nursery.packed(work.source, work.steps)
            if packed != self._packed:
                self.close()
            self._work, self._packed = work, packed
        self._child = self._child or _Child(self._packed)
        return self._child

    def close(self) -> None:
        """Kill the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child = None


def produce_here(work: Streamed[Any, Any], unit: Unit[Any], report: Report) -> Iterator[Produced]:
    """Do the same as `Supervisor.produce` in this process, without any limits; for tests and debuggers."""
    from mmedc.engine.chain import BrokenBatch

    chain, start, alone_until = _opened(work.steps), 0, 0
    while True:
        try:
            for produced in stream(work.source, chain, unit, start, {}, alone_until):
                start = produced.next_ordinal
                report(next(iter(produced.funnel.values())).read, 0)
                yield produced
            return
        except BrokenBatch as broken:
            alone_until = broken.last + 1


def _opened(steps: tuple[Step, ...]) -> Chain:
    """Return the chain of `steps`: one of the few opened last in this process, or else a new one."""
    same = (key for key, (known, _) in _CHAINS.items() if known is steps)
    key = next(same, None) or hashlib.sha256(nursery.packed(None, steps)).digest()
    known = _CHAINS.pop(key, None)
    chain = known[1] if known else Chain(steps)
    _CHAINS[key] = steps, chain
    while len(_CHAINS) > FEW_CHAINS:
        del _CHAINS[next(iter(_CHAINS))]
    return chain


class _RunSingly(Exception):
    """A step raised on a batch that ends with record `last`; its records are to be run one at a time."""

    def __init__(self, last: int) -> None:
        super().__init__(last)
        self.last = last


class _Child:
    """A running parser process."""

    _ended = False

    def __init__(self, packed: bytes) -> None:
        self._pipe, child_pipe = Pipe()
        # The file is in memory, so that a parser starts even when the disk is full.
        self._errors = open(os.memfd_create("mmedc-errors"), "rb", buffering=0)  # noqa: SIM115 (until `kill`)
        fcntl.fcntl(self._errors, fcntl.F_SETFL, os.O_APPEND)
        shared = os.memfd_create("mmedc-slot")
        os.truncate(shared, slot.SIZE)
        self._slot = mmap.mmap(shared, slot.SIZE)
        slot.write(self._slot, -1, 0, 1)
        files = [child_pipe.fileno(), shared, self._errors.fileno()]
        try:
            self._nursery, self.pid = nursery.forked(packed, files)
        except nursery.NoNursery as problem:
            raise ChildDied(-1, 0, 1, "crash", str(problem)) from None
        finally:
            child_pipe.close()
            os.close(shared)
        with contextlib.suppress(psutil.Error):
            self._usage = psutil.Process(self.pid)

    def ask(
        self, work: Streamed[Any, Any], unit: Unit[Any], start: int, faults: dict[int, Fault], alone_until: int
    ) -> Iterator[Produced]:
        """Yield the results of the child. Raises: ChildDied, _RunSingly, or WorkError for a failed read."""
        slot.write(self._slot, -1, start, 1)  # -1: the child is starting
        slot_reset = slot.read(self._slot)
        os.truncate(self._errors.fileno(), 0)
        try:
            self._pipe.send_bytes(pickle.dumps((unit, start, faults, alone_until)))
            guard = _Guard(self, work, slot_reset)
            while True:
                while not self._pipe.poll(POLL_S):
                    guard.check()
                message: tuple[Any, ...] = self._pipe.recv()
                if message[0] == "batch":
                    yield message[1]
                elif message[0] == "broken":
                    raise _RunSingly(message[2])
                elif message[0] == "failed":
                    raise WorkError(f"{unit.label}: {message[1].strip().splitlines()[-1]}\n{message[1]}")
                else:
                    return
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise self.died() from None

    def died(self, reason: str = "", detail: str = "") -> ChildDied:
        """Return what killed the child and at which record; a child that still runs is killed."""
        step, first, count = slot.read(self._slot)
        if not reason:
            self._ended, code = True, self._nursery.code_of(self.pid)
            reason = f"exit {code}"
            if code < 0:
                reason = f"{'killed' if -code in FROM_OUTSIDE else 'crash'} {signal.Signals(-code).name}"
        size = os.fstat(self._errors.fileno()).st_size
        last_words = os.pread(self._errors.fileno(), 300, max(size - 300, 0)).decode("utf-8", "replace").strip()
        self.kill()
        return ChildDied(step, first, count, reason, detail or last_words)

    def usage(self) -> tuple[float, int]:
        """Return (CPU seconds so far, resident bytes)."""
        with contextlib.suppress(psutil.Error), self._usage.oneshot():
            times = self._usage.cpu_times()
            return times.user + times.system, self._usage.memory_info().rss
        return 0.0, 0

    def place(self) -> tuple[int, int, int]:
        """Return the step, first record and count that the child last reported."""
        return slot.read(self._slot)

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        if not self._ended:  # until then its id is its own
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            self._nursery.code_of(self.pid)
        self._pipe.close()
        self._errors.close()


class _Guard:
    """Enforces the limits of a work on a child; checked only while no message arrives, so it costs nothing."""

    def __init__(self, child: _Child, work: Streamed[Any, Any], place: tuple[int, int, int]) -> None:
        self.child, self.limits, self.place = child, work.limits, place
        self.cpu, self.resident = child.usage()
        self.began, self.since = self.cpu, time.monotonic()

    def check(self) -> None:
        """Check the usage of the child. Raises: ChildDied, after killing it, when it exceeds a limit."""
        place, limits = self.child.place(), self.limits
        cpu, resident = self.child.usage()
        now = time.monotonic()
        if place != self.place:
            self.place, self.cpu, self.resident, self.since = place, cpu, resident, now
        elif place[0] < 0:
            if now - self.since > STARTUP_S:
                raise self.child.died("timeout", f"did not start within {STARTUP_S:.0f} s")
        else:
            # A step that processes a whole batch at once may take the time of all its records; a source that reads
            # many at once, of which each takes milliseconds, that of a few.
            count = min(place[2], READ_AT_ONCE) if place[0] == 0 else place[2]
            limit = limits.document_seconds * max(count, 1)
            if cpu - self.cpu > limit or now - self.since > STALLED * limit:
                raise self.child.died("timeout", f"over {limits.document_seconds:g} CPU seconds")
            if place[2] == 1 and resident - self.resident > limits.document_memory:
                raise self.child.died("memory", f"over {limits.document_memory >> 20} MiB for one record")
        if resident > limits.memory:
            raise self.child.died("memory", f"over {limits.memory >> 20} MiB resident")
        if cpu - self.began > limits.unit_seconds:
            raise WorkError(f"over {limits.unit_seconds:g} CPU seconds for one unit (limits.unit_seconds)")


_of_thread = threading.local()


def supervisor() -> Supervisor:
    """Return the supervisor of this thread, which keeps the same child from unit to unit."""
    if not hasattr(_of_thread, "supervisor"):
        _of_thread.supervisor = Supervisor()
    found: Supervisor = _of_thread.supervisor
    return found
