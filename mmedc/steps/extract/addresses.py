"""The address under which a page wants to be known, where it may be believed."""

from urllib.parse import urljoin, urlsplit, urlunsplit

MAX_CHARS = 2_000
VARIANTS = frozenset(("www", "m", "mobile", "amp", "wap", "touch"))


def canonical(given: str, url: str) -> str | None:
    """Return the absolute address that `given` names on the page at `url`, or None where it is not believed.

    It is believed on the host of the page or a host above or below it. A page of another site could pose as that
    site's, and a site whose every page names its home page would lose all of them.
    """
    given = given.strip()
    if not given or len(given) > MAX_CHARS:
        return None
    try:
        own, named = urlsplit(url), urlsplit(urljoin(url, given))
        hosts = _host(own.hostname or ""), _host(named.hostname or "")
    except ValueError:
        return None
    if named.scheme not in ("http", "https") or "@" in named.netloc or not all(hosts):
        return None
    if hosts[0] != hosts[1] and not any(a.endswith("." + b) and "." in b for a, b in (hosts, hosts[::-1])):
        return None
    if named.path in ("", "/") and not named.query and (own.path not in ("", "/") or own.query):
        return None
    return urlunsplit((named.scheme, named.netloc, named.path or "/", named.query, ""))


def _host(host: str) -> str:
    """Return a host without the label of its variant for telephones or the like."""
    first, _, rest = host.partition(".")
    return rest if first in VARIANTS and "." in rest else host
