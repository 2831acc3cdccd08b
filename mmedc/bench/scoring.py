"""A benchmark recipe from items to a table: accuracy by language with its interval, and every item's record."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmedc.bench import leaderboard
from mmedc.bench.backends import Backend, open_backend
from mmedc.bench.cache import Cache
from mmedc.bench.config import Bench, Normal
from mmedc.bench.contamination import corpora_of, look
from mmedc.bench.packing import Request
from mmedc.bench.parsing import parse
from mmedc.bench.perplexity import perplexities, read_texts
from mmedc.bench.protocols import Asked, asked, choices_of, delimiter, prompt_of
from mmedc.bench.rationales import alike, rationale_of, ready
from mmedc.bench.statistics import holm, macro_interval, mcnemar, sign_flips, wilson
from mmedc.errors import RecipeError
from mmedc.questions import Item, read_items
from mmedc.tokenizer import readable

RECORDS, SCORES = "items.jsonl", "scores.json"


@dataclass(frozen=True)
class Scored:
    """An item and what the model chose."""

    id: str
    lang: str
    chosen: tuple[str, ...]
    """Empty where the answer said no choice."""
    gold: tuple[str, ...]
    likelihoods: list[float] = field(default_factory=list)
    output: str = ""
    topic: str = ""
    order: tuple[str, ...] = ()
    """Which of the item's letters stood at each place."""

    @property
    def right(self) -> bool:
        """Whether exactly the right letters were chosen."""
        return self.chosen == self.gold


def selected(how: Bench) -> tuple[list[Item], dict[str, list[Item]]]:
    """Return the items of a benchmark, and the solved examples of each language. Raises: RecipeError."""
    items = _limited(read_items(how.items), how.limit)
    return items, _examples(how, {item.lang for item in items})


def comparisons(how: Bench) -> list[tuple[str, str, tuple[str, ...], int]]:
    """Return (language, prompt, answers, which is right) of each item, for a model that is asked elsewhere.

    Raises: RecipeError.
    """
    items, examples = selected(how)
    out = []
    for item in items:
        letters, texts = zip(*choices_of(item, how), strict=True)
        answers = tuple(delimiter(how) + text for text in texts)
        out.append((item.lang, prompt_of(item, how, examples.get(item.lang)), answers, letters.index(item.gold)))
    return out


def score(how: Bench, tell: Callable[[int, int], None] = lambda done, of: None) -> dict[str, Any]:
    """Score the checkpoint and return the result; with `out` also write `items.jsonl` and `scores.json`.

    Raises: RecipeError for items, examples or a checkpoint that can't be used.
    """
    items, examples = selected(how)
    if how.reasoned:  # rather than after hours of answers
        ready({item.lang for item in items if item.rationale})
    ask = asked(items, how)
    backend = open_backend(how)
    prompts = [prompt_of(one.shown, how, examples.get(one.item.lang)) for one in ask]
    if how.chat:
        prompts = [backend.chat(prompt) for prompt in prompts]
    with Cache(how.out) as cache:
        answer = _generated if how.protocol == "generate" else _compared
        records = answer(ask, prompts, how, backend, cache, tell)
        texts = _perplexity(how, backend, cache) if how.texts else {}
    result = summary(records[: len(items)]) | {"model": how.model, "protocol": how.protocol, "normal": how.normal}
    result |= {"prompt": how.prompt, "shots": how.shots, "items_sha256": _digest(items), "identity": backend.identity}
    if how.permute:
        result["positions"] = positions(records)
    records = records[: len(items)]
    if texts:
        result["texts"] = texts
    if how.reasoned and (said := _rationales(items, records, how)):
        result["rationales"] = said
    result |= _contamination(items, records, how)
    if how.out:
        write(Path(how.out), records, result)
        if how.protocol == "generate":
            outputs = [one.output for one in records]
            shown = [readable(prompt) for prompt in prompts[: len(items)]]
            leaderboard.write(Path(how.out) / "leaderboard", items, shown, outputs, result)
    return result


def write(folder: Path, records: list[Scored], result: dict[str, Any]) -> None:
    """Leave the record of every item and the result in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({**vars(one), "right": one.right}, ensure_ascii=False) + "\n" for one in records]
    (folder / RECORDS).write_text("".join(lines), encoding="utf-8")
    (folder / SCORES).write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")


Tell = Callable[[int, int], None]


def _compared(
    ask: list[Asked], prompts: list[str], how: Bench, backend: Backend, cache: Cache, tell: Tell
) -> list[Scored]:
    """Return what is chosen by log-likelihood."""
    choices = [choices_of(one.shown, how) for one in ask]
    between = "" if how.chat else delimiter(how)
    requests = [
        Request(prompt, tuple(between + text for _, text in compared))
        for prompt, compared in zip(prompts, choices, strict=True)
    ]
    values: list[list[float]] = [[] for _ in requests]
    total, done = sum(map(len, choices)), 0
    for number, found in cache.answered(backend.identity, requests, backend.score):
        values[number] = found
        done += len(found)
        tell(done, total)
    records = []
    for one, compared, likelihoods in zip(ask, choices, values, strict=True):
        sizes = [_size(text, how.normal) for _, text in compared]
        best = int(np.argmax(np.array(likelihoods) / sizes))  # of equals the first
        records.append(_record(one, compared[best][0], likelihoods=likelihoods))
    return records


def _generated(
    ask: list[Asked], prompts: list[str], how: Bench, backend: Backend, cache: Cache, tell: Tell
) -> list[Scored]:
    """Return what generated answers choose."""
    outputs = [""] * len(prompts)
    identity = f"{backend.identity}/{how.most}"
    answers = cache.answered(identity, prompts, lambda new: backend.generate(new, how.most))
    for done, (number, text) in enumerate(answers, 1):
        outputs[number] = text
        tell(done, len(prompts))
    records = []
    for one, output in zip(ask, outputs, strict=True):
        found = parse(output, one.shown.options, one.item.multiple)
        records.append(_record(one, found or (), output=output))
    return records


def _record(one: Asked, chosen: tuple[str, ...], **more: Any) -> Scored:
    item = one.item
    order = one.order if one.order != tuple(item.options) else ()
    return Scored(item.id, item.lang, one.meant(chosen), item.gold, topic=item.topic, order=order, **more)


def _rationales(items: list[Item], records: list[Scored], how: Bench) -> dict[str, Any]:
    """Return how alike rationales are to the items' own; of those that people have checked, where there are such."""
    checked = [item.human_checked for item in items]
    pairs = [
        (item.lang, rationale_of(one.output), item.rationale)
        for item, one, passed in zip(items, records, checked, strict=True)
        if item.rationale and (passed or not any(checked))
    ]
    return alike(pairs, how.encoder, how.encoder_layer) if pairs else {}


def _perplexity(how: Bench, backend: Backend, cache: Cache) -> dict[str, Any]:
    if how.backend != "transformers" or how.workers > 1:
        raise RecipeError("bench.texts needs backend: transformers and one worker")
    from mmedc.bench.local import Local

    assert isinstance(backend, Local)
    return perplexities(read_texts(how.texts, how.limit), backend, cache)


def _contamination(items: list[Item], records: list[Scored], how: Bench) -> dict[str, Any]:
    """Return what is known of the items in the model's corpora, and accuracy without those that stand in them."""
    named, warnings = corpora_of(how.model) if not how.corpora else (list(how.corpora), [])
    found = look(items, named)
    if not named and not warnings:
        return {}
    out: dict[str, Any] = {
        "corpora": named,
        "hits": found.hits,
        "removed": found.removed,
        "warnings": [*found.warnings, *warnings],
    }
    clean = [one for one in records if one.id not in found.hits]
    if found.hits and clean:
        out["without"] = summary(clean)
    return {"contamination": out}


def summary(records: list[Scored]) -> dict[str, Any]:
    """Return accuracy, its 95% interval, Hamming accuracy and answers without a choice, by language and topic."""
    groups: dict[str, list[Scored]] = {}
    topics: dict[str, list[Scored]] = {}
    for one in records:
        groups.setdefault(one.lang, []).append(one)
        if one.topic:
            topics.setdefault(one.topic, []).append(one)
    languages = {lang: _accuracy(found) for lang, found in sorted(groups.items())}
    mean = float(np.mean([row["accuracy"] for row in languages.values()]))
    interval = macro_interval({lang: [one.right for one in found] for lang, found in groups.items()})
    out: dict[str, Any] = {"languages": languages, "average": {"accuracy": mean, "interval": interval}}
    if topics:
        out["topics"] = {topic: _accuracy(found) for topic, found in sorted(topics.items())}
    return out


def _accuracy(found: list[Scored]) -> dict[str, Any]:
    right = sum(one.right for one in found)
    shared = [_in_common(one.chosen, one.gold) for one in found]
    return {
        "items": len(found),
        "accuracy": right / len(found),
        "interval": wilson(right, len(found)),
        "hamming": float(np.mean(shared)),
        "unparsed": sum(not one.chosen for one in found),
    }


def positions(records: list[Scored]) -> dict[str, Any]:
    """Return how choices depend on the place of options, over all orders in which items were asked.

    `chosen` and `gold`: shares of each place (A, B, …); `accuracy`: mean over orders; `consistent`: the share of
    items whose choice is the same option in every order.
    """
    by_item: dict[str, set[tuple[str, ...]]] = {}
    chosen: dict[str, float] = {}
    gold: dict[str, float] = {}
    for one in records:
        by_item.setdefault(one.id, set()).add(one.chosen)
        for letters, count in ((one.chosen, chosen), (one.gold, gold)):
            for letter in letters:
                place = chr(ord("A") + one.order.index(letter)) if one.order else letter
                count[place] = count.get(place, 0.0) + 1 / len(records) / len(letters)
    return {
        "chosen": dict(sorted(chosen.items())),
        "gold": dict(sorted(gold.items())),
        "accuracy": float(np.mean([one.right for one in records])),
        "consistent": float(np.mean([len(found) == 1 for found in by_item.values()])),
    }


def compare(one: Path, other: Path) -> dict[str, dict[str, float]]:
    """Return for each language the difference in accuracy of two scorings of the same items, and Holm's p-value.

    Where items have several right letters, also those of the shares of letters in common (`hamming_…`).
    Raises: RecipeError when they are not of the same items.
    """
    rows = [[json.loads(line) for line in (path / RECORDS).open(encoding="utf-8")] for path in (one, other)]
    if [row["id"] for row in rows[0]] != [row["id"] for row in rows[1]]:
        raise RecipeError(f"{one} and {other} are not of the same items; score both with the same `items`")
    pairs: dict[str, list[tuple[dict[str, Any], ...]]] = {}
    for pair in zip(*rows, strict=True):
        pairs.setdefault(pair[0]["lang"], []).append(pair)
    right = {
        lang: [[row["right"] for row in side] for side in zip(*pairs[lang], strict=True)] for lang in sorted(pairs)
    }
    common = {
        lang: [[_in_common(row["chosen"], row["gold"]) for row in side] for side in zip(*pairs[lang], strict=True)]
        for lang in right
    }
    out = _differences(right, mcnemar, "")
    if common != right:
        several = _differences(common, sign_flips, "hamming_")
        out = {lang: out[lang] | several[lang] for lang in out}
    return out


def _differences(
    sides: dict[str, list[list[float]]], test: Callable[..., float], name: str
) -> dict[str, dict[str, float]]:
    p_values = holm({lang: test(*both) for lang, both in sides.items()})
    return {
        lang: {f"{name}difference": float(np.mean(one) - np.mean(other)), f"{name}p": p_values[lang]}
        for lang, (one, other) in sides.items()
    }


def _in_common(chosen: Sequence[str], gold: Sequence[str]) -> float:
    """Return the share of the letters of two sets that both have (Hamming score)."""
    return len({*chosen} & {*gold}) / len({*chosen} | {*gold})


def _size(text: str, normal: Normal) -> int:
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


def _examples(how: Bench, languages: set[str]) -> dict[str, list[Item]]:
    if not how.shots:
        return {}
    if not how.examples:
        raise RecipeError(f"bench.shots is {how.shots}; name files of solved questions with bench.examples")
    found: dict[str, list[Item]] = {}
    for item in read_items(how.examples):
        if len(found.setdefault(item.lang, [])) < how.shots:
            found[item.lang].append(item)
    few = sorted(lang for lang in languages if len(found.get(lang, [])) < how.shots)
    if few:
        raise RecipeError(f"bench.examples: fewer than {how.shots} in {', '.join(few)}")
    return found


def _digest(items: list[Item]) -> str:
    said = json.dumps([vars(item) for item in items], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
