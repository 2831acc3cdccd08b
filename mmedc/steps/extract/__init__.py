"""Extraction of text, title and date from pages, by our own extractor or by trafilatura or resiliparse.

`tree` parses a page and walks over it once; `blocks` makes blocks of what the walk found; `features` describes them by
numbers; `model` decides which are the page's main content; `render` writes texts; `engines` calls other extractors.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import pyarrow as pa

from mmedc.document import set_column, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.steps.extract import blocks, engines, model, tree

NO_LATER = "2100-01-01"
Engine = Literal["trafilatura", "resiliparse", "mmedc"]


@dataclass(frozen=True)
class Extract:
    """Fills `text`, `title` and `date` from `html`; rows without `html` pass through. Dropped: `no_main_text`.

    A title given by the source is kept. A date stated by the page replaces the date of its crawl and is never
    later than that date, so that the result does not depend on the day of the build.
    """

    engine: Engine = "trafilatura"
    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform."""
        engines.silence()

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
    """Return the main text, the title and the day of publication, at most `latest` (ISO 8601), of a page."""
    if engine == "mmedc":
        text, parsed = main_text(html), engines.load(html)
    else:
        parsed = engines.load(html)
        text = engines.resiliparse_text(html) if engine == "resiliparse" else engines.trafilatura_text(parsed)
    if parsed is None or not text:
        return Page(text)
    return Page(text, *engines.title_and_date(parsed, latest))


def main_text(html: str | bytes) -> str:
    """Return the main text of a page by our own extractor."""
    parsed = tree.parse(html)
    if parsed is None:
        return ""
    found = blocks.blocks_of(tree.walk(parsed))
    return blocks.text_of(found, model.kept(found))
