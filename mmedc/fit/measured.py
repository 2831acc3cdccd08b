"""How well a filter decides, against labels: precision, recall, F1, and the measures that it decides by."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.policy import Policy
from mmedc.steps.medical import measurer

HEAVIEST = 10.0
"""The largest weight of a text, where its label is rare in its language."""


class Quality(NamedTuple):
    """How well decisions agree with labels. Precision is 1 when nothing is kept, recall is 1 without positive texts."""

    precision: float
    recall: float
    f1: float
    positives: int
    negatives: int


def quality(
    kept: npt.NDArray[np.bool_], label: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64] | None = None
) -> Quality:
    """Compare decisions with labels, (D,) each; every text has weight 1, or `weight`."""
    weight = np.ones(len(label)) if weight is None else weight
    hits, decided, true = (float(weight[these].sum()) for these in (kept & label, kept, label))
    precision, recall = hits / decided if decided else 1.0, hits / true if true else 1.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    positives = int(label.sum())
    return Quality(precision, recall, f1, positives, len(label) - positives)


def weights_of(table: pa.Table) -> npt.NDArray[np.float64]:
    """Return the weight of each labelled text, (D,): in each language both labels have the same weight in all.

    A text has at most `HEAVIEST`.
    """
    label, langs = table["label"].to_numpy(zero_copy_only=False), np.array(table["lang"].to_pylist())
    weight = np.ones(len(label))
    for lang in np.unique(langs):
        for value in (False, True):
            these = (langs == lang) & (label == value)
            weight[these] = min((langs == lang).sum() / 2 / max(these.sum(), 1), HEAVIEST)
    return weight


def with_terms(table: pa.Table, policy: Policy) -> pa.Table:
    """Return `table` (text, lang, …) with the `LEXICON_MEASURES`, counted by the policy's rule."""
    for name, values in measurer(policy)(table["lang"], table["text"]).items():
        table = table.append_column(name, values)
    return table


def array(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return the column of a measure as (D,); null becomes not-a-number."""
    values: npt.NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
