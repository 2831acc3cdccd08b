"""A nursery opens the steps once for all parser processes, and any of its own troubles costs nothing but time."""

import os
import signal
from pathlib import Path

import pytest

from mmedc.engine import nursery
from mmedc.engine.run import Inline, run_pass
from mmedc.engine.supervisor import Supervisor
from mmedc.errors import UnitsFailed
from mmedc.storage import Store
from tests.enginekit import DropMultiples, Opens
from tests.test_engine import UNITS, Silent, a_pass, kept, work

EXPECTED = [[n for n in range(count) if n % 3] for count in (40, 0, 23)]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    one = nursery._Nurseries()
    monkeypatch.setattr(nursery, "_nurseries", lambda: one)


def opened(folder: Path, how: str = "") -> set[int]:
    """Run a pass by two processes at a time; return the processes that opened its steps."""
    notes, store = folder / "notes", Store(str(folder / "out"))
    notes.mkdir()
    one = a_pass(DropMultiples(3), Opens(str(notes), how))
    assert kept(store, run_pass(one, Inline(isolate=True, processes=2), store, Silent())) == EXPECTED
    return {int(name) for name in os.listdir(notes)}


def test_steps_are_opened_once(tmp_path: Path) -> None:
    assert opened(tmp_path) == {nursery._nurseries().get()._process.pid}


@pytest.mark.parametrize("how", ["thread", "dies"])
def test_steps_that_can_not_be_opened_before_a_fork_are_opened_after_it(tmp_path: Path, how: str) -> None:
    processes = opened(tmp_path, how)
    assert len(processes) >= 2 and nursery._nurseries().get()._process.pid not in processes


def test_steps_that_raise_say_so(tmp_path: Path) -> None:
    with pytest.raises(UnitsFailed, match="OSError: no model"):
        opened(tmp_path, "raises")


def test_a_nursery_that_is_killed_is_replaced(tmp_path: Path) -> None:
    supervisor = Supervisor()
    for _ in range(2):
        rows = [one.next_ordinal for one in supervisor.produce(work(DropMultiples(3)), UNITS[0], lambda *_: None)]
        assert rows[-1] == 40
        process = nursery._nurseries().get()._process
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    supervisor.close()
    assert supervisor._child is None
