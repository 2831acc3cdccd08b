"""Finds the limits of the three medical measures, per language, for the three policies.

All three must be met, so that the lexicon's limits remain a bound that the gate can use (see
docs/cascade.md); the grid is searched whole. `balanced` has the best F1, `precise` the most recall
at a wanted precision, `recall` the most precision at a wanted recall.
"""

import json
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
from mmedc.fit.measured import Quality, array, quality, with_terms
from mmedc.policy import find_policy, read_policy

TERMS = (2, 3, 4, 5, 6, 8)
DENSITY = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)
MODEL = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
WANTED = 0.985
"""Precision of `precise` and recall of `recall` on the texts fitted on: a little above the promise of 0.98."""
POLICIES = ("precise", "balanced", "recall")


@dataclass(frozen=True)
class Choice:
    """Limits of one policy in one language, and what they do on the texts they were fitted on."""

    terms: int
    density: float
    model: float
    quality: Quality


def fit_thresholds(
    patterns: list[str], folder: Path, base: str, languages: tuple[str, ...], overlay: str | None
) -> dict[str, dict[str, Choice]]:
    """Fit every language of labelled texts and write the three policies and `curve.json` into `folder`.

    Returns the choices by language and policy. `base` is the policy whose other limits are kept.

    Raises: RequestError when no language has texts of both labels.
    """
    table = read_labelled(patterns, languages=languages)
    table = table.filter(pc.is_valid(table["label"]))
    langs = table["lang"].to_pylist()
    policy = read_policy(base, tuple(sorted(set(langs))), overlay)
    if "medical_terms" not in table.column_names:
        table = with_terms(table, policy)
    chosen, curves = {}, {}
    for code in sorted(set(langs)):
        chosen[code], curve = fit(table.filter(pc.equal(table["lang"], code)))
        curves[code] = [{**asdict(one), "quality": one.quality._asdict()} for one in curve]
    write_policies(chosen, find_policy(base, overlay), folder)
    (folder / "curve.json").write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    return chosen


def fit(table: pa.Table) -> tuple[dict[str, Choice], list[Choice]]:
    """Return the choice of each policy for texts of one language, and the curve they lie on.

    The curve has for each attainable precision the choice of the most recall. `table` has `label`
    and the measures of `mmedc.fit.measured`; without `medical_model` that one is not limited.

    Raises: RequestError without texts of both labels.
    """
    label = table["label"].to_numpy(zero_copy_only=False)
    if label.all() or not label.any():
        raise RequestError(f"{table['lang'][0]}: thresholds need medical texts and others; all {len(label)} are alike")
    terms, density = array(table, "medical_terms"), array(table, "medical_density")
    has_model = "medical_model" in table.column_names
    model = array(table, "medical_model") if has_model else np.ones(len(label))
    choices = [
        Choice(*limits, quality((terms >= limits[0]) & (density >= limits[1]) & (model >= limits[2]), label))
        for limits in product(TERMS, DENSITY, MODEL if has_model else (0.0,))
    ]
    # Of equals the loosest in the lexicon and the strictest of the model come first.
    choices.sort(key=lambda one: (one.terms, one.density, -one.model))
    surest = max(one.quality.precision for one in choices if one.quality.recall > 0)
    widest = max(one.quality.recall for one in choices)
    picked = {
        "precise": max(choices, key=lambda one: (one.quality.precision >= min(WANTED, surest), one.quality.recall)),
        "balanced": max(choices, key=lambda one: one.quality.f1),
        "recall": max(choices, key=lambda one: (one.quality.recall >= min(WANTED, widest), one.quality.precision)),
    }
    curve: list[Choice] = []
    for one in sorted(choices, key=lambda one: (-one.quality.recall, -one.quality.precision)):
        if not curve or one.quality.precision > curve[-1].quality.precision:
            curve.append(one)
    return picked, curve


def write_policies(chosen: dict[str, dict[str, Choice]], base: Path, folder: Path) -> list[Path]:
    """Write `policies/{precise,balanced,recall}.yaml` into `folder`: policy file `base` with the limits of `chosen`.

    `chosen` is by language, then by policy. The floors of all three are the loosest of their limits,
    so that one extraction serves them all.
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
                loosest = min(getattr(choice, field) for choice in choices.values())
                limits[measure] = _flow(min=getattr(choices[policy], field), floor=loosest)
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
