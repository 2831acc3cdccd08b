"""`mmedc what-if`: how many documents other limits would keep, from the scores that ingest stored.

The count after the step `limits` is exactly that of a build with these settings over the same input: both compare the
same columns by the same function. What deduplication, decontamination and the removal of lines then remove depends on
the other documents that stay, so it is not predicted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group

from mmedc.corpus.history import History
from mmedc.corpus.manifest import tokens_per_byte
from mmedc.engine.identity import digest_of
from mmedc.engine.unit import DataFile
from mmedc.errors import PolicyError, RequestError
from mmedc.limits import reasons
from mmedc.policy import Limit, Policy
from mmedc.recipe import Recipe
from mmedc.report.grid import Column, Grid, Passage, number

ASKED = ("medical.policy", "publish.licences", "publish.unknown")
"""The settings besides those below `policy` for which the stored columns answer."""
Bools = npt.NDArray[np.bool_]


@dataclass
class Kept:
    """Documents that limits keep, and the characters and UTF-8 bytes of their texts as ingest stored them."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0

    def add(self, keys: pa.Table, rows: Bools) -> None:
        """Count the `rows` of a table of keys."""
        self.documents += int(rows.sum())
        self.characters += int(np.nansum(keys["chars"].to_numpy()[rows].astype(np.float64)))
        self.bytes += int(keys["bytes"].to_numpy()[rows].sum())


@dataclass
class Part:
    """The documents of a language and a source."""

    lang: str
    source: str
    scored: int = 0
    """The number of documents that ingest stored with their scores."""
    now: Kept = field(default_factory=Kept)
    """What the limits of the build keep."""
    then: Kept = field(default_factory=Kept)
    """What the new limits would keep."""
    published: int = 0
    """The number of documents that are published now."""
    stay: int = 0
    """The number of them that meet the new limits."""
    unscored: int = 0
    """Documents that the new limits would keep but for the score of `classify`, which has not scored them."""


@dataclass
class WhatIf:
    """What limits would keep."""

    settings: tuple[str, ...]
    parts: list[Part]
    reasons: dict[str, list[int]]
    """The documents that each limit drops first: [now, then]."""
    tokens_per_byte: dict[str, float]
    """By language, of the published texts; the tokens of documents that are not published are estimated by it."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, with estimated `tokens`."""
        found = asdict(self)
        for part, row in zip(self.parts, found["parts"], strict=True):
            for when in ("now", "then"):
                row[when]["tokens"] = self.tokens(getattr(part, when), part.lang)
        return found

    def tokens(self, kept: Kept, lang: str) -> int:
        """Return about how many tokens the texts have."""
        return round(kept.bytes * self.tokens_per_byte.get(lang, self.tokens_per_byte.get("", 0.0)))


def what_if(corpus: str, sets: Iterable[str]) -> WhatIf:
    """Return what the limits `sets` would keep of the documents that the build of `corpus` scored.

    `sets` are `policy.LANGUAGE.MEASURE.BOUND=VALUE`, `medical.policy=NAME`, and what `publish` says of licences.

    Raises: RequestError for another setting, and for limits that the stored scores cannot answer; CorpusError without
    a corpus or without what its passes left.
    """
    settings = tuple(sets)
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if not key.startswith("policy.") and key not in ASKED:
            if near := get_close_matches(key, ASKED, 1, 0.8):
                raise RequestError(f'--set {setting}: unknown key "{key}"; did you mean "{near[0]}"?')
            raise RequestError(
                f"--set {setting}: the stored scores answer for limits only: give policy.LANGUAGE.MEASURE.min=VALUE "
                "(or max), with `all` for every language, medical.policy=NAME, or publish.licences=[NAME, …]"
            )
    if not settings:
        raise RequestError("no limit is given: --set policy.all.medical_model.min=0.8, for example")
    history = History(corpus)
    old, new = _policies(history, settings)
    classified = history.record.settings().classify
    measure = classified.measure if classified else None
    parts: dict[tuple[str, str], Part] = {}
    dropped: dict[str, list[int]] = {}
    for number_, (_, file) in enumerate(history.tables):
        if file.rows:
            _count(history, number_, file, old, new, measure, parts, dropped)
    return WhatIf(settings, [parts[key] for key in sorted(parts)], dropped, tokens_per_byte(history.manifest.shards))


def _policies(history: History, settings: tuple[str, ...]) -> tuple[Policy, Policy]:
    """Return the policy of the build and the new one. Raises: RequestError where ingest would have to run again."""
    before = history.record.settings()
    old = _with_limits(_read_policy(history, before), history)
    try:
        new = _read_policy(history, history.record.settings(settings))
    except PolicyError as problem:
        if "floor" in str(problem) or "ceiling" in str(problem):
            raise RequestError(f"{problem}\n{_again(settings)}") from None
        raise
    moved = _moved(old, new)
    ingests = [[digest_of(each.for_ingest()) for each in policy.every] for policy in (old, new)]
    if moved or ingests[0] != ingests[1]:
        what = f"the floors of {', '.join(moved)}" if moved else "the terms or the rule of the policy"
        raise RequestError(
            f"--set {' --set '.join(settings)}: changes {what}, by which ingest drops.\n{_again(settings)}"
        )
    return old, new


def _again(settings: tuple[str, ...]) -> str:
    return (
        "The stored scores cannot answer this: what ingest drops is not stored, so nobody knows how it scores. Only a "
        f"build can: give mmedc run --set {' --set '.join(settings)}, with floors to match, and another --out"
    )


def _read_policy(history: History, recipe: Recipe) -> Policy:
    return recipe.read_policy(history.manifest.columns)


def _with_limits(policy: Policy, history: History) -> Policy:
    """Return `policy` with the limits that the build had, should its files have changed since."""

    def given(one: Policy, limits: Mapping[str, dict[str, Limit]]) -> Policy:
        languages = {code: replace(language, limits=limits.get(code, {})) for code, language in one.languages.items()}
        return replace(one, languages=languages)

    record = history.record
    own = {name: given(policy.of(name), limits) for name, limits in record.limits_of_sources.items()}
    return replace(given(policy, record.limits), of_sources=own)


def _moved(old: Policy, new: Policy) -> list[str]:
    """Return the measures whose floor or ceiling differs in some language."""
    found = dict[str, None]()
    pairs = [(old.of(name), new.of(name)) for name in (None, *new.of_sources)]
    for before, after in (
        (one.languages[code].limits, language.limits)
        for one, other in pairs
        for code, language in other.languages.items()
    ):
        for name in {**after, **before}:
            bounds = [each[name].bounds(True) if name in each else (None, None) for each in (before, after)]
            if bounds[0] != bounds[1]:
                found[name] = None
    return list(found)


def _count(
    history: History,
    unit: int,
    file: DataFile,
    old: Policy,
    new: Policy,
    classified: str | None,
    parts: dict[tuple[str, str], Part],
    dropped: dict[str, list[int]],
) -> None:
    """Count the documents of a unit of ingest in `parts`, and those that a limit drops in `dropped`."""
    policies = (*old.every, *new.every)
    limited = {name for policy in policies for language in policy.languages.values() for name in language.limits}
    asked = {"licence"} if old.licences or new.licences else set()
    asked |= {"source"} if len(policies) > 2 else set()
    keys = history.read(file, sorted({"lang", "bytes", "chars"} | limited | asked))
    verdicts = [reasons(keys, policy) for policy in (old, new)]
    for at, why in enumerate(verdicts):
        for row in pc.value_counts(why.drop_null()).to_pylist():
            dropped.setdefault(row["values"], [0, 0])[at] += row["counts"]
    now, then = (pc.is_null(why).to_numpy(zero_copy_only=False) for why in verdicts)
    published = np.zeros(keys.num_rows, bool)
    published[history.published_rows(unit)] = True
    open_ = np.zeros(keys.num_rows, bool)
    if classified:
        others = tuple(limited - {classified})
        unscored = keys[classified].is_null().to_numpy(zero_copy_only=False)
        open_ = unscored & pc.is_null(reasons(keys, new, others)).to_numpy(zero_copy_only=False)
    langs = np.array(keys["lang"].to_pylist(), object)
    source = history.record.sources[unit]
    for lang in np.unique(langs).tolist():
        mine = langs == lang
        part = parts.setdefault((lang, source), Part(lang, source))
        part.scored += int(mine.sum())
        part.now.add(keys, mine & now)
        part.then.add(keys, mine & then)
        part.published += int((mine & published).sum())
        part.stay += int((mine & published & then).sum())
        part.unscored += int((mine & open_).sum())


def what_if_tables(found: WhatIf) -> Group:
    """Return the tables of `mmedc what-if`: by language and source, then by limit."""
    several = len({part.source for part in found.parts}) > 1
    columns = [
        *([Column("language"), Column("source")] if several else [Column("language")]),
        *(number("scored", rank=2), number("kept now"), number("then"), number("change"), number("characters", rank=1)),
        *(number("≈ tokens"), number("published now"), number("of these stay")),
    ]
    rows = [[part.lang, *([part.source] if several else []), *_row(found, [part])] for part in found.parts]
    rows.append(["all", *([""] if several else []), *_row(found, found.parts)])
    limits = [
        (name, f"{now:,}", f"{then:,}", _change(now, then))
        for name, (now, then) in found.reasons.items()
        if now or then
    ]
    parts: list[Any] = [Grid(columns, rows), ""]
    parts += [Grid([Column("dropped first by"), number("now"), number("then"), number("change")], sorted(limits)), ""]
    if unscored := sum(part.unscored for part in found.parts):
        parts.append(
            Passage(f"{unscored:,} more documents depend on the classifier of the recipe, which has not read them.")
        )
    parts.append(
        Passage(
            "“then” is exactly what the step `limits` of a build with these settings keeps of the same input. Which of "
            "these documents are duplicates of each other, and are removed afterwards, only the build tells. Tokens "
            "are estimated from the published texts. Nothing was changed."
        )
    )
    return Group(*parts)


def _change(now: int, then: int) -> str:
    return f"{then - now:+,}" if then != now else "0"


def _row(found: WhatIf, parts: list[Part]) -> list[str]:
    now, then = sum(part.now.documents for part in parts), sum(part.then.documents for part in parts)
    return [
        f"{sum(part.scored for part in parts):,}",
        f"{now:,}",
        f"{then:,}",
        _change(now, then),
        f"{sum(part.then.characters for part in parts):,}",
        f"{sum(found.tokens(part.then, part.lang) for part in parts):,}",
        f"{sum(part.published for part in parts):,}",
        f"{sum(part.stay for part in parts):,}",
    ]
