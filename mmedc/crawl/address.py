"""The address of a page in one normal form, so that each page is fetched once.

The parser is the one that browsers have (WHATWG URL, by ada). What it reads as the host is what is connected to, so a
host in an odd notation, such as `0x7f.1`, is recognised for what it is. On top of that: no fragment, no session ids, no
parameters that only say where a visitor came from.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tldextract import TLDExtract

MAX_PASSES = 5  # of parsing and removing, until nothing changes
MAX_URL = 2048  # characters; longer ones are traps or data
PLAIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}(?:/[a-zA-Z0-9_~+-][a-zA-Z0-9_~+.-]*)*/?")
"""A URL that is in normal form already; so are nearly all that a page names. No port, no query, nothing escaped."""
PLAIN_PATH = re.compile(r"(?:/[a-zA-Z0-9_~+-][a-zA-Z0-9_~+.-]*)+/?")
ORIGIN = re.compile(r"(https?://[^/?#\\@:]+)[/?#]")
PUNYCODE = "xn--"
SESSION_PATH = re.compile(r";(?:jsessionid|phpsessid|sid)=[^/?;]*|/\([sS]\([0-9a-zA-Z]{8,}\)\)(?=/)", re.IGNORECASE)
DROPPED = re.compile(
    r"(?:utm_\w+|gclid|dclid|gbraid|wbraid|fbclid|msclkid|yclid|igshid|twclid|mc_[ce]id|_ga|_gl|_hs(?:enc|mi)|mkt_tok"
    r"|phpsessid|jsessionid|aspsessionid\w*|cfid|cftoken|sessionid|session_id"
    r"|sid(?==[0-9a-f]{16,}$)|s(?==[0-9a-f]{32}$))(?:=.*)?",
    re.IGNORECASE,
)
"""Parameters of a query that do not say which page is meant; `sid` and `s` only with a value that looks random."""
ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


def normal(url: str, base: str = "") -> str:
    """Return the normal form of `url`, which may be relative to `base`; empty for what is no address of a web page.

    `base` has to be in normal form itself. Raises nothing.
    """
    if len(url) > MAX_URL:
        return ""
    if PLAIN.fullmatch(url) and PUNYCODE not in url:
        return url if url.count("/") > 2 else url + "/"
    if base and PLAIN_PATH.fullmatch(url) and (origin := ORIGIN.match(base)):
        return origin[1] + url
    return _parsed(url, base)


def _parsed(url: str, base: str) -> str:
    import ada_url

    for _ in range(MAX_PASSES):
        try:
            parsed = ada_url.URL(url, base or None)
            if parsed.protocol not in ("http:", "https:"):
                return ""
            if parsed.hostname.endswith("."):
                parsed.hostname = parsed.hostname.rstrip(".")
            href = str(parsed.href).partition("#")[0]
        except ValueError:  # also surrogates, which have no UTF-8
            return ""
        url = _without_visit(href)
        if url == href:
            return url if len(url) <= MAX_URL else ""
    return ""  # nothing but a trap changes so often


def _without_visit(href: str) -> str:
    """Return a parsed URL without what says who visits it and from where, and without escapes that are not needed."""
    if "%" in href:
        href = ESCAPE.sub(_escape, href)
    head, mark, query = href.partition("?")
    if ";" in head or "/(" in head:
        path = head.index("/", head.index("//") + 2)
        head = head[:path] + SESSION_PATH.sub("", head[path:])
    kept = [part for part in query.split("&") if part and not DROPPED.fullmatch(part)] if mark else []
    return f"{head}?{'&'.join(kept)}" if kept else head


def _escape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in UNRESERVED else found[0].upper()


def host_of(url: str) -> str:
    """Return the host of a URL in normal form, without its port; an IPv6 address without brackets."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL in normal form, for which one robots.txt holds: `https://example.org`."""
    return url[: url.index("/", url.index("//") + 2)]


@lru_cache(maxsize=1 << 16)
def site_of(host: str) -> str:
    """Return the registrable domain of a host (`example.co.uk`), or the host itself where it has none.

    Blogs and the like under one provider's domain count as one site: they stand on the provider's machines.
    """
    return _domains()(host).top_domain_under_public_suffix or host


@lru_cache(maxsize=1)
def _domains() -> "TLDExtract":
    """Return the reader of the list of public suffixes that came with its package: nothing is fetched or cached."""
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None)
