"""Try the trainer on one GPU in minutes: its kernel, its losses beside float32, its resumption, its speed.

    python benchmarks/gpu.py --out results                    # all parts, on one CUDA device, in at most 9 minutes
    python benchmarks/gpu.py --out results --parts kernel 8b  # some parts
    python benchmarks/gpu.py --out results --toy              # the same at toy size on the CPU, to try the script

Documents are synthetic (log-normal lengths, Zipf's words), so that neither a corpus nor a tokenizer has to be there.
The process is alone in a group, as `mmedc train` has it on one device. A part for which `--budget` leaves no time is
skipped, with a line that says so. Results are printed as they come, and written to `results.json`; `profile.txt` has
the costliest kernels.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

import numpy as np
import torch
import torch.distributed as dist
from train import MODELS, peer

from mmedc.tokenizer import Tokenizer
from mmedc.train import attention, loop
from mmedc.train.config import Train
from mmedc.train.loss import linear_cross_entropy
from mmedc.train.measure import HeldOut, measured_peak, read_lines
from mmedc.train.stream import IGNORE, Sequence

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
SMALL = {**MODELS["toy"], "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
HEADS = ((8, 8, 64), (32, 8, 64), (32, 8, 128), (16, 4, 256))
"""Heads, heads of keys and values, dimensions: shapes of models that are trained."""
NEVER = 10**9


class Synthetic:
    """A stream of documents with `mean` tokens in the median, packed into sequences of `context` tokens."""

    def __init__(self, context: int, mean: int, words: int) -> None:
        self.names = ["synthetic/en/none/web"]
        self.context, self.mean, self.words = context, mean, words

    def sequence(self, number: int) -> Sequence:
        """Return sequence `number`."""
        draw = np.random.default_rng(number)
        tokens = np.minimum(draw.zipf(1.3, self.context + 1), self.words - 1).astype(np.int64)
        lengths: list[int] = []
        while (room := self.context + 1 - sum(lengths)) > 0:
            lengths.append(int(min(room, max(2, draw.lognormal(np.log(self.mean), 1.0)))))
        targets = tokens[1:].copy()
        targets[np.cumsum(lengths)[:-1] - 1] = IGNORE
        lengths[-1] -= 1
        return Sequence(tokens[:-1], targets, np.array([one for one in lengths if one], np.int64), 0)

    def provenance(self, number: int) -> list[dict[str, Any]]:
        """Return nothing, because the documents come from nowhere."""
        return []

    def record(self) -> dict[str, Any]:
        """Return what the stream depends on."""
        return {"context": self.context, "mean": self.mean}


class Nothing:
    """No questions."""

    def evaluate(self, _: Any) -> dict[str, float]:
        """Return no values."""
        return {}


class Bench:
    """The parts, and what they found."""

    def __init__(self, out: Path, toy: bool, budget_s: float) -> None:
        self.out, self.toy, self.budget_s, self.begun = out, toy, budget_s, time.monotonic()
        self.found: dict[str, dict[str, Any]] = {}
        self.peak = measured_peak(DEVICE) or 1.0
        words = 1_024 if toy else 152_064
        self.tokenizer = Tokenizer("synthetic", "0" * 64, words, 0)
        self.parts: dict[str, tuple[Callable[[], dict[str, Any]], int]] = {
            "kernel": (self.kernel, 20),
            "loss": (self.loss, 20),
            "agree": (self.agree, 60),
            "resume": (self.resume, 30),
            "1b": (lambda: self.speed("1b", 2048, 64, 8, 8, 700), 60),
            "1b compiled": (lambda: self.speed("1b", 2048, 64, 8, 10, 700, compile=True), 100),
            "trainer 1b": (self.trainer, 80),
            "8b": (
                lambda: self.speed("8b", 8192, 8, 1, 5, 2000, compile=True, recompute="full", states="bfloat16"),
                140,
            ),
            "profile": (self.profile, 60),
        }
        """Name → what measures it, and the seconds that it wants on a GPU."""

    def run(self, names: list[str]) -> None:
        """Run parts, as long as there is time, and write what each found."""
        for name in names:
            part, wants = self.parts[name]
            left = self.budget_s - (time.monotonic() - self.begun)
            if left < wants:
                self.note(name, {"skipped": f"{left:.0f} s left, {wants} wanted"})
                continue
            try:
                self.note(name, part())
            except Exception as problem:  # one part that fails does not cost the others
                self.note(name, {"failed": f"{type(problem).__name__}: {str(problem)[:300]}"})
            if CUDA:
                torch.cuda.empty_cache()

    def note(self, name: str, values: dict[str, Any]) -> None:
        """Print and write what a part found."""
        self.found[name] = values
        (self.out / "results.json").write_text(json.dumps(self.found, indent=1))
        shown = " ".join(f"{key}={value}" for key, value in values.items())
        print(f"[{time.monotonic() - self.begun:4.0f} s] {name}: {shown}", flush=True)

    def settings(self, shape: str, context: int, batch: int, micro: int, steps: int, **more: Any) -> Train:
        """Return a training of a shape; on the CPU all sizes are toy sizes."""
        if self.toy:
            context, batch, micro, steps = 64, 4, 2, min(steps, 6)
        model = {"config": SMALL if self.toy else MODELS[shape], "attention": more.get("attention", "auto")}
        model |= {"compile": more.get("compile", False) and not self.toy, "recompute": more.get("recompute", "none")}
        states = "float32" if self.toy else more.get("states", "float32")
        return Train.model_validate(
            {
                "model": model, "data": {"corpora": {"synthetic": "-"}, "context": context},
                "steps": steps, "batch": batch, "micro_batch": micro, "device": DEVICE.type,
                "precision": more.get("precision", "auto"),
                "optimizer": {"schedule": "constant", "warmup": 0, "lr": 3e-4, "states": states, "spike": 1e9},
                "checkpoints": {"every": more.get("every", NEVER), "keep": 9},
                "watch": {"log_every": 1, "evaluate_every": NEVER, "tensorboard": False, "peak_tflops": self.peak},
            }
        )  # fmt: skip

    def prepared(self, settings: Train, mean: int, folder: str) -> loop.Prepared:
        """Return what the loop needs."""
        stream = Synthetic(settings.data.context, mean, self.tokenizer.vocabulary)
        held_out = HeldOut([], 0, settings.data.context)
        return loop.Prepared(stream, held_out, Nothing(), self.tokenizer, Path(folder))  # type: ignore[arg-type]

    def lines(self, settings: Train, mean: int, folder: str) -> list[dict[str, Any]]:
        """Train, and return the values of each step."""
        loop.run(settings, self.prepared(settings, mean, folder))
        return [line for line in read_lines(Path(folder, "metrics.jsonl")) if "loss" in line]

    def losses(self, mean: int, *sizes: int, **more: Any) -> list[float]:
        """Train a small model, and return the loss of each step."""
        with temporary() as folder:
            return [line["loss"] for line in self.lines(self.settings("toy", *sizes, **more), mean, folder)]

    def kernel(self) -> dict[str, Any]:
        """Compare attention over packed documents with float32 document by document: outputs and gradients."""
        worst: dict[str, Any] = {}
        sizes = [1, 7, 3, 12, 41] if self.toy else [1, 700, 3, 129, 1215]
        total = sum(sizes)
        bounds = torch.tensor([0, *np.cumsum(sizes), *[total] * 59], dtype=torch.int32, device=DEVICE)
        for heads, groups, size in HEADS:
            states = [
                torch.randn(1, total, count, size, device=DEVICE).transpose(1, 2).requires_grad_()
                for count in (heads, groups, groups)
            ]
            given = {"bounds": bounds, "longest": total, "scaling": size**-0.5}
            exact, _ = attention.attend(None, *states, None, varlen=False, **given)
            gradient = torch.randn_like(exact)
            expected = [exact, *torch.autograd.grad(exact, states, gradient)]
            halves = [one.detach().bfloat16().requires_grad_() for one in states]
            packed, _ = attention.attend(None, *halves, None, varlen=True, **given)
            found = [packed, *torch.autograd.grad(packed, halves, gradient.bfloat16())]
            apart = [float(((a.float() - b).norm() / b.norm()).detach()) for a, b in zip(found, expected, strict=True)]
            worst[f"{heads}/{groups}x{size}"] = round(max(apart), 4)
        return {**worst, "right": all(value < 0.02 for value in worst.values())}

    def loss(self) -> dict[str, Any]:
        """Time the loss with its gradient, in milliseconds, for chunks of several sizes."""
        tokens, width, words = (256, 64, 1_024) if self.toy else (16_384, 2_048, 152_064)
        kind = torch.bfloat16 if CUDA else torch.float32
        hidden = torch.randn(tokens, width, device=DEVICE, dtype=kind, requires_grad=True)
        weight = torch.randn(words, width, device=DEVICE, dtype=kind, requires_grad=True)
        targets = torch.randint(0, words, (tokens,), device=DEVICE)
        out = {}
        for rows in (tokens // 32, tokens // 8, tokens // 2):
            for _ in range(3):
                synchronize()
                begun = time.perf_counter()
                linear_cross_entropy(hidden, weight, targets, rows=rows)[0].backward()
                synchronize()
                out[f"{rows}_rows_ms"] = round(1000 * (time.perf_counter() - begun), 1)
        return out

    def agree(self) -> dict[str, Any]:
        """Compare the losses of 20 steps in bfloat16 with the kernel with float32 document by document."""
        sizes = 512, 8, 4, 20
        exact = self.losses(200, *sizes, attention="sdpa", precision="float32")
        out: dict[str, Any] = {"first": round(exact[0], 3), "last": round(exact[-1], 3)}
        for name, compiled in (("eager", False), ("compiled", True)):
            found = self.losses(200, *sizes, precision="bfloat16", compile=compiled)
            apart = max(abs(a - b) for a, b in zip(found, exact, strict=True))
            out[name] = round(apart, 4)
        return out

    def resume(self) -> dict[str, Any]:
        """Return whether a run that is begun again at its quarter has the same losses."""
        settings = self.settings("toy", 512, 8, 4, 12, every=3)
        with temporary() as folder:
            whole = [line["loss"] for line in self.lines(settings, 200, folder)]
            for step in sorted(Path(folder, "checkpoints").iterdir())[1:]:
                shutil.rmtree(step)
            again = [line["loss"] for line in self.lines(settings, 200, folder)]
        return {"equal": again == whole, "apart": max(abs(a - b) for a, b in zip(whole, again, strict=True))}

    def speed(
        self, shape: str, context: int, batch: int, micro: int, steps: int, mean: int, **more: Any
    ) -> dict[str, Any]:
        """Measure tokens a second, the share of the measured peak, and memory, after the third step."""
        settings = self.settings(shape, context, batch, micro, steps, **more)
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
        with temporary() as folder:
            lines = self.lines(settings, mean, folder)
        later = lines[3:]
        return {
            "tokens_s": round(float(np.median([line["tokens_per_second"] for line in later]))),
            "mfu": round(float(np.median([line["mfu"] for line in later])), 3),
            "memory_gib": round(max(line.get("memory_gib", 0.0) for line in lines), 1),
            "first_step_s": round(settings.batch * settings.data.context / lines[0]["tokens_per_second"], 1),
            "loss": [round(lines[0]["loss"], 3), round(lines[-1]["loss"], 3)],
        }

    def trainer(self) -> dict[str, Any]:
        """Measure Hugging Face's Trainer on the same model, sequences and batch."""
        settings = self.settings("1b", 2048, 32, 8, 6)
        with temporary() as folder:
            losses, seconds, memory = peer(settings, self.prepared(settings, 700, folder), f"{folder}/peer")
        rate = settings.batch * settings.data.context / float(np.median(seconds[2:]))
        return {"tokens_s": round(rate), "memory_gib": round(memory, 1), "loss": [losses[0], losses[-1]]}

    def profile(self) -> dict[str, Any]:
        """Write the costliest kernels of a few steps as a table to `profile.txt`."""
        from torch.profiler import ProfilerActivity

        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]
        settings = self.settings("1b", 2048, 16, 8, 4)
        with temporary() as folder, torch.profiler.profile(activities=kinds) as taken:
            self.lines(settings, 700, folder)
        order = "self_device_time_total" if CUDA else "self_cpu_time_total"
        rows = sorted(taken.key_averages(), key=lambda row: -getattr(row, order))[:40]
        total = sum(getattr(row, order) for row in taken.key_averages())
        table = [f"{getattr(row, order) / total:6.1%} {row.count:8,} {row.key[:90]}" for row in rows]
        (self.out / "profile.txt").write_text("\n".join(table) + "\n")
        return {"costliest": table[0].split()[-1], "table": "profile.txt"}


def temporary() -> Any:
    """Return a folder that goes when it is no longer needed."""
    return tempfile.TemporaryDirectory()


def synchronize() -> None:
    """Wait for the device."""
    if CUDA:
        torch.cuda.synchronize()


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=[])
    parser.add_argument("--budget", type=float, default=540.0, help="seconds")
    parser.add_argument("--toy", action="store_true")
    given = parser.parse_args()
    if not CUDA and not given.toy:
        parser.error("there is no CUDA device; --toy tries the script on the CPU")
    given.out.mkdir(parents=True, exist_ok=True)
    with temporary() as meeting:
        dist.init_process_group("nccl" if CUDA else "gloo", init_method=f"file://{meeting}/store", rank=0, world_size=1)
        try:
            bench = Bench(given.out, given.toy, given.budget)
            name = torch.cuda.get_device_name() if CUDA else "cpu"
            bench.note("device", {"name": name, "torch": torch.__version__, "peak_tflops": round(bench.peak, 1)})
            bench.run(given.parts or [*bench.parts])
        finally:
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
