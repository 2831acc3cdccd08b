"""What becomes of a command on a cluster when Ray ends it, and of processes whose parent ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ATTENDED = """
import os, signal, sys, time
from mmedc.cli import attended
from mmedc.errors import TryAgain
attended.want()
try:
    attended.attend("HOST:6379")
except TryAgain as problem:
    print(problem)
    sys.exit(problem.exit_code)
"""


def attend(then: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ATTENDED + then]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_command_that_ray_ends_without_a_word_can_be_tried_again() -> None:
    process = attend("os._exit(1)")
    said = process.communicate()[0]
    assert process.returncode == 75 and "give the same command again" in said


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_command_that_ends_by_itself_keeps_its_exit_code(code: int) -> None:
    process = attend(f"attended.end({code}); sys.exit({code})")
    assert process.communicate()[0] == "" and process.returncode == code


def test_a_command_that_is_killed_is_not_taken_for_one_that_ray_ended() -> None:
    process = attend("os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate()
    assert process.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_command(number: signal.Signals) -> None:
    process = attend(
        f"waited = {{{number:d}}}; signal.pthread_sigmask(signal.SIG_BLOCK, waited); print('ready', flush=True)\n"
        "signal.sigwait(waited); attended.end(130); sys.exit(130)"
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 130


def test_the_command_ends_with_its_attendant() -> None:
    process = attend("print(os.getpid(), flush=True); time.sleep(600)")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert process.stdout.read() == ""  # the pipe closes when the last process that has it ends
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(child, 0)
            time.sleep(0.05)


def test_a_build_runs_as_the_first_process_of_a_container(tmp_path: Path) -> None:
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs namespaces of its own, which this machine does not allow")
    (tmp_path / "texts.jsonl").write_text('{"text": "Asthma is a disease of the airways."}\n')
    (tmp_path / "recipe.yaml").write_text("name: n\nlanguages: [en]\nsources: {t: {jsonl: texts.jsonl}}\n")
    build = [sys.executable, "-m", "mmedc", "run", "recipe.yaml", "--inline", "--quiet", "--out", "out"]
    done = subprocess.run([*alone, *build], cwd=tmp_path, capture_output=True, text=True)
    assert "can't start" not in done.stderr and (tmp_path / "out" / "manifest.json").exists()
