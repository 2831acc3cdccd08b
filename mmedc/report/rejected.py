"""`mmedc rejects`: what a build removed, counted by reason, with samples of each."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group

from mmedc.corpus.history import LEDGER, History
from mmedc.corpus.manifest import Manifest, read_manifest
from mmedc.engine.commit import read_rows, read_table
from mmedc.engine.unit import DataFile
from mmedc.errors import CorpusError, RequestError
from mmedc.reasons import meaning
from mmedc.report.grid import Column, Grid, Passage, number, shortened
from mmedc.storage import Store
from mmedc.yamlfile import nearest

HEAD_CHARS = 160
PAYLOAD_BYTES = 400
TAG = re.compile(r"<(style|script)\b.*?(</\1>|$)|<[^>]*(>|$)", re.S)
LINE_BREAK = re.compile(r"[\r\n\u2028\u2029]+")
SURVIVOR = re.compile(r"unit=(\d+) row=(\d+)")
DRAWN = [("sample", "descending"), ("draw", "ascending")]
Key = tuple[str, str, str]
"""A step, `dropped` or `rejected`, and a reason."""


def rejected(
    corpus: str, reason: str | None = None, source: str | None = None, language: str | None = None, limit: int = 3
) -> dict[str, Any]:
    """Return what a build removed: `counts` by step and reason, and up to `limit` `samples` of each.

    With `source` or `language` only such documents count; both need what the passes left. `unknown` is the number of
    documents that were removed before their language was known, which belong to no language.

    Raises: RequestError for a reason, source or language that the build does not have; CorpusError without a corpus.
    """
    manifest = read_manifest(corpus)
    counts, unknown = _counts(manifest), 0
    known = sorted({key[2] for key in counts})
    if reason is not None and reason not in known:
        raise RequestError(f'{corpus}: nothing was removed for the reason "{reason}"{nearest(reason, known)}')
    history: History | None = None
    try:
        history = History(corpus)
    except CorpusError as problem:
        if source or language:
            raise CorpusError(f"--source and --language ask the passes of the build. {problem}") from None
        rows = _published_samples(corpus, limit)
    else:
        for what, name, names in (
            ("source", source, {*history.record.sources}),
            ("language", language, {*manifest.languages}),
        ):
            if name is not None and name not in names:
                raise RequestError(f'{corpus}: was built without the {what} "{name}"{nearest(name, sorted(names))}')
        if source or language:
            counts, unknown = _counted(history, source, language)
        rows = _samples(history, source, language, limit)
    wanted = {key: count for key, count in counts.items() if reason in (None, key[2])}
    order = list(wanted)
    samples = sorted(
        _firsts((row for row in rows if _key(row) in wanted), limit), key=lambda row: order.index(_key(row))
    )
    if history:
        for row in samples:
            row["detail"] = _with_survivor(history, row["detail"])
    return {
        "counts": [
            {"step": step, "fate": fate, "reason": why, "documents": count, "meaning": meaning(step, fate, why)}
            for (step, fate, why), count in wanted.items()
        ],
        "unknown": unknown,
        "samples": samples,
    }


def _with_survivor(history: History, detail: str) -> str:
    """Return the detail of a duplicate with the locator of the document that stays, instead of its place."""
    place = SURVIVOR.fullmatch(detail)
    if not place:
        return detail
    unit, row = map(int, place.groups())
    ((_, table),) = read_rows(history.store, history.tables[unit][0], np.array([row]), ["locator"])
    return f"stays: {table['locator'][0].as_py()}"


def _key(row: dict[str, Any]) -> Key:
    return row["step"], row["fate"], row["reason"]


def _counts(manifest: Manifest) -> Counter[Key]:
    counts: Counter[Key] = Counter()
    for row in manifest.funnel:
        for fate, reasons in (("dropped", row.dropped), ("rejected", row.rejected_by)):
            for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
                counts[row.step, fate, reason] += count
    return counts


def _counted(history: History, source: str | None, language: str | None) -> tuple[Counter[Key], int]:
    """Return the counts of a source or language, in the order of the passes, and the rows without a language."""
    counts: Counter[Key] = Counter()
    unknown = 0
    for _, table in _ledgers(history, source, ["step", "fate", "reason", "lang"]):
        if language:
            unknown += table["lang"].null_count
            table = table.filter(pc.equal(table["lang"], language))
        for row in table.group_by(["step", "fate", "reason"]).aggregate([([], "count_all")]).to_pylist():
            counts[_key(row)] += row["count_all"]
    return counts, unknown


def _ledgers(history: History, source: str | None, columns: list[str]) -> Iterator[tuple[DataFile, pa.Table]]:
    """Yield the ledgers and columns of them, with the row as `at`, and of them only the rows of `source`."""
    for name, unit, ledger in history.ledgers():
        of_trim = name == "trim"  # the ledger of a group of units, perhaps of several sources
        if source is not None and not of_trim and history.record.sources[unit] != source:
            continue
        table = history.read(ledger, list(dict.fromkeys([*columns, "locator", "provenance"])))
        table = table.append_column("at", pa.array(np.arange(table.num_rows)))
        if source is not None and of_trim:
            table = table.filter(_of_source(history, unit, table, source))
        yield ledger, table


def _of_source(history: History, group: int, table: pa.Table, source: str) -> pa.Array:
    """Return which rows of the ledger of a group of units are documents of `source`."""
    names = set[tuple[str, str]]()
    for part in history.left("trim")[group]["units"]:
        if history.record.sources[part["number"]] == source:
            documents = history.read(history.tables[part["number"]][0], ["locator", "provenance"])
            names |= set(zip(*(documents[name].to_pylist() for name in ("locator", "provenance")), strict=True))
    pairs = zip(table["locator"].to_pylist(), table["provenance"].to_pylist(), strict=True)
    return pa.array([pair in names for pair in pairs], pa.bool_())


def _samples(history: History, source: str | None, language: str | None, limit: int) -> Iterator[dict[str, Any]]:
    """Yield the first rows of each reason of each ledger: those that kept their texts, then others."""
    for ledger, table in _ledgers(history, source, [*LEDGER, "text", "draw", "sample"]):
        if language:
            table = table.filter(pc.equal(table["lang"], language))
        yield from _some(history.store, ledger, table, limit)


def _some(store: Store, file: DataFile, table: pa.Table, limit: int) -> Iterator[dict[str, Any]]:
    """Yield the first rows of each reason, with the beginnings of their bytes where they have no text."""
    for step, reason in set(zip(*(table[name].to_pylist() for name in ("step", "reason")), strict=True)):
        mine = table.filter(pc.and_(pc.equal(table["step"], step), pc.equal(table["reason"], reason)))
        for row in mine.sort_by(DRAWN).slice(0, limit).to_pylist():
            if row["fate"] == "rejected" and not row["text"]:
                ((_, bytes_of),) = read_rows(store, file, np.array([row["at"]]), ["payload"])
                row["payload"] = (bytes_of["payload"][0].as_py() or b"")[:PAYLOAD_BYTES]
            yield row


def _published_samples(corpus: str, limit: int) -> Iterator[dict[str, Any]]:
    store = Store(corpus)
    for name in ("samples", "quarantine"):
        file = DataFile(f"rejects/{name}.parquet", "", 0, 0)
        table = read_table(store, file, [*LEDGER, "text", "draw", "sample"])
        yield from _some(store, file, table.append_column("at", pa.array(np.arange(table.num_rows))), limit)


def _firsts(rows: Iterator[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Return the first `limit` samples of each reason in the order in which samples are drawn."""
    held: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        mine = held.setdefault(_key(row), [])
        mine.append(row)
        if len(mine) > 4 * limit:
            held[_key(row)] = sorted(mine, key=_drawn)[:limit]
    return [
        {**{name: row[name] for name in LEDGER if name != "ordinal"}, "text": _head(row)}
        for mine in held.values()
        for row in sorted(mine, key=_drawn)[:limit]
    ]


def _drawn(row: dict[str, Any]) -> tuple[bool, int]:
    return not row["sample"], row["draw"]


def _head(row: dict[str, Any]) -> str:
    """Return the head of the text, or else of the bytes, of a sample."""
    if row["text"]:
        return str(row["text"])
    return (row.get("payload") or b"")[:PAYLOAD_BYTES].decode("utf-8", "replace")


def rejects_tables(found: dict[str, Any]) -> Group:
    """Return the tables of `mmedc rejects`: the reasons, then samples of each."""
    columns = [
        Column("reason"),
        Column("step"),
        Column("fate", rank=1),
        number("documents"),
        Column("meaning", wrap=True),
    ]
    rows = [
        (row["reason"], row["step"], row["fate"], f"{row['documents']:,}", row["meaning"] or "")
        for row in found["counts"]
    ]
    if not rows:
        return Group(Passage("nothing was removed"), *_unknown(found))
    parts: list[Any] = [Grid(columns, rows), *_unknown(found), ""]
    last = None
    for row in found["samples"]:
        if _key(row) != last:
            parts.append(Passage(f"{row['reason']}, {row['fate']} at {row['step']}", style="bold"))
            last = _key(row)
        parts.append(Passage(row["locator"], 2))
        if row["detail"]:
            parts.append(Passage(row["detail"], 4))
        if head := _one_line(row["text"]):
            parts.append(Passage(head, 4, "dim"))
    return Group(*parts)


def _unknown(found: dict[str, Any]) -> list[Passage]:
    if not found["unknown"]:
        return []
    return [
        Passage(f"{found['unknown']:,} documents were removed before their language was known, and are not counted")
    ]


def _one_line(text: str) -> str:
    """Return the head of a text, or what a page shows, on one line with line breaks as `⏎`."""
    if text.lstrip().startswith("<"):
        text = TAG.sub(" ", text)
    lines = (re.sub(" +", " ", line).strip(" ") for line in LINE_BREAK.split(text))
    return shortened(" ⏎ ".join(filter(None, lines)), HEAD_CHARS)
