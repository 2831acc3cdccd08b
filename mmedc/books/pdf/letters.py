"""How likely the letters of a text are: pairs of neighbouring letters, single Chinese characters and syllables.

A wrong map from a font to Unicode leaves letters that no language puts beside each other, or Chinese characters that
are rare; so does OCR in a language that the page does not have. The tables are counted by `mmedc fit pages`.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

BUCKETS = 1 << 14
MOST_CHARS = 6_000
"""Of a page that are looked at."""
SCRIPTS = ("Latin", "Cyrillic", "Arabic", "Devanagari", "Kana", "Han", "Hangul")
"""The scripts of which letters are counted."""
RANGES = (
    (0x41, 0x24F, 0), (0x1E00, 0x1EFF, 0), (0x400, 0x52F, 1), (0x620, 0x6FF, 2), (0x900, 0x963, 3), (0x971, 0x97F, 3),
    (0x3041, 0x3096, 4), (0x30A1, 0x30FA, 4), (0x3400, 0x9FFF, 5), (0xAC00, 0xD7A3, 6),
)  # fmt: skip
SINGLE = 5
"""The first script whose characters are counted one by one, and not in pairs."""
FEW = 60
"""Pairs and characters at which what they tell counts half."""
WORST, UNLIKELY = 6.0, 3.0
"""Differences of natural logarithms."""
UNSEEN = 0.01
"""The share of sound text that is left to what was not counted."""
FACTOR = 0x9E3779B1
"""Knuth's multiplier for hashes of 32 bits."""

Codes = npt.NDArray[np.int64]


def _scripts() -> npt.NDArray[np.int8]:
    """Return the script of each character of the first plane; -1 for those that are no letters of one."""
    out = np.full(0x10000, -1, np.int8)
    for first, last, script in RANGES:
        out[first : last + 1] = script
    for char in map(chr, (*range(0x5B, 0x61), *range(0x7B, 0xC0), 0xD7, 0xF7)):
        if not char.isalpha():
            out[ord(char)] = -1
    return out


def _plain() -> npt.NDArray[np.int64]:
    """Return the letter without its marks for each character of the first plane: č and ł count as c and l.

    So languages of which nothing was counted are not taken for wrong maps; nor is Persian, by its letters.
    """
    out = np.arange(0x10000)
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00), *range(0x400, 0x530)):
        out[code] = ord(unicodedata.normalize("NFD", chr(code))[0])
    for char, like in zip("ıłđøßæœðþħپچژگکیے", "ildosaodthبجزككيي", strict=True):
        out[ord(char)] = ord(like)
    return out


_SCRIPT_OF, _PLAIN = _scripts(), _plain()


@dataclass(frozen=True)
class Letters:
    """What is counted of a text: its pairs of letters and its single characters, script by script."""

    buckets: Codes
    scripts: npt.NDArray[np.int8]
    """The script of each bucket."""
    codes: Codes
    """The characters of the text."""
    script_of: npt.NDArray[np.int8]
    """The script of each character; -1 where it is none of SCRIPTS."""


def letters_of(text: str) -> Letters:
    """Return what is counted of the first `MOST_CHARS` characters of a text."""
    data = text[:MOST_CHARS].lower().encode("utf-32-le", "replace")
    codes = np.frombuffer(data, np.uint32).astype(np.int64)
    codes = np.where(codes < 0x10000, _PLAIN[np.minimum(codes, 0xFFFF)], codes)
    kinds = np.where(codes < 0x10000, _SCRIPT_OF[np.minimum(codes, 0xFFFF)], np.int8(-1))
    # A word begins and ends with something that is no letter; it counts as a space.
    known = np.where((kinds >= 0) & (kinds < SINGLE), codes, 32)
    padded = np.concatenate([[32], known, [32]])
    first, second = padded[:-1], padded[1:]
    own = np.concatenate([kinds, [np.int8(-1)]]), np.concatenate([[np.int8(-1)], kinds])
    script = np.where(first != 32, own[1], own[0])
    paired = (first != 32) | (second != 32)
    alone = kinds >= SINGLE
    buckets = np.concatenate([_bucket(first[paired] * 0x10000 + second[paired]), _bucket(codes[alone])])
    return Letters(buckets, np.concatenate([script[paired], kinds[alone]]), codes, kinds)


def _bucket(values: Codes) -> Codes:
    return ((values * FACTOR) & 0xFFFFFFFF) >> (32 - BUCKETS.bit_length() + 1)


@dataclass(frozen=True)
class Tables:
    """How often each bucket occurs in sound text, script by script."""

    logs: npt.NDArray[np.float32]
    """(SCRIPTS, BUCKETS): natural logarithms of shares."""

    @cached_property
    def means(self) -> npt.NDArray[np.float64]:
        """The mean logarithm in sound text, by script."""
        logs = self.logs.astype(np.float64)
        shares = np.where(logs > logs.min(axis=1, keepdims=True), np.exp(logs), 0)
        means: npt.NDArray[np.float64] = (shares * logs).sum(axis=1) / np.maximum(shares.sum(axis=1), 1e-9)
        return means

    def odd(self, letters: Letters) -> tuple[float, float]:
        """Return by how much letters are less likely than those of sound text, and the share of very unlikely ones.

        Both shrink to 0 for a text of few letters. The first is the mean difference of logarithms, 0 to `WORST`.
        """
        count = len(letters.buckets)
        if not count:
            return 0.0, 0.0
        less = self.means[letters.scripts] - self.logs[letters.scripts, letters.buckets]
        sure = count / (count + FEW)
        return sure * float(np.clip(less.mean(), -1, WORST)), sure * float((less > UNLIKELY).mean())


def counted(texts_by_language: Iterable[Iterable[str]]) -> Tables:
    """Return the tables of some texts; each language has the same weight in the script that it uses most."""
    total = np.zeros((len(SCRIPTS), BUCKETS))
    for texts in texts_by_language:
        own = np.zeros_like(total)
        for text in texts:
            for at in range(0, len(text), MOST_CHARS):
                found = letters_of(text[at : at + MOST_CHARS])
                np.add.at(own, (found.scripts, found.buckets), 1)
        total += own / max(float(own.sum(axis=1).max()), 1.0)
    shares = total / np.maximum(total.sum(axis=1, keepdims=True), 1e-9)
    seen = np.maximum((total > 0).sum(axis=1, keepdims=True), 1)
    return Tables(np.log((1 - UNSEEN) * shares + UNSEEN / (3 * seen)).astype(np.float32))
