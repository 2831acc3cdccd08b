"""The scores of a checkpoint as tables and a plot, beside published scores."""

import json
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mmedc.report.published import ENGLISH, LANGUAGES, PUBLISHED, SHOWN


def scores_table(found: dict[str, Any], compared: dict[str, dict[str, float]]) -> Table:
    """Return a table of accuracy with its 95% interval by language, the published rows, and a comparison if any."""
    languages = [*(lang for lang in LANGUAGES if lang in found["languages"])]
    languages += [lang for lang in found["languages"] if lang not in languages]
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
    if any(row["unparsed"] for row in rows[:-1]):
        table.add_row("without a choice", *(f"{row['unparsed']:,}" for row in rows[:-1]), "")
    if any(row["hamming"] != row["accuracy"] for row in rows[:-1]):
        table.add_row("letters in common %", *(f"{100 * row['hamming']:.2f}" for row in rows[:-1]), "")
    if clean := found.get("contamination", {}).get("without"):
        left = [clean["languages"].get(lang) for lang in languages]
        shown = [f"{100 * row['accuracy']:.2f} of {row['items']:,}" if row else "" for row in left]
        table.add_row("… without hits", *shown, f"{100 * clean['average']['accuracy']:.2f}")
    if compared:
        table.add_row("difference", *(f"{100 * compared[lang]['difference']:+.2f}" for lang in languages), "")
        table.add_row("p (McNemar, Holm)", *(f"{compared[lang]['p']:.3f}" for lang in languages), "")
        if "hamming_p" in compared[languages[0]]:
            apart = [f"{100 * compared[lang]['hamming_difference']:+.2f}" for lang in languages]
            table.add_row("difference, letters in common", *apart, "")
            table.add_row("p (sign flips, Holm)", *(f"{compared[lang]['hamming_p']:.3f}" for lang in languages), "")
    for name in SHOWN:
        *values, mean = PUBLISHED[name]
        figures = dict(zip(LANGUAGES, values, strict=True))
        row = [f"{figures[lang]:.2f}" if lang in figures else "" for lang in languages]
        table.add_row(f"published: {name}", *row, f"{mean:.2f}" if set(LANGUAGES) <= set(languages) else "")
    return table


def report(found: dict[str, Any], compared: dict[str, dict[str, float]]) -> Group:
    """Return the report of a scoring: warnings, then accuracy, rationales, held-out text and positions."""
    about = found.get("contamination", {})
    parts: list[Any] = [Text(f"warning: {warning}", style="bold red") for warning in about.get("warnings", ())]
    parts.append(scores_table(found, compared))
    if found.get("rationales"):
        parts.append(_by_language("rationales beside the items' own", found["rationales"], 100, "{:.2f}"))
    if found.get("texts"):
        parts.append(_by_language("held-out text", found["texts"], 1, "{:,.3f}"))
    if places := found.get("positions"):
        chosen = ", ".join(f"{place} {100 * share:.1f}%" for place, share in places["chosen"].items())
        gold = ", ".join(f"{place} {100 * share:.1f}%" for place, share in places["gold"].items())
        consistent = f"{100 * places['consistent']:.1f}% of the items"
        parts.append(Text(f"by place: chosen {chosen}; right {gold}; the same option in every order: {consistent}"))
    return Group(*parts)


def _by_language(title: str, rows: dict[str, dict[str, float]], times: float, form: str) -> Table:
    names = [name for name in next(iter(rows.values())) if isinstance(name, str)]
    table = Table(title=title, box=None, title_justify="left")
    table.add_column("")
    for lang in rows:
        table.add_column(lang, justify="right")
    for name in names:
        counted = isinstance(next(iter(rows.values()))[name], int)
        table.add_row(name, *(f"{row[name]:,}" if counted else form.format(times * row[name]) for row in rows.values()))
    return table


def plot(found: dict[str, Any], folder: Path) -> Path | None:
    """Plot accuracy by language with its interval, beside the published rows, to `scores.svg`; write those as JSON.

    Returns the file, or None where matplotlib is not installed.
    """
    known = {"languages": LANGUAGES, "accuracy": PUBLISHED, "english": {"MMed-Llama 3 8B": ENGLISH}}
    (folder / "published.json").write_text(json.dumps(known, indent=1))
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    languages = [*found["languages"]]
    figure: Any = Figure(figsize=(9, 4.5), layout="constrained")
    axis = figure.subplots()
    rows = [found["languages"][lang] for lang in languages]
    values = [100 * row["accuracy"] for row in rows]
    spread = [
        [max(0.0, 100 * (row["accuracy"] - row["interval"][0])) for row in rows],
        [max(0.0, 100 * (row["interval"][1] - row["accuracy"])) for row in rows],
    ]
    axis.bar(languages, values, yerr=spread, capsize=4, color="#7aa6c2", label=Path(found["model"]).name)
    for name, mark in zip(SHOWN, "ov^sD", strict=True):
        figures = dict(zip(LANGUAGES, PUBLISHED[name][:-1], strict=True))
        shown = [lang for lang in languages if lang in figures]
        axis.plot(shown, [figures[lang] for lang in shown], mark, ms=5, label=f"published: {name}")
    axis.set_ylabel("accuracy, %, and 95% interval")
    axis.set_ylim(0, 100)
    axis.legend(fontsize=7, ncols=3)
    figure.savefig(folder / "scores.svg", metadata={"Date": None})
    return folder / "scores.svg"
