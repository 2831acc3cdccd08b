"""Benchmark questions planted in real texts: how many are found, and what is found where none was planted.

    python benchmarks/contamination.py --data FOLDER [--half tuned|held-out] [--words 13] [--characters 20]

FOLDER holds question sets (`bench_*/`) and texts (`text_*/*.jsonl.gz`). Each question is planted between two texts of
its language in each of the ways in CHANGES. Questions are divided in halves by a hash: the rules were chosen on one
half, and the other was looked at when they were done. Texts in which nothing was planted are searched too, and what is
found there is printed, for people to judge.
"""

import argparse
import gzip
import hashlib
import json
import random
import re
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from mmedc.dedup.contamination import find
from mmedc.dedup.question_index import Index
from mmedc.dedup.questions import LETTERS, Question, find_questions, quoted

BATCH = 200  # texts that are searched at once
MARKS = (" ", "、", " - ", "; ", "！")
WIDE = {code: code + 0xFEE0 for code in range(0x30, 0x3A)}
LINE_CHARS = 60  # where lines are broken
ADVERTISEMENT = {
    "en": "ADVERTISEMENT Subscribe to our newsletter today and save twenty percent on every order. Read more below.",
    "es": "PUBLICIDAD Suscríbase hoy a nuestro boletín y ahorre un veinte por ciento en cada pedido. Siga leyendo.",
    "fr": "PUBLICITÉ Abonnez-vous dès maintenant à notre lettre et économisez vingt pour cent. Lire la suite.",
    "it": "PUBBLICITÀ Iscriviti oggi alla nostra newsletter e risparmia il venti per cento. Continua a leggere.",
    "ja": "広告 今すぐ登録して次回のご注文が二十パーセント割引になります。続きを読む。",
    "ru": "РЕКЛАМА Подпишитесь сегодня на нашу рассылку и получите скидку двадцать процентов. Читать далее.",
    "zh": "广告 立即订阅我们的电子报，下次购物可享八折优惠。点击阅读更多内容。",
}
SPACED = re.compile(r"[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+|\W+")  # a character of Chinese or Japanese, or a word


def repunctuated(text: str, draw: random.Random) -> str:
    """Change punctuation, width of digits and case of Latin letters; words stay."""
    text = re.sub(r"[^\w\s]", lambda _: draw.choice(MARKS), unicodedata.normalize("NFC", text))
    return "".join(c.swapcase() if c.isascii() else c for c in text).translate(WIDE)


def paraphrased(text: str, draw: random.Random) -> str:
    """Put another word for every 15th, or another character for every 15th where there are no spaces."""
    parts = SPACED.findall(text)
    words = [at for at, part in enumerate(parts) if part[0].isalnum()]
    for at in words[draw.randrange(15) :: 15]:
        parts[at] = draw.choice("的了在是") if len(parts[at]) == 1 and ord(parts[at]) > 0x3000 else "perhaps"
    return "".join(parts)


def without_accents(text: str) -> str:
    """Remove accents as many sites and file names do."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def entities(text: str, draw: random.Random) -> str:
    """Write all that is not ASCII as HTML entities, by name where there is one."""
    from html.entities import codepoint2name

    def entity(char: str) -> str:
        name = codepoint2name.get(ord(char)) if draw.random() < 0.7 else None
        return f"&{name};" if name else f"&#{ord(char)};" if draw.random() < 0.5 else f"&#x{ord(char):x};"

    return "".join(c if c.isascii() else entity(c) for c in text)


def hyphenated(text: str, draw: random.Random) -> str:
    """Break lines, most of them within a word with a hyphen, as in a narrow column."""
    out, column = [], draw.randrange(LINE_CHARS)
    for part in SPACED.findall(text):
        if column + len(part) > LINE_CHARS and len(part) > 4 and part.isalpha():
            at = draw.randint(2, len(part) - 2)
            out.append(f"{part[:at]}-\n{part[at:]}")
            column = len(part) - at
        elif column + len(part) > LINE_CHARS:
            out.append(f"{part.rstrip()}\n")
            column = 0
        else:
            out.append(part)
            column += len(part)
    return "".join(out)


def interrupted(text: str, lang: str) -> str:
    """Put an advertisement into the middle, between two words."""
    parts = SPACED.findall(text)
    middle = len(parts) // 2
    return f"{''.join(parts[:middle])}\n{ADVERTISEMENT[lang]}\n{''.join(parts[middle:])}"


def listed(options: tuple[str, ...]) -> str:
    """Return options, marked with letters, a line each."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


def whole(change: Callable[[str, random.Random], str]) -> Callable[[Question, str, random.Random], str]:
    """Return a way to plant question and options, changed together."""
    return lambda question, _, draw: change(f"{question.text}\n{listed(question.options)}", draw)


CHANGES: dict[str, Callable[[Question, str, random.Random], str]] = {
    "verbatim": whole(lambda text, _: text),
    "punctuation": whole(repunctuated),
    "paraphrase": whole(paraphrased),
    "no accents": whole(lambda text, _: without_accents(text)),
    "entities": whole(entities),
    "hyphens": whole(hyphenated),
    "advertisement": lambda one, lang, _: f"{interrupted(one.text, lang)}\n{listed(one.options)}",
    "advertisement in all": lambda one, lang, _: interrupted(f"{one.text}\n{listed(one.options)}", lang),
    "no options": lambda one, *_: one.text,
    "options first": lambda one, *_: f"{listed(one.options)}\n{one.text}",
}
"""How a question is planted, of (question, its language, random numbers)."""


def half_of(question: Question) -> str:
    """Return which half a question is in."""
    return ("tuned", "held-out")[hashlib.sha256(question.text.encode()).digest()[0] & 1]


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


def read_sets(folder: Path, words: int, characters: int) -> tuple[list[Question], list[str]]:
    """Return the questions of all sets, and the language of each."""
    questions, langs = [], []
    for file in sorted(folder.glob("bench_*/*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            lang = json.loads(next(lines))["lang"]
        mine = find_questions((str(file),), words, characters).read()
        questions += mine
        langs += [lang] * len(mine)
    return questions, langs


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--half", choices=("tuned", "held-out"), help="the half of the questions that are planted")
    parser.add_argument("--changes", nargs="*", default=list(CHANGES))
    parser.add_argument("--words", type=int, default=13)
    parser.add_argument("--characters", type=int, default=20)
    parser.add_argument("--show", type=int, default=0, help="questions that were missed, of each language and change")
    given = parser.parse_args()
    texts = read_texts(given.data)
    questions, langs = read_sets(given.data, given.words, given.characters)
    index = Index(questions, given.words, given.characters)
    print(f"{len(questions):,} questions; too short to be looked for: {index.too_short}")
    chosen = [n for n, one in enumerate(questions) if given.half in (None, half_of(one))]
    names = sorted(set(langs))
    print(f"\n| planted | {' | '.join(names)} |\n|---|{'--:|' * len(names)}")
    print("| questions | " + " | ".join(f"{sum(langs[n] == lang for n in chosen):,}" for lang in names) + " |")
    begun, characters = time.process_time(), 0
    for name in given.changes:
        draw = random.Random(name)
        documents = [
            "\n".join(
                [
                    draw.choice(texts[langs[n]]),
                    CHANGES[name](questions[n], langs[n], draw),
                    draw.choice(texts[langs[n]]),
                ]
            )
            for n in chosen
        ]
        characters += sum(map(len, documents))
        pairs = {(hit["text"], hit["question"]) for hit in found(documents, index)}
        cells = []
        for lang in names:
            mine = [(at, n) for at, n in enumerate(chosen) if langs[n] == lang]
            missed = [n for at, n in mine if (at, n) not in pairs]
            cells.append(f"{1 - len(missed) / len(mine):.1%}")
            for n in missed[: given.show]:
                print(f"    missed {lang}: {questions[n].text!r} {questions[n].options}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    seconds = time.process_time() - begun
    innocent = [text for mine in texts.values() for text in mine]
    begun = time.process_time()
    hits = found(innocent, index)
    alone = time.process_time() - begun
    size = sum(map(len, innocent)) / 1e6
    print(f"\n{len(innocent):,} texts, {size:.1f} million characters, nothing planted: {len(hits)} hits")
    for hit in hits[:20]:
        around = innocent[hit["text"]][max(hit["start"] - 40, 0) : hit["stop"] + 40]
        print(f"  {questions[hit['question']].place}, {hit['words']} words: {quoted(around)}")
    print(f"\nMillion characters a second of CPU: {characters / seconds / 1e6:.1f} with a question in each text,")
    print(f"{size / alone:.1f} with none; {len(index.seeds.hashes):,} seeds")


if __name__ == "__main__":
    main()
