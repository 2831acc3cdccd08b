"""Authors that a page shows and does not state: the byline of an article."""

import re
from collections.abc import Iterator
from typing import Any

SHOWN = (
    '[class*="byline" i], [class*="author" i], [class*="writer" i], [class*="autor" i], [class*="auteur" i], '
    '[itemprop~="author"]'
)
"""Elements that are named after an author."""

MAX_SHOWN = 12
MAX_NAMES = 3
"""A page that shows more names lists texts, or is a thread."""
MAX_BYLINE_CHARS = 120
MAX_CLIMB = 4
"""How many elements around a byline are looked at."""

ASIDE = re.compile(
    r"comment|repl(?:y|ies)|related|recommend|sidebar|widget|footer|popular|latest|teaser|card\b|promo|carousel|forum|"
    r"post-?(?:list|body)|message|thread|review|testimonial|quote|book",
    re.IGNORECASE,
)
"""Names of elements whose authors did not write the page."""
PROFILE = re.compile(
    r"/(?:author|autor|auteur|people|person|profile|staff|journalist|contributor|writer|by)[a-z]*/", re.IGNORECASE
)
"""Addresses of the pages of authors."""
BY = re.compile(
    r"^(?:(?:written|posted|reported|published|article)\s+)?(?:by|von|par|por|di|da|автор|текст|بقلم|كتب)\s*[:：]?\s+|"
    r"^(?:作者|文|著者|執筆|記者|记者|撰文|लेखक)\s*[:：/／|]?\s*",
    re.IGNORECASE,
)
"""How a byline begins."""
NAME = re.compile(r"[^\W\d_][\w.’'\-·]*(?:\s+(?:[^\W\d_][\w.’'\-·]*)){1,4}|[\u3040-\u30ff\u3400-\u9fff]{2,8}")
"""Two to five words, or some Chinese or Japanese characters."""


def authors_shown(tree: Any) -> list[str]:
    """Return the authors that the bylines of a page name, or an empty list where they are too many to be its own."""
    found = dict.fromkeys(name for node in tree.css(SHOWN)[:MAX_SHOWN] for name in _names(node))
    return list(found) if len(found) <= MAX_NAMES else []


def _names(node: Any) -> Iterator[str]:
    """Yield the names in a byline: those of links to pages of authors, else what follows the word for "by"."""
    text = " ".join(node.text(separator=" ").split())
    if not text or len(text) > MAX_BYLINE_CHARS or _is_aside(node):
        return
    links = [link for link in node.css("a[href]") if PROFILE.search(link.attributes.get("href") or "")]
    names = [" ".join(link.text(separator=" ").split()) for link in links]
    bare = BY.sub("", text)
    if not any(names) and (bare != text or (node.attributes.get("class") or "").lower() == "byline"):
        names = [bare]
    for name in names:
        name = BY.sub("", name).strip(" ,;|")
        if NAME.fullmatch(name) and not name.islower():
            yield name


def _is_aside(node: Any) -> bool:
    for _ in range(MAX_CLIMB):
        node = node.parent
        if node is None or node.tag in ("body", "html"):
            return False
        attributes = node.attributes
        if node.tag in ("aside", "footer", "nav") or ASIDE.search(f"{attributes.get('class')} {attributes.get('id')}"):
            return True
    return False
