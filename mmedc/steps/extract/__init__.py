"""Extraction of pages: the main text, by our own extractor or by trafilatura or resiliparse, and what they state.

`tree` parses a page and walks over it once; `blocks` makes blocks of what the walk found; `features` describes them by
numbers, with `claims`, what the page says of its text; `model` decides which are the page's main content; `heads` adds
the title; `render` writes texts; `engines` calls other extractors.
`metadata` reads what the page says about itself (with `jsonld`, `titles`, `dated`, `dates`, `bylines`, `licences`,
`addresses`),
and `kinds` finds questions with their answers.
"""

import functools
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import pyarrow as pa

from mmedc.document import RAW, set_column, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.filters import open_filters
from mmedc.models import Model
from mmedc.steps.extract import blocks, claims, engines, features, heads, kinds, model, render, tree
from mmedc.steps.extract.metadata import Found, read_metadata
from mmedc.wishes import HEAD_BYTES, in_page

NO_LATER = "2100-01-01"
Engine = Literal["trafilatura", "resiliparse", "mmedc"]


@dataclass(frozen=True)
class Extract:
    """Fills `text` and what a page says about itself from `html`; rows without `html` pass through.

    Dropped: `no_main_text`, `opted_out`. What the source states of a record is kept, except the date of its crawl: a
    date stated by the page replaces it and is never later, so that the result does not depend on the day of the build.
    Wishes that a page is not used to train models are added to those of its answer, in `opt_out`.
    """

    engine: Engine = "mmedc"
    model: Model | None = None
    """The model of our own extractor; None: the one that ships."""
    readings: bool = False
    """Whether the readings of ruby are kept, in brackets; by our own extractor only."""
    honour: bool = False
    """Whether pages that ask not to be used to train models are dropped."""
    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 10

    def open(self) -> Transform:
        """Return the transform."""
        engines.silence()
        trees = model.read_trees(self.model.path) if self.model else None

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals, locators = batch.column("ordinal").to_pylist(), _values(batch, "locator")
            columns = {name: _values(batch, name) for name in FILLED}
            dropped: list[str | None] = [None] * len(ordinals)
            wishes = _values(batch, "opt_out")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for index, (ordinal, seen) in enumerate(zip(ordinals, views(batch.column("html")), strict=True)):
                    if seen is None:
                        continue
                    slot.mark(ordinal)
                    latest = (columns["date"][index] or NO_LATER)[:10]
                    page = read_page(
                        str(seen, "utf-8"), self.engine, latest, locators[index] or "", trees, self.readings
                    )
                    stated = columns["licence"][index] is not None
                    for name, value in page._asdict().items():
                        if name in REPLACED or not (columns[name][index] or (stated and name == "licence_evidence")):
                            columns[name][index] = value or columns[name][index]
                    columns["text"][index] = page.text
                    if asked := in_page(bytes(seen[:HEAD_BYTES])):
                        wishes[index] = "; ".join(filter(None, [wishes[index], *asked]))
                    if not page.text.strip():
                        dropped[index] = "no_main_text"
            for name, values in columns.items():
                batch = set_column(batch, name, pa.array(values, RAW.field(name).type))
            batch = set_column(batch, "opt_out", pa.array(wishes, pa.string()))
            if self.honour:
                dropped = [f"opted_out: {wish}" if wish else why for wish, why in zip(wishes, dropped, strict=True)]
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform


class Page(NamedTuple):
    """The main text of a page and what it says about itself, by the names of the columns."""

    text: str
    title: str | None = None
    date: str | None = None
    kind: str | None = None
    licence: str | None = None
    licence_evidence: str | None = None
    authors: list[str] | None = None
    identifiers: list[str] | None = None
    sections: list[dict[str, Any]] | None = None


FILLED = Page._fields
REPLACED = ("text", "date", "sections")
"""The columns in which the page is believed more than the source."""


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    return list(batch.column(name).to_pylist()) if name in batch.schema.names else [None] * batch.num_rows


def read_page(
    html: str,
    engine: str = "mmedc",
    latest: str = NO_LATER,
    url: str = "",
    trees: model.Trees | None = None,
    readings: bool = False,
) -> Page:
    """Return the main text of the page at `url` and what it says about itself; its date is at most `latest`.

    `trees` is the model of our own extractor, by default the one that ships. `readings`: those of ruby are kept.
    """
    parsed = tree.parse(html)
    if parsed is None:
        return Page("")
    found = Found(parsed)
    said = read_metadata(found, url, latest)
    walked = tree.walk(parsed, readings)
    roles = kinds.roles_of(walked)
    kind = kinds.kind_of(found.things, walked, roles)
    sections: list[render.Section] = []
    if engine == "mmedc":
        claimed = claims.claims_of(found, said.title or "")
        text, sections = main_text(walked, roles, trees or shipped_trees(), said.title or "", kind, claimed)
    else:
        text = engines.resiliparse_text(html) if engine == "resiliparse" else engines.trafilatura_text(html)
    return Page(
        text,
        title=said.title,
        date=said.date,
        kind=kind,
        licence=said.licence and said.licence.spdx,
        licence_evidence=said.licence and f"page:{said.licence.stated_by}",
        authors=None if kind == "qa" and any(roles) else list(said.authors) or None,
        identifiers=list(said.identifiers) or None,
        sections=[section._asdict() for section in sections] or None,
    )


def main_text(
    walked: tree.Walk,
    roles: list[kinds.Role],
    trees: model.Trees,
    title: str = "",
    kind: str | None = None,
    claimed: claims.Claims = claims.NOTHING,
) -> tuple[str, list[render.Section]]:
    """Return the main text of a page by our own extractor, and its sections.

    The text of a thread, or of a page with sections, begins with the `title` where the page shows it as a heading.
    `kind` is that of `kinds.kind_of`, `claimed` what the page says of its main content: an article that it states and
    does not show is its text.
    """
    found = blocks.blocks_of(walked)
    if stated := claimed.article_not_in(found.texts):
        return stated, []
    if not found.texts:
        return "", []
    described = features.features_of(found, roles, claimed)
    kept = model.chosen(trees.scores(described), described, blocks.spans_of(found))
    if title and heads.asks_for_title(walked, kind, described["heading"], kept):
        kept = heads.with_title(found, kept, described["heading"], title)
    return render.page(found, kept.tolist(), described["post"].tolist())


@functools.cache
def shipped_trees() -> model.Trees:
    """Return the model that ships."""
    return model.read_trees(open_filters().model("extractor").path)
