"""What a page says of its main content in its head and its JSON-LD, as features of its blocks.

A description is mostly the beginning of the text, a stated text is mostly the text, and the title stands above it. All
of them are compared with the blocks in the form of `titles.form`, so that no language is favoured.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmedc.steps.extract import jsonld
from mmedc.steps.extract.metadata import Found
from mmedc.steps.extract.titles import form
from mmedc.steps.extract.tree import parse, walk

Ints = NDArray[np.int64]

OPENING = 40
"""The letters and digits of a description by which the block that it was taken from is found."""
LEAST = 16
"""The letters and digits from which on a block can be found in a stated text, and a description in a block."""
OPENING_CHARS, SEEN_CHARS, BODY_CHARS = 100, 400, 200_000
"""The characters of a block that are compared with a description and with stated texts, and those of stated texts."""
MAX_SAID = 8
ARTICLE_CHARS = 400
"""A stated text of fewer characters is a summary rather than an article."""
BODIES = ("articleBody", "text", "recipeInstructions")
ANSWERS = ("acceptedAnswer", "suggestedAnswer")
TITLE_CHARS = 4
FAR = -9_999
KINDS = {
    "article": jsonld.ARTICLES,
    "thread": jsonld.THREADS | {"Answer", "Comment"},
    "product": frozenset(("Product", "ProductGroup", "IndividualProduct", "Offer", "Drug")),
    "list": frozenset(("ItemList", "CollectionPage", "SearchResultsPage", "OfferCatalog")),
    "faq": frozenset(("FAQPage",)),
    "site": frozenset(("WebSite",)),
    "firm": frozenset(("LocalBusiness", "Service", "SoftwareApplication", "MedicalBusiness", "Hospital")),
}
"""Kinds of pages by the types of schema.org."""
MAX_OF_KIND = 3
OG_TYPES = ("article", "product", "website")


MARKUP = re.compile(r"<[a-z/]|&\w{2,6};", re.IGNORECASE)


class Claims(NamedTuple):
    """What a page says of its main content; texts are in the form of `titles.form`."""

    title: str = ""
    descriptions: tuple[str, ...] = ()
    body: str = ""
    kinds: tuple[int, ...] = (0,) * len(KINDS)
    """For each of `KINDS` the number of objects of JSON-LD, `MAX_OF_KIND` at most."""
    og_type: int = 0
    """The place of `og:type` in `OG_TYPES`, from 1; 0 for another or none."""

    article: str = ""
    """The longest text of an article that the page states, as it is."""

    @property
    def is_article(self) -> bool:
        """Whether the page says that it is an article."""
        return self.og_type == 1 or self.kinds[0] > 0

    def article_not_in(self, texts: list[str]) -> str:
        """Return the stated article where it is so long that the `texts` of the page can't hold half of it, or ""."""
        least = max(2 * sum(map(len, texts)), ARTICLE_CHARS)
        if len(self.article) < least:
            return ""
        text = _without_markup(self.article)
        return text if len(text) >= least else ""


NOTHING = Claims()


def claims_of(found: Found, title: str) -> Claims:
    """Return what a page says of its main content; `title` is that of its metadata."""
    said = [found.meta("description"), found.meta("og:description", "twitter:description")]
    counts = [0] * len(KINDS)
    for thing in found.things:
        types = set(jsonld.types(thing))
        for number, names in enumerate(KINDS.values()):
            counts[number] += not names.isdisjoint(types)
        if isinstance(thing.get("description"), str):
            said.append(thing["description"])
    named = found.meta("og:type").lower()
    return Claims(
        title=form(title),
        descriptions=tuple(
            one for one in dict.fromkeys(form(text[:SEEN_CHARS]) for text in said[:MAX_SAID]) if len(one) >= LEAST
        ),
        body=form(" ".join(_stated(found.things))[:BODY_CHARS]),
        kinds=tuple(min(count, MAX_OF_KIND) for count in counts),
        og_type=next((number for number, name in enumerate(OG_TYPES, 1) if name in named), 0),
        article=_article(found.things),
    )


def _article(things: list[jsonld.Thing]) -> str:
    """Return the longest text of an article among the objects of JSON-LD, or an empty one."""
    articles = [thing for thing in things if not jsonld.ARTICLES.isdisjoint(jsonld.types(thing))]
    bodies = [one.get("articleBody") for one in articles]
    return max((one for one in bodies if isinstance(one, str)), key=len, default="")


def _without_markup(given: str) -> str:
    """Return the paragraphs of a text that may be HTML, a line each."""
    if MARKUP.search(given):
        parsed = parse(html.unescape(given) if "&lt;" in given else given)
        return "\n".join(walk(parsed).texts) if parsed is not None else ""
    return "\n".join(line for line in map(str.strip, given.splitlines()) if line)


def _stated(things: list[jsonld.Thing]) -> Iterator[str]:
    """Yield the texts that the objects of JSON-LD state, those of answers too."""
    for thing in things:
        yield from (thing[name] for name in BODIES if isinstance(thing.get(name), str))
        for name in ANSWERS:
            given = thing.get(name)
            for one in given if isinstance(given, list) else [given]:
                if isinstance(one, dict) and isinstance(one.get("text"), str):
                    yield one["text"]


def described(texts: list[str], levels: Ints, units: Ints, claims: Claims) -> dict[str, Ints]:
    """Return the features of blocks; `levels` are those of headings, 0 for other blocks, `units` their lengths."""
    count = len(texts)
    seen = SEEN_CHARS if claims.body else OPENING_CHARS if claims.descriptions else 0
    ranks = levels.tolist()
    forms = [
        form(text[: seen or OPENING_CHARS]) if level or (seen and len(text) >= LEAST) else ""
        for text, level in zip(texts, ranks, strict=True)
    ]
    order = np.arange(count)
    before = np.cumsum(units) - units
    title = _title(forms, levels, claims.title)
    begins = np.array([not level and _is_described(one, claims) for one, level in zip(forms, ranks, strict=True)])
    lead = int(np.argmax(begins)) if begins.any() else -1
    stated = np.zeros(count, np.int64)
    if claims.body:
        stated = np.array([len(one) >= LEAST and one in claims.body for one in forms], np.int64)
    total = max(int(units.sum()), 1)
    values = {f"page says {name}": number for name, number in zip(KINDS, claims.kinds, strict=True)}
    values["page og type"] = claims.og_type
    values["page body"] = 1000 * len(claims.body) // total
    values["page stated"] = 1000 * int((stated * units).sum()) // total
    return {
        "blocks after title": order - title if title >= 0 else np.full(count, FAR),
        "units after title": before - before[title] if title >= 0 else np.full(count, 10 * FAR),
        "described": begins.astype(np.int64),
        "blocks after lead": order - lead if lead >= 0 else np.full(count, FAR),
        "stated": stated,
    } | {name: np.full(count, value, np.int64) for name, value in values.items()}


def _is_described(text: str, claims: Claims) -> bool:
    """Return whether a description was taken from a block, both in the form of `titles.form`."""
    if len(text) < LEAST:
        return False
    opening = text[:OPENING]
    return any(one[:OPENING] in text or (len(opening) == OPENING and opening in one) for one in claims.descriptions)


def _title(forms: list[str], levels: Ints, title: str) -> int:
    """Return the first heading of the highest level that agrees with the title of the page, or -1."""
    best = -1
    if len(title) < TITLE_CHARS:
        return best
    for block in np.flatnonzero(levels).tolist():
        shorter, longer = sorted((forms[block], title), key=len)
        agrees = len(shorter) >= TITLE_CHARS and shorter in longer and 2 * len(shorter) >= len(longer)
        if agrees and (best < 0 or levels[block] < levels[best]):
            best = block
    return best
