"""Runs that stop, go on with more steps, and begin with what another run has learnt."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")

import torch

from mmedc.engine.run import Inline
from mmedc.errors import CorpusError, RecipeError
from mmedc.train import checkpoint
from mmedc.train.config import InitFrom, ModelSettings, Optimizer, read_train
from mmedc.train.exporting import newest
from mmedc.train.group import PeerLost, losses_explained
from mmedc.train.launch import tokenised
from mmedc.train.launch import train as train_here
from mmedc.train.loop import run as run_loop
from mmedc.train.model import build
from mmedc.train.optimizer import adamw
from mmedc.train.stopping import StopFile, Stopping
from mmedc.train.tokens import open_tokenizer
from tests.test_train import QUIET, TINY, losses, recipe, start, tokenizer_file, workers

__all__ = ["recipe", "tokenizer_file"]  # fixtures

FEW = ("watch.evaluate_every=1000", "checkpoints.every=1000")


def run(recipe: Path, out: Path, *sets: str, report: Any = lambda step, values: None) -> dict[int, float]:
    """The losses of a run of one process, here."""
    settings = read_train(str(recipe), [*FEW, *sets])
    train_here(tokenised(settings, str(out), Inline(), QUIET), report)
    return losses(out)


def steps_of(out: Path) -> list[int]:
    """The steps that are saved."""
    return [int(path.name.removeprefix("step-")) for path in sorted((out / "checkpoints").glob("step-*"))]


@pytest.fixture(scope="module")
def first(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps."""
    out = tmp_path_factory.mktemp("first") / "run"
    run(recipe, out, "steps=6")
    return out


def test_a_run_that_is_done_goes_on_with_more_steps(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    sets = "optimizer.schedule=constant", "optimizer.warmup=0"
    before = run(recipe, out, "steps=4", *sets)
    after = run(recipe, out, "steps=7", *sets)
    assert {step: after[step] for step in range(4)} == before and sorted(after) == list(range(7))
    assert after == run(recipe, tmp_path / "whole", "steps=7", *sets)
    with pytest.raises(CorpusError, match="this run has 7 steps already, and steps is 5; raise steps"):
        run(recipe, out, "steps=5", *sets)


def test_a_run_begins_with_the_weights_of_another(recipe: Path, first: Path, tmp_path: Path) -> None:
    fresh = losses(first)
    sets = [f"init_from.checkpoint={first}", "steps=2", "seed=9", "data.shares={'*/en': 0.5}", "optimizer.warmup=0"]
    found = run(recipe, tmp_path / "run", *sets)
    assert sorted(found) == [0, 1] and found[0] < fresh[0] - 0.2
    annealed = run(
        recipe, tmp_path / "annealed", *sets, "init_from.optimizer=true", "optimizer.schedule=wsd", "optimizer.decay=1"
    )
    assert annealed[0] == found[0] and annealed[1] != found[1]
    with pytest.raises(RecipeError, match="is of another model than this run's"):
        run(recipe, tmp_path / "other", *sets, "model.config.hidden_size=64")
    with pytest.raises(RecipeError, match="no intact checkpoint"):
        run(recipe, tmp_path / "none", "steps=2", f"init_from.checkpoint={tmp_path}")


def test_the_optimizer_comes_with_the_weights_and_keeps_its_settings(first: Path, tokenizer_file: Path) -> None:
    tokenizer = open_tokenizer(str(tokenizer_file))
    made = []
    for with_optimizer in (False, True):
        model = build(ModelSettings(config=TINY), tokenizer, 64, 1)
        optimizer = adamw(model.parameters(), Optimizer(weight_decay=0.7))
        start_from = InitFrom(checkpoint=str(newest(first)), optimizer=with_optimizer)
        checkpoint.begin_from(start_from, model, optimizer, tokenizer.digest, checkpoint.beginning(start_from))
        assert optimizer.param_groups[0]["weight_decay"] == 0.7
        made.append((model, optimizer.state))
    (weights, empty), (same, moments) = made
    assert all(torch.equal(a, b) for a, b in zip(weights.parameters(), same.parameters(), strict=True))
    assert not empty and all(state["exp_avg"].abs().sum() > 0 for state in moments.values())
    with pytest.raises(RecipeError, match="has the tokenizer"):
        start_from = InitFrom(checkpoint=str(first))
        checkpoint.begin_from(start_from, weights, optimizer, "0" * 64, checkpoint.beginning(start_from))


def test_the_step_at_which_a_run_is_stopped_is_saved(recipe: Path, tmp_path: Path) -> None:
    def stop(step: int, values: dict[str, float]) -> None:
        if step == 2 and "loss" in values:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "run", "steps=6", report=stop)
    assert steps_of(tmp_path / "run") == [3] and signal.getsignal(signal.SIGTERM) == before
    assert run(recipe, tmp_path / "run", "steps=6") == run(recipe, tmp_path / "whole", "steps=6")


def test_workers_are_asked_to_stop_by_a_file(recipe: Path, tmp_path: Path) -> None:
    """For they receive no signals."""
    out = tmp_path / "run"
    job = tokenised(read_train(str(recipe), [*FEW, "steps=6"]), str(out), Inline(), QUIET)
    out.mkdir()
    stop = StopFile(out)
    with pytest.raises(KeyboardInterrupt):
        run_loop(job.settings, job.prepare(), lambda step, values: stop.ask() if step == 1 else None, stop)
    assert steps_of(out) == [2]


def test_one_process_that_is_asked_to_stop_stops_all_after_the_same_step(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(recipe, out, "processes=2", "steps=5000", "data.max_epochs=1e9", *FEW)
    while process.poll() is None and len(losses(out)) < 3:
        time.sleep(0.05)
    workers(process)[1].send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    (step,) = steps_of(out)
    assert process.returncode == 130 and f"step-{step:08d} is kept: give the same command again" in said
    assert step == len(losses(out))


def test_a_run_that_is_stopped_before_its_first_step_ends_at_once(recipe: Path, tmp_path: Path) -> None:
    """The processes are still starting."""
    out = tmp_path / "run"
    process = start(recipe, out, "processes=2", *FEW)
    while process.poll() is None and not workers(process):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and not losses(out) and "Traceback" not in said
    assert "no checkpoint was written yet: the same command begins again at step 0" in said


def test_a_signal_is_kept_once_there_is_something_to_keep() -> None:
    with Stopping() as stopping, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    with Stopping() as stopping:
        stopping.keep()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[unbound_buffer.cc:78] Timed out waiting 5000ms for recv operation", "waited 0.5 minutes"),
        ("[pair.cc:553] Connection closed by peer [127.0.0.1]:33965.", "lost another process"),
    ],
)
def test_waiting_for_a_process_that_is_gone_is_explained(said: str, expected: str) -> None:
    with pytest.raises(PeerLost, match=expected), losses_explained(1, 0.5):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="shape"), losses_explained(1, 0.5):
        raise RuntimeError("shape mismatch")


def test_checkpoints_by_the_clock_and_the_last_one(recipe: Path, tmp_path: Path) -> None:
    run(recipe, tmp_path / "clock", "steps=3", "checkpoints.minutes=1e-9", "checkpoints.keep=9")
    assert steps_of(tmp_path / "clock") == [1, 2, 3]
    run(recipe, tmp_path / "none", "steps=3", "checkpoints.last=false")
    assert steps_of(tmp_path / "none") == []
