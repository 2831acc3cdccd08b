"""Labelled texts for the quality model: curated prose against the chaff of web pages.

    python benchmarks/quality_texts.py --data FOLDER --packages FOLDER --out quality.jsonl

Good: the labelled sets of FOLDER (textbooks, abstracts, encyclopaedic articles, case reports, edited news, official
leaflets), medical or not; sets that state no licence are left out. Not good: what shops, forums, blogs and cookie
banners say around their texts, from the translations of free software (`packages` holds one unpacked
folder each, with gettext `.po` or JSON/JS tables of strings), and `chaff/LANG.txt`: lines of ads, forum posts and
baits written for this. Strings of one package are shuffled and joined into texts of some 20 to 250 words. The
origin of a text is its data set or package.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from medical_filter import DENSE, documents

LANGS = ("en", "zh", "ja", "fr", "ru", "es")
FOLDERS = {"zh_hans": "zh", "zh_cn": "zh", "zh-hans": "zh", "zhcn": "zh", "cn": "zh"} | {code: code for code in LANGS}
LEFT_OUT = ("NEREL", "NEREL-BIO", "UD_French-Sequoia")  # no licence stated, or one of its own kind
OLD = ("TCM-Ancient-Books",)  # no punctuation, words of another age
MOST = 400  # texts of one origin, language and label
ROUNDS = 4  # times that each string is used
SIZES = (120, 1_500)  # characters of a text; half as many in dense scripts


def strings(folder: Path) -> dict[str, list[str]]:
    """Return the strings of a package by language."""
    found: dict[str, list[str]] = {code: [] for code in LANGS}
    for path in sorted(folder.rglob("*.po")):
        code = next((FOLDERS[part.lower()] for part in reversed(path.parts) if part.lower() in FOLDERS), None)
        for source, translated in entries(path.read_text(encoding="utf-8", errors="replace")):
            found["en"].append(source)
            if code and code != "en":
                found[code].append(translated)
    for path in sorted([*folder.rglob("lang/*.js"), *folder.rglob("locales/*/*.json")]):
        name = path.parent.name if path.suffix == ".json" else path.name.split(".")[1]
        if code := FOLDERS.get(name.lower()):
            found[code] += re.findall(r':\s*"((?:[^"\\]|\\.)+)"', path.read_text(encoding="utf-8"))
    return {code: sorted({clean(one) for one in some} - {""}) for code, some in found.items()}


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield (source, translation) of a gettext catalogue; the first of plural forms."""
    for block in text.split("\n\n"):
        said = {}
        for key, quoted in re.findall(r'^(msgid|msgstr(?:\[0\])?) ((?:".*"\n?)+)', block, re.MULTILINE):
            said[key[:6]] = "".join(re.findall(r'"(.*)"', quoted))
        if said.get("msgid") and said.get("msgstr"):
            yield said["msgid"], said["msgstr"]


def clean(text: str) -> str:
    """Return a string as a page would show it: no tags, place holders or escapes."""
    text = re.sub(r"<[^>]*>|%\(\w+\)[sd]|%[sd]|\{\{?[^}]*\}?\}|\\[nt]|&\w+;", " ", text).replace('\\"', '"')
    return " ".join(text.split())


def texts(parts: list[str], code: str, chance: random.Random) -> Iterator[str]:
    """Yield texts of shuffled strings."""
    share = 2 if code in DENSE else 1
    for _ in range(ROUNDS):
        order = chance.sample(parts, len(parts))
        while order:
            wanted, text = chance.randint(*SIZES) // share, ""
            while order and len(text) < wanted:
                text += order.pop() + "\n"
            if len(text) >= SIZES[0] // share:
                yield text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    chance, rows = random.Random(0), []
    for row in documents(given.data, False).to_pylist():
        if row["lang"] in LANGS and row["origin"] not in LEFT_OUT + OLD:
            rows.append({key: row[key] for key in ("text", "lang", "origin", "source", "licence")} | {"label": "good"})
    lines = Path(__file__).parent / "chaff"
    sources = {"our own lines": ("ours", {c: (lines / f"{c}.txt").read_text("utf-8").splitlines() for c in LANGS})}
    for folder in sorted(path for path in given.packages.iterdir() if path.is_dir()):
        sources[folder.name] = ("MIT or BSD", strings(folder))
    for name, (licence, by_code) in sources.items():
        for code, parts in by_code.items():
            for text in texts(parts, code, chance) if len(parts) >= 20 else ():
                row = {"text": text, "lang": code, "origin": name, "source": name, "licence": licence}
                rows.append(row | {"label": "chaff"})
    chance.shuffle(rows)
    taken: dict[tuple[str, str, str], int] = {}
    with given.out.open("w", encoding="utf-8") as out:
        for row in rows:
            key = (row["origin"], row["lang"], row["label"])
            taken[key] = taken.get(key, 0) + 1
            if taken[key] <= MOST:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    for key, number in sorted(taken.items()):
        print(*key, min(number, MOST))


if __name__ == "__main__":
    main()
