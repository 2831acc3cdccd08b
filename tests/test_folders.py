"""A cluster whose nodes were started in different folders, and do not all see the same disks."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import mmedc
from tests.test_outcomes import lines

pytestmark = pytest.mark.ray
MEASURE = "def length(text):\n    return len(text)\n"
NODE = ("--num-cpus=1", "--object-store-memory=80000000", "--block", "--disable-usage-stats")


def start(folder: Path, *command: str) -> tuple[subprocess.Popen[bytes], Path]:
    folder.mkdir()
    log = folder / "log"
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
    return process, log


def wait_for(log: Path, pattern: str) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := re.search(pattern, log.read_text()):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "hidden").mkdir()
    (folder / "here" / "data").mkdir(parents=True)
    for name in "abc":
        lines(folder / "here" / "data" / f"{name}.jsonl", 4)
    lines(folder / "hidden" / "d.jsonl", 4)
    (folder / "here" / "own.py").write_text(MEASURE)
    recipe = {"name": "mine", "languages": ["en"], "sources": {"a": {"jsonl": "data/*.jsonl", "url": "url"}}}
    recipe |= {"dedup": {"jaccard": 0.99}, "measures": [{"use": "own:length", "name": "mine"}]}
    (folder / "here" / "recipe.yaml").write_text(json.dumps(recipe))
    return folder


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    """Two nodes in folders of their own; the second sees an empty disk in place of `hidden`."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a mount namespace")
    ray = str(Path(sys.executable).parent / "ray")
    head, log = start(place / "head", ray, "start", "--head", "--port=0", "--include-dashboard=false", *NODE)
    nodes = [head]
    try:
        found = wait_for(log, r"--address='[^']+'").split("'")[1]
        wait_for(log, "Ray runtime started")
        hide = f'mount -t tmpfs -o size=1m tmpfs {place / "hidden"} && exec "$@"'
        inner = (ray, "start", f"--address={found}", "--node-ip-address=127.0.0.3", *NODE)
        second, log = start(place / "second", "unshare", "-m", "sh", "-c", hide, "sh", *inner)
        nodes.append(second)
        wait_for(log, "Ray runtime started")
        yield found
    finally:
        for node in reversed(nodes):  # Ray would drain them for half a minute
            own = psutil.Process(node.pid)
            for process in (*own.children(recursive=True), own):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait(timeout=60)


def run(place: Path, address: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmedc", "run", "recipe.yaml", "--address", address, "--json", *more]
    given = {**os.environ, "RAY_AUTH_MODE": "token", **environment}
    return subprocess.run(command, cwd=place / "here", capture_output=True, text=True, timeout=300, env=given)


def test_relative_paths_mean_the_drivers_folder_on_every_node(place: Path, address: str) -> None:
    done = run(place, address, "--out", "out")
    assert done.returncode == 0, done.stderr
    calm = mmedc.build(place / "here" / "recipe.yaml", out=place / "calm", inline=True)
    assert json.loads(done.stdout)["digest"] == calm.manifest.digest
    assert not list((place / "head").glob("o*")) and not list((place / "second").glob("o*"))
    assert not list((place / "here" / "out" / ".work").glob("nodes/*"))


def test_an_input_and_an_output_that_one_node_does_not_see_are_refused(place: Path, address: str) -> None:
    done = run(place, address, "--out", "../hidden/out", "--set", "sources.b.jsonl=../hidden/d.jsonl")
    assert done.returncode == 2 and done.stdout == ""
    said = [line for line in done.stderr.splitlines() if "node 127.0.0.3" in line]
    assert len(said) == 2 and "nothing was run" in done.stderr
    assert f"--out {place / 'hidden' / 'out'} is not the same folder there" in said[0]
    assert f"source b: {place / 'hidden' / 'd.jsonl'} can't be read there" in said[1]
    assert all("a shared disk" in line for line in said)


def check(place: Path, address: str, *more: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "mmedc", "check", "recipe.yaml", "--address", address, "--json", *more]
    given = {**os.environ, "RAY_AUTH_MODE": "token"}
    done = subprocess.run(command, cwd=place / "here", capture_output=True, text=True, timeout=300, env=given)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    return done.returncode, {row["check"]: row for row in found["checks"]}


def test_a_check_says_what_each_node_lacks_before_anything_runs(place: Path, address: str) -> None:
    code, rows = check(place, address, "--out", "checked")
    assert code == 0, rows
    assert {row["state"] for row in rows.values()} <= {"ok", "note"}
    assert rows["CPUs"]["found"] == "2 units at once on 2 nodes"
    assert rows["token"]["found"] == "asked for on 2 nodes" and rows["dashboard"]["found"] == "none"
    assert rows["inputs"]["found"] == "3 files alike on 2 nodes" and rows["models"]["state"] == "ok"
    assert rows["--out"]["found"] == f"{place / 'here' / 'checked'}, the same place on 2 nodes"
    assert not list((place / "here" / "checked").glob(".work/nodes/*"))
    code, rows = check(place, address, "--out", "../hidden/out", "--set", "sources.b.jsonl=../hidden/d.jsonl")
    assert code == 1
    wrong = [row for row in rows.values() if row["state"] == "wrong"]
    assert [row["check"] for row in wrong] == ["--out", "inputs"]
    assert all(row["found"].startswith("node 127.0.0.3 (") and "a shared disk" in row["found"] for row in wrong)


def test_a_wrong_token_is_one_line(place: Path, address: str) -> None:
    (place / "token").write_text("0" * 64)
    done = run(place, address, "--out", "other", RAY_AUTH_TOKEN_PATH=str(place / "token"))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "the cluster asks for a token" in line and "RAY_AUTH_TOKEN_PATH" in line
