"""Scores of a checkpoint as a table, beside what the paper published."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")
PUBLISHED = {
    "GPT-4": (78.00, 75.07, 72.91, 56.59, 83.62, 85.67, 74.27),
    "Llama 3 8B": (63.86, 78.23, 48.24, 50.80, 71.48, 64.15, 62.79),
    "MMedLM 2": (61.74, 80.01, 61.81, 52.09, 80.47, 67.65, 67.30),
    "MMed-Llama 3 8B": (66.06, 79.25, 61.81, 55.63, 75.39, 68.38, 67.75),
}
"""Accuracy on MMedBench in per cent, languages in the order above, then their mean (Qiu et al. 2024, table 2, and
the repository's README). Fine-tuned, answers generated: beside scores of another protocol, facts to look at only."""


class Counting:
    """Shows how many answers were scored, and how long is left. Use as a context manager."""

    def __init__(self, console: Console, quiet: bool) -> None:
        columns = (TextColumn("answers"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=quiet)
        self._task = self._bar.add_task("answers", total=None)

    def __enter__(self) -> "Counting":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, done: int, of: int) -> None:
        """Take how far it is."""
        self._bar.update(self._task, completed=done, total=of)


def scores_table(found: dict[str, Any], compared: dict[str, dict[str, float]]) -> Table:
    """Return accuracy and 95% interval by language, the paper's rows, and a comparison where there is one."""
    languages = [*(one for one in LANGUAGES if one in found["languages"])]
    languages += [one for one in found["languages"] if one not in languages]
    shots = f"{found['shots']} shots, " if found["shots"] else ""
    table = Table(
        title=f"{found['model']}: {shots}{found['protocol']}, {found['normal']}", box=None, title_justify="left"
    )
    table.add_column("")
    for lang in (*languages, "mean"):
        table.add_column(lang, justify="right")
    rows = [*(found["languages"][lang] for lang in languages), found["average"]]
    table.add_row("accuracy %", *(f"{100 * row['accuracy']:.2f}" for row in rows))
    table.add_row("95% interval", *(f"{100 * row['interval'][0]:.1f}-{100 * row['interval'][1]:.1f}" for row in rows))
    table.add_row("items", *(f"{row['items']:,}" for row in rows[:-1]), f"{sum(row['items'] for row in rows[:-1]):,}")
    if compared:
        table.add_row("difference", *(f"{100 * compared[lang]['difference']:+.2f}" for lang in languages), "")
        table.add_row("p (McNemar, Holm)", *(f"{compared[lang]['p']:.3f}" for lang in languages), "")
    for name, values in PUBLISHED.items():
        known = dict(zip(LANGUAGES, values[:-1], strict=True))
        row = [f"{known[lang]:.2f}" if lang in known else "" for lang in languages]
        table.add_row(f"published: {name}", *row, f"{values[-1]:.2f}" if set(LANGUAGES) <= set(languages) else "")
    return table
