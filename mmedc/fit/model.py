"""Trains the models of `mmedc.steps.score`, medical or quality, evaluated on origins that they did not see."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from mmedc.errors import RequestError
from mmedc.filters import open_filters
from mmedc.fit.labelled import SCHEMA, read_labelled
from mmedc.fit.measured import array, quality, weights_of, with_terms
from mmedc.folding import folded_texts
from mmedc.policy import Policy
from mmedc.steps.medical import LEXICON_MEASURES
from mmedc.steps.score import BITS, features, mixed, scorer
from mmedc.words import TextBatch

FOLDS = 8
SURE = 2.0
"""A text without a label counts as medical from this many times the lexicon's limits on, as not medical without a term.
"""
PENALTY = 0.1
"""The L2 penalty."""
ROUNDS = 40
"""Iterations of L-BFGS: more fit the training origins better, and other origins no better."""
LEAST = 3
"""A feature must occur in at least this many texts."""
TERM_WEIGHT = 0.3
"""The weight of a lexicon term or stop word as a text of its own, relative to a text."""
SLICE = 500
"""Texts that are turned into features at a time."""


def unwatched(done: int, total: int) -> None:
    """Show nothing of how an evaluation goes."""


def fit_model(
    patterns: list[str],
    folder: Path,
    name: str,
    positive: str,
    languages: tuple[str, ...],
    overlay: str | None,
    watch: Callable[[int, int], None] = unwatched,
) -> str:
    """Train model `name` (medical or quality) on labelled texts into `folder`, and return its card.

    Writes `models/NAME.npz`, its entry in `models.yaml`, `models/NAME.md` (the card) and
    `held-out.parquet`: every labelled text with its measures and the score of a model that saw no text of
    its origin.

    Raises: RequestError without two origins or without texts of both labels.
    """
    table = read_labelled(patterns, positive, languages)
    codes = tuple(sorted(set(table["lang"].to_pylist())))
    policy = open_filters(overlay).policy("balanced", codes)
    table = with_terms(table, policy)
    extra = sure_ones(table.filter(pc.is_null(table["label"])), policy)
    table = table.filter(pc.is_valid(table["label"]))
    both = set(table["label"].to_pylist()) | set(extra["label"].to_pylist())
    if both != {True, False} or len(set(table["origin"].to_pylist())) < 2:
        raise RequestError(
            f"{' '.join(patterns)}: a model needs texts with both labels (found {sorted(map(str, both))}) and two or "
            f"more origins (found {sorted(set(table['origin'].to_pylist()))}), because origins test each other"
        )
    terms = words_as_texts(policy) if name == "medical" else None
    measure = {"medical": "medical_model"}.get(name, name)
    words = held_out(table, extra, terms, watch=watch)
    chances = held_out_mix(table, words) if name == "medical" else words
    scored = table.append_column(measure, pa.array(chances))
    path = folder / "models" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(scored, folder / "held-out.parquet", compression="zstd")
    mix = fit_mix(table, words) if name == "medical" else np.zeros(0)
    train(pa.concat_tables([table, extra]), path, terms, mix)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    text = card(scored, extra, measure, name, sha256, path.stat().st_size)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    _register(folder / "models.yaml", name, sha256, codes if name != "medical" else ())
    return text


def sure_ones(table: pa.Table, policy: Policy) -> pa.Table:
    """Return those texts (with their terms counted) about which the lexicon is certain, labelled by it."""
    least = {
        code: (language.limits["medical_terms"].min or 0, language.limits["medical_density"].min or 0)
        for code, language in policy.languages.items()
    }
    limits = np.array([least[lang] for lang in table["lang"].to_pylist()]).reshape(-1, 2)
    terms, density = array(table, "medical_terms"), array(table, "medical_density")
    yes = (terms >= SURE * limits[:, 0]) & (density >= SURE * limits[:, 1])
    at = table.schema.get_field_index("label")
    return table.set_column(at, "label", pa.array(yes)).filter(pa.array(yes | (terms == 0)))


def card(scored: pa.Table, extra: pa.Table, measure: str, name: str, sha256: str, size: int) -> str:
    """Return the model card: what the model is, its data, and how well it decides on origins that it did not see."""
    label = scored["label"].to_numpy(zero_copy_only=False)
    positive = array(scored, measure) >= 0.5
    langs = np.array(scored["lang"].to_pylist())
    rows = []
    for code in np.unique(langs):
        found = quality(positive[langs == code], label[langs == code])
        figures = f"{found.precision:.3f} | {found.recall:.3f} | {found.f1:.3f}"
        rows.append(f"| {code} | {found.positives} | {found.negatives} | {figures} |")
    bootstrapped = (
        f"\n{extra.num_rows} texts without a label were labelled by the lexicon, which was certain about them.\n"
        if extra.num_rows
        else ""
    )
    return CARD.format(
        name=name, sha256=sha256, size=size, rows="\n".join(rows), data="\n".join(_origins(scored)),
        extra=bootstrapped, penalty=PENALTY, rounds=ROUNDS, least=LEAST,
    )  # fmt: skip


def _origins(scored: pa.Table) -> list[str]:
    """Return a row of the card for each origin: its languages, positive and negative texts, licences."""
    by_origin: dict[str, list[dict[str, Any]]] = {}
    for row in scored.select(["origin", "lang", "label", "licence"]).to_pylist():
        by_origin.setdefault(row["origin"], []).append(row)
    lines = []
    for origin, rows in sorted(by_origin.items()):
        languages, licences = (sorted({row[key] for row in rows}) for key in ("lang", "licence"))
        positives = sum(row["label"] for row in rows)
        counts = f"{positives} | {len(rows) - positives}"
        lines.append(f"| {origin} | {' '.join(languages)} | {counts} | {', '.join(licences)} |")
    return lines


CARD = """# Model {name}

A linear classifier over hashed words, beginnings of words and pairs of words, with one byte per weight:
{size:,} bytes, SHA-256 {sha256}. It gives the probability that a text in one of the languages below is positive.
Made by `mmedc fit model`: logistic regression, penalty {penalty}, {rounds} iterations of L-BFGS, features that
occur in at least {least} texts.

## On origins that it did not see

Each text is scored by a model that was trained on other origins only; a score of at least 0.5 is positive.

| language | positive | negative | precision | recall | F1 |
|---|--:|--:|--:|--:|--:|
{rows}

## Data

| origin | languages | positive | negative | licence |
|---|---|--:|--:|---|
{data}
{extra}"""


def _register(file: Path, name: str, sha256: str, languages: tuple[str, ...]) -> None:
    """Pin the model in `models.yaml`, beside its other entries. Without languages it serves any that has a lexicon."""
    yaml = YAML(typ="rt")
    known = yaml.load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    use = {"medical": "medical or not", "quality": "good or not"}[name]
    known[name] = {"use": use, "file": f"models/{name}.npz", "sha256": sha256}
    if languages:
        known[name]["languages"] = list(languages)
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(known, out)


def train(table: pa.Table, path: Path, terms: pa.Table | None = None, mix: Any = ()) -> None:
    """Train on a labelled table (see `mmedc.fit.labelled`) and write the model to `path`. It is deterministic.

    Logistic regression with an L2 penalty. In each language both labels have the same weight (see `weights_of`).
    `terms` (see `words_as_texts`) have `TERM_WEIGHT` of that; `mix` (see `fit_mix`) is stored in the file unchanged.
    """
    from scipy.optimize import minimize

    weight = weights_of(table)
    if terms is not None:
        weight = np.append(weight, TERM_WEIGHT * weights_of(terms))
        table = pa.concat_tables([table.select(terms.column_names), terms])
    matrix = design(table["text"])  # (D, 2**BITS)
    sign = np.where(table["label"].to_numpy(zero_copy_only=False), 1.0, -1.0)
    used = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]) >= LEAST)
    matrix = matrix[:, used]
    across = matrix.T.tocsr()

    def loss(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (matrix @ theta[:-1] + theta[-1])
        pull = -sign * weight / (1 + np.exp(np.clip(margin, -50, 50)))
        value = float(weight @ np.logaddexp(0, -margin)) + PENALTY / 2 * float(theta[:-1] @ theta[:-1])
        return value, np.append(across @ pull + PENALTY * theta[:-1], pull.sum())

    found = minimize(loss, np.zeros(len(used) + 1), jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS}).x
    scale = max(float(np.abs(found[:-1]).max(initial=0)), 1e-9) / 127
    weights = np.zeros(1 << BITS, np.int8)
    weights[used] = np.round(found[:-1] / scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        np.savez_compressed(
            out, weights=weights, scale=np.float32(scale), bias=np.float32(found[-1]), mix=np.float32(mix)
        )


def design(texts: Any) -> Any:
    """Return the features of texts as a sparse matrix (D, 2**BITS)."""
    from scipy import sparse

    parts = []
    for chunk in pa.chunked_array(texts).chunks:
        for at in range(0, len(chunk), SLICE):
            buckets, offsets, values = features(TextBatch(folded_texts(chunk.slice(at, SLICE))))
            filled = np.repeat(values, np.diff(offsets)).astype(np.float32)
            parts.append(sparse.csr_matrix((filled, buckets, offsets), shape=(len(values), 1 << BITS)))
    return sparse.vstack(parts).tocsr()


def words_as_texts(policy: Policy) -> pa.Table:
    """Return terms as medical texts and stop words as other texts: they cover words that are rare in the texts."""
    rows = [
        {"text": " ".join(forms), "lang": code, "label": label}
        for code, language in policy.languages.items()
        for label, words in (
            (True, [term.forms for term in language.lexicon]),
            (False, [(w,) for w in language.stopwords]),
        )
        for forms in words
    ]
    return pa.Table.from_pylist(rows, pa.schema([SCHEMA.field(name) for name in ("text", "lang", "label")]))


def folds(origins: Iterable[str], count: int = FOLDS) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield masks of the rows to hold out, in at most `count` folds of whole origins, the largest origins first."""
    names, sizes = np.unique(np.array(list(origins)), return_counts=True)
    where = np.array(list(origins))
    members: list[list[str]] = [[] for _ in range(min(count, len(names)))]
    weights = [0] * len(members)
    for index in np.argsort(-sizes, kind="stable"):
        lightest = int(np.argmin(weights))
        members[lightest].append(names[index])
        weights[lightest] += int(sizes[index])
    for fold_origins in members:
        yield np.isin(where, fold_origins)


def held_out(
    table: pa.Table,
    extra: pa.Table | None = None,
    terms: pa.Table | None = None,
    count: int = FOLDS,
    watch: Callable[[int, int], None] = unwatched,
) -> npt.NDArray[np.float32]:
    """Return for each row the score of a model that saw no text of its origin, (D,).

    `extra` and `terms` are added to the training of every model, and never held out. `watch` is told how many of the
    models are trained, and of how many.
    """
    scores = np.zeros(table.num_rows, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        masks = list(folds(table["origin"].to_pylist(), count))
        for number, mask in enumerate(masks):
            watch(number, len(masks))
            rest = table.filter(pa.array(~mask))
            train(pa.concat_tables([rest, extra]) if extra else rest, path, terms)
            scores[mask] = scorer(str(path))(table["text"].filter(pa.array(mask)).combine_chunks(), None)
        watch(len(masks), len(masks))
    return scores


def fit_mix(table: pa.Table, words: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the weights of `mmedc.steps.score.mixed`, (`MIXED`,); `words` are held-out probabilities, (D,).

    Only texts with a term are fitted on, if there are some of both labels: the others never reach the model.
    """
    from scipy.optimize import minimize

    reached = pa.array(array(table, "medical_terms") > 0)
    if len(set(table["label"].filter(reached).to_pylist())) == 2:
        table, words = table.filter(reached), words[reached.to_numpy(zero_copy_only=False)]
    columns, weight = _columns(table, words), weights_of(table)
    sign = np.where(table["label"].to_numpy(zero_copy_only=False), 1.0, -1.0)

    def loss(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (columns @ theta)
        pull = -sign * weight / (1 + np.exp(np.clip(margin, -50, 50)))
        return float(weight @ np.logaddexp(0, -margin)), columns.T @ pull

    found: npt.NDArray[np.float64] = minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def held_out_mix(table: pa.Table, words: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return for each row the probability that a mix gives that was fitted on other origins, (D,)."""
    columns, out = _columns(table, words), np.zeros(len(words), np.float32)
    for mask in folds(table["origin"].to_pylist(), len(words)):
        logits = columns[mask] @ fit_mix(table.filter(pa.array(~mask)), words[~mask])
        out[mask] = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return out


def _columns(table: pa.Table, words: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    chances = np.clip(words.astype(np.float64), 1e-4, 1 - 1e-4)
    found = np.column_stack([array(table, name) for name in LEXICON_MEASURES])
    return mixed(np.log(chances / (1 - chances)), found, table["text"].combine_chunks())
