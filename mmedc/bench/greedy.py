"""Greedy decoding of many prompts at once. What prompts share is read once.

The keys and values of all rows lie in one cache with space for the tokens to come. All prompts end at the same place,
so that a new token is written into its place and nothing is copied. Rows that have ended are removed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from mmedc.bench.packing import SHARED, Tokens, batches, common

ALIKE = 0.5
"""Rows that are continued together have at least this share of the longest row, because padding is read in vain."""
WORTH = 0.25
"""Prompts that share at least this share of the tokens of a pass have a pass of their own."""
SEEN = 8
"""So many tokens that were read before cost as much, in time and memory, as one that is read."""
FULL = 0.75
"""With fewer than this share of its rows left, a cache is copied into a smaller one."""


@dataclass(frozen=True)
class PromptGroup:
    """Prompts that are read in one pass, after the beginning that they share."""

    prefix: Tokens
    rows: tuple[tuple[int, Tokens], ...]
    """(number of a prompt, its tokens after the prefix), the longest first."""

    @property
    def width(self) -> int:
        """The tokens of the longest prompt."""
        return len(self.prefix) + len(self.rows[0][1])


def groups_of(prompts: list[Tokens], tokens: int, most_rows: Callable[[int], int]) -> list[PromptGroup]:
    """Return prompts in groups, the longest first; groups with the same beginning follow each other.

    `tokens`: the most tokens of a pass. `most_rows`: how many rows of a width can be continued together.
    """
    groups: list[tuple[Tokens, list[int]]] = []
    for number in sorted(range(len(prompts)), key=prompts.__getitem__):
        inputs = prompts[number][:-1]  # the last token is only used to predict
        if groups:
            prefix, members = groups[-1]
            same = prefix[: common(prefix, inputs)]
            if len(same) >= SHARED * min(len(prompts[members[0]]), len(inputs)):
                groups[-1] = same, [*members, number]
                continue
        groups.append((inputs, [number]))
    large = [(prefix, members) for prefix, members in groups if len(prefix) * (len(members) - 1) >= WORTH * tokens]
    shared = {number for _, members in large for number in members}
    if alone := [number for number in range(len(prompts)) if number not in shared]:
        large.append(((), alone))
    passes = []
    for prefix, members in sorted(large, key=lambda group: -max(len(prompts[number]) for number in group[1])):
        rest = [(number, prompts[number][len(prefix) :]) for number in members]
        for batch in batches(rest, lambda row: len(row[1]), tokens):
            width = len(batch[0][1])
            most = min(most_rows(len(prefix) + width), max(1, tokens // (len(prefix) // SEEN + width)))
            passes += [PromptGroup(prefix, tuple(batch[low : low + most])) for low in range(0, len(batch), most)]
    return passes


class _LayerCache(DynamicLayer):  # type: ignore[misc]
    """Keys and values (B, heads, space, width) of a layer, written and read at some lines from a place on."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True
        self.lines, self.first, self.used = slice(None), 0, 0

    def at(self, lines: slice, first: int, used: int) -> None:
        """Write at `lines`, from place `used` on; the first token is at place `first`."""
        self.lines, self.first, self.used = lines, first, used

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write the states of new tokens after the others, and return all of them."""
        begin, self.used = self.used, self.used + key_states.shape[-2]
        self.keys[self.lines, :, begin : self.used] = key_states
        self.values[self.lines, :, begin : self.used] = value_states
        there = slice(self.first, self.used)
        return self.keys[self.lines, :, there], self.values[self.lines, :, there]

    def get_seq_length(self) -> int:
        """Return how many tokens the lines hold."""
        return self.used - self.first


class DecodingCache:
    """The cache of rows that are read group by group, and then continued together, one token at a time."""

    def __init__(
        self, ask: Callable[..., Tensor], shape: DynamicCache, count: int, width: int, max_tokens: int
    ) -> None:
        """Allocate space for `count` rows of `width` tokens and `max_tokens` more.

        `ask`: (ids (B, n), the place in each row that is predicted from (B,), other inputs) → (B, V) logits.
        `shape`: a cache of the model, of any row. Raises: TypeError when a layer has more than keys and values.
        """
        if not all(type(layer) is DynamicLayer for layer in shape.layers):
            raise TypeError("a layer of another kind")
        self._ask = ask
        self._layers = [
            _LayerCache(
                *(
                    side.new_zeros(count, side.shape[1], width + max_tokens, side.shape[3])
                    for side in (layer.keys, layer.values)
                )
            )
            for layer in shape.layers
        ]
        self._cache = Cache(layers=self._layers)
        like = shape.layers[0].keys
        self._width, self._filled = width, 0
        self._low = torch.finfo(like.dtype).min
        self._unseen = like.new_full((count, 1, 1, width + max_tokens), self._low)
        self._unseen[..., width:] = 0
        self._places = torch.zeros((count, 1), dtype=torch.long, device=like.device)

    def read(self, group: PromptGroup, shared: DynamicCache | None) -> Tensor:
        """Read the prompts of a group after their shared beginning; return the (B, V) logits of the next tokens."""
        device, before = self._places.device, len(group.prefix)
        lines = slice(self._filled, self._filled + len(group.rows))
        self._filled = lines.stop
        longest, first = group.width - before, self._width - group.width
        ids = torch.zeros((len(group.rows), longest), dtype=torch.long)
        sizes = torch.tensor([len(tokens) for _, tokens in group.rows], device=device)
        for line, (_, tokens) in enumerate(group.rows):
            ids[line, : len(tokens)] = torch.tensor(tokens)  # padded on the right, where no token attends to it
        for number, layer in enumerate(self._layers):
            layer.at(lines, first, first + before)
            if shared is not None:
                layer.keys[lines, :, first : first + before] = shared.layers[number].keys
                layer.values[lines, :, first : first + before] = shared.layers[number].values
        self._unseen[lines, ..., first : self._width] = 0
        filled = torch.arange(longest, device=device) >= sizes[:, None]
        self._unseen[lines, 0, 0, first + before : self._width].masked_fill_(filled, self._low)
        self._places[lines, 0] = before + sizes
        mask = None
        if before:
            mask = self._unseen.new_full((1, 1, longest, group.width), self._low).triu_(before + 1)
        places = torch.arange(before, group.width, device=device)[None]
        return self._ask(
            ids.to(device), sizes - 1, position_ids=places, attention_mask=mask, past_key_values=self._cache
        )

    def step(self, tokens: list[int]) -> Tensor:
        """Append a token to each row, and return the (B, V) logits of the next tokens."""
        used = max(self._width, self._layers[0].used)
        for layer in self._layers:
            layer.at(slice(None), 0, used)
        ids = torch.tensor(tokens, device=self._places.device)[:, None]
        mask = self._unseen[..., : used + 1]
        places, self._places = self._places, self._places + 1
        last = torch.zeros_like(ids[:, 0])
        return self._ask(ids, last, position_ids=places, attention_mask=mask, past_key_values=self._cache)

    def keep(self, lines: list[int]) -> None:
        """Remove all rows but these."""
        kept = torch.tensor(lines, device=self._places.device)
        for layer in self._layers:
            layer.keys, layer.values = layer.keys[kept], layer.values[kept]
        self._unseen, self._places = self._unseen[kept], self._places[kept]


def pools(groups: list[PromptGroup], max_tokens: int, most_rows: Callable[[int], int]) -> Iterator[list[PromptGroup]]:
    """Yield the groups that are continued together: of similar width, and as many rows as the widest allows."""
    pool: list[PromptGroup] = []
    for group in groups:
        widths = [group.width + max_tokens for group in (*pool, group)]
        count = sum(len(group.rows) for group in (*pool, group))
        if pool and (min(widths) < ALIKE * max(widths) or count > most_rows(max(widths) - max_tokens)):
            yield pool
            pool = []
        pool.append(group)
    if pool:
        yield pool


def continued(
    pool: list[PromptGroup],
    cache: DecodingCache,
    kept: Callable[[Tokens], DynamicCache | None],
    max_tokens: int,
    ends: set[int],
) -> Iterator[tuple[int, list[int]]]:
    """Yield (number of a prompt, its continuation of at most `max_tokens`, with its end token) as each is complete."""
    numbers = [number for group in pool for number, _ in group.rows]
    new = [token for group in pool for token in cache.read(group, kept(group.prefix)).argmax(-1).tolist()]
    written: dict[int, list[int]] = {number: [] for number in numbers}
    while True:
        for number, token in zip(numbers, new, strict=True):
            if number in written:
                written[number].append(token)
                if token in ends or len(written[number]) == max_tokens:
                    yield number, written.pop(number)
        if not written:
            return
        if len(written) <= FULL * len(numbers):
            cache.keep([line for line, number in enumerate(numbers) if number in written])
            numbers = [number for number in numbers if number in written]
        last = [written[number][-1] if number in written else 0 for number in numbers]
        new = cache.step(last).argmax(-1).tolist()
