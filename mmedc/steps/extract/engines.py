"""Other extractors: trafilatura is the reference for articles, resiliparse is faster. Titles and dates of pages."""

import functools
import re
from typing import Any

ONE_CELL = re.compile(r"^\|[ ]?([^|\n]*?)[ ]?\|$", re.MULTILINE)
"""A table row with one cell, as trafilatura writes it; old pages use such tables for their layout."""


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


def load(html: str) -> Any | None:
    """Return the page as a tree of lxml, or None where there is none."""
    from trafilatura import load_html

    return load_html(html)


def trafilatura_text(tree: Any | None) -> str:
    """Return the main text that trafilatura finds in a tree of lxml."""
    from trafilatura import extract

    return ONE_CELL.sub(r"\1", extract(tree, options=_options()) or "") if tree is not None else ""


def title_and_date(tree: Any, latest: str) -> tuple[str | None, str | None]:
    """Return the title and the day of publication, at most `latest` (ISO 8601), that the markup of a page states.

    The date is read from the markup and the address only: guessing it from the text takes ten times as long and often
    finds the year in a footer.
    """
    from htmldate import find_date
    from trafilatura.metadata import examine_meta, extract_title

    title = examine_meta(tree).title or extract_title(tree) or ""
    date = find_date(tree, extensive_search=False, original_date=True, max_date=latest)
    return title.strip() or None, date


def silence() -> None:
    """Silence the extractors, which log every odd page; failures are counted in the funnel."""
    import logging

    for name in ("trafilatura", "htmldate", "justext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
