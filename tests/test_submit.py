"""From a recipe to a scored model: on this machine by `pipeline`, on a cluster's job server by `submit`."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from mmedc.cli import app
from mmedc.engine.journal import RunState
from mmedc.errors import RecipeError, RequestError
from mmedc.recipe import read_recipe
from mmedc.report.runs import find_run
from mmedc.storage import Store
from mmedc.submit.client import Job, JobServer
from mmedc.submit.portable import modules_of
from mmedc.submit.stages import Stages
from mmedc.submit.upload import write_package, write_upload
from tests.jobserver import Head

RECIPE = """name: toy
languages: [en, fr]
sources:
  pages: {warc: "shipped:quickstart/pages.warc.gz", kind: web, licence: Apache-2.0}
dedup: {minhash: false}
privacy: false
train:
  name: toy
  model:
    config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2}
  data: {corpora: {medical: corpus}, context: 64, held_out: 0.05, max_epochs: 20}
  steps: 2
  batch: 1
  device: cpu
  checkpoints: {every: 2}
  watch: {log_every: 1, evaluate_every: 2, evaluate_documents: 1, tensorboard: false}
bench: {model: none, items: shipped:questions, limit: 1, device: cpu}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE)
    return path


def run(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mmedc", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def said(*arguments: object) -> str:
    """Return what a command prints that runs in this process, which spares the import of Ray for each."""
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    if done.exception:
        raise done.exception
    return done.stdout


def state_of(out: Path) -> RunState:
    return find_run(Store(str(out)))


@pytest.mark.ray
def test_a_run_on_a_cluster_is_watched_stopped_resumed_and_outlives_it(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    with Head() as head:
        there = ("--address", head.address)
        (tmp_path / "token").write_text("0" * 64)
        stranger = os.environ | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}  # Ray keeps a token that it has read
        refused = run("submit", recipe, "--out", out, *there, env=stranger)
        assert refused.returncode == 2 and "asks for a token" in refused.stderr, refused.stderr
        assert len(refused.stderr.splitlines()) == 1

        whole = ("submit", recipe, "--out", out, "--then", "train,bench", *there)
        job = json.loads(said(*whole, "--json"))["job"]
        attached = json.loads(said(*whole, "--json"))
        assert attached["job"] == job and attached["attached"]
        while not list(out.glob(".work/runs/*/state.json")):
            time.sleep(0.2)
        assert (state_of(out).state, state_of(out).job) == ("running", job)
        assert "stopped" in said("stop", out)

        wrong = ("--set", f"sources.pages.warc={tmp_path}/absent.warc.gz", "--out", tmp_path / "wrong", "--then", "")
        ended = CliRunner().invoke(app, ["submit", str(recipe), *map(str, wrong), *there, "--follow"])
        assert ended.exit_code == 2 and "absent.warc.gz" in ended.stdout, ended.output
        assert "the same submit would fail again" in ended.stderr and not (tmp_path / "wrong").exists()

        resumed = run(*whole, "--follow", cwd=tmp_path)
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        assert "done: build, train, bench" in resumed.stdout
        jobs = json.loads(said("jobs", *there, "--json"))
        assert [each["id"].rpartition("-")[2] for each in jobs] == ["1", "1", "2"]
        assert {each["id"]: each["code"] for each in jobs}[job] == 130
        assert json.loads(said("status", jobs[-1]["id"], *there, "--json"))["status"] == "SUCCEEDED"
        assert "ingest" in said("logs", jobs[-1]["id"], *there)
    state = json.loads(said("status", out, "--json"))
    assert (state["state"], state["code"], state["job"]) == ("done", 0, jobs[-1]["id"])
    assert "stage bench" in said("logs", out)
    assert json.loads((tmp_path / "corpus-model" / "scores" / "scores.json").read_text())["languages"]
    with pytest.raises(RequestError, match="no job server answers"):
        said("jobs", *there)
    assert head.left() == [] and not head.place.exists()


def test_the_stages_of_a_recipe_run_here_and_are_not_done_twice(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    first = run("pipeline", recipe, "--out", out, "--inline", "--json", env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["documents"] > 0 and found["train"]["loss"] > 0 and found["bench"]["languages"]["en"]["items"] == 1
    state = state_of(out)
    assert state.stages == ("build", "train", "bench") and state.state == "done"
    models = {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus-model" / "models").iterdir()}
    again = run("pipeline", recipe, "--out", out, "--inline")
    assert again.returncode == 0 and "done: build, train, bench" in again.stdout, again.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus-model" / "models").iterdir()} == models


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        ("SUCCEEDED", 0, "", 0),
        ("FAILED", 2, "", 2),
        ("FAILED", 75, "", 75),
        ("FAILED", 137, "", 75),  # killed, as by a node that lacks memory
        ("FAILED", -9, "", 75),
        ("FAILED", None, "Job supervisor actor died unexpectedly", 75),
        ("FAILED", None, "Failed to set up runtime environment", 1),
        ("STOPPED", None, "", 130),
    ],
)
def test_the_exit_code_says_whether_the_same_submit_may_succeed(
    status: str, code: int | None, message: str, expected: int
) -> None:
    assert Job("mmedc-toy-0-1", "toy", "/out", "", status, code, message, 0.0).exit_code == expected


def test_a_server_that_is_not_of_ray_is_named_in_one_line() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(RequestError, match="no job server answers there"):
            JobServer(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_what_is_wrong_with_a_later_stage_is_said_before_the_first(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="--then tests: expected"):
        Stages.prepare(str(recipe), str(tmp_path / "c"), [], ("tests",))
    with pytest.raises(RecipeError, match="is no folder; name a model"):
        Stages.prepare(str(recipe), str(tmp_path / "c"), [], ("bench",))
    sets = ["train.data.corpora={a: x, b: y}"]
    with pytest.raises(RecipeError, match="none of them is the corpus that is built"):
        Stages.prepare(str(recipe), str(tmp_path / "c"), sets, None)
    with pytest.raises(RecipeError, match="object store"):
        Stages.prepare(str(recipe), "s3://nowhere/c", [], ("train",))
    assert not (tmp_path / "c").exists()


def test_an_upload_has_the_recipe_and_its_small_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_text("casino.example\n")
    (tmp_path / "own.py").write_text("def length(text: str) -> float:\n    return float(len(text))\n")
    (tmp_path / "large.json").write_bytes(b" " * (17 << 20))
    (tmp_path / "notes.txt").write_text("nothing to do with it")
    (tmp_path / "recipe.yaml").write_text(
        RECIPE + "block: hosts.txt\nmeasures: [{use: 'own:length', name: long}]\ndecontaminate: large.json\n"
    )
    folder = tmp_path / "upload"
    folder.mkdir()
    path = str(tmp_path / "recipe.yaml")
    assert modules_of(read_recipe(path)) == {"own": tmp_path / "own.py"}
    digest = write_upload(folder, read_recipe(path), path, str(tmp_path / "c"), [], ("bench",))
    files = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
    assert [os.path.basename(name) for name in files] == ["hosts.txt", "own.py", "recipe.yaml"]
    values = YAML(typ="safe").load((folder / "recipe.yaml").read_text())
    assert values["block"] == [files[0]] and values["out"] == str(tmp_path / "c") and "train" not in values
    assert values["decontaminate"]["questions"] == [str(tmp_path / "large.json")]
    assert values["sources"]["pages"]["warc"] == ["shipped:quickstart/pages.warc.gz"]
    assert list(values["bench"]["items"]) == ["shipped:questions"]
    assert read_recipe(str(folder / "recipe.yaml")).block == (str(folder / files[0]),)
    again = tmp_path / "again"
    again.mkdir()
    assert write_upload(again, read_recipe(path), path, str(tmp_path / "c"), [], ("bench",)) == digest
    code = "import mmedc, mmedc.recipe as r; print(mmedc.__file__); print(r.read_recipe('quickstart').name)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(write_package(tmp_path / "code").parent)},
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "code" / "mmedc" / "__init__.py"), "quickstart"], done.stderr
