"""Proposes terms that distinguish medical texts from others, for a person to review; and judges existing terms.

The contrast is the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi, Quinn
2008, "Fightin' Words", section 3.5.1), over the number of texts that contain a phrase. Phrases are
runs of one to three words; in scripts without spaces, of two to six characters.
"""

import re
from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mmedc.folding import folded
from mmedc.policy import SCRIPTS, LanguagePolicy
from mmedc.steps.medical import term_finder

WORDS, CHARS = range(1, 4), range(2, 7)
PRIOR = 0.1
"""The weight of the prior, in texts per text: the larger it is, the more rare phrases are pulled towards zero."""


class Proposal(NamedTuple):
    """A phrase, the z-score of its being more common in medical texts, and how many texts of both kinds contain it."""

    phrase: str
    z: float
    medical: int
    other: int


class Judged(NamedTuple):
    """A term of the lexicon, how many texts of both kinds contain it, and its precision if both kinds were as many."""

    term: str
    line: int
    medical: int
    other: int
    precision: float


def propose(table: pa.Table, language: LanguagePolicy, least: int = 5, limit: int = 300) -> list[Proposal]:
    """Return at most `limit` phrases of the labelled texts of one language, those with the highest z-score first.

    Left out are phrases in fewer than `least` medical texts, phrases that the lexicon has, that begin or end with a
    stop word or are in another script, and parts of a longer phrase that nearly always surrounds them.
    """
    label = table["label"].to_numpy(zero_copy_only=False)
    medical, other = Counter[str](), Counter[str]()
    for text, is_medical in zip(table["text"].to_pylist(), label, strict=True):
        (medical if is_medical else other).update(_phrases(text, language))
    sizes = float(label.sum()), float(len(label) - label.sum())
    known = {folded(form) for term in language.lexicon for form in term.forms}
    kept = [phrase for phrase, number in medical.items() if number >= least and phrase not in known]
    if not kept:
        return []
    counts = np.array([[medical[phrase], other[phrase]] for phrase in kept], float)
    share = counts.sum(axis=1) / sum(sizes)
    worth = PRIOR * sum(sizes)
    prior = worth * share
    odds = [
        np.log((counts[:, side] + prior) / np.maximum(sizes[side] + worth - counts[:, side] - prior, 1))
        for side in (0, 1)
    ]
    z = (odds[0] - odds[1]) / np.sqrt((1 / (counts + prior[:, None])).sum(axis=1))
    found: list[Proposal] = []
    for index in np.lexsort((np.array(kept), -z)):
        phrase = Proposal(kept[index], float(z[index]), int(counts[index, 0]), int(counts[index, 1]))
        if phrase.z <= 2 or len(found) >= limit:
            break
        if not any(_inside(phrase, longer) for longer in found):
            found = [shorter for shorter in found if not _inside(shorter, phrase)] + [phrase]
    return found


def _inside(part: Proposal, whole: Proposal) -> bool:
    """Return whether a phrase occurs in nearly no text without the longer one around it."""
    return part.phrase in whole.phrase and part.phrase != whole.phrase and whole.medical >= 0.8 * part.medical


def _phrases(text: str, language: LanguagePolicy) -> set[str]:
    """Return the phrases of a text that could be terms, folded."""
    letters = "".join(SCRIPTS[script] for script in language.scripts)
    runs = re.findall(rf"[{letters}]+(?:[-'][{letters}]+)*(?: [{letters}]+(?:[-'][{letters}]+)*)*", folded(text))
    stop = {folded(word) for word in language.stopwords}
    found: set[str] = set()
    for run in runs:
        if not language.spaced:
            for piece in run.split():
                parts = (piece[at : at + size] for size in CHARS for at in range(len(piece) - size + 1))
                found |= {part for part in parts if part[0] not in stop and part[-1] not in stop}
            continue
        words = run.split()
        for size in WORDS:
            for at in range(len(words) - size + 1):
                first, last = words[at], words[at + size - 1]
                if first not in stop and last not in stop and len(first) > 2 and len(last) > 2:
                    found.add(" ".join(words[at : at + size]))
    return found


def judge(table: pa.Table, language: LanguagePolicy) -> list[Judged]:
    """Return every term of the lexicon with its precision on the labelled texts, the least precise first.

    Terms that no text contains come last; their precision is not-a-number.
    """
    find = term_finder([term.forms for term in language.lexicon])
    label = table["label"].to_numpy(zero_copy_only=False)
    held = np.zeros((len(language.lexicon), 2))
    for text, is_medical in zip(table["text"].to_pylist(), label, strict=True):
        for number in {number for number, _, _ in find(text)[0]}:
            held[number, 0 if is_medical else 1] += 1
    shares = held / np.maximum([label.sum(), len(label) - label.sum()], 1)
    out = []
    for term, (medical, other), (often, seldom) in zip(language.lexicon, held, shares, strict=True):
        precision = often / (often + seldom) if often + seldom else float("nan")
        out.append(Judged(term.forms[0], term.line, int(medical), int(other), precision))
    return sorted(out, key=lambda term: (term.precision != term.precision, term.precision, -term.other))
