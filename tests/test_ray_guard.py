"""Who may talk to a Ray that mmedc starts, what it tells of itself, and that requests that can't be met end."""

import json
import os
import re
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mmedc.engine.chain import Count
from mmedc.engine.meters import Meters
from mmedc.engine.run import Progress
from mmedc.engine.runner import OnRay, _own_token
from mmedc.engine.unit import Accounted, Commit, DataFile
from mmedc.errors import RequestError

ROOT = Path(__file__).parent.parent


@pytest.mark.ray
def test_a_ray_of_ours_lets_no_stranger_in(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.guarded", str(tmp_path)],
        capture_output=True, text=True, timeout=400, cwd=ROOT,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_metrics_report_interval_ms": "1000"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["done"] == 8
    assert found["another token"].startswith("refused") and found["no token"].startswith("refused"), found
    assert all(ip.endswith("127.0.0.1") for ip in found["dashboard"])


def test_the_dashboard_for_grafana_asks_for_the_numbers_that_the_runner_gives() -> None:
    asked = set(re.findall(r"ray_(mmedc_\w+?)(?:_total)?\b", (ROOT / "cluster" / "grafana.json").read_text("utf-8")))
    given = set(re.findall(r'"(mmedc_\w+)"', (ROOT / "mmedc" / "engine" / "meters.py").read_text("utf-8")))
    assert asked == given and len(given) == 5


def test_the_meters_count_what_the_entries_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what came in between: the last words of a short unit may come late."""
    told: Counter[str] = Counter()

    class Meter:
        def __init__(self, name: str, *_: object) -> None:
            self.name = name

        def inc(self, value: float, tags: dict[str, str]) -> None:
            told[f"{self.name} {' '.join(tags.values())}"] += int(value)

    monkeypatch.setattr("ray.util.metrics.Counter", Meter)
    monkeypatch.setattr("ray.util.metrics.Gauge", Meter)
    meters = Meters("ingest")
    funnel = {"read": Count(10, 9, {}, {"broken": 1}), "prefilter": Count(9, 4, {"prefilter": 3}, {"odd": 2})}
    meters.count(Progress(read=3, kept=1))
    file = DataFile("removed.parquet", "0", 4, 100)
    meters.count(Progress(done=Commit("u", "a", Accounted(funnel=funnel, removed=file), 1.0)))
    meters.count(Progress(done=Commit("v", "b", None, 1.0)))
    assert told == {
        "mmedc_documents_read ingest": 10,
        "mmedc_documents_kept ingest": 4,
        "mmedc_documents_rejected ingest": 3,
        "mmedc_units ingest done": 2,
    }


def test_a_token_is_made_that_only_its_user_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("HOME", str(tmp_path))
    _own_token()
    path = tmp_path / ".ray" / "auth_token"
    token = path.read_text()
    assert len(token) == 64 and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "RAY_AUTH_MODE" not in os.environ  # Ray then asks for tokens by itself
    path.chmod(0o644)
    _own_token()
    assert path.read_text() == token and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_address_at_which_nothing_answers_is_said_at_once() -> None:
    with pytest.raises(RequestError, match=r"--address 127\.0\.0\.1:9: nothing answers there"):
        OnRay(address="127.0.0.1:9").start()
