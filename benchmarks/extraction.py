"""Main text of pages with gold text: word F1 by kind of page, and pages/s of a core, of mmedc and of other extractors.

    python benchmarks/extraction.py --wcxb FILE [--folds] [--every N]
    python benchmarks/extraction.py --scrapinghub FOLDER
    python benchmarks/extraction.py --readability FOLDER

FILE is a Parquet file of WCXB with the columns url, page_type, html and text. `--folds` adds mmedc by five-fold
cross-validation grouped by site, because the shipped model was fitted on these pages. The folder of ScrapingHub's
article extraction benchmark holds `ground-truth.json.gz` and `html/PAGE.html.gz`, that of Readability's tests
`PAGE/source.html.gz` and `PAGE/expected.html.gz`. ChromeRAG runs in an environment of its own, which is made at the
first call (`.venv-chromerag`); it was fitted on WCXB's development pages too. F1 of the multisets of words, averaged
over pages; CPU time, for mmedc with titles, dates and the like, because the text begins with the title.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import trafilatura
from side_by_side import environment

from mmedc.decoding import decode_page
from mmedc.fit.extractor import Measured, cross_validated, labelled, measured, read_labelled_pages
from mmedc.steps.extract import NO_LATER, claims, engines, kinds, main_text, shipped_trees, tree
from mmedc.steps.extract.metadata import Found, read_metadata

KINDS = ("all", "article", "documentation", "service", "forum", "product", "listing", "collection")
CHROMERAG = """
import json, sys, time
from chromerag import ChromeRAG
extract = ChromeRAG()
for line in sys.stdin:
    page = json.loads(line)
    begun = time.process_time()
    try:
        text = extract.extract(page["html"], url=page["url"]).markdown
    except Exception:
        text = ""
    print(json.dumps([text, time.process_time() - begun]), flush=True)
"""


def wcxb(path: str, every: int) -> list[tuple[str, str, str, str]]:
    """Return (kind, URL, page, gold text) of the pages of WCXB."""
    rows = pq.read_table(path).to_pylist()[::every]
    return [(row["page_type"], row["url"] or "", decode_page(row["html"], None)[0] or "", row["text"]) for row in rows]


def scrapinghub(folder: Path) -> list[tuple[str, str, str, str]]:
    """Return the same of ScrapingHub's articles."""
    gold = json.loads(gzip.decompress((folder / "ground-truth.json.gz").read_bytes()))
    pages = []
    for name in sorted(gold):
        path = folder / "html" / f"{name}.html.gz"
        if path.exists():
            page = gzip.decompress(path.read_bytes()).decode()
            pages.append(("article", gold[name].get("url", ""), page, gold[name]["articleBody"]))
    return pages


def readability(folder: Path) -> list[tuple[str, str, str, str]]:
    """Return the same of Readability's test pages; the kind is the language by the text."""
    from mmedc.filters import open_filters
    from mmedc.policy import read_policy
    from mmedc.steps.language import identifier

    pages = []
    identify = identifier(
        open_filters().model("lid").path, read_policy("balanced", ("en", "zh", "ja", "fr", "es", "pt", "de", "ru"))
    )
    for path in sorted(folder.glob("*/source.html.gz")):
        page = decode_page(gzip.decompress(path.read_bytes()), None)[0] or ""
        wanted = gzip.decompress((path.parent / "expected.html.gz").read_bytes()).decode()
        walked = tree.walk(tree.parse(wanted))
        gold = "\n".join(walked.texts)
        lang = identify(pa.array([gold], pa.large_string()))[0][0].as_py()
        pages.append((lang, "", page, gold))
    return pages


def chromerag(pages: list[tuple[str, str, str, str]]) -> tuple[list[str], float]:
    """Return the texts of ChromeRAG and its CPU seconds."""
    python = environment("chromerag")
    lines = "".join(json.dumps({"url": url, "html": page}) + "\n" for _, url, page, _ in pages)
    with tempfile.TemporaryFile("w+") as file:
        file.write(lines)
        file.seek(0)
        done = subprocess.run([python, "-c", CHROMERAG], stdin=file, stdout=subprocess.PIPE, text=True, check=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [text for text, _ in said], sum(seconds for _, seconds in said)


def ours(page: str) -> str:
    """Return the main text by the shipped model."""
    parsed = tree.parse(page)
    if parsed is None:
        return ""
    said = Found(parsed)
    title = read_metadata(said, "", NO_LATER).title or ""
    walked = tree.walk(parsed)
    roles = kinds.roles_of(walked)
    kind = kinds.kind_of(said.things, walked, roles)
    return main_text(walked, roles, shipped_trees(), title, kind, claims.claims_of(said, title))[0]


ENGINES: dict[str, Callable[[str], str]] = {
    "mmedc": ours,
    "trafilatura, fast": lambda page: trafilatura.extract(page, fast=True, include_comments=False) or "",
    "trafilatura": lambda page: trafilatura.extract(page) or "",
    "resiliparse": engines.resiliparse_text,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wcxb")
    parser.add_argument("--scrapinghub")
    parser.add_argument("--readability")
    parser.add_argument("--folds", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--without", nargs="*", default=[])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    engines.silence()
    if given.wcxb:
        pages = wcxb(given.wcxb, given.every)
    else:
        pages = scrapinghub(Path(given.scrapinghub)) if given.scrapinghub else readability(Path(given.readability))
    kinds = [kind for kind in KINDS if kind == "all" or any(kind == page[0] for page in pages)] if given.wcxb else None
    kinds = kinds or ["all", *sorted({page[0] for page in pages})]
    gold = [labelled("", text, url, kind) for kind, url, _, text in pages]
    print(f"| {len(pages)} pages | {' | '.join(kinds)} | pages/s |\n|---|{'--:|' * (len(kinds) + 1)}", flush=True)

    def show(name: str, texts: list[str], seconds: float | None) -> None:
        found: Measured = measured(gold, texts)
        rate = f"{len(pages) / seconds:.0f}" if seconds else ""
        print(f"| {name} | {' | '.join(f'{found.f1[kind]:.3f}' for kind in kinds)} | {rate} |", flush=True)

    for name, extract in ENGINES.items():
        if name not in given.without:
            begun = time.process_time()
            texts = [extract(page) for _, _, page, _ in pages]
            show(name, texts, time.process_time() - begun)
    if given.folds:
        show("mmedc, folds by site", cross_validated(read_labelled_pages([given.wcxb])[:: given.every]), None)
    if "chromerag" not in given.without:
        show("ChromeRAG 0.1.4", *chromerag(pages))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
