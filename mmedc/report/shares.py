"""What became of the records by source and by language, and what failed, as tables for a terminal."""

from collections.abc import Sequence

from rich.text import Text

from mmedc.corpus.manifest import Share
from mmedc.corpus.outcome import Problem, what_removed
from mmedc.report.grid import Column, Grid, number

SHARES = (
    *(number("read"), number("kept"), number("kept %", rank=1), number("dropped"), number("rejected")),
    Column("reasons", wrap=True),
)


def shares_table(shares: Sequence[Share], by: str) -> Grid:
    """Return a row for each source or language: what was read, kept, dropped and rejected, and the commonest reasons.

    The records in the row without a language were removed before their language was known.
    """
    return Grid([Column(by), *SHARES], map(_row, shares))


def _row(share: Share) -> tuple[str, ...]:
    return (
        share.name or "(not known)",
        f"{share.read:,}",
        f"{share.kept:,}",
        f"{share.kept / share.read:.1%}" if share.read else "",
        f"{sum(share.dropped.values()):,}",
        f"{sum(share.rejected.values()):,}",
        what_removed(share.dropped, share.rejected),
    )


def problems_table(problems: Sequence[Problem]) -> Grid:
    """Return what failed, by source, and what to do."""
    columns = [Column("source"), Column("what failed", wrap=True), Column("what to do", wrap=True)]
    rows = [(problem.source or "(all)", Text(problem.found, "red"), problem.cure) for problem in problems]
    return Grid(columns, rows)
