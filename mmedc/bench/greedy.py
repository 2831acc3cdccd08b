"""Prompts continued token by token, each time by the likeliest: what they share is read once, many go on together.

Keys and values of all rows stand in rooms with space for what is to come, ending at the same place, so that a new
token is written where it belongs and nothing is copied. Rows that have ended leave.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from mmedc.bench.packing import SHARED, Tokens, batches, common

ALIKE = 0.5
"""Rows that go on together are at least so long, of the longest: the rest of a room is read in vain."""
WORTH = 0.25
"""Of the tokens of a pass: prompts that share so much have a pass of their own."""
SEEN = 8
"""So many tokens that were read before cost, and take, as much as one that is read."""
FULL = 0.75
"""Of the rows of a room; with fewer left the room is given up for a smaller one, which copies them."""


@dataclass(frozen=True)
class Part:
    """Prompts that are read in one pass, after what they all begin with."""

    prefix: Tokens
    rows: tuple[tuple[int, Tokens], ...]
    """(number of a prompt, its other tokens), the longest first."""

    @property
    def width(self) -> int:
        """The tokens of the longest."""
        return len(self.prefix) + len(self.rows[0][1])


def parts_of(prompts: list[Tokens], tokens: int, most_rows: Callable[[int], int]) -> list[Part]:
    """Return prompts in parts, the longest first, but those of one beginning after each other.

    `tokens`: of a pass at most; `most_rows`: how many rows of a width may go on together.
    """
    groups: list[tuple[Tokens, list[int]]] = []
    for number in sorted(range(len(prompts)), key=prompts.__getitem__):
        one = prompts[number][:-1]  # what follows the last token is asked for
        if groups:
            prefix, members = groups[-1]
            same = prefix[: common(prefix, one)]
            if len(same) >= SHARED * min(len(prompts[members[0]]), len(one)):
                groups[-1] = same, [*members, number]
                continue
        groups.append((one, [number]))
    large = [(prefix, members) for prefix, members in groups if len(prefix) * (len(members) - 1) >= WORTH * tokens]
    shared = {number for _, members in large for number in members}
    if alone := [number for number in range(len(prompts)) if number not in shared]:
        large.append(((), alone))
    parts = []
    for prefix, members in sorted(large, key=lambda group: -max(len(prompts[one]) for one in group[1])):
        rest = [(number, prompts[number][len(prefix) :]) for number in members]
        for batch in batches(rest, lambda row: len(row[1]), tokens):
            width = len(batch[0][1])
            most = min(most_rows(len(prefix) + width), max(1, tokens // (len(prefix) // SEEN + width)))
            parts += [Part(prefix, tuple(batch[low : low + most])) for low in range(0, len(batch), most)]
    return parts


class _Room(DynamicLayer):  # type: ignore[misc]
    """Keys and values (B, heads, space, width) of a layer, written and read at some lines from a place on."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True
        self.lines, self.first, self.used = slice(None), 0, 0

    def at(self, lines: slice, first: int, used: int) -> None:
        """Write from `used` on, at `lines`, where the first token stands at `first`."""
        self.lines, self.first, self.used = lines, first, used

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write the states of new tokens behind the others; return all."""
        begin, self.used = self.used, self.used + key_states.shape[-2]
        self.keys[self.lines, :, begin : self.used] = key_states
        self.values[self.lines, :, begin : self.used] = value_states
        there = slice(self.first, self.used)
        return self.keys[self.lines, :, there], self.values[self.lines, :, there]

    def get_seq_length(self) -> int:
        """Return how many tokens are there."""
        return self.used - self.first


class Rooms:
    """Rows of a model that are read part by part, and then go on together, a token each at a time."""

    def __init__(self, ask: Callable[..., Tensor], shape: DynamicCache, count: int, width: int, most: int) -> None:
        """Make room for `count` rows of `width` tokens and `most` more.

        `ask`: (ids (B, n), the place in `n` that is asked for of each row (B,), other inputs) → its (B, V) logits;
        `shape`: a cache of the model, of any row. Raises: TypeError when a layer keeps anything but keys and values.
        """
        if not all(type(layer) is DynamicLayer for layer in shape.layers):
            raise TypeError("a layer of another kind")
        self._ask = ask
        self._layers = [
            _Room(
                *(one.new_zeros(count, one.shape[1], width + most, one.shape[3]) for one in (layer.keys, layer.values))
            )
            for layer in shape.layers
        ]
        self._cache = Cache(layers=self._layers)
        like = shape.layers[0].keys
        self._width, self._filled = width, 0
        self._low = torch.finfo(like.dtype).min
        self._unseen = like.new_full((count, 1, 1, width + most), self._low)
        self._unseen[..., width:] = 0
        self._places = torch.zeros((count, 1), dtype=torch.long, device=like.device)

    def read(self, part: Part, shared: DynamicCache | None) -> Tensor:
        """Read the prompts of a part behind what they share; return the (B, V) logits of what follows each."""
        device, before = self._places.device, len(part.prefix)
        lines = slice(self._filled, self._filled + len(part.rows))
        self._filled = lines.stop
        longest, first = part.width - before, self._width - part.width
        ids = torch.zeros((len(part.rows), longest), dtype=torch.long)
        sizes = torch.tensor([len(tokens) for _, tokens in part.rows], device=device)
        for line, (_, tokens) in enumerate(part.rows):
            ids[line, : len(tokens)] = torch.tensor(tokens)  # filled on the right: nothing before sees it
        for number, room in enumerate(self._layers):
            room.at(lines, first, first + before)
            if shared is not None:
                room.keys[lines, :, first : first + before] = shared.layers[number].keys
                room.values[lines, :, first : first + before] = shared.layers[number].values
        self._unseen[lines, ..., first : self._width] = 0
        filled = torch.arange(longest, device=device) >= sizes[:, None]
        self._unseen[lines, 0, 0, first + before : self._width].masked_fill_(filled, self._low)
        self._places[lines, 0] = before + sizes
        mask = None
        if before:
            mask = self._unseen.new_full((1, 1, longest, part.width), self._low).triu_(before + 1)
        places = torch.arange(before, part.width, device=device)[None]
        return self._ask(
            ids.to(device), sizes - 1, position_ids=places, attention_mask=mask, past_key_values=self._cache
        )

    def go_on(self, tokens: list[int]) -> Tensor:
        """Return the (B, V) logits of what follows when each row goes on with its token."""
        used = max(self._width, self._layers[0].used)
        for room in self._layers:
            room.at(slice(None), 0, used)
        ids = torch.tensor(tokens, device=self._places.device)[:, None]
        mask = self._unseen[..., : used + 1]
        places, self._places = self._places, self._places + 1
        last = torch.zeros_like(ids[:, 0])
        return self._ask(ids, last, position_ids=places, attention_mask=mask, past_key_values=self._cache)

    def keep(self, lines: list[int]) -> None:
        """Let all rows but these leave."""
        kept = torch.tensor(lines, device=self._places.device)
        for room in self._layers:
            room.keys, room.values = room.keys[kept], room.values[kept]
        self._unseen, self._places = self._unseen[kept], self._places[kept]


def pools(parts: list[Part], most: int, most_rows: Callable[[int], int]) -> Iterator[list[Part]]:
    """Yield the parts that go on together for `most` tokens: of like width, so many rows as may be of the widest."""
    pool: list[Part] = []
    for part in parts:
        widths = [one.width + most for one in (*pool, part)]
        count = sum(len(one.rows) for one in (*pool, part))
        if pool and (min(widths) < ALIKE * max(widths) or count > most_rows(max(widths) - most)):
            yield pool
            pool = []
        pool.append(part)
    if pool:
        yield pool


def continued(
    pool: list[Part], rooms: Rooms, kept: Callable[[Tokens], DynamicCache | None], most: int, ends: set[int]
) -> Iterator[tuple[int, list[int]]]:
    """Yield (number of a prompt, the tokens that follow, at most `most`, with that which ends them), each when done."""
    numbers = [number for part in pool for number, _ in part.rows]
    new = [token for part in pool for token in rooms.read(part, kept(part.prefix)).argmax(-1).tolist()]
    said: dict[int, list[int]] = {number: [] for number in numbers}
    while True:
        for number, token in zip(numbers, new, strict=True):
            if number in said:
                said[number].append(token)
                if token in ends or len(said[number]) == most:
                    yield number, said.pop(number)
        if not said:
            return
        if len(said) <= FULL * len(numbers):
            rooms.keep([line for line, number in enumerate(numbers) if number in said])
            numbers = [number for number in numbers if number in said]
        last = [said[number][-1] if number in said else 0 for number in numbers]
        new = rooms.go_on(last).argmax(-1).tolist()
