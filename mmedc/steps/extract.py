"""Pages to text, title and date: trafilatura is the reference for quality, resiliparse the fast path."""

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
"""A table row of one cell, as trafilatura writes it: old pages are laid out in such tables."""

NO_LATER = "2100-01-01"


def resiliparse_text(html: str) -> str:
    """Return the main text by resiliparse, ten times as fast as trafilatura.

    Its four extras are off, which lifts F1 by .02 to .04.
    """
    from resiliparse.extract.html2text import extract_plain_text

    return str(
        extract_plain_text(
            html, main_content=True, alt_texts=False, comments=False, post_meta=False, list_bullets=False
        )
    )


@functools.cache
def _options() -> Any:
    """Return trafilatura's options; made anew for every page they would cost a tenth of the extraction."""
    from trafilatura.settings import Extractor

    return Extractor(fast=True, comments=False)


@dataclass(frozen=True)
class Extract:
    """Fills `text`, `title` and `date` from `html`; rows without `html` pass through. Dropped: `no_main_text`.

    A title that the source gave stays. A date that the page states replaces the date of its crawl, and
    is not after it: the day of the build decides nothing.
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
    """What a page says, and what it says of itself."""

    text: str
    title: str | None = None
    date: str | None = None


def read_page(html: str, engine: str, latest: str) -> Page:
    """Return main text, title, and day of publication up to `latest` (ISO 8601) of a page, parsed once for all.

    Only where markup or address name a date is there one: guesses from the text are ten times dearer
    and often a footer's year.
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
    """Keep the extractors' own logs of every odd page out of ours; what matters is counted."""
    import logging

    for name in ("trafilatura", "htmldate", "justext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
