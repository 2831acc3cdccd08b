"""Rows of JSON Lines and Parquet files: a text, and optionally a locator, a title and a date."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mmedc.jsonlines import whole_characters
from mmedc.recipe_parts import SourceConfig
from mmedc.sources.raw import Records

BATCH_ROWS = 512
SPACED_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?) ?(UTC|Z|[+-]\d\d:?\d\d)?")
EPOCHS = ((10**8, 10**11, 1), (10**11, 10**14, 10**3), (10**14, 10**17, 10**6), (10**17, 10**19, 10**9))
"""The ranges (low, high, divisor) of numbers that are seconds, ms, µs and ns since 1970."""


def named_columns(config: SourceConfig) -> dict[str, str]:
    """Return the column or key of the file for each column of `RAW` that the recipe names."""
    named = {"text": config.text, "locator": config.url, "title": config.title, "date": config.date}
    return {column: key for column, key in named.items() if key}


def add_row(records: Records, name: str, place: str, row: dict[str, Any], limit: int) -> Iterator[pa.RecordBatch]:
    """Add a row, whose keys are columns of `RAW`. Rejected: `no_text`, `too_large`."""
    where = f"{name}#{place}"
    text = row.get("text")
    values: dict[str, Any] = {
        "title": as_text(row.get("title")),
        "date": iso_date(row.get("date")),
    }
    if records.skipped:
        pass
    elif not isinstance(text, str):
        values["rejected_by"] = f"no_text: {'null' if text is None else type(text).__name__}"
    elif len(text) > limit:
        values["rejected_by"] = f"too_large: {len(text):,} characters, at most {limit:,} are read"
    else:
        values["text"] = whole_characters(text)
    yield from records.add(as_text(row.get("locator")) or where, where, **values)


def as_text(value: Any) -> str | None:
    """Return a string or a number as text, and None for anything else."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return None


def iso_date(value: Any) -> str | None:
    """Return a date or time in ISO 8601; `value` is text, a year, or seconds, ms, µs or ns since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        for low, high, parts in EPOCHS:
            if low <= value < high:
                return datetime.fromtimestamp(value // parts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return as_text(value)
    text = as_text(value)
    if text and (found := SPACED_TIME.fullmatch(text.strip())):
        day, time, zone = found.groups()
        return f"{day}T{time}{'Z' if zone == 'UTC' else zone or ''}"
    return text
