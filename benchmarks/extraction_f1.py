"""Text of gold pages by mmedc's extract and normalise steps and by the extractors themselves: token F1.

    python benchmarks/extraction_f1.py --gold FOLDER

FOLDER holds `ground-truth.json.gz` ({page: {"articleBody": text}}) and `html/PAGE.html.gz`, as the
article extraction benchmark of Scrapinghub lays them out. F1 of the bags of words of each page, averaged.
"""

import argparse
import gzip
import json
import re
import time
import warnings
from collections import Counter
from pathlib import Path

import pyarrow as pa
import trafilatura

from mmedc.steps.extract import Extract
from mmedc.steps.extract.engines import resiliparse_text
from mmedc.steps.normalise import Normalise

WORDS = re.compile(r"\w+")


def f1(found: str, wanted: str) -> float:
    """Return the harmonic mean of precision and recall of the words of `found`."""
    mine, gold = Counter(WORDS.findall(found.lower())), Counter(WORDS.findall(wanted.lower()))
    both = sum((mine & gold).values())
    return 2 * both / max(sum(mine.values()) + sum(gold.values()), 1)


def ours(pages: list[str]) -> list[str]:
    """Return the texts as they lie in a corpus."""
    none = dict.fromkeys(("text", "title", "date"), pa.nulls(len(pages), pa.large_string()))
    batch = pa.record_batch({"ordinal": list(range(len(pages))), "html": pa.array(pages, pa.large_string()), **none})
    batch = Normalise().open()(Extract().open()(batch))
    return [text or "" for text in batch.column("text").to_pylist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gold", required=True)
    folder = Path(parser.parse_args().gold)
    with gzip.open(folder / "ground-truth.json.gz") as file:
        gold = json.load(file)
    names = [name for name in sorted(gold) if (folder / "html" / f"{name}.html.gz").exists()]
    pages = [gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()).decode() for name in names]
    warnings.simplefilter("ignore")
    rows = {
        "mmedc": ours,
        "trafilatura (fast)": lambda all: [
            trafilatura.extract(p, fast=True, include_comments=False) or "" for p in all
        ],
        "trafilatura (default)": lambda all: [trafilatura.extract(p, include_comments=False) or "" for p in all],
        "resiliparse": lambda all: [resiliparse_text(page) for page in all],
    }
    print(f"{len(pages)} pages\n\n| | F1 | pages/s |\n|---|--:|--:|")
    for name, texts_of in rows.items():
        begun = time.perf_counter()
        texts = texts_of(pages)
        rate = len(pages) / (time.perf_counter() - begun)
        scores = [f1(text, gold[page]["articleBody"]) for page, text in zip(names, texts, strict=True)]
        print(f"| {name} | {sum(scores) / len(scores):.4f} | {rate:.0f} |")


if __name__ == "__main__":
    main()
