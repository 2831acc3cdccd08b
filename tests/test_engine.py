"""The engine's promises, with real crashes of real processes."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.engine.chain import Chain, Count, check_funnel
from mmedc.engine.commit import commit, commits, parquet_bytes, read_table
from mmedc.engine.run import AnyPass, Inline, Progress, run_pass, run_unit
from mmedc.engine.stragglers import Stragglers
from mmedc.engine.unit import Bounds, Commit, CommitFormat, DataFile, Pass, Stream, Streamed, Unit
from mmedc.errors import AccountingError, UnitsFailed
from mmedc.storage import Store
from tests.enginekit import DropMultiples, Lacks, LosesRows, Numbered, Numbers, Trouble, finish

UNITS = tuple(Unit(f"u{n}", f"unit {n}", count, count) for n, count in enumerate((40, 0, 23)))


class Silent:
    def begin(self, current: AnyPass, done: int) -> None: ...
    def update(self, progress: Progress) -> None: ...
    def end(self, current: AnyPass, seconds: float) -> None: ...


ALL_NUMBERS = Numbers()


def work(
    *steps: Any, source: Numbers = ALL_NUMBERS, seconds: float = 2.0, memory: int = 1 << 30
) -> Streamed[int, Numbered]:
    return Streamed(source, steps, finish, Bounds(seconds, memory=memory))


def a_pass(*steps: Any, units: tuple[Unit[int], ...] = UNITS, **options: Any) -> Pass[int, Numbered]:
    return Pass("test", work(*steps, **options), units)


def kept(store: Store, found: list[Commit[Numbered]]) -> list[list[int]]:
    below = store.below(".work")
    return [read_table(below, commit.left.documents)["ordinal"].to_pylist() for commit in found]


def removed(store: Store, commit: Commit[Numbered]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(store.below(".work"), commit.left.removed).to_pylist()
    return rows


def test_a_package_that_a_machine_lacks_fails_the_unit_and_rejects_no_document(tmp_path: Path) -> None:
    with pytest.raises(UnitsFailed, match=r"(?s)2 of 3 units failed.*step lacks lacks a package .*no_such_package"):
        run_pass(a_pass(Lacks()), Inline(), Store(str(tmp_path)), Silent())


def test_rows_are_kept_dropped_and_counted(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    found = run_pass(a_pass(DropMultiples(3), DropMultiples(5)), Inline(), store, Silent())
    assert kept(store, found) == [[n for n in range(c) if n % 3 and n % 5] for c in (40, 0, 23)]
    funnel = found[0].left.funnel
    assert [(name, count.read, count.kept, count.dropped) for name, count in funnel.items()] == [
        ("read", 40, 40, {}),
        ("multiples_3", 40, 26, {"multiple_of_3": 14}),
        ("multiples_5", 26, 21, {"multiple_of_5": 5}),
    ]
    rows = removed(store, found[0])
    assert {row["ordinal"] for row in rows} == {n for n in range(40) if not n % 3 or not n % 5}
    assert all(row["fate"] == "dropped" for row in rows)


@pytest.mark.parametrize("marks", [True, False], ids=["by record", "by batch"])
@pytest.mark.parametrize(
    ("how", "reason"),
    [("segfault", "crash SIGSEGV"), ("exit", "exit 3"), ("spin", "timeout"), ("memory", "memory"), ("raise", "error")],
)
def test_a_poison_document_costs_one_document(tmp_path: Path, how: str, reason: str, marks: bool) -> None:
    store = Store(str(tmp_path))
    bad = (11,) if how in ("spin", "memory") else (11, 12, 30)
    options: dict[str, Any] = {"seconds": 0.4} if how == "spin" else {}
    if how == "memory":
        options["memory"] = 600 << 20
    one = a_pass(DropMultiples(5), Trouble(bad, how, marks), units=UNITS[:1], **options)
    found = run_pass(one, Inline(isolate=True), store, Silent())
    expected = [n for n in range(40) if n % 5 and n not in bad]
    assert kept(store, found) == [expected]
    count = found[0].left.funnel["trouble"]
    lost = [n for n in bad if n % 5]
    assert (count.read, count.kept, count.rejected) == (len(expected) + len(lost), len(expected), {reason: len(lost)})
    rejected = [row for row in removed(store, found[0]) if row["fate"] == "rejected"]
    assert [(row["ordinal"], row["step"], row["reason"]) for row in rejected] == [(n, "trouble", reason) for n in lost]


def test_a_source_that_crashes_costs_one_record(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    one = a_pass(DropMultiples(5), source=Numbers(breaks_at=17), units=UNITS[:1])
    found = run_pass(one, Inline(isolate=True), store, Silent())
    assert kept(store, found) == [[n for n in range(40) if n % 5 and n != 17]]
    assert found[0].left.funnel["read"].rejected == {"crash SIGSEGV": 1}


@given(st.integers(1, 50), st.sets(st.integers(0, 39), max_size=4))
@settings(max_examples=20)
def test_the_result_does_not_depend_on_batches(rows: int, bad: set[int]) -> None:
    results = []
    for size in (rows, 7):
        chain_work = work(DropMultiples(3), Trouble(tuple(bad), "raise"), source=Numbers(size))
        from mmedc.engine.supervisor import produce_here

        produced = list(produce_here(chain_work, UNITS[0], lambda *_: None))
        ordinals = [n for one in produced if one.kept for n in one.kept.column("ordinal").to_pylist()]
        counts = sorted(row["reason"] for one in produced for row in one.removed)
        results.append((ordinals, counts))
    assert results[0] == results[1]


def test_a_step_that_loses_rows_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(UnitsFailed, match=r"step loses turned 7 rows into 6"):
        run_pass(a_pass(LosesRows(), units=UNITS[:1]), Inline(), Store(str(tmp_path)), Silent())


def test_accounts_that_do_not_add_up_are_not_committed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    file = DataFile("p/documents/u0.parquet", "0", 2, 100)
    left = Numbered(documents=file, funnel={"read": Count(read=3, kept=2)}, removed=file)
    with pytest.raises(AccountingError, match="read 3 rows, kept 2"):
        commit(store, "p", UNITS[0], left, CommitFormat(work()), 0.0)
    assert store.names() == []
    with pytest.raises(AccountingError, match="a kept 2 rows, but b read 1"):
        check_funnel({"a": Count(2, 2), "b": Count(1, 1)}, "here")


def test_what_is_committed_is_not_done_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    one = a_pass(DropMultiples(3))
    first = run_pass(replace(one, units=one.units[:2]), Inline(), store, Silent())
    files = {name: (tmp_path / name).stat().st_mtime_ns for name in store.names()}
    again = run_pass(one, Inline(), store, Silent())
    assert again[:2] == first
    assert all((tmp_path / name).stat().st_mtime_ns == then for name, then in files.items())
    assert len(again) == 3


def test_two_attempts_at_once_commit_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    one = a_pass(DropMultiples(3), units=UNITS[:1])
    for attempt in range(20):
        found: list[Commit[Numbered]] = []
        now = replace(one, name=f"test{attempt}")

        def attempt_unit(now: Pass[int, Numbered] = now, found: list[Commit[Numbered]] = found) -> None:
            found.append(run_unit(now.work, now.folder, UNITS[0], store, lambda *_: None, False))

        threads = [threading.Thread(target=attempt_unit) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 2 and found[0] == found[1]
        assert commits(store, now)[UNITS[0].id] == found[0]
        assert len(store.names(f"{now.folder}/documents")) == 1


def test_a_failed_unit_is_named_and_the_others_are_committed(tmp_path: Path) -> None:
    class Reads(Numbers):
        def read(self, count: int, start: int, skip: frozenset[int]) -> Any:
            if count == 23:
                raise OSError("the network is gone")
            yield from super().read(count, start, skip)

    store = Store(str(tmp_path))
    one = a_pass(DropMultiples(3), source=Reads())
    with pytest.raises(UnitsFailed, match=r"(?s)1 of 3 units failed.*unit 2: OSError: the network is gone"):
        run_pass(one, Inline(), store, Silent())
    assert set(commits(store.below(".work"), one)) == {"u0", "u1"}


def test_a_killed_child_leaves_no_process_behind(tmp_path: Path) -> None:
    from mmedc.engine.supervisor import Supervisor

    supervisor = Supervisor()
    stream = supervisor.produce(work(DropMultiples(3), source=Numbers(3)), UNITS[0], lambda *_: None)
    next(stream)
    assert supervisor._child is not None
    pid = supervisor._child.pid
    supervisor.close()
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still lives")


def test_a_chain_names_its_steps() -> None:
    assert Chain((DropMultiples(2),)).names == ["read", "multiples_2"]


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=5)), max_size=60), st.integers(1, 20))
@settings(max_examples=30)
def test_a_file_does_not_depend_on_the_parts_it_came_in(rows: list[tuple[int, str]], part: int) -> None:
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    table = pa.Table.from_pylist([{"n": n, "s": s} for n, s in sorted(rows)], schema)
    whole, count = parquet_bytes(Stream(schema, iter([table]), "n"))
    parts = [table.slice(at, part) for at in range(0, table.num_rows, part)]
    again, _ = parquet_bytes(Stream(schema, iter(parts), "n"))
    assert count == table.num_rows and bytes(whole) == bytes(again)


def test_a_unit_is_late_by_what_others_of_its_size_took() -> None:
    known = Stragglers()
    assert known.late([("a", 10, 1e6)]) is None
    for _ in range(3):
        known.done(10, 20.0)
    assert known.late([("a", 10, 59.0), ("large", 100, 500.0)]) is None
    assert known.late([("a", 10, 61.0), ("b", 10, 90.0)]) == "b"
    assert known.late([("a", 10, 61.0), ("b", 10, 90.0)]) == "a"
    assert known.late([("a", 10, 99.0), ("b", 10, 99.0)]) is None


def test_several_parser_processes_leave_what_one_does(tmp_path: Path) -> None:
    chain, source = (DropMultiples(3), Trouble((7, 13), "segfault")), Numbers(5)
    found = []
    for processes in (1, 3):
        store = Store(str(tmp_path / str(processes)))
        commits = run_pass(a_pass(*chain, source=source), Inline(True, processes), store, Silent())
        funnels = [{name: (each.kept, each.rejected) for name, each in c.left.funnel.items()} for c in commits]
        found.append((kept(store, commits), funnels))
    assert found[0] == found[1] and found[0][1][0]["trouble"][1] == {"crash SIGSEGV": 2}
