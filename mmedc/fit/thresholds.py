"""Finds the limits of the three medical measures for the three policies.

All three must be met. Where there is a model it decides, because it has weighed what the lexicon found; the
lexicon's own limits are as loose as the prefilter allows, which uses them as a bound
(docs/explanation/cascade.md). Without a model, terms and density decide, and their grid is searched completely.
`balanced` has the best F1, `precise` the highest recall at a wanted precision, `recall` the highest precision at a
wanted recall. One choice serves all languages (every language and label has the same weight), because limits fitted
on one language's few origins do worse on the next origin; a user with many origins of a language may fit it alone.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from mmedc.errors import RequestError
from mmedc.fit.labelled import read_labelled
from mmedc.fit.measured import Quality, array, quality, weights_of, with_terms
from mmedc.policy import find_policy, read_policy

TERMS = (2, 3, 4, 5, 6, 8)
DENSITY = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)
MODEL = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
FEWEST = {"precise": (3, 0.01), "balanced": (3, 0.01), "recall": (2, 0.005)}
"""Terms and density where the model decides: two terms let half again as many pages through the gate as three."""
FEWER = {"fr": 2, "ja": 2}
"""Languages in which the model decides from fewer terms on: short texts have few, and on the pages of a mixed crawl it
let 50 more of 2,002 through the gate (fr) or one (ja), where two terms in every language let 178."""
NEARLY = 0.003
"""How much F1 is given for a stricter model: few of the web's pages are medical, so precision is worth more there.

It is the standard error of the F1 on the project's 12,116 texts: within it the curve is flat (the rule of one standard
error: Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3).
"""
WANTED = 0.985
"""Precision of `precise` and recall of `recall` on the texts fitted on: a little above the promise of 0.98."""
POLICIES = ("precise", "balanced", "recall")


ALL = "all"


@dataclass(frozen=True)
class Choice:
    """Limits of one policy, and what they do on the texts they were fitted on."""

    terms: int
    density: float
    model: float
    quality: Quality


def fit_thresholds(
    patterns: list[str], folder: Path, base: str, languages: tuple[str, ...], overlay: str | None, each: bool = False
) -> dict[str, dict[str, Choice]]:
    """Fit all languages together (or `each` alone) and write the three policies and `curve.json` into `folder`.

    Returns the choices by language (or `all`) and policy. `base` is the policy whose other limits are kept.

    Raises: RequestError when no language has texts of both labels.
    """
    table = read_labelled(patterns, languages=languages)
    table = table.filter(pc.is_valid(table["label"]))
    langs = table["lang"].to_pylist()
    policy = read_policy(base, tuple(sorted(set(langs))), overlay)
    if "medical_spread" not in table.column_names:
        table = with_terms(table, policy)
    chosen, curves = {}, {}
    for code in sorted(set(langs)) if each else [ALL]:
        chosen[code], curve = fit(table.filter(pc.equal(table["lang"], code)) if each else table)
        curves[code] = [{**asdict(one), "quality": one.quality._asdict()} for one in curve]
    write_policies(chosen, find_policy(base, overlay), folder)
    (folder / "curve.json").write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    return chosen


def fit(table: pa.Table) -> tuple[dict[str, Choice], list[Choice]]:
    """Return the choice of each policy for labelled texts, and the curve they lie on.

    The curve has for each attainable precision the choice of the most recall. `table` has `label`
    and the measures of `mmedc.fit.measured`; without `medical_model` that one is not limited.

    Raises: RequestError without texts of both labels.
    """
    label = table["label"].to_numpy(zero_copy_only=False)
    if label.all() or not label.any():
        raise RequestError(f"{table['lang'][0]}: thresholds need medical texts and others; all {len(label)} are alike")
    weight = weights_of(table)
    terms, density = array(table, "medical_terms"), array(table, "medical_density")
    has_model = "medical_model" in table.column_names
    model = array(table, "medical_model") if has_model else np.ones(len(label))

    def judged(grid: Iterable[tuple[int, float, float]]) -> list[Choice]:
        """Return the choices of a grid; of equals the loosest in the lexicon and the strictest of the model first."""
        found = [
            Choice(
                *one, quality((terms >= needed(table, one[0])) & (density >= one[1]) & (model >= one[2]), label, weight)
            )
            for one in grid
        ]
        return sorted(found, key=lambda one: (one.terms, one.density, -one.model))

    if has_model:
        choices = {name: judged((*FEWEST[name], chance) for chance in MODEL) for name in POLICIES}
    else:
        choices = dict.fromkeys(POLICIES, judged(product(TERMS, DENSITY, (0.0,))))
    surest = max(one.quality.precision for one in choices["precise"] if one.quality.recall > 0)
    best = max(one.quality.f1 for one in choices["balanced"])
    widest = max(one.quality.recall for one in choices["recall"])
    picked = {
        "precise": max(
            choices["precise"], key=lambda one: (one.quality.precision >= min(WANTED, surest), one.quality.recall)
        ),
        "balanced": max(
            choices["balanced"], key=lambda one: (one.quality.f1 >= best - NEARLY, one.model, one.quality.f1)
        ),
        "recall": max(
            choices["recall"], key=lambda one: (one.quality.recall >= min(WANTED, widest), one.quality.precision)
        ),
    }
    curve: list[Choice] = []
    for one in sorted(choices["recall"], key=lambda one: (-one.quality.recall, -one.quality.precision)):
        if not curve or one.quality.precision > curve[-1].quality.precision:
            curve.append(one)
    return picked, curve


def needed(table: pa.Table, terms: int) -> Any:
    """Return how many terms each text of `table` must have where a choice asks for `terms`, (D,)."""
    if "medical_model" not in table.column_names:
        return np.full(len(table), terms)
    return np.array([min(terms, FEWER.get(lang, terms)) for lang in table["lang"].to_pylist()])


def write_policies(chosen: dict[str, dict[str, Choice]], base: Path, folder: Path) -> list[Path]:
    """Write `policies/{precise,balanced,recall}.yaml` into `folder`: policy file `base` with the limits of `chosen`.

    `chosen` is by language, then by policy. `precise` and `balanced` have the same floors, the looser of their
    limits, so that one extraction serves both; `recall` has its own, and all have its floor of the model.
    """
    yaml = YAML(typ="rt")
    yaml.width = 120
    written = []
    for policy in POLICIES:
        data: Any = yaml.load(base.read_text(encoding="utf-8"))
        for code, choices in sorted(chosen.items()):
            limits = data["limits"].setdefault(code, CommentedMap())
            for measure, field in (
                ("medical_terms", "terms"),
                ("medical_density", "density"),
                ("medical_model", "model"),
            ):
                alike = ("recall",) if policy == "recall" or field == "model" else ("precise", "balanced")
                loosest = min(getattr(choices[name], field) for name in alike)
                limits[measure] = _flow(min=getattr(choices[policy], field), floor=loosest)
            for lang, terms in FEWER.items() if code == ALL and choices[policy].model else ():
                if terms < choices[policy].terms:
                    data["limits"].setdefault(lang, CommentedMap())["medical_terms"] = _flow(min=terms, floor=terms)
        path = folder / "policies" / f"{policy}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as out:
            yaml.dump(data, out)
        written.append(path)
    return written


def _flow(**values: float) -> CommentedMap:
    found = CommentedMap(values)
    found.fa.set_flow_style()
    return found
