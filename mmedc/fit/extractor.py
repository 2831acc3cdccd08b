"""Fits the trees by which our own extractor tells main content from the frame of a page, tested on sites not seen."""

import hashlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from ruamel.yaml import YAML

from mmedc.decoding import decode_page
from mmedc.errors import RequestError
from mmedc.fit.alignment import WORD, words_in
from mmedc.steps.extract import NO_LATER, render, tree
from mmedc.steps.extract.blocks import Blocks, blocks_of, spans_of
from mmedc.steps.extract.claims import Claims, claims_of
from mmedc.steps.extract.features import NO_FEATURES, features_of
from mmedc.steps.extract.kinds import roles_of
from mmedc.steps.extract.metadata import Found, read_metadata
from mmedc.steps.extract.model import SCALE, Trees, chosen

USE = "main content or the frame of a page, block by block; card in models/extractor.md"
FOLDS = 5
ASIDE = 0.15
"""The share of the sites that are put aside: no fold of the cross-validation has their pages."""
TREES, DEPTH, RATE = 300, 6, 0.1
BORDERS = 32
"""The number of thresholds that are tried for a feature."""
SHORT_WORDS, SHORT_BLOCKS = 8, 260
"""Of the blocks of fewer words, about so many of a page are fitted on; they then weigh more."""
SMALL_PAGE_WORDS = 50
"""Added to the words by whose number the blocks of a page are weighed, so that small pages do not outweigh others."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Labelled(NamedTuple):
    """A page with its gold text: its blocks as features, and how many words of each stand in the gold text."""

    site: str
    kind: str
    gold: str
    found: Blocks
    features: dict[str, NDArray[np.int32]]
    gold_words: Ints
    words: Ints


@dataclass(frozen=True)
class Measured:
    """Word F1 by kind of page (`all` for the mean of all pages), and the number of pages."""

    f1: dict[str, float]
    pages: dict[str, int]


def word_f1(found: str, wanted: str) -> float:
    """Return the harmonic mean of precision and recall of the words of `found`, as multisets.

    1 where nothing is wanted and nothing found, as WCXB's own script counts, and 0 where one of them has no words. A
    character of a script without spaces is a word.
    """
    mine, gold = Counter(WORD.findall(found.lower())), Counter(WORD.findall(wanted.lower()))
    if not mine and not gold:
        return 1.0
    return 2 * (mine & gold).total() / max(mine.total() + gold.total(), 1)


def site_of(url: str) -> str:
    """Return the site of an address: the last two labels of its host, or three as in `example.co.uk`."""
    labels = (urlsplit(url).hostname or "").removeprefix("www.").split(".")
    return ".".join(labels[-3 if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3 else -2 :])


def share_of(site: str, purpose: str) -> float:
    """Return a number from 0 to .99 that only the name of a site and a purpose decide."""
    return int(hashlib.sha256(f"{purpose}{site}".encode()).hexdigest()[:8], 16) % 100 / 100


def read_labelled_pages(patterns: Iterable[str]) -> list[Labelled]:
    """Return the pages of Parquet files with the columns url, html (bytes or text) and text, and maybe page_type.

    Raises: RequestError for a pattern without files, or a file without these columns.
    """
    pages = []
    for pattern in patterns:
        paths = sorted(glob(pattern))
        if not paths:
            raise RequestError(f"{pattern}: no such file; give Parquet files with the columns url, html and text")
        for path in paths:
            columns = pq.read_schema(path).names
            if missing := {"url", "html", "text"} - set(columns):
                raise RequestError(f"{path}: no column {', '.join(sorted(missing))}; it has {', '.join(columns)}")
            for row in pq.read_table(path).to_pylist():
                pages.append(labelled(row["html"], row["text"] or "", row["url"] or "", row.get("page_type") or "page"))
    return pages


def labelled(html: bytes | str, gold: str, url: str, kind: str) -> Labelled:
    """Return a page with its gold text as rows of numbers."""
    page = decode_page(html, None)[0] if isinstance(html, bytes) else html
    parsed = tree.parse(page or "")
    said = Claims()
    if parsed is not None:
        stated = Found(parsed)
        said = claims_of(stated, read_metadata(stated, url, NO_LATER).title or "")
    found = blocks_of(tree.walk(parsed) if parsed is not None else tree.Walk())
    found.walk.nodes.clear()
    described = features_of(found, roles_of(found.walk), said) if found.texts else {}
    small = {name: values.astype(np.int32) for name, values in described.items()}
    return Labelled(site_of(url), kind, gold, found, small, *words_in(found.texts, gold))


def fitted(pages: list[Labelled], seed: int = 1) -> Trees:
    """Return trees fitted on pages: least squares on the share of each block's words that stand in the gold text.

    Raises: RequestError when catboost, which fits, is not installed.
    """
    try:
        from catboost import CatBoostRegressor, Pool
    except ImportError:
        raise RequestError("catboost, which fits the trees, is not installed; run: pip install catboost") from None
    pages = [page for page in pages if page.features]
    names = tuple(_described(pages[0]))
    rows, shares, weights = map(np.concatenate, zip(*(_rows(page, seed) for page in pages), strict=True))
    regressor = CatBoostRegressor(
        loss_function="RMSE",
        iterations=TREES,
        depth=DEPTH,
        learning_rate=RATE,
        rsm=0.3,
        bootstrap_type="Bernoulli",
        subsample=0.7,
        l2_leaf_reg=5,
        border_count=BORDERS,
        boosting_type="Plain",
        leaf_estimation_iterations=1,
        thread_count=1,  # the sums, and so the trees, depend on the number of threads
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
    )
    regressor.fit(Pool(rows, shares, weight=weights))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trees.json"
        regressor.save_model(str(path), format="json")
        return _whole(json.loads(path.read_text()), names)


def _described(page: Labelled) -> dict[str, NDArray[np.int32]]:
    """Return the features of a page that say the same in every page."""
    return {name: values for name, values in page.features.items() if name not in NO_FEATURES}


def _rows(page: Labelled, seed: int) -> tuple[NDArray[np.float32], Floats, Floats]:
    """Return the blocks of a page that are fitted on: features, shares of gold words, weights."""
    weights = (page.words + 2) / (page.words.sum() / 2 + page.gold_words.sum() + SMALL_PAGE_WORDS)
    short = page.words < SHORT_WORDS
    drawn = page.words > 0
    if (number := int((short & drawn).sum())) > SHORT_BLOCKS:
        luck = np.random.default_rng(seed).random(len(page.words))
        drawn &= ~short | (luck < SHORT_BLOCKS / number)
        weights = np.where(short, weights * number / SHORT_BLOCKS, weights)
    shares = page.gold_words / np.maximum(page.words, 1)
    rows = np.stack(list(_described(page).values()))[:, drawn].T.astype(np.float32)
    return rows, shares[drawn], weights[drawn]


def _whole(model: dict[str, Any], names: tuple[str, ...]) -> Trees:
    """Return the trees of catboost's JSON in whole numbers: features are, so `> 3.5` is `> 3`."""
    asked, over, leaves = [], [], []
    for one in model["oblivious_trees"]:
        splits = one["splits"] + [{"float_feature_index": 0, "border": 2.0**40}] * (DEPTH - len(one["splits"]))
        asked.append([split["float_feature_index"] for split in splits])
        over.append([int(np.floor(split["border"])) for split in splits])
        values = np.rint(np.array(one["leaf_values"]) * SCALE).astype(np.int64)
        leaves.append(np.resize(values, 1 << DEPTH))  # questions that were filled in are never answered by yes
    scale, (bias,) = model["scale_and_bias"]
    if scale != 1:
        raise RequestError(f"catboost wrote trees of scale {scale}; this version reads scale 1 only")
    return Trees(names, np.array(asked), np.array(over), np.array(leaves), round(bias * SCALE))


def text_by(trees: Trees, page: Labelled) -> str:
    """Return the text of a page by a model."""
    if not page.found.texts:
        return ""
    kept = chosen(trees.scores(page.features), page.features, spans_of(page.found))
    return render.page(page.found, kept.tolist())[0]


def measured(pages: list[Labelled], texts: list[str]) -> Measured:
    """Return the word F1 of texts of pages."""
    scores: dict[str, list[float]] = defaultdict(list)
    for page, text in zip(pages, texts, strict=True):
        score = word_f1(text, page.gold)
        scores["all"].append(score)
        scores[page.kind].append(score)
    return Measured(
        {kind: sum(found) / len(found) for kind, found in scores.items()},
        {kind: len(found) for kind, found in scores.items()},
    )


def cross_validated(pages: list[Labelled], watch: Callable[[int, int], None]) -> list[str]:
    """Return the text of each page by trees that were fitted on other sites."""
    folds = [int(FOLDS * share_of(page.site, "fold")) for page in pages]
    texts = [""] * len(pages)
    for fold in range(FOLDS):
        watch(fold, FOLDS)
        trees = fitted([page for page, own in zip(pages, folds, strict=True) if own != fold])
        for number, own in enumerate(folds):
            if own == fold:
                texts[number] = text_by(trees, pages[number])
    watch(FOLDS, FOLDS)
    return texts


def fit_extractor(patterns: list[str], folder: Path, watch: Callable[[int, int], None]) -> str:
    """Fit the trees on labelled pages into `folder`, and return their card.

    Writes `models/extractor.npz`, its entry in `models.yaml` and `models/extractor.md` (the card). Pages of sites that
    were put aside are measured once, by trees fitted on the others; the trees that are written are fitted on all.

    Raises: RequestError for pages of fewer than `FOLDS` sites.
    """
    pages = read_labelled_pages(patterns)
    sites = {page.site for page in pages}
    if len(sites) < FOLDS:
        raise RequestError(
            f"{' '.join(patterns)}: pages of {len(sites)} sites; sites test each other, so {FOLDS} at least"
        )
    aside = [page for page in pages if share_of(page.site, "held") < ASIDE]
    rest = [page for page in pages if share_of(page.site, "held") >= ASIDE]
    folds = measured(rest, cross_validated(rest, watch))
    trees = fitted(rest)
    unseen = measured(aside, [text_by(trees, page) for page in aside])
    trees = fitted(pages)
    sha256 = write_trees(trees, folder / "models" / "extractor.npz")
    register(folder / "models.yaml", sha256)
    card = _card(trees, sha256, len(sites), {"folds by site": folds, "sites put aside": unseen})
    (folder / "models" / "extractor.md").write_text(card, encoding="utf-8")
    return card


def register(file: Path, sha256: str) -> None:
    """Pin the model in `models.yaml`, beside its other entries."""
    yaml = YAML()
    known = (yaml.load(file.read_text(encoding="utf-8")) if file.exists() else None) or {}
    known["extractor"] = {"use": USE, "file": "models/extractor.npz", "sha256": sha256}
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(known, out)


def _card(trees: Trees, sha256: str, sites: int, tables: dict[str, Measured]) -> str:
    """Return the card of a model as Markdown."""
    lines = [
        "# Model extractor",
        "",
        f"{len(trees.asked)} oblivious trees of {trees.asked.shape[1]} questions over {len(trees.features)} features",
        f"of a block, in whole numbers; SHA-256 {sha256}.",
        f"Made by `mmedc fit extractor` from pages of {sites} sites.",
        "",
        "Word F1 by kind of page, on sites that the trees did not see:",
    ]
    for name, found in tables.items():
        lines += ["", f"| {name} | " + " | ".join(found.f1) + " |", "|---|" + "--:|" * len(found.f1)]
        lines.append("| F1 | " + " | ".join(f"{value:.3f}" for value in found.f1.values()) + " |")
        lines.append("| pages | " + " | ".join(map(str, found.pages.values())) + " |")
    return "\n".join(lines) + "\n"


def write_trees(trees: Trees, path: Path) -> str:
    """Write a model file and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        features=np.array(trees.features),
        asked=trees.asked.astype(np.int16),
        over=np.minimum(trees.over, np.iinfo(np.int32).max).astype(np.int32),
        leaves=trees.leaves.astype(np.int32),
        base=trees.base,
    )
    return hashlib.sha256(path.read_bytes()).hexdigest()
