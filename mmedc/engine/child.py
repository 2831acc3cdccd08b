"""The parser process reads the source of a unit and runs its chain; it may die at any record.

Started by `supervisor` as `python -m mmedc.engine.child PIPE SLOT PARENT`; it never outlives its parent.
Messages to the parent: ("batch", Produced), ("broken", first, last), ("failed", text), ("done",).
"""

import contextlib
import mmap
import pickle
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from mmedc import modules
from mmedc.engine import slot
from mmedc.engine.chain import BrokenBatch, Chain, Fault
from mmedc.engine.unit import Streamed, Unit
from mmedc.lifeline import end_with


def stream(
    work: Streamed[Any, Any], chain: Chain, unit: Unit[Any], start: int, faults: dict[int, Fault], alone_until: int
) -> Any:
    """Yield a `Produced` for each batch of `unit` from record `start` on.

    Records before `alone_until` pass through the chain one at a time, to find the one that breaks it.
    """
    skip = frozenset(ordinal for ordinal, fault in faults.items() if fault.step == 0)
    slot.enter(0, start, 1)
    slot.narrow(alone_until)
    begun = time.perf_counter()
    for batch in work.source.read(unit.spec, start, skip):
        seconds = time.perf_counter() - begun
        step = 1 if batch.column("ordinal")[0].as_py() < alone_until else batch.num_rows
        for at in range(0, batch.num_rows, step):
            yield chain.run(batch.slice(at, step), faults, seconds * step / batch.num_rows)
        last = batch.column("ordinal")[-1].as_py()
        slot.enter(0, last + 1, 1)
        begun = time.perf_counter()


def main() -> None:
    """Serve the parent until it closes the pipe."""
    end_with(parent=int(sys.argv[3]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    pipe = Connection(int(sys.argv[1]))
    slot.attach(mmap.mmap(int(sys.argv[2]), slot.SIZE))
    opened: tuple[Any, Chain] | None = None
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            folders, asked = pipe.recv()
            try:
                modules.search_in(folders)  # before what may come from a module in them is unpickled
                work, unit, start, faults, alone_until = pickle.loads(asked)
                if opened is None or opened[0] != work:
                    opened = (work, Chain(work.steps))
                for produced in stream(work, opened[1], unit, start, faults, alone_until):
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
