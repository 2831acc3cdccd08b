"""What a file says about itself: document information and XMP, and what its first and last pages say.

XMP is looked for in the bytes of the file, where the standard asks that it be readable without a PDF parser (ISO
16684-1, 7.3.2), so that both engines read the same.
"""

import html
import mmap
import re
from collections.abc import Iterable, Sequence
from datetime import date

from mmedc.books.pdf.engines import Opened
from mmedc.books.pdf.model import Cover
from mmedc.identifiers import doi_in
from mmedc.licences import CREATIVE_COMMONS, named, printed, spdx

XMP_BYTES = 1 << 20
MAX_OUTLINE = 20_000
MAX_TITLE = 500
STATEMENT_CHARS, SHOWN_CHARS = 300, 200  # of a licence in words
FULL_NAME = re.compile(r"Creative\s+Commons", re.IGNORECASE)
DATE = re.compile(r"(?:D:)?(\d{4})-?(\d{2})?-?(\d{2})?")
ISBN = re.compile(r"ISBN(?:-1[03])?:?\s*((?:97[89][ -]?)?(?:\d[ -]?){9}[\dXx])")
UNTITLED = re.compile(
    r"^(?:untitled|microsoft word.*|.*\.(?:docx?|indd|tex|dvi|qxd|pdf|pm6|fm|html?)|\W*)$", re.IGNORECASE
)


def cover_of(opened: Opened) -> Cover:
    """Return what the document information, the outline and the XMP of a file say."""
    given, xmp = opened.metadata(), _xmp(opened.path)
    title = next((t for t in (_one(xmp, "dc:title"), _clean(given.get("Title"))) if t and not UNTITLED.match(t)), None)
    authors = _many(xmp, "dc:creator") or re.split(r"\s*;\s*|\s+and\s+", _clean(given.get("Author")) or "")
    rights = [
        *re.findall(r'(?:xmpRights:WebStatement|cc:license|dcterms:license)[^>]*?(?:resource=)?"([^"]+)"', xmp),
        *(
            _one(xmp, name) or ""
            for name in ("xmpRights:WebStatement", "cc:license", "dc:rights", "xmpRights:UsageTerms")
        ),
    ]
    dois = [doi_in(_one(xmp, name) or "") for name in ("prism:doi", "dc:identifier")]
    identifiers = [f"doi:{doi}" for doi in dois if doi]
    return Cover(
        pages=opened.pages,
        title=title[:MAX_TITLE] if title else None,
        authors=tuple(name for name in authors if name.strip()),
        date=_date(given.get("CreationDate") or _one(xmp, "xmp:CreateDate") or ""),
        licence=next(filter(None, map(spdx, rights)), None),
        identifiers=tuple(dict.fromkeys(identifiers)),
        outline=tuple(opened.outline()[:MAX_OUTLINE]),
        repaired=opened.repaired,
        missing=opened.missing,
        reserved=_reserved(xmp),
    )


def identifiers_in(texts: Iterable[str]) -> list[str]:
    """Return the DOI and the ISBNs with a sound check digit in the texts of the first pages."""
    found: dict[str, None] = {}
    for text in texts:
        if doi := doi_in(text):
            found[f"doi:{doi}"] = None
        for match in ISBN.finditer(text):
            digits = re.sub(r"[ -]", "", match[1]).upper()
            if _sound(digits):
                found[f"isbn:{digits}"] = None
    dois = [value for value in found if value.startswith("doi:")][:1]
    return dois + [value for value in found if value.startswith("isbn:")]


def licence_in(texts: Sequence[str]) -> tuple[str, str] | tuple[None, None]:
    """Return the Creative Commons licence that pages state, and where it was found, or (None, None).

    An address on any of the pages comes first, then the full name in a sentence, then the short name at the end of a
    line of the first page.
    """
    for text in texts:
        for match in CREATIVE_COMMONS.finditer(re.sub(r"(?<=[/.])\s+", "", text)):
            if found := spdx(match[0]):
                return found, "page"
    for text in texts:
        for match in FULL_NAME.finditer(text):
            said = " ".join(text[match.start() : match.end() + STATEMENT_CHARS].split())
            if found := named(said):
                return found, f"page: {said[:SHOWN_CHARS]}"
    if texts and (found := printed(texts[0])):
        return found, "page: the short name on the first page"
    return None, None


def _sound(digits: str) -> bool:
    values = [10 if digit == "X" else int(digit) for digit in digits]
    if len(values) == 10:
        return sum((10 - at) * value for at, value in enumerate(values)) % 11 == 0
    return len(values) == 13 and sum(value * (3 if at % 2 else 1) for at, value in enumerate(values)) % 10 == 0


def _xmp(path: str) -> str:
    """Return the last XMP packet of a file, that of the document; empty without one."""
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return ""
        with data:
            end = data.rfind(b"</x:xmpmeta>")
            begin = data.rfind(b"<x:xmpmeta", max(end - XMP_BYTES, 0), end) if end > 0 else -1
            return data[begin:end].decode("utf-8", "replace") if begin >= 0 else ""


def _many(xmp: str, name: str) -> list[str]:
    found = re.search(rf"<{name}[^>]*>(.*?)</{name}>", xmp, re.DOTALL)
    if not found:
        return []
    items = re.findall(r"<rdf:li[^>]*>([^<]*)</rdf:li>", found[1]) or [re.sub(r"<[^>]*>", " ", found[1])]
    return [text for item in items if (text := _clean(html.unescape(item)))]


def _one(xmp: str, name: str) -> str | None:
    found = _many(xmp, name)
    if found:
        return found[0]
    attribute = re.search(rf'\b{name}="([^"]*)"', xmp)
    return _clean(html.unescape(attribute[1])) if attribute else None


def _reserved(xmp: str) -> str:
    """Return the value of `tdm:reservation` where it reserves text and data mining."""
    return "1" if _one(xmp, "tdm:reservation") == "1" else ""


def _clean(text: str | None) -> str | None:
    return " ".join((text or "").replace("\0", "").split()) or None


def _date(text: str) -> str | None:
    found = DATE.match(text.strip())
    if not found or not 1800 <= int(found[1]) <= 2100:
        return None
    try:
        date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        return found[1]
    return "-".join(part for part in found.groups() if part)
