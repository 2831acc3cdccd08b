"""Nodes die, come, and go slow under a pass; see `tests.clusters` for the scenes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ray


def scene(name: str, folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.clusters", name, str(folder)],
        capture_output=True, text=True, timeout=400, env=environment, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.strip().splitlines()  # Ray says nothing there, whatever it loses
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_node_that_dies_costs_its_units_another_try_and_a_new_one_helps(tmp_path: Path) -> None:
    found = scene("nodes_come_and_go", tmp_path)
    assert found["kept"] and found["held"] == 5
    assert found["alive"] == ["127.0.0.2", "127.0.0.4"]
    assert found["asked"] == [["127.0.0.2", "here"], ["127.0.0.4", "here"]]  # a third was lost meanwhile
    most, least, at_the_end = found["told"]
    assert most == 8 and least < 8 and at_the_end == 0  # units for which the autoscaler is asked to make room
    assert found["retried"]
    assert all("Died" in why or "Crashed" in why or "Lost" in why for why in found["retried"])


def test_an_attempt_that_ends_after_its_retry_changes_nothing_and_passes_overlap(tmp_path: Path) -> None:
    found = scene("a_slow_attempt_ends_after_its_retry", tmp_path)
    assert found == {
        "attempted twice near the end": True,
        "equal": True,
        "late": True,
        "entries": ["units/u0.json"],
        "files": 1,
        # what two drivers on a cluster ask its autoscaler for is the sum of both
        "a pass on GPUs begins before the other ends": {"equal": True, "units": 6, "early": True, "told": [5, 8, 3, 0]},
    }


def test_a_head_that_dies_is_said_and_the_pass_goes_on_under_another(tmp_path: Path) -> None:
    found = scene("the_head_dies", tmp_path)
    assert found["killed"]["code"] == 1 and "committed units are kept" in found["killed"]["lost"]
    assert found["resumed"]["code"] == 0 and found["resumed"]["kept"] and found["resumed"]["before"] >= 1
