"""Fine-tuning on questions: each example lies whole in one sequence, with the loss on its answer only."""

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc.errors import RecipeError
from mmedc.prompts import answer_of, prompt_of
from mmedc.questions import Item, Row, item_files, item_of, language_of, read_rows
from mmedc.tokenizer import Tokenizer, continuations_of
from mmedc.train.config import Examples
from mmedc.train.stream import IGNORE, Sequence, generator

OPEN = 32
"""Sequences among which an example is placed. Their order stays nearly that in which examples are drawn."""


@dataclass(frozen=True)
class Example:
    """A prompt and the answer to learn."""

    prompt: str
    answer: str
    lang: str


def read_examples(settings: Examples) -> list[Example]:
    """Return the examples of JSON lines, each of which has `prompt` and `answer`, or is an item of a benchmark.

    `mmedc.questions.read_items` says what an item has. The language is `lang`, or else the one that the file is named
    after.

    Raises: RecipeError with file and line for a row that is neither.
    """
    examples: list[Example] = []
    for file in item_files(settings.path):
        for number, row in read_rows(file):
            try:
                examples += _examples(row, file.name, number, settings)
            except (ValueError, KeyError, TypeError, AttributeError) as problem:
                raise RecipeError(
                    f"{file.url}:{number}: neither prompt and answer nor an item of MMedBench ({problem!r})"
                ) from None
    if not examples:
        raise RecipeError(f"examples.path: {settings.path}: there are no examples in it")
    return examples


def _examples(row: Row, file: str, number: int, settings: Examples) -> list[Example]:
    if "prompt" in row:
        return [Example(row["prompt"], row["answer"], row.get("lang") or language_of(file))]
    item: Item = item_of(row, file, number)
    wanted = {"both": (True, False), "with": (True,), "without": (False,)}[settings.rationale]
    return [
        Example(
            prompt_of(item.question, item.options, item.lang, reasoned, settings.prompt),
            answer_of(item.gold, item.rationale if reasoned else None),
            item.lang,
        )
        for reasoned in wanted
        if item.rationale or not reasoned
    ]


@dataclass
class ExampleStream:
    """Whole examples packed into sequences of S tokens, in an order drawn for each epoch; sequence n depends on n only.

    An example that is longer than a sequence keeps the end of its prompt, and its whole answer; `cut` counts them. An
    example whose answer alone is longer is left out; `left_out` counts them.
    """

    examples: list[Example]
    tokenizer: Tokenizer
    context: int
    seed: int
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = [f"examples/{lang}/items/qa" for lang in sorted({example.lang for example in self.examples})]
        self.left_out = self.cut = 0
        begin, end = list(self.tokenizer.begin), [self.tokenizer.eos]
        # Encoded as one text, as in scoring: many tokenizers would begin a text of its own with a blank.
        pairs = [(example.prompt, example.answer) for example in self.examples]
        self._items: list[tuple[npt.NDArray[np.int64], int, int]] = []
        digest = hashlib.sha256()
        for example, (prompt, answer) in zip(
            self.examples, continuations_of(self.tokenizer.encode, pairs), strict=True
        ):
            prompt, answer = begin + prompt, answer + end
            if len(answer) >= self.context:
                self.left_out += 1
                continue
            more = max(0, len(prompt) + len(answer) - self.context - 1)
            self.cut += more > 0
            ids = np.array([*prompt[more:], *answer], np.int64)
            digest.update(ids.tobytes())
            lang = self.names.index(f"examples/{example.lang}/items/qa")
            self._items.append((ids, len(prompt) - more, lang))
        if not self._items:
            raise RecipeError(f"examples: no answer is shorter than {self.context} tokens; raise data.context")
        self._digest = digest.hexdigest()
        self._plan = functools.lru_cache(maxsize=4)(self._draw)
        self._ends = [len(self._plan(0))]

    def _draw(self, epoch: int) -> list[list[int]]:
        """Return the examples of each sequence of an epoch, in drawn order.

        An example goes where it leaves the least room, among the last OPEN sequences that have room for it (best fit).
        """
        bins: list[list[int]] = []
        rooms: dict[int, int] = {}
        """The room that is left in the sequences that are open."""
        for item in generator(self.seed, 3, epoch).permutation(len(self._items)).tolist():
            size = len(self._items[item][0]) - 1  # the last token is only a target
            fitting = [number for number, room in rooms.items() if room >= size]
            at = min(fitting, key=rooms.__getitem__) if fitting else len(bins)
            if at == len(bins):
                bins.append([])
                rooms[at] = self.context
                if len(rooms) > OPEN:
                    del rooms[next(iter(rooms))]
            bins[at].append(item)
            rooms[at] -= size
        return bins

    def padding(self) -> float:
        """Return the share of the tokens of the first epoch that is empty room at the end of sequences."""
        used = sum(len(ids) - 1 for ids, _, _ in self._items)
        return 1 - used / (len(self._plan(0)) * self.context)

    def _place(self, number: int) -> tuple[int, int]:
        """Return the epoch of a sequence, and its number in the epoch. Epochs are planned once, up to this one."""
        while self._ends[-1] <= number:
            self._ends.append(self._ends[-1] + len(self._plan(len(self._ends))))
        epoch = int(np.searchsorted(self._ends, number, side="right"))
        return epoch, number - (self._ends[epoch - 1] if epoch else 0)

    def sequence(self, number: int) -> Sequence:
        """Return sequence `number`; see `mmedc.train.stream.TrainingStream`. The rest at its end has no targets."""
        epoch, at = self._place(number)
        tokens, targets = np.zeros(self.context, np.int64), np.full(self.context, IGNORE, np.int64)
        lengths, components, first = [], [], 0
        for item in self._plan(epoch)[at]:
            ids, prompt, lang = self._items[item]
            last = first + len(ids) - 1
            tokens[first:last] = ids[:-1]
            targets[first + max(prompt - 1, 0) : last] = ids[max(prompt, 1) :]
            lengths.append(len(ids) - 1)
            components.append(lang)
            first = last
        lengths.append(self.context - first)
        sizes = np.array(lengths, np.int64)
        return Sequence(tokens, targets, sizes[sizes > 0], components[0])

    def provenance(self, number: int) -> list[dict[str, Any]]:
        """Return the numbers of the examples in sequence `number`."""
        epoch, at = self._place(number)
        return [{"example": item} for item in self._plan(epoch)[at]]

    def record(self) -> dict[str, Any]:
        """Return what the stream depends on; see `mmedc.train.stream.TrainingStream`."""
        return {
            "examples": self._digest,
            "count": len(self._items),
            "left_out": self.left_out,
            "tokenizer": self.tokenizer.digest,
            "packing": "best fit",
            "context": self.context,
            "seed": self.seed,
        }

    def sequences(self, epochs: float) -> int:
        """Return how many sequences the first `epochs` epochs have."""
        whole, part = divmod(epochs, 1)
        while len(self._ends) <= whole:
            self._place(self._ends[-1])
        before = self._ends[int(whole) - 1] if whole else 0
        return before + round(part * (self._ends[int(whole)] - before))
