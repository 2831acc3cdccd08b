"""Intervals and tests for accuracies, from scipy where it has them."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

EXACT = 16
"""Up to this many paired differences, all flips of their signs are tried: 65,536."""


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson 1927); (0, 1) where nothing was counted."""
    if not count:
        return 0.0, 1.0
    interval = stats.binomtest(right, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


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


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the two-sided exact p-value of the hypothesis that two scorings are equally good (McNemar 1947).

    Only items that one scoring has right and the other wrong count; under the hypothesis they are coin tosses.
    """
    right, also = np.asarray(first, bool), np.asarray(second, bool)
    wins, losses = int((right & ~also).sum()), int((also & ~right).sum())
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def sign_flips(first: Sequence[float], second: Sequence[float], rounds: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value of the hypothesis that paired scores are equally good, by flips of signs.

    All flips are tried (Fisher 1935) where up to EXACT items differ; otherwise `rounds` flips are drawn.
    """
    differences = np.asarray(first, float) - np.asarray(second, float)
    differences = differences[differences != 0]
    if len(differences) < 2:
        return 1.0  # both flips of one difference are as far from zero
    found = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=2**EXACT if len(differences) <= EXACT else rounds,
        batch=500,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for being many (Holm 1979), in the order given."""
    out, worst = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[name]))
        out[name] = worst
    return {name: out[name] for name in p_values}


def kendall(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Kendall's tau-b of two rankings of the same things (Kendall 1945); 0 where one of them is all ties."""
    if len({*first}) < 2 or len({*second}) < 2:
        return 0.0
    return float(stats.kendalltau(first, second).statistic)
