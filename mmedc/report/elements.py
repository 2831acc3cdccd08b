"""What pages of reports are made of: the page itself, tables, figures and keys. The style is in `report.css`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mmedc.markup import Child, Html, document, tag


def page(title: str, *body: Child) -> str:
    """Return a page that loads nothing and needs no script, for light and dark screens and for paper."""
    return document(title, (Path(__file__).parent / "report.css").read_text(encoding="utf-8"), *body)


def figures_of(figures: Iterable[tuple[str, str]]) -> Html:
    """Return large figures, each with its name."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in figures], class_="figures")


def key(*entries: tuple[str, str]) -> Html:
    """Return what the colours of a picture mean: (words, class)."""
    box = [
        tag("span", tag("svg", tag("rect", width=10, height=10, class_=kind), viewBox="0 0 10 10"), words)
        for words, kind in entries
    ]
    return tag("p", box, class_="key")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Child]],
    foot: Sequence[Child] = (),
    *,
    text: Sequence[int] = (0,),
    bars: Sequence[int] = (),
    cut: Sequence[int] = (),
) -> Html:
    """Return a table of numbers; `text` are the columns of short text, `cut` of long text, `bars` of pictures."""
    kinds: list[str | None] = ["number"] * len(head)
    for columns, kind in ((text, None), (bars, "bars"), (cut, "cut")):
        for at in columns:
            kinds[at] = kind

    def line(cells: Sequence[Child], cell: str = "td") -> Html:
        named = [(cell if value else "td", value) for value in cells]  # a header without words is none
        return tag("tr", [tag(name, value, class_=kind) for (name, value), kind in zip(named, kinds, strict=True)])

    parts = [tag("thead", line(head, "th")), tag("tbody", [line(row) for row in rows])]
    if foot:
        parts.append(tag("tfoot", line(foot)))
    return tag("div", tag("table", parts), class_="scroll")
