"""Fits the model that tells which pages of PDF need OCR, tested on languages and kinds of fault that it did not see."""

import hashlib
from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from mmedc.books.pdf.letters import Tables, counted
from mmedc.books.pdf.need import FEATURES, STEP, Judge, described
from mmedc.errors import RequestError
from mmedc.fit.measured import Quality, quality
from mmedc.jsonlines import read_json_lines

USE = "whether a page of a PDF needs OCR; card in models/pages.md"
PENALTY = 4.0
"""The L2 penalty on the weights of features with mean 0 and variance 1; the loss is a sum over the pages."""
ROUNDS = 60
"""Steps of Newton's method."""
MOST_CHARS = 60_000
"""Of a text that are counted, so that no book outweighs the other texts."""
LEAST = 20
"""Pages with and without a need."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Pages(NamedTuple):
    """Pages of which it is known whether they need OCR."""

    rows: Floats
    """(P, FEATURES)."""
    need: Flags
    langs: npt.NDArray[np.str_]
    kinds: npt.NDArray[np.str_]


def fit_pages(pages: list[str], texts: list[str], folder: Path) -> str:
    """Fit the model on pages into `folder`, with letters counted in `texts`, and return its card.

    `pages` are JSON Lines with text, images (the share of the page that pictures cover), need (true or false), lang and
    kind; `texts` have text and lang. Writes `models/pages.npz`, its entry in `models.yaml` and `models/pages.md`.

    Raises: RequestError with file and line for a line that is not such a row, or for too few pages.
    """
    by_language: dict[str, list[str]] = {}
    for row in _rows(texts, {"text": str, "lang": str}):
        by_language.setdefault(row["lang"].partition("-")[0], []).append(row["text"][:MOST_CHARS])
    counts = counted(by_language[lang] for lang in sorted(by_language))
    tables = Tables(np.clip(np.round(STEP * counts.logs), -255, 0) / np.float32(STEP))
    known = read_pages(pages, tables)
    if min(known.need.sum(), (~known.need).sum()) < LEAST:
        raise RequestError(f"{' '.join(pages)}: expected {LEAST} pages or more with need true, and as many with false")
    judge = fitted(known, tables)
    path = folder / "models" / "pages.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    judge.write(str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    _register(folder / "models.yaml", sha256)
    card = _card(known, judge, sha256, path.stat().st_size, {lang: len(found) for lang, found in by_language.items()})
    path.with_suffix(".md").write_text(card, encoding="utf-8")
    return card


def read_pages(patterns: Iterable[str], tables: Tables) -> Pages:
    """Return the pages of JSON Lines files; see `fit_pages`. Raises: RequestError."""
    wanted = {"text": str, "images": (int, float), "need": bool, "lang": str, "kind": str}
    rows = _rows(patterns, wanted)
    found = [described(row["text"], row["images"], tables) for row in rows]
    columns = (np.array([row[name] for row in rows]) for name in ("need", "lang", "kind"))
    return Pages(np.array(found).reshape(-1, len(FEATURES)), *columns)


def _rows(patterns: Iterable[str], wanted: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for pattern in patterns:
        paths = sorted(glob(pattern, recursive=True))
        if not paths:
            raise RequestError(f"{pattern}: no such file; expected JSON lines with {', '.join(wanted)}")
        for path in paths:
            for number, row in read_json_lines(path):
                if wrong := [name for name, kind in wanted.items() if not isinstance(row.get(name), kind)]:
                    raise RequestError(f"{path}:{number}: no {', '.join(wrong)}; expected {', '.join(wanted)}")
                rows.append(row)
    return rows


def fitted(pages: Pages, tables: Tables) -> Judge:
    """Return the model fitted on pages: logistic regression by Newton's method; it is deterministic."""
    mean, scale = pages.rows.mean(axis=0), pages.rows.std(axis=0) + 1e-9
    rows = np.column_stack([(pages.rows - mean) / scale, np.ones(len(pages.rows))])
    penalty = np.append(np.full(len(FEATURES), PENALTY), 0.0)
    weights, wanted = np.zeros(rows.shape[1]), pages.need.astype(float)
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (chance - wanted) + penalty * weights
        curve = (rows * (chance * (1 - chance))[:, None]).T @ rows + np.diag(penalty + 1e-6)
        weights = weights - np.linalg.solve(curve, slope)
    own = weights[:-1] / scale
    return Judge(tables, own, float(weights[-1] - own @ mean))


def decided(judge: Judge, rows: Floats) -> Flags:
    """Return which pages a model takes to need OCR."""
    verdicts: Flags = rows @ judge.weights + judge.bias > 0
    return verdicts


def left_out(pages: Pages, groups: npt.NDArray[np.str_], tables: Tables) -> dict[str, Flags]:
    """Return for each group which of its pages are misjudged by a model that saw none of them."""
    out: dict[str, Flags] = {}
    for group in dict.fromkeys(groups.tolist()):
        own = groups == group
        rest = Pages(*(values[~own] for values in pages))
        if rest.need.any() and not rest.need.all():
            out[group] = decided(fitted(rest, tables), pages.rows[own]) != pages.need[own]
    return out


def _register(file: Path, sha256: str) -> None:
    """Pin the model in `models.yaml`, beside its other entries."""
    yaml = YAML()
    known = (yaml.load(file.read_text(encoding="utf-8")) if file.exists() else None) or {}
    known["pages"] = {"use": USE, "file": "models/pages.npz", "sha256": sha256}
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(known, out)


def _card(pages: Pages, judge: Judge, sha256: str, size: int, texts: dict[str, int]) -> str:
    """Return the card of a model as Markdown."""
    own: Quality = quality(decided(judge, pages.rows), pages.need)
    scale = pages.rows.std(axis=0)
    weights = ", ".join(f"{name} {weight:+.2f}" for name, weight in zip(FEATURES, judge.weights * scale, strict=True))
    counts = ", ".join(f"{lang} {count}" for lang, count in sorted(texts.items()))
    lines = [
        "# Model pages",
        "",
        f"The chance that a page of a PDF needs OCR: a logistic regression over {len(FEATURES)} features and tables of",
        f"letters; {size:,} bytes, SHA-256 {sha256}.",
        f"Made by `mmedc fit pages` from {own.positives} pages that need OCR and {own.negatives} that do not.",
        f"Texts in which letters were counted: {counts}.",
        f"Weights, for features of variance 1: {weights}.",
        "",
        f"On the pages that it was fitted on: precision {own.precision:.3f}, recall {own.recall:.3f}, F1 {own.f1:.3f}.",
    ]
    for name, groups in (("kind", pages.kinds), ("language", pages.langs)):
        tried = left_out(pages, groups, judge.tables)
        if not tried:
            continue
        lines += ["", f"| {name} left out | pages | misjudged |", "|---|--:|--:|"]
        lines += [f"| {group} | {len(wrong)} | {wrong.sum()} |" for group, wrong in tried.items()]
        mistaken = np.zeros(len(groups), bool)
        for group, wrong in tried.items():
            mistaken[groups == group] = wrong
        all_of = quality(pages.need ^ mistaken, pages.need)
        lines.append(f"| all: precision {all_of.precision:.3f}, recall {all_of.recall:.3f}, F1 {all_of.f1:.3f} |"
                     f" {len(groups)} | {mistaken.sum()} |")  # fmt: skip
    return "\n".join(lines) + "\n"
