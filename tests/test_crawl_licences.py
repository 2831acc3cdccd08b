"""A licence that a page states comes through the crawler's WARC file into the document, with what states it."""

from pathlib import Path
from random import Random

from mmedc.api import build
from mmedc.crawl.archive import records_of, warcinfo
from mmedc.crawl.types import Fetched
from mmedc.recipe import Recipe
from tests.crawlweb.texts import article

BY, SA, NC = (f"https://creativecommons.org/licenses/{kind}/4.0/" for kind in ("by", "by-sa", "by-nc"))
STATED = {
    "link": (f'<link rel="license" href="{BY}">', "", ("CC-BY-4.0", "page:link")),
    "anchor": (
        "",
        f'<p>Text under <a rel="license" href="{SA}">this licence</a></p>',
        ("CC-BY-SA-4.0", "page:rel=license"),
    ),
    "footer": ("", f'<footer>This page: <a href="{NC}">CC BY-NC</a></footer>', ("CC-BY-NC-4.0", "page:sentence")),
    "data": (
        f'<script type="application/ld+json">{{"@type": "MedicalWebPage", "license": "{BY}"}}</script>',
        "",
        ("CC-BY-4.0", "page:json-ld"),
    ),
    "photo": (
        "",
        f'<figure><figcaption>Photo: <a href="{BY}">CC BY</a></figcaption></figure>',
        ("OGL-UK-3.0", "source"),
    ),
    "none": ("", "", ("OGL-UK-3.0", "source")),
}


def test_licences_of_crawled_pages_reach_their_documents(tmp_path: Path) -> None:
    records = [warcinfo("x.warc.gz", "mmedc (https://example.org/bot)", 1.0)]
    for number, (name, (head, foot, _)) in enumerate(STATED.items()):
        title, paragraphs = article("en", True, Random(number))
        text = "".join(f"<p>{part}</p>" for part in paragraphs)
        main = f"<main><h1>{title}</h1>{text}</main>"
        page = f"<html><head><title>{title}</title>{head}</head><body>{main}{foot}</body></html>"
        headers = ((b"Content-Type", b"text/html; charset=utf-8"),)
        fetched = Fetched(
            f"https://h.example/{name}", "192.0.2.1", 200, headers, page.encode(), b"GET / HTTP/1.1\r\n\r\n"
        )
        records += records_of(fetched, [("medical-score", "0.9")])
    (tmp_path / "x.warc.gz").write_bytes(b"".join(records))
    source = {"warc": str(tmp_path / "x.warc.gz"), "licence": "OGL-UK-3.0"}
    recipe = Recipe.model_validate(
        {"name": "t", "languages": ["en"], "sources": {"s": source}, "dedup": {"minhash": False}}
    )
    corpus = build(recipe, str(tmp_path / "out"), inline=True)
    rows = [
        row
        for batch in corpus.documents(columns=["locator", "licence", "licence_evidence"])
        for row in batch.to_pylist()
    ]
    found = {row["locator"].rpartition("/")[2]: (row["licence"], row["licence_evidence"]) for row in rows}
    assert found == {name: expected for name, (_, _, expected) in STATED.items()}
