"""JSON-LD of a page: the objects that describe the page itself, read from scripts that may be broken or huge."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

Thing = dict[str, Any]

MAX_CHARS = 256 << 10
"""Scripts beyond this length, all of a page together, are searched for `SCALAR` instead of being parsed."""

MAX_THINGS = 500
"""Objects that are looked at; the first ones describe the page, the others list its products or comments."""

DESCENDED = ("blogPost", "mainEntityOfPage", "mainEntity", "@graph")
SCALAR_CHARS = 64 << 10
SCALAR = re.compile(
    r'"(@type|headline|datePublished|dateCreated|license|inLanguage)"\s*:\s*"((?:[^"\\\n]|\\.){1,500})"'
)
JUNK = re.compile(r"^\s*(?:<!--|//\s*<!\[CDATA\[|<!\[CDATA\[|/\*.{0,40}?\*/)|(?:-->|//\s*\]\]>|\]\]>|;)\s*$", re.DOTALL)
TRAILING_COMMA = re.compile(r",(\s*[}\]])")

_ARTICLES = (
    "Article NewsArticle BlogPosting ScholarlyArticle MedicalScholarlyArticle TechArticle Report ReportageNewsArticle"
    " AnalysisNewsArticle OpinionNewsArticle ReviewNewsArticle BackgroundNewsArticle SocialMediaPosting LiveBlogPosting"
    " AdvertiserContentArticle SatiricalArticle Recipe HowTo LearningResource MedicalGuideline"
)
ARTICLES = frozenset(_ARTICLES.split())
THREADS = frozenset(("QAPage", "DiscussionForumPosting", "Question"))
_PAGES = "WebPage ItemPage AboutPage MedicalWebPage FAQPage ContactPage CollectionPage ProfilePage CheckoutPage"
PAGES = frozenset(_PAGES.split())
_WORKS = (
    "Product Drug Course Event Book Dataset VideoObject Movie SoftwareApplication CreativeWork Review Service"
    " MedicalCondition MedicalEntity Chapter Guide Quiz JobPosting PodcastEpisode Episode"
)
WORKS = frozenset(_WORKS.split())


def read_things(scripts: Iterable[str]) -> list[Thing]:
    """Return the objects of JSON-LD scripts in their order, at most `MAX_THINGS`; `@graph` and lists are flattened.

    A script that stays broken after its usual faults are mended yields one object with the properties that `SCALAR`
    finds in its beginning. Objects that are values of other properties than `mainEntity` are not listed.
    """
    things: list[Thing] = []
    left = MAX_CHARS
    for script in scripts:
        parsed = _parse(script) if len(script) <= left else None
        left -= len(script)
        if parsed is None:
            found = dict(reversed(SCALAR.findall(script[:SCALAR_CHARS])))
            things += [found] if found else []
            continue
        waiting = [parsed]
        while waiting and len(things) < MAX_THINGS:
            value = waiting.pop()
            if isinstance(value, list):
                waiting += value[MAX_THINGS::-1]
            elif isinstance(value, dict):
                things.append(value)
                waiting += [value[key] for key in DESCENDED if key in value]
    return things


def _parse(script: str) -> Any:
    """Return the value of a script, or None if it can't be parsed even after its usual faults are mended."""
    for mend in (str, lambda text: TRAILING_COMMA.sub(r"\1", JUNK.sub("", JUNK.sub("", text)))):
        try:
            return json.loads(mend(script), strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def types(thing: Thing) -> Iterator[str]:
    """Yield the types of an object without the address of their vocabulary."""
    given = thing.get("@type")
    for name in given if isinstance(given, list) else [given]:
        if isinstance(name, str):
            yield re.split("[/#:]", name)[-1]


def text(value: Any) -> str:
    """Return the text of a value: a string, the first of a list, or the name of an object; entities are resolved."""
    for _ in range(3):
        if isinstance(value, list):
            value = value[0] if value else ""
        elif isinstance(value, dict):
            value = next((value[key] for key in ("name", "@value", "@id", "url") if value.get(key)), "")
    if not isinstance(value, str):
        return ""
    return " ".join((html.unescape(html.unescape(value)) if "&" in value else value).split())


def main_thing(things: list[Thing], url: str, title: str) -> Thing:
    """Return the object that describes the page at `url` with `title`, or an empty one.

    An article or thread is preferred to a work, and a work to the page that shows it; among equals, the one that
    has the page's address; then the first. A work (a video, say) has to have the page's address or a name that its
    title contains. Of several articles none of which has the address, none is meant: such a page lists them.
    """
    path = _path(url)
    best: tuple[int, Thing] = (0, {})
    ties = 0
    for thing in things:
        kinds = set(types(thing))
        rank = 6 if kinds & ARTICLES or kinds & THREADS else 4 if kinds & WORKS else 2 if kinds & PAGES else 0
        if not kinds and ("headline" in thing or "datePublished" in thing):
            rank = 2
        if not rank:
            continue
        own = bool(path) and any(_path(text(thing.get(key))) == path for key in ("mainEntityOfPage", "url", "@id"))
        ties += rank == 6 and not own and not kinds & THREADS
        if rank == 4 and not own and text(thing.get("name")).casefold() not in title.casefold():
            continue
        if rank + own > best[0]:
            best = (rank + own, thing)
    return {} if ties > 2 and best[0] == 6 else best[1]


def _path(url: str) -> str:
    """Return host and path of an address without `www.`, fragment and slash at the end; empty for the home page."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    path = parts.path.rstrip("/")
    return f"{parts.netloc.removeprefix('www.')}{path}" if path else ""


def people(thing: Thing, things: list[Thing]) -> list[str]:
    """Return the names of the authors of `thing`; references to other objects of the page are followed."""
    given = thing.get("author") or thing.get("creator") or []
    by_id = {one["@id"]: one for one in things if isinstance(one.get("@id"), str)}
    names = []
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, dict) and "name" not in one and isinstance(one.get("@id"), str):
            one = by_id.get(one["@id"], "")
        if isinstance(one, dict) and "Organization" in set(types(one)):
            continue
        names.append(text(one))
    return names
