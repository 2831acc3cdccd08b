"""The values that the engine moves: units of a pass, what each leaves behind, and the files in it.

A pass is generic in what its units need (`Spec`) and in what each of them leaves (`Left`). `Left` is a dataclass
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


@dataclass(frozen=True)
class DataFile:
    """A Parquet file that a unit left, relative to the folder of passes."""

    path: str
    sha256: str
    rows: int
    bytes: int

    def identity(self) -> Json:
        """Return the hash of its content."""
        return self.sha256


@dataclass(frozen=True, kw_only=True)
class Accounted:
    """What a unit leaves that removes rows: the count of every step, and the ledger of the rows removed."""

    funnel: Funnel
    removed: DataFile


@dataclass(frozen=True)
class Unit(Generic[Spec]):
    """A piece of a pass's input that is done whole or not at all."""

    id: str
    """Names its content: equal inputs have equal ids, in every run."""
    label: str
    """What a person calls it, such as the file's name."""
    spec: Spec
    """What the pass needs to read it; picklable."""
    bytes: int

    @classmethod
    def of(cls, spec: Spec, label: str, size: int) -> "Unit[Spec]":
        """Return the unit for `spec`, named by the digest of its identity."""
        return cls(digest_of(spec), label, spec, size)


@dataclass(frozen=True)
class Stream:
    """A table that comes in parts, so that a file may be larger than memory."""

    schema: pa.Schema
    parts: Iterator[pa.Table]
    group_by: str | None = None
    """A column at whose changes a row group ends."""
    whole: bool = False
    """True: every part is a row group of its own, also an empty one, for `read_groups`; of keys, that is of noise."""


@dataclass(frozen=True)
class UnitFiles:
    """Where a unit reads what earlier passes left, and where it writes its own files.

    A file is named by the hash of its bytes and counts for nothing until the unit is committed.
    """

    store: Store
    folder: str
    """Of the pass."""
    unit: str

    def write(self, role: str, table: "pa.Table | Stream") -> DataFile:
        """Write a table as Parquet; `role` names the folder that files of its kind share."""
        from mmedc.engine.commit import write_table

        return write_table(self.store, f"{self.folder}/{role}", table, self.unit)


class Work(Protocol[Spec, Left_co]):
    """What a pass does to a unit; a picklable dataclass, deterministic, without side effects.

    Its fields are its identity (`mmedc.engine.identity`); `version` is raised when its code changes what it leaves.
    """

    def run(self, unit: Unit[Spec], out: UnitFiles) -> Left_co:
        """Compute the unit from what earlier passes left in `out.store`, and write its files to `out`."""


@dataclass(frozen=True)
class Bounds:
    """What the parser process of a unit may use; see `limits` of a recipe."""

    document_seconds: float = 20.0
    """CPU seconds of one record in one step."""
    unit_seconds: float = 6 * 3600.0
    """CPU seconds of one unit, of one attempt."""
    document_memory: int = 1 << 30
    """Bytes by which one record may make the process grow."""
    memory: int = 3 << 30
    """Resident bytes of the process."""


class Finish(Protocol[Spec, Left_co]):
    """Turns the surviving batches of a unit, in order, into what it leaves."""

    def __call__(
        self, unit: Unit[Spec], batches: list[pa.RecordBatch], out: UnitFiles, funnel: Funnel, removed: DataFile
    ) -> Left_co:
        """Write the tables to `out`."""


@dataclass(frozen=True)
class Streamed(Generic[Spec, Left]):
    """Work that reads a source through a chain of steps, in a child process that may be killed."""

    source: Source
    steps: tuple[Step, ...]
    finish: Finish[Spec, Left]
    limits: Bounds = field(default=Bounds(), metadata=NO_EFFECT)
    """Without effect on the identity: a record that a bound rejected is read again only when that is asked for."""


@dataclass(frozen=True)
class Pass(Generic[Spec, Left]):
    """A pass over units: what it is called, its work, and the units that it does it to."""

    name: str
    work: "Work[Spec, Left] | Streamed[Spec, Left]"
    units: tuple[Unit[Spec], ...]
    retries: int = 2
    gpus: float = 0.0
    """Of a task, on a cluster that has any."""
    key: str = field(init=False)
    """Digest of the identity of its work: of everything but the units that the result depends on."""

    def __post_init__(self) -> None:
        """Compute the key, once."""
        object.__setattr__(self, "key", digest_of(self.work))

    @property
    def folder(self) -> str:
        """Its place below `.work/`."""
        return f"{self.name}-{self.key}"


@dataclass(frozen=True)
class Commit(Generic[Left]):
    """The committed record of a unit: it exists only when all its files do."""

    unit: str
    label: str
    left: Left
    seconds: float


def files_of(left: Any) -> Iterator[DataFile]:
    """Yield the files in what a unit left, also those in its tuples and parts."""
    if isinstance(left, DataFile):
        yield left
    elif isinstance(left, tuple):
        for item in left:
            yield from files_of(item)
    elif is_dataclass(left):
        for one in fields(left):
            yield from files_of(getattr(left, one.name))


class CommitFormat(Generic[Left]):
    """Writes and reads the commits of a work as JSON; the type of what it leaves is that of its `run`."""

    def __init__(self, work: "Work[Any, Left] | Streamed[Any, Left]") -> None:
        run: Callable[..., Any] = type(work).run if not isinstance(work, Streamed) else type(work.finish).__call__
        if isinstance(work, Streamed) and isinstance(work.finish, FunctionType):
            run = work.finish
        self._adapter: TypeAdapter[Commit[Left]] = _adapter(run)

    def dump(self, commit: Commit[Left]) -> bytes:
        """Return the commit as it lies on disk."""
        return self._adapter.dump_json(commit)

    def load(self, data: bytes) -> Commit[Left]:
        """Read what `dump` wrote."""
        return self._adapter.validate_json(data)


@lru_cache(maxsize=256)
def _adapter(run: Callable[..., Any]) -> TypeAdapter[Any]:
    left: Any = get_type_hints(run)["return"]
    return TypeAdapter(Commit[left])
