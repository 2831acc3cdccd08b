"""The parser process reads the source of a unit and runs its chain; it may die at any record.

It is forked by a nursery, which `mmedc.engine.nursery` starts as `python -m mmedc.engine.child SOCKET OPENS PRELOAD`.
A nursery ends when its parent does, and a parser process when its nursery does. What the nursery is asked: ("open",
folders, work), ("fork", folders, work) with the three files of the new process, and ("wait", process). Messages of a
parser process to the supervisor: ("batch", Produced), ("broken", first, last), ("failed", text), ("done",).
"""

import contextlib
import gc
import importlib
import mmap
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import pyarrow as pa

from mmedc import modules
from mmedc.engine import slot
from mmedc.engine.chain import BrokenBatch, Chain, Fault, Source
from mmedc.engine.unit import Unit
from mmedc.lifeline import end_with


def stream(
    source: Source, chain: Chain, unit: Unit[Any], start: int, faults: dict[int, Fault], alone_until: int
) -> Any:
    """Yield a `Produced` for each batch of `unit` from record `start` on.

    Records before `alone_until` pass through the chain one at a time, to find the one that breaks it.
    """
    skip = frozenset(ordinal for ordinal, fault in faults.items() if fault.step == 0)
    slot.enter(0, start, 1)
    slot.narrow(alone_until)
    begun = time.perf_counter()
    for batch in source.read(unit.spec, start, skip):
        seconds = time.perf_counter() - begun
        step = 1 if batch.column("ordinal")[0].as_py() < alone_until else batch.num_rows
        for at in range(0, batch.num_rows, step):
            yield chain.run(batch.slice(at, step), faults, seconds * step / batch.num_rows)
        last = batch.column("ordinal")[-1].as_py()
        slot.enter(0, last + 1, 1)
        begun = time.perf_counter()


def main() -> None:
    """Be a nursery: fork a parser process whenever one is asked for, until the parent closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    front, opens, preload = socket.socket(fileno=int(sys.argv[1])), sys.argv[2] == "1", sys.argv[3]
    asks = Connection(os.dup(front.fileno()))
    if preload:
        importlib.import_module(preload)
    opened = _Opened()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            what, *rest = asks.recv()
            if what == "wait":
                asks.send(_exit_code(*rest))
                continue
            folders, packed = rest
            modules.search_in(folders)  # before what may come from a module in them is unpickled
            if opens:
                opened.open(packed)
            if what == "open":
                continue
            _, files, _, _ = socket.recv_fds(front, 1, 3)
            if opened.threads():
                asks.send(None)
                continue
            nursery, pid = os.getpid(), os.fork()
            if not pid:
                front.close()
                asks.close()
                _parse(nursery, files, packed, opened)
            for file in files:
                os.close(file)
            asks.send(pid)


class _Opened:
    """The steps that this process opened last."""

    def __init__(self) -> None:
        import numpy as np
        import pyarrow.compute  # noqa: F401 (which brings two threads that survive a fork: of NumPy and jemalloc)

        pa.array(np.zeros(1))  # imports pandas where it is installed, half a second that each child would spend

        self.packed, self.chain = b"", Chain(())
        self.source: Any = None
        self._threads = _count_threads()

    def open(self, packed: bytes) -> None:
        """Open packed work; if that fails, the parser process will fail at it in its turn, and say why."""
        if packed == self.packed:
            return
        gc.disable()  # it would go through a million new objects again and again: a third of the time
        with contextlib.suppress(Exception):
            self.source, steps = pickle.loads(packed)
            self.chain, self.packed = Chain(steps), packed
        gc.freeze()  # what is never collected is not copied either
        gc.enable()

    def threads(self) -> bool:
        """Return whether threads were started that would be missing in a fork."""
        return _count_threads() > self._threads


def _count_threads() -> int:
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else threading.active_count()


def _exit_code(pid: int) -> int:
    """Return the exit code of a child that has ended or is about to."""
    for _ in range(2000):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _parse(nursery: int, files: list[int], packed: bytes, opened: _Opened) -> NoReturn:
    """Be a parser process: serve the pipe `files[0]` until it is closed, with the slot and the log in the others."""
    code = 1
    try:
        end_with(nursery)
        os.dup2(files[2], 1)
        os.dup2(files[2], 2)
        slot.attach(mmap.mmap(files[1], slot.SIZE))
        _serve(Connection(files[0]), packed, opened)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve(pipe: Connection, packed: bytes, opened: _Opened) -> None:
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            unit_packed = pipe.recv_bytes()
            try:
                if opened.packed != packed:
                    source, steps = pickle.loads(packed)
                    opened.source, opened.chain, opened.packed = source, Chain(steps), packed
                unit, start, faults, alone_until = pickle.loads(unit_packed)
                for produced in stream(opened.source, opened.chain, unit, start, faults, alone_until):
                    pipe.send(("batch", produced))
                pipe.send(("done",))
            except BrokenBatch as broken:
                pipe.send(("broken", broken.first, broken.last))
            except (BrokenPipeError, KeyboardInterrupt):
                raise
            except Exception:
                pipe.send(("failed", traceback.format_exc()))


if __name__ == "__main__":
    main()
