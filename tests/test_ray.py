"""The same passes on real Ray, started on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mmedc.corpus.verify import verify
from mmedc.engine.run import Inline
from tests.test_build import Build, Notes, read_recipe

pytestmark = pytest.mark.ray


def command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "mmedc", "run", "quickstart", "--out", str(out), "--json", *more]


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("calm")
    manifest = Build.prepare(read_recipe("quickstart"), str(out / "c")).run(Inline(), Notes())
    return str(manifest.digest)


def run(out: Path, *more: str) -> dict[str, Any]:
    done = subprocess.run(command(out, *more), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("cpus", ["1", "2"])
def test_any_number_of_workers_leaves_the_same_corpus(tmp_path: Path, digest: str, cpus: str) -> None:
    found = run(tmp_path / "c", "--cpus", cpus)
    assert found["digest"] == digest
    assert sum(row["seconds"] for row in found["funnel"]) > 0
    verify(str(tmp_path / "c"))


def test_a_build_killed_half_way_goes_on(tmp_path: Path, digest: str) -> None:
    out = tmp_path / "c"
    process = subprocess.Popen(command(out, "--cpus", "2"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    for _ in range(6000):
        if list(out.glob(".work/ingest-*/units/*.json")) or process.poll() is not None:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    assert not (out / "manifest.json").exists()
    assert run(out, "--cpus", "2")["digest"] == digest
    verify(str(out))


def test_a_finished_build_starts_no_ray(tmp_path: Path, digest: str) -> None:
    out = tmp_path / "c"
    Build.prepare(read_recipe("quickstart"), str(out)).run(Inline(), Notes())
    code = (
        "import sys; sys.argv = ['mmedc', 'run', 'quickstart', '--out', sys.argv[1], '--json']\n"
        "import ray; ray.init = None\n"
        "from mmedc.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["digest"] == digest
