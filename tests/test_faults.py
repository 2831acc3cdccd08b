"""What the engine does when processes are killed, disks are full and people press Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmedc.engine.chain import check_funnel
from mmedc.engine.commit import read_table
from mmedc.engine.run import MAX_LOSSES, Attempts, Inline, run_pass, run_unit
from mmedc.engine.supervisor import PATIENCE, Supervisor
from mmedc.engine.unit import Bounds, UnitFiles
from mmedc.errors import RequestError, StorageError, UnitsFailed, WorkError
from mmedc.report.log import Log, Watchers
from mmedc.storage import Store
from tests.enginekit import DropMultiples, Numbers, Trouble
from tests.test_engine import UNITS, Silent, a_pass, kept, removed, work


def alone(one: Any, tmp_path: Path) -> tuple[list[int], list[tuple[int, str]]]:
    """Run a pass of one unit; return the ordinals kept, and (ordinal, reason) of what was rejected."""
    store = Store(str(tmp_path / "out"))
    found = run_pass(one, Inline(isolate=True), store, Silent())
    check_funnel(found[0].left.funnel, "here")
    rejected = [(row["ordinal"], row["reason"]) for row in removed(store, found[0]) if row["fate"] == "rejected"]
    return kept(store, found)[0], rejected


@pytest.mark.parametrize("marks", [True, False], ids=["by record", "by batch"])
def test_a_parser_killed_from_outside_costs_no_document(tmp_path: Path, marks: bool) -> None:
    (tmp_path / "scars").mkdir()
    step = Trouble((11, 30), "killed", marks, str(tmp_path / "scars"), times=PATIENCE["killed"] - 1)
    assert alone(a_pass(step, units=UNITS[:1]), tmp_path) == (list(range(40)), [])


def test_a_record_at_which_the_parser_is_always_killed_is_held_guilty(tmp_path: Path) -> None:
    numbers, rejected = alone(a_pass(Trouble((11,), "killed"), units=UNITS[:1]), tmp_path)
    assert rejected == [(11, "killed SIGKILL")] and len(numbers) == 39


def test_memory_that_was_there_before_is_not_a_records_fault(tmp_path: Path) -> None:
    (tmp_path / "scars").mkdir()
    step = Trouble((11,), "memory", scars=str(tmp_path / "scars"))
    one = a_pass(step, units=UNITS[:1], memory=600 << 20)
    assert alone(one, tmp_path) == (list(range(40)), [])


def test_a_record_has_a_limit_of_memory_of_its_own(tmp_path: Path) -> None:
    bounds = Bounds(2.0, document_memory=300 << 20)
    one = replace(a_pass(units=UNITS[:1]), work=replace(work(Trouble((11,), "memory")), limits=bounds))
    numbers, rejected = alone(one, tmp_path)
    assert rejected == [(11, "memory")] and len(numbers) == 39


def test_a_source_that_dies_even_when_the_record_is_passed_over_costs_the_rest_of_its_unit(tmp_path: Path) -> None:
    one = a_pass(DropMultiples(5), source=Numbers(breaks_at=17, even_skipped=True), units=UNITS[:1])
    numbers, rejected = alone(one, tmp_path)
    assert numbers == [n for n in range(17) if n % 5]
    assert rejected == [(17, "rest_unread")]


def test_a_unit_has_a_limit_of_time(tmp_path: Path) -> None:
    bounds = Bounds(20.0, unit_seconds=0.3)
    one = replace(a_pass(units=UNITS[:1]), work=replace(work(Trouble((3,), "spin")), limits=bounds), retries=0)
    with pytest.raises(UnitsFailed, match=r"over 0\.3 CPU seconds for one unit"):
        alone(one, tmp_path)


def test_what_a_unit_keeps_is_bounded(tmp_path: Path) -> None:
    one = replace(a_pass(units=UNITS[:1]), work=replace(work(), limits=Bounds(memory=1000)), retries=0)
    with pytest.raises(WorkError, match=r"unit 0: the documents kept take over 0 MiB; raise limits\.memory"):
        run_unit(one.work, one.folder, UNITS[0], Store(str(tmp_path)), lambda *_: None, isolate=False)


def test_a_unit_left_in_the_middle_does_not_leak_into_the_next() -> None:
    supervisor = Supervisor()
    stream = supervisor.produce(work(source=Numbers(3)), UNITS[0], lambda *_: None)
    next(stream)
    stream.close()
    again = list(supervisor.produce(work(source=Numbers(3)), UNITS[2], lambda *_: None))
    supervisor.close()
    assert [n for one in again if one.kept for n in one.kept.column("ordinal").to_pylist()] == list(range(23))


def test_tries_are_counted_and_bounded() -> None:
    attempts, unit = Attempts(retries=2), UNITS[0]
    tries = [attempts.after(unit, OSError("no")) for _ in range(3)]
    assert [bool(news.retried) for news in tries] == [True, True, False]
    assert tries[-1].failed == (unit, "OSError: no (tried 3 times)")
    assert attempts.after(UNITS[1], RequestError("wrong")).failed == (UNITS[1], "wrong")
    assert not attempts.must_run_alone(UNITS[2])
    losses = [attempts.after(UNITS[2], RuntimeError("node"), lost=True) for _ in range(MAX_LOSSES)]
    assert all(news.retried for news in losses[:-1]) and losses[-1].failed
    assert attempts.must_run_alone(UNITS[2])


def test_an_attempt_that_failed_is_tried_again_and_told(tmp_path: Path) -> None:
    """A disk that refuses one write; the log holds unit and reason, and no secret."""

    class Flaky(Store):
        def put(self, name: str, data: Any) -> None:
            if not (tmp_path / "once").exists():
                (tmp_path / "once").touch()
                raise StorageError("s3://user:hunter2-hunter2@host/x: SlowDown")
            super().put(name, data)

        def below(self, folder: str) -> Store:
            return Flaky(f"{self.url}/{folder}")

    log = Log(str(tmp_path / "logs" / "log.jsonl"))
    run_pass(a_pass(DropMultiples(3), units=UNITS[:1]), Inline(), Flaky(str(tmp_path / "c")), Watchers(Silent(), log))
    log.close()
    text = (tmp_path / "logs" / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines] == ["begin", "retried", "done", "end"]
    assert lines[1]["label"] == "unit 0" and "SlowDown" in lines[1]["why"] and "hunter2" not in text
    done = lines[2]
    assert (done["unit"], done["read"], done["kept"], done["dropped"], done["rejected"]) == ("u0", 40, 26, 14, 0)
    assert len(done["shards"]) == 2 and all(name.startswith("test-") for name in done["shards"])


def test_a_log_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="--log"):
        Log(str(tmp_path / "file" / "log"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of 256 KiB, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_build_goes_on_when_there_is_room(small_disk: Path) -> None:
    store = Store(str(small_disk))
    files = UnitFiles(store, "p", "u0")
    table = pa.table({"text": [os.urandom(20_000).hex() for _ in range(20)]})
    with pytest.raises(StorageError, match=r"p/documents/u0-\w+\.parquet: the disk is full; make room"):
        files.write("documents", table)
    assert store.names("p") == []
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert read_table(store, files.write("documents", table)).equals(table)
    assert len(store.names("p")) == 1  # nothing is left of the attempt that failed


def test_a_flipped_byte_is_found_before_it_is_data(tmp_path: Path) -> None:
    """By the checksum of its page; what lies behind the pages (indexes, footer) is guarded by the file's SHA-256."""
    store = Store(str(tmp_path))
    table = pa.table({"n": list(range(300)), "text": [f"patient {n} with fever" * 3 for n in range(300)]})
    file = UnitFiles(store, "p", "u0").write("documents", table)
    path = tmp_path / file.path
    data = path.read_bytes()
    columns = [pq.ParquetFile(path).metadata.row_group(0).column(n) for n in range(2)]
    first = min(one.dictionary_page_offset or one.data_page_offset for one in columns)
    silent = []
    for at in range(first, first + sum(one.total_compressed_size for one in columns), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            if not read_table(store, file).equals(table):
                silent.append(at)
        except (OSError, pa.ArrowException):
            continue
    assert not silent


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def run_quickstart(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "mmedc", "run", "quickstart", "--out", str(out), "--json", *more]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("where", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_build_that_is_stopped_says_so_leaves_no_process_and_goes_on(tmp_path: Path, how: int, where: str) -> None:
    out = tmp_path / "c"
    more = ["--inline"] if where == "inline" else ["--address", "local", "--cpus", "1"]
    process = subprocess.Popen(
        run_quickstart(out, *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a suite in the background ignores it
    )
    for _ in range(6000):
        parsers = [one for one in living(children_of(process.pid)) if "mmedc.engine.child" in " ".join(one.cmdline())]
        if len(parsers) > 1:  # the nursery, and one that it forked
            break
        time.sleep(0.02)
    family = children_of(process.pid)
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert said.strip() == "interrupted; committed units are kept: give the same command again to resume"
    psutil.wait_procs(family, timeout=30)
    assert [one.cmdline() for one in living(family)] == []
    assert not (out / "manifest.json").exists()
    if where == "inline" and how == signal.SIGINT:
        assert subprocess.run(run_quickstart(out, "--inline"), capture_output=True).returncode == 0


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for one in processes:
        try:
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE and one.cmdline():
                found.append(one)
        except psutil.NoSuchProcess:
            continue
    return found
