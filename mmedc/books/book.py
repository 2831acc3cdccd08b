"""A book or an article as its parser gives it: a text with structure, what is known of it, and what was left out."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmedc.jsonlines import whole_characters

TEXTBOOK, BOOK, ARTICLE, ENCYCLOPEDIA = "textbook", "book", "article", "encyclopedia"


class Section(NamedTuple):
    """A section: its first character in the text, its heading, and the depth of the heading, from 1 for the highest."""

    offset: int
    title: str
    level: int


class LeftOut(NamedTuple):
    """A part that was left out: what it was taken for, its heading or file, and its length in characters."""

    part: str
    title: str
    chars: int


class Unreadable(Exception):
    """The content cannot be read as its format; the message is the reason, then perhaps `: ` and what was seen."""


@dataclass
class Book:
    """One document."""

    text: str
    place: str = ""
    """Where in the file it is, as `section=2.3`; empty for the only document of a file."""
    locator: str | None = None
    """Its own address, for documents that have one; it replaces the name of the file."""
    title: str | None = None
    date: str | None = None
    """ISO 8601, as precise as the file states it."""
    kind: str | None = None
    """What the file itself says that it is; None where it says nothing."""
    licence: str | None = None
    """SPDX; None where the file states no licence that is known."""
    licence_evidence: str | None = None
    """Where the licence, known or not, was stated, and its words where they are not a known licence."""
    authors: list[str] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    """The offset of each page, where the format has pages."""
    left_out: list[LeftOut] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    """What the file says that it is about, or of which genre."""
    markup: str | None = None
    """The media type of `text` where a step is to turn it into text, so that most of it is dropped unparsed."""
    unread: str = ""
    """The reason to reject it; empty for a document that could be read."""
    unwanted: str = ""
    """The reason to drop it; empty for a document that is wanted."""
    reserved: str = ""
    """How the file reserves text and data mining; empty where it does not."""

    def columns(self) -> dict[str, Any]:
        """Return the columns of `mmedc.document.RAW` that the document fills."""
        return {
            "text": whole_characters(self.text),
            "content_type": self.markup,
            "title": _or_none(self.title),
            "date": self.date,
            "kind": self.kind,
            "licence": self.licence,
            "licence_evidence": _or_none(self.licence_evidence),
            "authors": [whole_characters(name) for name in self.authors] or None,
            "identifiers": [whole_characters(name) for name in self.identifiers] or None,
            "sections": [
                {"offset": section.offset, "title": whole_characters(section.title), "level": min(section.level, 127)}
                for section in self.sections
            ]
            or None,
            "pages": self.pages or None,
            "left_out": [
                {"part": part, "title": whole_characters(title), "chars": chars} for part, title, chars in self.left_out
            ]
            or None,
        }


def _or_none(value: str | None) -> str | None:
    return whole_characters(value) if value else None
