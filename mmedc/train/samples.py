"""What a model under training writes after given prompts, for people to read.

All prompts are packed into one sequence and read again for each new token: without a cache of keys and values, so that
the model runs as in training, sharded or not. Every process computes the same number of passes.
"""

import json
from pathlib import Path

import numpy as np
import torch

from mmedc.tokenizer import Tokenizer, hub_tokenizer
from mmedc.train.loader import make_batch
from mmedc.train.stream import IGNORE, Sequence
from mmedc.train.windows import Evaluation, Interrupted

SAMPLES = "samples.jsonl"
TEMPERATURE = 0.7
"""What logits are divided by before a token is drawn. At 0 a base model soon repeats itself."""


class Samples:
    """Prompts by language, and what is written after them."""

    def __init__(self, prompts: dict[str, tuple[str, ...]], tokens: int, tokenizer: Tokenizer, context: int) -> None:
        self._prompts = [(lang, text) for lang, texts in sorted(prompts.items()) for text in texts]
        self._count, self._tokenizer = tokens, tokenizer
        room = max(1, context - tokens)
        begin = list(tokenizer.begin)
        ids = tokenizer.encode([text for _, text in self._prompts]) if self._prompts else []
        self._begun = [(begin + list(one))[-room:] or [tokenizer.eos] for one in ids]

    def write(self, step: int, seed: int, evaluation: Evaluation, folder: Path) -> None:
        """Append what the model writes at a step to `samples.jsonl` of the run's folder. Raises: Interrupted."""
        if not self._prompts:
            return
        texts = self._continued(step, seed, evaluation)
        if evaluation.rank:
            return
        with (folder / SAMPLES).open("a", encoding="utf-8") as file:
            for (lang, prompt), text in zip(self._prompts, texts, strict=True):
                line = {"step": step, "lang": lang, "prompt": prompt, "text": text}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _continued(self, step: int, seed: int, evaluation: Evaluation) -> list[str]:
        """Return the text after each prompt, up to the end token. The same seed and step draw the same tokens."""
        drawn = torch.Generator().manual_seed((seed << 32) + step)
        rows = [list(one) for one in self._begun]
        for _ in range(self._count):
            if evaluation.asked():
                raise Interrupted
            batch = make_batch(_Packed(rows), [0]).to(evaluation.device)
            last = torch.tensor(np.cumsum([len(row) for row in rows]) - 1, device=evaluation.device)
            with torch.no_grad(), evaluation.autocast():
                logits = evaluation.model(batch, last)
            shares = torch.softmax(logits.float().cpu() / TEMPERATURE, dim=-1)
            for row, token in zip(rows, torch.multinomial(shares, 1, generator=drawn).squeeze(1).tolist(), strict=True):
                row.append(token)
        written = [row[len(begun) :] for row, begun in zip(rows, self._begun, strict=True)]
        eos = self._tokenizer.eos
        hub = hub_tokenizer(self._tokenizer.name)
        kept = [row[: row.index(eos)] if eos in row else row for row in written]
        return [str(hub.decode(row, skip_special_tokens=False)) for row in kept]


class _Packed:
    """Rows of tokens, end to end, as the only sequence of a stream."""

    def __init__(self, rows: list[list[int]]) -> None:
        self._rows = rows

    def sequence(self, number: int) -> Sequence:
        tokens = np.concatenate(self._rows).astype(np.int64)
        lengths = np.array([len(row) for row in self._rows], np.int64)
        return Sequence(tokens, np.full(len(tokens), IGNORE, np.int64), lengths, 0)


def cut_off(folder: Path, first: int) -> None:
    """Remove from `samples.jsonl` what a resumed run will write again."""
    path = folder / SAMPLES
    if path.is_file():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if _step(line) < first]
        path.write_text("".join(kept), encoding="utf-8")


def _step(line: str) -> float:
    """Return the step of a line, or a number beyond all steps for one that was cut off."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")
