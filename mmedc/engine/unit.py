"""The values that the engine handles: passes, their units, the result of each unit, and the files in that result.

A pass is generic in the input of its units (`Spec`) and in the result of each (`Left`). `Left` is a dataclass
of files and counts; it is committed as JSON and read back as the same type, so a later pass takes it as a value.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

import pyarrow as pa
from pydantic import TypeAdapter

from mmedc.engine.chain import Funnel, Source, Step
from mmedc.engine.identity import NO_EFFECT, Json, digest_of
from mmedc.storage import Store

Spec = TypeVar("Spec")
Left = TypeVar("Left")
Left_co = TypeVar("Left_co", covariant=True)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file that a unit wrote; `path` is relative to the folder of passes."""

    path: str
    sha256: str
    rows: int
    bytes: int

    def identity(self) -> Json:
        """Return the hash of the file's content."""
        return self.sha256


@dataclass(frozen=True, kw_only=True)
class Accounted:
    """The result of a unit that removes rows: the counts of every step, and the ledger of the removed rows."""

    funnel: Funnel
    removed: DataFile


@dataclass(frozen=True)
class Unit(Generic[Spec]):
    """A part of the input of a pass that is processed as a whole or not at all."""

    id: str
    """A digest of the content: equal inputs have equal ids, in every run."""
    label: str
    """A name for people to read, such as the name of the file."""
    spec: Spec
    """What the pass needs in order to read the unit; picklable."""
    bytes: int

    @classmethod
    def of(cls, spec: Spec, label: str, size: int) -> "Unit[Spec]":
        """Return the unit for `spec`, named by the digest of its identity."""
        return cls(digest_of(spec), label, spec, size)


@dataclass(frozen=True)
class Stream:
    """A table that is produced in parts, so that a file may be larger than memory."""

    schema: pa.Schema
    parts: Iterator[pa.Table]
    group_by: str | None = None
    """A column; a row group ends where its value changes."""
    whole: bool = False
    """If true, every part, even an empty one, becomes a row group of its own for `read_groups`; for band keys, which
    do not compress."""


Report = Callable[[int, int], None]
"""Receives the records that were read, and those that were kept, since it was called last."""


def unreported(read: int, kept: int) -> None:
    """Take a report and do nothing."""


@dataclass(frozen=True)
class UnitFiles:
    """The store from which a unit reads the files of earlier passes, and the folder in which it writes its own.

    A file is named by the hash of its bytes and has no effect until the unit is committed.
    """

    store: Store
    folder: str
    """The folder of the pass."""
    unit: str
    report: Report = field(default=unreported, compare=False, repr=False)
    """What is told the records that were read and kept since it was told last, so that progress can be shown."""

    def write(self, role: str, table: "pa.Table | Stream") -> DataFile:
        """Write a table as Parquet; `role` names the folder that files of its kind share."""
        from mmedc.engine.commit import write_table

        return write_table(self.store, f"{self.folder}/{role}", table, self.unit)


class Work(Protocol[Spec, Left_co]):
    """What a pass does with a unit: a picklable dataclass that is deterministic and has no side effects.

    Its fields are its identity (`mmedc.engine.identity`); `version` is raised when a change of code changes the result.
    """

    def run(self, unit: Unit[Spec], out: UnitFiles) -> Left_co:
        """Compute the unit from the files of earlier passes in `out.store`, and write its own files to `out`."""


@dataclass(frozen=True)
class Bounds:
    """The resources that the parser process of a unit may use; see `limits` in a recipe."""

    document_seconds: float = 20.0
    """CPU seconds for one record in one step."""
    unit_seconds: float = 6 * 3600.0
    """CPU seconds for one attempt at a unit."""
    document_memory: int = 1 << 30
    """Bytes by which the process may grow for one record."""
    memory: int = 3 << 30
    """Resident bytes of the process."""


class FinishUnit(Protocol[Spec, Left_co]):
    """Turns the kept batches of a unit, in order, into the result of the unit."""

    def __call__(
        self, unit: Unit[Spec], batches: list[pa.RecordBatch], out: UnitFiles, funnel: Funnel, removed: DataFile
    ) -> Left_co:
        """Write the tables to `out` and return the result."""


@dataclass(frozen=True)
class Streamed(Generic[Spec, Left]):
    """Work that reads a source through a chain of steps, in a child process that may be killed."""

    source: Source
    steps: tuple[Step, ...]
    finish: FinishUnit[Spec, Left]
    limits: Bounds = field(default=Bounds(), metadata=NO_EFFECT)
    """Not part of the identity: a record that was rejected for a bound is read again only on request."""


@dataclass(frozen=True)
class Pass(Generic[Spec, Left]):
    """A pass: its name, its work, and the units to which it applies that work."""

    name: str
    work: "Work[Spec, Left] | Streamed[Spec, Left]"
    units: tuple[Unit[Spec], ...]
    retries: int = 2
    gpus: float = 0.0
    """GPUs of one task, on a cluster that has GPUs."""
    cpus: float = 1.0
    """CPUs of one task; less than one for a task that waits most of the time."""
    twice: bool = True
    """Whether a unit may be attempted a second time while the first attempt is under way."""
    key: str = field(init=False)
    """Digest of the identity of the work, that is of everything that the result depends on except the units."""

    def __post_init__(self) -> None:
        """Compute the key, once."""
        object.__setattr__(self, "key", digest_of(self.work))

    @property
    def folder(self) -> str:
        """The folder of the pass below `.work/`."""
        return f"{self.name}-{self.key}"


@dataclass(frozen=True)
class Commit(Generic[Left]):
    """The committed record of a unit; it exists only when all files of the unit do."""

    unit: str
    label: str
    left: Left
    seconds: float


def files_of(left: Any) -> Iterator[DataFile]:
    """Yield the files in the result of a unit, including those in nested tuples and dataclasses."""
    if isinstance(left, DataFile):
        yield left
    elif isinstance(left, tuple):
        for item in left:
            yield from files_of(item)
    elif is_dataclass(left):
        for item in fields(left):
            yield from files_of(getattr(left, item.name))


class CommitFormat(Generic[Left]):
    """Writes and reads the commits of a work as JSON; the type of the result is the return type of its `run`."""

    def __init__(self, work: "Work[Any, Left] | Streamed[Any, Left]") -> None:
        run: Callable[..., Any] = type(work).run if not isinstance(work, Streamed) else type(work.finish).__call__
        if isinstance(work, Streamed) and isinstance(work.finish, FunctionType):
            run = work.finish
        self._adapter: TypeAdapter[Commit[Left]] = _adapter(run)

    def dump(self, commit: Commit[Left]) -> bytes:
        """Return the commit as the bytes that are stored."""
        return self._adapter.dump_json(commit)

    def load(self, data: bytes) -> Commit[Left]:
        """Return the commit that `dump` wrote."""
        return self._adapter.validate_json(data)


@lru_cache(maxsize=256)
def _adapter(run: Callable[..., Any]) -> TypeAdapter[Any]:
    left: Any = get_type_hints(run)["return"]
    return TypeAdapter(Commit[left])
