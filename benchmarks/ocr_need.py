"""Which pages need OCR: precision, recall and F1 of the decision, by kind of page and by language.

    python benchmarks/ocr_need.py RENDERED [--tessdata FOLDER] [--pages 4] [--langs en ja] [--rows FILE]

RENDERED is what `benchmarks/rendered.py` has made; the pages are those of `benchmarks/needing_pages.py`. `--rows`
writes those that are left to the model, as `mmedc fit pages` reads them.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from needing_pages import Made, Sheet, kinds

from mmedc.books.pdf.engines import Opened
from mmedc.books.pdf.need import FULL
from mmedc.books.pdf.quality import FEW_CHARS, features

LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "zh", "ja", "ru", "ko", "ar", "hi")
TEMPLATES = ("plain", "tables")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rendered", type=Path)
    parser.add_argument("--tessdata")
    parser.add_argument("--pages", type=int, default=4)
    parser.add_argument("--langs", nargs="*", default=LANGUAGES)
    parser.add_argument("--rows")
    given = parser.parse_args()
    rows = list(measured(given.rendered, given.langs, given.pages, given.tessdata))
    if given.rows:
        with open(given.rows, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows if row["to_model"])
    for name in ("kind", "lang"):
        table(rows, name)


def measured(folder: Path, langs: list[str], count: int, tessdata: str | None) -> Iterator[dict[str, Any]]:
    """Yield the figures of each page, and whether it needs OCR."""
    for lang in langs:
        for template in TEMPLATES:
            file = folder / f"{lang}-{template}.pdf"
            opened = Opened(str(file), "permissive")
            chosen = sorted({at * opened.pages // count for at in range(count)})
            opened.prepare(chosen)
            sheets = [Sheet(lang, file, number, opened.page(number)) for number in chosen]
            for kind, made in kinds(sheets, random.Random(f"{folder.name} {lang} {template}"), tessdata):
                for number, figures in enumerate(seen(made)):
                    yield {"lang": lang, "kind": kind, "need": made.need, "page": number, **figures}


def seen(made: Made) -> Iterator[dict[str, Any]]:
    """Yield the figures of each page as the default engine reads it."""
    with tempfile.NamedTemporaryFile(suffix=".pdf") as copy:
        copy.write(made.data)
        copy.flush()
        opened = Opened(copy.name, "permissive")
        opened.prepare(range(opened.pages))
        for number in range(opened.pages):
            page = opened.page(number)
            found = features(page)
            by_rule = found.chars < FEW_CHARS or (found.body < FEW_CHARS and found.images >= FULL)
            yield {
                **asdict(found),
                "to_model": not by_rule,
                "said": found.need(),
                "text": "\n".join(line.text for line in page.lines),
            }


def table(rows: list[dict[str, Any]], name: str) -> None:
    """Print how often the decision is right, by `name`."""
    print(f"{name:28}{'pages':>7}{'precision':>11}{'recall':>8}{'F1':>7}")
    for value in [*dict.fromkeys(row[name] for row in rows), None]:
        part = [row for row in rows if value is None or row[name] == value]
        hits = Counter((row["need"], row["said"] is not None) for row in part)
        right, missed, false = hits[True, True], hits[True, False], hits[False, True]
        shown = "".join(f"{a / b:>9.3f}" if b else f"{'':>9}" for a, b in (
            (right, right + false), (right, right + missed), (2 * right, 2 * right + false + missed)))  # fmt: skip
        print(f"{value or 'all':28}{len(part):>7}{shown}   wrong {missed + false}")


if __name__ == "__main__":
    main()
