"""The journal of a run: how far it is, what happened, and why it ended, in files beside the manifest.

`.work/runs/<run>/` holds `state.json` (the whole state, replaced every few seconds), `events-NNN.jsonl` (what happened
to passes and units) and `traces.txt` (the tracebacks of attempts that failed, and of the run's own end). They are
written by the process that drives the run, wherever that is, so they can be read while it runs, afterwards, and when
its cluster is gone. Their size is bounded, and secrets are removed from them. A journal that can't be written is no
reason for a run to fail. A file `stop` in the folder asks the run to stop.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import threading
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mmedc import __version__
from mmedc.engine.lock import machine
from mmedc.engine.run import AnyPass, Progress
from mmedc.engine.unit import Accounted
from mmedc.errors import MmedcError
from mmedc.redact import redact
from mmedc.storage import Store, is_local

RUNS = ".work/runs"
KEPT_RUNS = 20
PART_BYTES = 64 << 10  # of a file of events
FIRST_PARTS, LAST_PARTS = 4, 60  # files of events that are kept, from the beginning and from the end: 4 MiB
TRACE_CHARS, TRACES_CHARS = 8_000, 256_000  # of one traceback, and of all
LISTED_PASSES, LISTED_FAILURES = 200, 20
LOCAL_S, REMOTE_S = 2.0, 10.0  # between two writings
QUIET_BEATS = 5  # writings that are left out while nothing changes
JOB = "MMEDC_SUBMISSION"
"""The environment variable in which `mmedc submit` names the job."""

Fate = Literal["running", "done", "failed", "stopped"]


class Recorded(BaseModel):
    """A part of the state. Keys that a later version adds are ignored."""

    model_config = ConfigDict(extra="ignore")


class PassState(Recorded):
    """How far a pass is."""

    name: str
    folder: str = ""
    """Its folder below `.work/`."""
    units: int
    before: int = 0
    """Units that were committed when the pass began: by earlier runs, or while the pass before it ran."""
    done: int = 0
    """Units that this run committed."""
    retried: int = 0
    failed: int = 0
    read: int = 0
    kept: int = 0
    seconds: float | None = None
    """The wall time of the pass; None while it runs."""


class RunState(Recorded):
    """A run, as its last writing says."""

    run: str
    name: str
    """The name of the recipe."""
    state: Fate = "running"
    stages: tuple[str, ...]
    stage: str = ""
    host: str
    machine: str
    pid: int
    job: str = ""
    """The id of the job on a Ray cluster, if `mmedc submit` started the run."""
    version: str = __version__
    began: str
    """The time in UTC, ISO 8601."""
    at: str = ""
    """When this was written, by the clock of the run's own machine."""
    beat: int = 0
    seconds: float = 0.0
    code: int | None = None
    """The exit code; None while it runs."""
    said: str = ""
    """The message of the error that ended it."""
    passes: list[PassState] = []
    failures: list[str] = []
    """The last units that failed or are tried again, and why."""
    values: dict[str, float] = {}
    """Of a training or a scoring: the last values, such as the step and the loss."""


class Journal:
    """Writes the journal of one run to `store`; a context manager and a `mmedc.engine.run.Watcher`.

    Nothing is written before the first pass or stage begins, because a run whose folder belongs to another recipe, or
    to another run, must leave it alone; nor when `anchor`, a file that shows that the folder is there, is gone.
    """

    def __init__(self, store: Store, name: str, stages: Sequence[str] = ("build",), anchor: str = "") -> None:
        self.store, self.anchor = store, anchor
        now = datetime.now(UTC)
        run = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        self.state = RunState(
            run=run,
            name=name,
            stages=tuple(stages),
            stage=stages[0],
            host=socket.gethostname(),
            machine=machine(),
            pid=os.getpid(),
            job=os.environ.get(JOB, ""),
            began=now.isoformat(timespec="seconds"),
        )
        self.folder = f"{RUNS}/{run}"
        self.beat_s = LOCAL_S if is_local(store.url) else REMOTE_S
        self._begun = time.monotonic()
        self._changed, self._open, self._asked = False, False, False
        self._exact = [0, 0]
        self._part, self._part_number, self._part_changed = bytearray(), 0, False
        self._traces, self._traces_changed = "", False
        self._guard, self._ended = threading.RLock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="mmedc-journal", daemon=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: Any) -> None:
        if not self._open:
            return
        state = self.state
        with self._guard:
            if problem is None or (isinstance(problem, SystemExit) and not problem.code):
                state.state, state.code = "done", 0
            elif isinstance(problem, KeyboardInterrupt):
                state.state, state.code, state.said = "stopped", 130, "stopped; the same command resumes it"
            else:
                known = isinstance(problem, MmedcError)
                state.state = "failed"
                state.code = problem.exit_code if isinstance(problem, MmedcError) else 1
                state.said = redact(str(problem) if known else f"{type(problem).__name__}: {problem}")
                if not known:
                    self._trace("the run", "".join(traceback.format_exception(problem)))
            self._event("ended", state=state.state, code=state.code, said=state.said)
        self._ended.set()
        self._thread.join(timeout=2 * self.beat_s)
        self._write()

    def begin_stage(self, stage: str) -> None:
        """Record that a stage of the run begins, such as `train`."""
        self._start()
        with self._guard:
            self.state.stage, self.state.values = stage, {}
            self._event("stage", stage=stage)

    def note(self, values: dict[str, float]) -> None:
        """Record the last values of a training or a scoring, such as the step and the loss."""
        with self._guard:
            self.state.values = values
            self._changed = True

    def begin(self, current: AnyPass, done: int) -> None:
        """Record that a pass begins."""
        self._start()
        with self._guard:
            self._exact = [0, 0]
            self.state.passes.append(
                PassState(name=current.name, folder=current.folder, units=len(current.units), before=done)
            )
            del self.state.passes[:-LISTED_PASSES]
            if done < len(current.units):  # of a pass that is done, the state says enough
                self._event("begin", **{"pass": current.name}, units=len(current.units), before=done)

    def update(self, progress: Progress) -> None:
        """Record progress."""
        now = self.state.passes[-1]
        with self._guard:
            self._changed = True
            if progress.done:
                self._done(now, progress)
            if progress.ahead:
                following, done = progress.ahead
                self._event("done", **{"pass": following.name}, label=done.label, seconds=done.seconds, ahead=True)
            now.read += progress.read
            now.kept += progress.kept
            for event, attempt in (("retried", progress.retried), ("failed", progress.failed)):
                if attempt:
                    unit, why = attempt
                    setattr(now, event, getattr(now, event) + 1)
                    self.state.failures.append(redact(f"{event} {unit.label}: {why}"))
                    del self.state.failures[:-LISTED_FAILURES]
                    self._event(event, **{"pass": now.name}, unit=unit.id, label=unit.label, why=why)
                    if progress.trace:
                        self._trace(f"{now.name}, {unit.label}, {event}", progress.trace)

    def end(self, current: AnyPass, seconds: float) -> None:
        """Record that a pass has ended."""
        with self._guard:
            now = self.state.passes[-1]
            now.seconds, (now.read, now.kept) = round(seconds, 3), self._exact  # live figures may lag behind
            if now.before < now.units:
                self._event("end", **{"pass": now.name}, done=now.done, failed=now.failed, seconds=now.seconds)
            self._changed = True

    def _done(self, now: PassState, progress: Progress) -> None:
        assert progress.done
        done, now.done = progress.done, now.done + 1
        values: dict[str, Any] = {}
        if isinstance(done.left, Accounted) and done.left.funnel:
            counts = list(done.left.funnel.values())
            values = {"read": counts[0].read, "kept": counts[-1].kept}
            self._exact[0] += counts[0].read
            self._exact[1] += counts[-1].kept
        self._event("done", **{"pass": now.name}, label=done.label, seconds=done.seconds, **values)

    def _start(self) -> None:
        if not self._open:
            self._open = True
            self._event("began", name=self.state.name, host=self.state.host, pid=self.state.pid, job=self.state.job)
            self._thread.start()

    def _event(self, event: str, **values: Any) -> None:
        line = redact(json.dumps({"time": round(time.time(), 3), "event": event, **values}, ensure_ascii=False))
        if len(self._part) > PART_BYTES:
            self._write_part()
            self._part_number, self._part = self._part_number + 1, bytearray()
        self._part += line.encode() + b"\n"
        self._part_changed = self._changed = True

    def _trace(self, what: str, trace: str) -> None:
        if len(self._traces) < TRACES_CHARS:
            self._traces += f"--- {what}\n{redact(trace[-TRACE_CHARS:]).rstrip()}\n\n"
            self._traces_changed = self._changed = True

    def _beat(self) -> None:
        quiet = 0
        while not self._ended.wait(0.2 if not self.state.beat else self.beat_s):
            quiet = 0 if self._changed else quiet + 1
            if quiet % QUIET_BEATS == 0:
                self._write()
            self._look_for_stop()

    def _look_for_stop(self) -> None:
        with contextlib.suppress(MmedcError, OSError):
            if not self._asked and self.store.exists(f"{self.folder}/stop"):
                self._asked = True
                interrupt_main_thread()

    def _write(self) -> None:
        """Write what has changed; what can't be written now is written with the next change."""
        with contextlib.suppress(MmedcError, OSError), self._guard:
            if self.anchor and not self.store.exists(self.anchor):
                return  # the folder was deleted, and is not to be made again
            if not self.state.beat:
                self._forget_old()
            self._changed = False
            self.state.at = datetime.now(UTC).isoformat(timespec="seconds")
            self.state.beat += 1
            self.state.seconds = round(time.monotonic() - self._begun, 1)
            self.store.put(f"{self.folder}/state.json", self.state.model_dump_json(indent=1).encode())
            self._write_part()
            if self._traces_changed:
                self.store.put(f"{self.folder}/traces.txt", self._traces.encode())
                self._traces_changed = False

    def _write_part(self) -> None:
        if not self._part_changed or (self.anchor and not self.store.exists(self.anchor)):
            return
        with contextlib.suppress(MmedcError, OSError):
            self.store.put(self._part_name(self._part_number), bytes(self._part))
            self._part_changed = False
            if (old := self._part_number - LAST_PARTS) >= FIRST_PARTS:
                self.store.delete(self._part_name(old))

    def _part_name(self, number: int) -> str:
        return f"{self.folder}/events-{number:03d}.jsonl"

    def _forget_old(self) -> None:
        names = self.store.names(RUNS)
        old = sorted({name.split("/")[2] for name in names} - {self.state.run})[: 1 - KEPT_RUNS]
        for name in names:
            if name.split("/")[2] in old:
                self.store.delete(name)


def interrupt_main_thread() -> None:
    """Interrupt the main thread as Ctrl-C does, also where SIGINT is ignored, as in what a shell runs behind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            return


def runs_in(store: Store) -> list[RunState]:
    """Return the runs whose journals are below `store`, the oldest first."""
    found = []
    for name in sorted(store.names(RUNS)):
        if name.endswith("/state.json"):
            with contextlib.suppress(FileNotFoundError, ValidationError):
                found.append(RunState.model_validate_json(store.get(name)))
    return found


def ask_to_stop(store: Store, run: RunState) -> None:
    """Ask a run to stop; it looks every few seconds, wherever it is."""
    store.put(f"{RUNS}/{run.run}/stop", b"")


def events_of(store: Store, run: str, after: int = 0) -> list[dict[str, Any]]:
    """Return the events of a run from file number `after` on; between the first and the last some may be missing."""
    found: list[dict[str, Any]] = []
    for name in sorted(store.names(f"{RUNS}/{run}"), key=lambda name: (len(name), name)):
        if "/events-" in name and int(name.rsplit("-", 1)[1].removesuffix(".jsonl")) >= after:
            with contextlib.suppress(FileNotFoundError):
                for line in store.get(name).decode("utf-8", "replace").splitlines():
                    with contextlib.suppress(ValueError):
                        found.append(json.loads(line))
    return found


def traces_of(store: Store, run: str) -> str:
    """Return the tracebacks of a run; empty where there are none."""
    with contextlib.suppress(FileNotFoundError):
        return store.get(f"{RUNS}/{run}/traces.txt").decode("utf-8", "replace")
    return ""
