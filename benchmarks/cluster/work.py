"""Work of mmedc's engine for the measurements: in a module of its own, which the workers of Ray can import."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmedc.engine.unit import DataFile, Unit, UnitFiles

HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Copied:
    """What `Copy` leaves."""

    documents: DataFile


@dataclass(frozen=True)
class Copy:
    """The documents of a JSON Lines file as a table, after so many seconds."""

    seconds: float

    def run(self, unit: Unit[str], out: UnitFiles) -> Copied:
        """Read the file of the unit and write its documents."""
        time.sleep(self.seconds)
        rows = [json.loads(line) for line in Path(unit.spec).read_text().splitlines()]
        return Copied(out.write("documents", pa.Table.from_pylist(rows)))


@dataclass(frozen=True)
class Slept:
    """What `Sleep` leaves."""

    seconds: float


@dataclass(frozen=True)
class Sleep:
    """Work that takes as many seconds as its unit says."""

    name: str

    def run(self, unit: Unit[float], out: UnitFiles) -> Slept:
        """Sleep."""
        time.sleep(unit.spec)
        return Slept(unit.spec)


class Silent:
    """A watcher that may do something when half of the units are done."""

    def __init__(self, half: int = 0, act: Any = None) -> None:
        self.half, self.act, self.done = half, act, 0

    def begin(self, current: Any, done: int) -> None:
        """See `mmedc.engine.run.Watcher`."""

    def update(self, progress: Any) -> None:
        """See `mmedc.engine.run.Watcher`."""
        self.done += bool(progress.done)
        if self.act and self.done >= self.half:
            act, self.act = self.act, None
            act()

    def end(self, current: Any, seconds: float) -> None:
        """See `mmedc.engine.run.Watcher`."""


def importable() -> None:
    """Let processes that are started from here import this module."""
    os.environ["PYTHONPATH"] = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])
