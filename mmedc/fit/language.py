"""A new language: labelled seed texts, or a list of terms, become a folder of `filters/`, with its evaluation.

The result is a beginning: terms that distinguish the medical seeds from the others, and the words that occur in most
texts. A person who knows the language then sorts and prunes the terms and adds forms; `mmedc filters check` and
`mmedc fit lexicon --judge` help.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ruamel.yaml import YAML

from mmedc.errors import RequestError, WorkError
from mmedc.filters import open_filters
from mmedc.fit.labelled import read_labelled
from mmedc.fit.lexicon import propose
from mmedc.fit.measured import Quality, array, quality, with_terms
from mmedc.fit.model import folds
from mmedc.folding import folded_texts
from mmedc.lexicon import read_lexicon
from mmedc.limits import reasons
from mmedc.policy import CATEGORIES, LanguagePolicy, Lexicon, Policy
from mmedc.starter import check_code
from mmedc.steps.medical import LEXICON_MEASURES
from mmedc.steps.score import scorer
from mmedc.words import TextBatch

LEAST = 3
"""A term must occur in at least this many medical seeds."""
TERMS, STOPWORDS = 600, 120
PARTS = 4
"""One of this many parts of the texts of each label is held out for the evaluation: whole sources."""
LEAST_SEEDS, LEAST_SOURCES, LEAST_FOUND = 30, 2, 20
"""Fewest texts and sources of each label, and fewest terms found. Of Portuguese seeds of 1,100 characters (TICO-19,
NTREX-128), 30 of each label gave 7 terms, 50 gave 15, 80 gave 38 and an F1 of .91, 140 gave 84 and .99 (means of 3)."""
NOT_IN_A_TERM = re.compile(r'[{}\[\]":;<>|=\t]')
"""Signs of another format than a list of terms, such as JSON or a table."""
ENOUGH = 140
"""Texts of each label that were enough there."""


class Begun(NamedTuple):
    """The files of a new language, how many terms and stop words they have, and how well these decide."""

    folder: Path
    terms: int
    stop_words: int
    quality: Quality | None
    """On seed texts that were held out; None without seeds."""


def fit_language(
    patterns: list[str],
    code: str,
    name: str,
    scripts: list[str],
    spaced: bool,
    folder: Path,
    terms: Path | None = None,
    policy: str = "balanced",
) -> Begun:
    """Write `folder/CODE/` from labelled seed texts of one language, from a list of terms, or from both.

    With seeds, the result says how well `policy` decides on sources that were held out.

    Raises: RequestError when the folder exists already, or when neither seeds nor terms are given; WorkError when the
    seeds are too few, come from too few sources, or yield too few terms. Nothing is written then.
    """
    check_code(code)
    place = folder / code
    if place.exists():
        raise RequestError(f"{place}: exists already, and may have been edited; choose another --out, or delete it")
    if not patterns and terms is None:
        raise RequestError("nothing to learn from: name files of labelled seed texts, or a list of terms by --terms")
    given = read_lexicon(terms) if terms else ()
    for term in given:
        if sign := NOT_IN_A_TERM.search(", ".join(term.forms)):
            raise RequestError(
                f"{terms}:{term.line}: found {sign[0]} in a term; expected a term a line, its other forms after commas"
            )
    language = LanguagePolicy(code, name, tuple(scripts), spaced, (), Lexicon(given), (), {})
    held = None
    if patterns:
        seeds, held = _split(read_labelled(patterns, languages=(code,)), code)
        language = replace(language, stopwords=tuple(stop_words(seeds)))
        found = propose(seeds, language, LEAST, TERMS)
        if len(found) + len(given) < LEAST_FOUND:
            raise WorkError(
                f"{code}: {len(found)} terms in {seeds.num_rows} seed texts; expected at least {LEAST_FOUND}: "
                f"give more or longer texts (about {ENOUGH} of each label), or a list of terms by --terms"
            )
        lines = [f"{term.phrase}  # in {term.medical} medical texts and {term.other} others" for term in found]
    else:
        lines = []
    _write_language(place, language, lines)
    shown = open_filters(str(folder)).policy(policy, (code,))
    words = shown.languages[code]
    return Begun(place, len(words.lexicon), len(words.stopwords), None if held is None else _judged(held, shown))


def _write_language(place: Path, language: LanguagePolicy, proposed: list[str]) -> None:
    place.mkdir(parents=True)
    with (place / "language.yaml").open("w", encoding="utf-8") as out:
        YAML().dump({"name": language.name, "scripts": [*language.scripts], "spaced": language.spaced}, out)
    _write(place / "stopwords.txt", "The most common words, one a line.", [*language.stopwords])
    lines = []
    for category in sorted({term.category for term in language.lexicon}, key=_order):
        lines += ["", f"[{category or CATEGORIES[1]}]"]
        lines += [", ".join(term.forms) for term in language.lexicon if term.category == category]
    if proposed:
        lines += [
            "",
            "# Proposed from seed texts: keep what is a term, under its category.",
            f"[{CATEGORIES[1]}]",
            *proposed,
        ]
    _write(place / "lexicon.txt", "One term a line, with its other forms after commas.", lines)


def _order(category: str) -> int:
    return CATEGORIES.index(category) if category else -1


def _judged(held: pa.Table, policy: Policy) -> Quality:
    """Return how well a policy decides about labelled texts."""
    held = with_terms(held, policy)
    counted = np.column_stack([array(held, measure) for measure in LEXICON_MEASURES])
    score = scorer(open_filters().model("medical").path)
    held = held.append_column("medical_model", pa.array(score(held["text"].combine_chunks(), counted)))
    missed = reasons(held, policy, (*LEXICON_MEASURES, "medical_model"))
    return quality(missed.is_null().to_numpy(zero_copy_only=False), held["label"].to_numpy(zero_copy_only=False))


def _split(table: pa.Table, code: str) -> tuple[pa.Table, pa.Table]:
    """Return the texts to learn from and those held out: whole sources, the same part of each label.

    Raises: WorkError when a label has too few texts or sources.
    """
    table = table.filter(pc.is_valid(table["label"]))
    label = table["label"].to_numpy(zero_copy_only=False).astype(bool)
    sources = np.array(table["source"].to_pylist(), dtype=object)
    counts = [(int(side.sum()), len(set(sources[side]))) for side in (label, ~label)]
    if any(texts < LEAST_SEEDS or names < LEAST_SOURCES for texts, names in counts):
        (medical, places), (other, others) = counts
        raise WorkError(
            f"{code}: {medical} medical texts from {places} sources and {other} others from {others}; expected at "
            f"least {LEAST_SEEDS} of each label (better {ENOUGH}) from at least {LEAST_SOURCES} sources, because whole "
            "sources are held out to judge the result; `label` is medical or anything else, `source` says where a text "
            "comes from"
        )
    held = np.zeros(len(label), bool)
    for side in (label, ~label):
        held[side] = min(folds(sources[side].tolist(), PARTS), key=lambda fold: abs(fold.mean() - 1 / PARTS))
    return table.filter(pa.array(~held)), table.filter(pa.array(held))


def stop_words(table: pa.Table) -> list[str]:
    """Return the words that most texts of both labels contain, the most common first; without spaces, characters."""
    often = {True: Counter[str](), False: Counter[str]()}
    for text, label in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True):
        batch = TextBatch(folded_texts(pa.array([text], pa.large_string())))
        folded = folded_texts(pa.array([text], pa.large_string()))[0].as_py()
        spans = zip(batch.word_starts.tolist(), batch.word_lengths.tolist(), strict=True)
        often[label].update({folded[at : at + size] for at, size in spans if not folded[at].isdigit()})
    sizes = Counter(table["label"].to_pylist())
    shares = {word: min(often[side][word] / sizes[side] for side in often) for word in often[True] & often[False]}
    return sorted(shares, key=lambda word: (-shares[word], word))[:STOPWORDS]


def _write(path: Path, comment: str, lines: list[str]) -> None:
    path.write_text("\n".join([f"# {comment}", *lines]) + "\n", encoding="utf-8")
