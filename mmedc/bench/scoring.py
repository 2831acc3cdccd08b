"""Scores a benchmark: accuracy by language with its interval, and the record of every item."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmedc.bench import leaderboard
from mmedc.bench.backends import Backend, Measuring, open_backend
from mmedc.bench.builder import OnProgress, silent
from mmedc.bench.cache import Cache
from mmedc.bench.config import Bench, Normal
from mmedc.bench.contamination import corpora_of, look
from mmedc.bench.packing import Request
from mmedc.bench.parsing import parse
from mmedc.bench.perplexity import perplexities, read_texts
from mmedc.bench.prompting import check_thoughts, opens_thought
from mmedc.bench.protocols import Asked, asked, choices_of, delimiter, prompt_of
from mmedc.bench.rationales import alike, rationale_of, ready
from mmedc.bench.statistics import holm, macro_interval, mcnemar, sign_flips, wilson
from mmedc.errors import RecipeError
from mmedc.questions import Item, read_items
from mmedc.tokenizer import readable

RECORDS, SCORES = "items.jsonl", "scores.json"


@dataclass(frozen=True)
class Scored:
    """An item and the choice of the model."""

    id: str
    lang: str
    chosen: tuple[str, ...]
    """Empty where the answer names no choice."""
    gold: tuple[str, ...]
    likelihoods: list[float] = field(default_factory=list)
    output: str = ""
    topic: str = ""
    order: tuple[str, ...] = ()
    """The item's own letter at each place, where the order was another one."""
    options: int = 0
    """How many options the item has."""

    @property
    def right(self) -> bool:
        """Whether exactly the right letters were chosen."""
        return self.chosen == self.gold


def selected(settings: Bench) -> tuple[list[Item], dict[str, list[Item]]]:
    """Return the items of a benchmark, and the solved examples by language. Raises: RecipeError."""
    items = _limited(read_items(settings.items), settings.limit)
    return items, _examples(settings, {item.lang for item in items})


def comparisons(settings: Bench) -> list[tuple[str, str, tuple[str, ...], int, tuple[float, ...]]]:
    """Return (language, prompt, answers, index of the right one, shares) of each item, to score a model in training.

    Shares: for each answer the share of options that it rightly chooses or leaves, where several may be right.

    Raises: RecipeError.
    """
    items, examples = selected(settings)
    out = []
    for item in items:
        letters, texts = zip(*choices_of(item, settings), strict=True)
        answers = tuple(delimiter(settings) + text for text in texts)
        prompt = prompt_of(item, settings, examples.get(item.lang))
        each = [Scored(item.id, item.lang, chosen, item.gold, options=len(item.options)) for chosen in letters]
        shares = tuple(map(_told_apart, each)) if item.multiple else ()
        out.append((item.lang, prompt, answers, letters.index(item.gold), shares))
    return out


def score(settings: Bench, on_progress: OnProgress = silent, spread: bool = False) -> dict[str, Any]:
    """Score a checkpoint and return the result. With `out`, also write `items.jsonl` and `scores.json`.

    `spread`: on the cluster that this process has joined, with a GPU where it has any, even if it is one worker.

    Raises: RecipeError for items, examples or a checkpoint that cannot be used.
    """
    items, examples = selected(settings)
    if settings.reasoned:  # fail now, not after hours of answers
        ready({item.lang for item in items if item.rationale})
    presented = asked(items, settings)
    backend = open_backend(settings, spread and not settings.texts)
    prompts = [prompt_of(question.shown, settings, examples.get(question.item.lang)) for question in presented]
    if settings.chat:
        prompts = [backend.chat(prompt) for prompt in prompts]
        check_thoughts(prompts[0], settings)
    with Cache(settings.out) as cache:
        answer = _generated if settings.protocol == "generate" else _compared
        records = answer(presented, prompts, settings, backend, cache, on_progress)
        texts = _perplexity(settings, backend, cache) if settings.texts else {}
    result = summary(records[: len(items)]) | {
        "sets": _sets_of(items, settings),
        "model": settings.model,
        "protocol": settings.protocol,
        "normal": settings.normal,
    }
    result |= {
        "prompt": settings.prompt,
        "shots": settings.shots,
        "items_sha256": _digest(items),
        "identity": backend.identity,
    }
    if settings.permute:
        result["positions"] = positions(records)
    records = records[: len(items)]
    if texts:
        result["texts"] = texts
    if settings.reasoned and (similarity := _rationales(items, records, settings)):
        result["rationales"] = similarity
    if cut := _cut(presented[: len(items)], prompts, settings, backend):
        result["cut"] = cut
    result |= _contamination(items, records, settings)
    if settings.out:
        write(Path(settings.out), records, result)
        if settings.protocol == "generate":
            outputs = [record.output for record in records]
            shown = [readable(prompt) for prompt in prompts[: len(items)]]
            leaderboard.write(Path(settings.out) / "leaderboard", items, shown, outputs, result)
    return result


def _cut(presented: list[Asked], prompts: list[str], settings: Bench, backend: Backend) -> dict[str, int]:
    """Return how many items of each language are longer than the context, so that their prompts lose the beginning."""
    if not isinstance(backend, Measuring):
        return {}
    texts, room = prompts[: len(presented)], settings.answer_tokens
    if settings.protocol != "generate":
        between, room = "" if settings.chat else delimiter(settings), -1  # the last token is no input
        longest = [max((text for _, text in choices_of(one.shown, settings)), key=len) for one in presented]
        texts = [prompt + between + text for prompt, text in zip(texts, longest, strict=True)]
    long = backend.too_long(texts, room)
    return dict(sorted(Counter(one.item.lang for one, cut in zip(presented, long, strict=True) if cut).items()))


def _sets_of(items: list[Item], settings: Bench) -> str:
    """Return how items with several right letters are answered, or nothing where there are none."""
    if not any(item.multiple for item in items):
        return ""
    if settings.protocol == "letters":
        return "sets of letters, each with an end"
    return "one option each" if settings.protocol == "options" else "letters in an answer"


def write(folder: Path, records: list[Scored], result: dict[str, Any]) -> None:
    """Write the record of every item, and the result, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({**vars(record), "right": record.right}, ensure_ascii=False) + "\n" for record in records]
    (folder / RECORDS).write_text("".join(lines), encoding="utf-8")
    (folder / SCORES).write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")


def _compared(
    presented: list[Asked], prompts: list[str], settings: Bench, backend: Backend, cache: Cache, on_progress: OnProgress
) -> list[Scored]:
    """Return the answers with the largest log-likelihoods."""
    choices = [choices_of(question.shown, settings) for question in presented]
    between = "" if settings.chat else delimiter(settings)
    requests = [
        Request(prompt, tuple(between + text for _, text in compared))
        for prompt, compared in zip(prompts, choices, strict=True)
    ]
    values: list[list[float]] = [[] for _ in requests]
    total, done = sum(map(len, choices)), 0
    for number, found in cache.answered(backend.identity, requests, backend.score):
        values[number] = found
        done += len(found)
        on_progress(done, total)
    records = []
    for question, compared, likelihoods in zip(presented, choices, values, strict=True):
        sizes = [_size(text, settings.normal) for _, text in compared]
        best = int(np.argmax(np.array(likelihoods) / sizes))  # the first of equals
        records.append(_record(question, compared[best][0], likelihoods=likelihoods))
    return records


def _generated(
    presented: list[Asked], prompts: list[str], settings: Bench, backend: Backend, cache: Cache, on_progress: OnProgress
) -> list[Scored]:
    """Return the choices of generated answers."""
    outputs = [""] * len(prompts)
    identity = f"{backend.identity}/{settings.answer_tokens}"
    answers = cache.answered(identity, prompts, lambda new: backend.generate(new, settings.answer_tokens))
    for done, (number, text) in enumerate(answers, 1):
        outputs[number] = f"<think>{text}" if opens_thought(prompts[number]) else text
        on_progress(done, len(prompts))
    records = []
    for question, output in zip(presented, outputs, strict=True):
        found = parse(output, question.shown.options, question.item.multiple)
        records.append(_record(question, found or (), output=output))
    return records


def _record(question: Asked, chosen: tuple[str, ...], **more: Any) -> Scored:
    item = question.item
    order = question.order if question.order != tuple(item.options) else ()
    return Scored(
        item.id,
        item.lang,
        question.meant(chosen),
        item.gold,
        topic=item.topic,
        order=order,
        options=len(item.options),
        **more,
    )


def _rationales(items: list[Item], records: list[Scored], settings: Bench) -> dict[str, Any]:
    """Return the similarity of rationales to the items' own, or to those that people have checked if there are any."""
    checked = [item.human_checked for item in items]
    pairs = [
        (item.lang, rationale_of(record.output), item.rationale)
        for item, record, passed in zip(items, records, checked, strict=True)
        if item.rationale and (passed or not any(checked))
    ]
    return alike(pairs, settings.encoder, settings.encoder_layer) if pairs else {}


def _perplexity(settings: Bench, backend: Backend, cache: Cache) -> dict[str, Any]:
    if settings.backend != "transformers" or settings.workers > 1:
        raise RecipeError("bench.texts needs backend: transformers and one worker")
    from mmedc.bench.local import Local

    assert isinstance(backend, Local)
    return perplexities(read_texts(settings.texts, settings.limit), backend, cache)


def _contamination(items: list[Item], records: list[Scored], settings: Bench) -> dict[str, Any]:
    """Return which items occur in the corpora of the model, and the accuracy without them."""
    named, warnings = corpora_of(settings.model) if not settings.corpora else (list(settings.corpora), [])
    found = look(items, named)
    if not named and not warnings:
        return {}
    out: dict[str, Any] = {
        "corpora": named,
        "hits": found.hits,
        "removed": found.removed,
        "warnings": [*found.warnings, *warnings],
    }
    clean = [record for record in records if record.id not in found.hits]
    if found.hits and clean:
        out["without"] = summary(clean)
    return {"contamination": out}


def summary(records: list[Scored]) -> dict[str, Any]:
    """Return accuracy with its 95% interval, scores of letters and unparsed answers, by language and by topic.

    `accuracy`: the share of items whose exact set of letters was chosen. `per_letter`: the mean share of an item's
    options that were rightly chosen or rightly left. `hamming`: the mean share of letters that both sets have.
    """
    groups: dict[str, list[Scored]] = {}
    topics: dict[str, list[Scored]] = {}
    for record in records:
        groups.setdefault(record.lang, []).append(record)
        if record.topic:
            topics.setdefault(record.topic, []).append(record)
    languages = {lang: _accuracy(group) for lang, group in sorted(groups.items())}
    mean = float(np.mean([row["accuracy"] for row in languages.values()]))
    interval = macro_interval({lang: [record.right for record in group] for lang, group in groups.items()})
    out: dict[str, Any] = {"languages": languages, "average": {"accuracy": mean, "interval": interval}}
    if topics:
        out["topics"] = {topic: _accuracy(group) for topic, group in sorted(topics.items())}
    return out


def _accuracy(records: list[Scored]) -> dict[str, Any]:
    right = sum(record.right for record in records)
    shared = [_in_common(record.chosen, record.gold) for record in records]
    return {
        "items": len(records),
        "accuracy": right / len(records),
        "interval": wilson(right, len(records)),
        "hamming": float(np.mean(shared)),
        "per_letter": float(np.mean([_told_apart(record) for record in records])),
        "unparsed": sum(not record.chosen for record in records),
    }


def positions(records: list[Scored]) -> dict[str, Any]:
    """Return how choices depend on the places of options, over all orders in which items were asked.

    `chosen` and `gold`: the shares of each place (A, B, …). `accuracy`: the mean over orders. `consistent`: the share
    of items for which the same option is chosen in every order.
    """
    by_item: dict[str, set[tuple[str, ...]]] = {}
    chosen: dict[str, float] = {}
    gold: dict[str, float] = {}
    for record in records:
        by_item.setdefault(record.id, set()).add(record.chosen)
        for letters, count in ((record.chosen, chosen), (record.gold, gold)):
            for letter in letters:
                place = chr(ord("A") + record.order.index(letter)) if record.order else letter
                count[place] = count.get(place, 0.0) + 1 / len(records) / len(letters)
    return {
        "chosen": dict(sorted(chosen.items())),
        "gold": dict(sorted(gold.items())),
        "accuracy": float(np.mean([record.right for record in records])),
        "consistent": float(np.mean([len(choices) == 1 for choices in by_item.values()])),
    }


def compare(first: Path, second: Path) -> dict[str, dict[str, float]]:
    """Return the difference in accuracy of two scorings of the same items, by language, with Holm's p-value.

    Where items have several right letters, the differences of the shares of letters in common (`hamming_…`) as well.
    Raises: RecipeError when the items differ.
    """
    pairs, right = _pairs(first, second), _right_in(first, second)
    common = {
        lang: [[_in_common(row["chosen"], row["gold"]) for row in side] for side in zip(*pairs[lang], strict=True)]
        for lang in right
    }
    out = _differences(right, mcnemar, "")
    if common != right:
        several = _differences(common, sign_flips, "hamming_")
        out = {lang: out[lang] | several[lang] for lang in out}
    return out


def compare_with_first(folders: list[Path]) -> dict[str, dict[str, dict[str, float]]]:
    """Return folder name → language → difference in accuracy from the first scoring, with Holm's p-value.

    The p-values (McNemar) are adjusted for all languages and all scorings at once. Raises: RecipeError.
    """
    first, *others = folders
    sides = {other.name: _right_in(other, first) for other in others}
    flat = {(name, lang): mcnemar(*both) for name, by_lang in sides.items() for lang, both in by_lang.items()}
    p_values = dict(zip(flat, holm({str(number): p for number, p in enumerate(flat.values())}).values(), strict=True))
    return {
        name: {
            lang: {"difference": float(np.mean(both[0]) - np.mean(both[1])), "p": p_values[name, lang]}
            for lang, both in by_lang.items()
        }
        for name, by_lang in sides.items()
    }


def _right_in(first: Path, second: Path) -> dict[str, list[list[bool]]]:
    """Return by language which items two scorings of the same items have right."""
    pairs = _pairs(first, second)
    return {lang: [[row["right"] for row in side] for side in zip(*pairs[lang], strict=True)] for lang in sorted(pairs)}


def _pairs(first: Path, second: Path) -> dict[str, list[tuple[dict[str, Any], ...]]]:
    rows = [[json.loads(line) for line in (path / RECORDS).open(encoding="utf-8")] for path in (first, second)]
    if [row["id"] for row in rows[0]] != [row["id"] for row in rows[1]]:
        raise RecipeError(f"{first} and {second} are not of the same items; score both with the same `items`")
    pairs: dict[str, list[tuple[dict[str, Any], ...]]] = {}
    for pair in zip(*rows, strict=True):
        pairs.setdefault(pair[0]["lang"], []).append(pair)
    return pairs


def _differences(
    sides: Mapping[str, Sequence[Sequence[float]]], test: Callable[..., float], name: str
) -> dict[str, dict[str, float]]:
    p_values = holm({lang: test(*both) for lang, both in sides.items()})
    return {
        lang: {f"{name}difference": float(np.mean(first) - np.mean(second)), f"{name}p": p_values[lang]}
        for lang, (first, second) in sides.items()
    }


def _in_common(chosen: Sequence[str], gold: Sequence[str]) -> float:
    """Return the share of the letters of two sets that are in both (Hamming score)."""
    return len({*chosen} & {*gold}) / len({*chosen} | {*gold})


def _told_apart(record: Scored) -> float:
    """Return the share of an item's options that were rightly chosen or rightly left."""
    wrong = len({*record.chosen} ^ {*record.gold})
    return 1 - wrong / (record.options or len({*record.chosen} | {*record.gold}))


def _size(text: str, normal: Normal) -> int:
    return {"sum": 1, "characters": len(text), "bytes": len(text.encode())}[normal] or 1


def _limited(items: list[Item], limit: int) -> list[Item]:
    """Return at most `limit` items of each language, drawn by the hashes of their ids, in their order.

    Question sets are often sorted, so their first items are no sample.
    """
    if not limit:
        return items
    by_lang: dict[str, list[tuple[str, int]]] = {}
    for number, item in enumerate(items):
        drawn = hashlib.sha256(f"{item.lang}/{item.id}".encode()).hexdigest()
        by_lang.setdefault(item.lang, []).append((drawn, number))
    taken = {number for group in by_lang.values() for _, number in sorted(group)[:limit]}
    return [item for number, item in enumerate(items) if number in taken]


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
    whole = json.dumps([vars(item) for item in items], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()
