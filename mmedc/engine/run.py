"""Runs a pass: what is committed is passed over, the rest goes to the runner, failures are told."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from mmedc.engine.chain import Funnel, add_funnel, ledger
from mmedc.engine.commit import commit, entries
from mmedc.engine.supervisor import Said, produce_here, supervisor
from mmedc.engine.unit import Entry, Pass, Result, Streamed, Unit
from mmedc.errors import MmedcError, RequestError, UnitsFailed, WorkError
from mmedc.redact import first_line
from mmedc.storage import Store

WORK = ".work"


@dataclass(frozen=True)
class Progress:
    """News of a pass: records read and kept since the last news, or a unit that is done or tried again."""

    read: int = 0
    kept: int = 0
    done: Entry | None = None
    failed: tuple[Unit, str] | None = None
    retried: tuple[Unit, str] | None = None
    """A unit whose attempt came to nothing, and why; it will be tried again."""


class Runner(Protocol):
    """Runs the units of a pass somewhere and tells what becomes of them."""

    def run(self, one: Pass, units: list[Unit], store: Store) -> Iterator[Progress]:
        """Yield news until every unit is done or failed; never raises for a unit."""


class Watcher(Protocol):
    """Shows a person how a pass goes."""

    def begin(self, one: Pass, done: int) -> None:
        """Note that a pass begins, of which `done` units were committed before."""

    def tell(self, news: Progress) -> None:
        """Take the news."""

    def end(self, one: Pass, seconds: float) -> None:
        """Note that the pass is over."""


LOSSES = 10  # of workers or nodes under one unit, before it is held to be the cause
ROOMY = 3  # losses from which a unit is tried with nothing beside it


class Attempts:
    """How often the units of a pass were tried: what they raised, and losses that need not be their fault."""

    def __init__(self, retries: int) -> None:
        self.retries = retries
        self.raised: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def after(self, unit: Unit, problem: BaseException, lost: bool = False) -> Progress:
        """Return the news of a failed attempt: `retried` while there is hope, else `failed`.

        `lost` says that a worker or node went away, which is no error of the unit until it happens
        again and again.
        """
        why = describe(problem)
        count = self.lost if lost else self.raised
        count[unit.id] += 1
        tries, most = count[unit.id], LOSSES if lost else self.retries + 1
        if tries < most and not isinstance(problem, RequestError):
            return Progress(retried=(unit, why))
        return Progress(failed=(unit, f"{why} (tried {tries} times)" if tries > 1 else why))

    def needs_room(self, unit: Unit) -> bool:
        """Tell whether a unit is to be tried with nothing beside it, since its workers keep dying."""
        return self.lost[unit.id] >= ROOMY


def run_unit(one: Pass, unit: Unit, store: Store, said: Said, isolate: bool = True) -> Entry:
    """Do one unit where this is called and commit it; return the entry that holds."""
    begun = time.monotonic()
    if not isinstance(one.work, Streamed):
        return commit(store, one.folder, unit, one.work.run(unit, store), begun)
    produce = supervisor().produce if isolate else produce_here
    batches: list[pa.RecordBatch] = []
    gone: list[dict[str, Any]] = []
    funnel: Funnel = {}
    held, most = 0, one.work.limits.memory
    for produced in produce(one.work, unit, said):
        if produced.kept is not None:
            batches.append(produced.kept)
            held += produced.kept.nbytes
        if held > most:
            raise WorkError(f"{unit.label}: keeps over {most >> 20} MiB; raise limits.memory, or cut the input")
        gone += produced.gone
        add_funnel(funnel, produced.funnel)
    result: Result = one.work.finish(unit, batches)
    result.tables["gone"] = ledger(gone)
    result.funnel = funnel
    return commit(store, one.folder, unit, result, begun)


class Inline:
    """Runs units one after the other in this process: for tests, debuggers and one-core machines."""

    def __init__(self, isolate: bool = False) -> None:
        self.isolate = isolate

    def run(self, one: Pass, units: list[Unit], store: Store) -> Iterator[Progress]:
        """Yield the news of each unit; see `Runner`."""
        attempts = Attempts(one.retries)
        for unit in units:
            counts = [0, 0]

            def said(read: int, kept: int, counts: list[int] = counts) -> None:
                counts[0] += read
                counts[1] += kept

            news = Progress(retried=(unit, ""))
            while news.retried:
                try:
                    news = Progress(done=run_unit(one, unit, store, said, self.isolate))
                except Exception as problem:
                    news = attempts.after(unit, problem)
                yield replace(news, read=counts[0], kept=counts[1])
                counts[:] = [0, 0]


def run_pass(one: Pass, runner: Runner, store: Store, watcher: Watcher) -> list[Entry]:
    """Bring a pass to its end and return the entries of its units, in their order.

    Raises: UnitsFailed with what failed and why, when all that could be done is done and committed.
    """
    begun = time.monotonic()
    work = store.below(WORK)
    done = entries(work, one)
    open_units = [unit for unit in one.units if unit.id not in done]
    watcher.begin(one, len(done))
    failures: list[tuple[Unit, str]] = []
    for news in runner.run(one, open_units, work) if open_units else ():
        watcher.tell(news)
        if news.done:
            done[news.done.unit] = news.done
        if news.failed:
            failures.append(news.failed)
    watcher.end(one, time.monotonic() - begun)
    if failures:
        rows = "\n".join(f"  {unit.label}: {why}" for unit, why in failures[:20])
        more = f"\n  … and {len(failures) - 20} more" if len(failures) > 20 else ""
        raise UnitsFailed(
            f"{one.name}: {len(failures)} of {len(one.units)} units failed; the others are committed.\n{rows}{more}\n"
            "Mend the cause and give the same command again: it goes on with these units."
        )
    return [done[unit.id] for unit in one.units]


def describe(problem: BaseException) -> str:
    """Return one line that says what went wrong, without secrets."""
    said = first_line(problem)
    return said if isinstance(problem, MmedcError) else f"{type(problem).__name__}: {said}"
