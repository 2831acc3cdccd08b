"""JSON Lines files, which contain text already."""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar

import pyarrow as pa

from mmedc.errors import RecipeError
from mmedc.inputs import Input
from mmedc.jsonlines import BOM, BadLine, parse_line, split_lines
from mmedc.recipe_parts import SourceConfig
from mmedc.sources.columns import BATCH_ROWS, add_row, named_columns
from mmedc.sources.raw import InputSplit, Records, check_size, open_whole
from mmedc.unpack import Damage, Events, Unpacked, packed_suffixes
from mmedc.yamlfile import nearest

SUFFIXES = packed_suffixes(".jsonl", ".json", ".ndjson")
FIRST_LINE = 16 << 20  # bytes of the first line that are checked when a build is planned
CHECKED_LINES, CHECKED_BYTES = 1_000, 4 << 20
BOMB_BYTES = 64 << 20  # to which every compressed file may unpack, whatever its size


@dataclass(frozen=True)
class JsonlReader:
    """Reads each line as one document.

    Rejected here: `bad_json`, `no_text`, `too_large`, `damaged` (of a compressed file), `empty_file`, and
    `bomb` (a file that unpacks to more than `ratio` times its size: the rest of it).
    """

    version: ClassVar[int] = 3

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the records of a file; see `mmedc.engine.chain.Source`. Raises: OSError when it cannot be read."""
        records, input_file, limit = Records(start, skip, BATCH_ROWS), split.inputs[0], split.document_bytes
        columns = named_columns(split.config)
        with open_whole(input_file) as stream:
            unpacked = Unpacked(stream, input_file.name)
            most = max(BOMB_BYTES, input_file.bytes * split.ratio) if unpacked.codec else float("inf")
            for number, line in split_lines(_up_to(unpacked, most), limit + 1):
                if isinstance(line, Damage):
                    place = f"{input_file.name}#offset={line.at}"
                    yield from records.reject(f"{input_file.name}#damaged-{line.at}", place, f"damaged: {line}")
                elif line.removeprefix(BOM).strip() and records.next():
                    yield from _add_line(records, input_file, number, line, columns, limit)
            if unpacked.given > most:
                rest = f"bomb: {input_file.bytes:,} bytes unpack to over {most:,.0f}; the rest is not read"
                yield from records.reject(f"{input_file.name}#bomb", input_file.name, rest)
            else:
                check_size(input_file, unpacked.tape.end)
        if not unpacked.given and not unpacked.account.damaged:
            yield from records.reject(input_file.name, input_file.name, f"empty_file: {input_file.bytes:,} bytes")
        yield from records.flush()


def _up_to(unpacked: Unpacked, most: float) -> Events:
    """Yield the unpacked parts of a file until they have more than `most` bytes."""
    for event in unpacked:
        yield event
        if unpacked.given > most:
            return


def _add_line(
    records: Records, input_file: Input, number: int, line: bytes, columns: dict[str, str], limit: int
) -> Iterator[pa.RecordBatch]:
    where = f"{input_file.name}#line={number}"
    if len(line) > limit:
        yield from records.add(where, where, rejected_by=f"too_large: over {limit:,} bytes", payload=line[:4096])
        return
    try:
        row = parse_line(line)
        if not isinstance(row, dict):
            raise BadLine(f"{type(row).__name__}, not an object")
    except BadLine as problem:
        yield from records.add(where, where, rejected_by=f"bad_json: {problem}", payload=line[:4096])
        return
    picked = {column: value_at(row, key) for column, key in columns.items()}
    yield from add_row(records, input_file.name, f"line={number}", picked, limit)


def value_at(row: Any, key: str) -> Any:
    """Return the value under `key`, which is a name or a path of names with dots; None if there is no such value."""
    if not isinstance(row, dict):
        return None
    if key in row or "." not in key:
        return row.get(key)
    name, _, rest = key.partition(".")
    return value_at(row.get(name), rest)


def check_lines(source: str, input_file: Input, config: SourceConfig) -> None:
    """Check that the first lines of a file are objects, and that some of them have each key that the recipe names.

    Raises: RecipeError.
    """
    keys: dict[str, None] = {}
    missing = named_columns(config)
    seen = size = objects = 0
    longest = (0, "")
    where = f'source "{source}": {input_file.name}'
    for text in _first_lines(input_file):
        if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise RecipeError(f"{where} is UTF-16, not UTF-8; save it as UTF-8")
        if not seen and (text[:1] == b"[" or text == b"{"):
            what = "a JSON array" if text[:1] == b"[" else "one JSON document of several lines"
            raise RecipeError(f"{where} is {what}, not JSON lines; write an object a line: `jq -c '.[]'` does it")
        seen, size = seen + 1, size + len(text)
        try:
            row = parse_line(text)
        except BadLine:
            row = None  # counted when it is read
        if isinstance(row, dict):
            objects += 1
            keys |= dict.fromkeys(row)
            texts = {key: len(value) for key, value in row.items() if isinstance(value, str)}
            longest = max([longest, *((size, key) for key, size in texts.items())])
            missing = {ours: theirs for ours, theirs in missing.items() if not _has(row, theirs)}
        if (objects and not missing) or seen == CHECKED_LINES or size > CHECKED_BYTES:
            break
    if seen and not objects:
        raise RecipeError(f"{where} is not JSON lines: {_lines_of(seen)} is {'no' if seen == 1 else 'an'} object")
    for ours, theirs in missing.items() if objects else ():
        key = "url" if ours == "locator" else ours
        raise RecipeError(
            f'{where}: {_lines_of(seen)} has {"no" if seen == 1 else "the"} key "{theirs}" ({key})'
            + _what_to_write(ours, theirs, keys, longest)
        )


def _first_lines(input_file: Input) -> Iterator[bytes]:
    """Yield the lines of a file that are not blank, up to the first damage or very long line."""
    with open_whole(input_file) as stream:
        for _, line in split_lines(iter(Unpacked(stream, input_file.name)), FIRST_LINE):
            if isinstance(line, Damage) or len(line) >= FIRST_LINE:
                return
            if text := line.removeprefix(BOM).strip():
                yield text


def _lines_of(seen: int) -> str:
    return "its only line" if seen == 1 else f"none of its first {seen:,} lines"


def _what_to_write(ours: str, theirs: str, keys: Iterable[str], longest: tuple[int, str]) -> str:
    """Return the nearest key or those that are there; for the text, also the line that names the longest one."""
    close = get_close_matches(theirs, keys, 1)
    said = f'; did you mean "{close[0]}"?' if close else nearest(theirs, keys).replace("; known: ", "; it has: ")
    named = close[0] if close else longest[1]
    stop = "" if close else "."
    return said + (f"{stop if said else '.'} Write `text: {named}` in the source" if ours == "text" and named else "")


def _has(row: Any, key: str) -> bool:
    """Return whether an object has `key`, which is a name or a path of names with dots."""
    if not isinstance(row, dict):
        return False
    name, dot, rest = key.partition(".")
    return key in row or (bool(dot) and _has(row.get(name), rest))
