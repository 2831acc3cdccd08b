"""What a filter decides, against labels: precision, recall, F1, and the measures it decides on."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.policy import Policy
from mmedc.steps.medical import measurer

HEAVIEST = 10.0


class Quality(NamedTuple):
    """How well a decision agrees with labels. Of no kept text precision is 1, of no positive one recall is 1."""

    precision: float
    recall: float
    f1: float
    positives: int
    negatives: int


def quality(
    kept: npt.NDArray[np.bool_], label: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64] | None = None
) -> Quality:
    """Compare decisions with labels, (D,) each; the texts weigh the same, or `weight`."""
    weight = np.ones(len(label)) if weight is None else weight
    hit, said, true = (float(weight[these].sum()) for these in (kept & label, kept, label))
    precision, recall = hit / said if said else 1.0, hit / true if true else 1.0
    f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
    positives = int(label.sum())
    return Quality(precision, recall, f1, positives, len(label) - positives)


def weights_of(table: pa.Table) -> npt.NDArray[np.float64]:
    """Return the weight of each labelled text, (D,): in each language both labels weigh the same.

    A text weighs at most `HEAVIEST`.
    """
    label, langs = table["label"].to_numpy(zero_copy_only=False), np.array(table["lang"].to_pylist())
    weight = np.ones(len(label))
    for lang in np.unique(langs):
        for value in (False, True):
            these = (langs == lang) & (label == value)
            weight[these] = min((langs == lang).sum() / 2 / max(these.sum(), 1), HEAVIEST)
    return weight


def with_terms(table: pa.Table, policy: Policy) -> pa.Table:
    """Return `table` (text, lang, …) with the `LEXICON_MEASURES` by the policy's rule."""
    for name, values in measurer(policy)(table["lang"], table["text"]).items():
        table = table.append_column(name, values)
    return table


def array(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return a measure's column as (D,); not a number where it is null."""
    values: npt.NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
