"""A bound on the medical terms of a page, from its bytes alone, that spares hopeless pages everything else.

The text of a page is, but for the order of its parts, a part of its source. So the terms that could
be put together from the words of the source bound those of the text from above, and a page below the
policy's loosest limit is below it in the end. The bound is cheap because it looks at bytes: scripts,
styles and tags are cut out, ASCII case and punctuation are folded by one table, then two automata find
the words of all lexicons. Of a term of several words only the longest is looked for; the others are
looked up around it when the page might pass.

It holds, whatever the extractor chooses, when words are not cut by tags (`dia<b>betes</b>`), nor made
by scripts, nor written within a tag; whatever else `mmedc.folding` undoes is undone here too, where a page
has any of it (`mmedc.steps.fold_bytes`). The words of a term may stand in any order within 1,000 bytes.
benchmarks/cascade_recall.py measures what is lost.
"""

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import ahocorasick_rs
import pyarrow as pa

from mmedc.document import set_column, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.folding import folded
from mmedc.policy import LanguagePolicy, Policy
from mmedc.steps.fold_bytes import ALL_BYTES, ONLY_ASCII, ByteFolder
from mmedc.steps.medical import free, inside_words
from mmedc.words import in_word

LATE = (
    -1
)  # the number, beside those of words, of the characters that fold and that `ByteFolder.fold` leaves as they are
NEAR_BYTES = 1_000  # within which the words of a term stand
_UNSHOWN = (b"<script", b"<style", b"</script>", b"</style>")
_AFTER_NAME = (b">", b" ", b"\n", b"\t", b"\r", b"/")
_HEAD_BYTES = 200  # of a start tag, in which its type stands
_TAG = re.compile(rb"<[a-zA-Z/!?][^>]*>")  # WHATWG HTML, 13.2.5.6: any other `<` is text


FEW_PATTERNS = 8_000
NO_FIRST = bytes(range(0xC0))  # bytes that begin no character beyond ASCII
SIGN = re.compile(r"[^0-9A-Za-z\x80-\U0010ffff]")  # of ASCII


@dataclass(frozen=True)
class Prefilter:
    """Drops documents whose source can't hold enough terms of any language. Dropped: `prefilter`."""

    policy: Policy
    name: ClassVar[str] = "prefilter"
    version: ClassVar[int] = 4

    def open(self) -> Transform:
        """Return the transform; builds the automata."""
        enough = source_bound(self.policy)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals = batch.column("ordinal").to_pylist()
            dropped: list[str | None] = [None] * len(ordinals)
            sources = zip(ordinals, views(batch.column("html")), views(batch.column("text")), strict=True)
            for index, (ordinal, page, text) in enumerate(sources):
                slot.mark(ordinal)
                if page is not None:
                    dropped[index] = None if enough(shown_bytes(bytes(page))) else "prefilter"
                elif text is not None:
                    dropped[index] = None if enough(bytes(text)) else "prefilter"
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


def shown_bytes(page: bytes) -> bytes:
    """Return a page without its scripts, styles and tags; JSON-LD stays, whose text extractors take.

    Scripts and styles go from each end tag back to the last start tag before it, both as nearly all pages
    write them, in lower case. What is no tag for certain stays too.
    """
    parts, at = [], 0
    opened, begun = -1, 0  # script 0, style 1, none -1; and where
    for index, start, end in _unshown().find_matches_as_indexes(page):
        if index >= 2:
            if opened == index - 2:
                parts.append(page[at:begun])
                opened, at = -1, end
        elif not (index and opened == 0) and page.startswith(_AFTER_NAME, end):  # a style within a script is none
            opened, begun = index, start
            if not index and b"ld+json" in page[end : end + _HEAD_BYTES]:
                opened = -1
    shown, close, rest = b" ".join((*parts, page[at:])).rpartition(b">")
    return _TAG.sub(b" ", shown + close) + rest  # in the rest every `<` would be looked through to its end


@functools.cache
def _unshown() -> Any:
    return ahocorasick_rs.BytesAhoCorasick(_UNSHOWN, matchkind=ahocorasick_rs.MatchKind.LeftmostFirst)


def source_bound(policy: Policy) -> Callable[[bytes], bool]:
    """Return a function that tells whether a source (UTF-8) may hold enough terms of some language."""
    terms = _Terms(policy)
    lexicons = (language.lexicon for language in policy.languages.values())
    folder = ByteFolder(form for lexicon in lexicons for term in lexicon for form in term.forms)
    keys = list(terms.entries)  # known by their numbers from here on
    in_ascii = [number for number, key in enumerate(keys) if key.plain]
    ascii_words = _automaton([b" %b " % keys[number].text.encode() for number in in_ascii])
    by_script: dict[int, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, key in enumerate(keys):
        if not key.plain:
            for form in _written(key):
                # The first bytes of Latin, of Cyrillic and Arabic, of Han, Kana, Hangul and Devanagari differ in this.
                by_script[max(*form, 0x7F) & 0xF0][form].append(number)
    for char in folder.late:
        by_script[max(char) & 0xF0].setdefault(char, [LATE])
    scripts = [(_signs(forms), _automaton(list(forms)), list(forms.values())) for forms in by_script.values()]

    def enough(source: bytes) -> bool:
        source, ascii_view = folder.fold(source)
        holds, has_late = holds_enough(_View(source, ascii_view))
        if holds:
            return True
        late = folder.fold_late(source, has_late)
        return late is not None and holds_enough(_View(late, late.translate(ONLY_ASCII)))[0]

    def holds_enough(view: _View) -> tuple[bool, bool]:
        """Return whether the terms are enough, and whether there is something else that folds."""
        in_view = ascii_words.find_matches_as_indexes(view.in_ascii, overlapping=True)
        found = {in_ascii[index] for index in {index for index, _, _ in in_view}}
        others = []
        for signs, words, owners in scripts:
            if any(sign in view.source for sign in signs):
                there = words.find_matches_as_indexes(view.whole, overlapping=True)
                others.append((there, owners))
                for index in {index for index, _, _ in there}:
                    found.update(owners[index])
        if not terms.possible(found):
            return False, LATE in found
        places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, start, end in in_view:
            places[in_ascii[index]].append((start, end - 2))  # the view has a space before, the pattern at both ends
        for there, owners in others:
            for index, start, end in there:
                for number in owners[index]:
                    places[number].append((start, end))
        at = functools.cache(lambda number: view.whole_words(keys[number], places[number]))
        holds = terms.reached(
            found, lambda number, more: not more and bool(at(number))
        )  # what costs least to make sure of
        return holds or terms.reached(found, lambda number, more: view.near(at(number), more)), LATE in found

    return enough


def _automaton(patterns: list[bytes]) -> Any:
    kinds = ahocorasick_rs.Implementation  # the fastest takes a hundred megabytes for tens of thousands
    kind = kinds.DFA if len(patterns) <= FEW_PATTERNS else kinds.ContiguousNFA
    return ahocorasick_rs.BytesAhoCorasick(patterns, implementation=kind)


def _signs(patterns: Iterable[bytes]) -> list[bytes]:
    """Return few strings of which every pattern holds one: without them there is nothing to look for.

    First bytes of characters beyond ASCII where all patterns have some, the fewest that greed finds: further bytes are
    those of quotes and dashes too.
    """
    left = list({frozenset(pattern.translate(None, NO_FIRST)) for pattern in patterns})
    signs = []
    while left:
        common = Counter(byte for pattern in left for byte in pattern).most_common(1)
        if not common or not all(left):
            return [b""]
        byte = common[0][0]
        signs.append(bytes([byte]))
        left = [pattern for pattern in left if byte not in pattern]
    return signs


class _Word(NamedTuple):
    """A word of a lexicon; bounded: the rule finds it as a whole word only."""

    text: str
    bounded: bool

    @property
    def plain(self) -> bool:
        """Whether it is found between spaces, where all that is not ASCII is a space."""
        return self.bounded and self.text.isascii()


@functools.cache
def _written(word: _Word) -> list[bytes]:
    """Return how a word stands in the folded bytes of a source, which have ASCII in lower case only."""
    forms = {word.text, word.text.upper(), word.text.capitalize(), word.text.title()}
    return sorted({form.encode().translate(ALL_BYTES) for form in forms})


class _View:
    """The folded bytes of a source: with only its ASCII, and whole."""

    def __init__(self, source: bytes, ascii_view: bytes) -> None:
        self.source = source
        self.in_ascii = b" %b " % ascii_view
        self._bare = b"\0" in self.in_ascii
        if self._bare:  # controls are invisible
            self.in_ascii = self.in_ascii.replace(b"\0", b"")

    @functools.cached_property
    def whole(self) -> bytes:
        """All bytes, those beyond ASCII as they are."""
        view = self.source.translate(ALL_BYTES)
        return view.replace(b"\0", b"") if self._bare else view

    def whole_words(self, word: _Word, places: list[tuple[int, int]]) -> list[int]:
        """Return where a word begins, of the places (start, end) where its letters stand."""
        if not word.bounded:
            return [start for start, _ in places]
        if word.plain and self.source.isascii():  # between spaces in `in_ascii`, so that only these can touch it
            return [start for start, _ in places]
        return [start for start, end in places if _bounded(self.whole, start, end)]

    def near(self, places: list[int], words: tuple[_Word, ...]) -> bool:
        """Tell whether all words stand near some of the places, which are in order."""
        if not words:
            return bool(places)
        windows: list[tuple[int, int]] = []
        for place in places:
            low, high = max(place - NEAR_BYTES, 0), place + NEAR_BYTES
            if windows and low <= windows[-1][1]:
                windows[-1] = windows[-1][0], high
            else:
                windows.append((low, high))
        return any(all(self._holds(word, low, high) for word in words) for low, high in windows)

    def _holds(self, word: _Word, low: int, high: int) -> bool:
        if word.plain:
            return self.in_ascii.find(b" %b " % word.text.encode(), low, high) >= 0
        for form in _written(word):
            at = self.whole.find(form, low, high)
            while at >= 0 and word.bounded and not _bounded(self.whole, at, at + len(form)):
                at = self.whole.find(form, at + 1, high)
            if at >= 0:
                return True
        return False


class _Terms:
    """The lexicons of a policy as words: which words make a term, and how many terms are enough."""

    def __init__(self, policy: Policy) -> None:
        self.floors = [floor_of(language.limits, "medical_terms") for language in policy.languages.values()]
        self.entries: dict[_Word, list[tuple[int, int, tuple[_Word, ...]]]] = defaultdict(list)
        """By the longest word of a term, which is the rarest: (language, term, its other words)."""
        for number, language in enumerate(policy.languages.values()):
            light = set(language.stopwords)
            for term, form, bounded in forms_of(language, policy.rule):
                words = sorted(_words(form, light, bounded), key=lambda word: (-len(word.text), word))
                if words:
                    self.entries[words[0]].append((number, term, tuple(words[1:])))
        self._entries = dict(enumerate(self.entries.values()))
        self._terms: dict[int, list[tuple[int, set[int]]]] = {LATE: []}
        for key, entries in self._entries.items():
            numbers = dict.fromkeys(number for number, _, _ in entries)
            self._terms[key] = [(number, {term for lang, term, _ in entries if lang == number}) for number in numbers]

    def possible(self, found: Iterable[int]) -> bool:
        """Tell whether the terms that the keys found are part of are enough of some language."""
        if min(self.floors) <= 0:
            return True
        terms: list[set[int]] = [set() for _ in self.floors]
        for key in found:
            for number, more in self._terms[key]:
                terms[number] |= more
                if len(terms[number]) >= self.floors[number]:
                    return True
        return False

    def reached(self, found: Iterable[int], there: Callable[[int, tuple[_Word, ...]], bool]) -> bool:
        """Tell whether the keys found that are there, with their other words, make enough terms of some language."""
        terms: list[set[int]] = [set() for _ in self.floors]
        for key in found:
            for number, term, others in self._entries.get(key, ()):
                if term not in terms[number] and there(key, others):
                    terms[number].add(term)
                    if len(terms[number]) >= self.floors[number]:
                        return True
        return min(self.floors) <= 0


def _words(form: str, light: set[str], bounded: bool) -> frozenset[_Word]:
    """Return the words of a form that must all be there: not the light ones, unless there are no others."""
    words = re.split(r"[\s']+" if bounded else r"[\W_]+", folded(form))
    heavy = [word for word in words if word not in light and (len(word) > 1 or not word.isascii())]
    # As the folded bytes of a source show them: `c-section` as `c section`.
    shown = (SIGN.sub(" ", word).strip() for word in heavy or words)
    return frozenset(_Word(word, bounded) for word in shown if word)


def forms_of(language: LanguagePolicy, rule: str) -> list[tuple[int, str, bool]]:
    """Return (number of its term, form, whether it is found as a whole word only) of each form of a lexicon.

    To the rule `mmedc` every form is a term of its own.
    """
    forms = [(number, form) for number, term in enumerate(language.lexicon) for form in term.forms]
    if rule == "mmedc":
        whole = [language.spaced and not inside_words(form) for _, form in forms]
        return [(number, form, whole[number]) for number, (_, form) in enumerate(forms)]
    return [(number, form, True) for number, form in forms]


def floor_of(limits: dict[str, Any], measure: str) -> float:
    """Return the least of a measure that ingest keeps a document for; 0 where nothing limits it."""
    limit = limits.get(measure)
    return float(limit.floor or 0) if limit else 0.0


_WORD = bytes(in_word(chr(code)) for code in range(128)) + bytes([2]) * 128  # 2: look at the character


def _bounded(view: bytes, start: int, end: int) -> bool:
    """Tell whether words end at both ends of a match in UTF-8; see `mmedc.steps.medical.free`."""
    before, after = _WORD[view[start - 1]] if start else 0, _WORD[view[end]] if end < len(view) else 0
    if not (before or after):
        return True
    if before == _WORD[view[start]] == 1 or after == _WORD[view[end - 1]] == 1:
        return False
    ends = (view[max(start - 4, 0) : start], view[start : start + 4]), (view[end - 4 : end], view[end : end + 4])
    around = [left.decode("utf-8", "ignore")[-1:] + right.decode("utf-8", "ignore")[:1] for left, right in ends]
    return all(len(pair) < 2 or free(pair, 0, 1) for pair in around)
