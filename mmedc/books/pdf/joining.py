"""Lines joined to paragraphs: words that a line end parted become whole again, without a dictionary."""

import re
from collections import Counter

from mmedc.books.pdf.scripts import dense

HYPHENS = "-\u00ad\u2010\u2011\ufffe"
LAST = re.compile(r"([^\W_]+(?:['’][^\W_]+)?)$")
FIRST = re.compile(r"^([^\W_]+(?:['’][^\W_]+)?)")
SUSPENDED = frozenset("und oder bzw sowie bis noch and or to et ou y e o u и или".split())  # noqa: SIM905
"""Words before which a hyphen stands for the rest of a word: Vor- und Nachteile."""
WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
HANGUL = ("\uac00", "\ud7a3")

Words = Counter[str]
"""The words of a book, in lower case, without those that a line end parted."""


def count_words(words: Words, lines: list[str]) -> None:
    """Add the words of lines to `words`."""
    for line in lines:
        found = WORD.findall(line.replace("\u00ad", "").lower())
        if found and line.rstrip()[-1:] in HYPHENS:
            found.pop()
        words.update(found)


def joined(before: str, after: str, words: Words) -> str:
    """Return the text of a line and of the next one, with what stands between them."""
    before, after = before.rstrip(" "), after.lstrip(" ")
    if not before or not after:
        return before + after
    a, b = before[-1], after[0]
    if a in HYPHENS:
        return _hyphenated(before, after, words)
    if dense(a) or dense(b):
        return before + after
    if HANGUL[0] <= a <= HANGUL[1] and HANGUL[0] <= b <= HANGUL[1]:
        return before + _between(before, after, words) + after
    return f"{before} {after}"


def _hyphenated(before: str, after: str, words: Words) -> str:
    mark, stem = before[-1], before[:-1]
    last, first = LAST.search(stem), FIRST.match(after)
    if mark == "\u00ad" or not last or not first:
        return stem + ("" if mark == "\u00ad" and last else "-") + after
    left, right = last[1], first[1]
    if right.lower() in SUSPENDED and mark == "-":
        return f"{stem}- {after}"
    if not left[-1].isalpha() or not right[0].isalpha():
        return f"{stem}-{after}"
    whole, parted = words[(left + right).lower()], words[f"{left}-{right}".lower()]
    if whole > parted or (whole == parted and right[0].islower()):
        return stem + after
    return f"{stem}-{after}"


def _between(before: str, after: str, words: Words) -> str:
    """Return the space between two lines of Korean, or nothing where one word runs over the line end."""
    last, first = LAST.search(before), FIRST.match(after)
    if not last or not first:
        return " "
    left, right = last[1], first[1]
    whole, apart = words[left + right], min(words[left], words[right])
    return "" if whole and whole >= apart else " "
