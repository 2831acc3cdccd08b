"""The explanation of a PDF, page by page: what read it, whether it needs OCR and why, what was cut; and as HTML."""

import base64
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

import pyarrow as pa
from rich.console import Group
from rich.text import Text

from mmedc.books.book import Book
from mmedc.books.pdf.book import Learned, Sheet, assembled
from mmedc.books.pdf.engines import HEAD_BYTES
from mmedc.books.pdf.glyphs import Pdfium
from mmedc.books.pdf.model import Cover
from mmedc.books.pdf.picture import pixels, png
from mmedc.books.pdf.tables import PAGE, sheets
from mmedc.engine.commit import read_table
from mmedc.errors import RequestError
from mmedc.recipe import Recipe
from mmedc.report.grid import Column, Grid, number, shortened, visible
from mmedc.report.record import paged_here, pdf_split
from mmedc.sources.books import book_rules

HEAD_CHARS = 70
FIRST_PAGES, MOST_ROWS = 400, 40
"""Of a PDF of which no pages are named: the pages that are read, and the rows that are shown."""
MOST_PICTURES = 200
STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:76em}section{display:flex;gap:2em;
border-top:1px solid #bbb;padding:1em 0}figure{margin:0;flex:0 0 46%;
align-self:start;position:sticky;top:1em}img{width:100%;border:1px solid #ccc}
del{color:#a33}.start{margin-top:.7em}.row{font-family:monospace}h2{font-size:1em;margin:0 0 .5em}small{color:#666}"""


@dataclass
class PageFound:
    """What was found on a page."""

    page: int
    """From 1."""
    verdict: str
    """`text`, or why its text is not used: `needs OCR: …`."""
    engine: str
    chars: int
    images: float
    quality: float
    cut: list[str]
    """The headers, footers, page numbers and turned lines that were removed."""
    lines: list[tuple[str, int, str, bool]] = field(default_factory=list)
    """(text, how it begins, kind, whether it was cut), in reading order; for HTML."""


@dataclass
class PdfFound:
    """What was found in a PDF."""

    path: str
    cover: Cover
    book: Book
    pages: list[PageFound]
    read: int
    """How many pages were read, from the first one."""


def is_pdf(path: str) -> bool:
    """Return whether a path is that of a PDF file on this machine."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    return head.startswith(b"%PDF-") or (path.lower().endswith(".pdf") and b"%PDF-" in head)


def explain_pages(path: str, recipe: Recipe, wanted: str = "", most: int | None = None) -> PdfFound:
    """Explain the pages `wanted` of a PDF, such as `3-9,12`; all where it is empty. Only the first `most` are read.

    It is read as a build reads it, in a process that may be killed: a page that a parser can't stand is one page.

    Raises: RequestError for a file that is no PDF or can't be opened, and for pages that it does not have.
    """
    if not os.path.isfile(path):
        raise RequestError(f"{path}: no such file; --pages and --html explain a PDF on this machine")
    with paged_here(pdf_split(path, recipe), recipe, most) as split:
        tables = split.pages[0] if split.pages else None
        if tables is None:
            advice = "--pages and --html read only PDF; leave them out"
            raise RequestError(f"{path}: not a PDF. {advice}: mmedc explain {path}")
        if tables.problem:
            raise RequestError(f"{path}: {tables.problem}")
        cover, rules = tables.cover(), book_rules(recipe)
        parts = [read_table(tables.store, file, filters=[("file", "==", at)]) for file, at in tables.parts]
    table = pa.concat_tables(parts) if parts else PAGE.empty_table()
    chosen = set(numbers(wanted, cover.pages)) if wanted else set(range(table.num_rows))
    learned = Learned.of(sheets(table))
    book = assembled(sheets(table), learned, rules, cover)
    figures = table.drop_columns(["lines"]).to_pylist()
    found = [_page(sheet, figures[sheet.number], learned) for sheet in sheets(table) if sheet.number in chosen]
    return PdfFound(path, cover, book, found, table.num_rows)


def numbers(wanted: str, pages: int) -> Iterable[int]:
    """Yield the page numbers, from 0, of a text such as `3-9,12`. Raises: RequestError."""
    for part in wanted.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise RequestError(f"--pages {wanted}: write page numbers from 1, such as 3-9 or 3-9,12")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= pages:
            raise RequestError(f"--pages {wanted}: the file has pages 1 to {pages}")
        yield from range(low - 1, high)


def _page(sheet: Sheet, figures: dict[str, Any], learned: Learned) -> PageFound:
    kept, cut = learned.furniture.take(sheet.number, sheet.lines)
    gone = {id(line) for line in cut}
    verdict = f"needs OCR: {figures['need']}" if figures["need"] else figures["problem"] or "text"
    if verdict == "text" and not kept:
        verdict = "empty"
    lines = [(line.text.strip(), line.start, line.kind, id(line) in gone) for line in sheet.lines]
    return PageFound(
        sheet.number + 1,
        verdict,
        figures["engine"] or "",
        figures["chars"] or 0,
        round(figures["images"] or 0.0, 3),
        round(figures["quality"] or 0.0, 3),
        [line.text.strip() for line in cut],
        lines,
    )


def as_json(found: PdfFound) -> dict[str, Any]:
    """Return the findings as JSON values, without the lines."""
    pages = [{key: value for key, value in asdict(page).items() if key != "lines"} for page in found.pages]
    left = [part._asdict() for part in found.book.left_out]
    return {"file": found.path, "cover": asdict(found.cover), "left_out": left, "pages": pages}


def screen(found: PdfFound) -> Group:
    """Return the table of pages for a terminal."""
    columns = [number("page"), Column("verdict", wrap=True), Column("read by"), number("chars"), number("images"),
               number("quality"), Column("cut", wrap=True)]  # fmt: skip
    return Group(*_head(found), "", Grid(columns, [_row(page) for page in found.pages]), "", *_left_out(found))


def overview(found: PdfFound) -> Group:
    """Return the verdicts for a terminal, pages of one verdict in a row together, and what was cut of them."""
    runs: list[list[PageFound]] = []
    for page in found.pages:
        if runs and runs[-1][0].verdict == page.verdict:
            runs[-1].append(page)
        else:
            runs.append([page])
    columns = [Column("pages"), Column("verdict", wrap=True), number("chars"), number("lines cut"),
               Column("such as", wrap=True)]  # fmt: skip
    parts = [*_head(found), "", Grid(columns, [_run(run) for run in runs[:MOST_ROWS]])]
    told = []
    if len(runs) > MOST_ROWS:
        told.append(f"pages from {runs[MOST_ROWS][0].page:,} on are left out of this table")
    if found.read < found.cover.pages:
        told.append(f"only the first {found.read:,} pages were read")
    if told:
        parts.append(Text(f"{'; '.join(told)}: --pages shows any.".capitalize()))
    return Group(*parts, "", *_left_out(found))


def _run(run: list[PageFound]) -> tuple[str, ...]:
    first, last = run[0].page, run[-1].page
    cut = Counter(line for page in run for line in page.cut)
    often = " · ".join(line for line, _ in cut.most_common(3))
    chars = sum(page.chars for page in run)
    place = str(first) if first == last else f"{first}–{last}"
    return place, visible(run[0].verdict), f"{chars:,}", f"{cut.total():,}", visible(shortened(often, HEAD_CHARS))


def _head(found: PdfFound) -> list[Any]:
    cover = found.cover
    about = ", ".join(filter(None, (cover.title, *cover.authors[:3], cover.date, cover.licence)))
    head = Text.assemble(
        (visible(found.path), "bold"), f"  {cover.pages:,} pages  {visible(shortened(about, HEAD_CHARS))}"
    )
    return [head, Text(f"Repaired: {cover.repaired}.")] if cover.repaired else [head]


def _left_out(found: PdfFound) -> list[Any]:
    left = [(part.part, visible(shortened(part.title, HEAD_CHARS)), f"{part.chars:,}") for part in found.book.left_out]
    return [Grid([Column("left out"), Column("what", wrap=True), number("chars")], left), ""] if left else []


def _row(page: PageFound) -> tuple[str, ...]:
    cut = visible(shortened(" · ".join(page.cut), HEAD_CHARS))
    figures = (f"{page.chars:,}", f"{page.images:.0%}", f"{page.quality:.2f}")
    return str(page.page), visible(page.verdict), page.engine, *figures, cut


def html(found: PdfFound) -> str:
    """Return a page with the picture of each page beside its text; removed lines are struck through."""
    file = Pdfium(found.path)
    parts = [f"<!doctype html><meta charset=utf-8><title>{escape(found.path)}</title><style>{STYLE}</style>"]
    parts.append(f"<h1>{escape(found.cover.title or os.path.basename(found.path))}</h1>")
    parts.append(f"<p>{escape(_summary(found))}</p>")
    for at, page in enumerate(found.pages):
        picture = _picture(file, page.page - 1) if at < MOST_PICTURES else ""
        parts.append(f"<section><figure>{picture}</figure><div><h2>{page.page} <small>{escape(page.verdict)}; "
                     f"{escape(page.engine)}</small></h2>{''.join(_lines(page))}</div></section>")  # fmt: skip
    return "\n".join(parts)


def _summary(found: PdfFound) -> str:
    """Return who wrote the book, how its pages are read, and what is left out of it."""
    verdicts = Counter(page.verdict.partition(":")[0] for page in found.pages)
    read = ", ".join(f"{verdict} {count:,}" for verdict, count in verdicts.items())
    left = ", ".join(f"{part.part} ({part.title}) {part.chars:,}" for part in found.book.left_out)
    about = ", ".join(filter(None, (*found.cover.authors, found.cover.date, found.cover.licence)))
    said = f"{about}. " if about else ""
    return f"{said}Pages: {read}." + (f" Left out, in characters: {left}." if left else "")


def _lines(page: PageFound) -> Iterable[str]:
    for text, start, kind, cut in page.lines:
        style = " ".join(filter(None, ("start" if start else "", kind)))
        inside = f"<del>{escape(text)}</del>" if cut else escape(text)
        yield f'<div class="{style}" dir=auto>{inside}</div>'


def _picture(file: Pdfium, number: int) -> str:
    data = png(pixels(file, number))
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
