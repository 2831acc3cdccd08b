"""Tables of a corpus and of a plan, for a terminal."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group
from rich.text import Text

from mmedc.corpus.card import described
from mmedc.corpus.leftovers import Leftover
from mmedc.corpus.manifest import FunnelRow, Stats
from mmedc.corpus.outcome import counted, what_removed
from mmedc.report.grid import Column, Grid, number


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
        f"  {counted(stats.documents, 'document')}, {counted(stats.tokens, 'token')} ({stats.tokenizer}), "
        f"{human_bytes(stats.bytes)} in {counted(stats.shards, 'shard')}\n{stats.digest}\n",
    )
    parts: list[Any] = [head]
    for title, totals in (("language", stats.languages), ("source", stats.sources), ("kind", stats.kinds)):
        if not totals:
            continue
        rows = [(key, f"{row.documents:,}", f"{row.tokens:,}", human_bytes(row.bytes)) for key, row in totals.items()]
        parts += [Grid([Column(title), *map(number, ("documents", "tokens", "bytes"))], rows), ""]
    if len(stats.licences) > 1:
        found = [(name, f"{count:,}") for name, count in stats.licences.items()]
        parts += [Grid([Column("licence"), number("documents")], found), ""]
    if said := described(stats):
        parts += [Text(said), ""]
    if stats.reserved:
        parts += [Text(f"{counted(stats.reserved, 'document')} kept although their publishers ask not to be used"), ""]
    for count in tokenizers:
        total = sum(row["tokens"] for row in count["languages"].values())
        each = ", ".join(f"{lang} {row['tokens']:,}" for lang, row in count["languages"].items())
        parts += [f"by the tokenizer {count['tokenizer']}: {total:,} tokens ({each})", ""]
    parts.append(funnel_table(row for row in stats.funnel if row.read))
    return Group(*parts)


FUNNEL = (
    *(Column("step"), number("read"), number("kept"), number("kept %", rank=3), number("dropped"), number("rejected")),
    *(number("seconds", rank=1), number("documents/s", rank=2), Column("reasons", wrap=True)),
)


def funnel_table(rows: Iterable[FunnelRow]) -> Grid:
    """Return the funnel: what each step read, kept, dropped and rejected, with reasons and time."""
    return Grid(FUNNEL, map(_funnel_row, rows))


def _funnel_row(row: FunnelRow) -> tuple[str, ...]:
    share = row.kept / row.read if row.read else 1.0
    return (
        row.step,
        f"{row.read:,}",
        f"{row.kept:,}",
        f"{share:.1%}",
        f"{sum(row.dropped.values()):,}",
        f"{row.rejected:,}",
        f"{row.seconds:.1f}" if row.seconds else "",
        f"{row.read / row.seconds:,.0f}" if row.seconds > 0 else "",
        what_removed(row.dropped, row.rejected_by, len(row.dropped) + len(row.rejected_by)),
    )


def plan_table(rows: list[dict[str, Any]]) -> Group:
    """Return the passes of a plan; those whose units are not known yet are one line."""
    columns = [Column("pass"), *map(number, ("units", "done", "bytes to do", "estimated"))]
    known = [row for row in rows if row["units"] is not None]
    parts: list[Any] = [Grid(columns, map(_plan_row, known))]
    if more := len(rows) - len(known):
        what = f"{more} more pass{'es' * (more > 1)}"
        parts.append(Text(f"… {what}: their units are known when the passes before them are done", "dim"))
    return Group(*parts)


def _plan_row(row: dict[str, Any]) -> tuple[str, ...]:
    seconds = row["seconds"]
    return (
        row["pass"],
        f"{row['units']:,}",
        f"{row['done']:,}",
        human_bytes(row["bytes"]) if row["bytes"] is not None else "",
        "" if seconds is None else f"{seconds / 60:,.1f} min" if seconds > 90 else f"{seconds:.0f} s",
    )


def leftovers_table(found: list[Leftover]) -> Grid:
    """Return what is left over of each pass."""
    rows = [(each.folder, f"{len(each.files):,}", human_bytes(each.freed)) for each in found]
    return Grid([Column("pass"), number("files"), number("freed")], rows)
