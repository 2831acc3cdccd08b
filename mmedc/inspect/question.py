"""What is asked for, as the address has it: every state of a page is an address, so that the back button works."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

PUBLISHED, DROPPED, ALL, REMOVED = "published", "dropped", "scored", "removed"
SHOWS = {
    PUBLISHED: "published",
    DROPPED: "dropped after scoring",
    ALL: "all with scores",
    REMOVED: "removed before scoring",
}
PLACES = {"text": "in the text", "title": "in the title", "locator": "in the address"}
PAGE = 50
MOST_CHARS = 500
"""A longer text is not searched for."""
DIGITS = 15
"""The length of the longest whole number in an address."""
Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Question:
    """Which documents, in which order, from which on."""

    lang: str = ""
    source: str = ""
    kind: str = ""
    show: str = PUBLISHED
    reason: str = ""
    ranges: Mapping[str, Range] = field(default_factory=dict)
    """By measure: from the first value on, and below the second; None is open."""
    q: str = ""
    where: str = "text"
    sort: str = ""
    """A measure, ascending, or with `-` before it, descending; empty for the order of the files."""
    page: int = 1
    start: int = 0
    """Where a search in texts begins, as a number of a document among those that the filters keep."""

    def address(self, path: str = "/documents", **changes: Any) -> str:
        """Return the address of this question, with changes; the page is the first one unless it is given."""
        asked = replace(self, **{"page": 1, "start": 0, **changes})
        params = {
            "lang": asked.lang,
            "source": asked.source,
            "kind": asked.kind,
            "show": "" if asked.show == PUBLISHED else asked.show,
            "reason": asked.reason,
            "q": asked.q,
            "in": asked.where if asked.q and asked.where != "text" else "",
            "sort": asked.sort,
            **{name: written(bounds) for name, bounds in sorted(asked.ranges.items())},
            "page": str(asked.page) if asked.page > 1 else "",
            "start": str(asked.start or ""),
        }
        query = urlencode({name: value for name, value in params.items() if value not in ("", "..")}, errors="replace")
        return f"{path}?{query}" if query else path

    def with_range(self, measure: str, low: float | None, high: float | None) -> dict[str, Range]:
        """Return the ranges with another one."""
        return {**self.ranges, measure: (low, high)}

    def without_range(self, measure: str) -> dict[str, Range]:
        """Return the ranges without that of a measure."""
        return {name: bounds for name, bounds in self.ranges.items() if name != measure}


def read_question(params: Mapping[str, str], measures: tuple[str, ...]) -> Question:
    """Return the question of an address. What it says wrongly is taken for not said."""
    ranges = {name: bounds for name in measures if (bounds := read_range(params.get(name, ""))) != (None, None)}
    added = params.get("measure", "")
    if added in measures:
        bounds = number_of(params.get("low", "")), number_of(params.get("high", ""))
        if bounds != (None, None):
            ranges[added] = bounds
    show, where, sort = params.get("show", PUBLISHED), params.get("in", "text"), params.get("sort", "")
    page, start = params.get("page", "1"), params.get("start", "0")
    return Question(
        lang=params.get("lang", ""),
        source=params.get("source", ""),
        kind=params.get("kind", ""),
        show=show if show in SHOWS else PUBLISHED,
        reason=params.get("reason", ""),
        ranges=ranges,
        q=params.get("q", "").strip()[:MOST_CHARS],
        where=where if where in PLACES else "text",
        sort=sort if sort.removeprefix("-") in measures else "",
        page=whole_number(page) or 1,
        start=whole_number(start),
    )


def whole_number(text: str) -> int:
    """Return a number of at most 15 ASCII digits; 0 for anything else. Python converts no more than 4,300 digits."""
    return int(text) if len(text) <= DIGITS and text.isascii() and text.isdigit() else 0


def number_of(text: str) -> float | None:
    """Return a number that somebody wrote; None for anything else."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


def read_range(text: str) -> Range:
    """Return the bounds of `0.2..0.4`, `0.2..` or `..0.4`."""
    low, dots, high = text.partition("..")
    return (number_of(low), number_of(high)) if dots else (None, None)


def written(bounds: Range) -> str:
    """Return bounds as `read_range` reads them."""
    low, high = bounds
    return f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
