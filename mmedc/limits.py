"""Comparison of measures and licences with a policy; no other module turns a number into a decision."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.policy import Policy


def reasons(columns: Any, policy: Policy, measures: tuple[str, ...] | None = None, loosest: bool = False) -> pa.Array:
    """Return for each row the first limit that it does not meet, as `MEASURE_low` or `MEASURE_high`, otherwise null.

    `columns` is a table or batch with `lang` and measures; a null measure meets no limit.
    Only limits on `measures` are checked, if given; `loosest` uses floors and ceilings instead of limits. Where the
    policy says which licences are published, rows that meet all limits are asked for their `licence` last. A source
    that has a policy of its own (`Policy.of_sources`) is judged by that one, where `columns` has a `source`.
    """
    if policy.of_sources and "source" in columns.schema.names:
        return _by_source(columns, policy, measures, loosest)
    found = np.full(columns.num_rows, None, object)
    langs = columns.column("lang")
    for code, language in policy.languages.items():
        in_language = pc.equal(langs, code).to_numpy(zero_copy_only=False)
        if not in_language.any():
            continue
        for name, limit in language.limits.items():
            if measures is not None and name not in measures:
                continue
            low, high = limit.bounds(loosest)
            values = columns.column(name).to_numpy(zero_copy_only=False)
            for bound, miss, word in ((low, np.less, "low"), (high, np.greater, "high")):
                if bound is not None:
                    # A bound is compared at the measure's own precision, so that 0.04 keeps 0.04.
                    missed = miss(values, np.float32(bound)) | np.isnan(values)
                    found[in_language & missed & (found == None)] = f"{name}_{word}"  # noqa: E711 (element-wise)
    why = pa.array(found, pa.string())
    if policy.licences is None or measures is not None or loosest:
        return why
    return pc.coalesce(why, policy.licences.reasons(columns.column("licence")))


def _by_source(columns: Any, policy: Policy, measures: tuple[str, ...] | None, loosest: bool) -> pa.Array:
    names = np.array(columns.column("source").to_pylist(), object)
    found = np.full(columns.num_rows, None, object)
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        one = replace(policy.of(name), of_sources={})
        found[rows] = reasons(columns.take(pa.array(rows)), one, measures, loosest).to_pylist()
    return pa.array(found, pa.string())


def drop_below_floor(batch: pa.RecordBatch, policy: Policy, measures: tuple[str, ...]) -> pa.RecordBatch:
    """Mark the rows of `batch` that do not meet a floor or ceiling of `measures`."""
    return set_column(batch, "dropped_by", reasons(batch, policy, measures, loosest=True))
