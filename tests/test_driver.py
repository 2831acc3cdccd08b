"""The driver reads a file once, some at a time; a task reads what is its own, however many tasks there are."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmedc.dedup.groups import GroupOfUnits, SortDrops
from mmedc.dedup.records import DROP, cut, group_of, owner_of, read_cut
from mmedc.engine.commit import commits, read_groups, write_table
from mmedc.engine.identity import identity_of
from mmedc.engine.run import WORK, Inline, run_pass
from mmedc.engine.unit import DataFile, Pass, Unit, UnitFiles
from mmedc.recipe import read_recipe
from mmedc.sources import list_units
from mmedc.storage import READERS, Store, read_each
from tests.conftest import Notes
from tests.enginekit import Counted


@dataclass(frozen=True)
class Rows:
    """Leaves as many rows as its unit's number. Unit spec: the number."""

    def run(self, unit: Unit[int], out: UnitFiles) -> Counted:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        return Counted(out.write("documents", pa.table({"n": list(range(unit.spec))})))


@dataclass(frozen=True)
class CountingStore(Store):
    """A store that counts what is asked of it."""

    asked: Counter[str] = field(default_factory=Counter, compare=False)

    def get(self, name: str) -> bytes:
        self.asked["get"] += 1
        return super().get(name)

    def names(self, prefix: str = "") -> list[str]:
        self.asked["names"] += 1
        return super().names(prefix)

    def open_input(self, name: str) -> Any:
        self.asked["open"] += 1
        return super().open_input(name)


def test_a_commit_is_read_once_and_listed_with_the_others(tmp_path: Path) -> None:
    units = tuple(Unit.of(number, f"rows {number}", 1) for number in range(40))
    every = Pass("rows", Rows(), units)
    done = run_pass(every, Inline(), Store(str(tmp_path)), Notes())
    store = CountingStore(str(tmp_path / WORK))
    some = Pass("rows", Rows(), units[:30])
    found = commits(store, some)
    assert [found[unit.id] for unit in some.units] == done[:30]
    assert store.asked == {"names": 1, "get": 30}


def test_reads_keep_their_order_and_few_are_under_way() -> None:
    lock, most, taken, done = threading.Lock(), 0, 0, 0

    def items() -> Any:
        nonlocal taken, most
        for number in range(500):
            taken += 1
            most = max(most, taken - done)
            yield number

    def read(number: int) -> int:
        with lock:
            return 2 * number

    for number, value in enumerate(read_each(read, items())):
        assert value == 2 * number
        done += 1
    assert done == 500
    assert most <= 2 * READERS + 1


def test_the_first_failing_read_is_raised() -> None:
    def read(number: int) -> int:
        if number >= 5:
            raise ValueError(f"item {number}")
        return number

    seen = []
    with pytest.raises(ValueError, match="item 5"):
        seen.extend(read_each(read, range(100)))
    values = read_each(read, range(100))
    assert [next(values) for _ in range(5)] == [0, 1, 2, 3, 4]


def test_footers_are_read_at_once_and_units_stay_in_the_order_of_their_files(tmp_path: Path) -> None:
    for number in range(50):
        table = pa.table({"text": [f"text {row}" for row in range(1 + number % 3)]})
        pq.write_table(table, tmp_path / f"{number:02d}.parquet", row_group_size=1)
    recipe = f"name: small\nlanguages: [en]\nsources:\n  texts:\n    parquet: {tmp_path}/*.parquet\n"
    (tmp_path / "recipe.yaml").write_text(f"{recipe}    kind: web\n    licence: none\nlimits:\n  unit: 1\n")
    units = list_units(read_recipe(str(tmp_path / "recipe.yaml")))
    expected = [(f"{number:02d}.parquet", (row, row + 1)) for number in range(50) for row in range(1 + number % 3)]
    assert [(unit.spec.inputs[0].name, unit.spec.row_groups) for unit in units] == expected


@pytest.mark.parametrize("owners", [1, 8])
def test_a_unit_reads_its_own_drops_however_many_owners_there_are(tmp_path: Path, owners: int) -> None:
    ends = (0, 3, 5)
    drops = [(unit << 32 | row, "near_duplicate", 7 << 32, 0.9) for unit in (4, 0, 2, 1) for row in (9, 3, 5)]
    table = pa.table([list(column) for column in zip(*drops, strict=True)], schema=DROP)
    owner = owner_of(table["place"].to_numpy(), owners)
    store = CountingStore(str(tmp_path))
    files: list[DataFile] = []
    for number in range(owners):
        own = table.filter(pa.array(owner == number))
        stream = cut(own, group_of(own["place"].to_numpy(), ends), len(ends) - 1)
        files.append(write_table(store, "drops", stream, f"{number}"))
    work, found = SortDrops(tuple(files)), []
    for group in (GroupOfUnits(0, 0, 3), GroupOfUnits(1, 3, 5)):
        store.asked.clear()
        unit = Unit.of(group, "units", 1)
        left = work.run(unit, UnitFiles(store, "sorted", unit.id))
        assert store.asked["open"] <= owners
        for part, number in enumerate(range(group.first, group.end)):
            store.asked.clear()
            rows = read_groups(store, left.drops, [part])
            assert store.asked["open"] == 1
            assert set((rows["place"].to_numpy() >> 32).tolist()) <= {number}
            found += rows.to_pylist()
        assert read_cut(store, (left.drops,), 0, DROP).schema == DROP
    assert sorted(row["place"] for row in found) == [row["place"] for row in found]
    assert [row["place"] for row in found] == sorted(place for place, *_ in drops)


def test_what_states_its_identity_is_known_by_it_and_a_class_by_its_name() -> None:
    file = DataFile("folder/name.parquet", "abc", 1, 2)
    assert identity_of(file) == "abc"
    assert identity_of(DataFile) == "DataFile"
    with pytest.raises(TypeError, match="has no identity"):
        identity_of(object())
