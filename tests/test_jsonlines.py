"""JSON lines are the same lines for every reader, whatever ends them and whatever packs them."""

import gzip
import io
import json
from pathlib import Path

import pytest
import zstandard

from mmedc.jsonlines import BadLine, parse_line, read_json_lines, split_lines, whole_characters
from mmedc.unpack import Damage, MemberPart

ROWS = [{"text": "one\u2028two\u2029three\u0085four"}, {"text": "糖尿病", "n": 5}]
LINES = [json.dumps(row, ensure_ascii=False).encode() for row in ROWS]


def rows(data: bytes, arrays: bool = False) -> list[object]:
    return [row for _, row in read_json_lines(io.BytesIO(data), arrays)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "open"])
def test_lines_end_at_line_breaks_only(end: bytes, begin: bytes, last: bool) -> None:
    assert rows(begin + end.join(LINES) + (end if last else b"")) == ROWS


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_first_bytes_say_what_packs_a_file(tmp_path: Path, pack: type[bytes]) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(pack(b"\n".join(LINES)))
    assert [row for _, row in read_json_lines(path)] == ROWS


def test_blank_lines_are_counted_and_bad_ones_are_named() -> None:
    found = list(read_json_lines(io.BytesIO(b'\n{"a": 1}\n\xff\n\n{"b": \nnull\n')))
    assert [number for number, _ in found] == [2, 3, 5, 6]
    assert found[0][1] == {"a": 1} and found[3][1] is None
    assert isinstance(found[1][1], BadLine) and "not UTF-8" in str(found[1][1])
    assert isinstance(found[2][1], BadLine)


def test_a_damaged_file_is_no_shorter_file() -> None:
    whole = b"".join(b'{"n": %d}\n' % n for n in range(20_000))
    packed = gzip.compress(whole)
    found = rows(packed[: len(packed) // 2])
    assert isinstance(found[-1], BadLine) and "damaged" in str(found[-1])


def test_an_array_gives_its_elements() -> None:
    assert rows(b"\xef\xbb\xbf [1,\n {}]\n", arrays=True) == [1, {}]
    assert rows(b"[1]\n[2]\n", arrays=True) == [[1], [2]]
    assert rows(b"[1]\n[2]\n") == [[1], [2]]


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert parse_line(b'{"\\udfff": ["a\\ud800b", "\\ud83d\\ude00"]}') == {"\ufffd": ["a\ufffdb", "😀"]}
    assert parse_line(b'"\xed\xa0\xbd\xed\xb8\x80 \xed\xa0\x80"') == "😀 \ufffd"
    assert whole_characters("\ud800") == "\ufffd"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_length_limit_applies_to_each_line_however_parts_cut_the_file(end: bytes, size: int) -> None:
    lines = [b"a" * 9, b"", b"b" * 50, b"c", b"d" * 12]
    data = end.join(lines)
    parts = [MemberPart(data[at : at + size], at, at == 0) for at in range(0, len(data), size)]
    assert list(split_lines(iter(parts), 10)) == [(n, line[:10]) for n, line in enumerate(lines, 1)]


@pytest.mark.parametrize("end", [b"\n", b"\r"], ids=["LF", "CR"])
def test_lines_before_damage_are_lines(end: bytes) -> None:
    damage = Damage(5, 9, "torn", "cut")
    events = iter([MemberPart(b"1" + end + b"2" + end + b"3", 0, True), damage, MemberPart(b"4" + end, 9, True)])
    assert list(split_lines(events)) == [(1, b"1"), (2, b"2"), (3, b"3"), (3, damage), (4, b"4")]
