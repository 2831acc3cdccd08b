"""Shows pages and what becomes of them side by side in one HTML file, to be looked at.

    python benchmarks/seen_pages.py --warc FOLDER [--warc FOLDER …] --out FOLDER [--pages 100] [--site 12]

The pages are those with the least hashes of their URLs, at most `--site` from a site. The left column is the page
itself, without scripts and without network; the right one has the kept blocks, and in grey the others. `--sheets N`
makes pictures of N pages each by headless Chromium.
"""

import argparse
import hashlib
import html
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from urllib.parse import urlsplit

from mixes import pages

from mmedc.decoding import decode_page
from mmedc.steps.extract import blocks, claims, features, kinds, model, shipped_trees, tree
from mmedc.steps.extract.metadata import Found, read_metadata

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --hide-scrollbars --disable-extensions --host-resolver-rules=MAP_*_~NOTFOUND"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body { font: 9px sans-serif; margin: 4px } .page { display: flex; gap: 6px; height: 424px; overflow: hidden;
border-top: 2px solid #333 } .left { width: 290px; overflow: hidden } .right { width: 620px; columns: 2;
overflow: hidden; white-space: pre-wrap } iframe { width: 900px; height: 1320px;
border: 0; transform: scale(.32); transform-origin: 0 0 }
.no { color: #a0a0a0; font-size: 6px } .said { background: #ffd }
"""


def chosen(folders: list[str], count: int, per_site: int) -> Iterator[tuple[str, str]]:
    """Yield (URL, page) of the pages with the least hashes."""
    found: dict[str, str] = {}
    for folder in folders:
        for url, _, block in pages(folder):
            head, _, body = block.partition(b"\r\n\r\n")
            if b" 200 " in head[:20] and b"<" in body[:2_000] and "mirror=" not in url:
                text, _ = decode_page(body, None)
                if text and "<body" in text.lower():
                    found.setdefault(url, text)
    sites = Counter[str]()
    for url in sorted(found, key=lambda url: hashlib.sha256(url.encode()).hexdigest()):
        sites[host := urlsplit(url).hostname or ""] += 1
        if sites[host] <= per_site:
            yield url, found[url]
            count -= 1
        if not count:
            return


def picture(page: Path, out: Path, size: str) -> None:
    """Write a picture of a page."""
    program = next(filter(None, map(shutil.which, CHROMIUM)))
    with tempfile.TemporaryDirectory() as profile:
        flags = [flag.replace("_", " ") for flag in FLAGS.split()]
        command = [
            program,
            *flags,
            f"--user-data-dir={profile}",
            f"--window-size={size}",
            f"--screenshot={out}",
            str(page),
        ]
        subprocess.run(command, capture_output=True, timeout=120, check=True)


def right(page: str, url: str) -> str:
    """Return what becomes of a page, as HTML."""
    parsed = tree.parse(page)
    if parsed is None:
        return "no body"
    found = Found(parsed)
    said = read_metadata(found, url, "2100-01-01")
    walked = tree.walk(parsed)
    roles = kinds.roles_of(walked)
    kind = kinds.kind_of(found.things, walked, roles)
    split = blocks.blocks_of(walked)
    if not split.texts:
        return "no text"
    described = features.features_of(split, roles, claims.claims_of(found, said.title or ""))
    kept = model.chosen(shipped_trees().scores(described), described, blocks.spans_of(split)).tolist()
    lines = [f'<span class="said">{html.escape(f"{said.title} · {said.date} · {said.licence} · {kind}")}</span>']
    for stays, texts in groupby(zip(kept, split.texts, strict=True), key=itemgetter(0)):
        shown = ("\n" if stays else " · ").join(text for _, text in texts)
        lines.append(f'<span class="{"yes" if stays else "no"}">{html.escape(shown)}</span>')
    return "\n".join(lines)


def row(number: int, url: str, page: str) -> str:
    """Return a page and its text side by side, as HTML."""
    return (
        f'<div class="page"><div class="left"><b>{number}</b> {html.escape(url)}<br>'
        f'<iframe sandbox srcdoc="{html.escape(page)}"></iframe></div><div class="right">{right(page, url)}</div></div>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True, action="append")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--site", type=int, default=12)
    parser.add_argument("--sheets", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style>'
    chosen_pages = chosen(given.warc, given.pages, given.site)
    rows = [row(number, url, page) for number, (url, page) in enumerate(chosen_pages, start=1)]
    (given.out / "pages.html").write_text(head + "".join(rows), encoding="utf-8")
    for first in range(0, len(rows) if given.sheets else 0, given.sheets or 1):
        sheet = given.out / f"sheet-{first:03d}.html"
        sheet.write_text(head + "".join(rows[first : first + given.sheets]), encoding="utf-8")
        picture(sheet, sheet.with_suffix(".png"), f"930,{428 * given.sheets}")
        sheet.unlink()
    print(given.out / "pages.html")


if __name__ == "__main__":
    main()
