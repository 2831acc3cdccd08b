"""Markup that is safe by construction: whatever is not made by `tag` is escaped, and unseen characters are shown."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import TypeAlias

VOID = {"br", "hr", "img", "input", "link", "meta"}
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f\ud800-\udfff]"
    "|(?<![\u0600-\u1fff\U0001f000-\U0001ffff\ufe0f])[\u200c\u200d]"
)
"""Controls of terminals and of direction, and characters without a picture; joiners only where no script needs them."""
PICTURES = 0x2400
"""The pictures of the control characters begin here."""
NAMES = {0x00: "NULL", 0x0D: "CARRIAGE RETURN", 0x1B: "ESCAPE", 0x7F: "DELETE"}


class Html(str):
    """Markup; any other text is escaped."""

    __slots__ = ()


Child: TypeAlias = "Html | str | int | Iterable[Child] | None"
Value: TypeAlias = str | int | float | bool | None


def tag(element: str, /, *children: Child, **attributes: Value) -> Html:
    """Return an element. A trailing `_` of an attribute's name is dropped, and `_` inside it becomes `-`.

    An attribute that is None or False is left out; one that is True has no value.
    """
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{element}{head}>" if element in VOID else f"<{element}{head}>{joined(*children)}</{element}>")


def joined(*children: Child) -> Html:
    """Return the children one after another."""
    return Html("".join(_pieces(children)))


def _pieces(children: Iterable[Child]) -> Iterator[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str):
            yield shown(child)
        elif isinstance(child, int):
            yield f"{child:,}"
        else:
            yield from _pieces(child)


def _attribute(key: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(sendable(str(value)))}"'


def sendable(text: str) -> str:
    """Return a text that UTF-8 and HTML can carry: a lone surrogate and a NUL become U+FFFD."""
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


def shown(text: str) -> Html:
    """Return a text escaped, with unseen characters as marks that name them."""
    pieces, end = [], 0
    for found in UNSEEN.finditer(text):
        pieces += [escape(text[end : found.start()], quote=False), sign(found[0])]
        end = found.end()
    return Html("".join([*pieces, escape(text[end:], quote=False)]))


def sign(char: str) -> Html:
    """Return the mark of an unseen character: a picture or its code point, with its name as the title."""
    code = ord(char)
    picture = "\u2421" if code == 0x7F else chr(PICTURES + code) if code < 0x20 else f"U+{code:04X}"
    name = NAMES.get(code) or str(unicodedata.name(char, "lone surrogate" if 0xD800 <= code < 0xE000 else "control"))
    return Html(f'<span class="sign" title="U+{code:04X} {name.lower()}">{picture}</span>')


def plain_signs(text: str) -> str:
    """Return a text with unseen characters as pictures or code points, where no markup can be: in a title."""
    return UNSEEN.sub(lambda found: re.sub("<[^>]*>", "", sign(found[0])), text)


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
