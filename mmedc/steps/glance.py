"""A look at what a page shows, which spares hopeless pages the dear extraction.

The extracted text is a part of the visible text, which resiliparse gives ten times faster. So the
terms of the visible text bound those of the extracted text from above, closer than those of the
source do (see `mmedc.steps.gate`), while the extractor invents none. Of a large page, whose
extraction is dear, the fast main text is judged too, by half of the floors, since it is not quite
the final one. benchmarks/gate_recall.py measures what both lose.
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
from mmedc.steps.gate import floor_of, forms_of, reached
from mmedc.steps.language import identifier
from mmedc.steps.medical import folded, free, matcher, width

LARGE_CHARS = 16 << 10  # smaller pages are extracted as fast as they are judged
MAIN_CHARS = 500  # a shorter main text is no evidence: it may be the wrong part of the page
SURE = 0.9  # probability from which the language of the fast text is believed to be none of ours
LOOSE = 0.5  # of the floors; the main text of a page that is kept in the end had at least 0.99 of them (measured)


@dataclass(frozen=True)
class Glance:
    """Drops pages that show too few terms, and large ones whose fast main text is hopeless.

    Dropped: `few_terms`, and of large pages `other_language` and `low_density`.
    """

    model: str
    policy: Policy
    name: ClassVar[str] = "glance"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform; loads the language model."""
        enough = text_counter(self.policy)
        identify = identifier(self.model, self.policy)
        matchers = {code: matcher(language, self.policy.rule) for code, language in self.policy.languages.items()}

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            from resiliparse.extract.html2text import extract_plain_text
            from resiliparse.parse.html import HTMLTree

            ordinals, pages = batch.column("ordinal").to_pylist(), batch.column("html")
            dropped: list[str | None] = [None] * len(ordinals)
            mains: dict[int, str] = {}
            for index, ordinal in enumerate(ordinals):
                if not pages[index].is_valid:
                    continue
                slot.mark(ordinal)
                page = pages[index].as_py()
                tree = HTMLTree.parse(page)
                if not enough(extract_plain_text(tree, main_content=False, alt_texts=True)):
                    dropped[index] = "few_terms"
                elif len(page) >= LARGE_CHARS:
                    main = extract_plain_text(tree, main_content=True, alt_texts=False, comments=False)
                    if len(main) >= MAIN_CHARS:
                        mains[index] = main
            if mains:
                langs, scores = identify(pa.array(mains.values(), pa.large_string()))
                for index, lang, score in zip(mains, langs.to_pylist(), scores.to_pylist(), strict=True):
                    dropped[index] = hopeless(mains[index], lang, score)
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        def hopeless(main: str, lang: str, score: float) -> str | None:
            """Return why a page of this main text can't be kept, or None where it may be."""
            if lang not in self.policy.languages:
                return "other_language" if score >= SURE else None
            terms, density = matchers[lang](main)
            limits = self.policy.languages[lang].limits
            floors = [
                limits[name].floor or 0.0 if name in limits else 0.0 for name in ("medical_terms", "medical_density")
            ]
            return "low_density" if terms < LOOSE * floors[0] or density < LOOSE * floors[1] else None

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
