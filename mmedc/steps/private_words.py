"""The context of numbers: words that say what a number is, and a copy of the text that is easy to search.

The copy has the same length as the text, so that positions are equal in both. Digits of all scripts become ASCII in
it, and so do full-width and mathematical letters, brackets, colons and signs, dashes and minus signs, and spaces of
any width.
"""

import re
import unicodedata
from bisect import bisect_right
from typing import NamedTuple

import ahocorasick_rs

from mmedc.folding import INVISIBLE, alone
from mmedc.policy import Privacy
from mmedc.words import in_word, is_unspaced

PHONE, RECORD, ID, OTHER, ADDRESS, NAME = "phone", "record", "id", "other", "address", "name"
REACH = 40  # characters before a number within which a word may say what it is
OTHER_LETTERS = 22  # letters allowed between a word such as `ISBN` and its number

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_ASTRAL = "\U00010000"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"


def _same_length() -> dict[str, str]:
    table = {char: to for char, to in alone().items() if len(to) == 1 and to.isascii()}
    table |= {chr(point): str(unicodedata.digit(chr(point))) for point in range(0x80, 0x10000) if _is_digit(chr(point))}
    table |= dict.fromkeys(_DASHES, "-") | dict.fromkeys(_SPACES, " ") | dict.fromkeys("\u2019\u02bc", "'")
    return table | {"\u060c": ",", "\u066b": ".", "\u3001": ",", "\u2236": ":", "。": "."}


def _is_digit(char: str) -> bool:
    return unicodedata.category(char) == "Nd"


_TABLE = _same_length()
_FOLDABLE = re.compile(f"[{''.join(re.escape(char) for char in sorted(_TABLE) if char < _ASTRAL)}]")  # a bitmap: fast
_BEYOND = re.compile("[\U0001d400-\U0001d7ff\U0001f100-\U0001f189]")  # mathematical and enclosed letters and digits
# Invisible characters; joiners too, but only in ASCII, because words of Hindi and Persian have them.
_HIDDEN = re.compile(rf"{INVISIBLE.pattern}|(?<=[!-~])[\u200c\u200d]+")
_CLITICS = re.compile(
    "(?<![\u0620-\u064a])[وفبكلسا]{1,4}$"
)  # and, with, for, the: written together with an Arabic word
_LONG_VOWEL = re.compile("(?<=[0-9])[ー―](?=[0-9])")  # for a dash, in Japanese telephone numbers


def shown(text: str) -> tuple[str, list[int] | None]:
    """Return a text without its invisible characters, and the place in `text` of each that is left; None: all are."""
    if text.isascii() or not _HIDDEN.search(text):
        return text, None
    hidden = {place for found in _HIDDEN.finditer(text) for place in range(*found.span())}
    places = [place for place in range(len(text)) if place not in hidden]
    return "".join(text[place] for place in places), places


def searchable(text: str) -> str:
    """Return the copy of a text that is searched; it has the same length."""
    if text.isascii():
        return text
    text = _FOLDABLE.sub(lambda found: _TABLE[found[0]], text)
    if _BEYOND.search(text):
        text = _BEYOND.sub(lambda found: _TABLE.get(found[0], found[0]), text)
    return _LONG_VOWEL.sub("-", text) if "ー" in text else text


def lower(text: str) -> str:
    """Return a text in lower case; the length is not changed."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


class Hit(NamedTuple):
    """A word that says what the number after it is; positions are in characters."""

    end: int
    start: int
    kind: str


class Context:
    """Finds the words of a language that say what a number is."""

    def __init__(self, privacy: Privacy) -> None:
        kinds = {
            PHONE: privacy.phone_words,
            RECORD: privacy.record_words,
            ID: privacy.id_words,
            OTHER: privacy.other_words,
            ADDRESS: privacy.address_words,
            NAME: privacy.name_words,
        }
        self._words = [(word, kind) for kind, words in kinds.items() for word in words]
        bare = [lower(searchable(word.strip("*"))) for word, _ in self._words]
        self._automaton = ahocorasick_rs.AhoCorasick(bare, implementation=ahocorasick_rs.Implementation.ContiguousNFA)
        ends = "|".join(sorted(map(re.escape, map(lower, map(searchable, privacy.units))), key=len, reverse=True))
        self.unit = re.compile(rf"[ -]?(?:{ends})(?![a-zà-ɏа-яё])" if ends else "(?!)")

    def find(self, low: str) -> list[Hit]:
        """Return the words found in a text in lower case, sorted by end; of words with the same end, the longest."""
        hits: dict[int, Hit] = {}
        for index, start, end in self._automaton.find_matches_as_indexes(low, overlapping=True):
            word, kind = self._words[index]
            if not (word[0] == "*" or _is_border(low, start - 1, start)):
                continue
            if not (word[-1] == "*" or _is_border(low, end, end - 1)):
                continue
            if word[-1] == "*":  # the rest of the word in the text belongs to it
                while end < len(low) and in_word(low[end]) and not low[end].isdigit() and not is_unspaced(low[end]):
                    end += 1
            if end not in hits or start < hits[end].start:
                hits[end] = Hit(end, start, kind)
        return [hits[end] for end in sorted(hits)]

    def before(self, low: str, hits: list[Hit], at: int, is_plain: bool = True) -> Hit | None:
        """Return the nearest word before `at`, on the same line, that may say what is at `at`.

        For a number that is grouped like a telephone number (not `is_plain`), a word such as `ISBN` must be nearer.
        """
        place = bisect_right(hits, (at + 1,))
        while place > 0:
            hit = hits[place - 1]
            if at - hit.end > REACH or "\n" in low[hit.end : at]:
                return None
            if hit.end <= at and hit.kind != NAME:
                if hit.kind == OTHER and sum(map(str.isalpha, low[hit.end : at])) > (
                    OTHER_LETTERS if is_plain else OTHER_LETTERS // 2
                ):
                    return None
                return hit
            place -= 1
        return None


def _is_border(text: str, outside: int, inside: int) -> bool:
    """Return whether a word may end between two characters; in scripts without spaces it may end anywhere."""
    if not 0 <= outside < len(text):
        return True
    out, own = text[outside], text[inside]
    if not in_word(own) or not in_word(out) or out.isdigit():
        return True
    if is_unspaced(own) or is_unspaced(out) or "\uac00" <= own <= "\ud7af" or "\uac00" <= out <= "\ud7af":
        return True  # particles follow a Hangul word without a space
    return outside < inside and bool(_CLITICS.search(text, max(outside - 4, 0), inside))
