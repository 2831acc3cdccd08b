"""Extraction of text, title and date from pages: trafilatura is the reference for quality, resiliparse is faster."""

import functools
import re
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import pyarrow as pa

from mmedc.document import set_column, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform

ONE_CELL = re.compile(r"^\|[ ]?([^|\n]*?)[ ]?\|$", re.MULTILINE)
"""A table row with one cell, as trafilatura writes it; old pages use such tables for their layout."""

NO_LATER = "2100-01-01"


def resiliparse_text(html: str) -> str:
    """Return the main text that resiliparse finds, ten times as fast as trafilatura.

    Its four optional extras are turned off, which raises F1 by .02 to .04.
    """
    from resiliparse.extract.html2text import extract_plain_text

    return str(
        extract_plain_text(
            html, main_content=True, alt_texts=False, comments=False, post_meta=False, list_bullets=False
        )
    )


@functools.cache
def _options() -> Any:
    """Return trafilatura's options; making them for every page would take a tenth of the time of extraction."""
    from trafilatura.settings import Extractor

    return Extractor(fast=True, comments=False)


@dataclass(frozen=True)
class Extract:
    """Fills `text`, `title` and `date` from `html`; rows without `html` pass through. Dropped: `no_main_text`.

    A title given by the source is kept. A date stated by the page replaces the date of its crawl and is never
    later than that date, so that the result does not depend on the day of the build.
    """

    engine: Literal["trafilatura", "resiliparse"] = "trafilatura"
    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform."""
        _silence()

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals = batch.column("ordinal").to_pylist()
            texts, titles, dates = (batch.column(name).to_pylist() for name in ("text", "title", "date"))
            dropped: list[str | None] = [None] * len(ordinals)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for index, (ordinal, seen) in enumerate(zip(ordinals, views(batch.column("html")), strict=True)):
                    if seen is None:
                        continue
                    slot.mark(ordinal)
                    page = read_page(str(seen, "utf-8"), self.engine, (dates[index] or NO_LATER)[:10])
                    texts[index] = page.text
                    titles[index] = titles[index] or page.title
                    dates[index] = page.date or dates[index]
                    if not page.text.strip():
                        dropped[index] = "no_main_text"
            batch = set_column(batch, "text", pa.array(texts, pa.large_string()))
            batch = set_column(batch, "title", pa.array(titles, pa.string()))
            batch = set_column(batch, "date", pa.array(dates, pa.string()))
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


class Page(NamedTuple):
    """The main text of a page, its title and its date."""

    text: str
    title: str | None = None
    date: str | None = None


def read_page(html: str, engine: str, latest: str) -> Page:
    """Return the main text, the title and the day of publication, at most `latest` (ISO 8601), of a page.

    The page is parsed once. The date is read from the markup and the address only: guessing it from the text takes
    ten times as long and often finds the year in a footer.
    """
    from htmldate import find_date
    from trafilatura import extract, load_html
    from trafilatura.metadata import examine_meta, extract_title

    tree = load_html(html)
    if engine == "resiliparse":
        text = resiliparse_text(html)
    else:
        text = ONE_CELL.sub(r"\1", extract(tree, options=_options()) or "") if tree is not None else ""
    if tree is None or not text:
        return Page(text)
    title = examine_meta(tree).title or extract_title(tree) or ""
    date = find_date(tree, extensive_search=False, original_date=True, max_date=latest)
    return Page(text, title.strip() or None, date)


def _silence() -> None:
    """Silence the extractors, which log every odd page; failures are counted in the funnel."""
    import logging

    for name in ("trafilatura", "htmldate", "justext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
