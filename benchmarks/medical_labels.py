"""Has the labelled texts read that the filters and their labels disagree on, and keeps what the readers say.

    python benchmarks/medical_labels.py sample --data FOLDER --out READ
    python benchmarks/medical_labels.py merge READ

`sample` writes pages of texts to READ/LANG-1 and READ/LANG-2, in an order of its own for each of two readers: all
texts near the limits or judged against their label by a policy, and of the rest some of each label. A reader sees
neither label nor score, answers the question of filters/prompts/medical.txt, and leaves READ/answers/LANG-N.tsv: name,
1 (medical) or 0, and s (sure) or b (a reasonable reader could say the other). `merge` adds them to
`medical_labels.tsv`; texts on which two differ it writes to READ/LANG-3, for a third reader who decides, and waits for
the answers. Texts that were read before are not sampled again, so that a changed filter needs only its new
disagreements read.
"""

import argparse
import csv
import random
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from medical_filter import DENSE, LABELS, as_read, documents, fitted_elsewhere, read_labels, scored, text_key

from mmedc.fit.measured import array

LANGUAGES = ("en", "es", "fr", "ja", "ru", "zh")
NEAR = (0.03, 0.95)  # scores between which a text may change sides with a filter
CONTROLS = {True: 40, False: 60}  # of each label and language, among the texts that everything agrees on
SHOWN = 2_000  # characters of a text; half as many in scripts that say it in half
PAGE = 28_000  # characters


def sample(data: Path, out: Path) -> None:
    """Write the pages to be read."""
    table = scored(as_read(documents(data, paragraphs=False)))
    label, chance = table["label"].to_numpy(zero_copy_only=False), array(table, "medical_model")
    open_ = np.where(label, chance < NEAR[1], chance > NEAR[0])  # near the limits, or on the other side
    for name, kept in fitted_elsewhere(table).items():
        if name != "lexicon alone":
            open_ |= kept != label
    known, begun = ({row[key] for row in read_labels()} for key in ("text", "lang"))
    names = [text_key(text) for text in table["text"].to_pylist()]
    rows = table.select(["text", "lang", "label"]).to_pylist()
    for code in LANGUAGES:
        mine = [index for index, row in enumerate(rows) if row["lang"] == code]
        chosen = [index for index in mine if open_[index] and names[index] not in known]
        if code not in begun:  # one sample of the rest is enough
            rest = random.Random(7)
            for value, many in CONTROLS.items():
                calm = [index for index in mine if not open_[index] and rows[index]["label"] == value]
                chosen += rest.sample(calm, min(many, len(calm)))
        for reader in ("1", "2"):
            order = chosen.copy()
            random.Random(code + reader).shuffle(order)
            pages = write_pages(
                out / f"{code}-{reader}", [(names[index], rows[index]["text"]) for index in order], code
            )
        print(f"{code}: {len(chosen)} texts, {pages} pages")


def write_pages(folder: Path, texts: Iterable[tuple[str, str]], code: str) -> int:
    """Write named texts, each under a line `### NAME`, as pages; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    pages: list[str] = []
    for name, text in texts:
        part = f"### {name}\n{text[: SHOWN // 2 if code in DENSE else SHOWN].strip()}\n\n"
        if not pages or len(pages[-1]) + len(part) > PAGE:
            pages.append("")
        pages[-1] += part
    for number, page in enumerate(pages, 1):
        (folder / f"page-{number:03d}.txt").write_text(page, encoding="utf-8")
    return len(pages)


def merge(folder: Path) -> None:
    """Add what the readers said to the labels; without a third reading where two differ, ask for it."""
    rows = {row["text"]: row for row in read_labels()}
    for code in LANGUAGES:
        first, second, third = (answers(folder / "answers" / f"{code}-{reader}.tsv") for reader in "123")
        if set(first) != set(second):
            raise SystemExit(f"{code}: the two readers read different texts: {set(first) ^ set(second)}")
        if not first:
            continue
        disputed = [name for name in first if first[name][0] != second[name][0]]
        waiting = [name for name in disputed if name not in third]
        print(f"{code}: {len(first)} texts, {agreement(first, second)}, {len(disputed)} disputed, {len(waiting)} open")
        if waiting:
            texts = read_pages(folder / f"{code}-1")
            write_pages(folder / f"{code}-3", ((name, texts[name]) for name in sorted(waiting)), code)
        for name in first.keys() - set(waiting):
            readings = [one[name] for one in (first, second, third) if name in one]
            rows[name] = {"text": name, "lang": code, "medical": readings[-1][0], "readings": " ".join(readings)}
    with LABELS.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, ("text", "lang", "medical", "readings"), dialect="excel-tab", lineterminator="\n")
        out.writeheader()
        out.writerows(sorted(rows.values(), key=lambda row: (row["lang"], row["text"])))


def agreement(first: dict[str, str], second: dict[str, str]) -> str:
    """Return the share of texts on which two readers agree, and Cohen's kappa."""
    one, two = (np.array([reader[name][0] == "1" for name in first]) for reader in (first, second))
    same = float((one == two).mean())
    chance = float(one.mean() * two.mean() + (1 - one.mean()) * (1 - two.mean()))
    return f"agreement {same:.3f}, kappa {(same - chance) / (1 - chance) if chance < 1 else 1:.3f}"


def answers(path: Path) -> dict[str, str]:
    """Return a reader's answers: by text, `1s`, `1b`, `0s` or `0b`."""
    if not path.is_file():
        return {}
    return {name: label + sure for name, label, sure in (line.split("\t") for line in path.read_text().splitlines())}


def read_pages(folder: Path) -> dict[str, str]:
    """Return the texts of pages, as shown, by their names."""
    texts = {}
    for page in sorted(folder.glob("page-*.txt")):
        _, *parts = re.split(r"^### ([0-9a-f]{12})\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        texts |= {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("sample")
    one.add_argument("--data", type=Path, required=True)
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=lambda given: sample(given.data, given.out))
    two = commands.add_parser("merge")
    two.add_argument("folder", type=Path)
    two.set_defaults(run=lambda given: merge(given.folder))
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
