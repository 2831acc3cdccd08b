"""Scoring of texts with a transformer: any checkpoint for sequence classification can be used.

This is for users who have such a model, for example FineWeb-Edu's: `pip install 'mmedc[train]'`. Texts of
similar length are batched together, so that there is little padding. Models run in bfloat16 on a GPU and in
float32 on a CPU.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc.engine.identity import NO_EFFECT
from mmedc.errors import ModelMissing

Scorer = Callable[[list[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Classifier:
    """A checkpoint and how its output becomes a score.

    Weights are read from safetensors only; none of the checkpoint's code is run.
    """

    checkpoint: str = field(metadata=NO_EFFECT)
    """A folder of Hugging Face files."""
    label: str | int = -1
    """The label whose probability is the score; for a model with one output, that output divided by `scale`."""
    scale: float = 1.0
    tokens: int = 512
    """The number of tokens that the model reads of each text."""
    batch_tokens: int = 16_384
    """The number of tokens in one batch, including padding."""
    digest: str = ""
    """The digest of the files of the checkpoint, which identifies it."""

    def scorer(self) -> Scorer:
        """Return the function from texts to scores, float32 (D,).

        Raises: ModelMissing when a package, the checkpoint or the label is missing.
        """
        try:
            import torch
            import transformers
        except ImportError as problem:
            raise ModelMissing(f"a classifier needs {problem.name}: `pip install 'mmedc[train]'`") from None
        transformers.logging.set_verbosity_error()
        options = {"trust_remote_code": False, "local_files_only": True}
        device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = torch.bfloat16 if device == "cuda" else torch.float32
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.checkpoint, **options)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                self.checkpoint, dtype=kind, use_safetensors=True, **options
            )
        except (OSError, ValueError) as problem:
            raise ModelMissing(f"{self.checkpoint}: no checkpoint for classification here ({problem})") from None
        model.to(device).eval()
        column = self._column(model.config)

        def score(texts: list[str]) -> npt.NDArray[np.float32]:
            found = np.zeros(len(texts), np.float32)
            encoded = tokenizer(texts, truncation=True, max_length=self.tokens)["input_ids"] if texts else []
            for rows in by_length([len(tokens) for tokens in encoded], self.batch_tokens):
                inputs = tokenizer.pad({"input_ids": [encoded[row] for row in rows]}, return_tensors="pt").to(device)
                with torch.inference_mode():
                    logits = model(**inputs).logits.float()  # (rows, labels)
                chosen = logits[:, 0] / self.scale if logits.shape[1] == 1 else logits.softmax(-1)[:, column]
                found[rows] = chosen.cpu().numpy()
            return found

        return score

    def _column(self, config: Any) -> int:
        if isinstance(self.label, int):
            return self.label
        if self.label not in config.label2id:
            raise ModelMissing(f"{self.checkpoint}: no label {self.label!r}; it has {', '.join(config.label2id)}")
        return int(config.label2id[self.label])


@functools.lru_cache(maxsize=1)
def opened(classifier: Classifier) -> Scorer:
    """Return the scorer of a checkpoint; a process that runs several units loads it once."""
    return classifier.scorer()


def by_length(lengths: list[int], most: int) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each batch, shortest texts first; no batch has more than `most` tokens, including padding."""
    batches: list[npt.NDArray[np.int64]] = []
    order = np.argsort(np.array(lengths, np.int64), kind="stable")
    first = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or lengths[order[at]] * (at - first + 1) > most:
            batches.append(order[first:at])
            first = at
    return batches
