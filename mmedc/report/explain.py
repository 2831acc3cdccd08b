"""One document through every step: what each saw, changed and scored, and why it stays or goes."""

import os
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mmedc.build.gather import gather_steps
from mmedc.document import MEASURES
from mmedc.errors import RequestError
from mmedc.policy import Policy, read_policy
from mmedc.recipe import Recipe, Source
from mmedc.sources import Piece, Reader, list_units
from mmedc.steps.medical import term_finder
from mmedc.storage import Input, is_local

SHOWN = ("lang", "title", "date", "content_type", "charset", *MEASURES)
TEXTS = ("html", "text")


@dataclass
class Stage:
    """What a step did to the document."""

    step: str
    changes: dict[str, Any] = field(default_factory=dict)
    verdict: str = "kept"


@dataclass
class Explanation:
    """The whole way of one document."""

    locator: str
    provenance: str
    stages: list[Stage]
    limits: list[dict[str, Any]]
    """Each limit of the policy: measure, value, min, max, met."""
    terms: list[str]
    """The lexicon terms found, as `term ×n`."""
    verdict: str
    text: str


def explain(recipe: Recipe, target: str) -> Explanation:
    """Explain `target`: a file of this machine, or the locator of a document among the recipe's sources.

    Raises: RequestError when there is no such document.
    """
    policy = read_policy(recipe.medical.policy, recipe.languages, recipe.filters)
    batch = _find(recipe, target)
    row = batch.to_pylist()[0]
    stages = [Stage("read", _seen({}, row), _verdict(row))]
    for step in gather_steps(recipe, policy):
        if stages[-1].verdict != "kept":
            break
        before = row
        batch = step.open()(batch)
        row = batch.to_pylist()[0]
        stages.append(Stage(step.name, _seen(before, row), _verdict(row)))
    limits = _limits(policy, row)
    verdict = stages[-1].verdict
    missed = [one for one in limits if not one["met"]]
    if verdict == "kept" and missed:
        verdict = "dropped at decide: " + ", ".join(one["measure"] for one in missed)
    elif verdict != "kept":
        verdict = f"{verdict.replace(':', ' at ' + stages[-1].step + ':', 1)}"
    text = row.get("text") or ""
    return Explanation(row["locator"], row["provenance"], stages, limits, _terms(policy, row), verdict, text)


def _find(recipe: Recipe, target: str) -> pa.RecordBatch:
    reader = Reader()
    if is_local(target) and os.path.isfile(target):
        config = Source(files=(target,))
        one = Input(target, os.path.basename(target), os.path.getsize(target), "")
        piece = Piece("explain", config, (one,), None, recipe.limits.document)
        return next(reader.read(piece, 0, frozenset()))
    for unit in list_units(recipe):
        for batch in reader.read(unit.spec, 0, frozenset()):
            for index, locator in enumerate(batch.column("locator").to_pylist()):
                if locator == target:
                    return batch.slice(index, 1)
    raise RequestError(
        f"{target}: neither a file here nor a document of the recipe's sources "
        f"({', '.join(recipe.sources)}); name another recipe with --recipe"
    )


def _seen(before: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return what changed, in a form that a person can read."""
    out: dict[str, Any] = {}
    for name in SHOWN:
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


def _terms(policy: Policy, row: dict[str, Any]) -> list[str]:
    language = policy.languages.get(row.get("lang") or "")
    if not language or not row.get("text"):
        return []
    found: dict[int, int] = {}
    for number, _, _ in term_finder([term.forms for term in language.lexicon])(row["text"])[0]:
        found[number] = found.get(number, 0) + 1
    ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    return [f"{language.lexicon[number].forms[0]} ×{times}" for number, times in ordered]
