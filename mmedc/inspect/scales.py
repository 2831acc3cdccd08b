"""Scales of measures: the values at which bars begin and limits stop, and the codes of scores between them.

A score becomes a number of 16 bits: 2k + 1 if it equals edge k, 2k if it lies below edge k and above the one before.
So whether a score meets a limit at an edge is known exactly from its code, for lower and for upper limits.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

NONE = np.uint16(65_535)
"""The code of a score that is not there; it meets no limit."""
BARS = 40
PROBABILITIES = {"lang_score", "medical_model", "quality"}
COUNTS = {"medical_terms", "private_items", "chars", "words", "perplexity"}
DIGITS = (10, 12, 16, 20, 25, 32, 40, 50, 63, 80)
"""Ten steps of about equal ratio in each power of ten (ISO 3, R10, in two digits): where bars of counts begin."""

Codes = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Scale:
    """The edges of a measure, in float32, ascending."""

    measure: str
    edges: tuple[float, ...]
    marks: tuple[int, ...]
    """The edges, by their numbers, at which bars may begin."""

    @cached_property
    def _sorted(self) -> npt.NDArray[np.float32]:
        return np.asarray(self.edges, np.float32)

    @property
    def size(self) -> int:
        """The number of codes, without `NONE`."""
        return 2 * len(self.edges) + 1

    def codes(self, values: npt.NDArray[np.float32]) -> Codes:
        """Return the codes of scores; NaN becomes `NONE`."""
        left = np.searchsorted(self._sorted, values, "left")
        at = np.minimum(left, len(self.edges) - 1)
        found = (2 * left + (self._sorted[at] == values)).astype(np.uint16)
        found[np.isnan(values)] = NONE
        return np.asarray(found, np.uint16)

    def nearest(self, value: float) -> int:
        """Return the number of the edge that is nearest to a value."""
        at = min(bisect_left(self.edges, float(np.float32(value))), len(self.edges) - 1)
        if at and value - self.edges[at - 1] <= self.edges[at] - value:
            return at - 1
        return at

    def lowest(self, bound: float | None) -> int:
        """Return the lowest code that meets a lower bound; 0 without one."""
        return 0 if bound is None else 2 * self.nearest(bound) + 1

    def highest(self, bound: float | None) -> int:
        """Return the highest code that meets an upper bound; the last one without one."""
        return self.size - 1 if bound is None else 2 * self.nearest(bound) + 1

    def bars(self, counts: npt.NDArray[np.int64]) -> list[tuple[float | None, float | None, int]]:
        """Return (from, below, documents) of at most `BARS` bars for the counts of codes.

        The bars reach from the lowest to the highest score that occurs. A bar contains the scores from its first edge
        on and below its last one; None stands for what lies beyond the marks.
        """
        begins = [0, *(2 * mark + 1 for mark in self.marks)]
        slots = np.add.reduceat(counts[: self.size], begins)
        there = np.flatnonzero(slots)
        if not len(there):
            return []
        step = -(-(int(there[-1]) - int(there[0]) + 1) // BARS)
        ends: list[float | None] = [None, *(self.edges[mark] for mark in self.marks), None]
        return [
            (ends[at], ends[min(at + step, len(slots))], int(slots[at : at + step].sum()))
            for at in range(int(there[0]), int(there[-1]) + 1, step)
        ]


def scale_of(measure: str, low: float, high: float, exact: Iterable[float]) -> Scale:
    """Return the scale of a measure whose values lie between `low` and `high`; `exact` values are edges."""
    if measure in COUNTS or high > 50:
        powers = [10**power for power in range(9) if 10 * 10**power <= high * 1.3]
        edges = [float(at) for at in range(10)] + [float(at * power) for power in powers for at in range(10, 100)]
        marks = [float(at) for at in range(10)] + [float(at * power) for power in powers for at in DIGITS]
        if high <= BARS:
            marks = [float(at) for at in range(int(high) + 2)]
    elif high <= 1.0 and low >= 0.0:
        parts = 200 if measure in PROBABILITIES else 500
        marks = edges = [at / parts for at in range(parts + 1)]
    else:
        step = float(10.0 ** np.floor(np.log10(max((high - low) / 100, 1e-6))))
        first, last = int(np.floor(low / step)), int(np.ceil(high / step))
        marks = edges = [at * step for at in range(first, last + 1)]
    values = {float(np.float32(edge)): edge for edge in (*edges, *marks, *exact)}
    ordered = [values[key] for key in sorted(values)]
    begins = {float(np.float32(mark)) for mark in marks}
    at = tuple(number for number, edge in enumerate(ordered) if float(np.float32(edge)) in begins)
    return Scale(measure, tuple(ordered), at)
