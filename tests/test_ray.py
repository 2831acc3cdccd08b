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
    command = [sys.executable, "-m", "mmedc", "run", "quickstart", "--out", str(out), "--json"]
    return [*command, "--address", "local", *more]


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


def test_any_number_of_workers_leaves_the_same_corpus(tmp_path: Path, digest: str) -> None:
    found = run(tmp_path / "c", "--cpus", "1")
    assert found["digest"] == digest
    assert sum(row["seconds"] for row in found["funnel"]) > 0
    verify(str(tmp_path / "c"))


def run_by(code: str, out: Path) -> dict[str, Any]:
    """Run quickstart as the command does, after some code."""
    arguments = "sys.argv = ['mmedc', 'run', 'quickstart', '--out', sys.argv[1], '--json', '--cpus', '2']"
    code = f"import sys; {arguments}\n{code}\nfrom mmedc.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "said": done.stderr}


def test_passes_over_much_run_on_ray_and_the_others_here(tmp_path: Path, digest: str) -> None:
    code = "from mmedc.engine import local; local.LITTLE, local.LEAST = 30_000, 10_000"
    found = run_by(code, tmp_path / "c")
    assert found["digest"] == digest and "without Ray" not in found["said"]
    verify(str(tmp_path / "c"))


def test_a_small_build_starts_no_ray(tmp_path: Path, digest: str) -> None:
    assert run_by("sys.modules['ray'] = None", tmp_path / "c")["digest"] == digest


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
    code = "import ray; ray.init = None\nfrom mmedc.engine import local; local.LITTLE = local.LEAST = 0"
    assert run_by(code, out)["digest"] == digest
