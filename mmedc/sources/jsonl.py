"""JSON Lines files, which contain text already."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from mmedc.errors import RecipeError
from mmedc.jsonlines import BOM, BadLine, parse_line, split_lines
from mmedc.recipe import SourceConfig
from mmedc.sources.columns import BATCH_ROWS, add_row, named_columns
from mmedc.sources.raw import InputSplit, Records, check_size, open_whole
from mmedc.storage import Input
from mmedc.unpack import Damage, Events, Unpacked, packed_suffixes
from mmedc.yamlfile import nearest

SUFFIXES = packed_suffixes(".jsonl", ".json", ".ndjson")
FIRST_LINE = 16 << 20  # bytes of the first line that are checked when a build is planned
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
    """Check that the first line of a file is an object with the text key. Raises: RecipeError."""
    with open_whole(input_file) as stream:
        for _, line in split_lines(iter(Unpacked(stream, input_file.name)), FIRST_LINE):
            if isinstance(line, Damage) or len(line) >= FIRST_LINE:
                return
            text = line.removeprefix(BOM).strip()
            if not text:
                continue
            if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise RecipeError(f'source "{source}": {input_file.name} is UTF-16, not UTF-8; save it as UTF-8')
            if text[:1] == b"[" or text == b"{":
                what = "a JSON array" if text[:1] == b"[" else "one JSON document of several lines"
                raise RecipeError(
                    f'source "{source}": {input_file.name} is {what}, not JSON lines; write an object a line'
                )
            try:
                row = parse_line(text)
            except BadLine:
                return  # counted when it is read
            if isinstance(row, dict) and config.text not in row and value_at(row, config.text) is None:
                raise RecipeError(
                    f'source "{source}": the first line of {input_file.name} has no key "{config.text}" (text)'
                    f"{nearest(config.text, row)}"
                )
            return
