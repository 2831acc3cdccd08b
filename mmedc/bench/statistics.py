"""Error bars and tests for accuracies."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

Z95 = 1.959963984540054
EXACT = 16
"""So many differences have 65,536 flips."""


def wilson(right: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927), 95% by default; (0, 1) where nothing was counted."""
    if not count:
        return 0.0, 1.0
    share, z2 = right / count, z * z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def macro_interval(groups: Mapping[str, Sequence[bool]], rounds: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Return the 95% interval of the mean of the groups' accuracies by a bootstrap within each group."""
    generator = np.random.default_rng(seed)
    means = np.zeros(rounds)
    for right in groups.values():
        values = np.asarray(right, bool)
        # Drawing n of n with replacement gives a binomial count of right ones.
        means += generator.binomial(len(values), values.mean(), rounds) / len(values)
    low, high = np.quantile(means / len(groups), [0.025, 0.975])
    return float(low), float(high)


def mcnemar(one: Sequence[bool], other: Sequence[bool]) -> float:
    """Return the two-sided exact p-value that two scorings of the same items are equally good (McNemar 1947).

    Only items that one has right and the other wrong count; under the hypothesis they are coin tosses.
    """
    a, b = np.asarray(one, bool), np.asarray(other, bool)
    first, second = int((a & ~b).sum()), int((b & ~a).sum())
    tosses = first + second
    if not tosses:
        return 1.0
    tail = sum(math.comb(tosses, k) for k in range(min(first, second) + 1))
    return min(1.0, float(2 * tail / 2**tosses))


def sign_flips(one: Sequence[float], other: Sequence[float], rounds: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value that paired scores are equally good: by flips of their differences' signs.

    All flips are looked at (Fisher 1935) where up to EXACT items differ; otherwise `rounds` that are drawn, and the
    observed one.
    """
    found = np.asarray(one, float) - np.asarray(other, float)
    found = found[found != 0]
    reached = abs(found.sum()) - 1e-9
    if len(found) <= EXACT:
        every = 1.0 - 2 * (np.arange(2 ** len(found))[:, None] >> np.arange(len(found)) & 1)
        return float(np.mean(abs(every @ found) >= reached))
    generator, hits = np.random.default_rng(seed), 1
    for low in range(0, rounds, 500):
        signs = 1.0 - 2 * generator.integers(0, 2, (min(500, rounds - low), len(found)), np.int8)
        hits += int((abs(signs @ found) >= reached).sum())
    return hits / (rounds + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for being many (Holm 1979), in the order given."""
    out, worst = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[name]))
        out[name] = worst
    return {name: out[name] for name in p_values}


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Kendall's tau-b of two rankings of the same things (Kendall 1945); 0 where one has only ties."""
    a, b = (np.sign(np.subtract.outer(np.asarray(side, float), np.asarray(side, float))) for side in (one, other))
    above = np.triu_indices(len(one), 1)
    a, b = a[above], b[above]
    free = math.sqrt(float((a != 0).sum()) * float((b != 0).sum()))
    return float((a * b).sum()) / free if free else 0.0
