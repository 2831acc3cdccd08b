"""Wishes of pages in archives that they are not used to train models: on record, or honoured."""

import gzip
from pathlib import Path

import pytest

from mmedc.api import open_corpus
from mmedc.engine.run import Inline
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.licences import COLUMNS, licences_of
from mmedc.wishes import in_headers, in_page
from tests.conftest import Notes

TEXT = "".join(
    f"<p>The patient {name} had asthma and a painful swelling of the knee joint; the physician prescribed ibuprofen, "
    f"and the symptoms of the disease improved within {number} days of treatment in the hospital.</p>"
    for number, name in enumerate(
        ("of Monday", "of Tuesday", "of Friday", "in room seven", "from Oslo", "aged forty"), 2
    )
)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"x-robots-tag": ["noai, nofollow"]}, ["X-Robots-Tag: noai"]),
        ({"x-robots-tag": ["otherbot: noindex", "unavailable_after: 2030"]}, []),
        ({"tdm-reservation": ["1"]}, ["tdm-reservation: 1"]),
        ({"content-usage": ["search=y, train-ai=n"]}, ["content-usage: train-ai=n"]),
        ({"content-signal": ["ai-train=yes"], "tdm-reservation": ["0"]}, []),
    ],
)
def test_headers(fields: dict[str, list[str]], found: list[str]) -> None:
    assert in_headers(fields) == found


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<meta name="robots" content="NoAI, noimageai">', ["meta: noai"]),
        ("<META content=noindex name=robots>", ["meta: noindex"]),
        ('<meta name="otherbot" content="noai">', []),
        ("<meta name='tdm-reservation' content='1'/>", ["meta: tdm-reservation=1"]),
        ('<body><meta name="robots" content="noai">', []),
        ('<p>&lt;meta name="robots" content="noai"&gt;', []),
    ],
)
def test_elements(html: str, found: list[str]) -> None:
    assert in_page(f"<html><head></head>{html}".encode()) == found


def record(number: int, headers: str, head: str) -> bytes:
    page = f"<html><head><title>Case {number}</title>{head}</head><body><article><h1>Case {number}</h1>"
    # Words of its own, so that no page is a duplicate of another.
    page += TEXT.replace("patient", f"patient{number}").replace("days", f"days{number}") + "</article></body></html>"
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{headers}\r\n".encode() + page.encode()
    lines = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/{number}\r\n"
    lines += f"Content-Type: application/http\r\nContent-Length: {len(http)}\r\n\r\n"
    return gzip.compress(lines.encode() + http + b"\r\n\r\n")


def test_a_wish_is_on_record_or_honoured(tmp_path: Path) -> None:
    records = [
        record(1, "", ""),
        record(2, "X-Robots-Tag: noai\r\n", ""),
        record(3, "", '<meta name="robots" content="noarchive">'),
    ]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(records))
    (tmp_path / "r.yaml").write_text(
        "name: x\nlanguages: [en]\nmedical: {policy: recall}\ndedup: {minhash: false}\n"
        "sources: {a: {warc: a.warc.gz, licence: CC0-1.0}}\n"
    )
    for mode, kept in (("record", 3), ("honour", 1)):
        out = tmp_path / mode
        recipe = read_recipe(str(tmp_path / "r.yaml"), [f"opt_outs={mode}"])
        manifest = Build.prepare(recipe, str(out)).run(Inline(), Notes())
        rows = [row for batch in open_corpus(out).documents() for row in batch.to_pylist()]
        assert manifest.documents == kept, manifest.funnel
        evidence = {row["locator"][-1]: row["licence_evidence"] for row in rows}
        if mode == "record":
            assert evidence == {
                "1": "source",
                "2": "source; opt-out X-Robots-Tag: noai",
                "3": "source; opt-out meta: noarchive",
            }
            (one,) = licences_of(manifest, open_corpus(out).documents(columns=COLUMNS)).licences
            assert (one.evidence, one.reserved) == ({"source": 3}, 2) and open_corpus(out).stats().reserved == 2
        else:
            extract = next(row for row in manifest.funnel if row.step == "extract")
            assert extract.dropped == {"opted_out": 2}
