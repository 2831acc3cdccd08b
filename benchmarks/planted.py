"""Documents in six languages with planted duplicates whose true Jaccard is known; reads JSON lines of texts.

The texts of `FOLDER/text_*/<lang>*.jsonl.gz` are cut into sentences, of which new documents are dealt. The true
Jaccard is that of sets of runs of 5 words in NFKC and lower case, without punctuation; a Chinese or Japanese
character is a word.
"""

import gzip
import json
import random
import re
import unicodedata
from pathlib import Path

LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")
UNSPACED = ("zh", "ja")
WORD = (r"[^\W_]+", r"[A-Za-z0-9]+|[^\W_]")


def words_of(text: str, lang: str) -> list[str]:
    """Return the words of a text, of a Chinese or Japanese one its characters."""
    return re.findall(WORD[lang in UNSPACED], unicodedata.normalize("NFKC", text).lower())


def shingles(text: str, lang: str) -> set[str]:
    """Return the set of runs of 5 words of a text."""
    words = words_of(text, lang)
    return {" ".join(words[at : at + 5]) for at in range(max(len(words) - 4, 1))}


def jaccard(one: str, other: str, lang: str) -> float:
    """Return the true similarity of two texts."""
    a, b = shingles(one, lang), shingles(other, lang)
    return len(a & b) / len(a | b)


def sentences(folder: str, lang: str) -> list[str]:
    """Return the sentences of 5 to 30 words of a language, each once: no two documents get alike by chance."""
    found: dict[str, None] = {}
    for path in sorted(Path(folder).glob(f"text_*/{lang}[._]*jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                for part in re.split(r"(?<=[.!?。！？])\s*", json.loads(line)["text"]):
                    if 5 <= len(words_of(part, lang)) <= 30:
                        found[part.strip()] = None
    return list(found)


def document(draw: random.Random, pool: list[str], lang: str, low: int = 80, high: int = 400) -> list[str]:
    """Return the sentences of a new document of `low` to `high` words."""
    wanted, size, parts = draw.randint(low, high), 0, []
    while size < wanted:
        if (part := draw.choice(pool)) in parts:
            continue
        parts.append(part)
        size += len(words_of(parts[-1], lang))
    return parts


def glue(lang: str) -> str:
    """Return what stands between sentences."""
    return "" if lang in UNSPACED else " "


def replaced(draw: random.Random, text: str, lang: str, pool: list[str], count: int) -> str:
    """Return a text with `count` of its words replaced by words of other sentences."""
    spots = [match.span() for match in re.finditer(WORD[lang in UNSPACED], text)]
    out, end = [], 0
    for at in sorted(draw.sample(range(len(spots)), min(count, len(spots)))):
        start, stop = spots[at]
        out += [text[end:start], draw.choice(words_of(draw.choice(pool), lang))]
        end = stop
    return "".join([*out, text[end:]])


def pairs(folder: str, per_language: int, seed: int = 7) -> list[dict]:
    """Return documents {id, lang, text}; every fourth has a copy {…, of, jaccard} at 0.5 to 1."""
    out = []
    for lang in LANGUAGES:
        draw, pool = random.Random(f"{seed} {lang}"), sentences(folder, lang)
        for number in range(per_language):
            text = glue(lang).join(document(draw, pool, lang))
            out.append({"id": f"{lang}-{number}", "lang": lang, "text": text})
            if number % 4 == 0:
                wanted, size = draw.uniform(0.5, 1.0), len(words_of(text, lang))
                copy = replaced(draw, text, lang, pool, round(size * (1 - wanted) / (5 * (1 + wanted))))
                true = jaccard(text, copy, lang)
                out.append(
                    {"id": f"{lang}-{number}c", "lang": lang, "text": copy, "of": f"{lang}-{number}", "jaccard": true}
                )
    random.Random(seed).shuffle(out)
    return out


def chains(folder: str, count: int, length: int = 15, seed: int = 10) -> list[dict]:
    """Return {id, lang, text, chain}: `count` chains a language of texts, each the one before slightly changed.

    Neighbours are 0.82 to 0.97 alike, texts further apart less and less.
    """
    out = []
    for lang in LANGUAGES:
        draw, pool = random.Random(f"{seed} {lang}"), sentences(folder, lang)
        for number in range(count):
            text = glue(lang).join(document(draw, pool, lang, 120, 400))
            for step in range(length):
                out.append({"id": f"{lang}-{number}-{step}", "lang": lang, "text": text, "chain": f"{lang}{number}"})
                wanted, size = draw.uniform(0.82, 0.97), len(words_of(text, lang))
                text = replaced(draw, text, lang, pool, max(1, round(size * (1 - wanted) / (5 * (1 + wanted)))))
    random.Random(seed).shuffle(out)
    return out


def news(folder: str, clusters: int, seed: int = 8) -> list[dict]:
    """Return {id, lang, text, cluster}: articles that went through several hands, and articles that stand alone.

    After the protocol of NEWS-COPY (Silcock et al. 2022, arXiv 2210.04261): a copy is cut at its end by up to 30%,
    loses or swaps sentences, and has one to four characters in a hundred misread. Half of the articles have copies.
    """
    out = []
    for lang in LANGUAGES:
        draw, pool = random.Random(f"{seed} {lang}"), sentences(folder, lang)
        for number in range(clusters):
            parts = document(draw, pool, lang, 120, 400)
            for copy in range(draw.choice((1, 1, 1, 2, 3, 5))):
                mine = list(parts)
                if copy:
                    mine = mine[: max(3, round(len(mine) * draw.uniform(0.7, 1.0)))]
                    if draw.random() < 0.3:
                        mine.pop(draw.randrange(len(mine)))
                text = list(glue(lang).join(mine))
                if copy:
                    for at in range(len(text)):
                        if draw.random() < draw.uniform(0.0, 0.02):
                            text[at] = draw.choice(text)
                out.append(
                    {"id": f"{lang}-{number}-{copy}", "lang": lang, "text": "".join(text), "cluster": f"{lang}{number}"}
                )
    random.Random(seed).shuffle(out)
    return out


def abstracts(folder: str, clusters: int, seed: int = 9) -> list[dict]:
    """Return {id, lang, text, cluster}: abstracts, a half of them deposited again, as they are or slightly changed.

    After the protocol of the CORE deduplication set (Gyawali et al., LREC 2020): exact duplicates, near duplicates
    (another case and punctuation, a heading, a changed word, a last sentence that lacks), and single ones.
    """
    out = []
    for lang in LANGUAGES:
        draw, pool = random.Random(f"{seed} {lang}"), sentences(folder, lang)
        for number in range(clusters):
            parts = document(draw, pool, lang, 60, 200)
            text, kinds = (
                glue(lang).join(parts),
                draw.choice(((), (), ("exact",), ("near",), ("near", "near"), ("exact", "near"))),
            )
            texts = [text]
            for kind in kinds:
                copy = text if kind == "exact" else replaced(draw, text, lang, pool, draw.randint(0, 3))
                if kind == "near" and draw.random() < 0.5:
                    copy = re.sub(r"[,;:，；：]", "", copy).upper()
                if kind == "near" and draw.random() < 0.3:
                    copy = "ABSTRACT. " + copy
                texts.append(copy)
            for copy, one in enumerate(texts):
                out.append({"id": f"{lang}-{number}-{copy}", "lang": lang, "text": one, "cluster": f"{lang}{number}"})
    random.Random(seed).shuffle(out)
    return out
