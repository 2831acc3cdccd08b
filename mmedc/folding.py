"""How text is seen where it is compared: one folding for lexicons, prefilter, language identification and signatures.

A word may be written in many ways that a reader does not notice: full-width or mathematical letters, Arabic letters
as a font shapes them, letters stretched by a tatweel, vowel signs, stress marks, invisible joiners, or a space after
every Chinese character, as text from PDF files has it. `plain` undoes all of these and keeps case; `folded` lowers
case too. The published text is not folded: `mmedc.steps.normalise` changes only what no author means (`unshaped`).

`alone` lists what folding makes of each single character; what depends on its neighbours besides is the composition
of marks (`composing`), stress marks, and spaces between CJK characters (`close_up`).
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# C0 and C1 controls, soft hyphen, zero-width and bidirectional controls, byte-order mark, non-characters
_INVISIBLE = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff"
INVISIBLE = re.compile(f"[{_INVISIBLE}]")
"""Characters that `normalise` removes."""
_ARABIC_SIGNS = (  # tatweel, vowel signs, signs of recitation; not the hamzas and the madda, which are letters' parts
    "\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
)
_ARABIC_SIGNS_SHAPED = "\ufc5e-\ufc63\ufcf2-\ufcf4\ufe70-\ufe7f"  # the same alone or on a tatweel, for fonts
_SELECTORS = "\u034f\u200c\u200d\ufe00-\ufe0f"  # joiners, and selectors of one glyph or another
_REMOVED = re.compile(f"[{_INVISIBLE}{_ARABIC_SIGNS}{_ARABIC_SIGNS_SHAPED}{_SELECTORS}\U000e0100-\U000e01ef]")
_TAKEN_APART = re.compile("(?<=[\u0400-\u052f])[\u0300\u0301]+|[\u0400\u0450\u040d\u045d]")
_GRAVE = {"\u0400": "Е", "\u0450": "е", "\u040d": "И", "\u045d": "и"}  # secondary stress in normal form C
# White letters on black discs and squares: Unicode does not decompose them.
_NEGATIVE = re.compile("[\U0001f150-\U0001f169\U0001f170-\U0001f189]")
_RARE = re.compile(
    f"[{_INVISIBLE}{_ARABIC_SIGNS}{_ARABIC_SIGNS_SHAPED}{_SELECTORS}"
    "\u0300\u0301\u0400\u0450\u040d\u045d\U0001f150-\U0001f189\U000e0100-\U000e01ef]"
)
"""What no text has but one in thousands: one search spares it the rest."""
_WIDE_SIGNS = tuple((chr(ord(sign) + 0xFEE0), sign) for sign in ",:;()!?%")
_TYPED = (("\u2019", "'"), ("\u02bc", "'"), ("\u2010", "-"))  # NFKC makes U+2011 a U+2010

_VOWELS = "\u09be\u09d7\u0b3e\u0b56\u0b57\u0bbe\u0bd7\u0c56\u0cc2\u0cd5\u0cd6\u0d3e\u0d57\u0dca\u0dcf\u0ddf\u102e"
_LETTERS = re.compile(f"(?s:.)[\u0300-\u036f\u093c{_VOWELS}\u1161-\u11ff\u3099\u309a\uff9e\uff9f]*")
"""A character with those after it that it may be composed with."""

_CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_SIGNS = "\u3001-\u3003\u3008-\u3011·,.;:!?()"
_SPACED_OUT = re.compile(f" [{_CJK}{_SIGNS}] [{_CJK}{_SIGNS}] ")  # a space first, which is rare in such text
_SINGLES = re.compile(
    f" (?<=[{_CJK}] )(?<![{_CJK}][{_CJK}] )[{_CJK}{_SIGNS}](?: [{_CJK}{_SIGNS}](?![{_CJK}{_SIGNS}])){{2,}}"
)

SHAPED = r"\x{fb00}-\x{fb06}\x{fb50}-\x{fdf9}\x{fe70}-\x{fefc}\x{ff61}-\x{ff9f}\x{ffa0}-\x{ffdc}"
"""Characters, as a class of RE2, that stand for others as a font or an old charset shapes them.

Latin ligatures, Arabic presentation forms (but not the ligatures of whole phrases, which authors mean), half-width
Kana and Hangul.
"""
_SHAPED = re.compile("[\ufb00-\ufb06\ufb50-\ufdf9\ufe70-\ufefc\uff61-\uff9f\uffa0-\uffdc]+")
_WHERE = (
    *((0x80, 0x3400), (0xA000, 0xAC00), (0xF900, 0x11A00), (0x16000, 0x16F00), (0x1CC00, 0x1F300), (0x1FB00, 0x1FC00)),
    *((0x2F800, 0x2FA20), (0xE0100, 0xE01F0)),
)
"""Ranges of code points outside of which folding changes none (tested over all)."""


def plain(text: str) -> str:
    """Return `text` as matching sees it, but for case."""
    if text.isascii():
        return text
    return _remembered(text) if _SHORT < len(text) < _LONG else _plain(text)


_SHORT, _LONG = 100, 20_000
"""Texts between these lengths are remembered for the steps that follow: what is shorter is folded as quickly."""


def _plain(text: str) -> str:
    for wide, narrow in (("\xa0", " "), ("…", "...")):  # what most web pages have, so that the quick check holds
        text = text.replace(wide, narrow)
    if "，" in text:  # the signs of Chinese prose, for the same reason
        for wide, narrow in _WIDE_SIGNS:
            text = text.replace(wide, narrow)
    rare = _RARE.search(text) is not None
    if rare:
        text = _NEGATIVE.sub(lambda found: chr(65 + (ord(found[0]) - 0x1F150) % 32), _REMOVED.sub("", text))
    if not unicodedata.is_normalized("NFKC", text):
        # Few lines have what is to be composed, and the check is fifty times as fast; nothing composes across lines.
        text = "\n".join([unicodedata.normalize("NFKC", line) for line in text.split("\n")])
        rare = rare or _RARE.search(text) is not None
    if rare:
        text = _TAKEN_APART.sub(lambda found: _GRAVE.get(found[0], ""), _REMOVED.sub("", text))
    for typographic, typed in _TYPED:
        text = text.replace(typographic, typed)
    return close_up(text) if " " in text and _SPACED_OUT.search(text) else text


_remembered = functools.lru_cache(maxsize=1_000)(_plain)


def folded(text: str) -> str:
    """Return `text` as matching sees it."""
    return plain(text).lower()


def plain_forms(forms: Sequence[str]) -> list[str]:
    """Return `plain` of each form of a lexicon, which has no line break: one call for all is many times as fast."""
    return plain("\n".join(forms)).split("\n") if forms else []


def origins(text: str, seen: str) -> list[tuple[int, int]] | None:
    """Return for each character of `seen`, which is `plain` or `folded` of `text`, the (start, end) it stands for.

    The bounds are those of a letter with its marks. None: the characters cannot be matched.
    """
    fold = plain if seen == plain(text) else folded
    found: list[tuple[int, int]] = []
    for letter in _LETTERS.finditer(text):
        new = fold(letter[0])
        if new != " " or seen[len(found) : len(found) + 1] == " ":  # else a space that `close_up` removed
            found += [letter.span()] * len(new)
    return found if len(found) == len(seen) else None


def plain_texts(texts: Any) -> Any:
    """Return `plain` of texts (an Arrow string array)."""
    old = texts.to_pylist()
    new = [text if text is None else plain(text) for text in old]
    if all(before is after for before, after in zip(old, new, strict=True)):
        return texts
    return pa.array(new, texts.type)


def folded_texts(texts: Any) -> Any:
    """Return texts (an Arrow string array) as matching sees them."""
    return pc.utf8_lower(plain_texts(texts))


def close_up(text: str) -> str:
    """Return `text` without the spaces in runs of four or more single CJK characters and signs with a space between."""
    return _SINGLES.sub(lambda run: run[0].replace(" ", ""), text)


def unshaped(text: str) -> str:
    """Return `text` with the letters that the characters of `SHAPED` stand for, in normal form C."""
    return unicodedata.normalize("NFC", _SHAPED.sub(lambda run: _letters(run[0]), text))


def _letters(run: str) -> str:
    letters = unicodedata.normalize("NFKC", run)
    # A vowel sign alone is decomposed to a space or a tatweel with the sign.
    return re.sub("[ \u0640](?=[\u064b-\u0652])", "", letters) if letters[:1] else letters


@functools.cache
def alone() -> dict[str, str]:
    """Return each character that folding changes, and what it becomes."""
    chars = [chr(point) for low, high in _WHERE for point in range(low, high)]
    return {char: new for char, new in zip(chars, plain_forms(chars), strict=True) if new != char}


@functools.cache
def composing() -> dict[str, set[str]]:
    """Return each character that may become one with the character before it, and what they become."""
    found: dict[str, set[str]] = {}
    for point in (*range(0x80, 0x3400), *range(0x10500, 0x17000)):  # no others do (tested over all)
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<") and unicodedata.is_normalized("NFC", chr(point)):
            found.setdefault(chr(int(parts[1], 16)), set()).add(chr(point))
    for vowel in range(0x1161, 0x1176):
        found[chr(vowel)] = {chr(0xAC00 + (lead * 21 + vowel - 0x1161) * 28) for lead in range(19)}
    for tail in range(0x11A8, 0x11C3):
        found[chr(tail)] = {chr(0xAC00 + block * 28 + tail - 0x11A7) for block in range(19 * 21)}
    return found
