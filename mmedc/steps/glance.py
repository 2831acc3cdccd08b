"""A look at what a page shows, which spares hopeless pages the dear extraction.

The extracted text is a part of the visible text, which resiliparse gives ten times faster. So the
terms of the visible text bound those of the extracted text from above, closer than those of the
source do (see `mmedc.steps.gate`), while the extractor invents none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import ahocorasick_rs
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.policy import Policy
from mmedc.steps.extract import resiliparse_text
from mmedc.steps.gate import floor_of, forms_of, reached
from mmedc.steps.language import SLICE_CHARS, identifier
from mmedc.steps.medical import folded, free, width

SURE = 0.9  # probability from which the language of the fast text is believed to be none of ours
SURE_CHARS = 200


@dataclass(frozen=True)
class Glance:
    """Drops pages whose visible text holds too few terms, or whose language is surely another.

    Uses resiliparse, ten times faster than the extraction it spares. Dropped: `few_terms`, `other_language`.
    """

    model: str
    policy: Policy
    name: ClassVar[str] = "glance"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform; loads the language model."""
        enough = text_counter(self.policy)
        identify = identifier(self.model, self.policy)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            from resiliparse.extract.html2text import extract_plain_text
            from resiliparse.parse.html import HTMLTree

            ordinals, pages = batch.column("ordinal").to_pylist(), batch.column("html")
            dropped: list[str | None] = [None] * len(ordinals)
            looked: dict[int, str] = {}
            for index, ordinal in enumerate(ordinals):
                if not pages[index].is_valid:
                    continue
                slot.mark(ordinal)
                text = extract_plain_text(HTMLTree.parse(pages[index].as_py()), main_content=False, alt_texts=True)
                if enough(text):
                    middle = max(len(text) - SLICE_CHARS, 0) // 2  # away from menus and footers
                    looked[index] = text[middle : middle + SLICE_CHARS]
                else:
                    dropped[index] = "few_terms"
            for index in foreign(looked):  # doubtful: what the main text says is what counts
                slot.mark(ordinals[index])
                main = resiliparse_text(pages[index].as_py()) or ""
                if len(main) >= SURE_CHARS and foreign({index: main}):
                    dropped[index] = "other_language"
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        def foreign(texts: dict[int, str]) -> list[int]:
            """Return the keys of the texts that are surely in none of the policy's languages."""
            if not texts:
                return []
            langs, scores = identify(pa.array(texts.values(), pa.large_string()))
            found = zip(texts, langs.to_pylist(), scores.to_pylist(), strict=True)
            return [key for key, lang, score in found if lang not in self.policy.languages and score >= SURE]

        return transform


def text_counter(policy: Policy) -> Callable[[str], bool]:
    """Return a function that tells whether a text holds enough terms of some language, at word boundaries."""
    owners: dict[str, list[tuple[int, int, bool]]] = {}
    for number, language in enumerate(policy.languages.values()):
        for term, form, bounded in forms_of(language, policy.rule):
            owners.setdefault(folded(form), []).append((number, term, bounded))
    floors = [floor_of(language.limits) for language in policy.languages.values()]
    automaton = ahocorasick_rs.AhoCorasick(list(owners), implementation=ahocorasick_rs.Implementation.DFA)
    terms_of = list(owners.values())

    def enough(text: str) -> bool:
        low = " ".join(width(text).lower().split())
        terms: list[set[int]] = [set() for _ in floors]
        seen = set()
        for index, start, end in automaton.find_matches_as_indexes(low, overlapping=True):
            if index in seen:
                continue
            whole = free(low, start - 1, start) and free(low, end, end - 1)
            if whole:
                seen.add(index)
            for number, term, bounded in terms_of[index]:
                if whole or not bounded:
                    terms[number].add(term)
        return reached(terms, floors)

    return enough
