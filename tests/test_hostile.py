"""Bad inputs, each through the whole chain of a build: kept, dropped or rejected with a reason, and nothing hangs.

The list in docs/explanation/security.md is this one; a test compares them.
"""

import gzip
import io
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from mmedc.engine.chain import check_funnel
from mmedc.engine.commit import read_table
from mmedc.engine.run import run_unit
from mmedc.errors import RecipeError, RequestError
from mmedc.filters import open_filters
from mmedc.models import model_cache
from mmedc.pipeline.ingest import ingest_pass
from mmedc.policy import Policy, read_policy
from mmedc.recipe import Recipe, read_recipe
from mmedc.redact import HIDDEN, redact
from mmedc.sources import list_units
from mmedc.storage import Store
from tests.warcs import html, http, packed, page, record

ROOT = Path(__file__).parent.parent
MB = 1 << 20
TEXT = [
    f"Case {case}. " + "The patient was treated for hypertension and diabetes; blood pressure fell under therapy. " * 4
    for case in range(6)
]
WORDS = b"hypertension, diabetes, fever, cough and asthma"
GOOD = html("Hypertension", TEXT)


def fates(
    source: dict[str, Any], policy: Policy, folder: Path, extract: str = "mmedc", **limits: Any
) -> dict[str, str]:
    """Run ingest over a source with the parser process in between; return what became of each locator."""
    limits = {"document": "4MiB", "document_seconds": 1.5, "memory": "1500MiB", **limits}
    given = {"name": "t", "languages": ["en"], "sources": {"s": source}, "extract": extract, "limits": limits}
    recipe = Recipe.model_validate(given)
    one = ingest_pass(recipe, policy, list_units(recipe))
    store, found = Store(str(folder)), {}
    for unit in one.units:
        left = run_unit(one.work, one.folder, unit, store, lambda *_: None).left
        check_funnel(left.funnel, "here")
        for row in read_table(store, left.removed).to_pylist():
            found[row["locator"]] = row["reason"]
            assert row["reason"] and row["step"]
        for locator in read_table(store, left.documents, ["locator"])["locator"].to_pylist():
            found[locator] = "kept"
        assert left.funnel["read"].read == len(found)
    return found


PAGES: dict[str, tuple[bytes, str]] = {
    "1,001 nested elements": (b"<div>" * 1001 + WORDS + b"</div>" * 1001, "too_deep"),
    "200,000 nested elements (2.2 MB)": (b"<div>" * 200_000 + WORDS + b"</div>" * 200_000, "too_many_nodes"),
    "100,000 nested elements without an end": (b"<b>" * 100_000 + WORDS, "too_deep"),
    "400,000 line breaks": (b"<br>" * 400_000 + WORDS, "too_many_nodes"),
    "30,000 scripts without an end": (b"<script>" * 30_000, "prefilter"),
    "a page of 5 MB on one line": (b"<p>" + b"word " * MB, "too_large"),
    "one element with 20,000 attributes": (b"<p " + b"".join(b"a%d=1 " % n for n in range(20_000)) + b">", "prefilter"),
    "500,000 character references": (b"<p>" + b"&lt;" * 500_000, "prefilter"),
    "a page that is all NUL": (b"\0" * 10_000, "binary"),
    "random bytes": (random.Random(1).randbytes(20_000), "undecodable"),
    "an empty file": (b"", "empty_file"),
    "only a byte-order mark": (b"\xff\xfe", "prefilter"),
    "UTF-16 with half a character at the end": (b"\xff\xfe" + GOOD.encode("utf-16-le")[:-1], "kept"),
    "a page with overlong UTF-8 and lone surrogates": (GOOD.encode() + b"\xc0\xaf\xed\xa0\x80", "kept"),
    "a page with NUL, bidi and escape characters": (
        GOOD.replace("blood", "\0\u202eblood\x1b]0;x\x07").encode(), "kept"),
    "a page that says it is in a charset it is not": (
        b'<meta charset="shift_jis">' + GOOD.encode().replace(b"blood", "blóöd".encode()), "kept"),
    "a page of a charset that is none": (b'<meta charset="no-such-thing">' + GOOD.encode(), "kept"),
    "a PDF that is named .html": (b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n%%EOF\n", "not_text"),
}  # fmt: skip


def test_hostile_pages(tmp_path: Path, policy: Policy) -> None:
    (tmp_path / "in").mkdir()
    names = {f"p{number:03d}.html": what for number, what in enumerate(PAGES)}
    for name, what in names.items():
        (tmp_path / "in" / name).write_bytes(PAGES[what][0])
    begun = time.monotonic()
    found = fates({"files": str(tmp_path / "in")}, policy, tmp_path / "out")
    assert time.monotonic() - begun < 60  # the limits of all of them together: none hangs
    assert {what: found[name] for name, what in names.items()} == {what: fate for what, (_, fate) in PAGES.items()}


def test_a_parser_that_hangs_on_depth_is_killed_at_its_limit(tmp_path: Path, policy: Policy) -> None:
    """With the guard of depth lifted, a page over which trafilatura takes a minute is cut off."""
    words = "blood pressure hypertension patient therapy diabetes "
    (tmp_path / "in").mkdir()
    deep = f"<p>{words * 30}</p>" + "<div>" * 150_000 + words + "</div>" * 150_000
    (tmp_path / "in" / "a.html").write_text(GOOD)
    (tmp_path / "in" / "b.html").write_text(f"<html><body>{deep}</body></html>")
    (tmp_path / "in" / "c.html").write_text(GOOD)
    limits = {"html_depth": 10**9, "html_nodes": 10**9}
    found = fates({"files": str(tmp_path / "in")}, policy, tmp_path / "out", "trafilatura", **limits)
    assert found == {"a.html": "kept", "b.html": "timeout", "c.html": "kept"}


def jsonl(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


GOOD_TEXT = " ".join(TEXT)
GOOD_LINE = json.dumps({"text": GOOD_TEXT}).encode()
LINES: dict[str, tuple[bytes, str]] = {
    "a line of 5 MB": (b'{"text": "' + b"x" * 5 * MB + b'"}', "too_large"),
    "100,000 nested lists": (b"[" * 100_000, "bad_json"),
    "half an object": (b'{"text": "abc', "bad_json"),
    "a number of a million digits": (b'{"text": ' + b"9" * 1_000_000 + b"}", "bad_json"),
    "a text that is a number": (b'{"text": 5}', "no_text"),
    "a text that is null": (b'{"text": null}', "no_text"),
    "bytes that are not UTF-8": (b'{"text": "\xff\xfe"}', "bad_json"),
    "lone surrogates": (json.dumps({"text": "\ud800" + GOOD_TEXT}).encode(), "kept"),
    "a list, not an object": (b"[1, 2]", "bad_json"),
}


def test_hostile_lines(tmp_path: Path, policy: Policy) -> None:
    lines = [line for bad, _ in LINES.values() for line in (bad, GOOD_LINE)]
    (tmp_path / "x.jsonl").write_bytes(jsonl(*lines))
    found = fates({"jsonl": str(tmp_path / "x.jsonl")}, policy, tmp_path / "out")
    assert [found[f"x.jsonl#line={n * 2 + 1}"] for n in range(len(LINES))] == [fate for _, fate in LINES.values()]
    assert all(found[f"x.jsonl#line={n * 2 + 2}"] == "kept" for n in range(len(LINES)))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
@pytest.mark.parametrize("broken_up", [True, False], ids=["lines", "one line"])
def test_a_bomb_of_lines_is_read_no_further(
    tmp_path: Path, policy: Policy, pack: Callable[[bytes], bytes], broken_up: bool
) -> None:
    bomb = (b'{"text": "x"}' + b" " * 20_000 + b"\n") * 6_000 if broken_up else b"x" * (120 * MB)
    path = tmp_path / f"x.jsonl.{'gz' if pack is gzip.compress else 'zst'}"
    path.write_bytes(pack(GOOD_LINE + b"\n" + bomb))
    found = fates({"jsonl": str(path)}, policy, tmp_path / "out")
    assert found[f"{path.name}#line=1"] == "kept" and found[f"{path.name}#bomb"] == "bomb"


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def flipped(data: bytes) -> bytes:
    at = data.index(GOOD_TEXT[:20].encode()) + 5
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


GOOD_TABLE = pa.table({"text": [GOOD_TEXT, GOOD_TEXT + " More of it."]})
INVALID = pa.array([GOOD_TEXT.encode(), b"\xff\xfe bytes", GOOD_TEXT.encode()], pa.binary())
TABLES: dict[str, tuple[bytes, dict[str, int]]] = {
    "cut off in the middle": (parquet(GOOD_TABLE)[:-30], {"damaged": 1}),
    "a flipped byte under page checksums": (
        flipped(
            parquet(
                GOOD_TABLE, compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True
            )
        ),
        {"damaged": 1},
    ),
    "a table of other columns": (parquet(pa.table({"x": [1]})), {"no_column": 1}),
    "texts that are numbers": (parquet(pa.table({"text": [1, 2]})), {"prefilter": 2}),
    "texts that are lists": (parquet(pa.table({"text": [["a"], ["b"]]})), {"no_text": 1}),
    "one text of three that is not UTF-8": (parquet(pa.table({"text": INVALID})), {"kept": 2, "no_text": 1}),
    "the same, in a column that says it is text": (
        parquet(pa.table({"text": pa.StringArray.from_buffers(3, *INVALID.buffers()[1:])})),
        {"kept": 2, "no_text": 1},
    ),
    "40 kB that unpack to 300 MB": (
        parquet(pa.table({"text": pa.array(["x" * MB] * 300).dictionary_encode()})),
        {"prefilter": 300},
    ),
    "rows that are each too large": (parquet(pa.table({"text": ["x" * 5 * MB] * 3})), {"too_large": 3}),
    "not Parquet at all": (b"<html>404</html>", {"damaged": 1}),
    "only the first and last four bytes of one": (b"PAR1\xff\xff\xff\x7fPAR1", {"damaged": 1}),
}


@pytest.mark.parametrize("what", TABLES)
def test_hostile_tables(tmp_path: Path, policy: Policy, what: str) -> None:
    data, expected = TABLES[what]
    (tmp_path / "x.parquet").write_bytes(data)
    if "other columns" in what:
        with pytest.raises(RecipeError, match='has no column "text"'):
            fates({"parquet": str(tmp_path / "x.parquet")}, policy, tmp_path / "out")
        return
    found = list(fates({"parquet": str(tmp_path / "x.parquet")}, policy, tmp_path / "out").values())
    assert {fate: found.count(fate) for fate in found} == expected


BOMB = gzip.compress(b"\0" * (300 * MB), 9)
ARCHIVES: dict[str, tuple[bytes, list[str]]] = {
    "a page that unpacks to 300 MB": (packed(record("u:bad", http(BOMB, Content_Encoding="gzip"))), ["too_large"]),
    "a record of 300 MB of nothing": (packed(record("u:bad", b"\0" * (300 * MB))), ["too_large"]),
    "a length that lies by a terabyte": (packed(record("u:bad", http(b"x"), length=10**12)), ["too_large"]),
    "a length below zero": (packed(record("u:bad", http(b"x"), length=-5)), ["damaged"]),
    "a chunk size that lies": (
        packed(record("u:bad", http(b"ffffffff\r\nx", Transfer_Encoding="chunked"))), ["truncated"]),
    "a header of a megabyte": (packed(record("u:bad", http(b"<p>x", X="y" * MB))), ["prefilter"]),
    "a flipped byte in a member": (packed(page("u:bad", GOOD))[:-200] + b"\0" * 200, ["truncated"]),
    "garbage between records": (b"\0garbage" * 100, ["damaged"]),
}  # fmt: skip


@pytest.mark.parametrize("what", ARCHIVES)
def test_hostile_archives(tmp_path: Path, policy: Policy, what: str) -> None:
    data, expected = ARCHIVES[what]
    good = packed(page("u:before", GOOD)), packed(page("u:after", GOOD))
    (tmp_path / "x.warc.gz").write_bytes(good[0] + data + good[1])
    found = fates({"warc": str(tmp_path / "x.warc.gz")}, policy, tmp_path / "out")
    assert found.pop("u:before") == found.pop("u:after") == "kept"
    assert list(found.values()) == expected


RECIPE = "name: x\nsources: {a: {jsonl: x.jsonl}}\n"
RECIPES: dict[str, tuple[bytes, str]] = {
    "a tag that runs code": (b"name: !!python/object/apply:os.system ['touch owned']\n", "recipe.yaml"),
    "aliases that stand for 43 million values": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(8)),
        "more than 200,000 values",
    ),
    "5,000 nested lists": (b"a: " + b"[" * 5000, "recipe.yaml"),
    "a key that stands twice": (b"name: x\nname: y\n", "duplicate key"),
    "an unknown key": (RECIPE.encode() + b"languges: [en]\n", 'did you mean "languages"'),
    "a file that is not UTF-8": (b"name: \xff\n", "not UTF-8"),
    "a file of 5 MB": (b"# x\n" * (5 * MB // 4), "at most"),
    "a language that is `no`": (RECIPE.encode() + b"languages: [no]\n", "no"),
    "a source named ../../etc": (b"name: x\nsources: {../../etc: {jsonl: x.jsonl}}\n", "a-z, 0-9"),
    "a name with a slash": (b"name: a/../b\nsources: {a: {jsonl: x.jsonl}}\n", "a-z, 0-9"),
    "a password in a path": (b"name: x\nsources: {a: {jsonl: 's3://me:hunter2hunter2@b/x.jsonl'}}\n", "a secret"),
    "a signed URL": (b"name: x\nout: 's3://b/x?X-Amz-Signature=abcdef0123456789'\n", "a secret"),
}


@pytest.mark.parametrize("what", RECIPES)
def test_hostile_recipes(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, expected = RECIPES[what]
    (tmp_path / "recipe.yaml").write_bytes(data)
    if what == "a language that is `no`":
        recipe = read_recipe("recipe.yaml")
        assert recipe.languages == ("no",)
        with pytest.raises(RequestError, match=expected):
            read_policy("balanced", recipe.languages)
        return
    with pytest.raises(RecipeError) as raised:
        read_recipe("recipe.yaml")
    assert expected in str(raised.value) and "hunter2" not in str(raised.value)
    assert not (tmp_path / "owned").exists()


def test_a_model_that_is_not_the_known_one_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flipped bits in a fastText model made its loader spin, so no byte of it is parsed before its hash is known."""
    data = bytearray(Path(open_filters().model("lid").path).read_bytes())
    data[len(data) // 2] ^= 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model_cache().mkdir(parents=True)
    (model_cache() / "lid.176.ftz").write_bytes(data)
    with pytest.raises(RequestError, match="SHA-256"):
        open_filters().model("lid")


SECRETS = {
    "s3://user:pa55word@host/x": "s3://user:…secret…@host/x",
    "https://b.example/x?X-Amz-Signature=0123abcd&y=1": "https://b.example/x?X-Amz-Signature=…secret…&y=1",
    "Authorization: Bearer abcdefgh12345": "Authorization: Bearer …secret…",
    "aws_secret_access_key = wJalrXUtnFEMI": "aws_secret_access_key = …secret…",
    "key AKIAIOSFODNN7EXAMPLE is": "key …secret… is",
    "401 for token=abcdefgh12345": "401 for token=…secret…",
    "token hf_abcdefghijklmnopqrst here": "token …secret… here",
    "nothing of the kind: 10:30, a@b.example, /a/b?c=d": "nothing of the kind: 10:30, a@b.example, /a/b?c=d",
}


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_known_by_their_form(text: str) -> None:
    assert redact(text) == SECRETS[text]


def test_secrets_are_known_by_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-a-secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/home/me/token-file")
    assert redact("it said quite-a-secret twice: quite-a-secret") == f"it said {HIDDEN} twice: {HIDDEN}"
    assert redact("/home/me/token-file") == "/home/me/token-file"


def test_the_list_of_bad_inputs_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
    tried = [*PAGES, *LINES, *TABLES, *ARCHIVES, *RECIPES]
    assert not [what for what in tried if f"| {what} |" not in text]
