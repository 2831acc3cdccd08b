"""`mmedc stats --by licence`: the documents of each licence, what states it, and what identified people in them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group

from mmedc.corpus.manifest import Manifest
from mmedc.document import OPT_OUT, RESERVED
from mmedc.licences import Rule
from mmedc.recipe_parts import Publish
from mmedc.report.grid import Column, Grid, Passage, number

COLUMNS = ("licence", "licence_evidence", "tokens", "private_items")


@dataclass
class OfLicence:
    """The documents of one licence."""

    licence: str
    documents: int = 0
    tokens: int = 0
    evidence: dict[str, int] = field(default_factory=dict)
    """Documents by where the licence was found: `source`, `page`, `jats`, `sites`, …; `none` where nothing says it."""
    reserved: int = 0
    """Documents whose publisher reserves text and data mining, which the recipe keeps."""
    placeholders: int = 0
    """What identified people in their texts and was replaced."""


@dataclass
class ByLicence:
    """A corpus by licence."""

    rule: str
    """What the recipe says of licences, as a sentence without its end; empty where it publishes all."""
    licences: list[OfLicence]
    dropped: dict[str, int]
    """Documents that were dropped for their licence, by reason."""


def licences_of(manifest: Manifest, documents: Iterable[pa.RecordBatch]) -> ByLicence:
    """Return a corpus by licence, the most tokens first; `documents` are all its rows with COLUMNS."""
    found: dict[str, OfLicence] = {}
    for batch in documents:
        _count(found, pa.Table.from_batches([batch]))
    dropped: Counter[str] = Counter()
    for row in manifest.funnel:
        dropped.update({why: count for why, count in row.dropped.items() if why in ("licence", "licence_unknown")})
    rule = _rule(manifest.recipe.get("publish"))
    licences = sorted(found.values(), key=lambda one: (-one.tokens, one.licence))
    return ByLicence(rule.said if rule else "", licences, dict(sorted(dropped.items())))


def _rule(publish: Any) -> Rule | None:
    given = publish if isinstance(publish, dict) else {}
    return Publish.model_validate({key: given[key] for key in ("licences", "unknown") if key in given}).rule


def _count(found: dict[str, OfLicence], table: pa.Table) -> None:
    evidence = pc.fill_null(table["licence_evidence"], "none")
    kind = pc.extract_regex(evidence, r"^(?P<word>[^:; ]*)").combine_chunks().field("word")
    kind = pc.if_else(pc.equal(kind, ""), "none", kind)
    reserved = pc.cast(pc.match_substring_regex(evidence, f"{RESERVED}|{OPT_OUT}"), pa.int64())
    private = pc.fill_null(table["private_items"], 0)
    columns = {"licence": table["licence"], "kind": kind, "tokens": table["tokens"], "r": reserved, "p": private}
    sums: list[Any] = [("tokens", "count"), ("tokens", "sum"), ("r", "sum"), ("p", "sum")]
    for row in pa.table(columns).group_by(["licence", "kind"]).aggregate(sums).to_pylist():
        one = found.setdefault(row["licence"], OfLicence(row["licence"]))
        one.documents += row["tokens_count"]
        one.tokens += row["tokens_sum"]
        one.evidence[row["kind"]] = one.evidence.get(row["kind"], 0) + row["tokens_count"]
        one.reserved += row["r_sum"]
        one.placeholders += int(row["p_sum"])


def _largest(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def licence_tables(found: ByLicence) -> Group:
    """Return the screen of `mmedc stats --by licence`."""
    total = sum(one.tokens for one in found.licences) or 1
    columns = [Column("licence"), *map(number, ("documents", "tokens"))]
    columns += [number("% of tokens", rank=1), Column("stated by", wrap=True), number("placeholders", rank=2)]
    rows = [
        (
            one.licence,
            f"{one.documents:,}",
            f"{one.tokens:,}",
            f"{one.tokens / total:.1%}",
            ", ".join(f"{kind} {count:,}" for kind, count in sorted(one.evidence.items(), key=_largest)),
            f"{one.placeholders:,}",
        )
        for one in found.licences
    ]
    parts: list[Any] = [Grid(columns, rows), ""]
    if found.rule:
        parts.append(Passage(f"By the recipe, {found.rule}."))
    if found.dropped:
        what = {"licence": "for their licence", "licence_unknown": "because no licence is stated"}
        said = ", ".join(f"{count:,} {what[why]}" for why, count in found.dropped.items())
        parts.append(Passage(f"Dropped: {said}. `mmedc rejects` shows samples of them."))
    if reserved := sum(one.reserved for one in found.licences):
        said = f"{reserved:,} documents are kept though their publishers ask not to be used to train models"
        parts.append(Passage(f"{said}, or reserve text and data mining (see `licence_evidence`)."))
    return Group(*parts)
