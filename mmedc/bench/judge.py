"""A language model ranks the rationales of several models, as the paper's raters did, and is compared with people.

For each item the judge sees the rationales of all models, without their names and in an order drawn for the item,
and ranks them. The best of n gets n points, the worst gets one. The agreement with people's points for the same
rationales shows what the judge is worth: Kendall's tau-b, over the pairs of models within each item.
"""

import csv
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from mmedc.bench.backends import Backend
from mmedc.bench.builder import OnProgress, answers_of, silent, text_of
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

Points = dict[str, dict[str, float]]
"""Item → run → points."""


@dataclass(frozen=True)
class Ranking:
    """The points of each run for each item that the judge ranked."""

    points: Points
    unranked: int
    """Items for which the judge gave no ranking."""


def outputs_of(run: Path) -> dict[str, str]:
    """Return the rationales of a scoring by item. Raises: RecipeError where there are none."""
    try:
        rows = [json.loads(line) for line in (run / RECORDS).open(encoding="utf-8")]
    except OSError:
        raise RecipeError(f"{run}: there is no {RECORDS}; expected an --out of `mmedc bench`") from None
    found = {row["id"]: rationale for row in rows if (rationale := rationale_of(row["output"]))}
    if not found:
        raise RecipeError(f"{run}: it has no rationales; score with protocol: generate and reasoned: true")
    return found


def rank(
    items: list[Item], runs: dict[str, dict[str, str]], backend: Backend, cache: Cache, seed: int = 0,
    on_progress: OnProgress = silent,
) -> Ranking:  # fmt: skip
    """Return the points of every run for the items that all runs explained. `runs`: name → item → rationale."""
    shared = [item for item in items if all(item.id in run for run in runs.values())]
    orders = []
    prompts = []
    for item in shared:
        order = sorted(runs)
        random.Random(f"{seed}/{item.id}").shuffle(order)
        orders.append(order)
        explanations = "\n\n".join(f"[{place}] {runs[name][item.id]}" for place, name in enumerate(order, 1))
        example = " ".join(str(place) for place in range(len(order), 0, -1))
        named = {"language": LANGUAGES.get(item.lang, item.lang), "count": len(order), "answer": ",".join(item.gold)}
        prompts.append(_RANK.format(**named, asked=text_of(item), explanations=explanations, example=example))
    points: Points = {}
    outputs = answers_of(prompts, TOKENS, backend, cache, on_progress)
    for item, order, output in zip(shared, orders, outputs, strict=True):
        places = [int(number) for number in re.findall(r"\d+", output)]
        if sorted(places) == list(range(1, len(order) + 1)):
            points[item.id] = {order[place - 1]: float(len(order) - at) for at, place in enumerate(places)}
    return Ranking(points, len(shared) - len(points))


def read_points(file: Path) -> Points:
    """Return the points of a CSV with the columns `id`, `run` and `points`. Raises: RecipeError."""
    out: Points = {}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            try:
                out.setdefault(row["id"], {})[row["run"]] = float(row["points"])
            except (KeyError, ValueError, TypeError):
                raise RecipeError(f"{file}:{number}: expected id, run and points (a number)") from None
    return out


def write_points(points: Points, file: Path) -> None:
    """Write points as a CSV with the columns `id`, `run` and `points`."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "run", "points"))
        writer.writerows((item, run, value) for item, runs in points.items() for run, value in sorted(runs.items()))


def agreement(judge: Points, people: Points) -> tuple[float, int]:
    """Return the mean of Kendall's tau-b over the items that both judged, and the number of these items."""
    taus = []
    for item in sorted(set(judge) & set(people)):
        names = sorted(set(judge[item]) & set(people[item]))
        if len(names) > 1:
            taus.append(kendall([judge[item][name] for name in names], [people[item][name] for name in names]))
    return (sum(taus) / len(taus) if taus else 0.0), len(taus)
