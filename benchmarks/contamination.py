"""Benchmark questions planted in real texts: how many are found, and what is found where none was planted.

    python benchmarks/contamination.py --data FOLDER [--words 13] [--characters 20]

FOLDER holds question sets (`bench_*/`) and texts (`text_*/*.jsonl.gz`). Each question is planted with its options
between two texts of its language: verbatim; with other punctuation, width and case; lightly paraphrased, every 15th
word (character, where there are no spaces) another. Texts in which nothing was planted are searched too, and what is
found there is printed, for people to judge.
"""

import argparse
import gzip
import json
import random
import re
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from mmedc.dedup.contamination import find
from mmedc.dedup.questions import LETTERS, Index, Question, find_questions, quoted

BATCH = 200  # texts that are searched at once
MARKS = (" ", "、", " - ", "; ", "！")
WIDE = {code: code + 0xFEE0 for code in range(0x30, 0x3A)}


def repunctuated(text: str, draw: random.Random) -> str:
    """Change punctuation, width of digits and case of Latin letters; words stay."""
    text = re.sub(r"[^\w\s]", lambda _: draw.choice(MARKS), unicodedata.normalize("NFC", text))
    return "".join(c.swapcase() if c.isascii() else c for c in text).translate(WIDE)


def paraphrased(text: str, draw: random.Random) -> str:
    """Put another word for every 15th, or another character for every 15th where there are no spaces."""
    parts = re.findall(r"[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+|\W+", text)
    words = [at for at, part in enumerate(parts) if part[0].isalnum()]
    for at in words[draw.randrange(15) :: 15]:
        parts[at] = draw.choice("的了在是") if len(parts[at]) == 1 and ord(parts[at]) > 0x3000 else "perhaps"
    return "".join(parts)


def planted(question: Question, change: Callable[[str], str], around: list[str], draw: random.Random) -> str:
    """Return the question and its options, changed, between two texts."""
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=False))
    return "\n".join([draw.choice(around), change(f"{question.text}\n{options}"), draw.choice(around)])


def found(texts: list[str], index: Index) -> list[dict]:
    """Return the hits in `texts`, with their numbers."""
    hits = []
    for low in range(0, len(texts), BATCH):
        hits += [{**hit, "text": hit["text"] + low} for hit in find(texts[low : low + BATCH], index).to_pylist()]
    return hits


def read_texts(folder: Path) -> dict[str, list[str]]:
    """Return the texts by language."""
    texts = defaultdict(list)
    for path in sorted(folder.glob("text_*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                texts[row["lang"].split("-")[0]].append(row["text"])
    return texts


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--words", type=int, default=13)
    parser.add_argument("--characters", type=int, default=20)
    given = parser.parse_args()
    sets = sorted(path for path in given.data.glob("bench_*") if path.is_dir())
    texts = read_texts(given.data)
    questions, langs = [], []
    for path in sets:
        for file in sorted(path.glob("*.jsonl.gz")):
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                lang = json.loads(next(lines))["lang"]
            mine = find_questions((str(file),), given.words, given.characters).read()
            questions += mine
            langs += [lang] * len(mine)
    index = Index(questions, given.words, given.characters)
    print(f"{len(questions):,} questions of {len(sets)} sets; too short to be looked for: {index.short}")
    changes = {"verbatim": lambda text, _: text, "punctuation": repunctuated, "paraphrase": paraphrased}
    rates: dict[str, dict[str, float]] = {}
    begun, characters = time.process_time(), 0
    for name, change in changes.items():
        draw = random.Random(name)
        documents = [
            planted(one, lambda text, how=change, by=draw: how(text, by), texts[lang], draw)
            for one, lang in zip(questions, langs, strict=True)
        ]
        characters += sum(map(len, documents))
        pairs = {(hit["text"], hit["question"]) for hit in found(documents, index)}
        rates[name] = {}
        for lang in sorted(set(langs)):
            mine = [number for number, one in enumerate(langs) if one == lang]
            rates[name][lang] = sum((number, number) in pairs for number in mine) / len(mine)
        hit = sum((number, number) in pairs for number in range(len(questions)))
        print(f"{name}: {hit:,} of {len(questions):,} found")
    seconds = time.process_time() - begun
    print(f"\n| language | questions | {' | '.join(rates)} |\n|---|--:|{'--:|' * len(rates)}")
    for lang in sorted(set(langs)):
        print(f"| {lang} | {langs.count(lang):,} | " + " | ".join(f"{row[lang]:.1%}" for row in rates.values()) + " |")
    innocent = [text for mine in texts.values() for text in mine]
    hits = found(innocent, index)
    size = sum(map(len, innocent)) / 1e6
    print(f"\n{len(innocent):,} texts, {size:.1f} million characters, nothing planted: {len(hits)} hits")
    for hit in hits[:20]:
        around = innocent[hit["text"]][max(hit["start"] - 40, 0) : hit["stop"] + 40]
        print(f"  {questions[hit['question']].place}, {hit['words']} words: {quoted(around)}")
    print(f"\n{characters / seconds / 1e6:.1f} million characters a second of CPU, with {len(index.seeds):,} seeds")


if __name__ == "__main__":
    main()
