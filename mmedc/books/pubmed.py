"""Citations of PubMed: the title and the abstract of an article, with what is known of it."""

from typing import Any

from mmedc.books.book import ARTICLE, Book
from mmedc.books.manuscript import Manuscript
from mmedc.books.rules import BookRules
from mmedc.books.xmlfile import iso_date, local, parse, text_of

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def citation(data: bytes, rules: BookRules) -> list[Book]:
    """Return the document of a `PubmedArticle`. Raises: Unreadable."""
    root = parse(data, "the citation")
    article = next(root.iter("{*}Article"), root)
    title = text_of(article.find("{*}ArticleTitle")).strip("[]") or None
    out = Manuscript(rules)
    out.heading(title or "", 1)
    for abstract in article.findall("{*}Abstract"):
        for part in abstract.findall("{*}AbstractText"):
            out.heading((part.get("Label") or "").capitalize(), 2)
            out.block(text_of(part))
    for other in root.iter("{*}OtherAbstract"):
        with out.part("translations", other.get("Language") or ""):
            out.block(text_of(other))
    return [
        out.into(
            Book(
                "",
                title=title,
                date=_date(article),
                kind=ARTICLE,
                authors=_authors(article),
                identifiers=list(dict.fromkeys(_identifiers(root))),
            )
        )
    ]


def _authors(article: Any) -> list[str]:
    names = []
    for author in article.iter("{*}Author"):
        parts = [text_of(author.find(f"{{*}}{name}")) for name in ("ForeName", "LastName", "CollectiveName")]
        if name := " ".join(filter(None, parts)):
            names.append(name)
    return names


def _date(article: Any) -> str | None:
    found = next((node for node in article.iter("{*}ArticleDate")), None)
    if found is None:
        found = next((node for node in article.iter("{*}PubDate")), None)
    if found is None:
        return None
    year, month, day = (text_of(found.find(f"{{*}}{name}")) for name in ("Year", "Month", "Day"))
    year = year or text_of(found.find("{*}MedlineDate"))[:4]
    if not (len(year) == 4 and year.isdigit()):
        return None
    if month[:3].lower() in _MONTHS:
        month = str(_MONTHS.index(month[:3].lower()) + 1)
    return iso_date(year, month, day)


def _identifiers(root: Any) -> list[str]:
    found = [f"pmid:{text_of(node)}" for node in root.iter("{*}PMID") if local(node.getparent()) == "medlinecitation"]
    for node in root.iter("{*}ArticleId"):
        lists = [local(above) for above in node.iterancestors()]
        kind = {"doi": "doi", "pmc": "pmcid", "pubmed": "pmid"}.get(node.get("IdType") or "")
        if kind and "reference" not in lists:
            found.append(f"{kind}:{text_of(node)}")
    return found
