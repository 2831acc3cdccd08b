"""What a build would take on a cluster, for a terminal."""

from typing import Any

from rich.console import Group

from mmedc.report.grid import Column, Grid, number
from mmedc.report.tables import human_bytes


def human_count(value: float) -> str:
    """Return a large number in readable form, such as 2.6 billion."""
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:,.1f} {name}"
    return f"{value:,.0f}"


def human_hours(hours: float) -> str:
    """Return a time in hours, or in minutes where it is short."""
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:,.0f} min"


def estimate_table(found: dict[str, Any]) -> Group:
    """Return the screen of `mmedc plan --cluster`; `found` are the values of an `Estimate`."""
    columns = [Column("stage"), *map(number, ("units", "CPU hours", "read", "written", "time"))]
    rows = [
        (
            stage["name"],
            f"{stage['units']:,}",
            f"{stage['cpu_hours']:,.1f}",
            human_bytes(stage["read"]),
            human_bytes(stage["written"]),
            human_hours(stage["hours"]),
            f"{stage['efficiency']:.0%}",
        )
        for stage in found["stages"]
    ]
    money = f"{found['node_price']:,.0f} {found['currency']} for the nodes"
    money += f", {found['storage_price']:,.0f} a month for what is stored"
    facts = [
        ("time", human_hours(found["hours"])),
        ("node hours", f"{found['node_hours']:,.0f}"),
        ("money", money),
        ("exchanged", f"{human_bytes(found['exchanged'])} between nodes and store, besides input and corpus"),
        ("documents", f"{human_count(found['documents'])} read, {human_count(found['kept'])} kept by ingest"),
        ("corpus", f"{human_count(found['published'])} documents, {human_count(found['tokens'])} tokens, "
                   f"{human_bytes(found['corpus_bytes'])}"),
    ]  # fmt: skip
    return Group(
        Grid([*columns, number("busy", rank=1)], rows),
        "",
        Grid([Column("in all"), Column("", wrap=True)], facts),
        "",
        Grid([Column("assumed", wrap=True)], [(f"- {line}",) for line in found["assumptions"]]),
    )
