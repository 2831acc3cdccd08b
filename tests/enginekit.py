"""Sources and steps for tests of the engine: numbers as documents, and steps that go wrong on demand."""

import importlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from mmedc.document import RAW, set_column
from mmedc.engine import slot
from mmedc.engine.chain import Funnel, Transform
from mmedc.engine.commit import read_table
from mmedc.engine.unit import Accounted, DataFile, Unit, UnitFiles


@dataclass(frozen=True)
class Counted:
    documents: DataFile


@dataclass(frozen=True, kw_only=True)
class Numbered(Accounted):
    documents: DataFile


@dataclass(frozen=True)
class Numbers:
    """Yields `unit.spec` documents, in batches of `rows`."""

    rows: int = 7
    breaks_at: int = -1
    even_skipped: bool = False
    version: ClassVar[int] = 1

    def read(self, count: int, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        cuts = sorted({*range(start, count, self.rows), *(one for one in skip if start <= one < count), count})
        for first, end in itertools.pairwise(cuts):
            ordinals = list(range(first, end))
            for ordinal in ordinals:
                slot.mark(ordinal)
                if ordinal == self.breaks_at and (self.even_skipped or ordinal not in skip):
                    os.kill(os.getpid(), signal.SIGSEGV)
            columns = {name: [None] * len(ordinals) for name in RAW.names}
            columns |= {
                "ordinal": ordinals,
                "locator": [f"n{i}" for i in ordinals],
                "provenance": ["here"] * len(ordinals),
            }
            columns["text"] = [f"text {i}" for i in ordinals]
            yield pa.RecordBatch.from_pydict(columns, schema=RAW)


@dataclass(frozen=True)
class DropMultiples:
    of: int
    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        return f"multiples_{self.of}"

    def open(self) -> Transform:
        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            why = [f"multiple_of_{self.of}" if o % self.of == 0 else None for o in batch.column("ordinal").to_pylist()]
            return set_column(batch, "dropped_by", pa.array(why, pa.string()))

        return transform


@dataclass(frozen=True)
class Trouble:
    """Goes wrong in a way of its own at certain records; `marks` says whether it names the record first."""

    at: tuple[int, ...]
    how: str
    marks: bool = True
    scars: str = ""
    """A folder that remembers what went wrong, so that each record goes wrong `times` times only."""
    times: int = 1
    name: ClassVar[str] = "trouble"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            for ordinal in batch.column("ordinal").to_pylist():
                if self.marks:
                    slot.mark(ordinal)
                if ordinal in self.at and not self.healed(ordinal):
                    self.go_wrong()
            return batch

        return transform

    def healed(self, ordinal: int) -> bool:
        if not self.scars:
            return False
        past = len(list(Path(self.scars).glob(f"{ordinal}-*")))
        (Path(self.scars) / f"{ordinal}-{past}").touch()
        return past >= self.times

    def go_wrong(self) -> None:
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "worker killed":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        elif self.how == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self.how == "exit":
            os._exit(3)
        elif self.how == "raise":
            raise ValueError("bad document")
        elif self.how == "spin":
            while True:
                pass
        elif self.how == "sleep":
            time.sleep(600)
        elif self.how == "memory":
            hold = []
            while True:
                hold.append(bytearray(64 << 20))
                time.sleep(0.01)


@dataclass(frozen=True)
class Slow:
    """Takes its time over every batch, so that something can happen meanwhile."""

    seconds: float
    name: ClassVar[str] = "slow"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            time.sleep(self.seconds)
            return batch

        return transform


@dataclass(frozen=True)
class Straggler:
    """Work whose first attempt goes on only when another has committed the unit."""

    folder: str

    def run(self, unit: Unit[int], out: UnitFiles) -> Counted:
        try:
            (Path(self.folder) / "first").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            while not out.store.exists(f"{out.folder}/units/{unit.id}.json"):
                time.sleep(0.05)
            (Path(self.folder) / "late").touch()
        return Counted(out.write("documents", pa.table({"n": list(range(unit.spec))})))


@dataclass(frozen=True)
class Waits:
    """Work whose unit of 3 rows is done only when a unit of another pass is committed."""

    folder: str
    """Of the other pass."""

    def run(self, unit: Unit[int], out: UnitFiles) -> Counted:
        for _ in range(600):
            if unit.spec != 3 or out.store.names(f"{self.folder}/units"):
                return Counted(out.write("documents", pa.table({"n": list(range(unit.spec))})))
            time.sleep(0.1)
        raise TimeoutError("no unit of the other pass was done meanwhile")


@dataclass(frozen=True)
class Doubles:
    """Work that doubles what a unit of the pass before left."""

    def run(self, unit: Unit[DataFile], out: UnitFiles) -> Counted:
        rows = read_table(out.store, unit.spec)["n"].to_pylist()
        return Counted(out.write("documents", pa.table({"n": [2 * row for row in rows]})))


@dataclass(frozen=True)
class Lacks:
    """A step that imports a package that is not there, as some do at the first document."""

    name: ClassVar[str] = "lacks"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            importlib.import_module("no_such_package")
            return batch

        return transform


@dataclass(frozen=True)
class LosesRows:
    name: ClassVar[str] = "loses"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        return lambda batch: batch.slice(1)


def finish(
    unit: Unit[int], batches: list[pa.RecordBatch], out: UnitFiles, funnel: Funnel, removed: DataFile
) -> Numbered:
    """Keep the ordinals and texts."""
    schema = pa.schema([("ordinal", pa.int64()), ("text", pa.large_string())])
    parts = [pa.Table.from_batches([batch.select(schema.names)]).cast(schema) for batch in batches]
    documents = out.write("documents", pa.concat_tables([schema.empty_table(), *parts]))
    return Numbered(documents=documents, funnel=funnel, removed=removed)


@dataclass(frozen=True)
class Opens:
    """Notes which process opens it, in the folder `notes`; `how` says what else happens then."""

    notes: str
    how: str = ""
    name: ClassVar[str] = "opens"

    def open(self) -> Transform:
        first = not os.listdir(self.notes)
        Path(self.notes, f"{os.getpid()}").touch()
        if self.how == "dies" and first:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "thread":
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        if self.how == "raises":
            raise OSError("no model")
        return lambda batch: batch
