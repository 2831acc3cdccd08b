"""Units that take far longer than others of their size, of which a second attempt is worth its while near the end.

Two attempts at a unit do no harm, because one of their commits is valid; the other attempt is cancelled.
"""

from collections.abc import Iterable

LEAST_S = 30.0  # a unit is not late before
TIMES = 3.0  # as long as expected
KNOWN = 3  # units that must be done, so that something is expected


class Stragglers:
    """Knows how long the units of a pass take, and which of those under way are late."""

    def __init__(self) -> None:
        self._done, self._seconds, self._bytes = 0, 0.0, 0
        self._twice: set[str] = set()

    def done(self, size: int, seconds: float) -> None:
        """Record that a unit of `size` bytes took so many seconds."""
        self._done += 1
        self._seconds += seconds
        self._bytes += size

    def late(self, under_way: Iterable[tuple[str, int, float]]) -> str | None:
        """Return the unit that is most overdue, each only once; None where none is.

        `under_way`: (id, bytes, seconds since it began) of each unit.
        """
        if self._done < KNOWN:
            return None
        mean, speed = self._seconds / self._done, self._seconds / max(self._bytes, 1)
        over = [
            (seconds / allowed, unit)
            for unit, size, seconds in under_way
            if unit not in self._twice and seconds > (allowed := max(LEAST_S, TIMES * max(mean, speed * size)))
        ]
        if not over:
            return None
        self._twice.add(max(over)[1])
        return max(over)[1]
