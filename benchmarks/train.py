"""The trainer beside Hugging Face's: same model, same data, same batch, same run; and the loader alone.

    python benchmarks/train.py --corpus CORPUS --model toy                     # on the CPU
    python benchmarks/train.py --corpus CORPUS --model 1b --context 2048 --micro-batch 8   # on one card
    python benchmarks/train.py --corpus CORPUS --model 8b --context 8192 --states bfloat16
    python benchmarks/train.py --corpus CORPUS --loader

Both sides begin from the same random weights and read the same packed sequences in the same order. The peer
is given its best ordinary settings: bfloat16, fused AdamW, the positions of packed documents. Tokens/s and
memory are of the steps after the first `--warmup`; MFU is against the device's measured matrix rate.
"""

import argparse
import tempfile
import time
from typing import Any

import numpy as np
import torch

from mmedc.engine.run import Inline
from mmedc.train.config import Train
from mmedc.train.launch import tokenised
from mmedc.train.loader import make_batch
from mmedc.train.loop import Prepared, precision_of
from mmedc.train.loop import run as run_loop
from mmedc.train.measure import measured_peak, read_lines
from mmedc.train.model import build, flops, matrix_parameters

MODELS: dict[str, dict[str, Any]] = {
    "toy": {"model_type": "llama", "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2},
    # The shapes of Llama 3.2 1B and Llama 3 8B.
    "1b": {"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
           "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "tie_word_embeddings": True},
    "8b": {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
           "num_attention_heads": 32, "num_key_value_heads": 8},
}  # fmt: skip


class Quiet:
    """A watcher of passes that says nothing."""

    def begin(self, *_: Any) -> None:
        """Say nothing."""

    def update(self, *_: Any) -> None:
        """Say nothing."""

    def end(self, *_: Any) -> None:
        """Say nothing."""


class Packed(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The stream's sequences as the peer wants them."""

    def __init__(self, prepared: Prepared, count: int) -> None:
        self.prepared, self.count = prepared, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        batch = make_batch(self.prepared.stream, [number])
        # `transformers` shifts labels itself; the targets here are shifted already.
        labels = torch.cat([torch.tensor([-100]), batch.targets[:-1]])
        return {"input_ids": batch.tokens, "labels": labels, "position_ids": batch.positions}


def peer(settings: Train, prepared: Prepared, folder: str) -> tuple[list[float], list[float], float]:
    """Train by the peer; return (loss of each step, seconds of each step, peak memory in GiB)."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    model = build(settings.model, prepared.tokenizer, settings.data.context, settings.seed).lm
    model.set_attn_implementation("sdpa")
    model.config.use_cache = False
    cuda = torch.cuda.is_available() and settings.device != "cpu"
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if cuda:
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    arguments = TrainingArguments(
        folder, max_steps=settings.steps, per_device_train_batch_size=settings.micro_batch,
        gradient_accumulation_steps=settings.batch // settings.micro_batch, learning_rate=settings.optimizer.lr,
        lr_scheduler_type="constant", weight_decay=settings.optimizer.weight_decay, adam_beta1=0.9, adam_beta2=0.95,
        max_grad_norm=settings.optimizer.clip, bf16=cuda, use_cpu=not cuda, logging_steps=1, save_strategy="no",
        report_to=[], disable_tqdm=True, activation_checkpointing=settings.model.recompute == "full",
        torch_compile=settings.model.compile, optim="adamw_torch_fused" if cuda else "adamw_torch",
    )  # fmt: skip
    trainer = InOrder(
        model=model,
        args=arguments,
        train_dataset=Packed(prepared, settings.steps * settings.batch),
        callbacks=[Clock()],
    )
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    return losses, np.diff([begun, *ends]).tolist(), memory


def ours(settings: Train, prepared: Prepared) -> tuple[list[float], list[float], float]:
    """Train by mmedc; return the same."""
    run_loop(settings, prepared)
    lines = [line for line in read_lines(prepared.folder / "metrics.jsonl") if "loss" in line]
    tokens = settings.batch * settings.data.context
    memory = max((line.get("memory_gib", 0.0) for line in lines), default=0.0)
    return [line["loss"] for line in lines], [tokens / line["tokens_per_second"] for line in lines], memory


def loader(prepared: Prepared, seconds: float = 5.0) -> None:
    """Print how many tokens a second one core makes into batches, and how many 8 cards want."""
    begun, number, tokens = time.perf_counter(), 0, 0
    while time.perf_counter() - begun < seconds:
        tokens += len(make_batch(prepared.stream, [number, number + 1, number + 2, number + 3]).tokens)
        number += 4
    rate = tokens / (time.perf_counter() - begun)
    print(f"one core makes {rate / 1e6:.1f} M tokens/s; 8 cards at 50,500 tokens/s of a 1.2B model take 0.404 M")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model", choices=MODELS, default="toy")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--tokenizer", default="qwen")
    parser.add_argument("--states", default="float32")
    parser.add_argument("--recompute", default="none")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--loader", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        settings = Train.model_validate(
            {
                "model": {"config": MODELS[given.model], "recompute": given.recompute, "compile": given.compile},
                "data": {"corpora": {"corpus": given.corpus}, "context": given.context, "tokenizer": given.tokenizer,
                         "max_epochs": 1e9},
                "steps": given.steps, "batch": given.batch, "micro_batch": given.micro_batch,
                "optimizer": {"schedule": "constant", "warmup": 0, "states": given.states, "lr": 3e-4},
                "watch": {"log_every": 1, "evaluate_every": 10**9, "tensorboard": False, "evaluate_documents": 1},
            }
        )  # fmt: skip
        job = tokenised(settings, f"{temporary}/run", Inline(), Quiet())
        prepared = job.prepare()
        if given.loader:
            return loader(prepared)
        model = build(settings.model, prepared.tokenizer, given.context, 0)
        config = model.base.config
        width = config.num_attention_heads * (getattr(config, "head_dim", None) or 0)
        shape = (matrix_parameters(model), config.num_hidden_layers, width)
        parameters = sum(p.numel() for p in model.parameters())
        del model
        batches = [make_batch(prepared.stream, [number]) for number in range(given.batch)]
        per_token = sum(flops(*shape, batch.lengths) for batch in batches) / (given.batch * given.context)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        peak = measured_peak(device)
        print(f"{given.model}: {parameters / 1e6:,.0f} M parameters, context {given.context}, batch {given.batch} of")
        print(f"{given.micro_batch}, {device.type}, {precision_of(settings, device)}; peak {peak or 'not measured'}\n")
        print("| | tokens/s | MFU | memory GiB | last loss |\n|---|--:|--:|--:|--:|")
        rates, curves = {}, {}
        for name, side in (("mmedc", ours), ("Trainer", None)):
            if side:
                losses, seconds, memory = side(settings, prepared)
            else:
                losses, seconds, memory = peer(settings, prepared, f"{temporary}/peer")
            rate = given.batch * given.context / float(np.median(seconds[given.warmup :]))
            rates[name], curves[name] = rate, losses
            mfu = f"{rate * per_token / peak / 1e12:.1%}" if peak else ""
            print(f"| {name} | {rate:,.0f} | {mfu} | {memory:.1f} | {losses[-1]:.4f} |", flush=True)
        ratio = rates["mmedc"] / rates["Trainer"]
        apart = float(np.abs(np.array(curves["mmedc"]) - np.array(curves["Trainer"])).max())
        print(f"\n{ratio:.2f} times; losses at most {apart:.4f} apart over {given.steps} steps")


if __name__ == "__main__":
    main()
