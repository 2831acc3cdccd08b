"""Runs a pass: committed units are skipped, the others go to the runner, and failures are reported."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from mmedc.engine.chain import Funnel, add_funnel, ledger
from mmedc.engine.commit import commit, commits
from mmedc.engine.supervisor import Report, produce_here, supervisor
from mmedc.engine.unit import Commit, CommitFormat, Left, Pass, Spec, Streamed, Unit, UnitFiles, Work
from mmedc.errors import MmedcError, RequestError, UnitsFailed, WorkError
from mmedc.redact import first_line
from mmedc.storage import Store

WORK = ".work"
LISTED_FAILURES = 20

AnyPass = Pass[Any, Any]
AnyUnit = Unit[Any]


@dataclass(frozen=True)
class Progress:
    """News of a pass: records read and kept since the last news, or a unit that is done or tried again."""

    read: int = 0
    kept: int = 0
    done: Commit[Any] | None = None
    failed: tuple[AnyUnit, str] | None = None
    retried: tuple[AnyUnit, str] | None = None
    """A unit whose attempt failed, and why; it will be tried again."""


class Runner(Protocol):
    """Runs the units of a pass somewhere and reports what becomes of them."""

    def run(self, current: AnyPass, units: list[AnyUnit], store: Store) -> Iterator[Progress]:
        """Yield progress until every unit is done or failed; never raises for a unit."""


class Watcher(Protocol):
    """Shows a person how a pass is getting on."""

    def begin(self, current: AnyPass, done: int) -> None:
        """Note that a pass begins, of which `done` units were committed before."""

    def update(self, progress: Progress) -> None:
        """Take in the progress."""

    def end(self, current: AnyPass, seconds: float) -> None:
        """Note that the pass is over."""


LOSSES = 10  # of workers or nodes under one unit, before it is held to be the cause
ROOMY = 3  # losses from which a unit is tried with nothing beside it


class Attempts:
    """How often the units of a pass were tried: what they raised, and losses that need not be their fault."""

    def __init__(self, retries: int) -> None:
        self.retries = retries
        self.raised: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def after(self, unit: AnyUnit, problem: BaseException, lost: bool = False) -> Progress:
        """Return the progress of a failed attempt: `retried` while there is hope, else `failed`.

        `lost` means that a worker or node died, which is not held against the unit until it happens
        again and again.
        """
        why = describe(problem)
        count = self.lost if lost else self.raised
        count[unit.id] += 1
        tries, most = count[unit.id], LOSSES if lost else self.retries + 1
        if tries < most and not isinstance(problem, RequestError):
            return Progress(retried=(unit, why))
        return Progress(failed=(unit, f"{why} (tried {tries} times)" if tries > 1 else why))

    def needs_room(self, unit: AnyUnit) -> bool:
        """Return whether a unit is to be tried with nothing beside it, because its workers keep dying."""
        return self.lost[unit.id] >= ROOMY


def run_unit(
    work: Work[Spec, Left] | Streamed[Spec, Left],
    folder: str,
    unit: Unit[Spec],
    store: Store,
    report: Report,
    isolate: bool = True,
) -> Commit[Left]:
    """Do one unit in this process and commit it below `folder` of `store`; return the commit that holds."""
    begun = time.monotonic()
    out = UnitFiles(store, folder, unit.id)
    left = _streamed(work, unit, out, report, isolate) if isinstance(work, Streamed) else work.run(unit, out)
    return commit(store, folder, unit, left, CommitFormat(work), begun)


def _streamed(work: Streamed[Spec, Left], unit: Unit[Spec], out: UnitFiles, report: Report, isolate: bool) -> Left:
    """Send the records of a unit through its chain, in a child process unless `isolate` is false."""
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
            raise WorkError(f"{unit.label}: keeps over {most >> 20} MiB; raise limits.memory, or cut the input")
        removed += produced.removed
        add_funnel(funnel, produced.funnel)
    return work.finish(unit, batches, out, funnel, out.write("removed", ledger(removed)))


class Inline:
    """Runs units one after the other in this process: for tests, debuggers and one-core machines."""

    def __init__(self, isolate: bool = False) -> None:
        self.isolate = isolate

    def run(self, current: AnyPass, units: list[AnyUnit], store: Store) -> Iterator[Progress]:
        """Yield the progress of each unit; see `Runner`."""
        attempts = Attempts(current.retries)
        for unit in units:
            counts = [0, 0]

            def report(read: int, kept: int, counts: list[int] = counts) -> None:
                counts[0] += read
                counts[1] += kept

            progress = Progress(retried=(unit, ""))
            while progress.retried:
                try:
                    done = run_unit(current.work, current.folder, unit, store, report, self.isolate)
                    progress = Progress(done=done)
                except Exception as problem:
                    progress = attempts.after(unit, problem)
                yield replace(progress, read=counts[0], kept=counts[1])
                counts[:] = [0, 0]


def run_pass(
    current: Pass[Spec, Left], runner: Runner, store: Store, watcher: Watcher, again: bool = False
) -> list[Commit[Left]]:
    """Bring a pass to its end and return the commits of its units, in their order.

    `again` runs units also where they are committed: for work that acts on more than its own files.

    Raises: UnitsFailed with what failed and why, when all that could be done is done and committed.
    """
    begun = time.monotonic()
    work = store.below(WORK)
    done = {} if again else commits(work, current)
    # Two units of one identity are the same work, done once.
    waiting = list({unit.id: unit for unit in current.units if unit.id not in done}.values())
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
    """Return one line that says what went wrong, without secrets."""
    line = first_line(problem)
    return line if isinstance(problem, MmedcError) else f"{type(problem).__name__}: {line}"
