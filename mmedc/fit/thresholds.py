"""Finds the limits of the three medical measures for the three policies.

A text must meet all three. Where there is a model, the model decides, because it has already weighed what the lexicon
found; the lexicon's own limits are then as loose as the prefilter can bear, which uses them as a bound. Without a
model, terms and density decide, and their grid is searched whole. `balanced` has the best F1, `precise` the most recall
at a wanted precision, `recall` the most precision at a wanted recall. One choice serves all languages (every
language and label weighs the same), because limits fitted on one language's few origins do worse on the next;
a user with many origins of a language may fit that language alone.
"""

import json
from collections.abc import Iterable, Mapping
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
from mmedc.filters import ALL, Filters, open_filters
from mmedc.fit.labelled import read_labelled
from mmedc.fit.measured import Quality, array, quality, weights_of, with_terms

TERMS = (1, 2, 3, 4, 5, 6, 8)
DENSITY = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)
MODEL = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
FEWEST: dict[str, tuple[float, float]] = {"precise": (1, 0.01), "balanced": (1, 0.01), "recall": (0.5, 0.005)}
"""Terms and density where the model decides; what fewer terms cost is in docs/explanation/cascade.md."""
NEARLY = 0.003
"""How much F1 is given up for a stricter model: few pages of the web are medical, so precision is worth more there.

It is the standard error of the F1 on the project's 12,116 texts, within which the curve is flat (the rule of one
standard error: Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3).
"""
WANTED = 0.985
"""Precision of `precise` and recall of `recall` on the texts fitted on: a little above the promised 0.98."""
POLICIES = ("precise", "balanced", "recall")
FIELDS = {"medical_terms": "terms", "medical_density": "density", "medical_model": "model"}
"""Measure → its field of a `Choice`."""

Fewer = Mapping[str, int]
"""Language → the terms from which the model decides there, where a choice asks for more."""


@dataclass(frozen=True)
class Choice:
    """The limits of one policy, and how well they decide about the texts they were fitted on."""

    terms: float
    density: float
    model: float
    quality: Quality


def fewer_terms(filters: Filters) -> dict[str, int]:
    """Return the languages in which the model decides from fewer terms on (`fit` in `language.yaml`), and how many.

    No language that ships asks for it.
    """
    fewest = {code: filters.facts(code).fit.medical_terms for code in filters.languages()}
    return {code: terms for code, terms in fewest.items() if terms is not None}


def fit_thresholds(
    patterns: list[str], folder: Path, base: str, languages: tuple[str, ...], overlay: str | None, each: bool = False
) -> dict[str, dict[str, Choice]]:
    """Fit all languages together (or `each` alone) and write the three policies and `curve.json` into `folder`.

    Returns the choices by language (or `all`) and policy. `base` is the policy whose other limits are kept.

    Raises: RequestError when no language has texts of both labels.
    """
    filters = open_filters(overlay)
    table = read_labelled(patterns, languages=languages)
    table = table.filter(pc.is_valid(table["label"]))
    codes = tuple(sorted(set(table["lang"].to_pylist())))
    policy, fewer = filters.policy(base, codes), fewer_terms(filters)
    if "medical_spread" not in table.column_names:
        table = with_terms(table, policy)
    chosen, curves = {}, {}
    for code in codes if each else [ALL]:
        chosen[code], curve = fit(table.filter(pc.equal(table["lang"], code)) if each else table, fewer)
        curves[code] = [{**asdict(choice), "quality": choice.quality._asdict()} for choice in curve]
    write_policies(chosen, filters.policy_file(base), folder, fewer)
    (folder / "curve.json").write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    return chosen


def fit(table: pa.Table, fewer: Fewer) -> tuple[dict[str, Choice], list[Choice]]:
    """Return the choice of each policy for labelled texts, and the curve that these choices lie on.

    The curve has for each attainable precision the choice of the most recall. `table` has `label`
    and the measures of `mmedc.fit.measured`; without `medical_model` that measure is not limited.

    Raises: RequestError without texts of both labels.
    """
    label = table["label"].to_numpy(zero_copy_only=False)
    if label.all() or not label.any():
        raise RequestError(
            f"{table['lang'][0]}: all {len(label)} texts have the same label; thresholds need medical texts and others"
        )
    weight = weights_of(table)
    terms, density = array(table, "medical_terms"), array(table, "medical_density")
    has_model = "medical_model" in table.column_names
    model = array(table, "medical_model") if has_model else np.ones(len(label))

    def judged(grid: Iterable[tuple[float, float, float]]) -> list[Choice]:
        """Return the choices of a grid, so sorted that of equal ones the one to prefer comes first.

        Preferred is the loosest in the lexicon, then the strictest in the model.
        """
        choices = []
        for least_terms, least_density, least_model in grid:
            enough = terms >= needed(table, least_terms, fewer)
            kept = enough & (density >= least_density) & (model >= least_model)
            choices.append(Choice(least_terms, least_density, least_model, quality(kept, label, weight)))
        return sorted(choices, key=lambda choice: (choice.terms, choice.density, -choice.model))

    if has_model:
        choices = {name: judged((*FEWEST[name], chance) for chance in MODEL) for name in POLICIES}
    else:
        choices = dict.fromkeys(POLICIES, judged(product(TERMS, DENSITY, (0.0,))))
    return _picked(choices), _curve(choices["recall"])


def _picked(choices: dict[str, list[Choice]]) -> dict[str, Choice]:
    """Return the best choice of each policy; see the module."""
    attainable = max(choice.quality.precision for choice in choices["precise"] if choice.quality.recall > 0)
    best = max(choice.quality.f1 for choice in choices["balanced"])
    widest = max(choice.quality.recall for choice in choices["recall"])

    def precise(choice: Choice) -> tuple[bool, float]:
        return choice.quality.precision >= min(WANTED, attainable), choice.quality.recall

    def balanced(choice: Choice) -> tuple[bool, float, float]:
        return choice.quality.f1 >= best - NEARLY, choice.model, choice.quality.f1

    def recall(choice: Choice) -> tuple[bool, float]:
        return choice.quality.recall >= min(WANTED, widest), choice.quality.precision

    return {
        "precise": max(choices["precise"], key=precise),
        "balanced": max(choices["balanced"], key=balanced),
        "recall": max(choices["recall"], key=recall),
    }


def _curve(choices: list[Choice]) -> list[Choice]:
    curve: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (-choice.quality.recall, -choice.quality.precision)):
        if not curve or choice.quality.precision > curve[-1].quality.precision:
            curve.append(choice)
    return curve


def needed(table: pa.Table, terms: float, fewer: Fewer) -> Any:
    """Return how many terms each text of `table` must have where a choice asks for `terms`, (D,)."""
    if "medical_model" not in table.column_names:
        return np.full(len(table), terms)
    return np.array([min(terms, fewer.get(lang, terms)) for lang in table["lang"].to_pylist()])


def write_policies(chosen: dict[str, dict[str, Choice]], base: Path, folder: Path, fewer: Fewer) -> list[Path]:
    """Write `policies/{precise,balanced,recall}.yaml` into `folder`: policy file `base` with the limits of `chosen`.

    `chosen` is by language, then by policy. `precise` and `balanced` have the same floors, the looser of their
    limits, so that one extraction serves both; `recall` has its own, and all three have its floor of the model.
    """
    yaml = YAML(typ="rt")
    yaml.width = 120
    written = []
    for policy in POLICIES:
        data: Any = yaml.load(base.read_text(encoding="utf-8"))
        for code, choices in sorted(chosen.items()):
            limits = data["limits"].setdefault(code, CommentedMap())
            for measure, field in FIELDS.items():
                alike = ("recall",) if policy == "recall" or field == "model" else ("precise", "balanced")
                loosest = min(getattr(choices[name], field) for name in alike)
                limits[measure] = _flow(min=getattr(choices[policy], field), floor=loosest)
            for lang, terms in fewer.items() if code == ALL and choices[policy].model else ():
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
