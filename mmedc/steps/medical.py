"""How medical a text is: the lexicon terms that it contains, and the share of the text that they make up.

Two rules. `mmedc` is the one of MMedC (Qiu et al. 2024, section "Data Collection", and its released
filter): the text is lower-cased; a keyword of more than 10 characters, or of more than 5 with a
space in it, is found as a substring, a shorter one as a whole token between white space; in Chinese
and Japanese every keyword is a substring. Each keyword found counts once. The characters of every
occurrence count, so that characters in two keywords count twice. `boundary` is our own rule: text and terms are
folded (`mmedc.folding`), a term must begin and end at word boundaries, the longest of overlapping terms wins, the
forms of a term count once (a quarter if general text has it, too), acronyms in capitals are matched as written, and
each character is counted once.
"""

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import ahocorasick_rs
import numpy as np
import pyarrow as pa

from mmedc.document import set_column, source_of
from mmedc.engine.chain import Transform
from mmedc.folding import plain, plain_forms
from mmedc.limits import drop_below_floor
from mmedc.policy import LanguagePolicy, Policy, is_acronym
from mmedc.words import in_word, is_unspaced

TENTHS = 10
FEW_FORMS = 500
LEXICON_MEASURES = ("medical_terms", "medical_density", "medical_spread")


class TermMatches(NamedTuple):
    """The measures of a text by a lexicon."""

    terms: float
    """The number of distinct terms; one that general text has, too, counts less (`Term.weight`)."""
    density: float
    """Share of the text's characters that lie in terms, 0 to 1."""
    spread: float
    """Share of the text's tenths in which a term lies, 0 to 1: an illness mentioned in passing is in few of them."""


NOTHING = TermMatches(0, 0.0, 0.0)


@dataclass(frozen=True)
class Medical:
    """Sets the `LEXICON_MEASURES`. Dropped: by the policy's floors on them."""

    policy: Policy
    name: ClassVar[str] = "medical"
    version: ClassVar[int] = 6

    def open(self) -> Transform:
        """Return the transform; builds the automata."""
        measure = self.policy.made(measurer, by=lambda policy: policy.rule)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            for name, values in measure(source_of(batch))(batch.column("lang"), batch.column("text")).items():
                batch = set_column(batch, name, values)
            return drop_below_floor(batch, self.policy, LEXICON_MEASURES)

        return transform


def measurer(policy: Policy) -> Callable[[Any, Any], dict[str, pa.Array]]:
    """Return the function from languages and texts (Arrow, (D,) each) to the columns of the `LEXICON_MEASURES`."""
    matchers = {code: matcher(language, policy.rule) for code, language in policy.languages.items()}

    def measure(langs: Any, texts: Any) -> dict[str, pa.Array]:
        found = [matchers[lang](text) for lang, text in zip(langs.to_pylist(), texts.to_pylist(), strict=True)]
        columns = np.array(found, np.float32).reshape(-1, len(LEXICON_MEASURES)).T
        return {name: pa.array(values) for name, values in zip(LEXICON_MEASURES, columns, strict=True)}

    return measure


def matcher(language: LanguagePolicy, rule: str) -> Callable[[str], TermMatches]:
    """Return the function that finds the terms of `language` in a text by `rule`."""
    if rule == "mmedc":
        forms = [form for term in language.lexicon for form in term.forms]
        return mmedc_matcher(forms, language.spaced)
    return boundary_matcher([term.forms for term in language.lexicon], [term.weight for term in language.lexicon])


def mmedc_matcher(keywords: list[str], spaced: bool) -> Callable[[str], TermMatches]:
    """Return a function that applies MMedC's rule for `keywords`; see the module docstring.

    It returns `NOTHING` for an empty text. The spread is our addition; MMedC has no such measure.
    """
    if not spaced:
        # The released filter lower-cases its keywords but, in these two languages, not the text.
        unspaced = _counted(sorted({keyword.lower() for keyword in keywords}))

        def find_unspaced(text: str) -> TermMatches:
            terms, chars, spans = unspaced(text)
            return TermMatches(terms, chars / len(text), spread(spans, len(text))) if terms else NOTHING

        return find_unspaced
    lowered = sorted({keyword.lower() for keyword in keywords})
    long = _counted([word for word in lowered if inside_words(word)])
    short = {word for word in lowered if not inside_words(word)}

    def find(text: str) -> TermMatches:
        low = text.lower()
        terms, chars, spans = long(low)
        tokens = [token for token in re.finditer(r"\S+", low) if token[0] in short]
        terms += len({token[0] for token in tokens})
        if not terms:
            return NOTHING
        spans += [token.span() for token in tokens]
        chars += sum(len(token[0]) for token in tokens)
        return TermMatches(terms, chars / len(text), spread(spans, len(low)))

    return find


def inside_words(keyword: str) -> bool:
    """Return whether MMedC's rule also finds a keyword of a spaced language inside words."""
    return len(keyword) > 10 or (len(keyword) > 5 and len(keyword.split()) > 1)


def _counted(keywords: list[str]) -> Callable[[str], tuple[int, int, list[tuple[int, int]]]]:
    """Return a function from a text to (number of keywords, their characters as `str.count` counts, their spans)."""
    if not keywords:
        return lambda text: (0, 0, [])
    automaton = ahocorasick_rs.AhoCorasick(keywords, implementation=ahocorasick_rs.Implementation.ContiguousNFA)

    def count(text: str) -> tuple[int, int, list[tuple[int, int]]]:
        matches = automaton.find_matches_as_indexes(text, overlapping=True)
        present = {index for index, _, _ in matches}
        chars = sum(text.count(keywords[index]) * len(keywords[index]) for index in present)
        return len(present), chars, [(start, end) for _, start, end in matches]

    return count


def boundary_matcher(
    terms: list[tuple[str, ...]], weights: Sequence[float] | None = None
) -> Callable[[str], TermMatches]:
    """Return a function that applies our rule for `terms`, each a tuple of its forms; see the module docstring.

    `weights` are how much of a term each counts as, 1 by default. It returns `NOTHING` for an empty text.
    """
    finder = _term_finder(tuple(terms))

    def find(text: str) -> TermMatches:
        chosen, length = finder(text)
        if not chosen:
            return NOTHING
        spans = [(start, end) for _, start, end in chosen]
        density = sum(end - start for start, end in spans) / length
        distinct = {term for term, _, _ in chosen}
        count = len(distinct) if weights is None else sum(weights[term] for term in distinct)
        return TermMatches(count, density, spread(spans, length))

    return find


def spread(spans: Iterable[tuple[int, int]], length: int) -> float:
    """Return the share of the tenths of a text in which the middle of a span (start, end) lies."""
    return len({(start + end - 1) * TENTHS // (2 * length) for start, end in spans}) / TENTHS


def term_finder(terms: list[tuple[str, ...]]) -> Callable[[str], tuple[list[tuple[int, int, int]], int]]:
    """Return a function from a text to (the non-overlapping (term, start, end), the length of the folded text).

    Terms are numbered in the given order; positions are in characters of the folded text.
    """
    return _term_finder(tuple(terms))


@functools.lru_cache(maxsize=32)  # two steps look for the terms of each language
def _term_finder(terms: tuple[tuple[str, ...], ...]) -> Callable[[str], tuple[list[tuple[int, int, int]], int]]:
    owner: dict[bool, dict[str, int]] = {False: {}, True: {}}  # the key says whether case matters
    forms_of_terms = [(form, number) for number, forms in enumerate(terms) for form in forms]
    folds = plain_forms([form for form, _ in forms_of_terms])
    for (form, number), seen in zip(forms_of_terms, folds, strict=True):
        cased = is_acronym(form)
        owner[cased].setdefault(seen if cased else seen.lower(), number)
    automata = []
    for cased, forms_of in owner.items():
        if forms_of:
            patterns, kinds = list(forms_of), ahocorasick_rs.Implementation
            kind = kinds.DFA if len(patterns) <= FEW_FORMS else kinds.ContiguousNFA  # a large table misses the cache
            built = ahocorasick_rs.AhoCorasick(patterns, implementation=kind)
            automata.append((cased, built, [forms_of[pattern] for pattern in patterns]))

    def find(text: str) -> tuple[list[tuple[int, int, int]], int]:
        wide = plain(text)
        low = wide.lower()
        same = len(low) == len(wide)  # a few capitals become longer in lower case; then positions differ
        candidates = []
        for cased, automaton, numbers in automata:
            if cased and not same:
                continue
            seen = wide if cased else low
            for index, start, end in automaton.find_matches_as_indexes(seen, overlapping=True):
                if free(seen, start - 1, start) and free(seen, end, end - 1):
                    candidates.append((start, start - end, numbers[index]))
        candidates.sort()
        chosen, after = [], 0
        for start, minus_length, number in candidates:
            if start >= after:
                after = start - minus_length
                chosen.append((number, start, after))
        return chosen, len(low)

    return find


def free(text: str, outside: int, inside: int) -> bool:
    """Return whether a word ends between the characters at `inside` and `outside`."""
    if outside < 0 or outside >= len(text):
        return True
    out, own = text[outside], text[inside]
    return not in_word(out) or not in_word(own) or is_unspaced(out) or is_unspaced(own)
