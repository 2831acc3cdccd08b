"""What did not make it: the quarantine of rejected records, and samples of every reason to drop."""

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.engine.chain import GONE, SAMPLES
from mmedc.engine.commit import read_table
from mmedc.engine.unit import Output
from mmedc.storage import Store

ORDER = [("step", "ascending"), ("reason", "ascending"), ("draw", "ascending"), ("provenance", "ascending")]


def quarantined(store: Store, gone: list[Output]) -> pa.Table:
    """Return all rejected records of the ledgers `gone`, with reason, origin and (capped) bytes."""
    parts = [read_table(store, output, filters=[("fate", "==", "rejected")]) for output in gone]
    return pa.concat_tables([GONE.empty_table(), *parts]).sort_by(ORDER)


def sampled(store: Store, gone: list[Output]) -> pa.Table:
    """Return the samples of each step and reason, drawn by hash: the same whatever ran where."""
    columns = [name for name in GONE.names if name != "payload"]
    total = GONE.empty_table().select(columns)
    for output in gone:
        part = read_table(store, output, columns)
        part = part.filter(pc.and_(part["sample"], pc.equal(part["fate"], "dropped")))
        total = _first(pa.concat_tables([total, part]))  # never more than a sample in memory
    return total


def _first(table: pa.Table) -> pa.Table:
    table = table.sort_by(ORDER)
    seen: dict[tuple[str, str], int] = {}
    keep = []
    for step, reason in zip(table["step"].to_pylist(), table["reason"].to_pylist(), strict=True):
        seen[step, reason] = seen.get((step, reason), 0) + 1
        keep.append(seen[step, reason] <= SAMPLES)
    return table.filter(pa.array(keep, pa.bool_()))
