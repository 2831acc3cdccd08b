"""The screens of `mmedc explain`: the path of a document through the steps, and what a build did to it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from mmedc.report.explain import Explanation, Shortage
from mmedc.report.fate import Fate
from mmedc.report.grid import Column, Grid, Passage, number, shortened, visible

COUNTS = ("medical_terms", "private_items", "chars", "words")
"""The measures that are numbers of something."""
HEAD_CHARS = 300
TERMS = 40  # terms that are listed
SENTENCES = 10
ALONE = 3
"""A file with more documents is shown as a table, a line for each."""


def explanation(found: Explanation) -> Group:
    """Return the path of a document through the steps."""
    origin = f"  {visible(found.provenance)}" if found.provenance != found.locator else ""
    parts: list[Any] = [Text.assemble((visible(found.locator), "bold"), origin), *_path(found)]
    parts += _text(found.text)
    parts.append(Text(visible(found.verdict), "bold green" if found.verdict == "kept" else "bold red"))
    if found.verdict == "kept":
        others = ", ".join(found.not_looked)
        parts.append(
            Text(
                f"Applied: {', '.join(found.looked)}. Not applied: {others}, which compare documents with others: "
                "--corpus CORPUS says what they did in a build."
            )
        )
    return Group(*parts)


def _path(found: Explanation) -> list[Any]:
    columns = [Column("step"), Column("verdict", wrap=True), Column("what it saw or changed", wrap=True)]
    steps = Grid(columns, [(stage.step, _verdict(stage.verdict), _changes(stage.changes)) for stage in found.stages])
    parts: list[Any] = [steps, ""]
    if found.limits:
        parts += [limits_table(found.limits), ""]
    if found.shortage:
        parts += [*_shortage(found.shortage), ""]
    elif found.terms:
        more = f" and {len(found.terms) - TERMS} more" if len(found.terms) > TERMS else ""
        terms = f"{len(found.terms)} lexicon term{'s' * (len(found.terms) != 1)}"
        parts += [Passage(f"{terms}: {', '.join(found.terms[:TERMS])}{more}")]
        parts += [*(Passage(sentence, 2) for sentence in found.sentences[:SENTENCES])]
        left = len(found.sentences) - SENTENCES
        if left > 0:
            parts += [Passage(f"… and {left} more sentence{'s' * (left != 1)} with terms; --json has all", 2)]
        parts += [""]
    return parts


def _shortage(short: Shortage) -> list[Text]:
    terms = f": {', '.join(short.terms)}" if short.terms else ""
    lines = [f"lexicon terms ({short.lang}): {short.counted:g} of the {short.needed:g} that are needed{terms}"]
    if short.others:
        lines.append(f"in other languages: {', '.join(f'{lang} {count}' for lang, count in short.others.items())}")
    return [Text(visible(line)) for line in lines]


def fate(found: Fate) -> Group:
    """Return what a build did to a document."""
    named = [("id", found.id), ("source", found.source), ("lang", found.lang), ("from", found.provenance)]
    about = "  ".join(f"{name} {value}" for name, value in named if value)
    parts: list[Any] = [Text(visible(found.locator), "bold"), Text(visible(about)), ""]
    events = [(event.step, Text(event.what, "red" if event.removed else "")) for event in found.events]
    parts += [Grid([Column("part of the build"), Column("what it did", wrap=True)], events), ""]
    for event in found.events:
        for what, quote in event.quotes:
            parts.append(Text.assemble((visible(f"{what}: "), "dim"), visible(" ".join(quote.split()))))
    if any(event.quotes for event in found.events):
        parts.append("")
    if found.limits:
        parts += [limits_table(found.limits), ""]
    if found.again:
        parts += [Text("The steps, applied to its source now:", "bold"), *_path(found.again)]
    parts += _text(found.text)
    parts.append(Text(visible(found.verdict), "bold green" if found.verdict == "published" else "bold red"))
    return Group(*parts)


def documents(target: str, found: Sequence[Fate | Explanation]) -> Group:
    """Return what became of each of many documents of a file, a line each."""
    columns = [Column("document"), Column("verdict", wrap=True)]
    verdicts = Counter(one.verdict.partition(":")[0] for one in found)
    rows = [
        (visible(one.locator), Text(visible(one.verdict), "green" if one.verdict == "published" else "red"))
        for one in found
    ]
    said = ", ".join(f"{verdict} {count:,}" for verdict, count in verdicts.most_common())
    more = Text(f"{said}. Name one of them to see what each part of the build did to it.")
    return Group(Text(visible(target), "bold"), Grid(columns, rows), "", more)


def _text(text: str) -> list[Any]:
    return [Text(visible(shortened(" ".join(text[: 2 * HEAD_CHARS].split()), HEAD_CHARS))), ""] if text else []


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
