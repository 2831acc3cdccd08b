"""PDF readers side by side: errors, reading order, leaked headers, and pages per second of a core.

    python benchmarks/books.py --rendered FOLDER [--guides FOLDER] [--articles FOLDER] [--engines mmedc-pymupdf …]

`--rendered`: what `benchmarks/rendered.py` made. `--guides`: pairs LANG.pdf and LANG.txt, such as Debian's
installation guide. `--articles`: pairs of PDF and JATS of one name. Needs rapidfuzz; engines that are not installed are
left out. Speeds are the best of three passes over the first pages, in CPU seconds of this process.

Character error rate: the edit distance between texts without line ends and bars, as a share of the known text.
Order: of the neighbours among the beginnings and ends of known paragraphs, the share that is found in that order.
Leaks: headers, footers and numbers that are left, as a share of those that there were.
Recall and precision: of runs of four letters, for texts that are not known letter by letter.
"""

import argparse
import itertools
import json
import re
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from mmedc.books.documents import documents
from mmedc.books.pdf import whole
from mmedc.books.rules import BookRules

DENSE = ("zh", "ja")
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹‐|", "0123456789- ")
Reader = Callable[[str], str]
TIMED_PAGES = 40
SLOW = ("pymupdf4llm", "docling-parse")
"""Engines that read only the first template of a language."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rendered")
    parser.add_argument("--guides")
    parser.add_argument("--articles")
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    given = parser.parse_args()
    engines = {name: make() for name, make in ENGINES.items() if name in given.engines and _there(make)}
    if given.rendered:
        rendered(Path(given.rendered), engines)
    for folder, suffix in ((given.guides, ".txt"), (given.articles, ".xml")):
        if folder:
            known(Path(folder), suffix, engines)


def rendered(folder: Path, engines: dict[str, Reader]) -> None:
    """Print a table by language, and one over all, of rendered pages."""
    print(f"{'':4}" + "".join(f"{name:>38}" for name in engines))
    print(f"{'':4}" + f"{'CER':>12}{'order':>8}{'leaks':>8}{'pages/s':>10}" * len(engines))
    rows: dict[str, dict[str, list[tuple[float, float, float, float, int]]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*.json")):
        page = json.loads(path.read_text(encoding="utf-8"))
        for name, read in engines.items():
            if name in SLOW and page["template"] not in ("columns", "vertical"):
                continue
            begun = time.process_time()
            text = read(str(path.with_suffix(".pdf")))
            seconds = time.process_time() - begun
            pages = count_pages(path.with_suffix(".pdf"))
            score = (cer(page["paragraphs"], text, page["lang"]), order(page["paragraphs"], text))
            rows[page["lang"]][name].append((*score, leaks(page["furniture"], text, pages), seconds, pages))
    for lang, by_engine in rows.items():
        print(f"{lang:4}" + "".join(_cells(by_engine.get(name, [])) for name in engines), flush=True)
    total = {name: [row for lang in rows.values() for row in lang[name]] for name in engines}
    print("all " + "".join(_cells(total[name]) for name in engines))


def _cells(rows: list[tuple[float, float, float, float, int]]) -> str:
    if not rows:
        return f"{'':>38}"
    mean = [sum(row[at] for row in rows) / len(rows) for at in range(3)]
    speed = sum(row[4] for row in rows) / max(sum(row[3] for row in rows), 1e-9)
    return f"{mean[0]:>12.4f}{mean[1]:>8.3f}{mean[2]:>8.3f}{speed:>10.0f}"


def known(folder: Path, suffix: str, engines: dict[str, Reader]) -> None:
    """Print recall and precision of runs of four letters, and pages/s, against a text that is not letter by letter."""
    for path in sorted(folder.glob("*.pdf")):
        gold = path.with_suffix(suffix).read_bytes()
        if suffix == ".xml":
            (book,) = documents(gold, path.stem + ".xml", BookRules(dropped=()), 1 << 26)
            text = book.text
        else:
            text = gold.decode("koi8-r" if path.stem == "ru" else "utf-8", "replace")
        wanted = grams(text)
        pages = count_pages(path)
        for name, read in engines.items():
            if name in SLOW and pages > TIMED_PAGES:
                continue
            best, found = 1e9, ""
            for _ in range(1 if name in SLOW else 3):
                begun = time.process_time()
                found = read(str(path))
                best = min(best, time.process_time() - begun)
            have = grams(found)
            common = sum((wanted & have).values())
            recall, precision = common / sum(wanted.values()), common / max(sum(have.values()), 1)
            print(f"{path.stem:30}{name:>20}{recall:>8.3f}{precision:>8.3f}{pages / best:>8.0f}", flush=True)


def cer(paragraphs: list[str], text: str, lang: str) -> float:
    """Return the character error rate of `text`."""
    gold, found = plain("\n".join(paragraphs), lang), plain(text, lang)
    return Levenshtein.distance(gold, found) / max(len(gold), 1)


def plain(text: str, lang: str) -> str:
    """Return a text as it is compared: without line ends, bars and marks of headings, raised digits lowered."""
    text = unicodedata.normalize("NFC", text.translate(RAISED))
    text = re.sub(r"(?m)^#+ |\*\*|<br>|^[\s|:-]+$", "", text)
    return re.sub(r"\s+", "" if lang in DENSE else " ", text).strip()


def order(paragraphs: list[str], text: str) -> float:
    """Return the share of neighbouring anchors that are found in their order."""
    found = re.sub(r"\W+", "", text.translate(RAISED))
    places, at = [], 0
    for paragraph in paragraphs:
        whole_text = re.sub(r"\W+", "", paragraph)
        if len(whole_text) < 16:
            continue
        for piece in (whole_text[:24], whole_text[-24:]):
            place = found.find(piece, at)
            if place < 0:
                place = found.find(piece)
            else:
                at = place
            places.append(place)
    good = sum(a >= 0 and b >= 0 and a <= b for a, b in itertools.pairwise(places))
    return good / max(len(places) - 1, 1)


def leaks(furniture: list[str], text: str, pages: int) -> float:
    """Return the share of headers, footers and page numbers that are left: three a page."""
    left = sum(text.count(piece) for piece in furniture) + len(re.findall(r"(?m)^\s*\d{1,3}\s*$", text))
    return left / (3 * pages)


def grams(text: str) -> Counter[str]:
    """Return the runs of four letters and digits of a text."""
    letters = "".join(char for char in unicodedata.normalize("NFKC", text).lower() if char.isalnum())
    return Counter(letters[at : at + 4] for at in range(len(letters) - 3))


def count_pages(path: Path) -> int:
    import pypdfium2

    return len(pypdfium2.PdfDocument(str(path)))


def _there(make: Callable[[], Reader]) -> bool:
    try:
        make()
    except ImportError:
        return False
    return True


def _mmedc(engine: str) -> Callable[[], Reader]:
    rules = BookRules(dropped=(), engine=engine)
    return lambda: lambda path: next(whole.read(Path(path).read_bytes(), rules)).text


def _pymupdf() -> Reader:
    import pymupdf

    def read(path: str) -> str:
        with pymupdf.open(path) as file:
            return "\n".join(page.get_text() for page in file)

    return read


def _inspector() -> Reader:
    import pdf_inspector

    return lambda path: "\n".join(page.markdown for page in pdf_inspector.extract_pages_markdown(path).pages)


def _pymupdf4llm() -> Reader:
    import pymupdf4llm

    return lambda path: str(pymupdf4llm.to_markdown(path, show_progress=False))


def _docling() -> Reader:
    from docling_core.types.doc.page import TextCellUnit
    from docling_parse.pdf_parser import DoclingPdfParser

    def read(path: str) -> str:
        document = DoclingPdfParser().load(path)
        return "\n".join(
            "\n".join(cell.text for cell in page.iterate_cells(unit_type=TextCellUnit.LINE))
            for _, page in document.iterate_pages()
        )

    return read


def _engines() -> Iterator[tuple[str, Callable[[], Reader]]]:
    yield "mmedc-pymupdf", _mmedc("pymupdf")
    yield "mmedc-permissive", _mmedc("permissive")
    yield "pymupdf", _pymupdf
    yield "pdf-inspector", _inspector
    yield "pymupdf4llm", _pymupdf4llm
    yield "docling-parse", _docling


ENGINES = dict(_engines())

if __name__ == "__main__":
    main()
