"""Log-likelihoods of continuations by a local checkpoint: batches of like length, each prompt computed once.

A continuation is scored as lm-evaluation-harness does: prompt and continuation are encoded together and
cut at the length of the prompt's own encoding; spaces at the prompt's end go to the continuation; what is too
long loses its beginning; float32 log-softmax.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmedc.errors import RecipeError

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Request:
    """A prompt and its continuations."""

    prompt: str
    continuations: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    """One pass through the model: tokens, and which continuations it answers."""

    tokens: tuple[int, ...]
    wanted: list[tuple[int, int, tuple[int, ...]]]
    """(request, continuation, its tokens); they begin after `at` tokens."""
    at: int


class Likelihood:
    """A checkpoint that scores continuations. Raises: RecipeError when the folder holds no model or tokenizer."""

    def __init__(self, folder: str, device: str = "auto", context: int = 2048, batch_tokens: int = 8192) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not Path(folder, "config.json").is_file():
            raise RecipeError(f"bench.model: {folder} holds no config.json; expected a Hugging Face folder")
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        self.device = torch.device("cuda" if cuda else "cpu")
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            dtype = torch.bfloat16 if cuda else torch.float32
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, **options)
        except (OSError, ValueError) as problem:
            raise RecipeError(f"bench.model: {folder}: {str(problem).splitlines()[0]}") from None
        self.model = model.to(self.device).eval()
        self.context = min(context, self.model.config.max_position_embeddings)
        self.batch_tokens = batch_tokens

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, with what the tokenizer puts before it."""
        return self.tokenizer(text)["input_ids"]  # type: ignore[no-any-return]

    def score(self, requests: list[Request], tell: Callable[[int], None] = lambda done: None) -> list[list[float]]:
        """Return for each request the summed log-likelihood of each continuation, in natural logarithms.

        `tell` gets the number of continuations done so far.
        """
        out = [[0.0] * len(request.continuations) for request in requests]
        done = 0
        for batch in self._batches(self._rows(requests)):
            width = max(len(row.tokens) for row in batch)
            ids = torch.zeros((len(batch), width), dtype=torch.long)
            for index, row in enumerate(batch):
                ids[index, : len(row.tokens)] = torch.tensor(row.tokens)  # filled on the right: causal, so no mask
            with torch.inference_mode():
                hidden = self.model.model(input_ids=ids.to(self.device), use_cache=False).last_hidden_state
                for index, row in enumerate(batch):
                    last = max(len(tokens) for _, _, tokens in row.wanted)
                    states = hidden[index, row.at - 1 : row.at - 1 + last]
                    logs = torch.log_softmax(self.model.lm_head(states).float(), dim=-1)
                    for request, number, tokens in row.wanted:
                        picked = logs[torch.arange(len(tokens)), torch.tensor(tokens)]
                        out[request][number] = float(picked.sum())
                    done += len(row.wanted)
            tell(done)
        return out

    def _rows(self, requests: list[Request]) -> list[_Row]:
        """Return what the model must see: continuations of one token share the pass of their prompt."""
        rows = []
        encode = functools.lru_cache(maxsize=2)(self.encode)  # a prompt is encoded once for all its continuations
        for number, request in enumerate(requests):
            shared: dict[tuple[int, ...], _Row] = {}
            for place, continuation in enumerate(request.continuations):
                prompt, tokens = pair(encode, request.prompt, continuation)
                whole = (*prompt, *tokens)[-(self.context + 1) :]
                tokens = tokens[-(len(whole) - 1) :]
                seen = whole[: len(whole) - 1]
                if len(tokens) == 1 and seen in shared:
                    shared[seen].wanted.append((number, place, tokens))
                    continue
                row = _Row(seen, [(number, place, tokens)], len(whole) - len(tokens))
                rows.append(row)
                if len(tokens) == 1:
                    shared[seen] = row
        return rows

    def _batches(self, rows: list[_Row]) -> Iterator[list[_Row]]:
        """Yield rows of like length together, the longest first, as many as `batch_tokens` allow."""
        batch: list[_Row] = []
        for row in sorted(rows, key=lambda row: -len(row.tokens)):
            if batch and (len(batch) + 1) * len(batch[0].tokens) > self.batch_tokens:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch


def pair(encode: Encode, prompt: str, continuation: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens of a prompt and of what continues it, encoded together."""
    spaces = len(prompt) - len(prompt.rstrip())
    if spaces:
        prompt, continuation = prompt[:-spaces], prompt[-spaces:] + continuation
    whole = encode(prompt + continuation)
    at = len(encode(prompt))
    return tuple(whole[:at]), tuple(whole[at:])
