"""One parse of a page and one walk over its tree: the runs of inline text between the borders of block elements.

The parser is Lexbor (through selectolax), which builds the tree of the WHATWG standard, as browsers do. The walk is a
loop, so that the depth of a page costs no stack; `mmedc.steps.nesting` bounds depth and size before.
"""

from dataclasses import dataclass, field
from typing import Any

from mmedc.steps.extract import render

_SKIPPED = (
    "applet area audio base canvas col colgroup datalist embed frame frameset head iframe input link map meta meter "
    "noembed noframes noscript object optgroup option param progress script select source style svg "
    "template textarea title track video"
)
_CONTAINERS = (
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup html legend li main menu nav ol p pre search section summary "
    "table tbody td tfoot th thead tr ul"
)
SKIPPED = frozenset(_SKIPPED.split())
"""Elements that show no text of the page."""

CONTAINERS = frozenset(_CONTAINERS.split())
"""Elements that begin and end a run of text. A custom element (its name has a hyphen) does too."""

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))

_STRIPPED = ["script", "style", "svg", "template", "noscript", "iframe", "select", "textarea", "canvas", "object"]
_TEXT = "-text"
_SKIP, _CONTAINER, _INLINE, _BREAK, _WHOLE = range(5)
NAMED = ("class", "id", "role", "itemprop", "itemtype", "rel")
"""Attributes that are taken over for the features."""


@dataclass(slots=True)
class Walk:
    """What the walk found, as parallel lists: of block elements, in the order of their start tags, and of runs.

    Element 0 is `body`. A run is what a reader sees as one paragraph: text between two borders of block elements.
    """

    tags: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    names: list[tuple[str, ...]] = field(default_factory=list)
    """The values of `NAMED` for each element, empty where it has none."""
    nodes: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    """The innermost block element of each run."""
    linked: list[int] = field(default_factory=list)
    """The number of characters of each run that are within links."""
    links: list[int] = field(default_factory=list)
    inner: list[tuple[tuple[str, ...], ...]] = field(default_factory=list)
    """The values of `NAMED` of the inline elements of each run."""


def parse(page: str | bytes) -> Any | None:
    """Return the tree of a page (a `LexborHTMLParser`), or None for a page without elements."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page)
    return tree if tree.body is not None else None


def walk(tree: Any) -> Walk:
    """Return the block elements and the runs of text of a tree; `script` and the like are cut out of it."""
    tree.strip_tags(_STRIPPED)
    found = Walk()
    _Walker(found).run(tree.body)
    return found


class _Walker:
    """The state of one walk."""

    def __init__(self, found: Walk) -> None:
        self.found = found
        self.pieces: list[str] = []
        self.inner: list[tuple[str, ...]] = []
        self.linked = self.links = self.in_link = 0
        self.owner = -1

    def run(self, body: Any) -> None:
        """Walk from `body` in the order of the document."""
        stack: list[tuple[Any, int]] = []
        node, kind = body, self.enter(body)
        while True:
            child = node.first_child if kind in (_CONTAINER, _INLINE) else None
            if child is not None:
                stack.append((node, kind))
                node = child
            else:
                self.leave(node, kind)
                while not stack or (after := node.next) is None:
                    if not stack:
                        return
                    node, kind = stack.pop()
                    self.leave(node, kind)
                node = after
            kind = self.enter(node)

    def enter(self, node: Any) -> int:
        """Take in a node and return its kind."""
        name = node.tag
        if name == _TEXT:
            text = node.text_content
            self.pieces.append(text)
            if self.in_link:
                self.linked += len(text.strip())
            return _SKIP
        kind = KINDS.get(name)
        if kind is None:
            kind = _CONTAINER if "-" in name[1:] else _SKIP if name[0] in "-!" else _INLINE
        if kind == _INLINE:
            self.enter_inline(node, name)
        elif kind == _CONTAINER:
            self.flush()
            found = self.found
            found.tags.append(name)
            found.parents.append(self.owner)
            found.names.append(names_of(node))
            found.nodes.append(node)
            self.owner = len(found.tags) - 1
        elif kind == _BREAK:
            self.pieces.append("\n")
        elif kind == _WHOLE:
            self.pieces.append(render.INLINE[name](node))
        return kind

    def enter_inline(self, node: Any, name: str) -> None:
        """Take in an inline element."""
        if name == "a":
            self.links += 1
            self.in_link += 1
        names = names_of(node)
        if names != NAMELESS:
            self.inner.append(names)

    def leave(self, node: Any, kind: int) -> None:
        """Take in the end of an element."""
        if kind == _CONTAINER:
            self.flush()
            self.owner = self.found.parents[self.owner]
        elif kind == _INLINE and node.tag == "a":
            self.in_link -= 1

    def flush(self) -> None:
        """End the run."""
        if self.pieces:
            text = render.text(self.pieces)
            if text:
                found = self.found
                found.texts.append(text)
                found.owners.append(self.owner)
                found.linked.append(self.linked)
                found.links.append(self.links)
                found.inner.append(tuple(self.inner))
            self.pieces = []
        self.inner = []
        self.linked = self.links = 0


NAMELESS = ("",) * len(NAMED)
KINDS = {
    **dict.fromkeys(SKIPPED, _SKIP),
    **dict.fromkeys(CONTAINERS, _CONTAINER),
    **dict.fromkeys(render.INLINE, _WHOLE),
    "br": _BREAK,
    "hr": _BREAK,
}


def names_of(node: Any) -> tuple[str, ...]:
    """Return the values of `NAMED` of an element, empty where it has none."""
    attributes = node.attributes
    return tuple([attributes.get(name) or "" for name in NAMED]) if attributes else NAMELESS
