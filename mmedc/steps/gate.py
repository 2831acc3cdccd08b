"""A bound on the medical terms of a page, from its bytes alone, that spares hopeless pages everything else.

The text of a page is, but for the order of its parts, a part of its source. So the terms that could
be put together from the words of the source bound those of the text from above, and a page below the
policy's loosest limit is below it in the end. The bound is cheap because it looks at bytes: ASCII
case and punctuation are folded by one table, then two automata find the words of all lexicons.

It holds, whatever the extractor chooses, when words are not cut by tags (`dia<b>betes</b>`) nor made
by scripts; entities, widths, combining marks and invisible characters are resolved where a page has
any. The words of a term may stand in any order within 1,000 bytes. benchmarks/gate_recall.py measures
what is lost.
"""

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from html.entities import name2codepoint
from typing import Any, ClassVar, NamedTuple

import ahocorasick_rs
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.policy import LanguagePolicy, Policy
from mmedc.steps.medical import folded, free, inside_words, width
from mmedc.steps.normalise import INVISIBLE
from mmedc.words import is_unspaced

NEAR_BYTES = 1_000  # of source, within which the words of a term stand
_ASCII = bytes(range(128))
_CONTROLS = bytes(code for code in range(128) if (code < 32 and code not in b"\t\n\v\f\r") or code == 127)


def _table(beyond_ascii: bool) -> bytes:
    """Return a table for `bytes.translate`: ASCII in lower case, all that is no letter or digit a space."""
    folds = bytes(code if chr(code).isalnum() else 32 for code in range(128)).lower()
    return folds + (bytes(range(128, 256)) if beyond_ascii else b" " * 128)


ONLY_ASCII, ALL_BYTES = _table(False), _table(True)

ENTITY = re.compile(rb"(&(?:#(?:[xX][0-9a-fA-F]+|[0-9]+)|[A-Za-z]+));?")
ODD = re.compile(
    rb"\xc2[\x80-\x9f\xad]"  # C1 controls, soft hyphen
    rb"|\xe2\x80[\x8b-\x91\xaa-\xae]|\xe2\x81[\xa0-\xaf]"  # invisible characters, typographic hyphens
    rb"|\xef(?:\xac[\x80-\x86]|\xbb\xbf)"  # ligatures, byte-order mark
    rb"|\xef(?:\xbc[\x90-\x99\xa1-\xba]|\xbd[\x81-\x9a\xa6-\xbf]|\xbe[\x80-\x9f])"  # widths
)
"""UTF-8 of characters that folding changes; looked for first in what is not ASCII, which is shorter."""
MARK = re.compile(
    rb"[\xcc\xcd][\x80-\xbf]|\xe3\x82[\x99\x9a]"  # combining; voicing of Kana
    rb"|\xe1[\x84-\x87][\x80-\xbf]|\xd9[\x93-\x95]"  # Hangul Jamo, Arabic madda and hamza
    rb"|\xe0(?:\xa4\xbc|\xa5[\x98-\x9f])"  # Devanagari nukta
)
"""UTF-8 of characters that the normal form composes with the one before, or takes apart."""


@dataclass(frozen=True)
class Gate:
    """Drops documents whose source can't hold enough terms of any language. Dropped: `gate`."""

    policy: Policy
    name: ClassVar[str] = "gate"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform; builds the automata."""
        enough = source_bound(self.policy)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals = batch.column("ordinal").to_pylist()
            pages, texts = batch.column("html"), batch.column("text")
            dropped: list[str | None] = [None] * len(ordinals)
            for index, ordinal in enumerate(ordinals):
                slot.mark(ordinal)
                source = (pages if pages[index].is_valid else texts)[index].as_buffer()
                if source is not None and not enough(source.to_pybytes()):
                    dropped[index] = "gate"
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


def source_bound(policy: Policy) -> Callable[[bytes], bool]:
    """Return a function that tells whether a source (UTF-8) may hold enough terms of some language."""
    terms = _Terms(policy)
    in_ascii = [word for word in terms.words if word.bounded and word.text.isascii()]
    ascii_words = _automaton([f" {word.text} ".encode() for word in in_ascii])
    written: dict[bytes, list[_Word]] = defaultdict(list)
    for word in terms.words.difference(in_ascii):
        for form in {word.text, word.text.upper(), word.text.capitalize(), word.text.title()}:
            written[form.encode().translate(ALL_BYTES)].append(word)
    other_words, owners = _automaton(list(written)), list(written.values())
    anywhere = any(pattern.isascii() for pattern in written)

    def enough(source: bytes) -> bool:
        source = _plain(source)
        places: dict[_Word, list[int]] = defaultdict(list)
        view = b" %b " % source.translate(ONLY_ASCII, _CONTROLS)
        for index, start, _ in ascii_words.find_matches_as_indexes(view, overlapping=True):
            places[in_ascii[index]].append(start)
        if anywhere or not source.isascii():
            view = source.translate(ALL_BYTES, _CONTROLS)
            for index, start, end in other_words.find_matches_as_indexes(view, overlapping=True):
                for word in owners[index]:
                    if not word.bounded or _bounded(view, start, end):
                        places[word].append(start)
        return terms.reached(places)

    return enough


def _automaton(patterns: list[bytes]) -> Any:
    return ahocorasick_rs.BytesAhoCorasick(patterns, implementation=ahocorasick_rs.Implementation.DFA)


class _Word(NamedTuple):
    """A word of a lexicon; bounded: the rule finds it as a whole word only."""

    text: str
    bounded: bool


class _Terms:
    """The lexicons of a policy as words: which words make a term, and how many terms are enough."""

    def __init__(self, policy: Policy) -> None:
        self.floors = [floor_of(language.limits) for language in policy.languages.values()]
        self._single: dict[_Word, list[tuple[int, int]]] = defaultdict(list)
        self._several: dict[_Word, list[tuple[int, int, frozenset[_Word]]]] = defaultdict(list)
        for number, language in enumerate(policy.languages.values()):
            light = set(language.stopwords)
            for term, form, bounded in forms_of(language, policy.rule):
                words = _words(form, light, bounded)
                if len(words) == 1:
                    self._single[next(iter(words))].append((number, term))
                else:
                    for word in words:
                        self._several[word].append((number, term, words))
        self.words = {*self._single, *self._several}

    def reached(self, places: dict[_Word, list[int]]) -> bool:
        """Tell whether the words found, each at its places in order, make enough terms of some language."""
        terms: list[set[int]] = [set() for _ in self.floors]
        for word in places:
            for number, term in self._single.get(word, ()):
                terms[number].add(term)
            for number, term, words in self._several.get(word, ()):
                if term not in terms[number] and words <= places.keys() and _near([places[one] for one in words]):
                    terms[number].add(term)
        return reached(terms, self.floors)


def _near(places: list[list[int]]) -> bool:
    """Tell whether somewhere all words stand near one another: tags between them may be long."""
    rarest, *others = sorted(places, key=len)

    def close(place: int, other: list[int]) -> bool:
        at = bisect(other, place)
        return any(abs(found - place) <= NEAR_BYTES for found in other[max(at - 1, 0) : at + 1])

    return any(all(close(place, other) for other in others) for place in rarest)


def _words(form: str, light: set[str], bounded: bool) -> frozenset[_Word]:
    """Return the words of a form that must all be there: not the light ones, unless there are no others."""
    words = re.split(r"[\s']+" if bounded else r"[\W_]+", folded(form))
    heavy = [word for word in words if word not in light and (len(word) > 1 or not word.isascii())]
    # As the folded bytes of a source show them: `c-section` as `c section`.
    shown = ("".join(char if char.isalnum() or ord(char) > 127 else " " for char in word) for word in heavy or words)
    return frozenset(_Word(word.strip(), bounded) for word in shown if word.strip())


def forms_of(language: LanguagePolicy, rule: str) -> list[tuple[int, str, bool]]:
    """Return (number of its term, form, whether it is found as a whole word only) of each form of a lexicon.

    To the rule `mmedc` every form is a term of its own.
    """
    forms = [(number, form) for number, term in enumerate(language.lexicon) for form in term.forms]
    if rule == "mmedc":
        whole = [language.spaced and not inside_words(form) for _, form in forms]
        return [(number, form, whole[number]) for number, (_, form) in enumerate(forms)]
    return [(number, form, True) for number, form in forms]


def floor_of(limits: dict[str, Any]) -> int:
    """Return the fewest distinct terms that gather keeps a document for."""
    limit = limits.get("medical_terms")
    return int(limit.floor or 0) if limit else 0


def reached(terms: list[set[int]], floors: list[int]) -> bool:
    """Tell whether some language has as many distinct terms as its floor asks."""
    return any(len(found) >= floor for found, floor in zip(terms, floors, strict=True))


def _plain(source: bytes) -> bytes:
    """Return `source` with entities, widths, marks and invisible characters resolved, where it has any."""
    if b"&" in source:
        letters = {entity: char for entity in set(ENTITY.findall(source)) if (char := _letter(entity)) is not None}
        if letters:
            source = ENTITY.sub(lambda found: letters.get(found[1], found[0]), source)
    beyond = b"" if source.isascii() else source.translate(None, _ASCII)
    if MARK.search(beyond):  # is written with the character before it
        return _plain_text(source)
    return ODD.sub(lambda found: _plain_text(found[0]), source) if ODD.search(beyond) else source


def _plain_text(text: bytes) -> bytes:
    return width(INVISIBLE.sub("", text.decode("utf-8", "replace"))).encode("utf-8", "replace")


def _letter(entity: bytes) -> bytes | None:
    """Return what an entity stands for when that is a letter, a digit or invisible; else None."""
    if entity.startswith(b"&#"):
        digits = entity[2:10]
        code = int(digits[1:], 16) if digits[:1] in b"xX" else int(digits)
    else:
        code = name2codepoint.get(entity[1:].decode(), 0)
    if not 32 < code <= 0x10FFFF or 0xD800 <= code < 0xE000:
        return None
    char = chr(code)
    return char.encode() if char.isalnum() or INVISIBLE.match(char) or char in "-‐‑./" else None


def _bounded(view: bytes, start: int, end: int) -> bool:
    """Tell whether a word ends at both ends of a match in UTF-8; see `mmedc.steps.medical.free`."""
    first = view[start : start + 4].decode("utf-8", "ignore")[:1]
    last = view[max(end - 4, 0) : end].decode("utf-8", "ignore")[-1:]
    before = view[max(start - 4, 0) : start].decode("utf-8", "ignore")[-1:]
    after = view[end : end + 4].decode("utf-8", "ignore")[:1]
    ends = (before, first), (after, last)
    return all(not out or is_unspaced(own) or free(out + own, 0, 1) for out, own in ends)
