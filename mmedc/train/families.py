"""Whether a model computes the same over a packed batch as over its documents one by one, tried before a run begins.

The model at hand is tried, not its family's name: a batch of three documents against each of them alone, and against
the model's own attention and output layer. What shows only in long documents is read from the configuration and from
the masks that the model asks for. `docs/reference/families.md` says how the families of `transformers` fare.
"""

from typing import Any

import numpy as np
import torch

from mmedc.errors import RecipeError
from mmedc.redact import first_line
from mmedc.train import attention
from mmedc.train.loader import Batch, make_batch
from mmedc.train.model import Trained
from mmedc.train.stream import IGNORE, Sequence

LENGTHS = (5, 12, 9)
"""Tokens of the documents that are tried."""
CLOSE = 1e-3
"""The most by which values may differ, in standard deviations; the order of sums makes about a hundredth of it."""
BY_LONGEST = ("dynamic", "longrope")
"""Rotary encodings whose frequencies follow the longest document of a batch."""


class _Documents:
    """Documents of the same tokens everywhere, as one sequence."""

    def __init__(self, documents: list[list[int]]) -> None:
        self._documents = documents

    def sequence(self, number: int) -> Sequence:
        tokens = np.concatenate(self._documents)
        return Sequence(tokens, np.full(len(tokens), IGNORE), np.array([*map(len, self._documents)]), 0)


def check_packing(model: Trained, context: int) -> None:
    """Compare a packed batch with its documents one by one, on a model that lies on the CPU in float32.

    Raises: RecipeError with the reason where they differ, so that no run trains another model than it names, and where
    the code of the model takes no packed documents.
    """
    kind = model.base.config.model_type
    training = model.training
    model.eval()
    try:
        why = _why_not(model, context)
    except RecipeError:
        raise
    except Exception as problem:  # the code of a model may raise anything
        why = f"its code in transformers takes no packed documents ({type(problem).__name__}: {first_line(problem)})"
    finally:
        model.base.set_attn_implementation(attention.NAME)
        model.train(training)
    if why:
        raise RecipeError(
            f"model: {kind} cannot be trained here: {why}; choose a model of a plain family, such as llama or qwen3"
        )


def _why_not(model: Trained, context: int) -> str:
    """Return why packed documents change what a model computes, or an empty string."""
    if getattr(model.head, "bias", None) is not None:
        return "its output layer has a bias, which the loss in chunks does not add"
    if follows := _follows_longest(model.base.config, context):
        return follows
    words = int(model.base.get_input_embeddings().num_embeddings)
    documents = [[(37 * place + 11 * size) % words for place in range(size)] for size in LENGTHS]
    with torch.no_grad():
        with attention.windows_asked() as windows:
            packed = model.hidden(_batch(documents, context))
        alone = torch.cat([model.hidden(_batch([one], context)) for one in documents])
        model.base.set_attn_implementation("eager")
        own = torch.cat([model.base(torch.tensor([one]), use_cache=False).logits[0] for one in documents])
    if windows and min(windows) < context and _windowed(model.base.config):
        return f"its attention has windows or chunks of {min(windows)} tokens, fewer than data.context"
    if not _alike(packed, alone):
        return "a document of a packed batch changes the next one (recurrence, convolution or positions of its own)"
    if not _alike(model.logit_scale * alone @ model.head.weight.t(), own):
        return "its logits differ from those of its own attention and output layer"
    return ""


def _windowed(config: Any) -> bool:
    """Return whether a layer uses a window or chunks; without a list of layers, whoever asks for a mask uses it."""
    kinds = getattr(config, "layer_types", None)
    return not kinds or any("sliding" in kind or "chunk" in kind for kind in kinds)


def _follows_longest(config: Any, context: int) -> str:
    """Return which rotary encoding would make a document depend on the longest of its batch, or an empty string."""
    ropes = getattr(config, "rope_parameters", None) or {}
    most = getattr(config, "original_max_position_embeddings", getattr(config, "max_position_embeddings", context))
    for rope in (ropes, *(value for value in ropes.values() if isinstance(value, dict))):
        trained = min(rope.get("original_max_position_embeddings") or most, most)
        if rope.get("rope_type") in BY_LONGEST and trained < context:
            return (
                f"its {rope['rope_type']} positions beyond {trained} tokens, fewer than data.context, follow the "
                "longest document of a batch"
            )
    return ""


def _batch(documents: list[list[int]], context: int) -> Batch:
    batch = make_batch(_Documents(documents), [0])
    batch.longest = context
    return batch


def _alike(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= CLOSE * expected.std())
