"""Corpora for the tests of `mmedc inspect`: one with hostile documents, and clients of its pages."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from starlette.testclient import TestClient

from mmedc.document import DOCUMENT, MEASURES, document_id
from mmedc.inspect.app import make_app
from mmedc.inspect.looked import Looked

ORIGIN = "http://localhost"
HOSTILE = {
    "script": "<script>window.hit = 1; alert(1)</script>",
    "onerror": "<img src=x onerror=\"window.hit = 2; alert(2)\"> <a href='//evil.example/'>x</a>",
    "json": '{"a": "</script><script>window.hit = 3</script>"}',
    "template": "{{ 7*7 }} ${7*7} {% raw %} <%= 7*7 %> #{7*7}",
    "svg": "<svg onload='window.hit = 5'><use href='http://evil.example/x.svg#a'/></svg>",
    "link": "<a href=\"javascript:window.hit=6\">click</a> <meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "terminal": "red \x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://evil.example/\x07link\x1b]8;;\x07 \x9b2J",
    "bidi": "safe \u202egnp.exe\u202c \u2066inner\u2069 \u200b\u200d end\u061c",
    "null": "before\x00after \x07\x08\x7f \ufeff\ufffe",
    "line": "A" * 70_000 + "<b>" + "字" * 10_000,
    "header": "text of a document whose address breaks lines",
    "traversal": "text of a document whose address leaves its folder",
}
LOCATORS = {
    "script": "javascript:alert(1)",
    "onerror": '"><img src=x onerror=alert(1)>',
    "header": "x\r\nSet-Cookie: a=b\r\n\r\n<script>window.hit = 11</script>.pdf",
    "traversal": "../../../../etc/passwd.pdf#pages=1",
}
SOURCE = 'pages"><script>alert(1)</script>'


def hostile_corpus(quickstart: Path, folder: Path) -> Path:
    """Write a corpus of twelve hostile documents, described by the manifest of another one."""
    rows = []
    for name, text in HOSTILE.items():
        locator = LOCATORS.get(name, f"https://hostile.example/{name}")
        row = dict.fromkeys(DOCUMENT.names) | dict.fromkeys(MEASURES, 0.5)
        row |= {"id": document_id(SOURCE, locator), "text": text, "lang": "en", "source": SOURCE, "kind": "web"}
        row |= {"locator": locator, "licence": "unknown", "tokens": 10, "provenance": locator, "title": text[:60]}
        rows.append(row)
    table = pa.Table.from_pylist(rows, schema=DOCUMENT)
    path = folder / "data/en/pages-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    manifest = json.loads((quickstart / "manifest.json").read_text())
    shard = {"path": "data/en/pages-00000-of-00001.parquet", "rows": len(rows), "bytes": path.stat().st_size}
    shard |= {"sha256": "0" * 64, "lang": "en", "source": SOURCE, "kind": "web", "tokens": 120, "text_bytes": 1}
    manifest |= {"shards": [shard], "rejects": [], "name": "<script>window.hit = 20</script>", "keys": None}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def looked_at(corpus: Path, marks: Path) -> Looked:
    """Open a corpus and wait until its catalog is made."""
    looked = Looked(str(corpus), marks)
    assert looked.view().catalog.done.wait(60)
    assert not looked.view().catalog.problem
    return looked


def client_of(looked: Looked, **how: object) -> TestClient:
    """Return a client of the pages."""
    return TestClient(make_app(looked, **how), base_url=ORIGIN, headers={"origin": ORIGIN})  # type: ignore[arg-type]
