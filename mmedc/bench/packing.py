"""Packs prompts and their continuations into rows for a model, so that shared tokens are computed once.

A row is a tree of tokens, written as a list in which a parent precedes its children: a prompt, then its branches.
The position of a token is its depth, and a mask lets it attend to its ancestors only. One pass then computes what a
pass for each continuation would. The last token of a sequence is never an input.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mmedc.tokenizer import continuation_of

Encode = Callable[[str], list[int]]
Tokens = tuple[int, ...]
SHARED = 0.5
"""Two prompts share a row if this share of the shorter one is common, as after the same solved examples."""


@dataclass(frozen=True)
class Request:
    """A prompt and its continuations."""

    prompt: str
    continuations: tuple[str, ...]


@dataclass
class Row:
    """A tree of tokens, and the sequences whose last tokens are scored."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """The index of the parent of each token, -1 for the first."""
    depths: list[int] = field(default_factory=list)
    wanted: list[tuple[int, int, list[int], Tokens]] = field(default_factory=list)
    """(request, continuation, the nodes that predict its tokens, its tokens)."""
    _children: dict[tuple[int, int], int] = field(default_factory=dict, repr=False)

    @property
    def branches(self) -> bool:
        """Whether the row is more than a plain sequence."""
        return bool(self.parents) and self.parents != list(range(-1, len(self.parents) - 1))

    def grow(self, path: list[int], tokens: Tokens) -> list[int]:
        """Return the nodes of `path` and of the tokens after it, adding those that are missing."""
        path = list(path)
        for token in tokens:
            parent = path[-1] if path else -1
            node = self._children.get((parent, token))
            if node is None:
                node = len(self.tokens)
                self._children[parent, token] = node
                self.tokens.append(token)
                self.parents.append(parent)
                self.depths.append(len(path))
            path.append(node)
        return path

    def want(self, path: list[int], whole: Tokens, count: int, request: int, continuation: int) -> None:
        """Have the last `count` tokens of a sequence scored. Its beginning has the nodes `path`."""
        path = self.grow(path, whole[len(path) : -1])
        self.wanted.append((request, continuation, path[len(path) - count :], whole[len(whole) - count :]))

    def visible(self) -> npt.NDArray[np.bool_]:
        """Return (n, n): whether the token of a line attends to that of a column, its ancestor or itself."""
        size = len(self.tokens)
        seen = np.tri(size, dtype=bool)
        first = next((node for node, parent in enumerate(self.parents) if parent != node - 1), size)
        for node in range(first, size):
            parent = self.parents[node]
            seen[node, :node] = seen[parent, :node] if parent >= 0 else False
        return seen


def rows_of(requests: list[Request], encode: Encode, context: int, shared: bool) -> list[Row]:
    """Return the rows that answer `requests`, of at most `context` tokens. A longer sequence loses its beginning.

    `shared`: whether a row may branch. Otherwise a row has only continuations of the same input.
    """
    encode = functools.lru_cache(maxsize=2)(encode)  # a prompt is encoded once for all its continuations
    sequences: list[list[tuple[Tokens, int]]] = []
    for request in requests:
        own = []
        for continuation in request.continuations:
            prompt, tokens = map(tuple, continuation_of(encode, request.prompt, continuation))
            whole = (*prompt, *tokens)[-(context + 1) :]
            own.append((whole, min(len(tokens), len(whole) - 1)))
        sequences.append(own)
    rows: list[Row] = []
    before: Tokens = ()
    order = sorted(range(len(requests)), key=lambda number: sequences[number][0][0]) if shared else range(len(requests))
    for number in order:
        own = sequences[number]
        if not shared:
            rows += _plain(number, own)
            continue
        first = own[0][0]
        begin = first[: min(common(first, whole, 1) for whole, _ in own)]
        grown = len(begin) + sum(len(whole) - len(begin) for whole, _ in own)
        same = common(before, first) if rows else 0
        if not rows or same < SHARED * len(first) or len(rows[-1].tokens) + grown - same > context:
            rows.append(Row())
        path = rows[-1].grow([], begin)
        for place, (whole, count) in enumerate(own):
            rows[-1].want(path, whole, count, number, place)
        before = first
    return rows


def common(first: Tokens, second: Tokens, less: int = 0) -> int:
    """Return how many first tokens two sequences share, without counting their last `less` tokens."""
    most = min(len(first), len(second)) - less
    return next((at for at in range(most) if first[at] != second[at]), most)


def _plain(number: int, sequences: list[tuple[Tokens, int]]) -> list[Row]:
    """Return rows without branches; sequences with the same inputs share one."""
    rows: dict[Tokens, Row] = {}
    for place, (whole, count) in enumerate(sequences):
        rows.setdefault(whole[:-1], Row()).want([], whole, count, number, place)
    return list(rows.values())


Sized = TypeVar("Sized")


def batches(rows: list[Sized], size: Callable[[Sized], int], most: int) -> Iterator[list[Sized]]:
    """Yield rows of similar size together, the largest first, at most `most` tokens with their padding."""
    batch: list[Sized] = []
    for row in sorted(rows, key=size, reverse=True):
        if batch and (len(batch) + 1) * size(batch[0]) > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
