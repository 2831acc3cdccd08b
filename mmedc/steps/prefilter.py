"""An upper bound on the medical terms of a page, from its bytes alone, which saves hopeless pages all later steps.

Except for the order of its parts, the text of a page is a part of its source. The number of terms that can be formed
from the words of the source is therefore an upper bound for the terms of the text: a page whose bound is below the
policy's floor would be dropped later anyway. The bound is cheap because it works on bytes: scripts,
styles and tags are cut out, ASCII case and punctuation are folded by one table, then automata find
the words of all lexicons. The words of a term must all occur, and near one another if the page might pass.

The bound holds for any extractor, unless words are split by tags (`dia<b>betes</b>`), produced by scripts, or
written inside a tag. Everything else that `mmedc.folding` folds is folded here too, where a page
has any of it (`mmedc.steps.fold_bytes`). The words of a term may occur in any order within 1,000 bytes.
benchmarks/cascade_recall.py measures how many documents are lost.
"""

import functools
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar, NamedTuple

import ahocorasick_rs
import pyarrow as pa

from mmedc.compiled import compiled
from mmedc.document import set_column, source_of, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.folding import plain_forms
from mmedc.policy import LanguagePolicy, Policy
from mmedc.steps.fold_bytes import ALL_BYTES, ONLY_ASCII, ByteFolder, facts_of, in_small_letters
from mmedc.steps.medical import free, inside_words
from mmedc.words import in_word

LATE = -1  # the number, beside those of words, of the characters that only `ByteFolder.fold_late` folds
NEAR_BYTES = 1_000  # the distance within which the words of a term must occur
_UNSHOWN = (b"<script", b"<style", b"</script>", b"</style>")
_AFTER_NAME = (b">", b" ", b"\n", b"\t", b"\r", b"/")
_HEAD_BYTES = 200  # of a start tag that are searched for its type
_TAG = re.compile(rb"<[a-zA-Z/!?][^>]*>")  # WHATWG HTML, 13.2.5.6: any other `<` is text


FEW_PATTERNS = 30_000
NO_FIRST = bytes(range(0xC0))  # bytes that begin no character beyond ASCII
_LINES = ALL_BYTES[:10] + b"\n" + ALL_BYTES[11:]  # the same, but for line breaks
_CODE = (__name__, "mmedc.folding", "mmedc.steps.fold_bytes", "mmedc.steps.medical", "mmedc.words")
SIGN = re.compile(r"[^0-9A-Za-z\x80-\U0010ffff]")  # an ASCII character that is neither letter nor digit


@dataclass(frozen=True)
class Prefilter:
    """Drops documents whose source can't contain enough terms of any language. Dropped: `prefilter`."""

    policy: Policy
    name: ClassVar[str] = "prefilter"
    version: ClassVar[int] = 7

    def open(self) -> Transform:
        """Return the transform; builds the automata."""
        bounds = self.policy.made(_bound, by=lambda policy: None if policy.keeps else (policy.rule, _floors(policy)))

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals = batch.column("ordinal").to_pylist()
            dropped: list[str | None] = [None] * len(ordinals)
            enough = bounds(source_of(batch))
            sources = zip(ordinals, views(batch.column("html")), views(batch.column("text")), strict=True)
            for index, (ordinal, page, text) in enumerate(sources):
                slot.mark(ordinal)
                if page is not None:
                    dropped[index] = None if enough(shown_bytes(bytes(page))) else "prefilter"
                elif text is not None:
                    dropped[index] = None if enough(bytes(text)) else "prefilter"
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


def _bound(policy: Policy) -> Callable[[bytes], bool]:
    """Return `source_bound`, or what lets everything through where no limit asks for terms."""
    return (lambda _: True) if policy.keeps else source_bound(policy)


def _floors(policy: Policy) -> list[float]:
    return [floor_of(language.limits, "medical_terms") for language in policy.languages.values()]


def shown_bytes(page: bytes) -> bytes:
    """Return a page without its scripts, styles and tags; JSON-LD is kept, because extractors use its text.

    A script or style is removed from its end tag back to the last start tag before it, both in lower case, as
    nearly all pages write them. Anything that is not certainly a tag is kept.
    """
    parts, at = [], 0
    opened, begun = -1, 0  # the open element (script 0, style 1, none -1), and where it begins
    for index, start, end in _unshown().find_matches_as_indexes(page):
        if index >= 2:
            if opened == index - 2:
                parts.append(page[at:begun])
                opened, at = -1, end
        elif not (index and opened == 0) and page.startswith(_AFTER_NAME, end):  # a style inside a script is not a tag
            opened, begun = index, start
            if not index and b"ld+json" in page[end : end + _HEAD_BYTES]:
                opened = -1
    shown, close, rest = b" ".join((*parts, page[at:])).rpartition(b">")
    return _TAG.sub(b" ", shown + close) + rest  # no tag ends in `rest`; searching it would take quadratic time


@functools.cache
def _unshown() -> Any:
    return ahocorasick_rs.BytesAhoCorasick(_UNSHOWN, matchkind=ahocorasick_rs.MatchKind.LeftmostFirst)


def source_bound(policy: Policy) -> Callable[[bytes], bool]:
    """Return a function that decides whether a source (UTF-8) may contain enough terms of some language."""
    tables = compiled("prefilter", _CODE, _made_from(policy), lambda: _compile(policy))
    terms, folder = _Terms(policy, tables), ByteFolder(tables["folder"])
    keys = terms.words  # from here on, a word is identified by its number
    in_ascii = [number for number, key in enumerate(keys) if key.plain]
    ascii_words = _automaton([b" %b " % keys[number].text.encode() for number in in_ascii])
    scripts = []
    for text, owners in tables["scripts"]:
        forms = text.encode().split(b"\n")
        scripts.append((_signs(forms), _automaton(forms), owners))

    def enough(source: bytes) -> bool:
        source, ascii_view = folder.fold(source)
        holds, has_late = holds_enough(_View(source, ascii_view))
        if holds:
            return True
        late = folder.fold_late(source, has_late)
        for seen in (late, in_small_letters(source if late is None else late)):
            if seen is not None and holds_enough(_View(seen, seen.translate(ONLY_ASCII)))[0]:
                return True
        return False

    def holds_enough(view: _View) -> tuple[bool, bool]:
        """Return whether there are enough terms, and whether there are characters that only `fold_late` folds."""
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
        somewhere = functools.cache(lambda number: any(view.whole_words(keys[number], places[number])))
        if terms.reached(
            found, lambda number, others: not others and somewhere(number)
        ):  # what costs least comes first
            return True, LATE in found
        at = functools.cache(
            lambda number: sorted(
                start for start, _ in compress(places[number], view.whole_words(keys[number], places[number]))
            )
        )
        return terms.reached(found, lambda number, others: near(at(number), map(at, others))), LATE in found

    return enough


def _made_from(policy: Policy) -> Iterator[bytes]:
    """Yield all that `_compile` depends on, which the weights of terms and the limits are not."""
    yield policy.rule.encode()
    for language in policy.languages.values():
        yield repr([language.spaced, sorted(language.stopwords)]).encode()
        yield repr([term.forms for term in language.lexicon]).encode()


def _compile(policy: Policy) -> dict[str, Any]:
    """Return the tables of a policy as a JSON value; `_Terms` says what most of them are."""
    tables = _numbered(policy)
    words = _words_of(tables)
    by_script: dict[int, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    beyond = [number for number, word in enumerate(words) if not word.plain]
    for number, forms in zip(beyond, _written([words[number].text for number in beyond]), strict=True):
        for form in forms:
            # These bits distinguish Latin; Cyrillic and Arabic; and Han, Kana, Hangul and Devanagari.
            by_script[max(max(form), 0x7F) & 0xF0][form].append(number)
    facts = facts_of(form for language in policy.languages.values() for term in language.lexicon for form in term.forms)
    for char in ByteFolder(facts).late:
        by_script[max(char) & 0xF0].setdefault(char, [LATE])
    scripts = [[b"\n".join(forms).decode(), list(forms.values())] for forms in by_script.values()]
    return {**tables, "folder": facts, "scripts": scripts}


def _automaton(patterns: list[bytes]) -> Any:
    kinds = ahocorasick_rs.Implementation  # the fastest takes a hundred megabytes for tens of thousands
    kind = kinds.DFA if len(patterns) <= FEW_PATTERNS else kinds.ContiguousNFA
    return ahocorasick_rs.BytesAhoCorasick(patterns, implementation=kind)


def _signs(patterns: Iterable[bytes]) -> list[bytes]:
    """Return a few strings such that every pattern contains one: a source without them need not be searched.

    They are first bytes of characters beyond ASCII, chosen greedily, if all patterns have some. Continuation bytes
    are not used, because quotes and dashes have them too.
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
    """A word of a lexicon; `bounded` says that the rule finds it as a whole word only."""

    text: str
    bounded: bool

    @property
    def plain(self) -> bool:
        """Whether the word can be found between spaces in a view in which all bytes beyond ASCII are spaces."""
        return self.bounded and self.text.isascii()


def _written(words: list[str]) -> Iterator[dict[bytes, None]]:
    """Yield the forms of each word in the folded bytes of a source, in which only ASCII is in lower case."""
    text = "\n".join(words)  # one call for all of them
    forms = text, text.upper(), "\n".join([word.capitalize() for word in words]), text.title()
    return map(dict.fromkeys, zip(*(form.encode().translate(_LINES).split(b"\n") for form in forms), strict=True))


class _View:
    """The folded bytes of a source, as a whole and reduced to ASCII."""

    def __init__(self, source: bytes, ascii_view: bytes) -> None:
        self.source, self._in_ascii_only = source, source.isascii()
        self.in_ascii = b" %b " % ascii_view
        self._bare = b"\0" in self.in_ascii
        if self._bare:  # controls are invisible
            self.in_ascii = self.in_ascii.replace(b"\0", b"")

    @functools.cached_property
    def whole(self) -> bytes:
        """All bytes of the source; those beyond ASCII are unchanged."""
        view = self.source.translate(ALL_BYTES)
        return view.replace(b"\0", b"") if self._bare else view

    def whole_words(self, word: _Word, places: list[tuple[int, int]]) -> Iterator[bool]:
        """Yield of each place (start, end) whether the letters form the word on its own there."""
        # In ASCII, what is found between spaces in `in_ascii` can be touched by nothing else.
        sure = not word.bounded or (word.plain and self._in_ascii_only)
        return (sure or _bounded(self.whole, start, end) for start, end in places)


def near(places: list[int], others: Iterable[list[int]]) -> bool:
    """Return whether the words at `others` occur near one of the places of a word; all of them are sorted."""
    for other in others:
        places = [place for place in places if _any_within(other, place - NEAR_BYTES, place + NEAR_BYTES)]
        if not places:
            return False
    return bool(places)


def _any_within(places: list[int], low: int, high: int) -> bool:
    at = bisect_left(places, low)
    return at < len(places) and places[at] <= high


class _Terms:
    """The lexicons of a policy as words: which words form a term, and how many terms are enough."""

    def __init__(self, policy: Policy, tables: dict[str, Any]) -> None:
        """`tables`: what `_numbered` returns for the policy."""
        self._weights = [
            [term.weight for term in language.lexicon] if policy.rule == "boundary" else None
            for language in policy.languages.values()
        ]
        self.floors = [floor_of(language.limits, "medical_terms") for language in policy.languages.values()]
        self.words = _words_of(tables)
        """All words of the terms."""
        self._entries = _Entries(tables["starts"], tables["entries"])

    def possible(self, found: set[int]) -> bool:
        """Return whether the terms all of whose words were found are enough for some language."""
        if min(self.floors) <= 0:
            return True
        terms: list[set[int]] = [set() for _ in self.floors]
        for key in found:
            for number, term, others in self._entries[key]:
                if others <= found:
                    terms[number].add(term)
        return any(
            len(some) >= floor and (weights is None or sum(weights[term] for term in some) >= floor)
            for some, floor, weights in zip(terms, self.floors, self._weights, strict=True)
        )

    def reached(self, found: set[int], there: Callable[[int, frozenset[int]], bool]) -> bool:
        """Return whether terms all of whose words were found are enough for some language, if `there` is true of them.

        It is given a word of a term and its other words.
        """
        terms: list[set[int]] = [set() for _ in self.floors]
        sums = [0.0] * len(self.floors)
        for key in found:
            for number, term, others in self._entries[key]:
                if term not in terms[number] and others <= found and there(key, others):
                    terms[number].add(term)
                    weights = self._weights[number]
                    sums[number] += 1 if weights is None else weights[term]
                    if sums[number] >= self.floors[number]:
                        return True
        return min(self.floors) <= 0


class _Entries(dict[int, list[tuple[int, int, frozenset[int]]]]):
    """The terms as (language, term, its other words), by the word that is in the fewest terms.

    They stand one after another in `numbers`, those of word *n* from `starts[n]` on: language, term, how many other
    words, the other words. They are made when a page has the word, because most words are never met.
    """

    def __init__(self, starts: list[int], numbers: list[int]) -> None:
        super().__init__()
        self._starts, self._numbers = starts, numbers

    def __missing__(self, word: int) -> list[tuple[int, int, frozenset[int]]]:
        found = self[word] = []
        if word == LATE:
            return found
        at, end = self._starts[word : word + 2]
        while at < end:
            language, term, count = self._numbers[at : at + 3]
            found.append((language, term, frozenset(self._numbers[at + 3 : at + 3 + count])))
            at += 3 + count
        return found


def _words_of(tables: dict[str, Any]) -> list[_Word]:
    return list(map(_Word, tables["words"].split("\n"), map("1".__eq__, tables["bounded"])))


def _numbered(policy: Policy) -> dict[str, Any]:
    """Return the words of the terms, a line each; for each a digit, 1 if it is bounded; and the `_Entries`."""
    words: list[_Word] = []
    numbers: dict[_Word, int] = {}
    entries: dict[int, dict[tuple[int, int, frozenset[int]], None]] = defaultdict(dict)
    for number, language in enumerate(policy.languages.values()):
        light = set(language.stopwords)
        forms = forms_of(language, policy.rule)
        seen = plain_forms([form for _, form, _ in forms])
        parts = [_words(form.lower(), light, bounded) for (_, _, bounded), form in zip(forms, seen, strict=True)]
        often = Counter(word for found in parts for word in found)
        for (term, _, _), found in zip(forms, parts, strict=True):
            for word in found:
                if word not in numbers:
                    numbers[word] = len(words)
                    words.append(word)
            if found:
                rarest = min(found, key=lambda word: (often[word], -len(word.text), word)) if found[1:] else found[0]
                others = frozenset(numbers[word] for word in found if word is not rarest)
                entries[numbers[rarest]][number, term, others] = None
    starts, flat = [0], list[int]()
    for at in range(len(words)):
        for number, term, others in entries.get(at, ()):
            flat += number, term, len(others), *others
        starts.append(len(flat))
    bounded = "".join("01"[word.bounded] for word in words)
    return {"words": "\n".join([word.text for word in words]), "bounded": bounded, "starts": starts, "entries": flat}


def _words(form: str, light: set[str], bounded: bool) -> list[_Word]:
    """Return the words of a folded form that must all occur; `light` words are left out unless there are no others."""
    if form.isalnum():
        return [_Word(form, bounded)]
    words = re.split(r"[\s']+" if bounded else r"[\W_]+", form)
    heavy = [word for word in words if word not in light and (len(word) > 1 or not word.isascii())]
    # As they appear in the folded bytes of a source: `c-section` as `c section`.
    shown = dict.fromkeys(SIGN.sub(" ", word).strip() for word in heavy or words)
    return [_Word(word, bounded) for word in shown if word]


def forms_of(language: LanguagePolicy, rule: str) -> list[tuple[int, str, bool]]:
    """Return (number of its term, form, whether it is found as a whole word only) for each form of a lexicon.

    Under the rule `mmedc` every form is a term of its own.
    """
    forms = [(number, form) for number, term in enumerate(language.lexicon) for form in term.forms]
    if rule == "mmedc":
        whole = [language.spaced and not inside_words(form) for _, form in forms]
        return [(number, form, whole[number]) for number, (_, form) in enumerate(forms)]
    return [(number, form, True) for number, form in forms]


def floor_of(limits: dict[str, Any], measure: str) -> float:
    """Return the smallest value of a measure with which ingest keeps a document; 0 if there is no limit."""
    limit = limits.get(measure)
    return float(limit.floor or 0) if limit else 0.0


_WORD = bytes(in_word(chr(code)) for code in range(128)) + bytes([2]) * 128  # 2: look at the character


def _bounded(view: bytes, start: int, end: int) -> bool:
    """Return whether there are word boundaries at both ends of a match in UTF-8; see `mmedc.steps.medical.free`."""
    before, after = _WORD[view[start - 1]] if start else 0, _WORD[view[end]] if end < len(view) else 0
    if not (before or after):
        return True
    if before == _WORD[view[start]] == 1 or after == _WORD[view[end - 1]] == 1:
        return False
    ends = (view[max(start - 4, 0) : start], view[start : start + 4]), (view[end - 4 : end], view[end : end + 4])
    around = [left.decode("utf-8", "ignore")[-1:] + right.decode("utf-8", "ignore")[:1] for left, right in ends]
    return all(len(pair) < 2 or free(pair, 0, 1) for pair in around)
