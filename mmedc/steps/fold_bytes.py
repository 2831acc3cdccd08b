"""Folding of the bytes of a page for matching, without decoding it and only where something folds.

`mmedc.folding` defines what folding does to a character. This module does the same in UTF-8. Characters that fold on
their own are replaced by a regular expression for each first byte; a page with combining marks, or with a space
after every CJK character, is folded as a whole. Only characters that can form or end a word of the lexicons are
looked for: a full-width comma, for example, is on every Chinese page and in no term.
"""

import functools
import html
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from mmedc.folding import INVISIBLE, alone, close_up, composing, folded
from mmedc.words import in_word

ENTITY = re.compile(rb"&(?!(?:amp|nbsp|quot|lt|gt);)(?:#(?:[xX][0-9a-fA-F]{1,20}|[0-9]{1,20})|[A-Za-z][A-Za-z0-9]*);?")
_COMMON = (b"\xc2", b"\xe2", b"\xef")  # first bytes that most pages have; each is looked for on its own
_RARE = 1  # a byte that a view does not contain otherwise
_STRESS = "\u0300\u0301"
_CJK_FIRST = bytes(range(0xE3, 0xEE)) + b"\xf0"  # first bytes of Han, Kana and Hangul
# The classes for finding spaces after single CJK characters: `c` for such a character or a sign, a space for a space
# (including the first bytes of non-ASCII spaces), `x` for everything else. Continuation bytes are deleted.
_CLASSES = bytes(
    ord("c") if byte in _CJK_FIRST + b"\xef.,;:!?()" else ord(" ") if byte in b" \t\n\r\f\v\xc2\xe2" else ord("x")
    for byte in range(256)
)
_FOLLOWING = bytes(range(0x80, 0xC0))
_SINGLES = re.compile(rb" c(?: +c){2,}(?!c)")
# A capital beyond ASCII behind a small letter, or between a capital and a small letter: Cyrillic, accented Latin.
# Each pattern begins with one byte, which makes it thirty times as fast.
_MIXED_CASE = (
    re.compile(
        rb"\xd0[\x80-\xaf](?:(?<=\xd0[\xb0-\xbf]..)|(?<=\xd1[\x80-\x9f]..)"
        rb"|(?<=\xd0[\x80-\xaf]..)(?=\xd0[\xb0-\xbf]|\xd1[\x80-\x9f]))",
        re.DOTALL,
    ),
    re.compile(
        rb"\xc3(?:[\x9f-\xbf][A-Za-z]*(?:\xc3[\x80-\x9e]|\xc5\x92)"
        rb"|[\x80-\x9e](?<=[A-Za-z]..)[A-Za-z]*(?:\xc3[\x9f-\xbf]|\xc5\x93))",
        re.DOTALL,
    ),
    re.compile(rb"\xc5(?:\x93[A-Za-z]*\xc3[\x80-\x9e]|\x92(?<=[A-Za-z]..)[A-Za-z]*\xc3[\x9f-\xbf])", re.DOTALL),
)


def _table(beyond_ascii: bool) -> bytes:
    """Return a table for `bytes.translate`: letters in lower case, controls as NUL, all other ASCII as spaces."""
    folds = bytes(code if chr(code).isalnum() else 32 for code in range(128)).lower()
    controls = bytes(
        0 if code == 127 or (code < 32 and code not in b"\t\n\v\f\r") else folds[code] for code in range(128)
    )
    return controls + (bytes(range(128, 256)) if beyond_ascii else b" " * 128)


ONLY_ASCII, ALL_BYTES = _table(False), _table(True)


class ByteFolder:
    """Folds UTF-8 as far as matching the given forms requires; the case of other characters is not changed."""

    def __init__(self, facts: dict[str, Any]) -> None:
        """`facts`: what `facts_of` returns for the forms."""
        letters, signs, whole = facts["letters"], facts["signs"], set(facts["whole"])
        new: dict[str, str] = facts["new"]
        self._new = {char.encode(): to.lower().encode() for char, to in new.items()}
        self._resolved = functools.lru_cache(1 << 12)(self._resolve)
        self._changed = set(new) | whole | {char for char in signs if not (char.isalnum() or char in " \n'")}
        patterns = _by_first_byte(set(new) | whole)
        of_letters = {char.encode()[:1] for char in letters if char > "\x7f"} - set(_COMMON)
        for first in of_letters:
            patterns.pop(first, None)
        self.late = sorted(char for char in map(str.encode, set(new) | whole) if char[:1] in of_letters)
        """The characters, in UTF-8, that `fold` does not fold; a caller that finds one of them calls `fold_late`."""
        single = {char for char in set(new) - whole if char.encode()[:1] in patterns}
        self._whole = list(_by_first_byte(char for char in whole if char.encode()[:1] in patterns).items())
        self._alone = sorted(_by_first_byte(single).items(), key=lambda item: item[0] not in _COMMON)
        self._common = [(first, chars) for first, chars in self._alone if first in _COMMON]
        self._mark = re.compile(b"|".join(chars.pattern for _, chars in self._whole) or b"(?!)")
        rare = b"".join(first for first in patterns if first not in _COMMON)
        self._view = bytes(_RARE if byte in rare else new for byte, new in enumerate(ONLY_ASCII))
        self._spaced = sorted(first for first in of_letters if first in _CJK_FIRST)

    def fold(self, source: bytes) -> tuple[bytes, bytes]:
        """Return (`source` folded, the same with spaces in place of all bytes beyond ASCII).

        Entities are resolved if they stand for a character that matters. The characters in `late` are not folded.
        """
        if b"&" in source:
            source = self._without_entities(source)
        view = source.translate(self._view)  # maps all rare first bytes to one, so that one search finds them
        rare = _RARE in view
        if any(first in source and chars.search(source) for first, chars in self._whole if rare or first in _COMMON):
            lines = source.split(b"\n")  # marks compose within a line, and few lines have any
            new = b"\n".join([_folded(line) if self._mark.search(line) else line for line in lines])
        else:
            new = source
        for first, chars in self._alone if rare else self._common:
            if first in new:
                new = chars.sub(self._exchange, new)
        return new, view if new is source and not rare else new.translate(ONLY_ASCII)

    def _exchange(self, found: re.Match[bytes]) -> bytes:
        return self._new[found[0]]

    def fold_late(self, source: bytes, has_late: bool) -> bytes | None:
        """Return a folded source with the characters in `late` folded and no spaces between single CJK characters.

        Returns None for a source that has neither, which is nearly always the case. A source of several lines that has
        such spaces is returned twice, first with its lines joined and then line by line.
        """
        spaced = any(first in source for first in self._spaced) and _is_spaced_out(source)
        if not (has_late or spaced):
            return None
        new = folded if has_late else close_up
        text = source.decode("utf-8", "replace").replace("&nbsp;", " ")
        seen = new(" ".join(text.split()))
        # A line break is a border of words in text, and a space in HTML: a term may need either.
        if spaced and len(lines := text.splitlines()) > 1:
            seen += "\n" + new("\n".join(" ".join(line.split()) for line in lines))
        return seen.encode("utf-8", "replace")

    def _without_entities(self, source: bytes) -> bytes:
        new = {entity: text for entity in set(ENTITY.findall(source)) if (text := self._resolved(entity)) is not None}
        return ENTITY.sub(lambda found: new.get(found[0], found[0]), source) if new else source

    def _resolve(self, entity: bytes) -> bytes | None:
        """Return the text that an entity stands for, or None if it does not matter for matching."""
        text = html.unescape(entity.decode())
        matters = any(in_word(char) or char in self._changed or INVISIBLE.match(char) for char in text)
        return text.encode("utf-8", "replace") if matters else None


def facts_of(forms: Iterable[str]) -> dict[str, Any]:
    """Return what folding must know of forms, as a JSON value.

    It is their letters; the other characters of forms that have some; the characters for which a page is folded as a
    whole; and what those become that fold alone.
    """
    forms = folded("\n".join(forms)).split("\n")
    letters = {char for char in set().union(*forms) if in_word(char)}
    signed = "\n".join({form for form in forms if not form.isalnum()})
    signs = set(signed)
    whole = {mark for mark, made in composing().items() if any(char.lower() in letters for char in made)}
    if any("\u0400" <= char <= "\u052f" for char in letters):
        whole.update(_STRESS)
    new = {char: to for char, to in alone().items() if _matters(char, to, letters, signed, signs)}
    whole.update(char for char, to in new.items() if to[:1] in whole)
    return {"letters": sorted(letters), "signs": sorted(signs), "whole": sorted(whole), "new": new}


def in_small_letters(source: bytes) -> bytes | None:
    """Return a source in small letters if one of its words mixes them with capitals beyond ASCII, else None."""
    if not any(mixed.search(source) for mixed in _MIXED_CASE):
        return None
    return source.decode("utf-8", "replace").lower().encode("utf-8", "replace")


def _folded(text: bytes) -> bytes:
    return folded(text.decode("utf-8", "replace")).encode("utf-8", "replace")


def _is_spaced_out(source: bytes) -> bool:
    """Return whether four single CJK characters or signs may stand with spaces between them."""
    for space in (b"\xe3\x80\x80", b"&nbsp;"):
        if space in source:
            source = source.replace(space, b" ")
    return _SINGLES.search(source.translate(_CLASSES, _FOLLOWING)) is not None


def _matters(char: str, to: str, letters: set[str], signed: str, signs: set[str]) -> bool:
    """Return whether leaving `char` as it is, instead of folding it `to` its form, could change a count of terms.

    `signs` are the characters of `signed`, which is long.
    """
    if any(new.lower() in letters for new in to) or not to:
        return True
    if in_word(char):
        return not all(in_word(new) for new in to)
    return to.strip(" '") != "" and signs.issuperset(to) and to in signed


def _by_first_byte(chars: Iterable[str]) -> dict[bytes, re.Pattern[bytes]]:
    """Return, for each first byte in UTF-8, the pattern of the characters that begin with it."""
    last: dict[bytes, list[int]] = defaultdict(list)
    for char in sorted(chars):
        written = char.encode()
        last[written[:-1]].append(written[-1])
    first: dict[bytes, list[bytes]] = defaultdict(list)
    for before, ends in last.items():
        first[before[:1]].append(re.escape(before) + b"[" + b"".join(re.escape(bytes([end])) for end in ends) + b"]")
    return {byte: re.compile(b"|".join(ways)) for byte, ways in sorted(first.items())}
