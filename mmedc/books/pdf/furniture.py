"""Headers, footers and page numbers, learned over the whole book: what stands at one height on several pages."""

import re
from collections import Counter

from mmedc.books.pdf.layout import Placed

STEP = 4.0  # points: heights closer than this are one
SHARE = 0.25  # of the pages that have furniture at a height, from which on other lines there are furniture too
MAX_CHARS = 160
MIN_LETTERS = 2
FILLED = 0.2  # of the pages that have lines between header and footer, below which nothing is removed
DENSE = 0.2  # of the pages from the first to the last with a line, below which it is no header of theirs
NUMBER = re.compile(r"\d+")
STATED = re.compile(
    r"[.!?。！？؟।]\W*$|\d\s?(?:[µμmkc]?[gl]|mcg|mg|ml|dl|[mcµμ]?m|mmol|mol|[iu]u|ui|ie|%|мк?г|мл|г|мм|см|毫克|微克|毫升|克|度)(?![^\W\d_])",
    re.IGNORECASE,
)
"""A sentence, or a number with a unit: a text of which the numbers matter, such as a dose."""
ALONE = re.compile(r"^[^\w%]*(\d{1,5}|[ivxlc]{1,7})[^\w%]*$", re.IGNORECASE)
Slot = tuple[int, int]


class Furniture:
    """Counts the lines at the edges of pages, and then tells which are furniture."""

    def __init__(self) -> None:
        self.pages = 0
        self._filled = 0  # pages with more than their edges
        self._keys: Counter[tuple[int, int, str]] = Counter()
        self._spans: dict[tuple[int, int, str], tuple[int, int]] = {}  # the first and the last page of each key
        self._offsets: Counter[tuple[int, int, int]] = Counter()
        self._slots: Counter[Slot] = Counter()
        self._sizes: dict[Slot, set[int]] = {}

    def see(self, number: int, lines: list[Placed]) -> None:
        """Count the edges of a page."""
        self.pages += 1
        self._filled += any(not line.edge for line in lines)
        for side, height, key, value, _ in set(_edges(lines)):
            self._keys[side, height, key] += 1
            first, last = self._spans.get((side, height, key), (number, number))
            self._spans[side, height, key] = min(first, number), max(last, number)
            if value is not None:
                self._offsets[side, height, value - number] += 1

    def settle(self) -> None:
        """Find the heights at which furniture stands."""
        for (side, height, key), count in self._keys.items():
            if self._repeated(side, height, key):
                self._slots[side, height] += count
        for (side, height, _), count in self._offsets.items():
            if count >= self._need:
                self._slots[side, height] += count

    @property
    def _need(self) -> int:
        return 2 if self.pages <= 5 else 3

    def _repeated(self, side: int, height: int, key: str) -> bool:
        if sum(char.isalpha() for char in key) < MIN_LETTERS:
            return False
        near = [(side, height + step, key) for step in (-1, 0, 1)]
        count = sum(self._keys[place] for place in near)
        spans = [self._spans[place] for place in near if place in self._spans]
        if count < self._need or not spans:
            return False
        return count >= DENSE * (max(last for _, last in spans) - min(first for first, _ in spans) + 1)

    def take(self, number: int, lines: list[Placed]) -> tuple[list[Placed], list[Placed]]:
        """Return (the lines of a page that are text, those that are furniture)."""
        if self._filled < FILLED * self.pages:  # what stands alone on a page is no header of it
            return list(lines), []
        text: list[Placed] = []
        cut: list[Placed] = []
        for line in lines:
            (cut if line.kind == "turned" or (line.edge and self._is(number, line)) else text).append(line)
        return text, cut

    def _is(self, number: int, line: Placed) -> bool:
        for side, height, key, value, chars in _edges([line]):
            if value is not None:
                if any(self._offsets[side, height + step, value - number] >= self._need for step in (-1, 0, 1)):
                    return True
                return abs(line.edge) == 2 and (self._slots[side, height] > 0 or self.pages == 1)
            if self._repeated(side, height, key):
                return True
            share = max(self._slots[side, height + step] for step in (-1, 0, 1)) / max(self.pages, 1)
            known = abs(line.edge) == 2 and share >= SHARE and chars <= MAX_CHARS and self.pages > 3
            return known and not STATED.search(key)
        return False


def _edges(lines: list[Placed]) -> list[tuple[int, int, str, int | None, int]]:
    """Return (side, height, key, its number if it is one, characters) of lines at the edges.

    The key is the text without its numbers, which change from page to page; with them where it is `STATED`.
    """
    found = []
    for line in lines:
        if line.edge:
            text = " ".join(line.text.split())
            alone = ALONE.match(text)
            value = _value(alone[1]) if alone else None
            masked = text if STATED.search(text) else NUMBER.sub("#", text)
            key = "#" if value is not None else masked.casefold()
            found.append((1 if line.edge > 0 else -1, round(line.base / STEP), key, value, len(text)))
    return found


def _value(number: str) -> int | None:
    if number.isdigit():
        return int(number)
    digits = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
    values = [digits[char] for char in number.lower()]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
