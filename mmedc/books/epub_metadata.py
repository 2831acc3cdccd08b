"""What the package document of an EPUB says of the book."""

import re
from dataclasses import dataclass, field
from typing import Any

from mmedc.books.book import Book, Unreadable
from mmedc.books.xmlfile import attribute, local, text_of
from mmedc.identifiers import ISBN, doi_in
from mmedc.licences import named, spdx

_DATE = re.compile(r"\d{4}(?:-\d\d(?:-\d\d)?)?")
_STATED_CHARS = 300
_WRITERS = frozenset(("aut", ""))


@dataclass(frozen=True)
class Metadata:
    """The values of the package document."""

    title: str | None
    authors: list[str]
    date: str | None
    identifiers: list[str]
    licence: str | None
    evidence: str | None
    reserved: str
    """The policy of the reservation of text and data mining; empty where nothing is reserved."""
    subjects: list[str] = field(default_factory=list)

    def fill(self, book: Book) -> Book:
        """Put the values into `book`, and return it."""
        book.title, book.date, book.licence, book.licence_evidence = self.title, self.date, self.licence, self.evidence
        book.authors, book.identifiers, book.subjects, book.reserved = (
            self.authors,
            self.identifiers,
            self.subjects,
            self.reserved,
        )
        return book


def describe(root: Any) -> Metadata:
    """Return what `package` says. Raises: Unreadable where there is no metadata element."""
    node = next(root.iter("{*}metadata"), None)
    if node is None:
        raise Unreadable("damaged: the package document has no metadata")
    metas = [(attribute(meta, "property") or meta.get("name") or "", _value(meta)) for meta in node.iter("{*}meta")]
    licence, evidence = _licence(node, metas)
    return Metadata(
        title=next((text for title in node.iter("{*}title") if (text := text_of(title))), None),
        authors=_authors(node),
        date=_date(node),
        identifiers=list(dict.fromkeys(_identifiers(node))),
        licence=licence,
        evidence=evidence,
        reserved=_reserved(metas),
        subjects=[text_of(subject) for subject in node.iter("{*}subject", "{*}type")],
    )


def _value(meta: Any) -> str:
    return text_of(meta) or meta.get("content") or ""


def _licence(node: Any, metas: list[tuple[str, str]]) -> tuple[str | None, str | None]:
    """Return (SPDX identifier or None, where and how the licence is stated or None)."""
    links = [link.get("href") or "" for link in node.iter("{*}link") if "license" in (link.get("rel") or "").lower()]
    stated = [value for name, value in metas if name.lower().rpartition(":")[2] in ("license", "rights")]
    rights = [text for right in node.iter("{*}rights") if (text := text_of(right))]
    for value in (*links, *stated, *rights):
        if found := spdx(value):
            return found, "epub"
    said = next((value for value in (*rights, *stated, *links) if value), "")
    return named(said), f"epub: {said[:_STATED_CHARS]}" if said else None


def _reserved(metas: list[tuple[str, str]]) -> str:
    """Return "1" and the address of the policy where text and data mining is reserved (TDM Reservation Protocol)."""
    values = dict(metas)
    if (values.get("tdm:reservation") or values.get("tdm-reservation") or "").strip() != "1":
        return ""
    return f"1 {values.get('tdm:policy') or values.get('tdm-policy') or ''}".strip()


def _authors(node: Any) -> list[str]:
    roles = {
        (meta.get("refines") or "").lstrip("#"): text_of(meta)
        for meta in node.iter("{*}meta")
        if attribute(meta, "property") == "role"
    }
    creators = []
    for creator in node.iter("{*}creator"):
        role = attribute(creator, "role") or roles.get(creator.get("id") or "\0", "")
        creators.append((role, text_of(creator)))
    written = [name for role, name in creators if role in _WRITERS and name]
    return written or [name for _, name in creators if name]


def _date(node: Any) -> str | None:
    dates = [(attribute(date, "event"), text_of(date)) for date in node.iter("{*}date")]
    ordered = sorted(dates, key=lambda one: one[0] not in ("publication", "original-publication"))
    return next((found[0] for _, text in ordered if (found := _DATE.match(text))), None)


def _identifiers(node: Any) -> list[str]:
    found = []
    for one in node.iter("{*}identifier", "{*}source"):
        text, scheme = text_of(one), attribute(one, "scheme").lower()
        low = text.lower()
        digits = low.removeprefix("urn:isbn:").removeprefix("isbn:").replace("-", "").replace(" ", "")
        if (scheme == "isbn" or "isbn" in low or local(one) == "identifier") and ISBN.fullmatch(digits):
            found.append(f"isbn:{digits.upper()}")
        elif low.startswith(("doi:", "https://doi.org/", "http://dx.doi.org/", "urn:doi:")) or scheme == "doi":
            found.append(f"doi:{doi}" if (doi := doi_in(low)) else "")
        elif low.startswith(("http://", "https://")) and local(one) == "identifier":
            found.append(f"url:{text}")
    return list(filter(None, found))
