"""Tables of a corpus and of a plan, for a terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mmedc.corpus.manifest import FunnelRow, Stats

if TYPE_CHECKING:
    from mmedc.report.explain import Explanation


def human_bytes(number: float) -> str:
    """Return a size in readable form, such as 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


def stats_tables(name: str, stats: Stats, tokenizers: list[dict[str, Any]]) -> Group:
    """Return the tables of `mmedc stats`; `tokenizers` are the counts of trainings."""
    head = Text.assemble(
        (name, "bold"),
        f"  {stats.documents:,} documents, {stats.tokens:,} tokens ({stats.tokenizer}), "
        f"{human_bytes(stats.bytes)} in {stats.shards} shards\n{stats.digest}\n",
    )
    parts: list[Any] = [head]
    for title, totals in (("language", stats.languages), ("source", stats.sources), ("kind", stats.kinds)):
        table = Table(title, box=None, pad_edge=False)
        for column in ("documents", "tokens", "bytes"):
            table.add_column(column, justify="right")
        for key, row in totals.items():
            table.add_row(key, f"{row.documents:,}", f"{row.tokens:,}", human_bytes(row.bytes))
        parts += [table, ""]
    for count in tokenizers:
        total = sum(row["tokens"] for row in count["languages"].values())
        each = ", ".join(f"{lang} {row['tokens']:,}" for lang, row in count["languages"].items())
        parts += [f"by the tokenizer {count['tokenizer']}: {total:,} tokens ({each})", ""]
    parts.append(funnel_table(stats.funnel))
    return Group(*parts)


def funnel_table(rows: Iterable[FunnelRow]) -> Table:
    """Return the funnel: what each step read, kept, dropped and rejected, with reasons and time."""
    table = Table("step", box=None, pad_edge=False)
    for column in ("read", "kept", "kept %", "dropped", "rejected", "seconds", "documents/s"):
        table.add_column(column, justify="right")
    table.add_column("reasons", overflow="fold")
    for row in rows:
        reasons = {**row.dropped, **{f"rejected {key}": value for key, value in row.rejected_by.items()}}
        share = row.kept / row.read if row.read else 1.0
        rate = f"{row.read / row.seconds:,.0f}" if row.seconds > 0 else ""
        table.add_row(
            row.step,
            f"{row.read:,}",
            f"{row.kept:,}",
            f"{share:.1%}",
            f"{sum(row.dropped.values()):,}",
            f"{row.rejected:,}",
            f"{row.seconds:.1f}" if row.seconds else "",
            rate,
            ", ".join(f"{reason} {number:,}" for reason, number in sorted(reasons.items(), key=lambda item: -item[1])),
        )
    return table


def plan_table(rows: list[dict[str, Any]]) -> Table:
    """Return the passes of a plan."""
    table = Table("pass", box=None, pad_edge=False)
    for column in ("units", "done", "bytes to do", "estimated"):
        table.add_column(column, justify="right")
    for row in rows:
        seconds = row["seconds"]
        table.add_row(
            row["pass"],
            "?" if row["units"] is None else f"{row['units']:,}",
            f"{row['done']:,}",
            "" if row["bytes"] is None else human_bytes(row["bytes"]),
            "" if seconds is None else f"{seconds / 60:,.1f} min" if seconds > 90 else f"{seconds:.0f} s",
        )
    return table


def explanation(found: "Explanation") -> Group:
    """Return the path of a document through the steps."""
    steps = Table("step", "what it saw or changed", "verdict", box=None, pad_edge=False)
    for stage in found.stages:
        seen = ", ".join(f"{name} {value}" for name, value in stage.changes.items())
        steps.add_row(stage.step, Text(seen), Text(stage.verdict, "green" if stage.verdict == "kept" else "red"))
    parts: list[Any] = [Text.assemble((found.locator, "bold"), f"  {found.provenance}"), steps, ""]
    if found.limits:
        limits = Table("measure", box=None, pad_edge=False)
        for column in ("value", "min", "max"):
            limits.add_column(column, justify="right")
        limits.add_column("")
        for limit in found.limits:
            low, high = ("" if limit[key] is None else f"{limit[key]:g}" for key in ("min", "max"))
            met = Text("met", "green") if limit["met"] else Text("missed", "red")
            limits.add_row(limit["measure"], f"{limit['value']:g}", low, high, met)
        parts += [limits, ""]
    if found.terms:
        parts += [Text(f"lexicon terms: {', '.join(found.terms)}")]
        parts += [*(Text(f"  {sentence}") for sentence in found.sentences), ""]
    if found.text:
        parts += [Text(found.text[:300] + ("…" if len(found.text) > 300 else "")), ""]
    parts.append(Text(found.verdict, "bold green" if found.verdict == "kept" else "bold red"))
    return Group(*parts)
