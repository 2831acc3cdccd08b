"""How far the text of a page can be trusted, and the figures from which the need for OCR is decided."""

from dataclasses import dataclass

from mmedc.books.pdf.model import PageText
from mmedc.books.pdf.need import FULL, judge, unmapped

SOUND_QUALITY = 0.5
UNMAPPED_SHARE = 0.1
SCANNED_IMAGES = 0.25
FEW_CHARS = 30
EDGE = 0.08
"""Of the height of a page, at its top and bottom: where stamps and running titles stand on a scan."""


@dataclass(frozen=True, slots=True)
class Features:
    """Figures of one page."""

    chars: int
    """Characters that are not space."""
    body: int
    """Those of them that do not stand at the upper or lower edge of the page."""
    images: float
    """The share of the page that images cover."""
    coverage: float
    """The share of the page that the boxes of lines cover."""
    unmapped: float
    """The share of characters without a meaning: control, private-use and replacement characters."""
    quality: float
    """How far its text can be trusted: 1 less the chance that it is wrong; 1 where it is too short to tell."""

    def need(self) -> str | None:
        """Return why the text of the page does not do and OCR is needed, or None."""
        if self.chars < FEW_CHARS:
            return f"no_text: images cover {self.images:.0%}" if self.images >= SCANNED_IMAGES else None
        if self.body < FEW_CHARS and self.images >= FULL:
            return f"no_text: images cover {self.images:.0%}, and what text there is stands at the edges"
        if self.unmapped > UNMAPPED_SHARE:
            return f"garbled: {self.unmapped:.0%} of the characters have no meaning"
        if self.quality >= SOUND_QUALITY:
            return None
        return f"garbled: the characters do not look like a language ({self.quality:.2f})"


def features(page: PageText, model: str | None = None) -> Features:
    """Return the figures of a page. `model` is a file of `mmedc fit pages`; by default the one that ships."""
    text = "\n".join(line.text for line in page.lines)
    chars = len(text) - text.count(" ") - text.count("\n")
    inside = [line.text for line in page.lines if EDGE < (line.y0 + line.y1) / (2 * page.height) < 1 - EDGE]
    body = sum(len(part) - part.count(" ") for part in inside)
    area = sum((line.x1 - line.x0) * (line.y1 - line.y0) for line in page.lines if line.x1 > line.x0)
    coverage = min(area / max(page.width * page.height, 1.0), 1.0)
    quality = 1 - judge(model).chance(text, page.images) if chars >= FEW_CHARS else 1.0
    return Features(chars, body, page.images, coverage, unmapped(text), quality)
