"""Tables of duplicated content: clusters of duplicates, lines, and benchmark questions inside documents."""

from collections import Counter
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

SHOWN = 20


def contamination_tables(rows: list[dict[str, Any]]) -> Group:
    """Return the tables of `mmedc contamination`: counts by benchmark, then the longest hits with both sides."""
    counts = Table("benchmark", box=None, pad_edge=False)
    for column in ("hits", "questions", "documents"):
        counts.add_column(column, justify="right")
    for name, hits in sorted(Counter(row["benchmark"] for row in rows).items()):
        found = [row for row in rows if row["benchmark"] == name]
        counts.add_row(name, f"{hits:,}", *(f"{len({row[key] for row in found}):,}" for key in ("question", "id")))
    parts: list[Any] = [counts, ""]
    for row in sorted(rows, key=lambda hit: (-hit["words"], hit["question"], hit["id"]))[:SHOWN]:
        head = (
            f"{row['question']} in {row['locator']}: {row['words']} words in a row, {row['share']:.0%} of the question"
        )
        parts += [
            Text(head, "bold"),
            Text(f"  question: {row['in_question']}"),
            Text(f"  document: {row['in_document']}"),
        ]
    if len(rows) > SHOWN:
        parts.append(Text(f"… and {len(rows) - SHOWN:,} more in rejects/contamination.parquet"))
    return Group(*parts)


def cluster_tables(rows: list[dict[str, Any]]) -> Group:
    """Return the table of `mmedc duplicates`: the worst clusters, largest first, with what was kept and removed."""
    if not rows:
        return Group(Text("no document had a duplicate"))
    table = Table("cluster", box=None, pad_edge=False)
    for column in ("documents", "alike"):
        table.add_column(column, justify="right")
    for column in ("fate", "lang", "document", "begins"):
        table.add_column(column, overflow="fold")
    last = None
    for row in rows:
        head = ("", "") if row["cluster"] == last else (str(row["cluster"]), f"{row['documents']:,}")
        alike = "" if row["jaccard"] is None else f"{row['jaccard']:.2f}"
        style = "green" if row["fate"] == "stays" else "red"
        document = Text(row["locator"]), Text(row["begins"])
        table.add_row(*head, alike, Text(row["fate"], style), row["lang"], *document)
        last = row["cluster"]
    return Group(table)


def line_table(rows: list[dict[str, Any]]) -> Group:
    """Return the table of `mmedc duplicates --lines`: removed lines, with the number and one of their documents."""
    if not rows:
        return Group(Text("no line was removed"))
    table = Table("documents", box=None, pad_edge=False)
    for column in ("why", "lang", "line", "removed from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(f"{row['documents']:,}", row["why"], row["lang"], Text(row["line"]), Text(row["locator"]))
    return Group(table)
