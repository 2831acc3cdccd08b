"""Markup that is safe by construction: text is escaped wherever it is put, and characters that hide are shown.

`tag` makes an element of its children. What is not `Html` is text: it is escaped, and control characters, marks that
turn the direction and characters without a picture become visible marks, so that no document changes how a page reads.
"""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from html import escape
from typing import TypeAlias

VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})
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
    if value is True:
        return f" {name}"
    text = sendable(str(value)) if name in ("value", "href") else plain_signs(str(value))  # these are sent back
    return f' {name}="{escape(text)}"'


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


def document(title: str, style: str, *body: Child, lang: str = "en") -> str:
    """Return a page that may load nothing: its one style sheet is allowed by its hash, and scripts by nothing."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", Html(escape(plain_signs(title)))),
        Html(f"<style>{style}</style>"),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *body), lang=lang)}\n"
