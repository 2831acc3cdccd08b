"""What a page says about itself: title, day of publication, authors, licence and address, from the parsed tree.

The declared language is used to read dates only and does not become a column: templates declare the language of their
maker, so the text itself says more.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mmedc.identifiers import doi_in
from mmedc.steps.extract import dated, jsonld, titles
from mmedc.steps.extract.addresses import canonical
from mmedc.steps.extract.bylines import BY, authors_shown
from mmedc.steps.extract.licences import Licence, choose_licence

SELECTOR = (
    'title, meta, link[rel], h1, time, [itemprop], script[type*="ld+json"], a[rel],'
    ' a[href*="creativecommons.org/"], a[href*="open-government-licence"]'
)
META_KEYS = ("property", "name", "itemprop")
RIGHTS = (
    "dcterms.license",
    "dc.rights.license",
    "dcterms.rights",
    "dc.rights",
    "citation_license",
    "copyright",
    "license",
)
AUTHORS = ("citation_author", "author", "parsely-author", "dc.creator", "dcterms.creator", "sailthru.author", "byl")
MAX_AUTHORS = 50
MAX_NAME_CHARS = 80
MAX_NODES = 5_000
NO_NAME = re.compile(
    r"https?:|www\.|@|\d{4}|^(?:admin|administrator|super ?user|editor|editors|staff|webmaster|guest|author|"
    r"author archives|publisher|anonymous|unknown|redaktion|rédaction|redacción|redação|redazione|редакция)$",
    re.IGNORECASE,
)


class Metadata(NamedTuple):
    """What a page says about itself; None or empty where it says nothing that can be believed."""

    title: str | None = None
    date: str | None = None
    authors: tuple[str, ...] = ()
    licence: Licence | None = None
    identifiers: tuple[str, ...] = ()
    """`doi:…`, `pmid:…` and, where it is not the address of the page, `url:…` for the canonical one."""


class Found:
    """The elements of a page that say something about it, gathered in one walk over the tree.

    `tree` is a tree of selectolax's lexbor that still has its `script` elements.
    """

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.metas: dict[str, list[str]] = defaultdict(list)
        self.links: dict[str, list[str]] = defaultdict(list)
        self.by_tag: dict[str, list[Any]] = defaultdict(list)
        self.properties: dict[str, list[Any]] = defaultdict(list)
        for node in tree.css(SELECTOR)[:MAX_NODES]:
            tag, attributes = node.tag, node.attributes
            if tag == "meta":
                if content := attributes.get("content"):
                    for key in META_KEYS:
                        if name := attributes.get(key):
                            self.metas[name.strip().lower()].append(content)
            elif tag == "link":
                for name in (attributes.get("rel") or "").lower().split():
                    self.links[name].append(attributes.get("href") or "")
            else:
                self.by_tag[tag].append(node)
                if name := attributes.get("itemprop"):
                    self.properties[name].append(node)
        html = tree.root
        self.lang = ((html.attributes.get("lang") if html is not None else None) or "").strip().lower()
        self.things = jsonld.read_things(node.text() for node in self.by_tag["script"])
        self.document = next((node.text() for node in self.by_tag["title"] if node.parent.tag == "head"), "")

    def meta(self, *names: str) -> str:
        """Return the first content of the first of the named `meta` elements that there is."""
        return next((self.metas[name][0] for name in names if name in self.metas), "")


def read_metadata(found: Found, url: str, latest: str) -> Metadata:
    """Return what a page at `url` says about itself; its date is at most `latest` (ISO 8601).

    The styles in headings are removed from the tree.
    """
    main = jsonld.main_thing(found.things, url, found.document + found.meta("og:title"))
    return Metadata(
        title=_title(found, main, url) or None,
        date=dated.day_of_publication(found, main, url, latest),
        authors=tuple(dict.fromkeys(_authors(found, main)))[:MAX_AUTHORS],
        licence=choose_licence(
            found.links.get("license", ()),
            [jsonld.text(main.get("license"))],
            [value for name in RIGHTS for value in found.metas.get(name, ())],
            [node for node in found.by_tag["a"] if not node.attributes.get("itemprop")],
        ),
        identifiers=tuple(dict.fromkeys(_identifiers(found, url))),
    )


def _identifiers(found: Found, url: str) -> Iterator[str]:
    """Yield the identifiers of the page's work, and its canonical address."""
    if doi := doi_in(
        found.meta("citation_doi", "dc.identifier", "dc.identifier.doi", "prism.doi", "bepress_citation_doi")
    ):
        yield f"doi:{doi}"
    if (pmid := found.meta("citation_pmid").strip()).isascii() and pmid.isdigit():
        yield f"pmid:{pmid}"
    address = next((href for href in found.links.get("canonical", ()) if href.strip()), "") or found.meta("og:url")
    if (named := canonical(address, url)) and named != url:
        yield f"url:{named}"


def _title(found: Found, main: jsonld.Thing, url: str) -> str:
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    sites = [
        found.meta("og:site_name"),
        found.meta("application-name"),
        host,
        host.rpartition(".")[0],
        host.split(".")[0],
    ]
    for thing in found.things:
        if "name" in thing and not {"WebSite", "Organization", "NewsMediaOrganization"}.isdisjoint(jsonld.types(thing)):
            sites.append(jsonld.text(thing["name"]))
    sites.append(jsonld.text(main.get("publisher")))
    headings = []
    for node in found.by_tag["h1"][:4]:
        for style in node.css("style, script"):
            style.decompose()
        headings.append(node.text())
    headline = jsonld.text(main.get("headline") or main.get("name"))
    social = found.meta("og:title", "twitter:title")
    return titles.choose_title(headline, social, found.document, headings, sites)


def _authors(found: Found, main: jsonld.Thing) -> Iterator[str]:
    """Yield the names of a page's authors from the surest source; the writers of a thread are not named."""
    if any(not jsonld.THREADS.isdisjoint(jsonld.types(thing)) for thing in found.things):
        return
    for source in _sources(found, main):
        names = [BY.sub("", " ".join(name.split())).strip(" ,;|") for name in source]
        names = [name for name in names if 2 <= len(name) <= MAX_NAME_CHARS and not NO_NAME.search(name)]
        if names:
            yield from names
            return


def _sources(found: Found, main: jsonld.Thing) -> Iterator[list[str]]:
    """Yield what may be the names of a page's authors, the surest first."""
    yield jsonld.people(main, found.things)
    yield next((found.metas[name] for name in AUTHORS if name in found.metas), [])
    anchors = [node.text() for node in found.by_tag["a"] if "author" in (node.attributes.get("rel") or "").split()]
    yield [text for text in anchors if text.strip()][:1]
    if "article" in found.meta("og:type").lower() or any(
        not jsonld.ARTICLES.isdisjoint(jsonld.types(thing)) for thing in found.things
    ):  # a search of the whole tree, which costs as much as a twentieth of all extraction
        yield authors_shown(found.tree)
