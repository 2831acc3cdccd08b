"""A chain of steps over the record batches of a unit, with an account of every row.

A step measures, adds columns, and marks in `dropped_by` or `rejected_by` which rows to remove and why.
Only the chain removes rows, and it counts each one.
"""

import hashlib
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import RAW, SCRATCH, set_column, views
from mmedc.engine import slot
from mmedc.errors import AccountingError, RecipeError
from mmedc.redact import redact

Transform = Callable[[pa.RecordBatch], pa.RecordBatch]

SAMPLES = 5  # per unit, step and reason
HEAD_CHARS = 600  # of a sample's text that are kept
QUARANTINE_BYTES = 1 << 20  # of a rejected payload that are kept


class Step(Protocol):
    """A step is picklable configuration; `open` loads what it needs and returns the transform.

    A step is recognised by its identity (`mmedc.engine.identity`). It may have an attribute `version`, which is raised
    when its output changes, and an attribute `columns`, which holds the Arrow fields that it adds to a document.
    """

    @property
    def name(self) -> str:
        """The name of the step in the funnel."""

    def open(self) -> Transform:
        """Return a function from batch to batch that keeps the number and order of rows."""


class Source(Protocol):
    """Reads the records of a unit."""

    def read(self, unit: Any, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield batches of `mmedc.document.RAW` from record `start` on; records in `skip` are skipped unread."""


@dataclass(slots=True)
class Count:
    """The rows that one step read, kept, dropped and rejected: read = kept + sum(dropped) + sum(rejected)."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, other: "Count") -> None:
        """Add the counts of another part of the input."""
        self.read += other.read
        self.kept += other.kept
        self.seconds += other.seconds
        for total, added in ((self.dropped, other.dropped), (self.rejected, other.rejected)):
            for reason, number in added.items():
                total[reason] = total.get(reason, 0) + number

    def check(self, where: str) -> None:
        """Check that no row was lost or counted twice. Raises: AccountingError."""
        removed = sum(self.dropped.values()) + sum(self.rejected.values())
        if self.read != self.kept + removed:
            raise AccountingError(f"{where}: read {self.read} rows, kept {self.kept}, dropped or rejected {removed}")


Funnel = dict[str, Count]
"""Counts by step name, in the order of the chain."""


def add_funnel(total: Funnel, part: Funnel) -> None:
    """Add the counts of `part` to `total`."""
    for step, count in part.items():
        total.setdefault(step, Count()).add(count)


def check_funnel(funnel: Funnel, where: str) -> None:
    """Check that every step accounts for its rows and reads the rows that the step before it kept.

    Raises: AccountingError, naming `where` and the step.
    """
    before: tuple[str, int] | None = None
    for step, count in funnel.items():
        count.check(f"{where}, step {step}")
        if before and count.read != before[1]:
            raise AccountingError(f"{where}: {before[0]} kept {before[1]} rows, but {step} read {count.read}")
        before = step, count.kept


@dataclass(frozen=True)
class Fault:
    """A record that ended the process in a step; the step rejects it when the unit is run again."""

    step: int
    reason: str
    detail: str


@dataclass
class Produced:
    """The result of a batch of records: the rows kept, the rows removed, and the counts."""

    kept: pa.RecordBatch | None
    removed: list[dict[str, Any]]
    funnel: Funnel
    next_ordinal: int


class BrokenBatch(Exception):
    """A step raised on a batch of more than one row; the caller runs the batch again row by row."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"records {first} to {last}")
        self.first, self.last = first, last


class Chain:
    """The opened steps of a pass, ready for batches."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.names = ["read", *(step.name for step in steps)]
        if len(set(self.names)) < len(self.names):
            raise RecipeError(f"two steps have the same name: {', '.join(self.names)}")
        # Step 0 is the source itself. Its drops and rejects are counted like those of any step.
        self._transforms: list[Transform] = [lambda batch: batch, *(step.open() for step in steps)]

    def run(self, batch: pa.RecordBatch, faults: dict[int, Fault], read_seconds: float) -> Produced:
        """Pass `batch` through all steps.

        Raises: BrokenBatch when a step raises and the batch has more than one row. For a single
        row, the exception becomes the reason for its rejection. ImportError when a package is missing.
        """
        produced = Produced(None, [], {}, batch.column("ordinal")[-1].as_py() + 1)
        for index, transform in enumerate(self._transforms):
            faulty, batch = _split(batch, index, faults)
            if faulty is not None:
                self._account(faulty, index, produced, 0.0)
            begun = time.perf_counter()
            after = self._apply(transform, batch, index) if batch.num_rows else batch
            seconds = time.perf_counter() - begun if index else read_seconds
            batch = self._account(after, index, produced, seconds)
        if batch.num_rows:
            produced.kept = batch.drop_columns([name for name in SCRATCH if name in batch.schema.names])
        return produced

    def _apply(self, transform: Transform, batch: pa.RecordBatch, index: int) -> pa.RecordBatch:
        ordinals = batch.column("ordinal")
        first, last = ordinals[0].as_py(), ordinals[-1].as_py()
        if index:
            slot.enter(index, first, last - first + 1)
        try:
            after = transform(batch)
        except ImportError as problem:  # of this machine, not of any document
            raise ImportError(
                f"step {self.names[index]} lacks a package here ({problem}); install mmedc, with all that it needs, on "
                "every machine"
            ) from problem
        except Exception as problem:
            if batch.num_rows > 1:
                raise BrokenBatch(first, last) from problem
            return _reject(batch, f"error: {_last_line(problem)}")
        if after.num_rows != batch.num_rows:
            raise AccountingError(f"step {self.names[index]} turned {batch.num_rows} rows into {after.num_rows}")
        return after

    def _account(self, batch: pa.RecordBatch, index: int, produced: Produced, seconds: float) -> pa.RecordBatch:
        """Count the rows of `batch` after step `index`, take out the removed rows, and return the others."""
        name = self.names[index]
        count = produced.funnel.setdefault(name, Count())
        count.seconds += seconds
        count.read += batch.num_rows
        rejected, dropped = batch.column("rejected_by"), batch.column("dropped_by")
        if rejected.null_count == dropped.null_count == batch.num_rows:
            count.kept += batch.num_rows
            return batch
        is_rejected = pc.is_valid(rejected)
        is_dropped = pc.and_(pc.is_valid(dropped), pc.invert(is_rejected))
        for fate, mask, reasons in (("rejected", is_rejected, count.rejected), ("dropped", is_dropped, count.dropped)):
            for row in _removed(batch, mask, name, fate):
                reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
                produced.removed.append(row)
        batch = batch.filter(pc.invert(pc.or_(is_rejected, is_dropped)))
        count.kept += batch.num_rows
        return batch


def given_up(ordinal: int, label: str, why: str) -> Produced:
    """Account for a source that can't be read from record `ordinal` on: one rejected record stands for the rest."""
    columns: dict[str, list[Any]] = {name: [None] for name in RAW.names}
    columns |= {"ordinal": [ordinal], "locator": [f"{label}#rest-{ordinal}"], "provenance": [label]}
    columns["rejected_by"] = [f"rest_unread: {why}; nothing from record {ordinal} on is read"]
    return Chain(()).run(pa.RecordBatch.from_pydict(columns, schema=RAW), {}, 0.0)


def _split(batch: pa.RecordBatch, index: int, faults: dict[int, Fault]) -> tuple[pa.RecordBatch | None, pa.RecordBatch]:
    """Return (the rows that broke step `index` in an earlier attempt, marked as rejected, or None; the other rows)."""
    here = {ordinal: fault for ordinal, fault in faults.items() if fault.step == index}
    broken = np.isin(batch.column("ordinal").to_numpy(), list(here))
    if not broken.any():
        return None, batch
    faulty = batch.filter(pa.array(broken))
    reasons = [redact(f"{here[o].reason}: {here[o].detail}") for o in faulty.column("ordinal").to_pylist()]
    return set_column(faulty, "rejected_by", pa.array(reasons, pa.string())), batch.filter(pa.array(~broken))


def _reject(batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    return set_column(batch, "rejected_by", pa.array([reason] * batch.num_rows, pa.string()))


def _last_line(problem: Exception) -> str:
    place = traceback.extract_tb(problem.__traceback__)[-1]
    return redact(f"{type(problem).__name__}: {problem} ({place.name}, line {place.lineno})")[:400]


REMOVED = pa.schema(
    [
        ("ordinal", pa.int64()),
        ("locator", pa.string()),
        ("provenance", pa.string()),
        ("step", pa.string()),
        ("fate", pa.string()),  # dropped | rejected
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("lang", pa.string()),
        ("sample", pa.bool_()),  # whether the row is one of the few of its reason that are published as examples
        ("text", pa.large_string()),  # the head of a sample's text or page; null for other rows
        ("payload", pa.large_binary()),  # the first `QUARANTINE_BYTES` of a rejected record
        ("draw", pa.uint64()),  # the samples of a reason are the rows with the smallest values
    ]
)
"""The schema of the ledger of removed rows: each row with its reason, and the texts of a few samples per reason."""


def _removed(batch: pa.RecordBatch, mask: pa.BooleanArray, step: str, fate: str) -> list[dict[str, Any]]:
    """Return the rows of `batch` selected by `mask` as rows of the ledger, with the heads of their texts.

    Pages are large and most of them are removed, so only their heads are copied.
    """
    names = batch.schema.names
    columns = ["ordinal", "locator", "provenance", f"{fate}_by", *(["lang"] if "lang" in names else [])]
    rows = batch.select(columns).filter(mask).to_pylist()
    texts, payloads = views(batch.column("text")), views(batch.column("payload"))
    pages = views(batch.column("html")) if "html" in names else texts  # shown for a page without an extracted text
    removed = []
    for index, row in zip(pc.indices_nonzero(mask).to_pylist(), rows, strict=True):
        reason, _, detail = row.pop(f"{fate}_by").partition(": ")
        shown = pages[index] if texts[index] is None else texts[index]
        head = bytes((shown or b"")[: 4 * HEAD_CHARS]).decode("utf-8", "ignore")[:HEAD_CHARS]
        payload = bytes((payloads[index] or b"")[:QUARANTINE_BYTES]) if fate == "rejected" else None
        row |= {"step": step, "fate": fate, "reason": reason, "detail": detail}
        removed.append({**row, "text": head or None, "payload": payload or None})
    return removed


def ledger(removed: list[dict[str, Any]]) -> pa.Table:
    """Return the removed rows of a unit as a `REMOVED` table; only a sample of each reason keeps its texts.

    The sample is drawn by a hash of provenance and locator, so that it depends neither on batches and order nor on
    the modification times of the files.
    """
    best: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for index, row in enumerate(removed):
        name = f"{row['provenance']}\0{row['locator']}".encode("utf-8", "surrogatepass")
        row["draw"] = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
        best.setdefault((row["step"], row["reason"]), []).append((row["draw"], index))
    sampled = {index for drawn in best.values() for _, index in sorted(drawn)[:SAMPLES]}
    for index, row in enumerate(removed):
        row["sample"] = index in sampled
        if not row["sample"]:
            row["text"] = None
    return pa.Table.from_pylist(removed, schema=REMOVED).sort_by("ordinal")
