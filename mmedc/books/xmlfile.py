"""XML from strangers: parsed without document types, entities and network, and not deeper than the parser's limit.

The document type is cut out before parsing, so that nothing it declares can be expanded or fetched. Of entities only
the names of HTML and the five of XML are known; any other reference stays in the text as it is written.
"""

import re
from html.entities import html5
from typing import Any

from mmedc.books.book import Unreadable
from mmedc.decoding import decode_page

_DOCTYPE = re.compile(r"<!DOCTYPE[^\[>]*(?:\[(?:[^\]\"']|\"[^\"]*\"|'[^']*')*\])?[^>]*>", re.IGNORECASE)
_ENTITY = re.compile(r"&([A-Za-z][\w.:-]*);?")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_OWN = frozenset(("amp", "lt", "gt", "quot", "apos"))
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f￾￿]")


def characters(data: bytes) -> str:
    """Return the characters of an XML file without a document type; its declaration is a hint at its charset."""
    text, _ = decode_page(data, None)
    if text is None:
        text = data.decode("utf-8", "replace")
    text = _CONTROLS.sub("", _DECLARATION.sub("", text, count=1))
    return _ENTITY.sub(_expanded, _DOCTYPE.sub("", text, count=1))


def _expanded(match: re.Match[str]) -> str:
    name = match[1]
    if name in _OWN:
        return match[0] if match[0].endswith(";") else f"&amp;{name}"
    char = html5.get(f"{name};")
    return char.replace("&", "&amp;").replace("<", "&lt;") if char else "&amp;" + match[0][1:]


def parse(data: bytes, what: str) -> Any:
    """Return the root of an XML file. Raises: Unreadable, with the reason `damaged` or `too_deep`."""
    from lxml import etree

    text = characters(data).strip()
    # No entity is declared any more; `resolve_entities` and the like are the second lock.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=False
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as problem:
        message = str(problem).partition("\n")[0]
        if "depth" in message.lower():
            raise Unreadable(f"too_deep: {what} nests deeper than a parser reads ({message[:200]})") from None
        raise Unreadable(f"damaged: {what} is not well-formed XML ({message[:200]})") from None
    return root


def parse_page(data: bytes) -> Any | None:
    """Return the root of a page that is meant to be XHTML, as HTML where it is not well-formed; None if it is empty.

    Raises: Unreadable, with the reason `too_deep`.
    """
    from lxml import etree

    try:
        return parse(data, "the page")
    except Unreadable:
        # What a declaration said of the charset no longer holds: `characters` returned characters.
        parser = etree.HTMLParser(no_network=True, remove_comments=True, huge_tree=False, encoding="utf-8")
        try:
            root = etree.fromstring(characters(data).encode("utf-8", "replace") or b" ", parser)
        except (etree.ParserError, etree.XMLSyntaxError):
            root = None
        if any("depth" in error.message.lower() for error in parser.error_log):
            raise Unreadable("too_deep: the elements of a page nest deeper than a parser reads") from None
        return root


def local(node: Any) -> str:
    """Return the name of an element without its namespace, in lower case; "" for comments and the like."""
    return node.tag.rpartition("}")[2].lower() if isinstance(node.tag, str) else ""


def attribute(node: Any, name: str) -> str:
    """Return the value of an attribute, whatever its namespace; "" without it."""
    value = node.get(name)
    if value is not None:
        return str(value)
    return next((str(value) for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def text_of(node: Any | None) -> str:
    """Return the text of an element on one line; "" for None."""
    return " ".join("".join(node.itertext()).split()) if node is not None else ""


def iso_date(year: str, month: str, day: str) -> str:
    """Return a date in ISO 8601 as far as month and day are numbers that a calendar has; `year` is taken as it is."""
    if not (month.isdigit() and 1 <= int(month) <= 12):
        return year
    return f"{year}-{int(month):02d}" + (f"-{int(day):02d}" if day.isdigit() and 1 <= int(day) <= 31 else "")
