"""The script of a Slurm job, run: with stand-ins for the programs of Slurm, which run a step on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmedc.recipe import read_recipe
from mmedc.submit.render import Nodes, slurm
from tests.test_outcomes import lines

pytestmark = pytest.mark.ray
PROGRAMS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; [[ $1 == hostname ]] && echo "127.0.0.2 " && exit; exec "$@"',
    "scontrol": 'if [[ $1 == show ]]; then echo node1; else echo "scontrol $*" >&2; fi',
    "mmedc": f'exec {sys.executable} -m mmedc "$@"',
}


def test_a_job_starts_ray_builds_and_goes_back_into_the_queue_when_its_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    lines(tmp_path / "a.jsonl", 4)
    (tmp_path / "own.py").write_text("import time\n\n\ndef slow(text):\n    time.sleep(60)\n    return 1\n")
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "name: mine\nlanguages: [en]\nsources: {a: {jsonl: a.jsonl, url: url}}\n"
        "measures: [{use: own:slow, name: mine}]\n"
    )
    script = tmp_path / "build.sbatch"
    script.write_text(slurm(read_recipe(str(file)), str(file), str(tmp_path / "out"), [], Nodes(workers=1, cpus=1)))
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    number = str(os.getpid())
    job = {"SLURM_JOB_ID": number, "SLURM_JOB_NODELIST": "node1", "SLURM_SUBMIT_DIR": str(tmp_path), "TMPDIR": "/tmp"}
    log = tmp_path / "log"
    with log.open("w") as said:
        process = subprocess.Popen(
            ["bash", script], cwd=tmp_path, env={**os.environ, **job, "PATH": path}, stdout=said, stderr=said
        )
        until = time.monotonic() + 120
        while not (tmp_path / "out" / ".work" / "recipe").exists() and process.poll() is None:
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)  # whatever came of it, Ray ends with the job
        assert process.wait(timeout=120) == 130, log.read_text()
    assert f"scontrol requeue {number}" in log.read_text()
    state = tmp_path / ".mmedc-ray" / "mmedc"
    assert not (state / "address").exists() and (state / "token").stat().st_mode & 0o77 == 0
