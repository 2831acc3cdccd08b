"""How far the text of a page can be trusted, and the figures from which the need for OCR is decided."""

import functools
import re
from dataclasses import dataclass

from mmedc.books.pdf.model import PageText

UNMAPPED = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\U000f0000-\U000ffffd]")
HAN = re.compile("[\u4e00-\u9fff]")
KANA = re.compile("[\u3041-\u30fe]")
LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
OTHER = re.compile("[^\\W\\d_A-Za-z\u00c0-\u024f]")
MIXED = re.compile("[a-z\u00df-\u00ff][A-Z\u00c0-\u00de]")
SYMBOLS = re.compile(
    "[$+<=>^`|~\u00a2-\u00a9\u00ac-\u00b1\u00b4\u00b8\u00d7\u00f7\u2044\u2052\u20a0-\u20c0\u2100-\u2bff]"
)
VOWELS = "aeiouyáàâäãåéèêëíìîïóòôöõúùûüæœ"
FREQUENT = frozenset(
    "的一是不了在人有我他这中大来上国个到说为和地也子时年要就出会可下过生这對與及於之以者而其病症治用药"
)
"""Characters of which every longer Chinese text has some."""

SOUND_QUALITY = 0.55
UNMAPPED_SHARE = 0.1
SCANNED_IMAGES = 0.5
FEW_CHARS = 30


@dataclass(frozen=True, slots=True)
class Features:
    """Figures of one page."""

    chars: int
    """Characters that are not space."""
    images: float
    """The share of the page that images cover."""
    coverage: float
    """The share of the page that the boxes of lines cover."""
    unmapped: float
    """The share of characters without a meaning: control, private-use and replacement characters."""
    quality: float
    """How much the text looks like a language, 0 to 1."""

    def need(self) -> str | None:
        """Return why the text of the page does not do and OCR is needed, or None."""
        if self.chars < FEW_CHARS:
            return f"no_text: images cover {self.images:.0%}" if self.images >= SCANNED_IMAGES / 2 else None
        if self.unmapped > UNMAPPED_SHARE:
            return f"garbled: {self.unmapped:.0%} of the characters have no meaning"
        if self.quality < SOUND_QUALITY:
            return f"garbled: the characters do not look like a language ({self.quality:.2f})"
        return None


def features(page: PageText) -> Features:
    """Return the figures of a page."""
    text = "".join(line.text for line in page.lines)
    chars = len(text) - text.count(" ")
    area = sum((line.x1 - line.x0) * (line.y1 - line.y0) for line in page.lines if line.x1 > line.x0)
    coverage = min(area / max(page.width * page.height, 1.0), 1.0)
    return Features(chars, page.images, coverage, unmapped(text), quality(text))


def unmapped(text: str) -> float:
    """Return the share of characters that stand for nothing."""
    return len(UNMAPPED.findall(text)) / max(len(text), 1)


def quality(text: str) -> float:
    """Return how much `text` looks like a language, 0 to 1; 1 for a text that is too short to tell.

    Chinese characters are compared with the common ones: a wrong map gives rare characters, or common ones without
    those that every text has. Latin letters are compared with the share of vowels and the case of letters in words.
    """
    han = HAN.findall(text)
    if len(han) >= 60:
        common = sum(char in _common() for char in han) / len(han)
        frequent = sum(char in FREQUENT for char in han) / len(han)
        if common < 0.9:
            return max(0.0, common - 0.35)
        if len(han) >= 200 and frequent < 0.02 and len(KANA.findall(text)) < 0.1 * len(han):
            return 0.3
        return common
    words = LATIN.findall(text)
    letters = "".join(words).lower()
    if len(letters) < 80 or len(letters) < len(OTHER.findall(text)):
        return 1.0
    vowels = sum(map(letters.count, VOWELS)) / len(letters)
    odd = len(MIXED.findall(text)) / len(words)
    broken = 1.0 if 0.25 <= vowels <= 0.62 else max(0.0, 1 - 6 * max(0.25 - vowels, vowels - 0.62))
    strange = len(SYMBOLS.findall(text)) / len(text)
    return max(0.0, broken - max(0.0, odd - 0.25) - max(0.0, 4 * (strange - 0.08)))


@functools.cache
def _common() -> frozenset[str]:
    """Return the characters of the first levels of the Chinese and Japanese standards: about 8,000 of 21,000."""
    found: set[str] = set()
    for codec, leads, trails in (
        ("gb2312", range(0xB0, 0xF8), range(0xA1, 0xFF)),
        ("euc_jp", range(0xB0, 0xD0), range(0xA1, 0xFF)),
        ("big5", range(0xA4, 0xC7), (*range(0x40, 0x7F), *range(0xA1, 0xFF))),
    ):
        for lead in leads:
            for trail in trails:
                found.update(bytes((lead, trail)).decode(codec, "ignore"))
    return frozenset(found)
