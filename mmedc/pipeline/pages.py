"""The passes that read PDF before ingest: `covers` (what each file is) and `pages` (ranges of pages of each).

One book of 3,000 pages is many units, so that it uses all workers and a page that breaks a parser costs one page. The
ranges depend on the file only, never on the workers. Ingest then puts the book together from the committed ranges.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa

from mmedc.books.book import Unreadable
from mmedc.books.ocr.models import OcrRules
from mmedc.books.pdf.cover import cover_of
from mmedc.books.pdf.engines import Opened, check
from mmedc.books.pdf.tables import PAGE, PageRows
from mmedc.books.sniff import HEAD_BYTES, format_of
from mmedc.document import RAW, SCRATCH
from mmedc.engine import slot
from mmedc.engine.chain import Funnel
from mmedc.engine.commit import read_table
from mmedc.engine.identity import digest_of
from mmedc.engine.unit import Accounted, Bounds, DataFile, Pass, Stream, Streamed, Unit, UnitFiles
from mmedc.inputs import Input
from mmedc.models import Model
from mmedc.pipeline.dedup import Run
from mmedc.pipeline.ingest import Ingested
from mmedc.recipe import Recipe
from mmedc.sources import InputSplit
from mmedc.sources.books import need_model, ocr_rules_of
from mmedc.sources.paged import PageTables, cover_json, local_copy
from mmedc.sources.raw import Records, open_whole
from mmedc.storage import Store

RANGE_PAGES = 128
"""Pages of a unit. pdf-inspector parses the whole file for each: .2 s for 3,000 pages, as long as 100 of them take."""
STEP_PAGES = 32
"""Pages of a batch."""
RANGES = 64
"""Files or ranges that a unit has at most."""
COVER = pa.schema([pa.field("row", pa.int32()), pa.field("cover", pa.large_string())])


@dataclass(frozen=True)
class Files:
    """The files of an ingest unit. What is read of them does not depend on how books are put together."""

    inputs: tuple[Input, ...]

    def identity(self) -> list[object]:
        """Return the files; their folder does not count."""
        return [[file.name, file.bytes, file.version] for file in self.inputs]


@dataclass(frozen=True, kw_only=True)
class Covered(Accounted):
    """The covers of the files of an ingest unit: for each file its pages, or -1 if it is no PDF, and its problem."""

    covers: DataFile
    pages: tuple[int, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class CoverReader:
    """Opens each file that is a PDF. A record is a file; its text is its cover."""

    engine: str
    version: ClassVar[int] = 1

    def read(self, files: Files, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the covers; see `mmedc.engine.chain.Source`. Raises: OSError when a file cannot be read."""
        records = Records(start, skip)
        for file in files.inputs:
            if not records.next():
                continue
            slot.mark(records.ordinal)
            values = {} if records.skipped else self._cover(file)
            yield from records.add(file.name, file.name, **values)
        yield from records.flush()

    def _cover(self, file: Input) -> dict[str, str]:
        if file.problem:
            return {"dropped_by": "not_pdf"}
        with open_whole(file) as stream:
            if format_of(stream.read(HEAD_BYTES), file.name) != "pdf":
                return {"dropped_by": "not_pdf"}
        try:
            with local_copy(file) as path:
                return {"text": cover_json(cover_of(Opened(path, self.engine)))}
        except Unreadable as problem:
            return {"rejected_by": str(problem)}


def finish_covers(
    unit: Unit[Files], batches: list[pa.RecordBatch], out: UnitFiles, funnel: Funnel, removed: DataFile
) -> Covered:
    """Write the covers of a unit."""
    rows = [row for batch in batches for row in batch.select(["ordinal", "text"]).to_pylist()]
    pages, problems = [-1] * len(unit.spec.inputs), [""] * len(unit.spec.inputs)
    for row in rows:
        pages[row["ordinal"]] = json.loads(row["text"])["pages"]
    for row in read_table(out.store, removed, ["ordinal", "fate", "reason", "detail"]).to_pylist():
        if row["fate"] == "rejected" and row["ordinal"] < len(problems):
            problems[row["ordinal"]] = f"{row['reason']}: {row['detail']}".rstrip(": ")
            pages[row["ordinal"]] = 0
    table = pa.table([[row["ordinal"] for row in rows], [row["text"] for row in rows]], schema=COVER)
    return Covered(
        covers=out.write("covers", table), pages=tuple(pages), problems=tuple(problems), funnel=funnel, removed=removed
    )


@dataclass(frozen=True)
class PageRange:
    """Some pages of a file."""

    file: Input
    first: int
    end: int

    def identity(self) -> list[object]:
        """Return the file and the pages; the folder of the file does not count."""
        return [self.file.name, self.file.bytes, self.file.version, self.first, self.end]


@dataclass(frozen=True, kw_only=True)
class Paged(Accounted):
    """What `pages` leaves of a unit: its pages (PAGE), one row group per range."""

    pages: DataFile


@dataclass(frozen=True)
class PageReader:
    """Reads and lays out the pages of ranges. A record is a page."""

    engine: str
    ocr: OcrRules | None
    need: Model
    version: ClassVar[int] = 6

    def read(self, ranges: tuple[PageRange, ...], start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the pages; see `mmedc.engine.chain.Source`. Raises: OSError when a file cannot be read."""
        before = 0
        for at, part in enumerate(ranges):
            count = part.end - part.first
            if before + count > start:
                with local_copy(part.file) as path:
                    yield from self._range(path, part, at, before, max(start - before, 0), skip)
            before += count

    def _range(
        self, path: str, part: PageRange, at: int, before: int, begin: int, skip: frozenset[int]
    ) -> Iterator[pa.RecordBatch]:
        slot.mark(before + begin)
        try:
            opened: Opened | None = Opened(path, self.engine, self.ocr)
            problem = ""
        except Unreadable as why:
            opened, problem = None, str(why)
        left = range(begin, part.end - part.first)
        together = opened is not None and not slot.narrowed(before + begin)
        if opened and together:
            slot.enter(0, before + begin, len(left))
            opened.prepare([part.first + number for number in left if before + number not in skip])
        for first in range(left.start, left.stop, STEP_PAGES):
            rows = PageRows(self.need.path)
            for number in range(first, min(first + STEP_PAGES, left.stop)):
                slot.enter(0, before + number, 1)
                skipped = before + number in skip
                if opened and not together and not skipped:
                    opened.prepare([part.first + number])
                self._page(opened, problem, at, part.first + number, skipped, rows)
            yield _batch(rows, part.file.name, before + first)

    @staticmethod
    def _page(opened: Opened | None, problem: str, at: int, number: int, skipped: bool, rows: PageRows) -> None:
        if opened is None or skipped:
            rows.add_failed(at, number, problem or "skipped")
            return
        try:
            rows.add(at, number, opened.page(number), opened.by_ocr)
        except Unreadable as fault:
            rows.add_failed(at, number, str(fault))


def _batch(rows: PageRows, name: str, first: int) -> pa.RecordBatch:
    columns = rows.columns()
    count = len(rows)
    places = [f"{name}#page={number + 1}" for number in columns["page"].to_pylist()]
    raw = {field.name: pa.nulls(count, field.type) for field in RAW if field.name in SCRATCH or field.name == "text"}
    raw |= {"ordinal": pa.array(range(first, first + count), pa.int64()), "locator": pa.array(places)}
    raw |= {"provenance": pa.array(places)}
    return pa.RecordBatch.from_pydict(raw | columns)


def finish_pages(
    unit: Unit[tuple[PageRange, ...]], batches: list[pa.RecordBatch], out: UnitFiles, funnel: Funnel, removed: DataFile
) -> Paged:
    """Write the pages of a unit in their order, with the reason of each that could not be read."""
    found = [pa.Table.from_batches([batch]).select(["ordinal", *PAGE.names]) for batch in batches]
    places = [(at, number) for at, part in enumerate(unit.spec) for number in range(part.first, part.end)]
    failed, ordinals = PageRows(), []
    for row in read_table(out.store, removed, ["ordinal", "reason", "detail"]).to_pylist():
        if row["ordinal"] < len(places):
            ordinals.append(row["ordinal"])
            file, number = places[row["ordinal"]]
            failed.add_failed(file, number, f"{row['reason']}: {row['detail']}".rstrip(": "))
    if ordinals:
        found.append(pa.table({"ordinal": pa.array(ordinals, pa.int64()), **failed.columns()}))
    table = pa.concat_tables(found).sort_by("ordinal").drop_columns(["ordinal"]).cast(PAGE)
    stream = Stream(PAGE, iter([table]), group_by="file")
    return Paged(pages=out.write("pages", stream), funnel=funnel, removed=removed)


def units_of_books(ingest: Pass[InputSplit, Ingested]) -> list[Unit[InputSplit]]:
    """Return the ingest units whose files may be PDF: those of sources of books."""
    return [unit for unit in ingest.units if may_have_pdf(unit.spec)]


def may_have_pdf(split: InputSplit) -> bool:
    """Return whether files of a split may be PDF: whole files of a source of books."""
    return split.config.format == "books" and split.bytes_read is None


def with_pages(
    run: Run, ingest: Pass[InputSplit, Ingested], recipe: Recipe, store: Store
) -> Pass[InputSplit, Ingested]:
    """Run `covers` and `pages` for the PDF files of sources of books; return ingest, which reads what they left.

    `store` is the folder of passes.
    """
    ready = paged(run, units_of_books(ingest), recipe, store)
    return replace(ingest, units=tuple(ready.get(unit.id, unit) for unit in ingest.units)) if ready else ingest


def paged(
    run: Run, units: list[Unit[InputSplit]], recipe: Recipe, store: Store, most: int | None = None
) -> dict[str, Unit[InputSplit]]:
    """Read the pages of the PDF files of `units`; return by their ids units that know them, or {} without any PDF.

    Only the `most` first pages of each file are read.
    """
    engine, limits = recipe.books.engine, recipe.limits
    if not units:
        return {}
    check(engine)
    bounds = Bounds(limits.document_seconds, limits.unit_seconds, limits.document_memory, limits.memory)
    opening: Streamed[Files, Covered] = Streamed(CoverReader(engine), (), finish_covers, bounds)
    cover_units = tuple(Unit.of(Files(unit.spec.inputs), unit.label, unit.bytes) for unit in units)
    covered = run(Pass("covers", opening, cover_units, limits.retries))
    if not any(count >= 0 for left in covered for count in left.pages):
        return {}

    groups = [group for unit, left in zip(units, covered, strict=True) for group in _grouped(unit.spec, left, most)]
    ends = {part.file.url: part.end for group in groups for part in group}  # of each file the last, so its pages
    reader = PageReader(engine, ocr_rules_of(recipe), need_model(recipe))
    reading: Streamed[tuple[PageRange, ...], Paged] = Streamed(reader, (), finish_pages, bounds)
    page_units = tuple(unit_of(group, ends) for group in groups)
    read = run(Pass("pages", reading, page_units, limits.retries)) if page_units else []

    places: dict[str, list[tuple[DataFile, int]]] = {}
    for group, left in zip(groups, read, strict=True):
        for at, part in enumerate(group):
            places.setdefault(part.file.url, []).append((left.pages, at))
    return {unit.id: _filled(unit, left, places, store) for unit, left in zip(units, covered, strict=True)}


def _filled(
    unit: Unit[InputSplit], left: Covered, places: dict[str, list[tuple[DataFile, int]]], store: Store
) -> Unit[InputSplit]:
    """Return an ingest unit that knows the pages of its PDF files."""
    tables = tuple(
        PageTables(store, left.covers, at, tuple(places.get(file.url, ())), problem) if count >= 0 else None
        for at, (file, count, problem) in enumerate(zip(unit.spec.inputs, left.pages, left.problems, strict=True))
    )
    if not any(tables):
        return unit
    spec = replace(unit.spec, pages=tables)
    return Unit(digest_of(unit.id, spec), unit.label, spec, unit.bytes)


def _grouped(split: InputSplit, left: Covered, most: int | None) -> Iterator[tuple[PageRange, ...]]:
    """Yield the ranges of pages of the files of an ingest unit; small files share a unit."""
    held: list[PageRange] = []
    pages = 0
    for file, there in zip(split.inputs, left.pages, strict=True):
        count = there if most is None else min(there, most)
        for first in range(0, count, RANGE_PAGES):
            part = PageRange(file, first, min(first + RANGE_PAGES, count))
            if held and (pages + part.end - part.first > RANGE_PAGES or len(held) >= RANGES):
                yield tuple(held)
                held, pages = [], 0
            held.append(part)
            pages += part.end - part.first
    if held:
        yield tuple(held)


def unit_of(group: tuple[PageRange, ...], pages: dict[str, int]) -> Unit[tuple[PageRange, ...]]:
    """Return a unit whose bytes are the share of its pages in their files; `pages` has those of each file."""
    size = sum(part.file.bytes * (part.end - part.first) // pages[part.file.url] for part in group)
    return Unit.of(group, _label(group), size)


def _label(group: tuple[PageRange, ...]) -> str:
    first = group[0]
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{first.file.name} pages {first.first + 1}–{first.end}{more}"
