"""What the journals of runs say: the state of a run, and its events as lines."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.console import Group, RenderableType

from mmedc.corpus.outcome import counted
from mmedc.engine.journal import PassState, RunState, runs_in
from mmedc.engine.lock import machine
from mmedc.errors import RequestError
from mmedc.report.grid import Column, Grid, Passage, number, visible
from mmedc.report.progress import clock, shown_name
from mmedc.storage import Store

SILENT_S = 120
"""Seconds without a sign of life after which a run on another machine is taken to have ended."""


def find_run(store: Store, run: str = "") -> RunState:
    """Return the newest run of a folder, or the one that `run` begins. Raises: RequestError where there is none."""
    runs = runs_in(store)
    found = [each for each in runs if each.run.startswith(run)]
    if not found:
        if runs:
            raise RequestError(f"{store.url}: no run {run}; its runs: {', '.join(each.run for each in runs)}")
        raise RequestError(
            f"{store.url}: no run has begun there; of one that was submitted, `mmedc jobs` shows "
            "whether it waits or failed"
        )
    return found[-1]


def standing(run: RunState) -> str:
    """Return how a run stands: its recorded state, or `lost` where it says that it runs but shows no sign of life."""
    if run.state != "running":
        return run.state
    if run.machine == machine():
        return "running" if psutil.pid_exists(run.pid) and run.pid != os.getpid() else "lost"
    return "running" if silence(run) < SILENT_S else "lost"


def silence(run: RunState) -> float:
    """Return the seconds since the last sign of life, by the clocks of both machines."""
    return (datetime.now(UTC) - datetime.fromisoformat(run.at or run.began)).total_seconds()


LIVING = ("running", "lost")
NEXT = {
    "running": "`mmedc logs {url}` shows what happens, `mmedc stop {url}` stops it",
    "lost": "it ended without a word: its process was killed, or its machine is gone; give the same command again, "
    "which resumes it",
    "stopped": "give the same command again, which resumes it",
    "done": "",
}
AFTER = {2: "correct what was asked for; nothing of it was done", 75: "give the same command again, which resumes it"}


def status_tables(url: str, run: RunState) -> RenderableType:
    """Return the state of a run for a terminal."""
    how = standing(run)
    job = f", job {run.job}" if run.job else ""
    parts: list[RenderableType] = [
        Passage(f"{url}: {run.name}, {how}{f' in stage {run.stage}' if how != 'done' else ''}, {clock(run.seconds)}"),
        Passage(
            f"run {run.run} on {run.host}, process {run.pid}{job}; {'last sign of life' if how in LIVING else 'ended'} "
            f"{clock(max(silence(run), 0))} ago"
        ),
    ]
    if len(run.stages) > 1:
        at = run.stages.index(run.stage) if run.stage in run.stages else 0
        marks = ["done" if each < at or how == "done" else how if each == at else "to do" for each in range(9)]
        named = [f"{name} ({mark})" for name, mark in zip(run.stages, marks, strict=False)]
        parts.append(Passage("stages: " + ", ".join(named)))
    if rows := [_row(each) for each in _shown(run.passes)]:
        columns = [Column("pass"), number("units"), number("done"), number("documents", 1), number("kept %", 2)]
        parts += ["", Grid([*columns, number("again", 3), number("failed"), number("time", 4)], rows)]
    if run.values:
        parts.append(Passage(", ".join(f"{name} {_figure(value)}" for name, value in list(run.values.items())[:8])))
    if run.failures:
        parts += ["", *(Passage(visible(line), style="yellow") for line in run.failures[-5:])]
    if run.said and how == "failed":
        parts += ["", Passage(visible(run.said), style="red")]
    said = NEXT[how] if how != "failed" else AFTER.get(run.code or 1, "`mmedc logs {url}` has the tracebacks, if any")
    if said:
        parts += ["", Passage(said.format(url=url))]
    return Group(*parts)


def _figure(value: float) -> str:
    """Return a count with separators of thousands, and any other figure with four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _shown(passes: list[PassState]) -> list[PassState]:
    """Return the passes that did something in this run or are under way, the rounds of one as one."""
    found: dict[str, PassState] = {}
    for each in passes:
        if each.before == each.units and each.seconds is not None:
            continue
        name = shown_name(each.name)
        sum_ = found.setdefault(name, PassState(name=name, units=0, seconds=0.0))
        for field in ("units", "before", "done", "retried", "failed", "read", "kept"):
            setattr(sum_, field, getattr(sum_, field) + getattr(each, field))
        sum_.seconds = None if each.seconds is None or sum_.seconds is None else sum_.seconds + each.seconds
    return list(found.values())


def _row(each: PassState) -> tuple[str, ...]:
    return (
        each.name,
        f"{each.units:,}",
        f"{each.before + each.done:,}",
        f"{each.read:,}" if each.read else "",
        f"{each.kept / each.read:.1%}" if each.read else "",
        f"{each.retried:,}" if each.retried else "",
        f"{each.failed:,}" if each.failed else "",
        "under way" if each.seconds is None else clock(each.seconds),
    )


def event_lines(events: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each event, safe to print."""
    for event in events:
        at = datetime.fromtimestamp(float(event.get("time", 0)), UTC).strftime("%H:%M:%S")
        yield visible(f"{at} {_line(event)}")


def _line(event: dict[str, Any]) -> str:
    what, name = event.get("event"), event.get("pass", "")
    if what == "began":
        return f"{event['name']} begins on {event['host']}, process {event['pid']}"
    if what == "stage":
        return f"stage {event['stage']}"
    if what == "begin":
        before = f", {event['before']:,} done before" if event.get("before") else ""
        return f"{name}: {counted(event['units'], 'unit')}{before}"
    if what == "done":
        read = f", {event['kept']:,} of {counted(event['read'], 'document')}" if "read" in event else ""
        return f"{name}: {event['label']} done in {event['seconds']:.1f} s{read}"
    if what in ("retried", "failed"):
        return f"{name}: {event['label']} {'is tried again' if what == 'retried' else 'failed'}: {event['why']}"
    if what == "end":
        failed = f", {event['failed']:,} failed" if event.get("failed") else ""
        return f"{name}: ended after {event['seconds']:.1f} s, {event['done']:,} done{failed}"
    if what == "ended":
        return f"{event['state']}, exit code {event['code']}{': ' if event['said'] else ''}{event['said']}"
    return str(event)


def jobs_table(jobs: list[dict[str, Any]]) -> RenderableType:
    """Return the jobs of a cluster for a terminal."""
    if not jobs:
        return Passage("no run of mmedc was submitted to this cluster")
    columns = [Column("job"), Column("recipe", rank=1), Column("state"), number("code"), Column("began (UTC)")]
    rows = [
        (
            job["id"],
            job["recipe"],
            job["status"].lower(),
            "" if job["code"] is None else str(job["code"]),
            datetime.fromtimestamp(job["began"], UTC).strftime("%Y-%m-%d %H:%M"),
            visible(job["out"]),
        )
        for job in jobs
    ]
    return Grid([*columns, Column("folder", wrap=True)], rows)
