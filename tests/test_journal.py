"""The journal of a run: what `status`, `logs` and `stop` read and write, beside the results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmedc.engine import journal as journals
from mmedc.engine.journal import Journal, ask_to_stop, events_of, runs_in, traces_of
from mmedc.engine.run import Inline, Progress, run_pass
from mmedc.engine.unit import Commit, Pass, Unit
from mmedc.errors import FolderBusy, UnitsFailed
from mmedc.report.runs import find_run, standing
from mmedc.storage import Store
from tests.conftest import Notes
from tests.enginekit import DropMultiples, Numbers
from tests.test_engine import work


def a_pass(count: int = 3, source: Numbers | None = None) -> Pass[int, object]:
    units = tuple(Unit(f"u{number}", f"unit {number}", 20, 20) for number in range(count))
    return Pass("test", work(DropMultiples(3), source=source or Numbers(5)), units, retries=0)


def mmedc(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "mmedc", *arguments], capture_output=True, text=True)


def test_a_run_says_how_far_it_is_and_how_it_ended(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with Journal(store, "numbers") as journal:
        run_pass(a_pass(), Inline(), store, journal)
        journal._write()
        assert runs_in(store)[0].state == "running"
    (run,) = runs_in(store)
    (one,) = run.passes
    assert (run.state, run.code, one.units, one.done, one.read, one.kept) == ("done", 0, 3, 3, 60, 39)
    assert [event["event"] for event in events_of(store, run.run)] == ["began", "begin", *["done"] * 3, "end", "ended"]
    said = mmedc("status", str(tmp_path))
    assert said.returncode == 0 and "numbers, done" in " ".join(said.stdout.split()) and "65.0%" in said.stdout
    assert json.loads(mmedc("status", str(tmp_path), "--json").stdout)["state"] == "done"
    assert "test: unit 2 done in" in mmedc("logs", str(tmp_path)).stdout
    assert mmedc("status", str(tmp_path / "elsewhere")).returncode == 2


def test_failures_have_their_reason_their_traceback_and_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET_KEY", "hunter2-and-more")
    store = Store(str(tmp_path))
    current = a_pass(2)
    with pytest.raises(UnitsFailed), Journal(store, "numbers") as journal:
        journal.begin(current, 0)
        journal.update(Progress(failed=(current.units[0], "broke on hunter2-and-more"), trace="Traceback\n  a line"))
        raise UnitsFailed("1 of 2 units failed at s3://key:hunter2-and-more@place")
    (run,) = runs_in(store)
    assert (run.state, run.code, run.passes[0].failed) == ("failed", 1, 1)
    assert "unit 0: broke on" in run.failures[0]
    assert "a line" in traces_of(store, run.run)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3 and not any("hunter2" in path.read_text() for path in files)


def test_nothing_is_written_where_nothing_was_begun_or_the_folder_is_gone(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "c"))
    with pytest.raises(FolderBusy), Journal(store, "numbers"):
        raise FolderBusy("another run")
    with Journal(store, "numbers", anchor=".work/recipe") as journal:
        journal.begin(a_pass(), 0)
    assert not (tmp_path / "c").exists()


def test_the_size_is_bounded_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "PART_BYTES", 1_000)
    store, current = Store(str(tmp_path)), a_pass(1)
    with Journal(store, "numbers") as journal:
        journal.begin(current, 0)
        for number in range(2_000):
            journal.update(Progress(done=Commit("u", f"unit {number}", None, 0.1)))
            journal.update(Progress(retried=(current.units[0], "why"), trace="x" * 1_000))
    (run,) = runs_in(store)
    parts = list(tmp_path.glob(f".work/runs/{run.run}/events-*"))
    assert len(parts) <= journals.FIRST_PARTS + journals.LAST_PARTS + 1
    assert len(traces_of(store, run.run)) < journals.TRACES_CHARS + journals.TRACE_CHARS
    events = events_of(store, run.run)
    assert events[0]["event"] == "began" and events[-1]["event"] == "ended"
    for _ in range(journals.KEPT_RUNS + 2):
        with Journal(store, "numbers") as journal:
            journal.begin(current, 1)
    assert len(runs_in(store)) == journals.KEPT_RUNS


def test_a_run_is_stopped_through_its_folder_and_goes_on_later(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line has it
    try:
        with pytest.raises(KeyboardInterrupt), Journal(store, "numbers") as journal:
            journal.beat_s = 0.01
            journal.begin(a_pass(), 0)
            journal._write()
            ask_to_stop(store, runs_in(store)[0])
            time.sleep(60)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert runs_in(store)[0].state == "stopped" and runs_in(store)[0].code == 130
    assert "does not run: stopped" in mmedc("stop", str(tmp_path)).stdout
    assert len(run_pass(a_pass(), Inline(), store, Notes())) == 3


def test_a_run_that_was_killed_is_told_from_one_that_runs(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    code = (
        "import os, sys, time\nfrom mmedc.engine.journal import Journal\nfrom mmedc.storage import Store\n"
        "journal = Journal(Store(sys.argv[1]), 'numbers')\njournal.begin_stage('build')\njournal._write()\n"
        "print('there', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    assert standing(find_run(store)) == "running"
    process.kill()
    process.wait()
    assert standing(find_run(store)) == "lost"
    assert "ended without a word" in mmedc("status", str(tmp_path)).stdout
    assert find_run(store).pid != os.getpid()
