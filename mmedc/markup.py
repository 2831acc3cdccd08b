"""Markup that is safe by construction: text is escaped wherever it is put, and characters that hide are shown.

`tag` makes an element of its children. What is not `Html` is text: it is escaped, and control characters, marks that
turn the direction and characters without a picture become visible marks, so that no document changes how a page reads.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import TypeAlias

HIDES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls of terminals and of direction, and characters without a picture; the joiners of Indic scripts stay."""
VOID = frozenset({"br", "col", "hr", "meta"})


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


Child: TypeAlias = "Html | str | int | Iterable[Child] | None"


def tag(element: str, *children: Child, **attributes: str | int | float | None) -> Html:
    """Return an element. `class_` is `class`, and `_` within a name `-`; an attribute that is None is left out."""
    head = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_bare(str(value)))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{element}{head}>" if element in VOID else f"<{element}{head}>{joined(*children)}</{element}>")


def joined(*children: Child) -> Html:
    """Return the children one after another; numbers have separators of thousands."""
    return Html("".join(_pieces(children)))


def _pieces(children: Iterable[Child]) -> Iterator[str]:
    for child in children:
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str):
            yield shown(child)
        elif isinstance(child, int):
            yield f"{child:,}"
        elif child is not None:
            yield from _pieces(child)


def shown(text: str) -> Html:
    """Return a text escaped, in which what hides is a mark: `␛` for the escape, `U+202E` for a turn of direction."""
    pieces, end = [], 0
    for found in HIDES.finditer(text):
        code = ord(found[0])
        name = chr(0x2400 + code) if code < 0x20 else f"U+{code:04X}"
        pieces += [escape(text[end : found.start()], quote=False), f'<span class="hides" dir="ltr">{name}</span>']
        end = found.end()
    return Html("".join([*pieces, escape(text[end:], quote=False)]))


def _bare(text: str) -> str:
    return HIDES.sub("\ufffd", text)


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
        tag("title", Html(escape(_bare(title)))),
        Html(f"<style>{style}</style>"),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *body), lang=lang)}\n"
