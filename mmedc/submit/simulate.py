"""How long a pass would take on a cluster: the runner's scheduling, event by event, on clocks that are only counted.

The runner gives the next unit to the next free slot, in the order of the units. It does one thing at a time, so that
each unit costs it a moment in which no other unit can begin or end. Nodes may be lost: their units begin anew, after
those that wait, and another node takes their place.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Conditions:
    """What happens on a cluster besides the work."""

    driver_s: float = 0.003
    """Seconds of the driver per unit, in which it does nothing else."""
    unit_s: float = 0.03
    """Seconds of a slot per unit, beside the work: the task, its files, its commit."""
    first_s: float = 3.0
    """Seconds of a slot before its first unit: the worker starts, and models load."""
    straggler: float = 0.0
    """The share of attempts that are `slower` times as slow as they should be: a disk that hangs, a noisy neighbour."""
    slower: float = 5.0
    failure: float = 0.0
    """The share of attempts that fail half-way and are tried again."""
    losses_per_hour: float = 0.0
    """How often a node is lost, per node and hour: spot machines that are taken away, and machines that break."""
    replaced_s: float = 180.0
    """Seconds until another node stands in for one that was lost."""
    twice: bool = False
    """Whether units that still run when none waits are begun once more on free slots; the first to end counts."""


@dataclass(frozen=True)
class Run:
    """What came of a simulated pass."""

    seconds: float
    """From the first unit to the last."""
    useful: float
    """Slot seconds of the attempts that counted, without overheads."""
    slots: int
    lost: int
    """Attempts that ended with their node."""
    repeated: int
    """Attempts that failed, or that another attempt of the same unit made needless."""

    @property
    def efficiency(self) -> float:
        """The share of the slots' time that was useful work."""
        return self.useful / (self.slots * self.seconds) if self.seconds else 1.0


def simulate(units: Sequence[float] | Seconds, nodes: int, slots: int, at: Conditions, seed: int = 0) -> Run:
    """Return how a pass over units of so many seconds goes on `nodes` nodes of `slots` slots each.

    Raises: ValueError when there is no slot.
    """
    if nodes < 1 or slots < 1:
        raise ValueError(f"{nodes} nodes of {slots} slots run nothing")
    return _Simulation(np.asarray(units, dtype=np.float64), nodes, slots, at, seed).run()


class _Simulation:
    """The state of a simulated pass. An event is (second, number, what, node, slot, attempt)."""

    def __init__(self, units: Seconds, nodes: int, slots: int, at: Conditions, seed: int) -> None:
        self.units, self.nodes, self.slots, self.at = units, nodes, slots, at
        self.random = np.random.default_rng(seed)
        self.waiting = list(range(len(units) - 1, -1, -1))  # the next at the end
        self.free: list[tuple[int, int]] = [(node, slot) for slot in range(slots) for node in range(nodes)][::-1]
        self.fresh = set(self.free)
        self.running: dict[int, tuple[int, int, int]] = {}  # attempt → node, slot, unit
        self.attempts_of: dict[int, set[int]] = {}
        self.order: deque[int] = deque()  # units as they were begun
        self.done = np.zeros(len(units), dtype=bool)
        self.alive = [True] * nodes
        self.events: list[tuple[float, int, str, int]] = []
        self.number = 0
        self.driver_free = 0.0
        self.useful, self.lost, self.repeated = 0.0, 0, 0

    def run(self) -> Run:
        if self.at.losses_per_hour:
            for node in range(self.nodes):
                self._plan_loss(node, 0.0)
        left, now = len(self.units), 0.0
        self._give(now)
        while left:
            now, _, what, which = heapq.heappop(self.events)
            if what == "end":
                left -= self._end(which, now)
            elif what == "lose":
                self._lose(which, now)
            elif what == "join":
                self.alive[which] = True
                self.free += [(which, slot) for slot in range(self.slots)]
                self.fresh |= {(which, slot) for slot in range(self.slots)}
                self._plan_loss(which, now)
            self._give(now)
        return Run(float(now), self.useful, self.nodes * self.slots, self.lost, self.repeated)

    def _event(self, second: float, what: str, which: int) -> None:
        self.number += 1
        heapq.heappush(self.events, (second, self.number, what, which))

    def _plan_loss(self, node: int, now: float) -> None:
        self._event(now + self.random.exponential(3600 / self.at.losses_per_hour), "lose", node)

    def _give(self, now: float) -> None:
        """Give units to free slots."""
        while self.free:
            if self.waiting:
                unit = self.waiting.pop()
            elif self.at.twice and (again := self._slowest()) is not None:
                unit = again
            else:
                return
            node, slot = self.free.pop()
            if not self.alive[node]:
                self.waiting.append(unit)
                continue
            self._begin(unit, node, slot, now)

    def _slowest(self) -> int | None:
        """Return a running unit that has one attempt only: the one that began first."""
        while self.order:
            unit = self.order.popleft()
            if not self.done[unit] and len(self.attempts_of.get(unit, ())) == 1:
                return unit
        return None

    def _begin(self, unit: int, node: int, slot: int, now: float) -> None:
        self.driver_free = max(now, self.driver_free) + self.at.driver_s
        seconds = self.units[unit] * (self.at.slower if self.random.random() < self.at.straggler else 1.0)
        seconds += self.at.unit_s + (self.at.first_s if (node, slot) in self.fresh else 0.0)
        self.fresh.discard((node, slot))
        attempt = self.number
        self.order.append(unit)
        self.running[attempt] = node, slot, unit
        self.attempts_of.setdefault(unit, set()).add(attempt)
        self._event(self.driver_free + seconds, "end", attempt)

    def _end(self, attempt: int, now: float) -> int:
        """End an attempt; return 1 if its unit is done by it."""
        if attempt not in self.running:
            return 0  # it was lost with its node, or another attempt was faster
        node, slot, unit = self.running.pop(attempt)
        self.attempts_of[unit].discard(attempt)
        self.free.append((node, slot))
        if self.at.failure and self.random.random() < self.at.failure:
            self.repeated += 1
            self.waiting.insert(0, unit)
            return 0
        for other in self.attempts_of.pop(unit):
            other_node, other_slot, _ = self.running.pop(other)
            self.free.append((other_node, other_slot))
            self.repeated += 1
        self.done[unit] = True
        self.useful += float(self.units[unit])
        return 1

    def _lose(self, node: int, now: float) -> None:
        self.alive[node] = False
        self.free = [(other, slot) for other, slot in self.free if other != node]
        for attempt, (where, _, unit) in list(self.running.items()):
            if where == node:
                del self.running[attempt]
                self.lost += 1
                self.attempts_of[unit].discard(attempt)
                if not self.attempts_of[unit]:
                    self.waiting.insert(0, unit)
        self._event(now + self.at.replaced_s, "join", node)


def drawn(spread: Sequence[float], mean_s: float, count: int, seed: int = 0) -> Seconds:
    """Return `count` durations with the mean `mean_s`; `spread` has their quantiles at equal steps from 0 to 1."""
    shares = np.random.default_rng(seed).random(count)
    values = np.interp(shares, np.linspace(0, 1, len(spread)), np.asarray(spread, dtype=np.float64))
    return np.asarray(values / values.mean() * mean_s if count else values, dtype=np.float64)
