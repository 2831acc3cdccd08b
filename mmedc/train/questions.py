"""How many questions a model answers rightly while it is trained, the answers compared by log-likelihood."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from mmedc.tokenizer import Tokenizer, continuation_of
from mmedc.train.stream import IGNORE, Sequence
from mmedc.train.windows import Judged, Windows


@dataclass(frozen=True)
class Question:
    """A prompt and the answers that are compared."""

    lang: str
    prompt: str
    answers: tuple[str, ...]
    right: int
    """Which of `answers` is the right one."""


class Questions(Windows):
    """Questions, several answers to a sequence, masked from each other.

    An answer that is longer than a sequence with its prompt loses the beginning of the prompt.
    """

    def __init__(self, questions: tuple[Question, ...], tokenizer: Tokenizer, context: int) -> None:
        self._questions = questions
        self._context = context
        windows: list[tuple[Sequence, np.ndarray[Any, Any]]] = []
        begin = list(tokenizer.begin)
        encode = functools.lru_cache(maxsize=2)(lambda text: begin + tokenizer.encode([text])[0])
        pieces: list[tuple[list[int], int]] = []
        for one in questions:
            for answer in one.answers:
                prompt, tokens = continuation_of(encode, one.prompt, answer)
                pieces.append(((prompt + tokens)[-context - 1 :], max(1, min(len(tokens), context))))
        room: list[tuple[int, list[int], int]] = []
        for number, (tokens, count) in enumerate(pieces):
            if sum(len(one) - 1 for _, one, _ in room) + len(tokens) - 1 > context:
                windows.append(self._window(room))
                room = []
            room.append((number, tokens, count))
        if room:
            windows.append(self._window(room))
        super().__init__([window for window, _ in windows])
        self._owners = [owners for _, owners in windows]
        self._answers = len(pieces)

    def _window(self, pieces: list[tuple[int, list[int], int]]) -> tuple[Sequence, np.ndarray[Any, Any]]:
        """Return a sequence, and (S,) the answer that each of its targets belongs to."""
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

    def evaluate(self, judged: Judged) -> dict[str, float]:
        """Return the share of questions answered rightly, by language and their mean (`accuracy/…`)."""
        if not self._questions:
            return {}
        likelihoods = torch.zeros(self._answers, dtype=torch.float64, device=judged.device)
        for numbers, _, each in self.losses(judged):
            owners = np.concatenate([self._owners[min(number, len(self) - 1)] for number in numbers])
            likelihoods.index_add_(0, torch.from_numpy(owners).to(judged.device), -each.double())
        if dist.is_initialized():
            dist.all_reduce(likelihoods)
        found = likelihoods.cpu().numpy()
        right: dict[str, list[bool]] = {}
        at = 0
        for one in self._questions:
            chosen = int(np.argmax(found[at : at + len(one.answers)]))  # of equals the first
            right.setdefault(one.lang, []).append(chosen == one.right)
            at += len(one.answers)
        by_lang = {f"accuracy/{lang}": float(np.mean(marks)) for lang, marks in sorted(right.items())}
        return {**by_lang, "accuracy/mean": float(np.mean(list(by_lang.values())))}
