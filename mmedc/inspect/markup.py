"""The elements of pages that have no own name in HTML: one line of a text, tables, labelled choices."""

from collections.abc import Iterable, Mapping

from mmedc.markup import Child, Html, Value, tag


def one_line(text: str, most: int) -> str:
    """Return the beginning of a text on one line, at most `most` characters and `…`."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else line[:most].rstrip() + "…"


def bdi(text: str) -> Html:
    """Return a text whose direction does not touch what stands around it."""
    return tag("bdi", text, dir="auto")


def table(
    head: Iterable[Child],
    rows: Iterable[Iterable[Child]],
    numbers: Iterable[int] = (),
    caption: str = "",
    **more: Value,
) -> Html:
    """Return a table; the columns of `numbers` are aligned at the right, and the first cell of a row is its header."""
    right = set(numbers)

    def cell(at: int, child: Child) -> Html:
        return tag("th" if at == 0 else "td", child, scope="row" if at == 0 else None, class_=_class(at in right))

    titles = [tag("th", child, scope="col", class_=_class(at in right)) for at, child in enumerate(head)]
    body = [tag("tr", [cell(at, child) for at, child in enumerate(row)]) for row in rows]
    parts = [tag("caption", caption) if caption else None, tag("thead", tag("tr", titles)), tag("tbody", body)]
    # A region that scrolls must be reachable by the keyboard.
    return tag(
        "div", tag("table", parts, **more), class_="scroll", tabindex=0, role="group", aria_label=caption or None
    )


def _class(right: bool) -> str | None:
    return "number" if right else None


def select(name: str, label: str, values: Mapping[str, str], chosen: str, **more: Value) -> Html:
    """Return a labelled choice: value → what is shown."""
    known = values if chosen in values else {**values, chosen: chosen}
    return tag("label", tag("span", label), tag("select", options(known, chosen), name=name, **more))


def options(values: Mapping[str, str], chosen: str) -> list[Html]:
    """Return the options of a `select`: value → label."""
    return [tag("option", label, value=value, selected=value == chosen) for value, label in values.items()]
