"""The preview judges the fast main text of a large page, which saves hopeless pages the slow extraction.

resiliparse finds a main text ten times faster than trafilatura. That text differs a little from the final one, so it
is compared with a quarter of the floors, and only if it is long enough to be evidence. benchmarks/cascade_recall.py
measures how many documents are lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from mmedc.document import set_column, source_of, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.models import Model
from mmedc.policy import Policy
from mmedc.steps.language import identifier
from mmedc.steps.medical import TermMatches, matcher
from mmedc.steps.prefilter import floor_of

LARGE_BYTES = 16 << 10  # smaller pages are extracted as fast as they are judged
MAIN_CHARS = 500  # a shorter main text is not evidence: it may be the wrong part of the page
SURE = 0.9  # probability from which on a language that is not in the recipe is believed
LOOSE = 0.25  # factor on the floors; with a half, 2 of 1,480 documents were lost (measured)


@dataclass(frozen=True)
class Preview:
    """Drops large pages whose fast main text is hopeless: `few_terms`, `low_density`, `other_language`."""

    model: Model
    policy: Policy
    name: ClassVar[str] = "preview"
    version: ClassVar[int] = 4

    def open(self) -> Transform:
        """Return the transform; loads the language model."""
        identify = identifier(self.model.path, self.policy)
        matchers = self.policy.made(_matchers, by=lambda policy: policy.rule)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            from resiliparse.extract.html2text import extract_plain_text

            source = source_of(batch)
            if self.policy.of(source).keeps:
                return set_column(batch, "dropped_by", pa.nulls(batch.num_rows, pa.string()))
            ordinals = batch.column("ordinal").to_pylist()
            mains: dict[int, str] = {}
            for index, (ordinal, page) in enumerate(zip(ordinals, views(batch.column("html")), strict=True)):
                if page is not None and len(page) >= LARGE_BYTES:
                    slot.mark(ordinal)
                    main = extract_plain_text(str(page, "utf-8"), main_content=True, alt_texts=False, comments=False)
                    if len(main) >= MAIN_CHARS:
                        mains[index] = main
            dropped: list[str | None] = [None] * len(ordinals)
            if mains:
                langs, scores = identify(pa.array(mains.values(), pa.large_string()))
                for index, lang, score in zip(mains, langs.to_pylist(), scores.to_pylist(), strict=True):
                    dropped[index] = hopeless(source, mains[index], lang, score)
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        def hopeless(source: str | None, main: str, lang: str, score: float) -> str | None:
            """Return why a page of this main text can't be kept, or None where it may be."""
            if lang not in self.policy.languages:
                return "other_language" if score >= SURE else None
            terms, density, _ = matchers(source)[lang](main)
            limits = self.policy.of(source).languages[lang].limits
            if terms < LOOSE * floor_of(limits, "medical_terms"):
                return "few_terms"
            return "low_density" if density < LOOSE * floor_of(limits, "medical_density") else None

        return transform


def _matchers(policy: Policy) -> dict[str, Callable[[str], TermMatches]]:
    return {code: matcher(language, policy.rule) for code, language in policy.languages.items()}
