"""The screen of `mmedc forget`: what is forgotten, what is like it, and what a scan found afterwards."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from mmedc.corpus.outcome import counted
from mmedc.forgetting import Forgotten, Kind, entry
from mmedc.pipeline.forget import LIST, Outcome
from mmedc.pipeline.forgotten import Neighbour
from mmedc.pipeline.traces import Trace
from mmedc.report.grid import Column, Grid, Passage, number, visible
from mmedc.report.tables import human_bytes

SHOWN = 10


def as_json(outcome: Outcome, unmatched: list[str]) -> dict[str, Any]:
    """Return the outcome as JSON values. Documents are named by their ids, which tell nothing."""
    after = outcome.after
    return {
        "corpus": outcome.corpus,
        "dry_run": after is None,
        "documents": len(outcome.what.documents),
        "ids": sorted(one.id for one in outcome.what.documents),
        "neighbours": [vars(one) for one in outcome.what.neighbours],
        "duplicates_certain": outcome.what.certain,
        "unmatched": unmatched,
        "files": outcome.files,
        "work_bytes": outcome.work_bytes,
        "digest_before": outcome.before.digest,
        "digest": after.digest if after else None,
        "traces": [vars(trace) for trace in outcome.traces],
        "mentions": [vars(trace) for trace in outcome.left if trace.mention],
    }


def unmatched(outcome: Outcome, asked: Sequence[tuple[Kind, str]]) -> list[str]:
    """Return what was asked for and fits no published document, such as `url https://example.org/typo`."""
    found = []
    for kind, value in asked:
        known = Forgotten([entry(kind, value)])
        if not any(
            known.locator(one.locator)
            or known.identity(one.id)
            or known.identifiers([f"doi:{doi}" for doi in one.dois])
            for one in outcome.what.documents
        ):
            found.append(f"{kind} {value}")
    return found


def screen(outcome: Outcome, unmatched: list[str]) -> Group:
    """Return the screen."""
    parts: list[Any] = [_documents(outcome), ""]
    for value in unmatched[:SHOWN]:
        parts.append(Text(f"no published document has {visible(value)}", "yellow"))
    if len(unmatched) > SHOWN:
        parts.append(Text(f"… nor {len(unmatched) - SHOWN:,} more", "yellow"))
    if outcome.what.neighbours:
        parts += [*_neighbours(outcome.what.neighbours, outcome.what.together), ""]
    if not outcome.what.certain:
        parts += [
            Passage(
                "What the passes of the build left is gone, so of the duplicates that it removed only those in "
                "rejects/clusters.parquet are known; others may come back in the next build."
            ),
            "",
        ]
    if outcome.after is None:
        work = f", and {human_bytes(outcome.work_bytes)} in .work/ would be deleted" if outcome.work_bytes else ""
        parts.append(Passage(f"Nothing was changed. Without --dry-run, these documents would be forgotten{work}."))
        return Group(*parts)
    after, before = outcome.after, outcome.before
    what = f"{outcome.corpus}: {counted(outcome.files, 'file')} written anew"
    if outcome.work_bytes:
        what += f", {human_bytes(outcome.work_bytes)} in .work/ deleted"
    parts.append(Text(what))
    parts.append(
        Text(f"before: {before.digest}\nnow:    {after.digest}" if after.digest != before.digest else after.digest)
    )
    parts.append(
        Passage(
            f"{outcome.corpus}/{LIST} has what this corpus has forgotten, as hashes. Copy it beside the recipe and put "
            f"`forget: {LIST}` into it, so that the next `mmedc run` does not read it again."
        )
    )
    return Group(*parts, "", *_proof(outcome))


def _documents(outcome: Outcome) -> Grid:
    counts = Counter((one.lang, one.source) for one in outcome.what.documents)
    rows = [(lang, source, f"{count:,}") for (lang, source), count in sorted(counts.items())]
    rows.append(("all", "", f"{len(outcome.what.documents):,}"))
    return Grid([Column("language"), Column("source"), number("forgotten" if outcome.after else "to forget")], rows)


def _neighbours(found: list[Neighbour], together: bool) -> list[Any]:
    published = sum(one.published for one in found)
    said = f"{counted(len(found), 'document')} nearly the same: {published:,} published, "
    said += f"{len(found) - published:,} removed as duplicates"
    done = "forgotten too" if together else "kept; --with-neighbours forgets them too"
    rows = [(one.how, f"{one.alike:.2f}", visible(one.locator)) for one in found]
    more = [Text(f"… and {len(found) - SHOWN:,} more; --json has all", "dim")] if len(found) > SHOWN else []
    columns = [Column("neighbour"), number("by"), Column("locator")]
    return [Passage(f"{said} ({done})."), Grid(columns, rows[:SHOWN]), *more]


def _proof(outcome: Outcome) -> list[Any]:
    """Return what the scan of the whole folder found."""
    mentions, left = [trace for trace in outcome.left if trace.mention], outcome.traces
    sought = outcome.what
    passages = sum(len(one.passages) for one in sought.documents)
    asked = len(set(sought.addresses)) + len(set(sought.domains))
    looked = f"addresses and ids of {counted(len(sought.documents), 'document')}, "
    looked += f"{counted(passages, 'passage')} of their texts"
    looked += f" and {counted(asked, 'value')} as given" if asked else ""
    parts: list[Any] = []
    files = len({one.file for one in mentions})
    if mentions:
        parts.append(
            Passage(
                "Other documents have the same words or name the same addresses, "
                f"{sum(one.times for one in mentions):,} times in {counted(files, 'file')}; they "
                "are not what was forgotten."
            )
        )
    if not left:
        return [*parts, Text(f"scanned every file for {looked}: nothing is left", "bold green")]
    rows = [(visible(one.file), visible(one.where), one.sort, f"{one.times:,}") for one in left[:SHOWN]]
    columns = [Column("file"), Column("where"), Column("what"), number("times")]
    return [
        *parts,
        Text(f"scanned every file for {looked}: {counted(len(left), 'trace')} left", "bold red"),
        Grid(columns, rows),
    ]


def left_over(traces: list[Trace]) -> str:
    """Return in one line what is left."""
    first = traces[0]
    where = f" in {first.where}" if first.where else ""
    return f"{counted(len(traces), 'trace')} left, the first in {first.file}{where}: {first.sort}"
