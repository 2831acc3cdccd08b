"""A benchmark recipe from items to a table: accuracy by language with its interval, and every item's record."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mmedc.bench.items import Item, read_items
from mmedc.bench.likelihood import Likelihood, Request
from mmedc.bench.protocols import Protocol, choices_of, few_shot
from mmedc.bench.statistics import holm, macro_interval, mcnemar, wilson
from mmedc.errors import RecipeError
from mmedc.recipe import Paths, read_part
from mmedc.settings import Part

Normal = Literal["sum", "characters", "bytes"]


class Bench(Part):
    """The `bench` part of a recipe. Paths are relative to the current folder."""

    model: str
    """A Hugging Face folder."""
    items: Paths
    """Files or folders of questions."""
    out: str = ""
    protocol: Protocol = "letters"
    """`letters`: the letters are compared; `options`: the texts of the options."""
    normal: Normal = "sum"
    """What a log-likelihood is divided by: nothing, characters, or UTF-8 bytes of the continuation."""
    shots: Annotated[int, Field(ge=0)] = 0
    """Solved examples before each question, from `examples`, of its language, in their order."""
    examples: tuple[str, ...] = ()
    limit: Annotated[int, Field(ge=0)] = 0
    """At most so many items of a language, the first ones; 0: all."""
    context: Annotated[int, Field(gt=8)] = 2048
    device: Literal["auto", "cpu", "cuda"] = "auto"


def read_bench(path: str, sets: list[str] | None = None) -> Bench:
    """Read the benchmark of the recipe `path`: its `bench` part, or the whole file. Raises: RecipeError."""
    return read_part(path, "bench", Bench, sets, "docs/scoring.md")


@dataclass(frozen=True)
class Scored:
    """An item and what the model chose."""

    id: str
    lang: str
    chosen: tuple[str, ...]
    gold: tuple[str, ...]
    likelihoods: list[float]

    @property
    def right(self) -> bool:
        """Whether exactly the right letters were chosen."""
        return self.chosen == self.gold


def score(settings: Bench, tell: Callable[[int, int], None] = lambda done, of: None) -> dict[str, Any]:
    """Score the checkpoint and return the result; with `out` also write `items.jsonl` and `scores.json`.

    Raises: RecipeError for items, examples or a checkpoint that can't be used.
    """
    items = _limited(read_items(settings.items), settings.limit)
    examples = _examples(settings, {item.lang for item in items})
    model = Likelihood(settings.model, settings.device, settings.context)
    choices = [choices_of(item, settings.protocol) for item in items]
    requests = [
        Request(few_shot(item, examples.get(item.lang, []), settings.protocol), tuple(text for _, text in found))
        for item, found in zip(items, choices, strict=True)
    ]
    total = sum(len(found) for found in choices)
    likelihoods = model.score(requests, lambda done: tell(done, total))
    records = []
    for item, found, values in zip(items, choices, likelihoods, strict=True):
        sizes = [_size(text, settings.normal) for _, text in found]
        best = int(np.argmax(np.array(values) / sizes))  # of equals the first
        records.append(Scored(item.id, item.lang, tuple(sorted(found[best][0])), item.gold, values))
    result = summary(records) | {"model": settings.model, "protocol": settings.protocol, "normal": settings.normal}
    result |= {"shots": settings.shots, "items_sha256": _digest(items)}
    if settings.out:
        folder = Path(settings.out)
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({**vars(one), "right": one.right}, ensure_ascii=False) + "\n" for one in records]
        (folder / "items.jsonl").write_text("".join(lines), encoding="utf-8")
        (folder / "scores.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    return result


def summary(records: list[Scored]) -> dict[str, Any]:
    """Return accuracy, its 95% interval and Hamming accuracy of each language, and of their mean."""
    groups: dict[str, list[Scored]] = {}
    for one in records:
        groups.setdefault(one.lang, []).append(one)
    languages = {}
    for lang, found in sorted(groups.items()):
        right = sum(one.right for one in found)
        shared = [len({*one.chosen} & {*one.gold}) / len({*one.chosen} | {*one.gold}) for one in found]
        languages[lang] = {
            "items": len(found),
            "accuracy": right / len(found),
            "interval": wilson(right, len(found)),
            "hamming": float(np.mean(shared)),
        }
    mean = float(np.mean([row["accuracy"] for row in languages.values()]))
    interval = macro_interval({lang: [one.right for one in found] for lang, found in groups.items()})
    return {"languages": languages, "average": {"accuracy": mean, "interval": interval}}


def compare(one: Path, other: Path) -> dict[str, dict[str, float]]:
    """Return for each language the difference in accuracy of two scorings of the same items, and Holm's p-value.

    Raises: RecipeError when they are not of the same items.
    """
    rows = [[json.loads(line) for line in (path / "items.jsonl").open(encoding="utf-8")] for path in (one, other)]
    if [row["id"] for row in rows[0]] != [row["id"] for row in rows[1]]:
        raise RecipeError(f"{one} and {other} are not of the same items; score both with the same `items`")
    right: dict[str, tuple[list[bool], list[bool]]] = {}
    for a, b in zip(*rows, strict=True):
        mine, theirs = right.setdefault(a["lang"], ([], []))
        mine.append(a["right"])
        theirs.append(b["right"])
    p_values = holm({lang: mcnemar(*both) for lang, both in sorted(right.items())})
    return {
        lang: {"difference": float(np.mean(right[lang][0]) - np.mean(right[lang][1])), "p": p}
        for lang, p in p_values.items()
    }


def _size(text: str, normal: Normal) -> int:
    text = text.removeprefix(" ")
    return {"sum": 1, "characters": len(text), "bytes": len(text.encode())}[normal] or 1


def _limited(items: list[Item], limit: int) -> list[Item]:
    if not limit:
        return items
    taken: dict[str, int] = {}
    out = []
    for item in items:
        taken[item.lang] = taken.get(item.lang, 0) + 1
        if taken[item.lang] <= limit:
            out.append(item)
    return out


def _examples(settings: Bench, languages: set[str]) -> dict[str, list[Item]]:
    if not settings.shots:
        return {}
    if not settings.examples:
        raise RecipeError(f"bench.shots is {settings.shots}; name files of solved questions with bench.examples")
    found: dict[str, list[Item]] = {}
    for item in read_items(settings.examples):
        if len(found.setdefault(item.lang, [])) < settings.shots:
            found[item.lang].append(item)
    few = sorted(lang for lang in languages if len(found.get(lang, [])) < settings.shots)
    if few:
        raise RecipeError(f"bench.examples: fewer than {settings.shots} in {', '.join(few)}")
    return found


def _digest(items: list[Item]) -> str:
    said = json.dumps([vars(item) for item in items], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
