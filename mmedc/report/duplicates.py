"""Tables of duplicated content: clusters of duplicates, lines, and benchmark questions inside documents."""

from collections import Counter
from typing import Any

from rich.console import Group
from rich.text import Text

from mmedc.report.grid import Column, Grid, number, visible

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


def cluster_tables(rows: list[dict[str, Any]]) -> Group:
    """Return the table of `mmedc duplicates`: the worst clusters, largest first, with what was kept and removed."""
    if not rows:
        return Group(Text("no document had a duplicate"))
    shown, last = list[tuple[str | Text, ...]](), None
    for row in rows:
        head = ("", "") if row["cluster"] == last else (str(row["cluster"]), f"{row['documents']:,}")
        alike = "" if row["jaccard"] is None else f"{row['jaccard']:.2f}"
        style = "green" if row["fate"] == "stays" else "red"
        shown.append((*head, alike, Text(row["fate"], style), row["lang"], row["locator"], row["begins"]))
        last = row["cluster"]
    columns = [Column("cluster"), number("documents", rank=1), number("alike"), Column("fate"), Column("lang", rank=2)]
    return Group(Grid([*columns, Column("document", wrap=True), Column("begins", wrap=True)], shown))


def line_table(rows: list[dict[str, Any]]) -> Group:
    """Return the table of `mmedc duplicates --lines`: removed lines, with the number and one of their documents."""
    if not rows:
        return Group(Text("no line was removed"))
    columns = [number("documents"), Column("why"), Column("lang"), Column("removed from", wrap=True)]
    shown = [(f"{row['documents']:,}", row["why"], row["lang"], row["locator"], row["line"]) for row in rows]
    return Group(Grid([*columns, Column("line", wrap=True)], shown))
