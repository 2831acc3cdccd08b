"""A new language: labelled seed texts become a folder of `filters/`, with its evaluation.

The result is a beginning: terms that distinguish the medical seeds from the others, and the words that occur in most
texts. A person who knows the language then sorts and prunes the terms and adds forms; `mmedc filters check` and
`mmedc fit lexicon --judge` help.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from ruamel.yaml import YAML

from mmedc.errors import RequestError
from mmedc.filters import open_filters
from mmedc.fit.labelled import read_labelled
from mmedc.fit.lexicon import propose
from mmedc.fit.measured import Quality, array, quality, with_terms
from mmedc.fit.model import folds
from mmedc.folding import folded_texts
from mmedc.limits import reasons
from mmedc.steps.medical import LEXICON_MEASURES
from mmedc.steps.score import scorer
from mmedc.words import TextBatch

LEAST = 3
"""A term must occur in at least this many medical seeds."""
TERMS, STOPWORDS = 600, 120
PARTS = 4
"""One of this many parts of the sources is held out for the evaluation."""


def fit_language(
    patterns: list[str], code: str, name: str, scripts: list[str], spaced: bool, folder: Path, policy: str = "balanced"
) -> Quality:
    """Write `folder/CODE/` from labelled texts of one language; return how well `policy` decides on sources held out.

    Raises: RequestError when the folder exists already, or when the seeds have one label only.
    """
    place = folder / code
    if place.exists():
        raise RequestError(f"{place}: exists already, and may have been edited; choose another --out, or delete it")
    table = read_labelled(patterns, languages=(code,))
    held = pa.array(_held_out(table))
    seeds, others = table.filter(pc.invert(held)), table.filter(held)
    for part, what in ((seeds, "to learn from"), (others, "to judge by")):
        if len(set(part["label"].to_pylist())) < 2:
            raise RequestError(f"{code}: the texts {what} have one label only; give more sources of both labels")
    place.mkdir(parents=True)
    with (place / "language.yaml").open("w", encoding="utf-8") as out:
        YAML().dump({"name": name, "scripts": scripts, "spaced": spaced}, out)
    _write(place / "stopwords.txt", "Words that occur in most texts.", stop_words(seeds))
    _write(place / "lexicon.txt", "Nothing yet.", [])
    filters = open_filters(str(folder))
    found = propose(seeds, filters.language(code), LEAST, TERMS)
    terms = [f"{term.phrase}  # in {term.medical} medical texts and {term.other} others" for term in found]
    _write(place / "lexicon.txt", "Proposed from seed texts; to be pruned and sorted.", ["[diseases]", *terms])
    limits = filters.policy(policy, (code,))
    others = with_terms(others, limits)
    counted = np.column_stack([array(others, measure) for measure in LEXICON_MEASURES])
    score = scorer(filters.model("medical").path)
    chances = score(others["text"].combine_chunks(), counted)
    others = others.append_column("medical_model", pa.array(chances))
    missed = reasons(others, limits, (*LEXICON_MEASURES, "medical_model"))
    return quality(missed.is_null().to_numpy(zero_copy_only=False), others["label"].to_numpy(zero_copy_only=False))


def _held_out(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which texts are held out for the evaluation: whole sources, the same part of each label."""
    label = table["label"].to_numpy(zero_copy_only=False).astype(bool)
    sources = np.array(table["source"].to_pylist())
    held = np.zeros(len(label), bool)
    for side in (label, ~label):
        if side.any():
            held[side] = next(folds(sources[side].tolist(), PARTS))
    return held


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
