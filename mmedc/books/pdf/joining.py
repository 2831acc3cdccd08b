"""Lines joined to paragraphs: words that a line end parted become whole again, without a dictionary."""

import re
from collections import Counter

from mmedc.books.pdf.scripts import dense

TAIL = 80  # characters in which the last word of a line is looked for
HYPHENS = "-\u00ad\u2010\u2011\ufffe"
LAST = re.compile(r"([^\W_]+(?:['’][^\W_]+)?)$")
FIRST = re.compile(r"^([^\W_]+(?:['’][^\W_]+)?)")
SUSPENDED = frozenset("und oder bzw sowie bis noch and or to et ou y e o u и или".split())  # noqa: SIM905
"""Words before which a hyphen stands for the rest of a word: Vor- und Nachteile."""
WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
HANGUL = ("\uac00", "\ud7a3")

PRIOR = 2.0  # sightings of a pair of syllables that weigh as much as what single ones tell

Words = Counter[str]
"""The words of a book, in lower case, without those that a line end parted; and for Korean which syllables follow each
other, `a b` and `ab` in one word, and which begin and end words (` b`, `a `)."""


def count_words(words: Words, lines: list[str]) -> None:
    """Add the words of lines to `words`."""
    found: list[str] = []
    whole: list[str] = []
    for line in lines:
        if line.rstrip()[-1:] in HYPHENS:
            found += WORD.findall(line.replace("\u00ad", "").lower())[:-1]
        else:
            whole.append(line)
        if HANGUL[0] <= line[len(line) // 2] <= HANGUL[1]:
            _count_syllables(words, line)
    found += WORD.findall("\n".join(whole).replace("\u00ad", "").lower())
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
    last, first = LAST.search(stem[-TAIL:]), FIRST.match(after)
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
    last, first = LAST.search(before[-TAIL:]), FIRST.match(after)
    if not last or not first:
        return " "
    left, right = last[1], first[1]
    whole, apart = words[left + right], min(words[left], words[right])
    if whole > 2 * apart:
        return ""
    a, b = before[-1], after[0]
    ends, inside = words[f"{a} "] + 1, words[f"{a}+"] + 1
    begins, follows = words[f" {b}"] + 1, words[f"+{b}"] + 1
    odds = (ends / inside) * (begins / follows) * (words["++"] + 1) / (words["  "] + 1)
    chance = odds / (1 + odds)
    spaced, tight = words[f"{a} {b}"], words[f"{a}+{b}"]
    return " " if (spaced + PRIOR * chance) / (spaced + tight + PRIOR) >= 0.5 else ""


def _count_syllables(words: Words, line: str) -> None:
    """Count pairs of syllables in a line: `a b` over a space, `a+b` in a word; and what ends and begins words."""
    found: list[str] = []
    for a, b, c in zip(line, line[1:] + " ", line[2:] + "  ", strict=False):
        if not HANGUL[0] <= a <= HANGUL[1]:
            continue
        if HANGUL[0] <= b <= HANGUL[1]:
            found += (f"{a}+{b}", f"{a}+", f"+{b}", "++")
        elif b == " " and HANGUL[0] <= c <= HANGUL[1]:
            found += (f"{a} {c}", f"{a} ", f" {c}", "  ")
    words.update(found)
