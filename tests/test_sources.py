"""What the web sends: every broken input is a counted record with a reason, and the others are read."""

import gzip
import hashlib
import io
import json
import os
import pickle
import re
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmedc.errors import RecipeError
from mmedc.recipe import Recipe, read_recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.sources import FORMATS, Reader, list_units
from tests.warcs import http, packed, page, record

GOOD = page("http://a.example/good", "<html><body><p>good</p></body></html>")


def read(
    source: dict[str, Any], start: int = 0, skip: frozenset[int] = frozenset(), **limits: Any
) -> list[dict[str, Any]]:
    recipe = Recipe.model_validate({"name": "t", "sources": {"s": source}, "limits": limits})
    rows: list[dict[str, Any]] = []
    for unit in list_units(recipe):
        for batch in Reader().read(unit.spec, start, skip):
            rows += batch.to_pylist()
    return rows


def warc(folder: Path, data: bytes, name: str = "x.warc.gz", **limits: Any) -> list[dict[str, Any]]:
    (folder / name).write_bytes(data)
    return read({"warc": str(folder / name)}, **limits)


def reasons(rows: list[dict[str, Any]]) -> list[str]:
    return [((row["rejected_by"] or row["dropped_by"] or "ok").partition(":")[0]) for row in rows]


def test_a_page_is_read_with_what_its_server_said(tmp_path: Path) -> None:
    rows = warc(tmp_path, packed(GOOD, page("http://a.example/2", "<p>два</p>", "windows-1251")))
    assert [row["locator"] for row in rows] == ["http://a.example/good", "http://a.example/2"]
    assert rows[1]["payload"] == "<p>два</p>".encode("windows-1251")
    assert (rows[1]["content_type"], rows[1]["charset"]) == ("text/html", "windows-1251")
    assert rows[0]["date"] == "2026-01-02T03:04:05Z"
    assert rows[1]["provenance"] == f"x.warc.gz#offset={len(packed(GOOD))}"


BOMB = gzip.compress(b"a" * (40 << 20), 9, mtime=0)
BAD = {
    "http_status": record("http://a.example/404", http(b"<p>no</p>", status=404)),
    "not_text": record("http://a.example/image", http(b"\x89PNG", "image/png")),
    "bad_http": record("http://a.example/odd", b"\x00\x01\x02 nothing like HTTP"),
    "bad_encoding": record("http://a.example/lie", http(b"\x1f\x8b" + b"not gzip at all", Content_Encoding="gzip")),
    "too_large": record("http://a.example/bomb", http(BOMB, Content_Encoding="gzip")),
}


@pytest.mark.parametrize("reason", BAD)
@pytest.mark.parametrize("compressed", [True, False])
def test_a_bad_page_costs_only_itself(tmp_path: Path, reason: str, compressed: bool) -> None:
    parts = (GOOD, BAD[reason], page("http://a.example/after", "<p>after</p>"))
    data, name = (packed(*parts), "x.warc.gz") if compressed else (b"".join(parts), "x.warc")
    rows = warc(tmp_path, data, name, document="1MiB")
    assert reasons(rows) == ["ok", reason, "ok"]


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        ("gzip", gzip.compress(b"<p>packed</p>")),
        ("deflate", zlib.compress(b"<p>packed</p>")),
        ("deflate", zlib.compress(b"<p>packed</p>")[2:-4]),
        ("zstd", zstandard.compress(b"<p>packed</p>")),
        ("gzip", b"<p>packed</p>"),  # archives that undid the coding and kept the header
        ("identity", b"<p>packed</p>"),
    ],
)
def test_http_codings_are_undone(tmp_path: Path, coding: str, encoded: bytes) -> None:
    rows = warc(tmp_path, packed(record("http://a.example/", http(encoded, Content_Encoding=coding))))
    assert rows[0]["payload"] == b"<p>packed</p>"


def test_chunks_are_joined(tmp_path: Path) -> None:
    body = b"4\r\n<p>a\r\n5;x=y\r\nb</p>\r\n0\r\n\r\n"
    rows = warc(tmp_path, packed(record("http://a.example/", http(body, Transfer_Encoding="chunked"))))
    assert rows[0]["payload"] == b"<p>ab</p>"
    rows = warc(tmp_path, packed(record("http://a.example/", http(b"<p>x</p>", Transfer_Encoding="chunked"))))
    assert rows[0]["payload"] == b"<p>x</p>"


def test_a_large_page_without_line_breaks_is_too_large(tmp_path: Path) -> None:
    body = b"<html>" + b"word " * (20 << 18)  # 26 MB on one line
    rows = warc(tmp_path, packed(record("http://a.example/", http(body)), GOOD))
    assert reasons(rows) == ["too_large", "ok"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<html>not a warc</html>", ["damaged"]),
        (b"\x1f\x8b\x08\x00 broken gzip", ["damaged"]),
        (packed(GOOD) + packed(GOOD)[:-40], ["ok", "truncated"]),
        (packed(GOOD) + b"garbage between the members" + packed(GOOD), ["ok", "damaged", "ok"]),
    ],
    ids=["html", "broken gzip", "truncated", "garbage"],
)
def test_damaged_files(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    rows = warc(tmp_path, data)
    assert reasons(rows) == expected
    assert "x.warc.gz" in rows[-1]["provenance"]


PAGES = [
    page(f"http://a.example/{number}", f"<p>{hashlib.sha256(bytes([number])).hexdigest() * 20}</p>")
    for number in range(6)
]
PLACES = [len(packed(*PAGES[:number])) for number in range(7)]


@given(st.integers(0, PLACES[6] - 1), st.integers(1, 255))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_costs_at_most_the_record_it_lies_in(tmp_path: Path, at: int, flip: int) -> None:
    data = bytearray(packed(*PAGES))
    data[at] ^= flip
    rows = warc(tmp_path, bytes(data))
    hit = next(number for number in range(6) if at < PLACES[number + 1])
    others = [f"http://a.example/{number}" for number in range(6) if number != hit]
    assert [row["locator"] for row in rows if row["locator"] in others and row["payload"]] == others
    # The damaged one is a reject, or damaged where it does not matter; never two, never another's bytes.
    rest = [row for row in rows if row["locator"] not in others]
    assert len(rest) <= 2
    whole = [row["payload"] for row in rows if row["locator"].endswith(f"/{hit}") and not row["rejected_by"]]
    assert len(whole) <= 1


@pytest.mark.parametrize("name", ["x.warc.gz", "x.warc"])
@pytest.mark.parametrize("wrong", [-500, -1, 1, 500, 1 << 20])
def test_a_wrong_length_costs_at_most_its_record(tmp_path: Path, name: str, wrong: int) -> None:
    records = list(PAGES)
    block = http(b"<p>liar</p>" + b"x" * 900)
    records[2] = record("http://a.example/2", block, length=len(block) + wrong)
    rows = warc(tmp_path, packed(*records) if name.endswith("gz") else b"".join(records), name)
    others = [f"http://a.example/{number}" for number in range(6) if number != 2]
    found = [row["locator"] for row in rows if row["locator"] != "http://a.example/2" and row["payload"]]
    assert found == others
    whole = b"".join(records) if name == "x.warc" else None
    for row in rows:
        if whole and row["payload"] and row["locator"] in others:
            at = int(row["provenance"].partition("offset=")[2])
            assert whole[at:].startswith(b"WARC/") and row["locator"].encode() in whole[at : at + 400]
    assert {"damaged", "truncated"} & set(reasons(rows)) or abs(wrong) == 1


def test_what_is_lost_is_reported(tmp_path: Path) -> None:
    hole = b"\x1f\x8b\x08 not a member " * 100_000  # longer than what is scanned at once
    rows = warc(tmp_path, packed(PAGES[0]) + hole + packed(PAGES[1]))
    assert reasons(rows) == ["ok", "damaged", "ok"]
    assert f"{len(hole):,} bytes at offset {len(packed(PAGES[0])):,} are damaged" in rows[1]["rejected_by"]


def parquet_bytes(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


WHOLE = {
    "warc": ("x.warc.gz", packed(GOOD)),
    "jsonl": ("x.jsonl", b'{"text": "a"}\n'),
    "files": ("x.txt", b"text"),
    "parquet": ("x.parquet", parquet_bytes(pa.table({"text": ["a"]}))),
}


@pytest.mark.parametrize("key", WHOLE)
@pytest.mark.parametrize("what", ["removed", "replaced by a folder"])
def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path, key: str, what: str) -> None:
    name, data = WHOLE[key]
    path = tmp_path / name
    path.write_bytes(data)
    units = list_units(Recipe.model_validate({"name": "t", "sources": {"s": {key: str(path)}}}))
    path.unlink()
    if what != "removed":
        path.mkdir()
    with pytest.raises(OSError, match=name):
        list(Reader().read(units[0].spec, 0, frozenset()))


@pytest.mark.parametrize("key", WHOLE)
@pytest.mark.parametrize("grows", [False, True])
def test_a_file_that_changes_after_it_is_listed_is_a_failure(tmp_path: Path, key: str, grows: bool) -> None:
    name, data = WHOLE[key]
    more = parquet_bytes(pa.table({"text": ["a", "b"] * 9})) if key == "parquet" else data * 2
    listed, read = (data, more) if grows else (more, data)
    path = tmp_path / name
    path.write_bytes(listed)
    units = list_units(Recipe.model_validate({"name": "t", "sources": {"s": {key: str(path)}}}))
    path.write_bytes(read)
    with pytest.raises(OSError, match=f"{len(listed)} bytes were listed, but {len(read)} could be read"):
        list(Reader().read(units[0].spec, 0, frozenset()))


def test_wet_is_text(tmp_path: Path) -> None:
    data = record("http://a.example/", "текст\n".encode(), "conversion", "text/plain")
    rows = warc(tmp_path, packed(data), "x.warc.wet.gz")
    assert (rows[0]["payload"].decode(), rows[0]["content_type"]) == ("текст\n", "text/plain")


@pytest.mark.parametrize("start", [0, 1, 3, 70, 129])
def test_reading_can_begin_anywhere(tmp_path: Path, start: int) -> None:
    pages = [page(f"http://a.example/{n}", f"<p>{n}</p>") for n in range(130)]
    (tmp_path / "x.warc.gz").write_bytes(packed(*pages))
    source = {"warc": str(tmp_path / "x.warc.gz")}
    assert read(source, start) == read(source)[start:]


def test_a_record_to_be_passed_over_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.warc").write_bytes(GOOD * 3)
    rows = read({"warc": str(tmp_path / "x.warc")}, 0, frozenset({1}))
    assert [row["ordinal"] for row in rows] == [0, 1, 2]
    assert [row["payload"] is None for row in rows] == [False, True, False]


def jsonl(folder: Path, data: bytes, name: str = "x.jsonl", **limits: Any) -> list[dict[str, Any]]:
    (folder / name).write_bytes(data)
    return read({"jsonl": str(folder / name), "url": "url"}, **limits)


LINES = [{"text": "eins", "url": "http://a.example/1"}, {"text": "zwei"}]
JSONL = "\n".join(map(json.dumps, LINES)).encode()


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    pack = {"gz": gzip.compress, "zst": zstandard.compress}.get(name.split(".")[-1], bytes)
    rows = jsonl(tmp_path, pack(JSONL), name)
    assert [(row["text"], row["locator"]) for row in rows] == [
        ("eins", "http://a.example/1"),
        ("zwei", f"{name}#line=2"),
    ]


def test_bad_json_lines(tmp_path: Path) -> None:
    data = (
        b'{"text": "a"}\nnot json\n[1]\n{"text": null}\n{"text": 5}\n\n{"text": "\\ud800 b"}\n'
        + b'{"text": "'
        + b"x" * 5000
    )
    rows = jsonl(tmp_path, data + b'"}\n{"text": "end", "url": "u"}\n', document=4096)
    assert reasons(rows) == ["ok", "bad_json", "bad_json", "no_text", "no_text", "ok", "too_large", "ok"]
    assert rows[5]["text"] == "\ufffd b"
    assert reasons(jsonl(tmp_path, gzip.compress(JSONL)[:-12], "y.jsonl.gz"))[-1] == "damaged"


def parquet(folder: Path, table: pa.Table, name: str = "x.parquet", **options: Any) -> Path:
    pq.write_table(table, folder / name, **options)
    return folder / name


def test_parquet_reads_only_what_is_named(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", None, "c"], "url": ["u1", "u2", None], "other": [b"\xff"] * 3})
    rows = read({"parquet": str(parquet(tmp_path, table)), "url": "url"})
    assert [(row["text"], row["locator"]) for row in rows] == [("a", "u1"), (None, "u2"), ("c", "x.parquet#row=2")]
    assert reasons(rows) == ["ok", "no_text", "ok"]


def test_a_large_parquet_file_is_cut_by_row_groups(tmp_path: Path) -> None:
    table = pa.table({"text": [f"text {n} " + str(n) * 50 for n in range(1000)]})
    path = parquet(tmp_path, table, row_group_size=100, compression="none")
    recipe = {"name": "t", "sources": {"s": {"parquet": str(path)}}}
    whole = list_units(Recipe.model_validate(recipe))
    cut = list_units(Recipe.model_validate({**recipe, "limits": {"unit": path.stat().st_size // 4}}))
    assert len(whole) == 1 and len(cut) > 2
    rows = [row for unit in cut for batch in Reader().read(unit.spec, 0, frozenset()) for row in batch.to_pylist()]
    assert [row["provenance"] for row in rows] == [f"x.parquet#row={n}" for n in range(1000)]
    assert [row["text"] for row in rows] == table["text"].to_pylist()


def test_bad_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, pa.table({"body": ["a"]}))
    with pytest.raises(RecipeError, match=r'no column "text"'):
        read({"parquet": str(path)})
    with pytest.raises(RecipeError, match=r'did you mean "body"'):
        read({"parquet": str(path), "text": "bodi"})
    data = path.read_bytes()
    for name, damaged in (("cut", data[:-10]), ("html", b"<html>")):
        (tmp_path / f"{name}.parquet").write_bytes(damaged)
        assert reasons(read({"parquet": str(tmp_path / f"{name}.parquet")})) == ["damaged"]
    (tmp_path / "cut.parquet").write_bytes(b"")
    assert reasons(read({"parquet": [str(path), str(tmp_path / "cut.parquet")], "text": "body"})) == [
        "ok",
        "empty_file",
    ]


def test_a_flipped_byte_of_parquet_is_found(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        pa.table({"text": ["some text here"]}),
        compression="none",
        write_page_checksum=True,
        use_dictionary=False,
        write_statistics=False,
    )
    data = bytearray(path.read_bytes())
    data[data.index(b"some text")] ^= 1
    path.write_bytes(bytes(data))
    assert reasons(read({"parquet": str(path)})) == ["damaged"]


def test_folders_of_files(tmp_path: Path) -> None:
    for name, body in (("b.html", b"<p>b</p>"), ("sub/a.txt", b"text"), ("c.pdf", b"%PDF"), ("empty.htm", b"")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(body)
    rows = read({"files": str(tmp_path)})
    assert [row["locator"] for row in rows] == ["b.html", "empty.htm", "sub/a.txt"]
    assert reasons(rows) == ["ok", "empty_file", "ok"]
    rows = read({"files": str(tmp_path / "*")})
    assert reasons(rows) == ["ok", "not_text", "empty_file"]


@pytest.mark.parametrize("suffix", ["", ".gz", ".bgz", ".zst", ".zstd", ".lz4"])
@pytest.mark.parametrize(
    ("key", "names", "data"),
    [
        ("warc", ["x.warc", "x.wet", "x.warc.wet"], GOOD),
        ("jsonl", ["x.jsonl", "x.json", "x.ndjson"], b'{"text": "a"}\n'),
        ("files", ["x.html", "x.htm", "x.xhtml", "x.txt", "x.md"], b"<p>a</p>"),
    ],
)
def test_a_folder_has_each_file_that_is_read_when_it_is_named(
    tmp_path: Path, key: str, names: list[str], data: bytes, suffix: str
) -> None:
    pack = {"": bytes, ".gz": gzip.compress, ".bgz": gzip.compress, ".lz4": lz4.frame.compress}
    for name in names:
        (tmp_path / (name + suffix)).write_bytes(pack.get(suffix, zstandard.compress)(data))
    assert reasons(read({key: [str(tmp_path / (name + suffix)) for name in names]})) == ["ok"] * len(names)
    assert reasons(read({key: str(tmp_path)})) == ["ok"] * len(names)


def test_globs_and_doubles(tmp_path: Path) -> None:
    for name in ("a/1.warc.gz", "a/b/2.warc.gz", "3.warc.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(packed(GOOD))

    def names(*patterns: str) -> list[str]:
        recipe = {"name": "t", "sources": {"s": {"warc": [str(tmp_path / p) for p in patterns]}}}
        return [unit.label for unit in list_units(Recipe.model_validate(recipe))]

    assert names("*.warc.gz") == ["s: 3.warc.gz"]
    assert names("**/*.warc.gz") == ["s: 3.warc.gz", "s: a/1.warc.gz", "s: a/b/2.warc.gz"]
    assert names("a/*.warc.gz", "a/1.warc.gz") == ["s: 1.warc.gz"]
    assert names("") == ["s: 3.warc.gz", "s: a/1.warc.gz", "s: a/b/2.warc.gz"]
    with pytest.raises(RecipeError, match="matches no file"):
        names("*.nothing")


def test_an_unknown_format_is_answered_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: t\nsources:\n  s:\n    kind: web\n    wacr: x.warc.gz\n")
    with pytest.raises(RecipeError, match=rf'^{path}:5: a source has no key "wacr"; did you mean "warc"\?'):
        list_units(read_recipe(str(path)))


def test_warc_field_names_in_any_case_and_line_ends_of_either_kind(tmp_path: Path) -> None:
    whole = page("u:1", "<p>one</p>\r\n\r\n<p>two</p>")
    head, _, block = whole.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    for change in (bytes.lower, bytes.upper, lambda name: name.replace(b"-", b"-x-").replace(b"-x-", b"-").title()):
        changed = [
            lines[0],
            *(change(name) + b":" + value for name, _, value in (one.partition(b":") for one in lines[1:])),
        ]
        for end in (b"\r\n", b"\n"):
            rows = warc(tmp_path, b"\r\n\n" + end.join(changed) + end + end + block + b"\n" + whole, "x.warc")
            assert [row["payload"] for row in rows] == [b"<p>one</p>\r\n\r\n<p>two</p>"] * 2


def test_a_page_that_says_it_is_cut_off_is_truncated(tmp_path: Path) -> None:
    for field in (b"WARC-Truncated: length", b"warc-truncated: disconnect", b"WARC-Segment-Number: 1"):
        cut = GOOD.replace(b"WARC-Date", field + b"\r\nWARC-Date")
        assert reasons(warc(tmp_path, cut + GOOD, "x.warc")) == ["truncated", "ok"]


def test_the_charset_of_a_resource_is_in_its_record(tmp_path: Path) -> None:
    text = "Сахарный диабет"
    data = record("u:1", text.encode("windows-1251"), "resource", "text/plain; charset=windows-1251")
    rows = warc(tmp_path, data, "x.warc")
    assert (rows[0]["payload"].decode("windows-1251"), rows[0]["charset"]) == (text, "windows-1251")


def test_records_of_unknown_type_and_without_a_length_are_reported(tmp_path: Path) -> None:
    odd = GOOD.replace(b"WARC-Type: response", b"WARC-Type: responze")
    bare = GOOD.replace(b"Content-Length: ", b"Content-Size: ", 1)
    rows = warc(tmp_path, odd + GOOD + bare + GOOD, "x.warc")
    assert reasons(rows) == ["damaged", "ok", "damaged", "ok"]


def test_an_archive_inside_an_archive_is_not_read_as_its_records(tmp_path: Path) -> None:
    inner = record("u:inner", GOOD * 2, "resource", "application/warc")
    assert reasons(warc(tmp_path, inner + GOOD, "x.warc")) == ["not_text", "ok"]


def test_first_bytes_decide_and_names_only_hint(tmp_path: Path) -> None:
    data = packed(GOOD)
    for name, content in (
        ("x.warc", data),
        ("x.warc.zst", data),
        ("y.warc.gz", GOOD),
        ("z.warc", zstandard.compress(GOOD)),
    ):
        assert reasons(warc(tmp_path, content, name)) == ["ok"], name
    assert reasons(jsonl(tmp_path, gzip.compress(JSONL), "x.jsonl")) == ["ok", "ok"]
    assert reasons(jsonl(tmp_path, JSONL, "x.jsonl.gz")) == ["ok", "ok"]
    (tmp_path / "a.html").write_bytes(gzip.compress(b"<p>a page</p>"))
    (tmp_path / "b.txt").write_bytes(b"<!DOCTYPE html><p>a page</p>")
    rows = read({"files": [str(tmp_path / "a.html"), str(tmp_path / "b.txt")]})
    assert [(row["payload"][-13:], row["content_type"]) for row in rows] == [(b"<p>a page</p>", "text/html")] * 2


@pytest.mark.parametrize(
    ("key", "data", "said"),
    [
        ("jsonl", GOOD, "x.data is a WARC, not JSON lines: use `warc:`"),
        ("jsonl", gzip.compress(GOOD), "x.data is a WARC, not JSON lines: use `warc:`"),
        ("jsonl", WHOLE["parquet"][1], "x.data is Parquet, not JSON lines: use `parquet:`"),
        ("jsonl", b'[\n{"text": "a"}\n]', "x.data is a JSON array, not JSON lines"),
        ("jsonl", b'[{"text": "a"}]', "x.data is a JSON array, not JSON lines"),
        ("jsonl", b'{\n"text": "a"\n}', "x.data is one JSON document of several lines"),
        (
            "jsonl",
            b'\n{"body": "a", "id": 1}\n',
            'no key "text" (text); it has: body, id. Write `text: body` in the source',
        ),
        ("jsonl", b'{"Text": "a"}\n', 'no key "text" (text); did you mean "Text"?'),
        ("jsonl", JSONL.decode().encode("utf-16"), "x.data is UTF-16, not UTF-8"),
        ("warc", JSONL, "x.data is JSON lines, not a WARC: use `jsonl:`"),
        ("parquet", packed(GOOD), "x.data is a WARC, not Parquet: use `warc:`"),
    ],
)
def test_a_source_of_another_format_is_refused_before_the_build(
    tmp_path: Path, key: str, data: bytes, said: str
) -> None:
    (tmp_path / "x.data").write_bytes(data)
    with pytest.raises(RecipeError) as raised:
        read({key: str(tmp_path / "x.data")})
    assert said in str(raised.value) and raised.value.exit_code == 2


def test_columns_and_keys_with_dots_numbers_and_times(tmp_path: Path) -> None:
    when = datetime(2024, 5, 6, 7, 8, 9, 500_000)
    table = pa.table({
        "doc.text": ["a", "b"], "meta": [{"id": 7}, {"id": None}], "at": pa.array([when, None], pa.timestamp("us")),
    })  # fmt: skip
    source = {"parquet": str(parquet(tmp_path, table)), "text": "doc.text", "url": "meta.id", "date": "at"}
    rows = read(source)
    assert [(row["text"], row["locator"], row["date"]) for row in rows] == [
        ("a", "7", "2024-05-06T07:08:09.5"),
        ("b", "x.parquet#row=1", None),
    ]
    zoned = pa.array([when], pa.timestamp("ms", "Europe/Paris"))
    table = pa.table({"text": ["a"], "at": zoned, "url": pa.array([5], pa.int64())})
    rows = read({"parquet": str(parquet(tmp_path, table)), "date": "at", "url": "url"})
    assert (rows[0]["locator"], rows[0]["date"]) == ("5", "2024-05-06T07:08:09.5Z")
    lines = [
        {"doc.text": "a", "doc": {"id": 12}, "at": 1714979289},
        {"doc": {"text": "b", "id": 3.5}, "at": "2024-05-06 07:08:09+02:00"},
        {"doc.text": "c", "at": 2024},
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows = read({"jsonl": str(tmp_path / "x.jsonl"), "text": "doc.text", "url": "doc.id", "date": "at"})
    assert [(row["text"], row["locator"], row["date"]) for row in rows] == [
        ("a", "12", "2024-05-06T07:08:09Z"),
        ("b", "3.5", "2024-05-06T07:08:09+02:00"),
        ("c", "x.jsonl#line=3", "2024"),
    ]


def test_a_column_that_occurs_twice_is_rejected(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    assert reasons(read({"parquet": str(parquet(tmp_path, table))})) == ["ambiguous_column"]
    table = pa.table([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], names=["text", "x", "x"])
    assert [row["text"] for row in read({"parquet": str(parquet(tmp_path, table))})] == ["a"]


def test_files_of_equal_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("a/one", "b/one", "c"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.jsonl").write_text(json.dumps({"text": folder}) + "\n")
        os.utime(tmp_path / folder / "x.jsonl", ns=(0, 0))
    patterns = [str(tmp_path / folder / "x.jsonl") for folder in ("a/one", "b/one", "c")]
    recipe = Recipe.model_validate({"name": "t", "sources": {"s": {"jsonl": [*patterns, patterns[0]]}}})
    units = list_units(recipe)
    assert len({unit.id for unit in units}) == len(units) == 3
    rows = read({"jsonl": patterns})
    assert [row["locator"] for row in rows] == ["a/one/x.jsonl#line=1", "b/one/x.jsonl#line=1", "c/x.jsonl#line=1"]


def test_names_in_capitals_in_other_bytes_and_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "A.HTML").write_bytes(b"<p>a</p>")
    (tmp_path / "b.TXT").write_bytes(b"b")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "again").symlink_to(tmp_path)
    (tmp_path / "loop.html").symlink_to(tmp_path / "loop.html")
    os.mkfifo(tmp_path / "pipe.html")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.html", "wb") as file:
        file.write(b"<p>e</p>")
    rows = read({"files": str(tmp_path)})
    assert dict(zip([row["locator"] for row in rows], reasons(rows), strict=True)) == {
        "A.HTML": "ok", "b.TXT": "ok", "caf\\xe9.html": "ok", "loop.html": "unreadable", "pipe.html": "unreadable",
    }  # fmt: skip
    (tmp_path / "x.jsonl").symlink_to(tmp_path / "x.jsonl")
    (tmp_path / "Y.JSONL").write_bytes(JSONL)
    assert reasons(read({"jsonl": str(tmp_path)})) == ["ok", "ok", "unreadable"]


def test_a_name_in_other_bytes_and_its_written_form_are_two_names(tmp_path: Path) -> None:
    names = {rb"\xff\xfe.txt": "written", b"\xff\xfe.txt": "bytes", rb"\xff\xfe#2.txt": "numbered"}
    for name, text in names.items():
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(text.encode())
    rows = read({"files": str(tmp_path)})
    assert {row["payload"].decode(): row["locator"] for row in rows} == {
        "written": r"\xff\xfe.txt", "bytes": r"\xff\xfe#3.txt", "numbered": r"\xff\xfe#2.txt",
    }  # fmt: skip


def test_a_link_to_a_file_that_is_gone_fails_its_unit(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<p>a</p>")
    (tmp_path / "b.html").symlink_to(tmp_path / "none.html")
    with pytest.raises(FileNotFoundError):
        read({"files": str(tmp_path)})


def test_every_format_has_what_its_row_needs() -> None:
    """A new format is one file and one row: this holds for all of them."""
    keys = [known.key for known in FORMATS]
    assert len(set(keys)) == len(keys) and not set(keys) & set(SourceConfig.model_fields)
    for known in FORMATS:
        assert known.suffixes and known.bytes_per_s > 0 and known.reader.version >= 1
        assert pickle.loads(pickle.dumps(known.reader)) == known.reader


@pytest.mark.parametrize(
    ("data", "keys", "said"),
    [
        (b'[{"text": "a"}]', {}, "x.jsonl is a JSON array, not JSON lines"),
        (b"WARC/1.0\r\nWARC-Type: warcinfo\r\n\r\n", {}, "x.jsonl is a WARC, not JSON lines: use `warc:`"),
        (b"", {}, r"its only file is empty \(x.jsonl\)"),
        (b"hello\nworld\n", {}, "x.jsonl is not JSON lines: none of its first 2 lines is an object"),
        (b'{"body": "a"}\n' * 3, {}, r'none of its first 3 lines has .* \(text\); it has: body. Write `text: body`'),
        (b'{"text": "a", "link": "u"}\n', {"url": "lnk"}, r'no key "lnk" \(url\); did you mean "link"'),
        (b'{"text": "a", "meta": {"dat": 1}}\n', {"date": "meta.date"}, r'no key "meta.date" \(date\)'),
    ],
)  # fmt: skip
def test_a_jsonl_source_that_is_none_is_refused_at_once(tmp_path: Path, data: bytes, keys: Any, said: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    (tmp_path / "r.yaml").write_text(json.dumps({"name": "t", "sources": {"s": {"jsonl": "x.jsonl", **keys}}}))
    with pytest.raises(RecipeError, match=said):
        list_units(read_recipe(str(tmp_path / "r.yaml")))


def test_a_key_that_only_some_lines_have_is_there(tmp_path: Path) -> None:
    data = (
        b'{"text": "a"}\nno json\n' + b'{"text": "b"}\n' * 20 + b'{"text": "c", "date": 2020, "meta": {"id": null}}\n'
    )
    (tmp_path / "x.jsonl").write_bytes(data)
    rows = read({"jsonl": str(tmp_path / "x.jsonl"), "date": "date", "url": "meta.id"})
    assert rows[-1]["date"] == "2020" and reasons(rows).count("ok") == 22


EPUB = b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip"


@pytest.mark.parametrize(
    ("key", "name", "data", "said"),
    [
        ("warc", "thread.html", b"<!DOCTYPE html><p>a page</p>", "is a page, not a WARC: use `files:`"),
        ("warc", "notes.txt", b"Asthma is common.", "is plain text, not a WARC: use `files:`"),
        ("warc", "x.epub", EPUB, "is an EPUB, not a WARC: use `books:`"),
        ("files", "pages.warc.gz", gzip.compress(GOOD), "is a WARC, not a page or text: use `warc:`"),
        ("files", "x.nxml", b"<article></article>", "is an article (JATS), not a page or text: use `books:`"),
        ("books", "x.jsonl", JSONL, "is JSON lines, not a book or an article: use `jsonl:`"),
    ],
)  # fmt: skip
def test_a_file_that_a_source_names_is_refused_where_another_key_reads_it(
    tmp_path: Path, key: str, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RecipeError, match=re.escape(f"{name} {said}")):
        list_units(Recipe.model_validate({"name": "t", "sources": {"s": {key: str(tmp_path / name)}}}))


def test_a_folder_without_files_of_the_format_says_which_key_reads_what_it_has(tmp_path: Path) -> None:
    for name in ("a.epub", "b.epub", "c.pdf", "d.jsonl"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RecipeError, match=r"it has \.epub, \.pdf: use `books:`; \.jsonl: use `jsonl:`"):
        list_units(Recipe.model_validate({"name": "t", "sources": {"s": {"files": str(tmp_path)}}}))


def test_every_source_that_matches_nothing_is_named_with_its_line_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_bytes(b'{"text": "a"}\n')
    (tmp_path / "r.yaml").write_text(
        "name: t\nsources:\n  a: {jsonl: page.jsonl}\n  b: {jsonl: pages.jsonl}\n  c: {warc: none/*.gz}\n"
    )
    with pytest.raises(RecipeError) as raised:
        list_units(read_recipe(str(tmp_path / "r.yaml")))
    first, second = str(raised.value).splitlines()
    assert (
        'r.yaml:3: "sources.a.jsonl": source "a": page.jsonl matches no file' in first
        and 'has "pages.jsonl"; did you mean that?' in first
    )
    assert 'r.yaml:5: "sources.c.warc": source "c": none/*.gz matches no file' in second
