"""The training loop on one device of several. Step `n` reads batch `n`, wherever and whenever it runs."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils import deterministic

from mmedc.errors import CorpusError, WorkError
from mmedc.tokenizer import Tokenizer
from mmedc.train import checkpoint, measure
from mmedc.train.accuracy import AccuracyWindows
from mmedc.train.config import Train
from mmedc.train.families import check_packing
from mmedc.train.group import any_of, from_first, host_group, losses_explained
from mmedc.train.loader import Loader, targets_in
from mmedc.train.model import Trained, build, cast_parameters, flops, matrix_parameters, prepare
from mmedc.train.optimizer import SpikeGuard, adamw, lr_at, set_lr
from mmedc.train.samples import Samples, cut_off
from mmedc.train.stopping import Asked
from mmedc.train.stream import TrainingStream
from mmedc.train.windows import Evaluation, Interrupted

SKIPS = 10
"""After so many skipped steps in a row the run has diverged, and stops."""
Report = Callable[[int, dict[str, float]], None]
"""Receives a step and the values that were logged for it."""


@dataclass
class Prepared:
    """What every process of a run needs, besides the settings."""

    stream: TrainingStream
    held_out: measure.HeldOut
    questions: AccuracyWindows
    tokenizer: Tokenizer
    folder: Path


@dataclass(frozen=True)
class RankInfo:
    """The place of this process among the processes of a run."""

    rank: int
    ranks: int
    device: torch.device
    mesh: Any

    @classmethod
    def find(cls, device: str) -> "RankInfo":
        """Return the place of this process in the process group, or the only place where there is no group."""
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        if not cuda:
            here = torch.device("cpu")
        else:
            here = torch.device("cuda", rank % torch.cuda.device_count())
            torch.cuda.set_device(here)
        mesh = None
        if dist.is_initialized():
            from torch.distributed.device_mesh import init_device_mesh

            mesh = init_device_mesh(here.type, (ranks,))
        return cls(rank, ranks, here, mesh)


def precision_of(settings: Train, device: torch.device) -> torch.dtype:
    """Return the dtype that a device computes in."""
    if settings.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return getattr(torch, settings.precision)  # type: ignore[no-any-return]


def run(
    settings: Train,
    prepared: Prepared,
    report: Report = lambda step, values: None,
    stopping: Asked | None = None,
) -> dict[str, float]:
    """Train from the newest checkpoint, or from the start, to the last step, and return the last values.

    Every process of the run calls this. Raises: CorpusError when the run was started with other data, or for more
    steps; WorkError when it diverges, or when another process ends or is waited for in vain; KeyboardInterrupt when
    one of the processes was asked to stop (`stopping`), after the step that it was at is saved.
    """
    place = RankInfo.find(settings.device)
    with losses_explained(place.rank, settings.wait_minutes):
        return _run(settings, prepared, place, report, stopping)


def _run(
    settings: Train, prepared: Prepared, place: RankInfo, report: Report, stopping: Asked | None
) -> dict[str, float]:
    torch.use_deterministic_algorithms(place.device.type == "cpu")
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # no uninitialised memory is read
    precision = precision_of(settings, place.device)
    # Two groups: a save goes on in a thread of its own, and a group used from two threads at a time can deadlock.
    saving, flagging = (host_group(settings.wait_minutes) for _ in range(2))
    model = _built(settings, prepared, place, saving)
    if settings.optimizer.states != "float32":
        cast_parameters(model, torch.bfloat16)
    shape = (matrix_parameters(model), model.base.config.num_hidden_layers, _width(model.base.config))
    model = prepare(model, settings.model, place.device, precision, place.mesh, place.rank)
    model.train()  # `transformers` loads a checkpoint in evaluation mode
    optimizer = adamw(model.parameters(), settings.optimizer)
    guard = SpikeGuard(settings.optimizer.spike)
    keeper = checkpoint.Keeper(prepared.folder / "checkpoints", settings.checkpoints, place.rank, saving)
    record = {"data": prepared.stream.record(), "batch": settings.batch}
    first = _resume(settings, prepared, place, keeper, record, model, optimizer, guard)
    saves = _Saves(settings, flagging, stopping)
    watch = _Watch(settings, prepared, place, shape, first, report)
    autocast = _autocast(place, precision)
    evaluation = Evaluation(model, autocast, place.device, settings.micro_batch, place.rank, place.ranks, saves.asked)
    asked = settings.watch
    samples = Samples(asked.prompts, asked.prompt_tokens, prepared.tokenizer, settings.data.context)
    skipped = 0
    arguments = (settings.batch, settings.micro_batch, place.rank, place.ranks, place.device.type == "cuda")
    with Loader(prepared.stream, first, settings.steps, *arguments) as loader:
        for step in range(first, settings.steps):
            if step == first:
                saves.begin()
            loss, norm = _step(settings, model, optimizer, place, loader, step, watch, autocast)
            spike = guard.spike(loss, norm)
            if spike:
                skipped += 1
                watch.spike(step, loss, norm)
                if skipped == SKIPS:
                    raise WorkError(
                        f"step {step}: the run diverges: {SKIPS} steps in a row were skipped (loss {loss:.3g}, "
                        f"gradient norm {norm:.3g}). Their documents are in {prepared.folder / 'spikes.jsonl'}; lower "
                        "optimizer.lr, or raise optimizer.spike, and run the same command to resume"
                    )
            else:
                skipped = 0
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            done = step + 1
            last = done == settings.steps
            watch.step(step, loss, norm, float(optimizer.param_groups[0]["lr"]), last)
            if done % settings.watch.evaluate_every == 0 or last:
                model.eval()  # without dropout
                with contextlib.suppress(Interrupted):  # an evaluation may take longer than a scheduler waits
                    for windows in (prepared.held_out, prepared.questions):
                        watch.values(step, windows.evaluate(evaluation))
                    samples.write(step, settings.seed, evaluation, prepared.folder)
                model.train()
            if saves.due(done):
                keeper.save(done, model, optimizer, {"record": record, "guard": guard.state()})
            if saves.stop:
                break
    keeper.wait()
    if dist.is_initialized():
        dist.barrier()
    watch.close()
    if saves.stop:
        raise KeyboardInterrupt
    return watch.last


def _built(settings: Train, prepared: Prepared, place: RankInfo, group: Any) -> Trained:
    """Return the model, checked. The first process alone has its weights, and checks that packing suits it."""
    context = settings.data.context

    def made(empty: bool) -> Trained:
        return build(settings.model, prepared.tokenizer, context, settings.seed, settings.optimizer.z_loss, empty)

    model = made(empty=place.rank > 0)
    from_first(place.rank, lambda: check_packing(model, context), group)
    return model


def _resume(
    settings: Train,
    prepared: Prepared,
    place: RankInfo,
    keeper: checkpoint.Keeper,
    record: dict[str, Any],
    model: Trained,
    optimizer: torch.optim.Optimizer,
    guard: SpikeGuard,
) -> int:
    """Load what the run goes on from, or begins with; return the number of its steps so far.

    The first process alone reads every file of a checkpoint to check its hash.
    """
    if found := from_first(place.rank, lambda: checkpoint.newest(keeper.folder), keeper.group):
        path, state = found
        checkpoint.check_same(state["record"], record, prepared.folder)
        checkpoint.load(path, model, optimizer)
        guard.load(state["guard"])
        if state["step"] > settings.steps:
            raise CorpusError(
                f"{path}: this run has {state['step']:,} steps already, and steps is {settings.steps:,}; raise steps, "
                "or train into another folder with --out"
            )
        return int(state["step"])
    if start := settings.init_from:
        found = from_first(place.rank, lambda: checkpoint.beginning(start), keeper.group)
        state = checkpoint.begin_from(start, model, optimizer, prepared.tokenizer.digest, found)
        if start.optimizer:
            guard.load(state["guard"])
    return 0


class _Saves:
    """Decides after which steps a checkpoint is saved, alike on all devices."""

    def __init__(self, settings: Train, group: Any, stopping: Asked | None) -> None:
        self._settings, self._group, self._stopping = settings, group, stopping
        self._at = time.monotonic()
        self.stop = False
        """Whether a process was asked to stop."""

    def begin(self) -> None:
        """Keep requests to stop from now on. Raises: KeyboardInterrupt if there was one, as nothing is lost yet."""
        if self._stopping is not None:
            self._stopping.keep()
        if self.asked():
            raise KeyboardInterrupt

    def asked(self) -> bool:
        """Return whether any process was asked to stop. Every process asks this at the same time."""
        return any_of([self._stopping is not None and self._stopping.asked], self._group)[0]

    def due(self, done: int) -> bool:
        """Return whether to save the state after `done` steps."""
        minutes = self._settings.checkpoints.minutes
        late = minutes is not None and time.monotonic() - self._at >= 60 * minutes
        late, asked = any_of([late, self._stopping is not None and self._stopping.asked], self._group)
        last = done == self._settings.steps
        self.stop = asked and not last
        due = late or self.stop or done % self._settings.checkpoints.every == 0
        if due or (last and self._settings.checkpoints.last):
            self._at = time.monotonic()
            return True
        return False


def _step(
    settings: Train,
    model: Trained,
    optimizer: torch.optim.Optimizer,
    place: RankInfo,
    loader: Loader,
    step: int,
    watch: "_Watch",
    autocast: Any,
) -> tuple[float, float]:
    """Leave the gradients of a step in the model; return the mean loss of a target, and the norm before clipping."""
    begun = time.perf_counter()
    batches = next(loader)
    watch.stalled += time.perf_counter() - begun
    targets = torch.tensor(float(targets_in(batches)), device=place.device)
    if place.mesh is not None:
        dist.all_reduce(targets)
    set_lr(optimizer, lr_at(step, settings.steps, settings.optimizer))
    torch.manual_seed((settings.seed << 32) + step * place.ranks + place.rank)  # for dropout
    total = torch.zeros((), device=place.device)
    for index, waiting in enumerate(batches):
        batch = waiting.to(place.device)
        if place.mesh is not None:
            model.set_requires_gradient_sync(index == len(batches) - 1)  # type: ignore[operator]
        with autocast():
            summed, losses = model(batch)
        # FSDP averages over devices, whereas the loss is the mean over all targets of the step.
        (summed * (place.ranks / targets)).backward()
        total += summed.detach()
        watch.tally.add(batch, losses)
        watch.work(batch.lengths)
    norm = torch.nn.utils.clip_grad_norm_(
        [p for p in model.parameters() if p.grad is not None], settings.optimizer.clip
    )
    if place.mesh is not None:
        dist.all_reduce(total)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return float(total / targets), float(norm)


def _autocast(place: RankInfo, precision: torch.dtype) -> Any:
    """Return a context in which a single device computes in `precision`. With a mesh, FSDP casts instead."""
    if place.mesh is not None or precision == torch.float32:
        return contextlib.nullcontext
    return lambda: torch.autocast(place.device.type, precision)


def _width(config: Any) -> int:
    heads = config.num_attention_heads
    return int(heads * (getattr(config, "head_dim", None) or config.hidden_size // heads))


class _Watch:
    """Collects the values of each step, and logs them on the first device."""

    def __init__(
        self,
        settings: Train,
        prepared: Prepared,
        place: RankInfo,
        shape: tuple[int, int, int],
        first: int,
        report: Report,
    ) -> None:
        self.settings, self.place, self.report, self._shape = settings, place, report, shape
        self.tally = measure.Tally(len(prepared.stream.names), place.device)
        self.stalled, self._flops, self._tokens, self._begun = 0.0, 0.0, 0, time.perf_counter()
        self.last: dict[str, float] = {}
        self._prepared = prepared
        self._loggers: list[measure.Logger] = []
        self._peak = settings.watch.peak_tflops or measure.measured_peak(place.device)
        if place.rank == 0:
            folder = prepared.folder
            folder.mkdir(parents=True, exist_ok=True)
            self._loggers = [measure.LinesLogger(folder / measure.METRICS, first)]
            if settings.watch.tensorboard:
                with contextlib.suppress(ImportError):
                    self._loggers.append(measure.TensorBoard(folder / "tensorboard"))
            about = settings.model_dump(mode="json")
            self._loggers += [measure.Tracker(name, settings.name, about) for name in settings.watch.trackers]
            self._loggers += [measure.plugin(name, folder) for name in settings.watch.plugins]
            cut_off(folder, first)

    def work(self, lengths: Any) -> None:
        """Count the work of a micro-batch whose pieces have `lengths` tokens."""
        self._flops += flops(*self._shape, lengths)
        self._tokens += int(lengths.sum())

    def step(self, step: int, loss: float, norm: float, lr: float, last: bool) -> None:
        """Receive the values of a step, and log them if the step is one of those that are logged."""
        if (step + 1) % self.settings.watch.log_every and not last:
            return
        sums = self.tally.take()
        if self.place.rank:
            return
        seconds = time.perf_counter() - self._begun
        rate = self._flops / seconds / 1e12
        values = {
            "loss": loss,
            "gradient_norm": norm,
            "lr": lr,
            "tokens_per_second": self._tokens * self.place.ranks / seconds,
            "tflops_per_device": rate,
            "stalled_ms": 1000 * self.stalled,
        }
        if self._peak:
            values["mfu"] = rate / self._peak
        if self.place.device.type == "cuda":
            values["memory_gib"] = torch.cuda.max_memory_allocated(self.place.device) / 2**30
        names = self._prepared.stream.names
        values |= {f"loss/{lang}": mean for lang, mean in measure.mean_by(names, sums, 1).items()}
        values |= {f"loss/kind/{kind}": mean for kind, mean in measure.mean_by(names, sums, 3).items()}
        self.stalled, self._flops, self._tokens, self._begun = 0.0, 0.0, 0, time.perf_counter()
        self.values(step, values)

    def values(self, step: int, values: dict[str, float]) -> None:
        """Log values of a step."""
        if self.place.rank or not values:
            return
        self.last |= values
        for logger in self._loggers:
            logger.log(step, values)
        self.report(step, values)

    def spike(self, step: int, loss: float, norm: float) -> None:
        """Report a step that is skipped, and write down its documents."""
        if self.place.rank:
            return
        first = step * self.settings.batch
        numbers = range(first, first + self.settings.batch)
        documents = [piece for number in numbers for piece in self._prepared.stream.provenance(number)]
        line = {"step": step, "loss": loss, "gradient_norm": norm, "documents": documents}
        with (self._prepared.folder / "spikes.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.report(step, {"skipped": 1.0, "loss": loss, "gradient_norm": norm})

    def close(self) -> None:
        """Close the loggers."""
        for logger in self._loggers:
            logger.close()
