"""A checkpoint on this machine: log-likelihoods of continuations, and greedy answers, batched by length.

A continuation is scored as in lm-evaluation-harness: prompt and continuation are encoded together and cut at the
length of the prompt's own encoding; blanks at the end of the prompt belong to the continuation; a sequence that is too
long loses its beginning; softmax is in float32. What continuations share is computed once (`packing`).
"""

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from mmedc.bench.greedy import DecodingCache, PromptGroup, continued, groups_of, pools
from mmedc.bench.packing import Request, Row, Tokens, batches, rows_of
from mmedc.bench.prompting import SPARE, PromptEncoder
from mmedc.errors import RecipeError
from mmedc.redact import first_line

HEAD_ROWS = 256
"""Predictions whose logits are computed at a time: 150 MB of float32 for a vocabulary of 150,000."""
BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}
"""Tokens of a pass. On one thread of a CPU, 4,096 are 1.4 times as fast as 8,192, because rows are more alike, and
1,024 are 1.7 times as fast; but where other work uses the cores, many small passes wait for their threads."""
CACHE_BYTES = {"cpu": 1 << 30, "cuda": 8 << 30}
"""Bytes of the keys and values of prompts that are continued together. More bytes mean fewer passes."""
GENERATED_TOKENS = {"cpu": 4096, "cuda": 131_072}
"""Tokens of a batch that the model continues with its own `generate`."""
PLAIN = {
    "bos_token_id", "eos_token_id", "pad_token_id", "max_length", "max_new_tokens", "use_cache",
    "cache_implementation", "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff",
    "eta_cutoff", "output_attentions", "output_hidden_states", "return_dict_in_generate", "_from_model_config",
    "transformers_version",
}  # fmt: skip
"""Keys of a `generation_config.json` that do not change which token is the likeliest."""
CLOSE = 2e-2
"""The most by which logits of packed rows may differ from those of plain rows, in standard deviations (bfloat16)."""


class Local:
    """A causal language model in a Hugging Face folder, optionally with the adapters (LoRA) of another folder.

    Raises: RecipeError when a folder lacks a file that it needs.
    """

    def __init__(
        self,
        folder: str,
        adapter: str = "",
        device: str = "auto",
        context: int = 2048,
        batch_tokens: int = 0,
        template: dict[str, Any] | None = None,
    ) -> None:
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
            raise RecipeError(f"bench.model: {folder}: {first_line(problem)}") from None
        if adapter:
            model = _with_adapter(model, adapter)
        self.model = model.to(self.device).eval()
        self.context = min(context, getattr(self.model.config, "max_position_embeddings", context))
        self.batch_tokens = batch_tokens or BATCH_TOKENS[self.device.type]
        self.identity = _digest(folder, adapter, self.device.type, self.context)
        self._prompts = PromptEncoder(folder, self.tokenizer, template)
        self.packs, self.own_head = self._check()
        self.decodes = self.packs and self._check_decoding()

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn, by the tokenizer's chat template. Raises: RecipeError without one."""
        return self._prompts.chat(prompt)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a prompt, with the tokenizer's begin tokens before it.

        Raises: RecipeError for a token that the model has no embedding of.
        """
        tokens = self._prompts.encode(text)
        known = self.model.get_input_embeddings().num_embeddings
        if max(tokens, default=0) >= known:
            raise RecipeError(
                f"bench.model: its tokenizer makes token {max(tokens):,}, but the model has {known:,} embeddings; "
                "they are not of one checkpoint"
            )
        return tokens

    def too_long(self, texts: list[str], room: int) -> list[bool]:
        """Return which texts lose their beginning where `room` tokens after them are wanted."""
        most = self.context - room
        # A token has a byte or more, so short texts need not be encoded.
        return [len(text.encode()) + SPARE > most and len(self.encode(text)) > most for text in texts]

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Yield (number of a request, summed natural log-likelihood of each continuation) as soon as it is known."""
        found = [[0.0] * len(request.continuations) for request in requests]
        left = [len(request.continuations) for request in requests]
        rows = rows_of(requests, self.encode, self.context, self.packs)
        for batch in batches(rows, lambda row: len(row.tokens), self.batch_tokens):
            for request, number, value in self._score(batch):
                found[request][number] = value
                left[request] -= 1
                if not left[request]:
                    yield request, found[request]

    def generate(self, prompts: list[str], max_tokens: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, its greedy continuation of at most `max_tokens` tokens)."""
        encoded = [tuple(self.encode(prompt)[-max(1, self.context - max_tokens) :]) for prompt in prompts]
        ends = {self.tokenizer.eos_token_id, *_listed(self.model.generation_config.eos_token_id)}
        answers = (
            self._continued(encoded, max_tokens, ends) if self.decodes else self._by_transformers(encoded, max_tokens)
        )
        for number, tokens in answers:
            cut = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
            yield number, self.tokenizer.decode(tokens[:cut], skip_special_tokens=True)

    def _continued(self, prompts: list[Tokens], max_tokens: int, ends: set[int]) -> Iterator[tuple[int, list[int]]]:
        """Yield (number of a prompt, its continuation). Shared beginnings are read once."""
        shape = self._cache((0,))
        token_bytes = sum(side[:, :, :1].nbytes for layer in shape.layers for side in (layer.keys, layer.values))
        kept = functools.lru_cache(maxsize=1)(lambda prefix: self._cache(prefix) if prefix else None)

        def most_rows(width: int) -> int:
            return max(1, int(CACHE_BYTES[self.device.type] // (token_bytes * (width + max_tokens))))

        for pool in pools(groups_of(prompts, self.batch_tokens, most_rows), max_tokens, most_rows):
            count = sum(len(part.rows) for part in pool)
            decoding = DecodingCache(self._ask, shape, count, max(part.width for part in pool), max_tokens)
            yield from continued(pool, decoding, kept, max_tokens, ends)

    def _cache(self, tokens: Tokens) -> DynamicCache:
        """Return the keys and values of a row of tokens."""
        cache = DynamicCache(config=self._base.config)
        ids = torch.tensor([tokens], device=self.device)
        self._ask(ids, torch.tensor([len(tokens) - 1], device=self.device), past_key_values=cache)
        return cache

    def _ask(self, ids: Tensor, places: Tensor, **inputs: Any) -> Tensor:
        """Return the (B, V) logits of the token after place `places` (B,) of the tokens `ids` (B, n)."""
        with torch.inference_mode():
            found = (self._base.base_model if self.own_head else self.model)(input_ids=ids, use_cache=True, **inputs)
            states = found.last_hidden_state if self.own_head else found.logits
            return self._logits(states[torch.arange(len(ids), device=self.device), places])

    def _by_transformers(self, prompts: list[Tokens], max_tokens: int) -> Iterator[tuple[int, list[int]]]:
        """Yield the same with `generate` of the model, for windows, recurrence, and penalties that its maker set."""
        end = self.tokenizer.eos_token_id
        fill = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else (end or 0)
        # Every row grows by the tokens that are generated, so they count for the memory of a batch.
        for batch in batches(
            [*enumerate(prompts)], lambda row: len(row[1]) + max_tokens, GENERATED_TOKENS[self.device.type]
        ):
            width = max(len(tokens) for _, tokens in batch)
            ids = torch.full((len(batch), width), fill, dtype=torch.long)
            seen = torch.zeros((len(batch), width), dtype=torch.long)
            for line, (_, tokens) in enumerate(batch):
                ids[line, width - len(tokens) :] = torch.tensor(tokens)
                seen[line, width - len(tokens) :] = 1
            with torch.inference_mode():
                made = self.model.generate(
                    input_ids=ids.to(self.device),
                    attention_mask=seen.to(self.device),
                    max_new_tokens=max_tokens,
                    do_sample=False,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                    pad_token_id=fill,
                )
            yield from zip((number for number, _ in batch), made[:, width:].tolist(), strict=True)

    @property
    def begin(self) -> int:
        """The token from which the first token of a text is predicted."""
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return int(bos if bos is not None else eos if eos is not None else 0)

    def encode_plain(self, text: str) -> list[int]:
        """Return the tokens of a text alone."""
        return self._prompts.encode_text(text)

    def predict(self, windows: list[tuple[tuple[int, ...], int]]) -> Iterator[tuple[int, float]]:
        """Yield (number of a window, summed log-likelihood of the last tokens that it asks for)."""
        rows = []
        for number, (tokens, count) in enumerate(windows):
            row = Row()
            row.want([], tokens, count, number, 0)
            rows.append(row)
        for batch in batches(rows, lambda row: len(row.tokens), self.batch_tokens):
            yield from ((number, value) for number, _, value in self._score(batch))

    def _score(self, batch: list[Row]) -> Iterator[tuple[int, int, float]]:
        """Yield (request, continuation, log-likelihood) for every continuation in a batch of rows."""
        states = self._forward(batch, not self.own_head)
        nodes = [(line, node) for line, row in enumerate(batch) for _, _, path, _ in row.wanted for node in path]
        targets = [token for row in batch for *_, tokens in row.wanted for token in tokens]
        lines, places = torch.tensor(nodes, dtype=torch.long).reshape(-1, 2).T.to(self.device)
        values: list[float] = []
        with torch.inference_mode():
            for low in range(0, len(nodes), HEAD_ROWS):
                part = slice(low, low + HEAD_ROWS)
                logits = self._logits(states[lines[part], places[part]])
                aim = torch.tensor(targets[part], device=self.device)
                picked = logits.gather(-1, aim[:, None]).squeeze(-1) - logits.logsumexp(-1)
                values += picked.tolist()
        at = 0
        for row in batch:
            for request, number, path, _ in row.wanted:
                yield request, number, float(sum(values[at : at + len(path)]))
                at += len(path)

    def _logits(self, states: Tensor) -> Tensor:
        """Return the (…, V) logits in float32, computed from last states unless they are logits already."""
        return (self._base.get_output_embeddings()(states) if self.own_head else states).float()

    def _forward(self, batch: list[Row], logits: bool) -> Tensor:
        """Return the (B, n, d) last states of the tokens of a batch, or with `logits` their (B, n, V) logits."""
        width = max(len(row.tokens) for row in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        for line, row in enumerate(batch):
            ids[line, : len(row.tokens)] = torch.tensor(row.tokens)  # padded on the right, where no token attends to it
        options: dict[str, Any] = {"use_cache": False}
        if any(row.branches for row in batch):
            depths = torch.zeros((len(batch), width), dtype=torch.long)
            seen = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1)
            for line, row in enumerate(batch):
                size = len(row.tokens)
                depths[line, :size] = torch.tensor(row.depths)
                seen[line, :size, :size] = torch.from_numpy(row.visible())
            low = torch.finfo(self.model.dtype).min
            mask = torch.zeros(seen.shape, dtype=self.model.dtype).masked_fill_(~seen, low)
            options |= {"position_ids": depths.to(self.device), "attention_mask": mask[:, None].to(self.device)}
        with torch.inference_mode():
            model = self.model if logits else self._base.base_model
            found = model(input_ids=ids.to(self.device), **options)
        return found.logits if logits else found.last_hidden_state  # type: ignore[no-any-return]

    @property
    def _base(self) -> Any:
        """The `transformers` model, without the adapters if there are any."""
        return self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model

    def _check(self) -> tuple[bool, bool]:
        """Return whether the model computes branching rows correctly, and logits by its head alone, by trying both.

        A short row does not reveal windows and recurrence, so models that have them get plain rows.
        """
        words = int(self._base.get_input_embeddings().num_embeddings)
        tokens = tuple((7 * place + 3) % words for place in range(12))
        sequences = tokens, (*tokens[:8], *reversed(tokens[8:]))
        rows, both = (Row(), Row()), Row()
        for number, (row, whole) in enumerate(zip(rows, sequences, strict=True)):
            row.want([], whole, 4, 0, number)
            both.want([], whole, 4, 0, number)
        with torch.inference_mode():
            expected = [self._forward([row], True)[0, 7:].float() for row in rows]
            near = CLOSE * float(expected[0].std())
            try:
                states = self._forward([rows[0]], False)[0, 7:]
                alone = torch.allclose(self._base.get_output_embeddings()(states).float(), expected[0], atol=near)
            except (AttributeError, TypeError, RuntimeError):
                alone = False
            if _windowed(self.model.config):
                return False, alone
            try:
                packed = self._forward([both], True)[0].float()
            except (TypeError, ValueError, RuntimeError):
                return False, alone
        paths = [path for _, _, path, _ in both.wanted]
        return all(
            torch.allclose(packed[path], logits, atol=near) for path, logits in zip(paths, expected, strict=True)
        ), alone

    def _check_decoding(self) -> bool:
        """Return whether the model decodes token by token as it reads, and only by likelihood, by trying it.

        Its maker may ask for more, such as a penalty for repetition. Answers then come from its own `generate`.
        """
        if set(self.model.generation_config.to_diff_dict()) - PLAIN:
            return False
        words = int(self._base.get_input_embeddings().num_embeddings)
        tokens = tuple((7 * place + 3) % words for place in range(12))
        row = Row()
        row.want([], tokens, 4, 0, 0)
        expected = self._forward([row], True)[0].float()
        try:
            shared = self._cache(tokens[:4])
            decoding = DecodingCache(self._ask, shared, 3, 9, 2)
            found = [
                decoding.read(PromptGroup((), ((0, tokens[:9]),)), None),
                decoding.read(PromptGroup(tokens[:4], ((1, tokens[4:8]), (2, tokens[4:7]))), shared),
                decoding.step([tokens[9], tokens[8], tokens[7]]),
            ]
        except (AttributeError, TypeError, ValueError, RuntimeError):
            return False
        places = [8, 7, 6, 9, 8, 7]
        return torch.allclose(torch.cat(found), expected[places], atol=CLOSE * float(expected.std()))


def _windowed(config: Any) -> bool:
    kinds = set(getattr(config, "layer_types", None) or [])
    window = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    return bool(kinds - {"full_attention"}) or window


def _listed(value: Any) -> list[int]:
    return value if isinstance(value, list) else [value]


def _with_adapter(model: Any, folder: str) -> Any:
    try:
        from peft import PeftModel
    except ImportError:
        raise RecipeError("bench.adapter needs `pip install 'mmedc[train]'`") from None
    if not Path(folder, "adapter_config.json").is_file():
        raise RecipeError(f"bench.adapter: {folder} holds no adapter_config.json; expected a folder of peft")
    return PeftModel.from_pretrained(model, folder, local_files_only=True)


def _digest(folder: str, adapter: str, *settings: object) -> str:
    """Return what answers depend on: the content of every file of the model, and the settings it runs with."""
    digest = hashlib.sha256(repr(settings).encode())
    for path in (Path(folder), *([Path(adapter)] if adapter else [])):
        for file in sorted(path.iterdir()):
            if file.suffix in {".json", ".safetensors", ".model", ".jinja", ".txt"}:
                digest.update(file.name.encode())
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
