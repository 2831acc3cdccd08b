"""The explanation of a document: what each step saw, changed and scored, and why it is kept or removed."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa

from mmedc.document import MEASURES
from mmedc.errors import RequestError
from mmedc.folding import plain
from mmedc.pipeline.custom import measures_among, own_columns
from mmedc.pipeline.ingest import ingest_steps
from mmedc.policy import Policy
from mmedc.recipe import Recipe, SourceConfig
from mmedc.sources import InputSplit, Reader, list_units
from mmedc.steps.medical import term_finder
from mmedc.storage import Input, is_local

SHOWN = ("lang", "title", "date", "content_type", "charset", *MEASURES)
TEXTS = ("html", "text")
SENTENCE = re.compile(r"[^.!?。！？।\n]+(?:[.!?](?!\s)[^.!?。！？।\n]*)*[.!?。！？।]*")
"""A sentence: up to a full stop before white space, a Chinese, Japanese or Hindi one, or the end of the line."""


@dataclass
class Stage:
    """What a step did to the document."""

    step: str
    changes: dict[str, Any] = field(default_factory=dict)
    verdict: str = "kept"


@dataclass
class Explanation:
    """The complete path of a document through the steps."""

    locator: str
    provenance: str
    stages: list[Stage]
    limits: list[dict[str, Any]]
    """Each limit of the policy, with the keys measure, value, min, max and met."""
    terms: list[str]
    """The lexicon terms in the text, as `term ×n`."""
    sentences: list[str]
    """Every sentence with a term; the terms are in «»."""
    verdict: str
    text: str


def explain(recipe: Recipe, target: str) -> Explanation:
    """Explain `target`: a file on this machine, or the locator of a document in the recipe's sources.

    Raises: RequestError if there is no such document.
    """
    columns = own_columns(recipe)
    policy, names = recipe.read_policy(measures_among(columns)), tuple(column.name for column in columns)
    batch = _find(recipe, target)
    row = batch.to_pylist()[0]
    stages = [Stage("read", _seen({}, row, names), _verdict(row))]
    for step in ingest_steps(recipe, policy):
        if stages[-1].verdict != "kept":
            break
        before = row
        batch = step.open()(batch)
        row = batch.to_pylist()[0]
        stages.append(Stage(step.name, _seen(before, row, names), _verdict(row)))
    limits = _limits(policy, row)
    verdict = stages[-1].verdict
    missed = [limit["measure"] for limit in limits if not limit["met"]]
    if verdict == "kept" and missed:
        verdict = "dropped at limits: " + ", ".join(missed)
    elif verdict != "kept":
        verdict = f"{verdict.replace(':', ' at ' + stages[-1].step + ':', 1)}"
    text = row.get("text") or ""
    terms, sentences = _terms(policy, row)
    return Explanation(row["locator"], row["provenance"], stages, limits, terms, sentences, verdict, text)


def _find(recipe: Recipe, target: str) -> pa.RecordBatch:
    reader = Reader()
    if is_local(target) and os.path.isfile(target):
        config = SourceConfig.model_validate({"files": target})
        file = Input(target, os.path.basename(target), os.path.getsize(target), "")
        split = InputSplit("explain", config, (file,), None, recipe.limits.document)
        return next(reader.read(split, 0, frozenset()))
    for unit in list_units(recipe):
        for batch in reader.read(unit.spec, 0, frozenset()):
            for index, locator in enumerate(batch.column("locator").to_pylist()):
                if locator == target:
                    return batch.slice(index, 1)
    raise RequestError(
        f"{target}: neither a file here nor a document of the recipe's sources "
        f"({', '.join(recipe.sources)}); name another recipe with --recipe"
    )


def _seen(before: dict[str, Any], row: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """Return the changed values, in a readable form."""
    out: dict[str, Any] = {}
    for name in (*SHOWN, *columns):
        if row.get(name) is not None and row.get(name) != before.get(name):
            out[name] = round(row[name], 4) if isinstance(row[name], float) else row[name]
    for name in TEXTS:
        if row.get(name) and row.get(name) != before.get(name):
            out[f"{name} characters"] = len(row[name])
    if row.get("payload") and not before:
        out["bytes"] = len(row["payload"])
    return out


def _verdict(row: dict[str, Any]) -> str:
    if row.get("rejected_by"):
        return f"rejected: {row['rejected_by']}"
    return f"dropped: {row['dropped_by']}" if row.get("dropped_by") else "kept"


def _limits(policy: Policy, row: dict[str, Any]) -> list[dict[str, Any]]:
    language = policy.languages.get(row.get("lang") or "")
    out = []
    for name, limit in language.limits.items() if language else ():
        value = row.get(name)
        if value is not None:
            met = (limit.min is None or value >= limit.min) and (limit.max is None or value <= limit.max)
            out.append({"measure": name, "value": round(value, 4), "min": limit.min, "max": limit.max, "met": met})
    return out


def _terms(policy: Policy, row: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the terms in the text, the most frequent first, and the sentences that contain them, in order."""
    language = policy.languages.get(row.get("lang") or "")
    if not language or not row.get("text"):
        return [], []
    spans, length = term_finder([term.forms for term in language.lexicon])(row["text"])
    times = Counter(number for number, _, _ in spans)
    terms = [f"{language.lexicon[number].forms[0]} ×{many}" for number, many in times.most_common()]
    text = plain(row["text"])
    if len(text) != length:  # a few capitals become longer in lower case, to which the positions refer
        text = text.lower()
    sentences = []
    for sentence in SENTENCE.finditer(text):
        low, high = sentence.span()
        inside = [(start, end) for _, start, end in spans if low <= start < high]
        if inside:
            bounds = [low, *(at for span in inside for at in span), high]
            pieces = [text[a:b] for a, b in pairwise(bounds)]
            marked = (f"«{piece}»" if index % 2 else piece for index, piece in enumerate(pieces))
            sentences.append(" ".join("".join(marked).split()))
    return terms, sentences
