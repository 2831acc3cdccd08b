"""The reader of JSON Lines files for all packages: corpora, questions, examples, labels.

A line ends only at LF, CR LF or CR: U+2028, U+2029 and U+0085 are characters of a text. A byte-order
mark is not part of a line. A file is decompressed (gzip, zstd or lz4) if its first bytes
say so, whatever its name. A lone surrogate becomes U+FFFD, because a UTF-8
column cannot store it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mmedc.storage import open_binary
from mmedc.unpack import Damage, Events, Unpacked

BOM = b"\xef\xbb\xbf"
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


class BadLine(ValueError):
    """A line, or a part of a file, that is not JSON; the message says what was found."""


def read_json_lines(source: str | Path | IO[bytes], arrays: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, value) for every line of `source` that is not blank.

    `source` is a path, a URL that `mmedc.storage` supports, or a binary stream. The value of a line that is
    not JSON is a `BadLine`, and so is the value for a damaged part of the file. With `arrays`, a file
    that is one JSON array yields its elements, numbered from 1.

    Raises: OSError when the file cannot be opened or read.
    """
    if not isinstance(source, str | Path):
        yield from _rows(Unpacked(source, str(getattr(source, "name", ""))), arrays)
        return
    with open_binary(str(source)) as stream:
        yield from _rows(Unpacked(stream, str(source)), arrays)


def parse_line(line: bytes) -> Any:
    """Return the JSON value of one line. Raises: BadLine."""
    text = line.removeprefix(BOM)
    try:
        value = json.loads(text.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError as problem:
        raise BadLine(f"not UTF-8 ({problem.reason} at byte {problem.start})") from None
    except (ValueError, RecursionError) as problem:
        raise BadLine(str(problem)) from None
    return _without_surrogates(value) if SURROGATE.search(text) else value


def whole_characters(text: str) -> str:
    """Return `text` with U+FFFD in the place of each lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def split_lines(events: Events, longest: int | None = None) -> Iterator[tuple[int, bytes | Damage]]:
    """Yield (line number from 1, line without its end) of unpacked parts; damage is yielded but not numbered.

    Only the first `longest` bytes of a line are kept. A line that is interrupted by damage is yielded as two.
    """
    number, kept, breaks = 0, b"", b""  # the lines so far, the open line, and CRs after it: an LF may follow them
    for event in events:
        if isinstance(event, Damage):
            if kept or breaks:
                number += 1
                yield number, kept
            kept = breaks = b""
            yield number, event
            continue
        *ended, rest = (breaks + event.data).split(b"\n")
        lines = [line for part in ended for line in part.rstrip(b"\r").split(b"\r")]
        begun = rest.rstrip(b"\r")
        breaks = rest[len(begun) :]
        *more, begun = begun.split(b"\r")
        for line in lines + more:
            number += 1
            yield number, (kept + line)[:longest]
            kept = b""
        kept = (kept + begun)[:longest]
    if kept or breaks:
        yield number + 1, kept


def _rows(file: Unpacked, arrays: bool) -> Iterator[tuple[int, Any]]:
    events = iter(file)
    if arrays:
        parts = list(events)
        try:
            elements = _elements(parts)
        except BadLine:
            events = iter(parts)
        else:
            yield from enumerate(elements, 1)
            return
    for number, line in split_lines(events):
        if isinstance(line, Damage):
            yield number + 1, BadLine(str(line))
        elif line.removeprefix(BOM).strip():
            try:
                yield number, parse_line(line)
            except BadLine as problem:
                yield number, problem


def _elements(parts: list[Any]) -> list[Any]:
    """Return the elements of a file that is one JSON array. Raises: BadLine if it is not."""
    if any(isinstance(part, Damage) for part in parts):
        raise BadLine("damaged")
    whole = b"".join(part.data for part in parts)
    if whole.removeprefix(BOM).lstrip()[:1] != b"[" or not isinstance(elements := parse_line(whole), list):
        raise BadLine("no array")
    return elements


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {whole_characters(key): _without_surrogates(item) for key, item in value.items()}
    return value
