"""Texts as the search for benchmark questions sees them, with a map back to the characters as they were.

Folding is by single characters: that of `mmedc.folding`, and further without case, accents and vowel points. HTML
entities are decoded, and a word that a hyphen divides at the end of a line is joined where the whole word stands in
a question. Both sides of a comparison are folded alike.
"""

import functools
import html
import re
import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc.dedup.records import I64
from mmedc.folding import plain
from mmedc.words import U64, TextBatch

U32 = npt.NDArray[np.uint32]
_TABLE = 0x20000  # characters beyond are left as they are
_BASE_MARKS = (0, 9)  # combining classes that are kept: vowel signs of Indic scripts, virama
_SPELLED = {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "th"}
_ENTITY = re.compile(r"&(?:amp;)*(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
OPENING = np.array([ord(char) for char in '\n\r.!?:;…。।|•·*«"“„「『（([>–—'], np.uint32)
"""What may stand before a sentence, folded."""
_HYPHEN = re.compile(r"[-\u00ad\u2010\u2011][ \t]*\r?\n[ \t]*")
_WORD, _WORD_END, _WORD_CHARS = re.compile(r"\w+"), re.compile(r"\w+\Z"), 50

Edit = tuple[int, int, str]
"""From which character to which, and what stands in their place."""


def fold_char(char: str) -> str:
    """Return what a single character counts as: none, one or several characters."""
    parts = unicodedata.normalize("NFKD", plain(unicodedata.normalize("NFKD", plain(char)).casefold()))
    return "".join(_SPELLED.get(part, part) for part in parts if not _is_dropped(part))


def _is_dropped(char: str) -> bool:
    return unicodedata.category(char) == "Cf" or unicodedata.combining(char) not in _BASE_MARKS


@functools.cache
def _folds() -> tuple[I64, I64, U32]:
    """Return (where the fold of each code point begins, how long it is, all folds one after another)."""
    folds = [chr(code) if 0xD800 <= code < 0xE000 else fold_char(chr(code)) for code in range(_TABLE)]
    lengths = np.array([len(fold) for fold in folds], np.int64)
    flat = np.frombuffer("".join(folds).encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.cumsum(lengths) - lengths, lengths, flat


class FoldedBatch(TextBatch):
    """A `TextBatch` of folded texts. `vocabulary` holds the sorted hashes of words that questions contain."""

    def __init__(self, texts: list[str], vocabulary: U64 | None = None) -> None:
        edited = dict(enumerate(_decoded(text) if "&" in text else (text, None) for text in texts))
        if vocabulary is not None:
            edited |= _rejoined(edited, vocabulary)
        self._edits = {number: origin for number, (_, origin) in edited.items() if origin is not None}
        plain = [text for text, _ in edited.values()]
        codes = np.frombuffer("".join(plain).encode("utf-32-le", "surrogatepass"), np.uint32)
        ends = np.cumsum([len(text) for text in plain], dtype=np.int64)
        self._starts = np.concatenate([[0], ends])
        codes, self._origin = _folded(codes)
        offsets = self._starts if self._origin is None else np.searchsorted(self._origin, self._starts)
        self._hold(codes, offsets)

    def span(self, number: int, first: int, last: int) -> tuple[int, int]:
        """Return which characters of text `number`, unfolded, the words from `first` to `last` (not included) take."""
        ends = int(self.word_starts[first]), int(self.word_starts[last - 1] + self.word_lengths[last - 1]) - 1
        at = [end if self._origin is None else int(self._origin[end]) for end in ends]
        start, stop = (one - int(self._starts[number]) for one in at)
        if number in self._edits:
            start, stop = int(self._edits[number][start]), int(self._edits[number][stop + 1]) - 1
        return start, stop + 1

    @functools.cached_property
    def begins(self) -> npt.NDArray[np.bool_]:
        """Whether a sentence may begin with each word, (W,): after one of OPENING, and where a text begins."""
        opening = np.concatenate([[0], np.cumsum(np.isin(self.codes, OPENING))])
        starts = self.word_starts
        ends = np.concatenate([[0], (starts + self.word_lengths)[:-1]])[: len(starts)]
        found: npt.NDArray[np.bool_] = opening[starts] > opening[ends]
        found[self.word_offsets[:-1][np.diff(self.word_offsets) > 0]] = True
        return found

    def after(self, word: int) -> str:
        """Return the folded characters between a word and the next of its text."""
        start = int(self.word_starts[word] + self.word_lengths[word])
        number = int(np.searchsorted(self.word_offsets, word, side="right")) - 1
        last = word + 1 == self.word_offsets[number + 1]
        stop = int(self.offsets[number + 1] if last else self.word_starts[word + 1])
        return self.codes[start:stop].tobytes().decode("utf-32-le", "surrogatepass")


def _folded(codes: U32) -> tuple[U32, I64 | None]:
    """Return folded code points and, unless it is the same, which code point each came from."""
    starts, lengths, flat = _folds()
    known = np.minimum(codes, _TABLE - 1)
    length = lengths[known]
    if len(codes) and int(codes.max()) >= _TABLE:
        length = np.where(codes < _TABLE, length, 1)
    if (length == 1).all():
        return np.where(codes < _TABLE, flat[starts[known]], codes), None
    origin = np.repeat(np.arange(len(codes)), length)
    within = np.arange(len(origin)) - np.repeat(np.cumsum(length) - length, length)
    folded = flat[np.minimum(starts[known[origin]] + within, len(flat) - 1)]
    return np.where(codes[origin] < _TABLE, folded, codes[origin]), origin


def _decoded(text: str) -> tuple[str, I64 | None]:
    """Return a text with its HTML entities decoded, and where each character came from (None: unchanged)."""
    edits = []
    for match in _ENTITY.finditer(text):
        value = html.unescape(f"&{match[1]};")
        if not value.startswith("&") or match[1] == "amp":
            edits.append((match.start(), match.end(), value))
    return _edited(text, edits)


def _rejoined(texts: dict[int, tuple[str, I64 | None]], vocabulary: U64) -> dict[int, tuple[str, I64 | None]]:
    """Return the texts in which words divided at a line's end were joined, those whose whole is in `vocabulary`."""
    found = []
    for number, (text, _) in texts.items():
        for match in _HYPHEN.finditer(text) if "\n" in text else ():
            before = _WORD_END.search(text, max(0, match.start() - _WORD_CHARS), match.start())
            behind = _WORD.match(text, match.end(), match.end() + _WORD_CHARS)
            if before and behind:
                found.append((number, match.start(), match.end(), before[0] + behind[0]))
    if not found:
        return {}
    words = FoldedBatch([word for *_, word in found])
    single = np.diff(words.word_offsets) == 1
    known = np.zeros(len(found), bool)
    known[single] = np.isin(words.word_hashes[words.word_offsets[:-1][single]], vocabulary)
    edits: dict[int, list[Edit]] = {}
    for (number, start, stop, _), join in zip(found, known.tolist(), strict=True):
        if join:
            edits.setdefault(number, []).append((start, stop, ""))
    changed = {}
    for number, mine in edits.items():
        text, origin = texts[number]
        joined, after = _edited(text, mine)
        changed[number] = joined, after if origin is None or after is None else origin[after]
    return changed


def _edited(text: str, edits: list[Edit]) -> tuple[str, I64 | None]:
    """Return a text with `edits` made, and where each character, and its end, came from."""
    if not edits:
        return text, None
    parts: list[str] = []
    origins: list[Any] = []
    at = 0
    for start, stop, by in [*edits, (len(text), len(text), "")]:
        parts += [text[at:start], by]
        origins += [np.arange(at, start), np.full(len(by), start)]
        at = stop
    return "".join(parts), np.concatenate([*origins, [len(text)]])
