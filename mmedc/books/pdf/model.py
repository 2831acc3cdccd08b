"""A page as an engine reads it: lines with their places. All measures are points; y grows downwards from the top."""

from dataclasses import dataclass
from typing import NamedTuple

ASCENT, DESCENT = 0.8, 0.2
"""How far a line reaches above and below its baseline, in its size; the same for all engines, so that layouts agree."""

REPAIRED = "the table of objects is broken and was rebuilt"


@dataclass(slots=True)
class Line:
    """A run of text on one baseline, as an engine reports it or as the layout has joined it."""

    x0: float
    x1: float
    base: float
    """The baseline; for vertical text the upper end."""
    size: float
    text: str
    bold: bool = False
    end: float = 0.0
    """For vertical text the lower end; 0 for horizontal text."""
    turned: bool = False
    """Whether the line is rotated against the text of its page."""
    nameless: bool = False
    """Whether its font has no name, as fonts of type 3, whose places pdf-inspector reports shifted by a size."""

    @property
    def y0(self) -> float:
        """The upper edge."""
        return self.base - ASCENT * self.size if not self.end else self.base

    @property
    def y1(self) -> float:
        """The lower edge."""
        return self.base + DESCENT * self.size if not self.end else self.end


@dataclass
class PageText:
    """What an engine reads on a page."""

    width: float
    height: float
    lines: list[Line]
    engine: str
    """The library that read it: `mupdf`, `inspector`, `glyphs`."""
    images: float = 0.0
    """The share of the page that images cover, 0 to 1."""
    may_hide: bool = True
    """Whether some of the text may be hidden; False where the engine knows that none is."""
    hidden: int = 0
    """Characters that were removed because the page does not show them."""


class OcrPage(NamedTuple):
    """What OCR reads on a page."""

    page: PageText
    confidence: float
    """The mean over its characters, by the model itself, 0 to 1."""
    unused: str | None
    """Why its text is not used, or None."""


@dataclass(frozen=True)
class Heading:
    """An entry of the outline."""

    title: str
    level: int
    """From 1 for the highest."""
    page: int
    """From 0."""


@dataclass(frozen=True)
class Cover:
    """What a file says about itself."""

    pages: int
    title: str | None = None
    authors: tuple[str, ...] = ()
    date: str | None = None
    licence: str | None = None
    identifiers: tuple[str, ...] = ()
    outline: tuple[Heading, ...] = ()
    repaired: str | None = None
    """What was wrong with the structure of the file, if it was read nevertheless."""
    missing: int = 0
    """Pages that the file states and does not have."""
    reserved: str = ""
    """How the file reserves text and data mining (`tdm:reservation` of XMP); empty where it does not."""
