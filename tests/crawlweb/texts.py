"""Sentences of twelve languages, about medicine and about other things, from the texts of the test suite."""

import re
from functools import cache
from pathlib import Path
from random import Random

from ruamel.yaml import YAML

from tests.build_sample import read_pages

HERE = Path(__file__).parent
LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es", "de", "ar", "hi", "it", "ko", "pt")
SAMPLED = ("en", "fr", "es", "ru", "zh", "ja")
SPACELESS = ("zh", "ja")
END = re.compile(r"(?<=[.!?।؟])\s+|(?<=[。！？])")


@cache
def _yaml(path: Path) -> dict[str, object]:
    read: dict[str, object] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return read


@cache
def sentences(lang: str, medical: bool) -> tuple[str, ...]:
    """Return the sentences of a language that are medical, or that are not."""
    if lang in SAMPLED:
        texts = [page["text"] for page in read_pages(lang) if (page["label"] == "medical") is medical]
    elif medical:
        texts = [str(_yaml(HERE.parent / "charset_texts.yaml")[lang])]
    else:
        return tuple(_yaml(HERE / "plain.yaml")[lang])  # type: ignore[arg-type]
    found = [part.strip() for text in texts for part in END.split(text.replace("\n", " "))]
    return tuple(dict.fromkeys(part for part in found if len(part) > 15))


def article(lang: str, medical: bool, random: Random) -> tuple[str, list[str]]:
    """Return a title and paragraphs, of which no two calls with other states of `random` give the same."""
    pool = sentences(lang, medical)
    stray = sentences(lang, not medical)
    joint = "" if lang in SPACELESS else " "
    paragraphs = []
    for _ in range(random.randint(3, 10)):
        chosen = random.choices(pool, k=random.randint(2, 6))
        if random.random() < 0.1:
            chosen.append(random.choice(stray))
        chosen.append(f"{random.randrange(10**6):,}.")
        paragraphs.append(joint.join(chosen))
    return random.choice(pool)[:60], paragraphs
