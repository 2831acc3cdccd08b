"""The explanation of a document: what each step saw, changed and scored, and why it is kept or removed."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from mmedc.document import MEASURES, source_of
from mmedc.filters import open_filters
from mmedc.folding import folded, origins, plain
from mmedc.pipeline.custom import measures_among, own_columns
from mmedc.pipeline.ingest import ingest_steps
from mmedc.policy import LanguagePolicy, Limit, Policy
from mmedc.recipe import Recipe
from mmedc.report.record import find_record
from mmedc.steps.language import identifier
from mmedc.steps.medical import term_finder
from mmedc.steps.prefilter import floor_of, shown_bytes
from mmedc.steps.preview import LOOSE

SHOWN = (
    "policy",
    "lang",
    "kind",
    "title",
    "authors",
    "identifiers",
    "date",
    "licence",
    "opt_out",
    "content_type",
    "charset",
    *MEASURES,
)
TEXTS = ("html", "text")
SENTENCE = re.compile(r"[^.!?。！？।\n]+(?:[.!?](?!\s)[^.!?。！？।\n]*)*[.!?。！？।]*")
"""A sentence: up to a full stop before white space, a Chinese, Japanese or Hindi one, or the end of the line."""
LOOKED = ("ingest", "limits")
NOT_LOOKED = ("dedup", "decontaminate", "lines")
SHORT = ("prefilter", "few_terms", "medical_terms_low")
"""The reasons for which a document is dropped because it has too few terms."""
SHORT_AT = {"preview": LOOSE}
"""The steps that ask for a share of the floor."""


@dataclass
class Stage:
    """What a step did to the document."""

    step: str
    changes: dict[str, Any] = field(default_factory=dict)
    verdict: str = "kept"


@dataclass
class Shortage:
    """The terms of a document that was dropped for too few, and how many it needed."""

    lang: str
    """The language of the source; of those of the recipe, that of most terms where it has another."""
    terms: list[str]
    """The lexicon terms in the source, without its tags, as `term ×n`."""
    counted: float
    """How many terms they count as: one that general text has, too, is a quarter of one."""
    needed: float
    """The fewest distinct terms with which the document goes on."""
    others: dict[str, int]
    """The number of distinct terms of each other language of the recipe that has any."""


@dataclass
class Explanation:
    """The complete path of a document through the steps."""

    locator: str
    provenance: str
    stages: list[Stage]
    limits: list[dict[str, Any]]
    """Each limit of the policy, with the keys measure, value, min, max and met."""
    terms: list[str]
    """The lexicon terms in the text, as `term ×n`."""
    sentences: list[str]
    """Every sentence with a term; the terms are in «»."""
    verdict: str
    text: str
    shortage: Shortage | None
    """Where a step dropped the document because it cannot have enough terms."""
    looked: tuple[str, ...] = LOOKED
    """The passes that were applied."""
    not_looked: tuple[str, ...] = NOT_LOOKED
    """The passes that compare documents with others, which only a build can tell."""


def explain(recipe: Recipe, target: str) -> Explanation:
    """Explain `target`: a file, a record of a file, or the locator or id of a document in the recipe's sources.

    Raises: RequestError if there is no such document, or if the file has several and none is named.
    """
    return explain_record(recipe, find_record(recipe, target))


def explain_record(recipe: Recipe, batch: pa.RecordBatch) -> Explanation:
    """Send a raw record, a batch of one row, through every step."""
    columns = own_columns(recipe)
    policy, names = recipe.read_policy(measures_among(columns)), tuple(column.name for column in columns)
    row = batch.to_pylist()[0]
    source = source_of(batch)
    own = {"policy": policy.of(source).name} if source in policy.of_sources else {}
    stages = [Stage("read", _seen({}, row | own, names), _verdict(row))]
    for step in ingest_steps(recipe, policy):
        if stages[-1].verdict != "kept":
            break
        before = row
        batch = step.open()(batch)
        row = batch.to_pylist()[0]
        stages.append(Stage(step.name, _seen(before, row, names), _verdict(row)))
    policy = policy.of(row.get("source"))
    language = policy.languages.get(row.get("lang") or "")
    limits = limits_of(language.limits if language else {}, row)
    verdict = stages[-1].verdict
    missed = [limit["measure"] for limit in limits if not limit["met"]]
    if verdict == "kept" and missed:
        verdict = "dropped at limits: " + ", ".join(missed)
    elif verdict == "kept" and (why := _licence_refused(recipe, policy, row)):
        verdict = f"dropped at limits: {why}"
    elif verdict != "kept":
        verdict = f"{verdict.replace(':', ' at ' + stages[-1].step + ':', 1)}"
    text = row.get("text") or ""
    terms, sentences = _terms(policy, row)
    short = _shortage(recipe, policy, row, stages[-1].step) if row.get("dropped_by") in SHORT else None
    return Explanation(row["locator"], row["provenance"], stages, limits, terms, sentences, verdict, text, short)


def _licence_refused(recipe: Recipe, policy: Policy, row: dict[str, Any]) -> str:
    """Return why the licence of a document is not published; empty where it is, or only a build can tell."""
    if policy.licences is None or any(source.format == "crawl" for source in recipe.sources.values()):
        return ""  # the lists of a crawl state licences of sites
    of_sources = {source.licence for source in recipe.sources.values()}
    licence = row.get("licence") or (of_sources.pop() if len(of_sources) == 1 else None)
    why = policy.licences.reasons(pa.array([licence], pa.string()))[0].as_py() if licence else None
    return f"{why}: {licence}" if why else ""


def _seen(before: dict[str, Any], row: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """Return the changed values, in a readable form."""
    out: dict[str, Any] = {}
    for name in (*SHOWN, *columns):
        if row.get(name) is not None and row.get(name) != before.get(name):
            value = row[name]
            out[name] = round(value, 4) if isinstance(value, float) else value
            out[name] = "; ".join(value) if isinstance(value, list) else out[name]
    for name in TEXTS:
        if row.get(name) and row.get(name) != before.get(name):
            out[f"{name} characters"] = len(row[name])
    if row.get("payload") and not before:
        out["bytes"] = len(row["payload"])
    if row.get("sections") and len(row["sections"]) != len(before.get("sections") or ()):
        out["sections"] = len(row["sections"])
    if row.get("left_out") and row["left_out"] != before.get("left_out"):
        out["left out"] = "; ".join(
            f"{left['part']} ({left['title'] or 'untitled'}): {left['chars']:,} characters" for left in row["left_out"]
        )
    return out


def _verdict(row: dict[str, Any]) -> str:
    if row.get("rejected_by"):
        return f"rejected: {row['rejected_by']}"
    return f"dropped: {row['dropped_by']}" if row.get("dropped_by") else "kept"


def limits_of(limits: Mapping[str, Limit], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the limits of a language, with the value of each measure in `row`; of those that `row` has not, none.

    A measure that is there but null meets no limit.
    """
    out = []
    for name, limit in limits.items():
        if name in row:
            value = row[name]
            met = value is not None and all(
                bound is None or keeps(np.float32(value), np.float32(bound))
                for bound, keeps in ((limit.min, np.greater_equal), (limit.max, np.less_equal))
            )
            shown = None if value is None else round(value, 4)
            out.append({"measure": name, "value": shown, "min": limit.min, "max": limit.max, "met": bool(met)})
    return out


def _terms(policy: Policy, row: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the terms in the text, the most frequent first, and the sentences that contain them, in order."""
    language = policy.languages.get(row.get("lang") or "")
    if not language or not row.get("text"):
        return [], []
    text = row["text"]
    spans, length = term_finder([term.forms for term in language.lexicon])(text)
    seen = plain(text)
    if len(seen) != length:  # a few capitals become longer in lower case, to which the positions refer
        seen = folded(text)
    places = [(start, end) for _, start, end in spans]
    if bounds := origins(text, seen):
        places = [(bounds[start][0], bounds[end - 1][1]) for start, end in places]
    else:
        text = seen
    starts = [start for start, _ in places]
    sentences = []
    for sentence in SENTENCE.finditer(text):
        low, high = sentence.span()
        here = places[bisect_left(starts, low) : bisect_left(starts, high)]
        if inside := [(start, min(end, high)) for start, end in here]:
            cuts = [low, *(at for place in inside for at in place), high]
            pieces = [text[a:b] for a, b in pairwise(cuts)]
            marked = (f"«{piece}»" if index % 2 else piece for index, piece in enumerate(pieces))
            sentences.append(" ".join("".join(marked).split()))
    return _counted(language, spans), sentences


def _counted(language: LanguagePolicy, spans: list[tuple[int, int, int]]) -> list[str]:
    times = Counter(number for number, _, _ in spans)
    return [f"{language.lexicon[number].forms[0]} ×{many}" for number, many in times.most_common()]


def _shortage(recipe: Recipe, policy: Policy, row: dict[str, Any], step: str) -> Shortage:
    """Return the terms in the source of a document that `step` dropped for too few of them."""
    page = row.get("html")
    text = shown_bytes(page.encode("utf-8", "replace")).decode("utf-8", "replace") if page else row["text"]
    found, counts = {}, {}
    for code, language in policy.languages.items():
        spans, _ = term_finder([term.forms for term in language.lexicon])(text)
        found[code] = _counted(language, spans)
        weights = [language.lexicon[number].weight for number in {number for number, _, _ in spans}]
        counts[code] = sum(weights) if policy.rule == "boundary" else len(weights)
    model = open_filters(recipe.filters).model("lid", recipe.models.get("lid"))
    lang = row.get("lang") or identifier(model.path, policy)(pa.array([text], pa.large_string()))[0][0].as_py()
    if lang not in found:
        lang = max(found, key=lambda code: len(found[code]))
    needed = floor_of(policy.languages[lang].limits, "medical_terms") * SHORT_AT.get(step, 1.0)
    others = {code: len(terms) for code, terms in found.items() if code != lang and terms}
    return Shortage(lang, found[lang], counts[lang], needed, others)
