"""Checkpoints: written in the background, complete or absent, verified before use, and pruned.

A checkpoint is a folder such as `step-00000100` with a distributed checkpoint of torch, which any number of devices
can read, `state.json` (step, stream, guard) and `files.json` (size and hash of every file). It is written under
another name, and renamed when it is complete.
"""

import hashlib
import json
import shutil
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.tensor import DTensor

from mmedc.errors import CorpusError, RecipeError
from mmedc.redact import first_line
from mmedc.train.config import Checkpoints, InitFrom

# Without a process group a single process is intended.
warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)

FILES, STATE = "files.json", "state.json"
Found = tuple[Path, dict[str, Any]]
"""An intact checkpoint and its state."""


@dataclass
class Keeper:
    """Saves and prunes the checkpoints of a run."""

    folder: Path
    settings: Checkpoints
    rank: int = 0
    group: Any = None
    """A gloo group for saving only: on a group that another thread uses, an asynchronous save can deadlock."""
    _under_way: Future[None] | None = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def save(self, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Save the state after `step` steps. Waits for the save before it, and returns when the values are copied."""
        self.wait()
        part, whole = self.folder / f".step-{step:08d}.part", self.folder / f"step-{step:08d}"
        if self.rank == 0:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        if dist.is_initialized():
            dist.barrier()
        weights, moments = get_state_dict(model, optimizer, options=_options(model))
        moments = _mapped(_in_float, moments)
        written = async_save({"model": weights, "optimizer": moments}, checkpoint_id=part, process_group=self.group)
        self._under_way = self._thread.submit(self._finish, written, part, whole, {**state, "step": step})

    def _finish(self, written: Any, part: Path, whole: Path, state: dict[str, Any]) -> None:
        written.result()
        if self.rank:
            return
        (part / STATE).write_text(json.dumps(state))
        files = {path.name: [path.stat().st_size, _hash(path)] for path in sorted(part.iterdir())}
        (part / FILES).write_text(json.dumps(files))
        shutil.rmtree(whole, ignore_errors=True)
        part.rename(whole)
        self._prune()

    def wait(self) -> None:
        """Wait until the save under way is complete. Raises: what saving raised."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None

    def _prune(self) -> None:
        every = self.settings.every_kept
        for path in _steps(self.folder)[: -self.settings.keep]:
            if every is None or int(path.name.removeprefix("step-")) % every:
                shutil.rmtree(path)


def newest(folder: Path) -> Found | None:
    """Return the newest intact checkpoint of a folder with its state, or None. Damaged checkpoints are skipped."""
    for path in reversed(_steps(folder)):
        if not damage(path):
            return path, json.loads((path / STATE).read_text())
    return None


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def damage(path: Path) -> str:
    """Return what is wrong with a checkpoint, or an empty string."""
    try:
        files = json.loads((path / FILES).read_text())
    except (OSError, ValueError):
        return f"{path}: no readable {FILES}"
    for name, (size, digest) in files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size or _hash(file) != digest:
            return f"{file}: not what {FILES} says"
    return ""


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _options(model: torch.nn.Module) -> StateDictOptions:
    # The frozen weights below adapters are read from the base checkpoint again.
    frozen = any(not p.requires_grad for p in model.parameters())
    return StateDictOptions(ignore_frozen_params=frozen, strict=not frozen)


def load(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load a checkpoint into a model and its optimizer, on any number of devices."""
    weights, moments = get_state_dict(model, optimizer, options=_options(model))
    read = _mapped(_in_float, moments)
    dcp_load({"model": weights, "optimizer": read}, checkpoint_id=path)
    moments = _mapped(_in_its_own_form, moments, read)
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=moments, options=_options(model))


def load_model(path: Path, model: torch.nn.Module) -> None:
    """Load the weights of a checkpoint into a model, on any number of devices."""
    weights = get_model_state_dict(model, options=_options(model))
    dcp_load({"model": weights}, checkpoint_id=path)
    set_model_state_dict(model, weights, options=_options(model))


def beginning(settings: InitFrom) -> Found | None:
    """Return the checkpoint that a run begins with, or None where there is no intact one."""
    where = Path(settings.checkpoint)
    if (where / STATE).is_file():
        return None if damage(where) else (where, json.loads((where / STATE).read_text()))
    return newest(where / "checkpoints")


def begin_from(
    settings: InitFrom, model: torch.nn.Module, optimizer: torch.optim.Optimizer, tokenizer: str, found: Found | None
) -> dict[str, Any]:
    """Load what a run begins with (`beginning`), and return its state. `tokenizer`: the digest of the run's own.

    Raises: RecipeError where there is no intact checkpoint, or where it is of another model or tokenizer.
    """
    if found is None:
        where = settings.checkpoint
        raise RecipeError(f"init_from.checkpoint: {where} is no intact checkpoint, and no run that has one")
    path, state = found
    trained = state["record"]["data"]["tokenizer"]
    if trained != tokenizer:
        raise RecipeError(f"init_from.checkpoint: {path} has the tokenizer {trained[:12]}…, this run {tokenizer[:12]}…")
    # The schedule and the decay are those of this run, whereas a checkpoint has those of its own.
    options = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    try:
        if settings.optimizer:
            load(path, model, optimizer)
        else:
            load_model(path, model)
    except (CheckpointException, RuntimeError, ValueError, KeyError) as problem:
        raise RecipeError(
            f"init_from.checkpoint: {path} is of another model than this run's ({first_line(problem)}); give `model` "
            f"as {path.parent.parent}/run.json has it"
        ) from None
    for group, own in zip(optimizer.param_groups, options, strict=True):
        group.update(own)
    return state


def _mapped(function: Any, value: Any, *others: Any) -> Any:
    """Apply `function` to each leaf of nested dicts and lists, together with the leaves of `others` at its place."""
    if isinstance(value, dict):
        return {key: _mapped(function, item, *(other[key] for other in others)) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(function, *items) for items in zip(value, *others, strict=True)]
    return function(value, *others)


def _quantised(value: Any) -> bool:
    """Return whether a moment is an 8-bit tensor of torchao, which distributed checkpoints cannot stage."""
    return hasattr(value.to_local() if isinstance(value, DTensor) else value, "qmap")


def _in_float(value: Any) -> Any:
    """Return an 8-bit moment in float32, from which quantisation gives the same 8 bits again."""
    if not _quantised(value):
        return value
    if isinstance(value, DTensor):
        local = value.to_local().dequantize(torch.float32)  # type: ignore[call-arg]
        return DTensor.from_local(local, value.device_mesh, value.placements, shape=value.shape, stride=value.stride())
    return value.dequantize(torch.float32)


def _in_its_own_form(value: Any, read: Any) -> Any:
    """Return the values that were read, in 8 bits where the moment is."""
    if not _quantised(value):
        return read
    local, found = (side.to_local() if isinstance(side, DTensor) else side for side in (value, read))
    local.copy_(found)
    return value


def differences(saved: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Return a line for each value that has changed since the run was started."""
    lines = []
    for key in sorted({*saved, *now}):
        before, after = saved.get(key), now.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"  {prefix}{key}: {before} → {after}")
    return lines


def _corpora(record: dict[str, Any]) -> dict[str, str]:
    """Return the digests of the corpora of a run by their names; a fine-tuning has none."""
    found: dict[str, str] = record.get("data", {}).get("corpora", {})
    return found


def _short(digest: str) -> str:
    return f"{digest[:19]}…"


def check_same(saved: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Check that a run is resumed with the data it was started with. Raises: CorpusError with every difference.

    The number of steps may change; earlier versions recorded it.
    """
    lines = differences({key: value for key, value in saved.items() if key != "steps"}, now)
    before, after = _corpora(saved), _corpora(now)
    changed = [name for name in before if before[name] != after.get(name)]
    if changed and before.keys() == after.keys():  # the rest of the differences follows from this
        name, others = changed[0], f" (and {len(changed) - 1} more corpora)" if len(changed) > 1 else ""
        raise CorpusError(
            f'{folder}: this run was started on corpus "{name}" {_short(before[name])}, which is now '
            f"{_short(after[name])}{others}: documents were forgotten, or it was built anew; train into another folder "
            "with --out, or restore that version"
        )
    if lines:
        raise CorpusError(
            f"{folder}: this run was started with other data:\n" + "\n".join(lines) + "\n"
            "Restore what it was started with, or train into another folder with --out"
        )
