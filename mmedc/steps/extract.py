"""Pages to text: trafilatura is the reference for quality, resiliparse the fast path."""

import functools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform

ONE_CELL = re.compile(r"^\|[ ]?([^|\n]*?)[ ]?\|$", re.MULTILINE)
"""A table row of one cell, as trafilatura writes it: old pages are laid out in such tables."""

Extractor = Callable[[str], str | None]


def resiliparse_text(html: str) -> str | None:
    """Return the main text by resiliparse, about 900 pages/s; its four extras off lift F1 by .02 to .04."""
    from resiliparse.extract.html2text import extract_plain_text

    return str(
        extract_plain_text(
            html, main_content=True, alt_texts=False, comments=False, post_meta=False, list_bullets=False
        )
    )


def trafilatura_text(html: str) -> str | None:
    """Return the main text by trafilatura in fast mode, about 100 pages/s; None where it finds none."""
    import trafilatura

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text: str | None = trafilatura.extract(html, options=_options())
    return ONE_CELL.sub(r"\1", text) if text else text


@functools.cache
def _options() -> Any:
    """Return trafilatura's options; made anew for every page they would cost a tenth of the extraction."""
    from trafilatura.settings import Extractor

    return Extractor(fast=True, comments=False)


EXTRACTORS: dict[str, Extractor] = {"trafilatura": trafilatura_text, "resiliparse": resiliparse_text}


@dataclass(frozen=True)
class Extract:
    """Fills `text` from `html`; rows without `html` pass through. Dropped: `no_main_text`."""

    engine: Literal["trafilatura", "resiliparse"] = "trafilatura"
    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform."""
        extract = EXTRACTORS[self.engine]
        _silence()

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals, pages = batch.column("ordinal").to_pylist(), batch.column("html")
            texts = batch.column("text").to_pylist()
            dropped: list[str | None] = [None] * len(ordinals)
            for index, ordinal in enumerate(ordinals):
                if pages[index].is_valid:
                    slot.mark(ordinal)
                    texts[index] = extract(pages[index].as_py())
                    if not (texts[index] or "").strip():
                        dropped[index] = "no_main_text"
            batch = set_column(batch, "text", pa.array(texts, pa.large_string()))
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


NO_LATER = "2100-01-01"


@dataclass(frozen=True)
class Metadata:
    """Fills title and date from `html` where the source gave none; dear, so it comes last.

    A date that the page states replaces the date of its crawl, and is not after it: the day of the
    build decides nothing.
    """

    name: ClassVar[str] = "metadata"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform."""
        _silence()

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals, pages = batch.column("ordinal").to_pylist(), batch.column("html")
            titles, dates = batch.column("title").to_pylist(), batch.column("date").to_pylist()
            for index, ordinal in enumerate(ordinals):
                if pages[index].is_valid:
                    slot.mark(ordinal)
                    title, date = title_and_date(pages[index].as_py(), (dates[index] or NO_LATER)[:10])
                    titles[index] = titles[index] or title
                    dates[index] = date or dates[index]
            batch = set_column(batch, "title", pa.array(titles, pa.string()))
            return set_column(batch, "date", pa.array(dates, pa.string()))

        return transform


def title_and_date(html: str, latest: str) -> tuple[str | None, str | None]:
    """Return what a page says of itself: its title, and its day of publication up to `latest` (ISO 8601).

    Only where markup or address name a date is there one: guesses from the text are ten times dearer
    and often a footer's year.
    """
    from htmldate import find_date
    from trafilatura import load_html
    from trafilatura.metadata import examine_meta, extract_title

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = load_html(html)
        if tree is None:
            return None, None
        title = examine_meta(tree).title or extract_title(tree) or ""
        return title.strip() or None, find_date(tree, extensive_search=False, original_date=True, max_date=latest)


def _silence() -> None:
    """Keep the extractors' own logs of every odd page out of ours; what matters is counted."""
    import logging

    for name in ("trafilatura", "htmldate", "justext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
