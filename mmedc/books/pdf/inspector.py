"""pdf-inspector (MIT): runs with their places, for a range of pages at once, because each call opens the file anew."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from mmedc.books.book import Unreadable
from mmedc.books.pdf.model import Line, PageText

NAMELESS = re.compile(r"[A-Za-z]{0,3}\d*$")


def read(path: str, sizes: dict[int, tuple[float, float]]) -> Iterator[tuple[int, PageText]]:
    """Yield (number, page) for the pages of `sizes`, which gives width and height by page number, from 0.

    Raises: Unreadable where the library refuses the file.
    """
    import pdf_inspector

    try:
        items = pdf_inspector.extract_text_with_positions(path, [number + 1 for number in sizes])
    except Exception as problem:
        raise Unreadable(f"damaged: {str(problem).splitlines()[0]}") from None
    found = {page - 1: list(part) for page, part in groupby(items, key=lambda item: item.page)}
    for number, (width, height) in sizes.items():
        yield number, _page(found.get(number, []), width, height)


def _page(items: list[Any], width: float, height: float) -> PageText:
    lines, area = [], 0.0
    for item in items:
        kind = item.item_type
        if kind == "text":
            size, turn, x0 = item.font_size, item.rotation, item.x
            turned = 45 < turn < 135 or 225 < turn < 315
            odd = turn != 0.0 and not turned
            lines.append(
                Line(x0, x0 if odd else x0 + item.width, height - item.y, size, item.text, item.is_bold,
                     turned=turned, nameless=bool(NAMELESS.match(item.font)))
            )  # fmt: skip
        elif kind == "image":
            area += max(item.width, 0) * max(item.height, 0)
    return PageText(width, height, lines, "inspector", min(area / max(width * height, 1.0), 1.0))
