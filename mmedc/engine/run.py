"""Running a pass: committed units are skipped, the others are given to the runner, and failures are reported."""

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from mmedc.engine import nursery
from mmedc.engine.chain import Funnel, add_funnel, ledger
from mmedc.engine.commit import commit, commits, names_of_commits
from mmedc.engine.supervisor import produce_here, supervisor
from mmedc.engine.unit import Commit, CommitFormat, Left, Pass, Report, Spec, Streamed, Unit, UnitFiles, Work
from mmedc.errors import MmedcError, RequestError, UnitsFailed, WorkError
from mmedc.redact import first_line
from mmedc.storage import Store

WORK = ".work"
LISTED_FAILURES = 20

AnyPass = Pass[Any, Any]
AnyUnit = Unit[Any]


@dataclass(frozen=True)
class Progress:
    """Progress of a pass: records read and kept since the last report, or a unit that is done, failed or retried."""

    read: int = 0
    kept: int = 0
    done: Commit[Any] | None = None
    failed: tuple[AnyUnit, str] | None = None
    retried: tuple[AnyUnit, str] | None = None
    """A unit whose attempt failed, and the reason; it will be tried again."""
    trace: str = ""
    """The traceback of the attempt that failed."""
    ahead: tuple[AnyPass, Commit[Any]] | None = None
    """A unit that is done of the pass that follows."""


class Runner(Protocol):
    """Runs the units of a pass somewhere and reports their progress."""

    def run(self, current: AnyPass, units: list[AnyUnit], store: Store) -> Iterator[Progress]:
        """Yield progress until every unit is done or failed; the failure of a unit is yielded, not raised."""


@runtime_checkable
class Expecting(Protocol):
    """A runner that can prepare for a pass before it is run."""

    def expect(self, current: AnyPass) -> None:
        """Prepare for a pass, meanwhile."""


@dataclass(frozen=True)
class Following:
    """A pass of which each unit needs what one unit of the pass before it left, and so need not wait for the others.

    Its units may be run, and committed, while that pass runs. The pass then skips them, as it skips those that an
    earlier run committed. So its results, their order and their counts are the same.
    """

    current: AnyPass
    """The pass, without units."""
    unit: Callable[[int, Any], AnyUnit]
    """Returns the unit for the position of a unit in the pass before, and what that left."""

    def over(self, left: Sequence[Any]) -> AnyPass:
        """Return the pass over all that the pass before left."""
        return replace(self.current, units=tuple(self.unit(number, each) for number, each in enumerate(left)))

    @staticmethod
    def numbers(before: AnyPass) -> dict[str, int]:
        """Return the positions of the units of the pass before, by their ids."""
        return {unit.id: number for number, unit in reversed(list(enumerate(before.units)))}

    def ready(self, before: AnyPass, done: dict[str, Commit[Any]], store: Store) -> list[Commit[Any]]:
        """Return those commits of the pass before whose units of this pass are not done."""
        numbers = self.numbers(before)
        units = {unit: self.unit(numbers[unit], commit.left).id for unit, commit in done.items()}
        known = names_of_commits(store, self.current)
        return [done[unit] for unit, own in units.items() if own not in known]


@runtime_checkable
class Overlapping(Protocol):
    """A runner that can run units of two passes at the same time."""

    def overlap(self, following: Following, done: Iterable[Commit[Any]]) -> None:
        """Have units of a following pass run beside those of the next pass, where that saves time.

        `done` are commits of the next pass by earlier runs.
        """


class Watcher(Protocol):
    """Shows the user the progress of a pass."""

    def begin(self, current: AnyPass, done: int) -> None:
        """Record that a pass begins; `done` of its units were committed by earlier runs."""

    def update(self, progress: Progress) -> None:
        """Record the progress."""

    def end(self, current: AnyPass, seconds: float) -> None:
        """Record that the pass has ended."""


MAX_LOSSES = 10  # workers or nodes that may die while they run one unit before the unit is taken to be the cause
EXCLUSIVE_AFTER = 3  # losses after which a unit is run with no other unit at the same time


class Attempts:
    """Counts the failed attempts of each unit of a pass: exceptions, and losses that the unit need not have caused."""

    def __init__(self, retries: int) -> None:
        self.retries = retries
        self.raised: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def after(self, unit: AnyUnit, problem: BaseException, lost: bool = False, trace: str = "") -> Progress:
        """Return the progress of a failed attempt: `retried` while attempts remain, otherwise `failed`.

        `lost` means that a worker or node died. The unit is blamed for that only after `MAX_LOSSES` losses. `trace` is
        the traceback, where `problem` itself does not have it.
        """
        trace = trace or "".join(traceback.format_exception(problem))
        why = describe(problem)
        count = self.lost if lost else self.raised
        count[unit.id] += 1
        tries, most = count[unit.id], MAX_LOSSES if lost else self.retries + 1
        if tries < most and not isinstance(problem, RequestError):
            return Progress(retried=(unit, why), trace=trace)
        return Progress(failed=(unit, f"{why} (tried {tries} times)" if tries > 1 else why), trace=trace)

    def must_run_alone(self, unit: AnyUnit) -> bool:
        """Return whether a unit is to be run with no other unit at the same time, because its workers keep dying."""
        return self.lost[unit.id] >= EXCLUSIVE_AFTER


def run_unit(
    work: Work[Spec, Left] | Streamed[Spec, Left],
    folder: str,
    unit: Unit[Spec],
    store: Store,
    report: Report,
    isolate: bool = True,
) -> Commit[Left]:
    """Run one unit in this process and commit it below `folder` of `store`; return the commit that is valid."""
    begun = time.monotonic()
    out = UnitFiles(store, folder, unit.id, report)
    left = _streamed(work, unit, out, report, isolate) if isinstance(work, Streamed) else work.run(unit, out)
    return commit(store, folder, unit, left, CommitFormat(work), begun)


def _streamed(work: Streamed[Spec, Left], unit: Unit[Spec], out: UnitFiles, report: Report, isolate: bool) -> Left:
    """Pass the records of a unit through its chain, in a child process unless `isolate` is false."""
    produce = supervisor().produce if isolate else produce_here
    batches: list[pa.RecordBatch] = []
    removed: list[dict[str, Any]] = []
    funnel: Funnel = {}
    held, most = 0, work.limits.memory
    for produced in produce(work, unit, report):
        if produced.kept is not None:
            batches.append(produced.kept)
            held += produced.kept.nbytes
        if held > most:
            raise WorkError(
                f"{unit.label}: the documents kept take over {most >> 20} MiB; raise limits.memory, or split the input"
            )
        removed += produced.removed
        add_funnel(funnel, produced.funnel)
    return work.finish(unit, batches, out, funnel, out.write("removed", ledger(removed)))


class Inline:
    """Runs units in this process, without Ray: one after another, or where they are isolated several at a time.

    `isolate` parses in child processes, `processes` at a time; without it one unit after another is run wholly in this
    process, for tests and debuggers.
    """

    def __init__(self, isolate: bool = False, processes: int = 1) -> None:
        self.isolate, self.processes = isolate, processes if isolate else 1

    def expect(self, current: AnyPass) -> None:
        """Have the steps of a pass opened that will soon be run."""
        if self.isolate and isinstance(current.work, Streamed):
            nursery.expect(current.work.source, current.work.steps)

    def run(self, current: AnyPass, units: list[AnyUnit], store: Store) -> Iterator[Progress]:
        """Yield the progress of each unit; see `Runner`."""
        attempts, at_once = Attempts(current.retries), min(self.processes, len(units))
        if at_once < 2 or not isinstance(current.work, Streamed):  # other work is done in this process, not in a child
            for unit in units:
                yield from self._tried(current, unit, store, attempts)
            return
        # A thread waits for each child and writes what it sends. Neither outlasts the pass.
        waiting, reports = deque(sorted(units, key=lambda unit: -unit.bytes)), SimpleQueue[Progress | None]()

        def work() -> None:
            try:
                while True:
                    for report in self._tried(current, waiting.popleft(), store, attempts):
                        reports.put(report)
            except IndexError:
                supervisor().close()
            reports.put(None)

        for number in range(at_once):
            Thread(target=work, name=f"mmedc-unit-{number}", daemon=True).start()
        try:
            while at_once:
                found = reports.get()
                if found is None:
                    at_once -= 1
                else:
                    yield found
        finally:
            waiting.clear()

    def _tried(self, current: AnyPass, unit: AnyUnit, store: Store, attempts: Attempts) -> Iterator[Progress]:
        """Yield the progress of a unit until it is done or has failed."""
        counts = [0, 0]

        def report(read: int, kept: int) -> None:
            counts[0] += read
            counts[1] += kept

        progress = Progress(retried=(unit, ""))
        while progress.retried:
            try:
                progress = Progress(done=run_unit(current.work, current.folder, unit, store, report, self.isolate))
            except Exception as problem:
                progress = attempts.after(unit, problem)
            yield replace(progress, read=counts[0], kept=counts[1])
            counts[:] = [0, 0]


def run_pass(
    current: Pass[Spec, Left],
    runner: Runner,
    store: Store,
    watcher: Watcher,
    again: bool = False,
    following: Following | None = None,
) -> list[Commit[Left]]:
    """Run a pass to its end and return the commits of its units, in the order of the units.

    `again` runs committed units once more, for work that acts on more than its own files. Units of `following` may be
    run meanwhile.

    Raises: UnitsFailed, with each failed unit and its reason, after all other units are committed.
    """
    begun = time.monotonic()
    work = store.below(WORK)
    done = {} if again else commits(work, current)
    # Two units with the same identity are the same work, which is done once.
    waiting = list({unit.id: unit for unit in current.units if unit.id not in done}.values())
    if following and waiting and isinstance(runner, Overlapping):
        runner.overlap(following, following.ready(current, done, work))
    watcher.begin(current, len(current.units) - len(waiting))
    failures: list[tuple[Unit[Spec], str]] = []
    for progress in runner.run(current, waiting, work) if waiting else ():
        watcher.update(progress)
        if progress.done:
            done[progress.done.unit] = progress.done
        if progress.failed:
            failures.append(progress.failed)
    watcher.end(current, time.monotonic() - begun)
    if failures:
        rows = "\n".join(f"  {unit.label}: {why}" for unit, why in failures[:LISTED_FAILURES])
        more = f"\n  … and {len(failures) - LISTED_FAILURES} more" if len(failures) > LISTED_FAILURES else ""
        raise UnitsFailed(
            f"{current.name}: {len(failures)} of {len(current.units)} units failed; the others are committed.\n"
            f"{rows}{more}\nFix the cause and give the same command again: it resumes with these units."
        )
    return [done[unit.id] for unit in current.units]


def describe(problem: BaseException) -> str:
    """Return one line that states the problem, without secrets."""
    line = first_line(problem)
    return line if isinstance(problem, MmedcError) else f"{type(problem).__name__}: {line}"
