"""Two cheap looks at a page that spare it the dear extraction when it is hopeless.

The extracted text of a page is, but for the order of its parts, a part of what the page shows, and
that is a part of its source. So the terms in the source, and then those in all visible text, bound
the terms of the extracted text from above: a page below the policy's floor there is below it in the
end, and costs a tenth or a hundredth of an extraction. The bound of the source holds while words are
not split by tags; the one of the visible text holds while the extractor invents none.
benchmarks/gate_recall.py measures what both lose.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import ahocorasick_rs
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.policy import Policy
from mmedc.steps.language import identifier
from mmedc.steps.medical import folded, free, width
from mmedc.words import is_unspaced

ENTITIES = re.compile(r"&(?:#|[a-z]{1,6}(?:acute|grave|circ|cedil|tilde|uml|lig|ring|caron|slash)|szlig)")
"""Entities that stand for letters, which may be part of a term."""
SURE = 0.9  # probability from which the language of the fast text is believed to be none of ours
SURE_CHARS = 200


@dataclass(frozen=True)
class Gate:
    """Drops pages whose source can't hold enough terms of any language. Dropped: `gate`."""

    policy: Policy
    name: ClassVar[str] = "gate"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform; builds one automaton for all languages."""
        enough = source_counter(self.policy)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals, pages = batch.column("ordinal").to_pylist(), batch.column("html")
            dropped: list[str | None] = [None] * len(ordinals)
            for index, ordinal in enumerate(ordinals):
                if pages[index].is_valid:
                    slot.mark(ordinal)
                    if not enough(pages[index].as_py()):
                        dropped[index] = "gate"
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


@dataclass(frozen=True)
class Glance:
    """Drops pages whose visible text holds too few terms, or whose language is surely another.

    Uses resiliparse, ten times faster than the extraction it spares. Dropped: `few_terms`, `other_language`.
    """

    model: str
    policy: Policy
    name: ClassVar[str] = "glance"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform; loads the language model."""
        enough = text_counter(self.policy)
        identify = identifier(self.model, self.policy)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            from resiliparse.extract.html2text import extract_plain_text
            from resiliparse.parse.html import HTMLTree

            ordinals, pages = batch.column("ordinal").to_pylist(), batch.column("html")
            dropped: list[str | None] = [None] * len(ordinals)
            looked: list[int] = []
            mains: list[str] = []
            for index, ordinal in enumerate(ordinals):
                if not pages[index].is_valid:
                    continue
                slot.mark(ordinal)
                tree = HTMLTree.parse(pages[index].as_py())
                if not enough(extract_plain_text(tree, main_content=False, alt_texts=True)):
                    dropped[index] = "few_terms"
                    continue
                looked.append(index)
                mains.append(extract_plain_text(tree, main_content=True, alt_texts=False, comments=False))
            if looked:
                langs, scores = identify(pa.array(mains, pa.large_string()))
                for index, main, lang, score in zip(looked, mains, langs.to_pylist(), scores.to_pylist(), strict=True):
                    if lang not in self.policy.languages and score >= SURE and len(main) >= SURE_CHARS:
                        dropped[index] = "other_language"
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


def _automaton(policy: Policy, key: Callable[[str], str]) -> tuple[Any, list[list[tuple[int, int]]], list[int]]:
    """Return (automaton over the keys of all forms, the (language, term) of each key, each language's floor).

    Under the rule `mmedc` every form is a keyword of its own.
    """
    patterns: dict[str, list[tuple[int, int]]] = {}
    floors = []
    for number, language in enumerate(policy.languages.values()):
        limit = language.limits.get("medical_terms")
        floors.append(int(limit.floor or 0) if limit else 0)
        terms = [term.forms for term in language.lexicon]
        if policy.rule == "mmedc":
            terms = [(form,) for forms in terms for form in forms]
        for term, forms in enumerate(terms):
            for pattern in {key(folded(form)) for form in forms}:
                patterns.setdefault(pattern, []).append((number, term))
    automaton = ahocorasick_rs.AhoCorasick(list(patterns), implementation=ahocorasick_rs.Implementation.DFA)
    return automaton, list(patterns.values()), floors


def source_counter(policy: Policy) -> Callable[[str], bool]:
    """Return a function that tells whether the source of a page may hold enough terms of some language.

    A term of several words is looked for by its longest word, so that line breaks and spaces between
    them don't matter; case is folded, entities for letters are resolved, boundaries are not asked for.
    """
    automaton, owners, floors = _automaton(policy, _longest_word)

    def enough(source: str) -> bool:
        low = source.lower()
        if ENTITIES.search(low):
            low = html.unescape(low)
        present = {index for index, _, _ in automaton.find_matches_as_indexes(low, overlapping=True)}
        return _reached(present, owners, floors)

    return enough


def text_counter(policy: Policy) -> Callable[[str], bool]:
    """Return a function that tells whether a text holds enough terms of some language, at word boundaries."""
    automaton, owners, floors = _automaton(policy, lambda form: form)
    anywhere = policy.rule == "mmedc"  # which finds long keywords inside words

    def enough(text: str) -> bool:
        low = " ".join(width(text).lower().split())
        present = set()
        for index, start, end in automaton.find_matches_as_indexes(low, overlapping=True):
            if index in present:
                continue
            if anywhere or (free(low, start - 1, start) and free(low, end, end - 1)):
                present.add(index)
        return _reached(present, owners, floors)

    return enough


def _reached(present: set[int], owners: list[list[tuple[int, int]]], floors: list[int]) -> bool:
    """Tell whether the patterns present are of enough distinct terms of some language."""
    terms: list[set[int]] = [set() for _ in floors]
    for index in present:
        for number, term in owners[index]:
            terms[number].add(term)
    return any(len(found) >= floor for found, floor in zip(terms, floors, strict=True))


def _longest_word(form: str) -> str:
    """Return the longest run of letters and digits of a form; in scripts without spaces, the form."""
    if any(is_unspaced(char) for char in form):
        return form
    return max(re.split(r"[\W_]+", form), key=len)
