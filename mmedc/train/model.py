"""The language model, from a checkpoint or a configuration, prepared for training on one device or several."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmedc.corpus.manifest import TRAINED_ON
from mmedc.errors import RecipeError
from mmedc.redact import first_line, redact
from mmedc.tokenizer import Tokenizer
from mmedc.train import attention, config
from mmedc.train.loader import Batch
from mmedc.train.loss import linear_cross_entropy
from mmedc.train.sharding import shard, without_weights


class Trained(nn.Module):
    """A causal language model and its loss in one module, so that FSDP gathers the weights for both."""

    def __init__(self, lm: nn.Module, varlen: bool, z_loss: float = 0.0) -> None:
        super().__init__()
        self.lm: Any = lm
        self.varlen, self.z_loss = varlen, z_loss

    def forward(self, batch: Batch, last: Tensor | None = None) -> Any:
        """Return the summed loss of a batch, and (T,) the loss of each token.

        With `last`, (n,) places of tokens, the (n, V) logits of what comes after them instead.
        """
        hidden = self.hidden(batch)
        if self.logit_scale != 1:
            hidden = hidden * self.logit_scale
        if last is not None:
            return hidden[last] @ self.head.weight.t()
        return linear_cross_entropy(hidden, self.head.weight, batch.targets, self.z_loss)

    @property
    def logit_scale(self) -> float:
        """What the logits are multiplied by, as in Cohere's and Granite's models."""
        given = self.base.config
        return float(getattr(given, "logit_scale", 1.0) / getattr(given, "logits_scaling", 1.0))

    def hidden(self, batch: Batch) -> Tensor:
        """Return the last hidden states, (T, d)."""
        found = self.body(
            input_ids=batch.tokens[None],
            position_ids=batch.positions[None],
            # With a cache the model ignores that positions restart, and attention crosses documents.
            use_cache=False,
            bounds=batch.bounds,
            longest=batch.longest,
            varlen=self.varlen,
        )
        return found.last_hidden_state.squeeze(0)  # type: ignore[no-any-return]

    @property
    def base(self) -> Any:
        """The `transformers` model, without the adapters if there are any."""
        return self.lm.get_base_model() if hasattr(self.lm, "get_base_model") else self.lm

    @property
    def body(self) -> Any:
        """The model without its output layer."""
        found = self.base.base_model
        return found if found is not self.base else self.base.model  # Llama 4 names it as its larger relative does

    @property
    def head(self) -> Any:
        """The output layer."""
        return self.base.get_output_embeddings()

    @property
    def layers(self) -> Any:
        """Its transformer blocks: the first list with a module for each layer."""
        lists = (part for part in self.body.modules() if isinstance(part, nn.ModuleList))
        return next(part for part in lists if len(part) == self.base.config.num_hidden_layers)


def build(
    settings: config.ModelSettings,
    tokenizer: Tokenizer,
    context: int,
    seed: int,
    z_loss: float = 0.0,
    empty: bool = False,
) -> Trained:
    """Return the model on the CPU, in float32; the same seed gives the same model.

    `empty`: without values for its parameters and without reading a checkpoint, where another process has them.

    Raises: RecipeError for an unknown model type, a checkpoint that is missing or not in safetensors, a vocabulary
    that is smaller than the tokenizer's, or a context that is longer than the model's.
    """
    name = attention.register()
    torch.manual_seed(seed)
    with without_weights(empty):
        lm = (
            _from_checkpoint(settings.path, name, empty)
            if settings.path is not None
            else _from_config(settings.config or {}, tokenizer, context, name)
        )
        rows = lm.get_input_embeddings().num_embeddings
        if rows < tokenizer.vocabulary:
            raise RecipeError(
                f"the model knows {rows:,} tokens, the tokenizer {tokenizer.name} has {tokenizer.vocabulary:,}; "
                "name the tokenizer of this model with data.tokenizer"
            )
        longest = getattr(lm.config, "max_position_embeddings", None)  # positions without a table have no end
        if longest is not None and longest < context:
            raise RecipeError(f"data.context is {context:,}, but the model takes at most {longest:,} tokens")
        if settings.lora is not None:
            lm = _with_lora(lm, settings.lora)
    return Trained(lm, settings.attention != "sdpa", z_loss)


def _from_checkpoint(path: str, name: str, empty: bool) -> Any:
    """Return the model of a Hugging Face folder with the attention `name`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if not Path(path, "config.json").is_file():
        raise RecipeError(f"model.path: {path} holds no config.json; expected a Hugging Face folder")
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    how: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": name}
    try:
        if empty:
            return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path, **local), **how)
        return AutoModelForCausalLM.from_pretrained(path, use_safetensors=True, **local, **how)
    except (OSError, ValueError) as problem:
        raise RecipeError(f"model.path: {path}: {first_line(problem)}") from None


def _from_config(config: dict[str, Any], tokenizer: Tokenizer, context: int, name: str) -> Any:
    """Return a model with random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {"vocab_size": _rounded(tokenizer.vocabulary), "max_position_embeddings": context, **config}
    given |= {"eos_token_id": tokenizer.eos, "bos_token_id": tokenizer.begin[0] if tokenizer.begin else None}
    given |= {"pad_token_id": None}
    try:
        made = AutoConfig.for_model(given.pop("model_type"), **given)
    except Exception as problem:  # each family checks its configuration with errors of its own
        raise RecipeError(f"model.config: {redact(' '.join(str(problem).split()))}") from None
    try:
        return AutoModelForCausalLM.from_config(made, dtype=torch.float32, attn_implementation=name)
    except KeyError as problem:
        if attention.NAME not in str(problem):
            raise
        raise RecipeError(
            f"model: {made.model_type} cannot be trained here: its code in transformers takes no attention but its "
            "own; choose a model of a plain family, such as llama or qwen3"
        ) from None
    except Exception as problem:
        raise RecipeError(f"model.config: no model can be made of it: {first_line(problem)}") from None


def _rounded(vocabulary: int) -> int:
    """Return a size of vocabulary that suits matrix kernels: the next multiple of 128."""
    return -(-vocabulary // 128) * 128


def _with_lora(lm: Any, settings: config.Lora) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise RecipeError("model.lora needs `pip install 'mmedc[train]'`") from None
    made = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(lm, made)


def cast_parameters(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast the parameters of a model. Its buffers stay, because rounded RoPE frequencies turn positions wrongly.

    In bfloat16 the frequencies of a head of 128 dimensions are off by up to 15 rad at position 8,192.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def prepare(
    model: Trained,
    settings: config.ModelSettings,
    device: torch.device,
    precision: torch.dtype,
    mesh: Any,
    rank: int = 0,
) -> Trained:
    """Return the model on its device, with recomputation and compilation, sharded (FSDP2) over `mesh`.

    `mesh`: None where there is one device. The values are those of the first process; other models may be `empty`.
    """
    if settings.recompute == "full":
        from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

        for index, layer in enumerate(model.layers):
            model.layers[index] = checkpoint_wrapper(layer)
    if settings.compile:
        for layer in model.layers:
            layer.compile()
    if mesh is None:
        return model.to(device)
    from torch.distributed.fsdp import MixedPrecisionPolicy

    policy = MixedPrecisionPolicy(param_dtype=precision, reduce_dtype=torch.float32)
    shard(model, model.layers, mesh, rank, device, {"mp_policy": policy, "reshard_after_forward": settings.reshard})
    return model


def matrix_parameters(model: Trained) -> int:
    """Return how many weights multiply every token: those of all matrices but an embedding that is only looked up.

    A frozen weight counts two thirds, because the product for its own gradient is left out.
    """
    embedding = model.base.get_input_embeddings().weight
    tied = model.head.weight is embedding
    used = [p for p in model.parameters() if p.dim() > 1 and (p is not embedding or tied)]
    return sum(p.numel() if p.requires_grad else 2 * p.numel() // 3 for p in used)


def flops(matrices: int, layers: int, width: int, lengths: Any) -> float:
    """Return the floating-point operations of a training step over pieces of `lengths` tokens.

    There are 6 for each weight and token and, for causal attention, 6·layers·width·n for each token of a piece of n
    tokens. The latter is half of what is often published, because a token attends to half of its piece on average.
    """
    tokens = float(lengths.sum())
    return 6.0 * matrices * tokens + 6.0 * layers * width * float((lengths.astype(float) ** 2).sum())


def save(folder: Path, lm: Any, tokenizer: Tokenizer, card: str, corpora: dict[str, Any]) -> None:
    """Write a Hugging Face folder: configuration, safetensors, tokenizer, card, and the corpora of the training.

    Tied weights are written once, as the configuration says. The folder appears whole or not at all.
    """
    part = _part(folder)
    lm.config._attn_implementation = "sdpa"
    lm.save_pretrained(part)
    tokenizer.save(part, getattr(lm.config, "max_position_embeddings", None))
    _finish(part, folder, card, corpora)


def save_adapter(folder: Path, lm: Any, card: str, corpora: dict[str, Any]) -> None:
    """Write the adapters of a model alone, with their configuration, which names the model they adapt."""
    part = _part(folder)
    lm.save_pretrained(part)
    _finish(part, folder, card, corpora)


def _part(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{os.getpid()}.part")


def _finish(part: Path, folder: Path, card: str, corpora: dict[str, Any]) -> None:
    (part / "README.md").write_text(card, encoding="utf-8")
    (part / TRAINED_ON).write_text(json.dumps(corpora), encoding="utf-8")  # `mmedc bench` reads it
    part.rename(folder)
