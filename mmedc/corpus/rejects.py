"""The rows that are not in the corpus: the quarantine of rejected records, and samples for every drop reason.

Each pass that removes rows writes a ledger for each unit. Tasks merge the ledgers, some at a time, and then merge the
results, until one table is left. The number of rows per reason is bounded in every table.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.engine.chain import REMOVED, SAMPLES
from mmedc.engine.commit import read_table
from mmedc.engine.unit import DataFile, Unit, UnitFiles
from mmedc.frames import EARLY

FAN_IN = 64
"""The number of ledgers that one task merges."""
QUARANTINED = 10_000
"""The number of rejected records of one step and reason that are kept for inspection; the funnel counts all."""
QUARANTINED_BYTES = 64 << 20
"""The bytes of payloads that are kept for one step and reason."""
SAMPLE = pa.schema([field for field in REMOVED if field.name != "payload"])
"""A row of the ledger without the bytes of a record."""
ORDER = [("step", "ascending"), ("reason", "ascending"), ("draw", "ascending"), ("provenance", "ascending")]


@dataclass(frozen=True)
class Merged:
    """The result of `MergeRejects`: rejected records and samples of dropped ones, both as rows of the ledger."""

    quarantine: DataFile
    samples: DataFile


@dataclass(frozen=True)
class MergeRejects:
    """Merges ledgers, or results of earlier merges. Unit spec: pairs of files; a ledger is both files of its pair."""

    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[Merged, ...]], out: UnitFiles) -> Merged:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        quarantine, samples = REMOVED.empty_table(), SAMPLE.empty_table()
        for part in unit.spec:
            if part.quarantine.rows:
                rejected = read_table(out.store, part.quarantine, filters=[("fate", "==", "rejected")])
                quarantine = firsts(pa.concat_tables([quarantine, rejected]), QUARANTINED, QUARANTINED_BYTES)
            if part.samples.rows:
                chosen = [("fate", "==", "dropped"), ("sample", "==", True)]
                dropped = read_table(out.store, part.samples, SAMPLE.names, filters=chosen)
                samples = firsts(pa.concat_tables([samples, dropped]), SAMPLES)
        return Merged(out.write("quarantine", quarantine), out.write("samples", samples))


@dataclass(frozen=True)
class Tallied:
    """What `Tally` counted."""

    counts: dict[str, dict[str, dict[str, int]]]
    """The numbers of removed records by language (empty where it was not known), fate and reason."""
    cut: dict[str, list[str]]
    """By source, the files whose rest could not be read."""


@dataclass(frozen=True)
class Tally:
    """Counts the rows of ledgers by language, and finds the files that end early. Unit spec: (source, ledger) pairs."""

    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[tuple[str, DataFile], ...]], out: UnitFiles) -> Tallied:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        names, found = ["lang", "fate", "reason"], Tallied({}, {})
        for source, file in unit.spec:
            if not file.rows:
                continue
            table = read_table(out.store, file, [*names, "step", "detail", "provenance"])
            rows = table.group_by(names).aggregate([([], "count_all")])
            for row in rows.sort_by([(name, "ascending") for name in names]).to_pylist():
                add_tally(found, row["lang"] or "", row["fate"], row["reason"], row["count_all"])
            chosen = pc.and_(pc.equal(table["step"], "read"), pc.equal(table["fate"], "rejected"))
            for row in table.filter(chosen).to_pylist():
                if row["reason"] in UNREAD or CUT.search(f"{row['reason']}: {row['detail']}"):
                    found.cut.setdefault(source, []).append(row["provenance"].partition("#")[0])
        return found


UNREAD = ("bomb", "rest_unread")
"""Reasons of rejects that represent the unread rest of a file."""
CUT = re.compile(rf"{EARLY}; [\d,]+ bytes at offset|^truncated: [\d,]+ of [\d,]+ bytes$")
"""What the ledger says of a compressed file, or of a record of a plain WARC, at which the file ends early."""


def add_tally(total: Tallied, lang: str, fate: str, reason: str, number: int) -> None:
    """Add a number of removed records to `total`."""
    reasons = total.counts.setdefault(lang, {}).setdefault(fate, {})
    reasons[reason] = reasons.get(reason, 0) + number


def firsts(table: pa.Table, most: int, most_bytes: int | None = None) -> pa.Table:
    """Return the first `most` rows of each step and reason, sorted by ORDER.

    Once the payloads of a step and reason exceed `most_bytes`, further payloads are left out.
    """
    table = table.sort_by(ORDER).combine_chunks()
    if not table.num_rows:
        return table
    names = pc.binary_join_element_wise(table["step"], table["reason"], "\0").combine_chunks()
    codes = names.dictionary_encode().indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    sizes = np.diff(np.append(starts, len(codes)))
    if most_bytes is not None:
        length = pc.fill_null(pc.binary_length(table["payload"]), 0).to_numpy().astype(np.int64)
        total = np.cumsum(length)
        before = np.repeat((total - length)[starts], sizes)
        fits = pa.array(total - before <= most_bytes)
        payload = pc.if_else(fits, table["payload"], pa.scalar(None, pa.large_binary()))
        table = table.set_column(table.schema.get_field_index("payload"), REMOVED.field("payload"), payload)
    rank = np.arange(len(codes)) - np.repeat(starts, sizes)
    return table.filter(pa.array(rank < most))
