"""The values that the engine moves: units, passes and what a unit left behind."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from mmedc.engine.chain import Count, Funnel, Source, Step
from mmedc.storage import Store


@dataclass(frozen=True)
class Unit:
    """A piece of a pass's input that is done whole or not at all."""

    id: str
    """Names its content: equal inputs have equal ids, in every run."""
    label: str
    """What a person calls it, such as the file's name."""
    spec: Any
    """What the pass needs to read it; picklable."""
    bytes: int


def digest_of(*parts: Any) -> str:
    """Return 16 hex digits of SHA-256 over the JSON of `parts`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Stream:
    """A table that comes in parts, so that a file may be larger than memory."""

    schema: pa.Schema
    parts: Iterator[pa.Table]
    group_by: str | None = None
    """A column at whose changes a row group ends."""
    whole: bool = False
    """True: every part is a row group of its own, also an empty one, for `read_groups`; of keys, that is of noise."""


Tables = dict[str, "pa.Table | Stream"]
"""What a unit leaves, by role; an empty table is kept, since its absence would mean a lost one."""


@dataclass
class Result:
    """What a unit left: its tables, the account of its rows, and notes for the passes after it."""

    tables: Tables
    funnel: Funnel = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """What a pass does to a unit; picklable, deterministic, without side effects."""

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit from what earlier passes left in `store`."""


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


@dataclass(frozen=True)
class Streamed:
    """Work that reads a source through a chain of steps, in a child process that may be killed."""

    source: Source
    steps: tuple[Step, ...]
    finish: Callable[[Unit, list[pa.RecordBatch]], Result]
    """Turns the surviving batches of a unit, in order, into its tables."""
    limits: Bounds = Bounds()


@dataclass(frozen=True)
class Pass:
    """A pass over units: what it is called, what its result depends on, and its work."""

    name: str
    key: str
    """Digest of everything but the units that the result depends on."""
    work: "Work | Streamed"
    units: tuple[Unit, ...]
    retries: int = 2
    gpus: float = 0.0
    """Of a task, on a cluster that has any."""

    @property
    def folder(self) -> str:
        """Its place below `.work/`."""
        return f"{self.name}-{self.key}"


@dataclass(frozen=True)
class Output:
    """A file that a unit left."""

    path: str
    sha256: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Entry:
    """The committed record of a unit: it exists only when all its files do."""

    unit: str
    label: str
    outputs: dict[str, Output]
    funnel: Funnel
    notes: dict[str, Any]
    seconds: float

    def to_json(self) -> bytes:
        """Return the entry as it lies in the manifest."""
        funnel = {step: vars(count) for step, count in self.funnel.items()}
        outputs = {role: vars(output) for role, output in self.outputs.items()}
        return json.dumps({**vars(self), "outputs": outputs, "funnel": funnel}, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Entry":
        """Read what `to_json` wrote."""
        raw = json.loads(data)
        raw["outputs"] = {role: Output(**output) for role, output in raw["outputs"].items()}
        raw["funnel"] = {step: Count(**count) for step, count in raw["funnel"].items()}
        return cls(**raw)
