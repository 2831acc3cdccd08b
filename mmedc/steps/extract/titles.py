"""The title of a page, chosen by agreement of what names it, without the name of its site."""

import re
from collections.abc import Iterable
from itertools import pairwise

SEPARATOR = re.compile(
    r"\s+[|\-–—·•»«:/\\~>‹›]{1,2}\s+|\s*[|｜丨︱]+\s*|\s*::\s+|\s?—\s?|:\s+|(?<=[^\x00-\x7f])[_-]|[_-](?=[^\x00-\x7f])"
)
"""What separates the parts of a title: the title proper, the section, the name of the site."""

MAX_CHARS = 300
ALIKE = 0.4
"""The share of words from which on a heading says the same as the title element; .3 to .5 do equally well."""

SITE_SHARE = 0.6
"""The share of a part that a name of the site has to cover for the part to be one."""

MUCH_LONGER = 1.5
"""How much longer the first part of the title element has to be than a heading to be the title instead of it."""

_SAYING_NOTHING = (
    "home homepage index untitled welcome startseite willkommen accueil bienvenue inicio início bienvenidos principal "
    "benvenuti главная 首页 主页 ホーム トップページ 홈 الرئيسية होम"
)
SAYING_NOTHING = frozenset(_SAYING_NOTHING.split())
"""Title elements that name no page."""

NOT_WORD = re.compile(r"[\W_]+")
WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]{3,}")
LINKS_TO_ITSELF = re.compile(r"\s*[¶#§⚓\ufe0e\ufe0f]+\s*$")
"""Signs that generators of documentation append to a heading."""


def clean(title: str) -> str:
    """Return a title on one line, at most `MAX_CHARS` characters, without the sign of a link to itself."""
    return LINKS_TO_ITSELF.sub("", " ".join(title.split()))[:MAX_CHARS]


def form(title: str) -> str:
    """Return the form in which titles are compared: letters and digits only, in small letters."""
    return NOT_WORD.sub("", title).casefold()


def choose_title(headline: str, social: str, document: str, headings: Iterable[str], sites: Iterable[str]) -> str:
    """Return the title that its sources agree on, or an empty string.

    `headline` comes from JSON-LD, `social` from og:title, `document` from the title element, `headings` are those of
    the first level, `sites` are names that the site gives itself. What the title element begins with or else contains
    is the title: the headline, a heading or og:title. Otherwise it is a heading that says much the same as the title
    element, or the title element without the names of the site.
    """
    names = {form(name) for name in sites} - {""}
    heads = [one for one in map(clean, headings) if one and form(one) not in names][:3]
    whole = clean(document) or clean(social)
    inside = form(whole)
    named = [(form(one), one) for one in (clean(headline), *heads, clean(social))]
    inner = [(shape, one) for shape, one in named if len(shape) >= 2 and shape in inside and shape not in names]
    inner = [(shape, one) for shape, one in inner if shape != inside or one in heads]
    for shape, one in inner:
        if inside.startswith(shape):
            return without_site(one, names)
    bare = without_site(whole, names)
    if inner:
        one = max((one for _, one in inner), key=len)
        first = SEPARATOR.split(bare, maxsplit=1)[0]
        return first if len(first) > MUCH_LONGER * len(one) else without_site(one, names)
    if form(bare) in (*names, *SAYING_NOTHING) or not bare:
        return next(iter(heads), "") or clean(headline) or bare
    return next((head for head in heads[:1] if _alike(head, bare)), bare)


def without_site(title: str, names: set[str]) -> str:
    """Return a title without the parts at its ends that name the site; `names` are in the form of `form`.

    The first part has to be a name of the site, the last one may be a piece of one or little more than one. A name in
    the middle takes what follows with it.
    """
    cuts = list(SEPARATOR.finditer(title))
    start, stop = 0, len(title)
    for before, after in pairwise(cuts):
        if form(title[before.end() : after.start()]) in names and form(title[: before.start()]) not in names:
            stop = before.start()
            cuts = cuts[: cuts.index(before)]
            break
    while cuts:
        if _is_site(title[cuts[-1].end() : stop], names):
            stop = cuts.pop().start()
        elif form(title[start : cuts[0].start()]) in ("", *names):
            start = cuts.pop(0).end()
        else:
            break
    return title[start:stop].strip(" ,;|·–-") if any(map(str.isalnum, title[start:stop])) else ""


def _is_site(part: str, names: set[str]) -> bool:
    """Return whether a part of a title is a name of the site, a piece of one, or little more than one."""
    shape = form(part)
    if not shape or shape in names:
        return True
    covered = SITE_SHARE * len(shape)
    return len(shape) >= 4 and any(shape in name or (name in shape and len(name) >= covered) for name in names)


def _alike(one: str, other: str) -> bool:
    """Return whether two titles share at least `ALIKE` of the words of the one that has fewer."""
    a, b = set(WORD.findall(one.casefold())), set(WORD.findall(other.casefold()))
    return bool(a and b) and len(a & b) >= ALIKE * min(len(a), len(b))
