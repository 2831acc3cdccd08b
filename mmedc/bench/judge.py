"""Rationales of several models ranked by a language model, as the paper's raters did, and its agreement with people.

For each item the judge sees the rationales of all models without their names, in an order drawn by the item, and ranks
them; the first of n gets n points, the last one. People's points for the same rationales tell what the judge is worth:
Kendall's tau-b, over the pairs of models within each item.
"""

import csv
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from mmedc.bench.backends import Backend
from mmedc.bench.builder import Tell, answers_of, asked_of
from mmedc.bench.cache import Cache
from mmedc.bench.rationales import rationale_of
from mmedc.bench.scoring import RECORDS
from mmedc.bench.statistics import kendall
from mmedc.errors import RecipeError
from mmedc.prompts import LANGUAGES
from mmedc.questions import Item

TOKENS = 64
_RANK = """Below are an exam question in {language}, its right answer, and explanations by {count} students, \
marked [1] to [{count}]. Rank the explanations from best to worst. What counts, in this order: whether what they say \
is true, whether they lead to the right answer step by step, whether they bring in the knowledge asked for.

{asked}
Right answer: {answer}

{explanations}

Answer with the numbers only, best first, such as: {example}"""


@dataclass(frozen=True)
class Judged:
    """Points by item and run; what was not ranked is left out."""

    points: dict[str, dict[str, float]]
    """Item → run → points."""
    unranked: int
    """Items for which the judge gave no ranking."""


def outputs_of(run: Path) -> dict[str, str]:
    """Return item → rationale of a scoring. Raises: RecipeError where it has none."""
    try:
        rows = [json.loads(line) for line in (run / RECORDS).open(encoding="utf-8")]
    except OSError:
        raise RecipeError(f"{run}: there is no {RECORDS}; expected an --out of `mmedc bench`") from None
    found = {row["id"]: said for row in rows if (said := rationale_of(row["output"]))}
    if not found:
        raise RecipeError(f"{run}: there are no rationales in it; score with protocol: generate and reasoned: true")
    return found


def rank(
    items: list[Item], runs: dict[str, dict[str, str]], backend: Backend, cache: Cache, seed: int = 0,
    tell: Tell = lambda done, of: None,
) -> Judged:  # fmt: skip
    """Return the points of every run on the items that all of them explained. `runs`: name → item → rationale."""
    shared = [item for item in items if all(item.id in run for run in runs.values())]
    orders = []
    prompts = []
    for item in shared:
        order = sorted(runs)
        random.Random(f"{seed}/{item.id}").shuffle(order)
        orders.append(order)
        said = "\n\n".join(f"[{place}] {runs[name][item.id]}" for place, name in enumerate(order, 1))
        example = " ".join(str(place) for place in range(len(order), 0, -1))
        named = {"language": LANGUAGES.get(item.lang, item.lang), "count": len(order), "answer": ",".join(item.gold)}
        prompts.append(_RANK.format(**named, asked=asked_of(item), explanations=said, example=example))
    points: dict[str, dict[str, float]] = {}
    for item, order, output in zip(shared, orders, answers_of(prompts, TOKENS, backend, cache, tell), strict=True):
        places = [int(one) for one in re.findall(r"\d+", output)]
        if sorted(places) == list(range(1, len(order) + 1)):
            points[item.id] = {order[place - 1]: float(len(order) - at) for at, place in enumerate(places)}
    return Judged(points, len(shared) - len(points))


def read_points(file: Path) -> dict[str, dict[str, float]]:
    """Return item → run → points of a CSV with the columns `id`, `run` and `points`. Raises: RecipeError."""
    out: dict[str, dict[str, float]] = {}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            try:
                out.setdefault(row["id"], {})[row["run"]] = float(row["points"])
            except (KeyError, ValueError, TypeError):
                raise RecipeError(f"{file}:{number}: expected id, run and points (a number)") from None
    return out


def write_points(points: dict[str, dict[str, float]], file: Path) -> None:
    """Write points as a CSV with the columns `id`, `run` and `points`."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "run", "points"))
        writer.writerows((item, run, value) for item, mine in points.items() for run, value in sorted(mine.items()))


def agreement(one: dict[str, dict[str, float]], other: dict[str, dict[str, float]]) -> tuple[float, int]:
    """Return the mean Kendall's tau-b over the items that both judged, and how many these are."""
    taus = []
    for item in sorted(set(one) & set(other)):
        names = sorted(set(one[item]) & set(other[item]))
        if len(names) > 1:
            taus.append(kendall([one[item][name] for name in names], [other[item][name] for name in names]))
    return (sum(taus) / len(taus) if taus else 0.0), len(taus)
