"""Whether a model computes the same over a packed batch as over its documents one by one, tried before a run begins."""

import numpy as np
import torch

from mmedc.errors import RecipeError
from mmedc.train import attention
from mmedc.train.loader import Batch, make_batch
from mmedc.train.model import Trained
from mmedc.train.stream import IGNORE, Sequence

LENGTHS = (5, 12, 9)
"""Tokens of the documents that are tried."""
CLOSE = 1e-3
"""The most by which values may differ, in standard deviations; the order of sums makes about a hundredth of it."""


class _Documents:
    """Documents of the same tokens everywhere, as one sequence."""

    def __init__(self, documents: list[list[int]]) -> None:
        self._documents = documents

    def sequence(self, number: int) -> Sequence:
        tokens = np.concatenate(self._documents)
        return Sequence(tokens, np.full(len(tokens), IGNORE), np.array([*map(len, self._documents)]), 0)


def check_packing(model: Trained, context: int) -> None:
    """Compare a packed batch with its documents one by one, on a model that lies on the CPU in float32.

    Raises: RecipeError with the reason where they differ, so that no run trains another model than it names.
    """
    kind = model.base.config.model_type
    words = int(model.base.get_input_embeddings().num_embeddings)
    documents = [[(37 * place + 11 * size) % words for place in range(size)] for size in LENGTHS]
    training = model.training
    model.eval()
    with torch.no_grad():
        packed = model.hidden(_batch(documents, context))
        alone = torch.cat([model.hidden(_batch([one], context)) for one in documents])
        model.base.set_attn_implementation("eager")
        own = torch.cat([model.base(torch.tensor([one]), use_cache=False).logits[0] for one in documents])
        model.base.set_attn_implementation(attention.NAME)
    model.train(training)
    if not _alike(packed, alone):
        raise RecipeError(
            _refused(kind, "a document of a packed batch changes the next one (recurrence or convolution)")
        )
    if not _alike(alone @ model.head.weight.t(), own):
        raise RecipeError(_refused(kind, "its logits differ from those of its own attention and output layer"))


def _batch(documents: list[list[int]], context: int) -> Batch:
    batch = make_batch(_Documents(documents), [0])
    batch.longest = context
    return batch


def _alike(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= CLOSE * expected.std())


def _refused(kind: str, why: str) -> str:
    return f"model: {kind} cannot be trained here: {why}; choose a model of a plain family, such as llama or qwen3"
