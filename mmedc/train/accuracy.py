"""The share of questions that a model answers rightly while it is trained, by comparing log-likelihoods."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from mmedc.tokenizer import Tokenizer, continuation_of
from mmedc.train.stream import IGNORE, Sequence
from mmedc.train.windows import Evaluation, Windows


@dataclass(frozen=True)
class MultipleChoice:
    """A prompt and the answers that are compared."""

    lang: str
    prompt: str
    answers: tuple[str, ...]
    right: int
    """The index in `answers` of the right one."""
    letter_shares: tuple[float, ...] = ()
    """For each answer the share of options that it rightly chooses or leaves, where several may be right."""


class AccuracyWindows(Windows):
    """Questions with their answers, several answers to a sequence, none of which attends to another.

    A prompt that is too long with its answer loses its beginning; `cut` counts the questions to which this happens.
    """

    def __init__(self, questions: tuple[MultipleChoice, ...], tokenizer: Tokenizer, context: int) -> None:
        self._questions = questions
        self._context = context
        begin = list(tokenizer.begin)
        encode = functools.lru_cache(maxsize=2)(lambda text: begin + tokenizer.encode([text])[0])
        pieces: list[tuple[list[int], int]] = []
        self.cut = 0
        for question in questions:
            found = [continuation_of(encode, question.prompt, text) for text in question.answers]
            self.cut += any(len(prompt) + len(tokens) > context + 1 for prompt, tokens in found)
            for prompt, tokens in found:
                pieces.append(((prompt + tokens)[-context - 1 :], max(1, min(len(tokens), context))))
        windows: list[tuple[Sequence, np.ndarray[Any, Any]]] = []
        window: list[tuple[int, list[int], int]] = []
        for number, (tokens, count) in enumerate(pieces):
            if sum(len(other) - 1 for _, other, _ in window) + len(tokens) - 1 > context:
                windows.append(self._window(window))
                window = []
            window.append((number, tokens, count))
        if window:
            windows.append(self._window(window))
        super().__init__([sequence for sequence, _ in windows])
        self._owners = [owners for _, owners in windows]
        self._answers = len(pieces)

    def _window(self, pieces: list[tuple[int, list[int], int]]) -> tuple[Sequence, np.ndarray[Any, Any]]:
        """Return a sequence, and (S,) the number of the answer that each of its targets belongs to."""
        tokens, targets = np.zeros(self._context, np.int64), np.full(self._context, IGNORE, np.int64)
        owners, lengths, first = np.zeros(self._context, np.int64), [], 0
        for answer, ids, count in pieces:
            last = first + len(ids) - 1
            tokens[first:last] = ids[:-1]
            targets[last - count : last] = ids[-count:]
            owners[first:last] = answer
            lengths.append(len(ids) - 1)
            first = last
        sizes = np.array([*lengths, self._context - first], np.int64)
        return Sequence(tokens, targets, sizes[sizes > 0], 0), owners

    def evaluate(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the share of questions answered rightly, by language and as their mean (`accuracy/…`).

        Where several letters may be right these are exact sets, and `per_letter/…` is the mean share of options that
        are rightly chosen or left.
        """
        if not self._questions:
            return {}
        likelihoods = torch.zeros(self._answers, dtype=torch.float64, device=evaluation.device)
        for numbers, _, losses in self.losses(evaluation):
            owners = np.concatenate([self._owners[min(number, len(self) - 1)] for number in numbers])
            likelihoods.index_add_(0, torch.from_numpy(owners).to(evaluation.device), -losses.double())
        if dist.is_initialized():
            dist.all_reduce(likelihoods)
        found = likelihoods.cpu().numpy()
        right: dict[str, list[bool]] = {}
        letters: dict[str, list[float]] = {}
        at = 0
        for question in self._questions:
            chosen = int(np.argmax(found[at : at + len(question.answers)]))  # the first of equals
            right.setdefault(question.lang, []).append(chosen == question.right)
            if question.letter_shares:
                letters.setdefault(question.lang, []).append(question.letter_shares[chosen])
            at += len(question.answers)
        by_letter = {f"per_letter/{lang}": float(np.mean(shares)) for lang, shares in sorted(letters.items())}
        by_lang = {f"accuracy/{lang}": float(np.mean(marks)) for lang, marks in sorted(right.items())}
        return {**by_lang, **by_letter, "accuracy/mean": float(np.mean(list(by_lang.values())))}
