"""Pages as Arrow tables: what the pass `pages` leaves, and from which books are put together and OCR decides."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pyarrow as pa

from mmedc.books.book import Unreadable
from mmedc.books.pdf.book import Sheet
from mmedc.books.pdf.layout import Placed, layout
from mmedc.books.pdf.model import OcrPage, PageText
from mmedc.books.pdf.quality import features
from mmedc.redact import first_line

LINE = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("x0", pa.float32()),
        pa.field("x1", pa.float32()),
        pa.field("base", pa.float32()),
        pa.field("size", pa.float32()),
        pa.field("bold", pa.bool_()),
        pa.field("start", pa.int8()),
        pa.field("kind", pa.string()),
        pa.field("edge", pa.int8()),
        pa.field("indented", pa.bool_()),
        pa.field("full", pa.bool_()),
    ]
)
"""A line of `mmedc.books.pdf.layout.Placed`; points from the upper left corner of the page."""

PAGE = pa.schema(
    [
        pa.field("file", pa.int32(), nullable=False),  # the position of the file among those of its unit
        pa.field("page", pa.int32(), nullable=False),  # from 0
        pa.field("width", pa.float32()),  # in points
        pa.field("height", pa.float32()),
        pa.field("engine", pa.string()),  # the library that read the page: mupdf, inspector, glyphs
        pa.field("chars", pa.int32()),  # without spaces
        pa.field("hidden", pa.int32()),  # characters that the page does not show; they are not among its lines
        pa.field("images", pa.float32()),  # share of the page that images cover, 0 to 1
        pa.field("coverage", pa.float32()),  # share of the page that lines cover, 0 to 1
        pa.field("unmapped", pa.float32()),  # share of characters without a meaning, 0 to 1
        pa.field("quality", pa.float32()),  # how far the text can be trusted, 0 to 1
        pa.field("need", pa.string()),  # why OCR is needed; null where it is not
        pa.field("confidence", pa.float32()),  # of OCR, by the model itself, 0 to 1; null without OCR
        pa.field("ocr", pa.string()),  # why OCR has read the page; null where it has not
        pa.field("problem", pa.string()),  # why the page could not be read; null where it was
        pa.field("lines", pa.list_(LINE)),  # in reading order
    ]
)
"""A page of a PDF as the pass `pages` leaves it."""

Reread = Callable[[int], OcrPage | None]
_NAMES = tuple(field.name for field in fields(Placed))


class PageRows:
    """Collects pages as columns of PAGE."""

    def __init__(self, model: str | None = None) -> None:
        """Begin without pages; `model` tells which need OCR: a file of `mmedc fit pages`, or the one that ships."""
        self._model = model
        self._pages: dict[str, list[Any]] = {name: [] for name in PAGE.names if name != "lines"}
        self._lines: dict[str, list[Any]] = {name: [] for name in _NAMES}
        self._offsets = [0]

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def add(self, file: int, number: int, page: PageText, again: Reread | None = None) -> None:
        """Lay out a page and add it; `again` reads it by OCR where its text can't be used. Raises: Unreadable."""
        seen = features(page, self._model)
        need, confidence, why, unseen = seen.need(), None, None, page.hidden
        if need and again and (read := again(number)):
            page, confidence, why, need = read.page, read.confidence, need, read.unused
        try:
            placed = layout(page)
        except Exception as problem:  # a fault of ours costs the page, and not the book or the build
            raise Unreadable(f"error: layout: {type(problem).__name__}: {first_line(problem)}") from None
        figures = (seen.chars, unseen, seen.images, seen.coverage, seen.unmapped, seen.quality)
        row = (file, number, page.width, page.height, page.engine, *figures, need, confidence, why, None)
        for column, value in zip(self._pages.values(), row, strict=True):
            column.append(value)
        for line in placed:
            if not line.text.isascii():
                line.text = line.text.encode("utf-8", "replace").decode()
        for name, values in self._lines.items():
            values += [getattr(line, name) for line in placed]
        self._offsets.append(len(self._lines["text"]))

    def add_failed(self, file: int, number: int, problem: str) -> None:
        """Add a page that could not be read."""
        for name, column in self._pages.items():
            column.append({"file": file, "page": number, "problem": problem}.get(name))
        self._offsets.append(self._offsets[-1])

    def columns(self) -> dict[str, pa.Array]:
        """Return the pages as arrays."""
        lines = pa.StructArray.from_arrays(
            [pa.array(self._lines[field.name], field.type) for field in LINE], fields=list(LINE)
        )
        arrays = {name: pa.array(values, PAGE.field(name).type) for name, values in self._pages.items()}
        return arrays | {"lines": pa.ListArray.from_arrays(pa.array(self._offsets, pa.int32()), lines)}


def _unused(need: str | None) -> str | None:
    """Return the reason for which the text of a page is not used, or None."""
    return need if need is None or need.startswith("ocr_") else f"needs_ocr: {need}"


def sheets(table: pa.Table) -> Iterator[Sheet]:
    """Yield the pages of a PAGE table; the order is that of the table."""
    for batch in table.to_batches():
        lists = batch.column("lines")
        values, offsets = lists.values, lists.offsets.to_pylist()
        columns = [values.field(name).to_pylist() for name in _NAMES]
        names = ("page", "need", "problem", "hidden")
        numbers, needs, problems, unseen = (batch.column(name).to_pylist() for name in names)
        for at, number in enumerate(numbers):
            begin, end = offsets[at], offsets[at + 1]
            placed = [Placed(*row) for row in zip(*(column[begin:end] for column in columns), strict=True)]
            yield Sheet(number, placed, problems[at] or _unused(needs[at]), unseen[at] or 0)
