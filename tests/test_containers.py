"""The law of reading: bytes in = bytes parsed + bytes reported as damaged, and no sound record is lost.

Files are made of members that are known, then damaged, cut, padded and joined at random. What a reader has
to find is then known too, without a second reader: every member that was not touched, whole and in order.
"""

import gzip
import io
import json
import os
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from mmedc.errors import RecipeError
from mmedc.recipe import Recipe
from mmedc.sources import Reader, list_units
from mmedc.unpack import MemberPart, Unpacked
from tests.warcs import page, record

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, 6, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}
PACKED = [suffix for suffix in PACKERS if suffix]
JUNK = [
    b"\0" * 512, b"\0", b"\r\n", b"junk", b"\x1f\x8b\x08", b"\x1f\x8b\x08\0\0\0\0\0\0\3", b"\x28\xb5\x2f\xfd",
    b"\xff" * 40, b"\x04\x22\x4d\x18", b"WARC/1.1\r\n", b"\nWARC/", b"{", b"PAR1", b"<html>404</html>",
    random.Random(3).randbytes(3000),
]  # fmt: skip
EXAMPLES = int(os.environ.get("MMEDC_EXAMPLES", "250"))  # of each law and container; more for a long search
FAST = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass
class Segment:
    """Some bytes of a file; `number` says which member or record they are, None when they are none that is sound."""

    data: bytes
    number: int | None


def damaged(segments: list[Segment], seed: int, times: int) -> list[Segment]:
    """Return segments after up to `times` things that happen to files."""
    draw = random.Random(seed)
    out = list(segments)
    for _ in range(times):
        if not out:
            break
        at = draw.randrange(len(out))
        data = out[at].data
        place = draw.randrange(len(data)) if data else 0
        match draw.randrange(8):
            case 0 | 1:
                flipped = (
                    data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :] if data else b""
                )
                out[at] = Segment(flipped, None)
            case 2:
                out[at:] = [Segment(data[:place], None)]
            case 3:
                out[at] = Segment(data[:place], None)
            case 4:
                out[at] = Segment(data[:place] + draw.choice(JUNK) + data[place:], None)
            case 5:
                out.insert(at, Segment(draw.choice(JUNK), None))
            case 6:
                out[at] = Segment(data[place:], None) if place else out[at]
            case 7:
                out.insert(at, out[at])
    return out


def texts(seed: int, many: int) -> list[bytes]:
    """Return what members hold: short, long, empty, and such as cannot be compressed."""
    draw = random.Random(seed)
    kinds = (
        lambda: b"",
        lambda: b"line %d\n" % draw.randrange(10**9) * draw.randrange(1, 400),
        lambda: draw.randbytes(draw.randrange(1, 3000)),
        lambda: draw.randbytes(draw.randrange(60_000, 200_000)),
        lambda: b"\0" * draw.randrange(1, 2 << 20),
    )
    return [draw.choice(kinds[:3] if draw.random() < 0.9 else kinds)() for _ in range(many)]


@pytest.mark.parametrize("suffix", PACKED)
@given(seed=st.integers(0, 2**32), times=st.integers(0, 4), hold=st.booleans())
@FAST
def test_every_member_is_unpacked_or_reported(suffix: str, seed: int, times: int, hold: bool) -> None:
    datas = texts(seed, random.Random(seed).randrange(1, 8))
    segments = damaged([Segment(PACKERS[suffix](data), at) for at, data in enumerate(datas)], seed + 1, times)
    whole = b"".join(segment.data for segment in segments)
    file = Unpacked(io.BytesIO(whole), f"x{suffix}", hold=hold)
    if not file.codec:
        return  # its first bytes were damaged so that it reads as text: then it is a plain file
    found: dict[int, bytes] = {}
    lost: list[tuple[int, int]] = []
    for event in file:
        if isinstance(event, MemberPart):
            assert event.first == (event.at not in found)
            found[event.at] = found.get(event.at, b"") + event.data
        else:
            assert event.at < event.end and (not lost or event.at >= lost[-1][1])
            lost.append((event.at, event.end))
    assert sum(end - at for at, end in lost) == file.account.damaged
    assert file.account.sound + file.account.damaged == len(whole)
    at = 0
    for segment in segments:
        if segment.number is not None and segment.data:
            assert found.get(at) == datas[segment.number], f"the sound member at {at} is lost"
            assert not [span for span in lost if span[0] < at + len(segment.data) and at < span[1]]
        at += len(segment.data)


def read(path: Path, key: str, **keys: str) -> list[dict[str, Any]]:
    recipe = Recipe.model_validate({"name": "t", "sources": {"s": {key: str(path), **keys}}})
    rows: list[dict[str, Any]] = []
    try:
        units = list_units(recipe)
    except RecipeError as problem:  # junk at the beginning that makes it another format
        assert any(said in str(problem) for said in (" is ", "has no key", "has the key"))
        reject()
    for unit in units:
        for batch in Reader().read(unit.spec, 0, frozenset()):
            rows += batch.to_pylist()
    assert [row["ordinal"] for row in rows] == list(range(len(rows)))
    return rows


def locators(rows: list[dict[str, Any]]) -> list[str]:
    return [row["locator"] for row in rows if not row["rejected_by"] and not row["dropped_by"]]


def check_records(rows: list[dict[str, Any]], segments: list[Segment], contents: dict[str, Any], column: str) -> None:
    """Check that every untouched record is there, whole and in order, and that something stands for every other."""
    expected = [f"u:{segment.number}" for segment in segments if segment.number is not None]
    sound = [row for row in rows if row["locator"] in contents and row[column] == contents[row["locator"]]]
    left = iter(row["locator"] for row in sound if not row["rejected_by"])
    assert all(any(found == locator for found in left) for locator in expected), (expected, rows)
    touched = [segment for segment in segments if segment.number is None and segment.data.strip(b"\r\n")]
    assert len(rows) > len(expected) or not touched, "bytes are gone without a word"


PAGES = [f"<p>{f'page {number} ' * (number * 37 % 90 + 1)}</p>" for number in range(7)]
CONTENTS = {f"u:{number}": text.encode() for number, text in enumerate(PAGES)}


@pytest.mark.parametrize("suffix", PACKERS)
@given(seed=st.integers(0, 2**32), times=st.integers(0, 4))
@FAST
def test_no_sound_record_of_a_warc_is_lost(tmp_path: Path, suffix: str, seed: int, times: int) -> None:
    members = [Segment(PACKERS[suffix](page(f"u:{n}", text)), n) for n, text in enumerate(PAGES)]
    segments = damaged(members, seed, times)
    if not segments or not segments[0].data:
        return
    path = tmp_path / f"x.warc{suffix}"
    path.write_bytes(b"".join(segment.data for segment in segments))
    check_records(read(path, "warc"), segments, CONTENTS, "payload")


@pytest.mark.parametrize("suffix", PACKERS)
@given(seed=st.integers(0, 2**32), times=st.integers(0, 4))
@FAST
def test_no_sound_record_of_a_wet_is_lost(tmp_path: Path, suffix: str, seed: int, times: int) -> None:
    blocks = [record(f"u:{n}", text.encode(), "conversion", "text/plain") for n, text in enumerate(PAGES)]
    segments = damaged([Segment(PACKERS[suffix](block), n) for n, block in enumerate(blocks)], seed, times)
    if not segments or not segments[0].data:
        return
    path = tmp_path / f"x.warc.wet{suffix}"
    path.write_bytes(b"".join(segment.data for segment in segments))
    check_records(read(path, "warc"), segments, CONTENTS, "payload")


@pytest.mark.parametrize("suffix", PACKERS)
@given(seed=st.integers(0, 2**32), times=st.integers(0, 4))
@FAST
def test_no_sound_line_is_lost(tmp_path: Path, suffix: str, seed: int, times: int) -> None:
    """A line is untouched when its member is, and what stands before it has ended with a line break."""
    lines = [json.dumps({"text": text, "url": f"u:{n}"}).encode() + b"\n" for n, text in enumerate(PAGES)]
    segments = damaged([Segment(PACKERS[suffix](line), n) for n, line in enumerate(lines)], seed, times)
    if not segments or not segments[0].data:
        return
    if not suffix:  # in plain lines what is put between them is glued to the next
        glued = [not before.data.endswith(b"\n") for before in segments[:-1]]
        for after, broken in zip(segments[1:], glued, strict=True):
            after.number = None if broken else after.number
    path = tmp_path / f"x.jsonl{suffix}"
    path.write_bytes(b"".join(segment.data for segment in segments))
    rows = read(path, "jsonl", url="url")
    whole = {url: text.decode() for url, text in CONTENTS.items()}
    expected = [f"u:{segment.number}" for segment in segments if segment.number is not None]
    left = iter(row["locator"] for row in rows if row["text"] == whole.get(row["locator"]))
    assert all(any(found == locator for found in left) for locator in expected), (expected, rows)


@given(seed=st.integers(0, 2**32), empty=st.booleans())
@FAST
def test_members_may_be_cut_anywhere_and_empty(tmp_path: Path, seed: int, empty: bool) -> None:
    """Blocks of BGZF end in the middle of records, and files that are joined have its empty end block inside."""
    draw, whole = random.Random(seed), b"".join(page(f"u:{n}", text) for n, text in enumerate(PAGES))
    data, at = b"", 0
    while at < len(whole):
        size = draw.randrange(1, 1500)
        data += gzip.compress(whole[at : at + size], 6, mtime=0) + (gzip.compress(b"", mtime=0) if empty else b"")
        at += size
    (tmp_path / "x.warc.gz").write_bytes(data)
    rows = read(tmp_path / "x.warc.gz", "warc")
    assert [(row["locator"], row["payload"]) for row in rows] == list(CONTENTS.items())


@pytest.mark.parametrize("suffix", ["", ".gz"])
@given(cut=st.floats(0, 1, exclude_max=True))
@FAST
def test_a_cut_file_gives_what_another_reader_finds_and_says_that_it_is_cut(
    tmp_path: Path, suffix: str, cut: float
) -> None:
    kinds = ("request", "response", "metadata")
    blocks = [record(f"u:{n}", text.encode(), kinds[n % 3], "text/html") for n, text in enumerate(PAGES)]
    members = [PACKERS[suffix](block) for block in blocks]
    size = int(cut * sum(map(len, members)))
    path = tmp_path / f"x.warc{suffix}"
    path.write_bytes(b"".join(members)[:size])
    ends = [sum(map(len, members[: n + 1])) for n in range(len(members))]
    whole = [f"u:{n}" for n, end in enumerate(ends) if end <= size and kinds[n % 3] == "response"]
    rows = read(path, "warc")
    found = [row["locator"] for row in rows if not row["rejected_by"]]
    assert found[: len(whole)] == whole
    assert len(found) <= len(whole) + 1  # the line breaks after the last record of a plain file may be cut
    harmless = {0, *(end - breaks for end in ends for breaks in range(1 if suffix else 5))}
    assert size in harmless or re.search(r"[\d,]+ bytes( at offset \d|\b)", rows[-1]["rejected_by"])
    if suffix and size:
        assert whole == _by_warcio(path)[: len(whole)]


def _by_warcio(path: Path) -> list[str]:
    found = []
    with path.open("rb") as stream:
        try:
            for one in ArchiveIterator(stream):
                if one.rec_type == "response":
                    one.content_stream().read()
                    found.append(one.rec_headers.get_header("WARC-Target-URI"))
        except Exception:
            pass
    return found


@pytest.mark.parametrize("suffix", PACKED)
@given(cut=st.floats(0, 1, exclude_max=True), many=st.integers(1, 3000))
@FAST
def test_a_cut_file_of_lines_says_that_it_is_cut(tmp_path: Path, suffix: str, cut: float, many: int) -> None:
    lines = [json.dumps({"text": f"{number} {zlib.crc32(b'%d' % number)}"}) for number in range(many)]
    whole = PACKERS[suffix]("\n".join(lines).encode())
    size = int(cut * len(whole))
    (tmp_path / f"x.jsonl{suffix}").write_bytes(whole[:size])
    rows = read(tmp_path / f"x.jsonl{suffix}", "jsonl")
    assert "damaged" in rows[-1]["rejected_by"] if size else "empty_file" in rows[0]["rejected_by"]
    sound = [row["text"] for row in rows if not row["rejected_by"]]
    assert sound == [json.loads(line)["text"] for line in lines[: len(sound)]]
    if suffix == ".gz" and size:
        unpacked = zlib.decompressobj(31).decompress(whole[:size])
        assert len(sound) >= unpacked.count(b"\n")


TABLE = pa.table({"text": [f"{n} " * (n % 50 + 1) for n in range(3000)], "url": [f"u:{n}" for n in range(3000)]})


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@given(seed=st.integers(0, 2**32))
@settings(FAST, max_examples=EXAMPLES // 4)
def test_a_damaged_page_of_parquet_costs_its_own_rows(tmp_path: Path, compression: str, seed: int) -> None:
    path = tmp_path / "x.parquet"
    options = {"row_group_size": 1000, "data_page_size": 2000, "write_page_checksum": True, "use_dictionary": False}
    pq.write_table(TABLE, path, compression=compression, **options)
    data, meta = bytearray(path.read_bytes()), pq.ParquetFile(path).metadata
    draw = random.Random(seed)
    group, column = draw.randrange(3), draw.randrange(2)
    chunk = meta.row_group(group).column(column)
    at = chunk.data_page_offset + draw.randrange(chunk.total_compressed_size)
    data[at] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))
    rows = read(path, "parquet", url="url")
    texts = [row["text"] for row in rows if not row["rejected_by"]]
    lost = [re.search(r"of ([\d,]+) rows", row["rejected_by"]) for row in rows if row["rejected_by"]]
    if column == 1:
        assert texts == TABLE["text"].to_pylist()
        named = [row["locator"] for row in rows if not row["rejected_by"] and row["locator"].startswith("u:")]
        assert len(named) + sum(int(found[1].replace(",", "")) for found in lost if found) == 3000
        return
    assert len(texts) + sum(int(found[1].replace(",", "")) for found in lost if found) == 3000
    others = [text for n, text in enumerate(TABLE["text"].to_pylist()) if n // 1000 != group]
    assert all(text in set(texts) for text in others)
    assert len(texts) >= 2000


@pytest.mark.parametrize(("flags", "sound"), [(0, True), (0x20, False), (0x80, False), (2, False)])
def test_gzip_headers_that_are_not_valid_are_damage(flags: int, sound: bool) -> None:
    """Reserved flags, and a checksum of the header that is not there."""
    member = bytearray(gzip.compress(b"text", mtime=0))
    member[3] = flags
    good = gzip.compress(b"good", mtime=0)
    file = Unpacked(io.BytesIO(bytes(member) + good), "x.gz")
    parts = [event.data for event in file if isinstance(event, MemberPart)]
    assert parts[-1] == b"good"
    assert file.account.damaged == (0 if sound else len(member))
