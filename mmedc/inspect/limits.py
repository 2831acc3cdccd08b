"""Other limits of the policy, and what they would keep: exactly what `mmedc what-if` says, from the coded scores.

A limit is moved to an edge of its measure's scale. For each limit, the documents that meet all others are counted by
their codes, so that every other place of that limit has its answer beforehand: moving it needs no scan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.inspect.catalog import Catalog, Chunk
from mmedc.inspect.scales import Scale
from mmedc.licences import Rule
from mmedc.policy import Limit

EVERY = "all"
BOUNDS = ("min", "max")
Key = tuple[str, str, str]
"""A language or `all`, a measure, `min` or `max`."""
Counts = npt.NDArray[np.int64]


@dataclass
class Sums:
    """The documents of a language."""

    scored: int = 0
    now: int = 0
    """Those that meet the limits of the build."""
    then: int = 0
    """Those that would meet the others."""
    published: int = 0
    stay: int = 0
    """Those of the published ones that would meet the others."""
    now_tokens: int = 0
    then_tokens: int = 0


@dataclass
class Answer:
    """What limits would keep."""

    languages: dict[str, Sums]
    reasons: dict[str, list[int]]
    """The documents that each limit drops first: [now, then]."""
    alone: dict[tuple[str, str], dict[str, Counts]] = field(default_factory=dict)
    """By (measure, bound), then by language: how many documents that meet all other limits have each code."""
    steady: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """By language, measure and bound: kept documents whose source has a policy of its own, without that limit."""

    def kept(self, measure: str, bound: str, lang: str) -> Counts:
        """Return how many documents would be kept with the bound at each edge of the scale, in order."""
        counts = self.alone[measure, bound][lang][:-1]  # without those that have no score
        below = np.concatenate([[0], np.cumsum(counts)]) + self.steady.get((lang, measure, bound), 0)
        at = np.arange(1, len(counts), 2)  # the code of each edge
        return below[-1] - below[at] + below[0] if bound == "min" else below[at + 1]


@dataclass(frozen=True)
class Moved:
    """Limits, and what was moved of them."""

    limits: Mapping[str, Mapping[str, Limit]]
    changes: Mapping[Key, float]

    def value(self, lang: str, measure: str, bound: str, limit: Limit | None = None) -> float | None:
        """Return a bound as it was moved (that of `limit`, if given, which is a source's own); None without one."""
        limit = limit or self.limits.get(lang, {}).get(measure)
        own: float | None = getattr(limit, bound) if limit else None
        if own is None:
            return None
        return self.changes.get((lang, measure, bound), self.changes.get((EVERY, measure, bound), own))


def read_changes(params: Mapping[str, str], limits: Mapping[str, Mapping[str, Limit]]) -> dict[Key, float]:
    """Return the moved limits of an address: `all.medical_model.min=0.8`. A limit that no language has is left out."""
    found: dict[Key, float] = {}
    for name, text in params.items():
        lang, _, rest = name.partition(".")
        measure, _, bound = rest.rpartition(".")
        codes = [*limits] if lang == EVERY else [lang]
        try:
            value = float(text)
        except ValueError:
            continue
        own = [limit for code in codes if (limit := limits.get(code, {}).get(measure))]
        if bound in BOUNDS and abs(value) < 1e15 and any(getattr(limit, bound) is not None for limit in own):
            found[lang, measure, bound] = value
    return found


def snapped(catalog: Catalog, changes: Mapping[Key, float], limits: Mapping[str, Mapping[str, Limit]]) -> Moved:
    """Return the limits moved to edges; none below its floor or above its ceiling, which ingest dropped by already."""
    moved: dict[Key, float] = {}
    for (lang, measure, bound), value in changes.items():
        scale = catalog.scales[measure]
        low, high = reach(limits, lang, measure)
        edge = scale.edges[scale.nearest(value)]
        edge = edge if low is None else max(edge, low)
        moved[lang, measure, bound] = edge if high is None else min(edge, high)
    return Moved(limits, moved)


def reach(limits: Mapping[str, Mapping[str, Limit]], lang: str, measure: str) -> tuple[float | None, float | None]:
    """Return the lowest and highest values that stored scores can answer for: the tightest of some languages."""
    own = [each[measure] for code, each in limits.items() if measure in each and lang in (EVERY, code)]
    floors = [limit.floor for limit in own if limit.floor is not None]
    ceilings = [limit.ceiling for limit in own if limit.ceiling is not None]
    return max(floors, default=None), min(ceilings, default=None)


def answer(catalog: Catalog, moved: Moved, lang: str = "", source: str = "") -> Answer:
    """Return what the moved limits would keep, and for each limit what any other place of it would."""
    found = Answer({}, {})
    number = catalog.sources.known.get(source, -1) if source else None
    own = {catalog.sources.known.get(name, -1): limits for name, limits in catalog.opened.own_limits.items()}
    for code in [lang] if lang else catalog.languages:
        sums = found.languages.setdefault(code, Sums())
        for chunk in catalog.rows([code]):
            if not own and number is None:
                _count(catalog, chunk, code, moved.limits.get(code, {}), moved, None, sums, found)
                continue
            sources = chunk.column("source")
            wanted = np.ones(chunk.rows, bool) if number is None else sources == number
            for one, limits in own.items():
                _count(catalog, chunk, code, limits.get(code, {}), moved, wanted & (sources == one), sums, found)
            rest = wanted & ~np.isin(sources, [*own])
            _count(catalog, chunk, code, moved.limits.get(code, {}), moved, rest, sums, found)
    return found


def _count(
    catalog: Catalog,
    chunk: Chunk,
    lang: str,
    limits: Mapping[str, Limit],
    moved: Moved,
    mask: npt.NDArray[np.bool_] | None,
    sums: Sums,
    found: Answer,
) -> None:
    def column(name: str) -> npt.NDArray[np.int64]:
        return chunk.column(name) if mask is None else chunk.column(name)[mask]

    tokens, published = column("tokens"), column("fate") == 0
    misses: list[tuple[str, str, npt.NDArray[np.bool_], npt.NDArray[np.int64]]] = []
    failed = [np.zeros(len(tokens), bool), np.zeros(len(tokens), bool)]
    missed = np.zeros(len(tokens), np.uint8)
    for measure, limit in limits.items():
        codes, scale = column(measure), catalog.scales[measure]
        for bound in BOUNDS:
            own = getattr(limit, bound)
            if own is None:
                continue
            reason = f"{measure}_{'low' if bound == 'min' else 'high'}"
            for at, value in enumerate((own, moved.value(lang, measure, bound, limit))):
                miss = _misses(codes, scale, bound, value)
                first = miss & ~failed[at]
                failed[at] |= miss
                if count := int(np.count_nonzero(first)):
                    found.reasons.setdefault(reason, [0, 0])[at] += count
            missed += miss
            misses.append((measure, bound, miss, codes))
    if (rule := catalog.opened.licences) is not None:  # asked last, of those that meet all limits
        refused = _refused(catalog, rule, column("licence"))
        for reason, miss in refused.items():
            for at in (0, 1):
                if count := int(np.count_nonzero(miss & ~failed[at])):
                    found.reasons.setdefault(reason, [0, 0])[at] += count
                failed[at] |= miss
            missed += 2 * miss.astype(np.uint8)  # whatever the limits are, such a document is not kept
    now, then = ~failed[0], ~failed[1]
    sums.scored += len(tokens)
    sums.now += int(np.count_nonzero(now))
    sums.then += int(np.count_nonzero(then))
    sums.published += int(np.count_nonzero(published))
    sums.stay += int(np.count_nonzero(published & then))
    sums.now_tokens += int(tokens[now].sum(dtype=np.int64))
    sums.then_tokens += int(tokens[then].sum(dtype=np.int64))
    counted = {(measure, bound) for measure, bound, _, _ in misses}
    for measure, limit in moved.limits.get(lang, {}).items():
        for bound in BOUNDS:
            if getattr(limit, bound) is not None and (measure, bound) not in counted:
                key = (lang, measure, bound)
                found.steady[key] = found.steady.get(key, 0) + int(np.count_nonzero(then))
    for measure, bound, miss, codes in misses:
        size = catalog.scales[measure].size + 1
        by_lang = found.alone.setdefault((measure, bound), {})
        counts = by_lang.setdefault(lang, np.zeros(size, np.int64))
        counts += np.bincount(np.minimum(codes[missed == miss], size - 1), minlength=size)


def _refused(catalog: Catalog, rule: Rule, licences: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return, by reason, which documents have a licence that the recipe does not publish."""
    whys = rule.reasons(pa.array([*catalog.licences.known], pa.string())).to_pylist()
    coded = np.asarray([why or "" for why in whys], object)[licences]
    return {why: coded == why for why in dict.fromkeys(filter(None, whys))}


def _misses(codes: npt.NDArray[np.int64], scale: Scale, bound: str, value: float | None) -> npt.NDArray[np.bool_]:
    """Return which scores do not meet a bound; one that is not there meets none."""
    if bound == "min":
        return (codes < scale.lowest(value)) | (codes >= scale.size)
    return codes > scale.highest(value)  # the code of no score is higher than any


def policy_file(moved: Moved, rule: str, about: str) -> str:
    """Return a policy file with the limits, language by language."""
    lines = [f"# {about}", "# Name it in a recipe: medical: {policy: ./policy.yaml}", f"rule: {rule}", "limits:"]
    for lang, limits in moved.limits.items():
        lines.append(f"  {lang}:")
        for measure, limit in limits.items():
            bounds = {**{bound: moved.value(lang, measure, bound) for bound in BOUNDS}, "floor": limit.floor}
            bounds["ceiling"] = limit.ceiling
            inner = ", ".join(f"{name}: {value!r}" for name, value in bounds.items() if value is not None)
            lines.append(f"    {measure}: {{{inner}}}")
    return "\n".join(lines) + "\n"
