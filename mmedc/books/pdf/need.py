"""The chance that the text of a page is not what the page shows: a logistic regression over figures of the text.

The text is read first, and then judged; whether pictures cover the page counts as well, because the layer of a scan is
more often wrong. The language of the recipe does not count. `mmedc fit pages` fits it; the card of the model that ships
is `filters/models/pages.md`.
"""

import functools
import re
from dataclasses import dataclass
from math import exp

import numpy as np
import numpy.typing as npt

from mmedc.books.pdf.letters import MOST_CHARS, SCRIPTS, Tables, letters_of
from mmedc.errors import PolicyError
from mmedc.shipped import shipped

FEATURES = (
    *("less_likely", "unlikely", "symbols", "unmapped", "mixed_case", "inside"),
    *("full_short", "full_unlikely", "full_symbols"),
)
"""What is measured of a page; see `described`."""
FULL = 0.8
"""The share of a page that pictures cover from which on it may be a scan."""
STEP = 16
"""Parts of a natural logarithm in which the tables are stored."""
UNMAPPED = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\U000f0000-\U000ffffd]")
MIXED = re.compile("[a-zß-ÿа-я][A-ZÀ-ÞА-Я]")
WORD = re.compile(r"[^\W\d_]+")
MARKS = "\u0900-\u097f\u0600-\u06ff"
"""Vowel signs and points, which are no letters of `\\w`."""
SYMBOL = re.compile(rf"[^\w\s.,;:!?()\[\]'’‘“”\"«»\-–—/%。、，；：？！（）「」『』《》【】・〜·…{MARKS}]")
INSIDE = re.compile(rf"[^\W\d_][^\w\s'’\-\u00ad.\u0300-\u036f{MARKS}][^\W\d_]")

Floats = npt.NDArray[np.float64]


def unmapped(text: str) -> float:
    """Return the share of characters that stand for nothing."""
    return len(UNMAPPED.findall(text)) / max(len(text), 1)


def described(text: str, images: float, tables: Tables) -> Floats:
    """Return the features of a page, (FEATURES,), from the lines of its text and the share that pictures cover."""
    text = text[:MOST_CHARS]
    letters = letters_of(text)
    less, unlikely = tables.odd(letters)
    chars, count = len(text) - text.count(" ") - text.count("\n"), max(int((letters.script_of >= 0).sum()), 1)
    latin = [word for word in WORD.findall(text) if word[0] < "\u0250"]
    short = sum(len(word) < 3 for word in latin) / (len(latin) + 20)
    symbols, full = min(len(SYMBOL.findall(text)) / max(chars, 1), 0.3), float(images >= FULL)
    return np.array(
        [
            less, unlikely, symbols, min(unmapped(text), 0.5), min(len(MIXED.findall(text)) / count, 0.2),
            min(len(INSIDE.findall(text)) / count, 0.2), full * short, full * unlikely, full * symbols,
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class Judge:
    """The model: tables of letters, and a weight for each feature."""

    tables: Tables
    weights: Floats
    bias: float

    def chance(self, text: str, images: float) -> float:
        """Return the chance that a page with these lines and pictures needs OCR, 0 to 1, as far as its text tells."""
        found = float(described(text, images, self.tables) @ self.weights) + self.bias
        return 1 / (1 + exp(-min(max(found, -50.0), 50.0)))

    def write(self, path: str) -> None:
        """Write the model as numbers: `.npz`, the logarithms in one byte each."""
        logs = np.clip(np.round(-STEP * self.tables.logs), 0, 255).astype(np.uint8)
        np.savez_compressed(path, logs=logs, weights=self.weights.astype(np.float32), bias=np.float32(self.bias))


@functools.lru_cache(maxsize=2)
def judge(path: str | None = None) -> Judge:
    """Return the model in a file of `mmedc fit pages`; by default the one that ships. Raises: PolicyError."""
    path = path or str(shipped("filters") / "models" / "pages.npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            logs, weights, bias = file["logs"].astype(np.float32) / -STEP, file["weights"], float(file["bias"])
        if weights.shape != (len(FEATURES),) or len(logs) != len(SCRIPTS):
            raise ValueError(f"{len(weights)} weights instead of {len(FEATURES)}")
    except (OSError, ValueError, KeyError) as problem:
        raise PolicyError(f"{path}: expected a model of `mmedc fit pages` ({problem})") from None
    return Judge(Tables(logs), weights.astype(np.float64), bias)
