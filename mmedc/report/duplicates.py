"""Tables of duplicated content: clusters of duplicates, lines, and benchmark questions inside documents."""

from collections import Counter
from itertools import groupby
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from mmedc.report.grid import Column, Grid, number, shortened, visible

SHOWN = 20


def contamination_tables(rows: list[dict[str, Any]]) -> Group:
    """Return the tables of `mmedc contamination`: counts by benchmark, then the longest hits with both sides."""
    counts = []
    for name, hits in sorted(Counter(row["benchmark"] for row in rows).items()):
        found = [row for row in rows if row["benchmark"] == name]
        counts.append((name, f"{hits:,}", *(f"{len({row[key] for row in found}):,}" for key in ("question", "id"))))
    parts: list[Any] = [Grid([Column("benchmark"), *map(number, ("hits", "questions", "documents"))], counts), ""]
    for row in sorted(rows, key=lambda hit: (-hit["words"], hit["question"], hit["id"]))[:SHOWN]:
        head = (
            f"{row['question']} in {row['locator']}: {row['words']} words in a row, {row['share']:.0%} of the question"
        )
        parts += [
            Text(visible(head), "bold"),
            Text(visible(f"  question: {row['in_question']}")),
            Text(visible(f"  document: {row['in_document']}")),
        ]
    if len(rows) > SHOWN:
        parts.append(Text(f"… and {len(rows) - SHOWN:,} more in rejects/contamination.parquet"))
    return Group(*parts)


class _Line:
    """A text on one line, cut at the width of the console."""

    def __init__(self, text: str, style: str = "", middle: bool = False) -> None:
        self.text, self.style, self.middle = visible(text), style, middle

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self.text, options.max_width, self.middle), self.style)


def in_language(rows: list[dict[str, Any]], language: str, group: str) -> list[dict[str, Any]]:
    """Return the rows of the groups (those with one value of the column `group`) that have a row in a language."""
    chosen = {row[group] for row in rows if row["lang"] == language}
    return [row for row in rows if row[group] in chosen]


def cluster_tables(rows: list[dict[str, Any]], limit: int) -> Group:
    """Return what `mmedc duplicates` shows: the first `limit` of the worst clusters, with what was kept and removed.

    A text that begins like the one above it in its cluster is not shown again.
    """
    if not rows:
        return Group(Text("no document had a duplicate"))
    clusters = [list(part) for _, part in groupby(rows, lambda row: row["cluster"])]
    parts: list[Any] = []
    for members in clusters[:limit]:
        first, least = members[0], min(row["jaccard"] for row in members if row["jaccard"] is not None)
        lang = next((row["lang"] for row in members if row["lang"]), "")
        similarity = f"{'least ' * (first['documents'] > 2)}similarity {least:.2f} (estimated)"
        head = ", ".join(filter(None, [f"{first['documents']:,} documents", lang, similarity]))
        parts.append(_Line(f"cluster {first['cluster']}: {head}", "bold"))
        begins = ""
        for row in members:
            parts.append(
                _Line(
                    f"  {row['fate']:<5}  {row['locator']}", "green" if row["fate"] == "stays" else "red", middle=True
                )
            )
            if row["begins"] != begins:
                parts.append(_Line(f"         {row['begins']}", "dim"))
            begins = row["begins"]
        if (more := first["documents"] - len(members)) > 0:
            parts.append(_Line(f"  … and {more:,} more that go"))
    parts += _more(len(clusters), limit, "clusters")
    parts.append(Text("`mmedc explain LOCATOR --corpus CORPUS` gives the exact similarity of a pair", "dim"))
    return Group(*parts)


def _more(count: int, limit: int, noun: str) -> list[Text]:
    return [Text(f"… and {count - limit:,} more {noun}; --limit {count} shows all", "dim")] if count > limit else []


def line_table(rows: list[dict[str, Any]], limit: int) -> Group:
    """Return the table of `mmedc duplicates --lines`: removed lines, with the number and one of their documents."""
    if not rows:
        return Group(Text("no line was removed"))
    columns = [number("documents"), Column("why"), Column("lang"), Column("removed from", wrap=True)]
    shown = [(f"{row['documents']:,}", row["why"], row["lang"], row["locator"], row["line"]) for row in rows[:limit]]
    return Group(Grid([*columns, Column("line", wrap=True)], shown), *_more(len(rows), limit, "lines"))
