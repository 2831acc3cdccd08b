"""The benchmark questions that a recipe asks to find in its documents; `mmedc.questions` reads their files."""

import functools
import hashlib
import os
import warnings
from dataclasses import dataclass

from mmedc.errors import RecipeError
from mmedc.inputs import Input, list_inputs
from mmedc.questions import LETTERS, SUFFIXES, Question, read_questions

__all__ = ["LETTERS", "Question", "Questions", "find_questions", "name_of", "quoted", "read_questions"]


@dataclass(frozen=True)
class Questions:
    """The files of a recipe's questions: small to pickle, and read where they are used."""

    inputs: tuple[Input, ...]
    words: int
    """Words in a row that make a hit."""
    characters: int
    """The same in scripts without spaces."""

    @functools.cached_property
    def digest(self) -> str:
        """What a result depends on: the questions and the lengths."""
        whole = hashlib.sha256(repr((self.words, self.characters)).encode())
        for question in self.read():
            parts = (question.place, question.text, question.options)
            whole.update(repr(parts).encode("utf-8", "surrogatepass"))
        return whole.hexdigest()

    def identity(self) -> str:
        """Return the digest: the same questions are the same wherever their files are."""
        return self.digest

    def read(self) -> list[Question]:
        """Return the questions, each once, in the order of the files."""
        found: dict[tuple[str, ...], Question] = {}
        for file in self.inputs:
            for question in read_questions(file):
                found.setdefault((question.text, *question.options), question)
        return [*found.values()]


def find_questions(patterns: tuple[str, ...], words: int, characters: int) -> Questions:
    """Return the question files of `patterns`. Raises: RecipeError for a pattern that matches none."""
    inputs: list[Input] = []
    for pattern in patterns:
        found = [file for file in list_inputs(pattern, SUFFIXES) if file.name.endswith(SUFFIXES)]
        if not found:
            raise RecipeError(f"decontaminate.questions: {pattern} has no file of questions ({', '.join(SUFFIXES)})")
        for file in found:
            if not file.bytes:
                warnings.warn(f"decontaminate.questions: {file.name} is empty", stacklevel=2)
        inputs += found
    return Questions(tuple(inputs), words, characters)


def quoted(text: str, limit: int = 300) -> str:
    """Return `text` on one line, cut at `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def name_of(place: str) -> str:
    """Return the name of a question's set: its file without folders and suffixes."""
    return os.path.basename(place.partition("#")[0]).split(".")[0]
