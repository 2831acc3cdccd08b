"""The day of publication of a page: from what it states, its address, or a date that it shows."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from mmedc.steps.extract import jsonld
from mmedc.steps.extract.dates import believable, date_of_path, days_between, read_date

_PUBLISHED = (
    "article:published_time og:article:published_time article:published og:published_time og:pubdate og:release_date"
    " datepublished date.published publisheddate published_time published_at publish_date publish-date publishdate"
    " published-date published pubdate publication_date publication-date date_published article.published"
    " article_date_original originalpublicationdate citation_online_date citation_publication_date citation_date"
    " parsely-pub-date sailthru.date cxenseparse:recs:publishtime bt:pubdate prism.publicationdate rnews:datepublished"
    " shareaholic:article_published_time bytedance:published_time weibo:article:create_at ptime gentime"
    " dc.date.issued dcterms.issued dc.date.created dcterms.created dcterms.date dc.date dc:date"
    " dcsext.articlefirstpublished date creation_date datecreated created article:created_time video:release_date"
    " og:video:release_date releasedate displaydate timestamp"
)
PUBLISHED = tuple(_PUBLISHED.split())
"""Names of `meta` elements that give the day of publication, the surest first."""

MODIFIED = ("article:modified_time", "og:updated_time", "dc.date.modified", "dcterms.modified", "last-modified")
SHOWN = (
    '[class*="date" i], [class*="time" i], [class*="publish" i], [class*="posted" i], [class*="byline" i], '
    '[class*="meta" i], [class*="info" i], [id*="date" i], [id*="time" i], [class*="author" i]'
)
FIRST_SHOWN = "1993"
"""The first year of a date that a page shows and does not state; there were no pages before."""

MAX_TIMES = 40
MAX_SHOWN = 60
SHOWN_CHARS = 120
LONE_CHARS = 60
LONE_TEXTS = 40
"""How many texts after a page's first heading are searched for a date that stands alone."""

CHANGED = re.compile(
    r"updated|modified|reviewed|actuali[sz]|aktuali|geändert|mis à jour|aggiornat|atualizad|обновл|изменен|"
    r"更新|修改|修订|수정|تحديث|محدث|अपडेट|अद्यतन|copyright|©|expire|deadline|event",
    re.IGNORECASE,
)
REMARKS = re.compile(r"comment|reply|related|sidebar|widget|footer|copyright|recent|teaser|card|promo", re.IGNORECASE)
YEAR = re.compile(r"(?:19|20)\d\d|[٠-٩]{4}|[०-९]{4}|令和|平成")
ASIDE = frozenset(("footer", "nav", "aside", "a", "option", "title", "script", "style", "label", "button"))


def day_of_publication(found: Any, main: jsonld.Thing, url: str, latest: str) -> str | None:
    """Return the day of publication from the surest source that has a believable one, or None.

    `found` is a `mmedc.steps.extract.metadata.Found`, `main` the object of JSON-LD that describes the page. The
    order is: stated in JSON-LD, `meta` or microdata; the address; a `time` element or an element named after a date;
    a date alone near the first heading; the day of the last change. Where the address names the day before or after
    the stated one, the address is right: the other is in another time zone.
    """
    in_path = date_of_path(urlsplit(url).path)
    in_path = in_path if believable(in_path, latest) else None
    for value in _stated(found, main):
        if believable(date := read_date(value, found.lang, partial=True), latest):
            return in_path if in_path and date and days_between(in_path, date) <= 1 else date
    if in_path:
        return in_path
    changed = []
    for value, is_change in chain(_shown(found), _alone(found.by_tag["h1"])):
        if believable(date := read_date(value, found.lang), latest) and str(date) >= FIRST_SHOWN:
            if not is_change:
                return date
            changed.append(date)
    for value in (jsonld.text(main.get("dateModified")), found.meta(*MODIFIED)):
        if believable(date := read_date(value, found.lang), latest):
            return date
    return next(iter(changed), None)


def _stated(found: Any, main: jsonld.Thing) -> Iterator[str]:
    """Yield the days of publication that a page states for machines, the surest first."""
    for key in ("datePublished", "dateCreated", "uploadDate"):
        yield jsonld.text(main.get(key))
    for name in PUBLISHED:
        yield from found.metas.get(name, ())[:1]
    for name in ("datePublished", "dateCreated"):
        for node in found.properties.get(name, ())[:1]:
            attributes = node.attributes
            yield attributes.get("datetime") or attributes.get("content") or node.text()
    for name, contents in found.metas.items():
        if "publish" in name and "modif" not in name:
            yield contents[0]


def _shown(found: Any) -> Iterator[tuple[str, bool]]:
    """Yield (a text with a date, whether it is the date of a change) of elements that are named after a date."""
    for node in found.by_tag["time"][:MAX_TIMES]:
        attributes, parent = node.attributes, node.parent
        around = f"{attributes.get('class')} {attributes.get('itemprop')} {parent.attributes.get('class')}"
        if not REMARKS.search(around):
            said = parent.text(separator=" ")[:SHOWN_CHARS]
            yield (
                attributes.get("datetime") or node.text(separator=" "),
                bool(CHANGED.search(around) or CHANGED.search(said)),
            )
    for node in found.tree.css(SHOWN)[:MAX_SHOWN]:
        text = node.text(separator=" ")
        if len(text) < SHOWN_CHARS:
            yield text, bool(CHANGED.search(text))


def _alone(headings: list[Any]) -> Iterator[tuple[str, bool]]:
    """Yield the short texts with a year that follow a heading of the first level; `headings` are all of them."""
    for heading in {node.mem_id: node for node in headings}.values():
        for node in _texts_after(heading):
            text = node.text_content.strip()
            if 6 <= len(text) <= LONE_CHARS and YEAR.search(text) and node.parent.tag not in ASIDE:
                yield text, bool(CHANGED.search(text))


def _texts_after(heading: Any) -> Iterator[Any]:
    """Yield the next `LONE_TEXTS` texts of a page, those of the heading first, up to the next such heading."""
    left = LONE_TEXTS
    node = heading.first_child or _beyond(heading)
    while node is not None and left:
        tag = node.tag
        if tag == "h1":
            return
        if tag == "-text":
            left -= 1
            yield node
        node = node.first_child or _beyond(node)


def _beyond(node: Any) -> Any | None:
    """Return the node after `node` and all that it holds, in the order of the page, or None at its end."""
    while node is not None:
        if node.next is not None:
            return node.next
        node = node.parent
    return None
