"""What a filter decides, against labels: precision, recall, F1, and the measures it decides on."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.policy import Policy
from mmedc.steps.medical import matcher

MEASURES = ("medical_terms", "medical_density", "medical_model")


class Quality(NamedTuple):
    """How well a decision agrees with labels. Of no kept text precision is 1, of no positive one recall is 1."""

    precision: float
    recall: float
    f1: float
    positives: int
    negatives: int


def quality(kept: npt.NDArray[np.bool_], label: npt.NDArray[np.bool_]) -> Quality:
    """Compare decisions with labels, (D,) each."""
    hit, said, true = int((kept & label).sum()), int(kept.sum()), int(label.sum())
    precision, recall = hit / said if said else 1.0, hit / true if true else 1.0
    f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
    return Quality(precision, recall, f1, true, len(label) - true)


def with_terms(table: pa.Table, policy: Policy) -> pa.Table:
    """Return `table` (text, lang, …) with `medical_terms` and `medical_density` by the policy's rule."""
    matchers = {code: matcher(language, policy.rule) for code, language in policy.languages.items()}
    found = [
        matchers[lang](text) for lang, text in zip(table["lang"].to_pylist(), table["text"].to_pylist(), strict=True)
    ]
    terms, density = np.array(found, np.float32).reshape(-1, 2).T
    return table.append_column("medical_terms", pa.array(terms)).append_column("medical_density", pa.array(density))


def array(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return a measure's column as (D,); not a number where it is null."""
    values: npt.NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
