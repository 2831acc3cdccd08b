"""The scores of a checkpoint as tables and a plot, beside published scores."""

import json
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from mmedc.report.grid import Cell, Column, Grid, number
from mmedc.report.published import ENGLISH, ITEMS, LANGUAGES, PUBLISHED, SHOWN

Row = dict[str, Any]


def same_questions(found: Row) -> tuple[str, ...]:
    """Return the languages in which as many questions were scored as MMedBench has, so that its figures compare."""
    return tuple(lang for lang in LANGUAGES if found["languages"].get(lang, {}).get("items") == ITEMS[lang])


def scores_table(found: Row, compared: dict[str, dict[str, float]]) -> Grid:
    """Return a row for each language: accuracy, its 95% interval, a comparison if any, the published accuracies.

    Published accuracies stand only beside the same questions.
    """
    languages = [*(lang for lang in LANGUAGES if lang in found["languages"])]
    languages += [lang for lang in found["languages"] if lang not in languages]
    rows = [*(found["languages"][lang] for lang in languages), found["average"]]
    columns: list[tuple[Column, list[str]]] = [
        (Column("language"), [*languages, "mean"]),
        (number("accuracy %"), [_percent(row["accuracy"]) for row in rows]),
        (number("95% interval"), [f"{100 * row['interval'][0]:.1f}–{100 * row['interval'][1]:.1f}" for row in rows]),
        (number("items"), [f"{row['items']:,}" for row in rows[:-1]] + [f"{sum(row['items'] for row in rows[:-1]):,}"]),
    ]
    if any(row["unparsed"] for row in rows[:-1]):
        columns.append((number("no choice"), [f"{row['unparsed']:,}" for row in rows[:-1]]))
    if any(row["hamming"] != row["accuracy"] for row in rows[:-1]):
        columns.append((number("letters %"), [_percent(row["hamming"]) for row in rows[:-1]]))
    if found.get("sets") and all("per_letter" in row for row in rows[:-1]):
        columns.append((number("each letter %", rank=1), [_percent(row["per_letter"]) for row in rows[:-1]]))
    if clean := found.get("contamination", {}).get("without"):
        left = [clean["languages"].get(lang) for lang in languages]
        shown = [f"{_percent(row['accuracy'])} of {row['items']:,}" if row else "" for row in left]
        columns.append((number("without hits"), [*shown, _percent(clean["average"]["accuracy"])]))
    if compared:
        columns += _comparison(compared, languages)
    columns += _published(found, languages)
    every = [[*values, *[""] * (len(rows) - len(values))] for _, values in columns]
    shots = f"{found['shots']} shots, " if found["shots"] else ""
    sets = f" ({found['sets']})" if found.get("sets") else ""
    title = f"{found['model']}: {shots}{found['protocol']}{sets}, {found['normal']}"
    return Grid([column for column, _ in columns], list[list[Cell]](map(list, zip(*every, strict=True))), title)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _comparison(compared: dict[str, dict[str, float]], languages: list[str]) -> list[tuple[Column, list[str]]]:
    found = [compared[lang] for lang in languages]
    columns = [
        (number("difference"), [f"{100 * row['difference']:+.2f}" for row in found]),
        (number("p (McNemar, Holm)"), [f"{row['p']:.3f}" for row in found]),
    ]
    if "hamming_p" in found[0]:
        columns += [
            (number("letters' difference", rank=1), [f"{100 * row['hamming_difference']:+.2f}" for row in found]),
            (number("p (sign flips, Holm)", rank=1), [f"{row['hamming_p']:.3f}" for row in found]),
        ]
    return columns


def _published(found: Row, languages: list[str]) -> list[tuple[Column, list[str]]]:
    """Return a column for each published model that is shown; only languages of the same questions have a figure."""
    same = same_questions(found)
    whole = set(same) == set(LANGUAGES) == set(languages)
    columns = []
    for rank, name in enumerate(SHOWN if same else (), 2):
        *values, mean = PUBLISHED[name]
        figures = dict(zip(LANGUAGES, values, strict=True))
        shown = [f"{figures[lang]:.2f}" if lang in same else "" for lang in languages]
        columns.append((number(name, rank=rank), [*shown, f"{mean:.2f}" if whole else ""]))
    return columns


def report(found: dict[str, Any], compared: dict[str, dict[str, float]]) -> Group:
    """Return the report of a scoring: warnings, then accuracy, rationales, held-out text and positions."""
    about = found.get("contamination", {})
    parts: list[Any] = [Text(f"warning: {warning}", style="bold red") for warning in about.get("warnings", ())]
    if cut := found.get("cut"):
        where = ", ".join(f"{lang} {count:,}" for lang, count in cut.items())
        said = (
            f"warning: {sum(cut.values()):,} prompts are longer than bench.context and lost their beginning ({where})"
        )
        parts.append(Text(said, style="bold red"))
    parts.append(scores_table(found, compared))
    if same_questions(found):
        parts.append(Text("The named models: accuracy % on the same questions of MMedBench, as published.", "dim"))
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


def side_by_side(found: dict[str, Row], compared: dict[str, dict[str, dict[str, float]]]) -> Grid:
    """Return a row for each model and language: accuracy with its interval, and its difference from the first model."""
    rows: list[list[Cell]] = []
    for lang in [*next(iter(found.values()))["languages"], "mean"]:
        for name, result in found.items():
            row = result["average"] if lang == "mean" else result["languages"][lang]
            interval = f"{100 * row['interval'][0]:.1f}–{100 * row['interval'][1]:.1f}"
            beside = compared.get(name, {}).get(lang)
            tested = [f"{100 * beside['difference']:+.2f}", f"{beside['p']:.3f}"] if beside else ["", ""]
            rows.append([lang, name, _percent(row["accuracy"]), interval, *tested])
    first = next(iter(found))
    names = [number("accuracy %"), number("95% interval"), number("difference"), number("p (McNemar, Holm)")]
    return Grid([Column("language"), Column("model"), *names], rows, f"differences from {first}")


def _by_language(title: str, rows: dict[str, dict[str, float]], times: float, form: str) -> Grid:
    names = [name for name in next(iter(rows.values())) if isinstance(name, str)]
    counted = {name: isinstance(next(iter(rows.values()))[name], int) for name in names}
    cells = [
        [lang, *(f"{row[name]:,}" if counted[name] else form.format(times * row[name]) for name in names)]
        for lang, row in rows.items()
    ]
    return Grid([Column("language"), *map(number, names)], cells, title)


def plot(found: dict[str, Any], folder: Path) -> Path | None:
    """Plot accuracy by language with its interval to `scores.svg`, beside published accuracies on the same questions.

    All published accuracies are written to `published.json`.

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
    shown = [lang for lang in languages if lang in same_questions(found)]
    for name, mark in zip(SHOWN if shown else (), "ov^sD", strict=bool(shown)):
        figures = dict(zip(LANGUAGES, PUBLISHED[name][:-1], strict=True))
        axis.plot(shown, [figures[lang] for lang in shown], mark, ms=5, label=f"published: {name}")
    axis.set_ylabel("accuracy, %, and 95% interval")
    axis.set_ylim(0, 100)
    axis.legend(fontsize=7, ncols=3)
    figure.savefig(folder / "scores.svg", metadata={"Date": None})
    return folder / "scores.svg"
