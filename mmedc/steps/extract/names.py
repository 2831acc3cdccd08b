"""What the names of an element (class, id, role, itemprop, itemtype) say about its content, as bits of families."""

import functools
import re

from mmedc.steps.extract.tree import Names

FAMILIES: dict[str, str] = {
    "navigation": "nav navi navigation navbar menu submenu dropdown megamenu breadcrumb breadcrumbs sitemap skip",
    "footer": "footer foot colophon copyright legal bottom imprint",
    "header": "header head masthead topbar top banner branding logo",
    "sidebar": "sidebar side aside widget widgets rail secondary complementary",
    "comment": "comment comments commentlist reply replies response responses discussion disqus respond",
    "post": "post posts topic message msg thread threads answer answers question questions postbody qa forum",
    "content": "content contents entry article story body main text prose richtext rte maincontent articlebody",
    "description": "description desc summary excerpt abstract intro lead lede subtitle teaser dek standfirst overview",
    "related": "related recommend recommended similar more also popular trending latest recent next prev",
    "advert": "ad ads advert advertisement adsense sponsor sponsored promo promotion promoted outbrain taboola cta",
    "consent": "cookie cookies consent gdpr onetrust optanon ot didomi usercentrics cookiebot cmp moove truste iubenda",
    "overlay": "modal popup popover overlay dialog lightbox tooltip toast offcanvas",
    "author": "author authors byline user username avatar profile member bio contributor poster nickname vcard",
    "form": "search login signup signin subscribe newsletter form field input register account password email",
    "shop": "product products price cart shop buy sku basket wishlist checkout stock shipping variant quantity",
    "rating": "rating ratings review reviews vote votes score like likes stars upvote testimonial testimonials",
    "button": "button btn buttons action actions control controls toolbar permalink edit link links",
    "caption": "caption figure figcaption image img gallery photo thumb thumbnail slider carousel media credit video",
    "tab": "tab tabs accordion faq faqs collapse collapsible toggle panel expandable expander",
    "signature": "signature sig signatures usersig",
    "code": "code pre highlight syntax snippet codehilite",
    "hidden": "hidden hide sr invisible visually screenreader offscreen noprint none",
    "hero": "hero feature features benefit benefits service services pricing section block module team partner clients",
    "step": "step steps instructions ingredients recipe howto directions procedure dose dosage",
}
"""Families of words that makers of pages name elements by, whatever language they write in."""

FAMILY = {name: 1 << number for number, name in enumerate(FAMILIES)}
_BITS: dict[str, int] = {}
for _family, _words in FAMILIES.items():
    for _word in _words.split():
        _BITS[_word] = _BITS.get(_word, 0) | FAMILY[_family]
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def bits_of(names: Names) -> int:
    """Return the families of the words in the names of an element, as bits."""
    bits = 0
    for name in names:
        if name:
            bits |= _bits_in(name)
    return bits


@functools.lru_cache(maxsize=1 << 16)
def _bits_in(name: str) -> int:
    """Return the families of the words in one attribute, in lower case: `postBody-12` has `post` and `body`."""
    bits = 0
    for word in _WORD.findall(name):
        bits |= _BITS.get(word.lower(), 0)
    return bits


_DIGITS = re.compile(r"[0-9]+")


def shape_of(tag: str, names: Names) -> str:
    """Return what elements of one kind on a page have in common: the tag and the classes but for their digits."""
    return f"{tag} {_without_digits(names[0])} {names[3]}"


@functools.lru_cache(maxsize=1 << 16)
def _without_digits(css_class: str) -> str:
    return _DIGITS.sub("", css_class)
