"""What the front of a JATS article or a BITS book says of it: title, authors, date, identifiers, licence."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from mmedc.books.book import Book
from mmedc.books.xmlfile import attribute, iso_date, local, text_of
from mmedc.licences import named, spdx

_DATES = ("epub", "pub", "ppub", "epub-ppub", "collection", "epreprint", "pmc-release")
"""Which of several dates of publication counts: the first of these kinds that the article has."""
_IDS = {"doi": "doi", "pmid": "pmid", "pmc": "pmcid", "pmcid": "pmcid", "pmcaid": "", "isbn": "isbn"}
_STATED_CHARS = 300
_AUTHORS = ("author", "editor", "")


@dataclass(frozen=True)
class Front:
    """The values of the front."""

    title: str | None = None
    authors: tuple[str, ...] = ()
    date: str | None = None
    identifiers: tuple[str, ...] = ()
    licence: str | None = None
    evidence: str | None = None
    subjects: tuple[str, ...] = field(default=())

    def or_else(self, other: "Front") -> "Front":
        """Return these values, and those of `other` where there are none; identifiers are never taken over."""
        return replace(
            self,
            authors=self.authors or other.authors,
            date=self.date or other.date,
            licence=self.licence or (None if self.evidence else other.licence),
            evidence=self.evidence or other.evidence,
            subjects=self.subjects or other.subjects,
        )

    def fill(self, book: Book) -> Book:
        """Put the values into `book`, and return it."""
        book.title, book.date, book.licence, book.licence_evidence = self.title, self.date, self.licence, self.evidence
        book.authors, book.identifiers = list(self.authors), list(self.identifiers)
        return book


def describe(front: Any | None) -> Front:
    """Return what `front`, `front-stub` or `book-meta` says."""
    if front is None:
        return Front()
    licence, evidence = licence_of(front)
    return Front(
        title=_title(front),
        authors=tuple(dict.fromkeys(_authors(front))),
        date=_date(front),
        identifiers=tuple(dict.fromkeys(_identifiers(front))),
        licence=licence,
        evidence=evidence,
        subjects=tuple(text_of(node) for node in front.iter("{*}subject")),
    )


def stated_language(node: Any) -> str:
    """Return the language that an element states for itself, in two or three letters; "" where it states none."""
    return attribute(node, "lang").partition("-")[0].lower()


def licence_of(front: Any) -> tuple[str | None, str | None]:
    """Return (the SPDX identifier of the licence or None, where and how it is stated or None).

    A licence that is named only in words is that of `mmedc.licences.named`, and its words are the evidence.
    """
    said = ""
    for node in front.iter("{*}license"):
        if any(local(above) == "fig" for above in node.iterancestors()):
            continue
        addresses = [attribute(inner, "href") for inner in node.iter()]
        addresses += [text_of(inner) for inner in node.iter("{*}license_ref")]
        for address in [*addresses, text_of(node)]:
            if address and (found := spdx(address)):
                return found, "jats"
        said = said or text_of(node) or next(filter(None, addresses), "")
    if not said:
        said = next((text for node in front.iter("{*}license_ref") if (text := text_of(node))), "")
        if found := spdx(said):
            return found, "jats"
    if not said:  # the old way: the licence is a sentence of the copyright statement
        said = next(
            (text for node in front.iter("{*}copyright-statement") if "licen" in (text := text_of(node)).lower()), ""
        )
        if found := spdx(said):
            return found, "jats"
    return named(said), f"jats: {said[:_STATED_CHARS]}" if said else None


def _title(front: Any) -> str | None:
    for name in ("article-title", "book-title", "title"):
        node = next(front.iter(f"{{*}}{name}"), None)
        if node is not None:
            skipped = {part for note in node.iter("{*}xref", "{*}fn") for part in note.iter()}
            title = " ".join("".join(_in_order(node, skipped)).split())
            subtitle = node.getnext()
            if subtitle is not None and local(subtitle) == "subtitle" and title:
                title = f"{title}: {text_of(subtitle)}"
            return title or None
    return None


def _in_order(node: Any, skipped: set[Any]) -> list[str]:
    parts = [node.text or ""] if node not in skipped and isinstance(node.tag, str) else []
    for child in node:
        parts += _in_order(child, skipped)
        if node not in skipped:
            parts.append(child.tail or "")
    return parts


def _authors(front: Any) -> list[str]:
    found: dict[str, list[str]] = {}
    for contrib in front.iter("{*}contrib"):
        kind = contrib.get("contrib-type") or ""
        name = next(contrib.iter("{*}name", "{*}string-name", "{*}collab"), None)
        if name is None:
            continue
        given, surname = name.find("{*}given-names"), name.find("{*}surname")
        western = name.get("name-style") != "eastern"
        parts = [text_of(part) for part in ((given, surname) if western else (surname, given)) if part is not None]
        suffix = name.find("{*}suffix")
        text = " ".join([*parts, *([text_of(suffix)] if suffix is not None else [])]) or text_of(name)
        if text:
            found.setdefault(kind, []).append(text)
    return next((found[kind] for kind in _AUTHORS if kind in found), [])


def _date(front: Any) -> str | None:
    by_kind: dict[str, str] = {}
    for node in front.iter("{*}pub-date"):
        year, month, day = (text_of(node.find(f"{{*}}{name}")) for name in ("year", "month", "day"))
        if re.fullmatch(r"\d{4}", year):
            date = iso_date(year, month, day)
            by_kind.setdefault(node.get("pub-type") or node.get("date-type") or "pub", date)
    return next((by_kind[kind] for kind in _DATES if kind in by_kind), next(iter(by_kind.values()), None))


def _identifiers(front: Any) -> list[str]:
    found = []
    for node in front.iter("{*}article-id", "{*}book-id", "{*}isbn", "{*}book-part-id"):
        kind = "isbn" if local(node) == "isbn" else (node.get("pub-id-type") or node.get("book-id-type") or "").lower()
        value = text_of(node)
        scheme = _IDS.get(kind)
        if not scheme or not value:
            continue
        if scheme == "pmcid" and not value.upper().startswith("PMC"):
            value = f"PMC{value}"
        if scheme == "isbn":
            value = value.replace("-", "").replace(" ", "")
        if scheme == "doi":
            value = value.lower()
        found.append(f"{scheme}:{value}")
    return found
