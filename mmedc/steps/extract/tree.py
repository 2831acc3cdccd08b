"""One parse of a page and one walk over its tree: the runs of inline text between the borders of block elements.

The parser is Lexbor (through selectolax), which builds the tree of the WHATWG standard, as browsers do. The walk is a
loop, so that the depth of a page costs no stack; `mmedc.steps.nesting` bounds depth and size before.
"""

import functools
from dataclasses import dataclass, field
from typing import Any

from mmedc.steps.extract import render, shown
from mmedc.steps.extract.formulas import image_text

_SKIPPED = (
    "applet area audio base canvas col colgroup datalist embed frame frameset head iframe input link map meta meter "
    "noembed noframes object optgroup option param progress rp rtc script select source style svg template "
    "textarea title track video"
)
_CONTAINERS = (
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup html legend li main menu nav noscript ol p pre search section "
    "summary table tbody td tfoot th thead tr ul"
)
SKIPPED = frozenset(_SKIPPED.split())
"""Elements that show no text of the page."""
CONTAINERS = frozenset(_CONTAINERS.split())
"""Elements that begin and end a run of text. A custom element (its name has a hyphen) does too."""
PLAIN = frozenset(("b", "em", "strong", "u", "font", "code", "big", "tt", "s", "mark", "wbr", "ruby", "rb"))
"""Inline elements whose attributes say nothing about the text."""

_STRIPPED = ["script", "style", "svg", "template", "iframe", "select", "textarea", "canvas", "object"]
_KNOWN_TAGS = 256  # tags that Lexbor does not know have numbers of the document, which are far larger
_TEXT, _SKIP, _BREAK, _WHOLE, _IMAGE, _CONTAINER, _INLINE, _PLAIN, _LINK, _APART = range(10)

Names = tuple[str, str, str, str, str]
"""The attributes class, id, role, itemprop and itemtype of an element, empty where it has none."""
NAMELESS: Names = ("", "", "", "", "")


@dataclass(slots=True)
class Walk:
    """What the walk found, as parallel lists: of block elements, in the order of their start tags, and of runs.

    Element 0 is `body`. A run is what a reader sees as one paragraph: text between two borders of block elements, or
    between two line breaks in a row.
    """

    tags: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """The number of the block element around each; -1 for `body`."""
    names: list[Names] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    """Whether the element itself says that it is not shown."""
    nodes: list[Any] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """The number of runs at the end of each element; those of an element are `starts[i]:ends[i]`."""
    starts: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    """The innermost block element of each run."""
    lasts: list[int] = field(default_factory=list)
    """The number of block elements at the end of each element: those within it are `i + 1:lasts[i]`."""
    structured: str = ""
    """The JSON-LD of the page."""
    linked: list[int] = field(default_factory=list)
    """The number of characters of each run that are within links."""
    links: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    """The number of images in each run or since the one before it."""
    inner: list[tuple[Names, ...]] = field(default_factory=list)
    """The names of the inline elements of each run."""


def parse(page: str | bytes) -> Any | None:
    """Return the tree of a page (a `LexborHTMLParser`), or None for a page without a body."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page)
    return tree if tree.body is not None else None


def walk(tree: Any, readings: bool = False) -> Walk:
    """Return the block elements and the runs of text of a tree; `script` and the like are cut out of it.

    With `readings`, the readings of ruby follow their base text in brackets; otherwise they are left out.
    """
    known = _known_kinds(readings)
    found = Walk()
    found.structured = "\n".join([node.text() for node in tree.css('script[type="application/ld+json"]')])
    tree.strip_tags(_STRIPPED)
    tags, parents, texts, nodes, names = found.tags, found.parents, found.texts, found.nodes, found.names
    hidden, starts, ends, lasts = found.hidden, found.starts, found.ends, found.lasts
    pieces: list[str] = []
    inner: list[Names] = []
    linked = links = images = in_link = breaks = 0
    edge, closed = -1, False  # the number of pieces at the last border of an inline element; whether one ended there
    owner = -1

    def flush() -> None:
        nonlocal pieces, inner, linked, links, images, breaks, edge
        if text := render.preformatted(pieces) if tags[owner] == "pre" else render.text(pieces):
            texts.append(text)
            found.owners.append(owner)
            found.linked.append(linked)
            found.links.append(links)
            found.images.append(images)
            found.inner.append(tuple(inner))
            images = 0
        pieces, inner, linked, links, breaks, edge = [], [], 0, 0, 0, -1

    node = tree.body
    stack: list[tuple[Any, int]] = []
    while True:
        number = node.tag_id
        kind = known[number] if number < _KNOWN_TAGS else _unknown_kind(node.tag)
        child = None
        if kind == _TEXT:
            text = node.text_content
            if not text.isspace():
                if breaks > 1:
                    flush()
                breaks = 0
                pieces.append(text)
                if in_link:
                    linked += len(text.strip())
            elif pieces:
                pieces.append(text)
        elif kind >= _CONTAINER:
            attributes = node.attributes if kind != _PLAIN else None
            if kind == _CONTAINER:
                if pieces:
                    flush()
                tags.append(node.tag)
                parents.append(owner)
                names.append(_names(attributes) if attributes else NAMELESS)
                if attributes and not shown.TELLING.isdisjoint(attributes):
                    hidden.append(shown.is_hidden(attributes))
                else:
                    hidden.append(tags[-1] in shown.NEVER_SHOWN and "open" not in (attributes or ()))
                nodes.append(node)
                starts.append(len(texts))
                ends.append(0)
                lasts.append(0)
                owner = len(tags) - 1
            else:
                if attributes:
                    called = _names(attributes)
                    if called != NAMELESS:
                        inner.append(called)
                    if not shown.TELLING.isdisjoint(attributes) or shown.ICON in called[0]:
                        apart = shown.set_apart(attributes)
                        if apart == shown.HIDDEN:
                            kind = _SKIP
                        elif apart and kind == _INLINE:
                            kind = _APART
                            pieces.append(" ")
                if kind == _LINK:
                    links += 1
                    in_link += 1
                if pieces and kind != _SKIP:
                    if edge != len(pieces):
                        pieces.append(render.BORDER)
                        edge = len(pieces)
                    elif closed and kind != _PLAIN:
                        pieces[-1] = render.SEAM
                    closed = False
            child = node.first_child if kind != _SKIP else None
            if child is not None:
                stack.append((node, kind))
                node = child
                continue
        elif kind == _BREAK:
            if pieces:
                pieces.append(render.BREAK)
                breaks += 1
        elif kind == _WHOLE:
            pieces.append(render.INLINE[node.tag](node, render.tail(pieces)))
        elif kind == _IMAGE:
            images += 1
            if stands_for := image_text(node.attributes):
                pieces.append(stands_for)
        while True:  # on to the next node, past the ends of the elements that end here
            if kind == _CONTAINER:
                if pieces:
                    flush()
                ends[owner] = len(texts)
                lasts[owner] = len(tags)
                owner = parents[owner]
            elif kind >= _INLINE:
                if kind == _LINK:
                    in_link -= 1
                if kind == _APART:
                    pieces.append(" ")
                elif pieces:
                    if edge != len(pieces):
                        pieces.append(render.BORDER)
                        edge = len(pieces)
                    closed = kind != _PLAIN
            if not stack:
                shown.without_hidden(found)
                return found
            following = node.next
            if following is not None:
                node = following
                break
            node, kind = stack.pop()


@functools.cache
def _known_kinds(readings: bool) -> list[int]:
    """Return what the walk does with an element, by the number that Lexbor has for its tag."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser("<p>")
    kinds = [_INLINE] * _KNOWN_TAGS
    for names, kind in (
        (PLAIN, _PLAIN),
        (SKIPPED, _SKIP),
        (CONTAINERS, _CONTAINER),
        (("a",), _LINK),
        (("br", "hr"), _BREAK),
        (("img",), _IMAGE),
        (render.INLINE, _WHOLE),
        ((), _WHOLE) if readings else (("rt",), _SKIP),
    ):
        for name in names:
            kinds[tree.create_node(name).tag_id] = kind
    page: Any = LexborHTMLParser("<body>text<!-- comment -->").body
    kinds[page.first_child.tag_id] = _TEXT
    kinds[page.last_child.tag_id] = _SKIP
    return kinds


def _unknown_kind(name: str) -> int:
    return _CONTAINER if "-" in name else _INLINE


def _names(attributes: dict[str, str | None]) -> Names:
    get = attributes.get
    css_class = get("class") or ""
    if css_class and len(attributes) == 1:  # most elements have nothing else
        return (css_class, "", "", "", "")
    return (css_class, get("id") or "", get("role") or "", get("itemprop") or "", get("itemtype") or "")
