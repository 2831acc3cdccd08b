"""Tables of a corpus and of a plan, for a terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from mmedc.corpus.manifest import FunnelRow, Stats
from mmedc.report.grid import Column, Grid, number

if TYPE_CHECKING:
    from mmedc.report.explain import Explanation

COUNTS = ("medical_terms", "private_items", "chars", "words")
"""The measures that are numbers of something."""


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
        rows = [(key, f"{row.documents:,}", f"{row.tokens:,}", human_bytes(row.bytes)) for key, row in totals.items()]
        parts += [Grid([Column(title), *map(number, ("documents", "tokens", "bytes"))], rows), ""]
    for count in tokenizers:
        total = sum(row["tokens"] for row in count["languages"].values())
        each = ", ".join(f"{lang} {row['tokens']:,}" for lang, row in count["languages"].items())
        parts += [f"by the tokenizer {count['tokenizer']}: {total:,} tokens ({each})", ""]
    parts.append(funnel_table(stats.funnel))
    return Group(*parts)


FUNNEL = (
    *(Column("step"), number("read"), number("kept"), number("kept %", rank=3), number("dropped"), number("rejected")),
    *(number("seconds", rank=1), number("documents/s", rank=2), Column("reasons", wrap=True)),
)


def funnel_table(rows: Iterable[FunnelRow]) -> Grid:
    """Return the funnel: what each step read, kept, dropped and rejected, with reasons and time."""
    return Grid(FUNNEL, map(_funnel_row, rows))


def _funnel_row(row: FunnelRow) -> tuple[str, ...]:
    reasons = {**row.dropped, **{f"rejected {key}": value for key, value in row.rejected_by.items()}}
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
        ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])),
    )


def plan_table(rows: list[dict[str, Any]]) -> Grid:
    """Return the passes of a plan."""
    columns = [Column("pass"), *map(number, ("units", "done", "bytes to do", "estimated"))]
    return Grid(columns, map(_plan_row, rows))


def _plan_row(row: dict[str, Any]) -> tuple[str, ...]:
    seconds = row["seconds"]
    return (
        row["pass"],
        "?" if row["units"] is None else f"{row['units']:,}",
        f"{row['done']:,}",
        "" if row["bytes"] is None else human_bytes(row["bytes"]),
        "" if seconds is None else f"{seconds / 60:,.1f} min" if seconds > 90 else f"{seconds:.0f} s",
    )


def explanation(found: "Explanation") -> Group:
    """Return the path of a document through the steps."""
    columns = [Column("step"), Column("what it saw or changed", wrap=True), Column("verdict", wrap=True)]
    steps = Grid(columns, [(stage.step, _changes(stage.changes), _verdict(stage.verdict)) for stage in found.stages])
    parts: list[Any] = [Text.assemble((found.locator, "bold"), f"  {found.provenance}"), steps, ""]
    if found.limits:
        parts += [limits_table(found.limits), ""]
    if found.terms:
        parts += [Text(f"lexicon terms: {', '.join(found.terms)}")]
        parts += [*(Text(f"  {sentence}") for sentence in found.sentences), ""]
    if found.text:
        parts += [Text(found.text[:300] + ("…" if len(found.text) > 300 else "")), ""]
    parts.append(Text(found.verdict, "bold green" if found.verdict == "kept" else "bold red"))
    return Group(*parts)


def _changes(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {measured(name, value)}" for name, value in changes.items())


def _verdict(verdict: str) -> Text:
    return Text(verdict, "green" if verdict == "kept" else "red")


def measured(name: str, value: Any) -> str:
    """Return the value of a measure for people: counts as integers."""
    if isinstance(value, int) or (isinstance(value, float) and name in COUNTS):
        return f"{int(value):,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def limits_table(limits: list[dict[str, Any]]) -> Grid:
    """Return the limits of a document; see `mmedc.report.explain.Explanation.limits`."""
    columns = [Column("measure"), *map(number, ("value", "min", "max")), Column("")]
    return Grid(columns, map(_limit_row, limits))


def _limit_row(limit: dict[str, Any]) -> tuple[str | Text, ...]:
    low, high = ("" if limit[key] is None else measured(limit["measure"], float(limit[key])) for key in ("min", "max"))
    value = "not measured" if limit["value"] is None else measured(limit["measure"], float(limit["value"]))
    met = Text("met", "green") if limit["met"] else Text("missed", "red")
    return limit["measure"], value, low, high, met
