"""JSON lines, read the same way wherever a room meets them: corpora, questions, examples, labels.

A line ends at LF, CR LF or CR and nowhere else: U+2028, U+2029 and U+0085 are characters of a text. A
byte-order mark is no part of a line. Files are compressed by gzip or zstd when their first bytes say
so, whatever they are called. A surrogate without its partner becomes U+FFFD, because no UTF-8 column
can hold it.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mmedc.storage import open_binary

BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


class BadLine(ValueError):
    """A line, or the rest of a file, that holds no JSON; its message says what was found."""


def read_json_lines(source: str | Path | IO[bytes], arrays: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, value) for every line of `source` that is not blank.

    `source` is a path, a URL that `mmedc.storage` knows, or a binary stream. The value of a line that is
    not JSON is a `BadLine`, and so is what stands for the unreadable rest of a damaged file. With
    `arrays`, a file that is one JSON array gives its elements, numbered from 1.

    Raises: OSError when the file cannot be opened or read.
    """
    if not isinstance(source, str | Path):
        yield from _rows(source, arrays)
        return
    with open_binary(str(source)) as stream:
        yield from _rows(stream, arrays)


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


def _rows(stream: IO[bytes], arrays: bool) -> Iterator[tuple[int, Any]]:
    lines = _unpacked(stream)
    number = 0
    try:
        if arrays and _begins_array(lines):
            whole = lines.read()
            try:
                elements = parse_line(whole)
            except BadLine:
                lines = io.BytesIO(whole)  # lines that are arrays themselves
            else:
                yield from enumerate(elements, 1)
                return
        for line in lines:
            for part in _split(line):
                number += 1
                if part.removeprefix(BOM).strip():
                    try:
                        yield number, parse_line(part)
                    except BadLine as problem:
                        yield number, problem
    except (EOFError, zlib.error, gzip.BadGzipFile, _zstd_error()) as problem:
        yield number + 1, BadLine(f"the file is damaged from here on: {problem}")


def _split(line: bytes) -> list[bytes]:
    """Return the lines in what ends at LF: several where CR alone ends them, as on old Macs."""
    if b"\r" not in line.rstrip(b"\r\n"):
        return [line]
    try:
        parse_line(line)
    except BadLine:
        return line.rstrip(b"\r\n").split(b"\r")
    return [line]


def _begins_array(lines: Any) -> bool:
    return bool(lines.peek(1 << 10).removeprefix(BOM).lstrip()[:1] == b"[")


def _unpacked(stream: IO[bytes]) -> Any:
    """Return the lines of a file that may be compressed, by its first bytes."""
    buffered: Any = stream if hasattr(stream, "peek") else io.BufferedReader(stream, 1 << 20)
    head = buffered.peek(4)
    if head.startswith(GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=buffered), 1 << 20)
    if head.startswith(ZSTD):
        import zstandard

        unpacker = zstandard.ZstdDecompressor(max_window_size=128 << 20)
        return io.BufferedReader(unpacker.stream_reader(buffered, read_across_frames=True), 1 << 20)
    return buffered


def _zstd_error() -> type[Exception]:
    import zstandard

    return zstandard.ZstdError


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {whole_characters(key): _without_surrogates(item) for key, item in value.items()}
    return value
