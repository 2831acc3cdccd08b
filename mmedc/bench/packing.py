"""Continuations of prompts as rows for a model: what they share is in a row once.

A row is a tree of tokens, written as a list in which a parent stands before its children: a prompt, then what
branches off it. With the position of a token its depth, and a mask by which a token sees only its ancestors,
one pass computes what a pass for each continuation would. The last token of a sequence is never an input.
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
"""Of the shorter prompt: two prompts that begin alike for so much share a row, as after the same solved examples."""


@dataclass(frozen=True)
class Request:
    """A prompt and its continuations."""

    prompt: str
    continuations: tuple[str, ...]


@dataclass
class Row:
    """A tree of tokens, and the sequences whose last tokens are asked for."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """The index of each token's parent, -1 for the first."""
    depths: list[int] = field(default_factory=list)
    wanted: list[tuple[int, int, list[int], Tokens]] = field(default_factory=list)
    """(request, continuation, the nodes that predict its tokens, its tokens)."""
    _children: dict[tuple[int, int], int] = field(default_factory=dict, repr=False)

    @property
    def branches(self) -> bool:
        """Whether it is more than a plain sequence."""
        return bool(self.parents) and self.parents != list(range(-1, len(self.parents) - 1))

    def grow(self, path: list[int], tokens: Tokens) -> list[int]:
        """Return the nodes of `path` and of the tokens after it, which are put in where they are not."""
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
        """Ask for the last `count` tokens of a sequence, whose beginning has the nodes `path`."""
        path = self.grow(path, whole[len(path) : -1])
        self.wanted.append((request, continuation, path[len(path) - count :], whole[len(whole) - count :]))

    def visible(self) -> npt.NDArray[np.bool_]:
        """Return (n, n): whether the token of a line sees that of a column, which is itself or an ancestor."""
        size = len(self.tokens)
        seen = np.tri(size, dtype=bool)
        first = next((node for node, parent in enumerate(self.parents) if parent != node - 1), size)
        for node in range(first, size):
            parent = self.parents[node]
            seen[node, :node] = seen[parent, :node] if parent >= 0 else False
        return seen


def rows_of(requests: list[Request], encode: Encode, context: int, shared: bool) -> list[Row]:
    """Return the rows that answer `requests`, of at most `context` tokens; a longer sequence loses its beginning.

    `shared`: whether a row may branch; otherwise only continuations of the same input are in one row.
    """
    encode = functools.lru_cache(maxsize=2)(encode)  # a prompt is encoded once for all its continuations
    sequences: list[list[tuple[Tokens, int]]] = []
    for request in requests:
        mine = []
        for continuation in request.continuations:
            prompt, tokens = map(tuple, continuation_of(encode, request.prompt, continuation))
            whole = (*prompt, *tokens)[-(context + 1) :]
            mine.append((whole, min(len(tokens), len(whole) - 1)))
        sequences.append(mine)
    rows: list[Row] = []
    before: Tokens = ()
    order = sorted(range(len(requests)), key=lambda number: sequences[number][0][0]) if shared else range(len(requests))
    for number in order:
        mine = sequences[number]
        if not shared:
            rows += _plain(number, mine)
            continue
        first = mine[0][0]
        begin = first[: min(common(first, whole, 1) for whole, _ in mine)]
        grown = len(begin) + sum(len(whole) - len(begin) for whole, _ in mine)
        same = common(before, first) if rows else 0
        if not rows or same < SHARED * len(first) or len(rows[-1].tokens) + grown - same > context:
            rows.append(Row())
        path = rows[-1].grow([], begin)
        for place, (whole, count) in enumerate(mine):
            rows[-1].want(path, whole, count, number, place)
        before = first
    return rows


def common(one: Tokens, other: Tokens, less: int = 0) -> int:
    """Return with how many equal tokens two sequences begin, but for their `less` last."""
    most = min(len(one), len(other)) - less
    return next((at for at in range(most) if one[at] != other[at]), most)


def _plain(number: int, sequences: list[tuple[Tokens, int]]) -> list[Row]:
    """Return rows that don't branch: sequences of the same inputs share one."""
    rows: dict[Tokens, Row] = {}
    for place, (whole, count) in enumerate(sequences):
        rows.setdefault(whole[:-1], Row()).want([], whole, count, number, place)
    return list(rows.values())


Sized = TypeVar("Sized")


def batches(rows: list[Sized], size: Callable[[Sized], int], most: int) -> Iterator[list[Sized]]:
    """Yield rows of like size together, the largest first, so many that padded they have at most `most` tokens."""
    batch: list[Sized] = []
    for row in sorted(rows, key=size, reverse=True):
        if batch and (len(batch) + 1) * size(batch[0]) > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
