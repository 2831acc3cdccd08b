"""The runner of this machine: a pass over little runs in this process and its parser processes, any other on Ray.

To start Ray takes ten CPU seconds, and every worker a few more. Below `LITTLE` that is longer than the pass itself, so
Ray is only started for the first pass over more, if there is one. Once it is up, only what takes less than handing it
out stays here. What a pass leaves is the same.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mmedc.engine import nursery
from mmedc.engine.run import AnyPass, AnyUnit, Following, Inline, Progress
from mmedc.engine.unit import Commit, Streamed
from mmedc.storage import Store

if TYPE_CHECKING:
    from mmedc.engine.runner import OnRay

LOCAL = "local"
"""The address that means a Ray of one's own on this machine."""
LITTLE = 128 << 20
"""Bytes of the units of a pass up to which Ray is not started for it: half a minute of parsing at most."""
LEAST = 1 << 20
"""Bytes up to which a pass runs here although Ray is up."""


class OnThisMachine:
    """Runs units on this machine, on `cpus` CPUs; by default on all.

    Use it as a context manager; on exit it ends what it started. `tell` is given one sentence where Ray is not started.
    """

    def __init__(self, cpus: int | None = None, tell: Callable[[str], None] = lambda _: None) -> None:
        self.cpus, self._tell = cpus, tell
        self._here = Inline(isolate=True, processes=cpus or os.cpu_count() or 1)
        self._ray: OnRay | None = None
        self._told = False
        self._following: tuple[Following, Iterable[Commit[Any]]] | None = None

    def __enter__(self) -> "OnThisMachine":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._ray is not None:
            self._ray.__exit__(kind)
        nursery.end()

    def expect(self, current: AnyPass) -> None:
        """Have the steps of a pass opened that will soon be run here."""
        if self._is_little(current, current.units):
            self._here.expect(current)

    def run(self, current: AnyPass, units: list[AnyUnit], store: Store) -> Iterator[Progress]:
        """Yield the progress of each unit; see `mmedc.engine.run.Runner`."""
        following, self._following = self._following, None
        if self._is_little(current, units):
            if not self._told and isinstance(current.work, Streamed):
                self._told = True
                self._tell(
                    f"little to read: {self._here.processes} processes here, without Ray (--address local starts it)"
                )
            yield from self._here.run(current, units, store)
            return
        if self._ray is None:
            from mmedc.engine.runner import OnRay

            nursery.end()
            self._ray = OnRay(self.cpus)
        if following:
            self._ray.overlap(*following)
        yield from self._ray.run(current, units, store)

    def overlap(self, following: Following, done: Iterable[Commit[Any]]) -> None:
        """Have units of a following pass run beside those of the next, if that is run on Ray."""
        self._following = following, done

    def _is_little(self, current: AnyPass, units: "list[AnyUnit] | tuple[AnyUnit, ...]") -> bool:
        """Return whether a pass runs here: not what needs GPUs, nor what mostly waits and so runs many at a time."""
        limit = LITTLE if self._ray is None else LEAST
        return not current.gpus and current.cpus >= 1 and sum(unit.bytes for unit in units) <= limit
