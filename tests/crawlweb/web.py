"""The sites of the test web, what each of their addresses answers, and what a crawler should do about it.

Everything follows from a seed. A site has pages about medicine and about other things, and a part to play: it is slow,
or busy, or full of traps, or does not want to be crawled. `Web.wanted` and `Web.unwanted` are the truth to which a log
is held.
"""

import gzip
import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from urllib.parse import parse_qsl, quote, unquote

from tests.crawlweb.texts import LANGUAGES, article

CALM = ("clinic", "news", "slow", "busy")
PARTS = (*CALM, "traps", "redirects", "hostile", "inside", "optouts", "closed", "broken", "members")
"""What a site plays; the first twelve sites play one each, most of the others are clinics and newspapers."""
OPTOUT_HEADERS = (
    ("X-Robots-Tag", "noai"),
    ("TDM-Reservation", "1"),
    ("Content-Usage", "train-ai=n"),
    ("X-Robots-Tag", "mmedc: noindex"),
)
CLOSED = (
    "User-agent: GPTBot\nDisallow: /\n",
    "User-agent: *\nContent-Signal: search=yes, ai-train=no\n",
    "License: http://{host}/terms.xml\n",
    "User-agent: *\nDisallow: /\n",
    "User-agent: *\nContent-Usage: train-ai=n\n",
)
TERMS = (
    '<rsl xmlns="https://rslstandard.org/rsl"><content url="/"><license><permits type="usage">search</permits>'
    '<prohibits type="usage">ai-train</prohibits></license></content></rsl>'
)
CHARSETS = {"ru": "windows-1251", "ja": "shift_jis", "zh": "gb18030", "ko": "euc-kr", "fr": "iso-8859-15"}
PER_LIST = 40  # links of a list of pages
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent. `manner` says how: at once, `drip`, `endless`, `stall`, or `cut` before its end."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),)
    manner: str = ""
    wait_s: float = 0.0


@dataclass(slots=True)
class Page:
    """A page with text."""

    path: str
    medical: bool
    lang: str
    seed: int
    links: list[str] = field(default_factory=list)
    """Paths, or URLs of other sites."""
    title: str = ""
    sent: dict[str, Reply] = field(default_factory=dict)
    """Answers that were made before, by their ETag."""


@dataclass(slots=True)
class Site:
    """A host of the web."""

    host: str
    ip: str
    lang: str
    part: str
    medical_share: float
    number: int
    pages: dict[str, Page] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    """Pages that only the sitemap names."""


class Web:
    """Sites with pages. `canary` is the port on 127.0.0.1 that nothing should lead to."""

    def __init__(self, sites: int = 12, pages: int = 240, seed: int = 0, canary: int = 9, slow_s: float = 0.05) -> None:
        self.canary, self.slow_s, self.seed = canary, slow_s, seed
        self.edition = 1
        """Of a later edition, every twentieth page has another text."""
        random = Random(seed)
        self.sites: dict[str, Site] = {}
        for number in range(sites):
            part = PARTS[number] if number < len(PARTS) else random.choice(("clinic", "news", "news", "news", *PARTS))
            share = {"clinic": 0.8, "news": 0.03}.get(part, 0.08)
            host = f"{part}{number}.test"
            ip = f"127.{10 + number // 250}.1.{1 + number % 250}"
            self.sites[host] = Site(host, ip, LANGUAGES[number % len(LANGUAGES)], part, share, number)
        self._hosts = list(self.sites)
        for site in self.sites.values():
            self._fill(site, max(6, pages // sites), Random(f"{seed} {site.host}"))
        self._link(random)

    def _fill(self, site: Site, count: int, random: Random) -> None:
        for number in range(count):
            medical = random.random() < site.medical_share
            folder = "health" if medical else random.choice(("sport", "food", "travel"))
            path = f"/{folder}/{number}-{random.randrange(1000)}.html"
            site.pages[path] = Page(path, medical, site.lang, random.randrange(1 << 40))
        site.hidden = sorted(site.pages)[:: max(2, count // 8)]

    def _link(self, random: Random) -> None:
        """Link pages to others, mostly of the same topic and site."""
        topics: dict[bool, list[str]] = {True: [], False: []}
        for site in self.sites.values():
            if site.part in ("clinic", "news"):
                for page in site.pages.values():
                    topics[page.medical].append(f"http://{site.host}{page.path}")
        for site in self.sites.values():
            hidden = set(site.hidden)
            here = {
                flag: [p.path for p in site.pages.values() if p.medical is flag and p.path not in hidden]
                for flag in (True, False)
            }
            for page in site.pages.values():
                for _ in range(random.randint(2, 8)):
                    topic = page.medical if random.random() < 0.8 else not page.medical
                    page.links += random.sample(here[topic], min(1, len(here[topic])))
                if random.random() < 0.3 and topics[page.medical]:
                    page.links.append(random.choice(topics[page.medical]))

    def bake(self) -> None:
        """Make the answers of all pages now, so that making them takes no time later."""
        for site in self.sites.values():
            for page in site.pages.values():
                self._page(site, page, "", self.slow_s if site.part == "slow" else 0.0)

    def only(self, *parts: str) -> None:
        """Forget the sites that play other parts."""
        self.sites = {host: site for host, site in self.sites.items() if site.part in parts}

    # the truth

    def seeds(self) -> list[str]:
        """Return the addresses at which a crawl begins."""
        return [f"http://{host}/" for host in self.sites]

    def names(self, port: int) -> dict[str, tuple[str, int]]:
        """Return the answers of the resolver, for a server that listens at `port`."""
        return {site.host: (site.ip, port) for site in self.sites.values()}

    def wanted(self) -> Iterator[str]:
        """Yield the URLs that a crawler without budgets fetches, each once: the pages with text."""
        for site in self.sites.values():
            if site.part not in ("closed", "broken"):
                paths = [path for path in site.pages if site.part != "optouts" or not path.startswith("/food/")]
                yield from (f"http://{site.host}{path}" for path in paths)

    def unwanted(self, url: str) -> bool:
        """Return whether no crawler that behaves fetches a URL."""
        host, _, path = url.removeprefix("http://").partition("/")
        site = self.sites.get(host)
        if path in ("robots.txt", ".well-known/tdmrep.json", "ai.txt", "terms.xml"):
            return False
        return site is None or site.part in ("closed", "broken") or path.startswith("private/")

    def medical(self, url: str) -> bool:
        """Return whether a URL is that of a page about medicine."""
        host, _, path = url.removeprefix("http://").partition("/")
        page = self.sites[host].pages.get("/" + path) if host in self.sites else None
        return page is not None and page.medical

    # what is answered

    def reply(self, host: str, target: str, visits: int, seen: str = "") -> Reply:
        """Return the answer to a request: the `visits`th to this site, with `seen` as its If-None-Match."""
        site = self.sites.get(host)
        if site is None:
            return Reply(421, b"no such site")
        path, _, query = target.partition("?")
        wait = self.slow_s if site.part == "slow" else 0.0
        if path == "/robots.txt":
            return self._robots(site)
        if site.part == "busy" and visits % 9 == 5:
            return Reply(429, b"busy", (("Retry-After", "1"),))
        if page := site.pages.get(path):
            return self._page(site, page, seen, wait)
        if path == "/":
            return _html(self._home(site), wait)
        if path == "/list":
            return _html(self._list(site, int(dict(parse_qsl(query)).get("page", "0") or 0)), wait)
        if path == "/sitemap.xml":
            return self._sitemap(site)
        if path.startswith("/private/"):
            return _html("<title>Private</title><p>Disallowed by robots.txt.")
        if path == "/terms.xml":
            return Reply(200, TERMS.encode(), (("Content-Type", "application/rsl+xml"),))
        special = getattr(self, f"_{site.part}", None)
        found: Reply | None = special(site, path, query) if special else None
        return found or Reply(404, b"<title>Not found</title>")

    def _robots(self, site: Site) -> Reply:
        text = f"User-agent: *\nDisallow: /private/\nSitemap: http://{site.host}/sitemap.xml\n"
        if site.part == "broken":
            return Reply(500, b"error")
        if site.part == "closed":
            text = CLOSED[site.number % len(CLOSED)].format(host=site.host) + text
        elif site.part == "members":
            return Reply(
                200, "\ufeff".encode() + text.replace("\n", "\r\n").encode(), (("Content-Type", "text/plain"),)
            )
        elif site.part == "optouts":
            text += "Content-Usage: train-ai=y\n"
        return Reply(200, text.encode(), (("Content-Type", "text/plain"),))

    def _home(self, site: Site) -> str:
        lists = range(0, len(site.pages), PER_LIST)
        links = [f"/list?page={number}" for number in range(len(lists))] + [
            "/private/a.html",
            *DOORS.get(site.part, ()),
        ]
        if site.part == "inside":
            links += [vector.format(port=self.canary) for vector in INSIDE]
        if site.part == "redirects":
            links.append(f"/away?to={self._hosts[0]}")
        items = "".join(f'<li><a href="{html.escape(link)}">{html.escape(link)}</a>' for link in links)
        return f"<title>{site.host}</title><ul>{items}</ul>"

    def _list(self, site: Site, number: int) -> str:
        hidden = set(site.hidden)
        paths = [path for path in list(site.pages)[number * PER_LIST : (number + 1) * PER_LIST] if path not in hidden]
        items = "".join(f'<li><a href="{path}">{self._title(site.pages[path])}</a>' for path in paths)
        return f"<title>{site.host} {number}</title><ul>{items}</ul>"

    def _title(self, page: Page) -> str:
        page.title = page.title or html.escape(article(page.lang, page.medical, Random(page.seed))[0])
        return page.title

    def _page(self, site: Site, page: Page, seen: str, wait: float) -> Reply:
        changed = self.edition > 1 and page.seed % 20 == 0
        seed = page.seed + (self.edition if changed else 0)
        mark = f'"{seed:x}"'
        if seen == mark:
            return Reply(304, b"", (("ETag", mark),), wait_s=wait)
        if mark not in page.sent:
            page.sent[mark] = self._made(site, page, seed, mark, wait)
        return page.sent[mark]

    def _made(self, site: Site, page: Page, seed: int, mark: str, wait: float) -> Reply:
        title, paragraphs = article(page.lang, page.medical, Random(seed))
        links = "".join(f'<li><a href="{link}">{self._anchor(link)}</a>' for link in page.links)
        text = "".join(f"<p>{html.escape(part)}</p>\n" for part in paragraphs)
        head = f'<!doctype html><html lang="{page.lang}"><head><title>{html.escape(title)}</title>'
        charset, headers = "utf-8", [("ETag", mark)]
        if site.part == "optouts":
            choice = page.seed % (len(OPTOUT_HEADERS) + 2)
            if choice < len(OPTOUT_HEADERS):
                headers.append(OPTOUT_HEADERS[choice])
            elif choice == len(OPTOUT_HEADERS):
                head += '<meta name="robots" content="noai, noimageai">'
        if site.part == "hostile" and page.lang in CHARSETS:
            charset = CHARSETS[page.lang]  # but UTF-8 is declared
        body = f"{head}</head><body><main><h1>{html.escape(title)}</h1>{text}</main><ul>{links}</ul></body></html>"
        headers.append(("Content-Type", "text/html; charset=utf-8"))
        data = body.encode(charset, "xmlcharrefreplace")
        if page.seed % 4 == 1:
            data = gzip.compress(data, 1, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        return Reply(200, data, tuple(headers), wait_s=wait)

    def _anchor(self, link: str) -> str:
        host, _, path = link.removeprefix("http://").partition("/") if link.startswith("http") else ("", "", link[1:])
        site = self.sites.get(host)
        page = site.pages.get("/" + path) if site else None
        return self._title(page) if page else unquote(path)

    def _sitemap(self, site: Site) -> Reply:
        entries = "".join(f"<url><loc>http://{site.host}{path}</loc></url>" for path in site.pages)
        body = f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'
        return Reply(200, body.encode(), (("Content-Type", "application/xml"),))

    # the parts that sites play

    def _traps(self, site: Site, path: str, query: str) -> Reply | None:
        given = dict(parse_qsl(query))
        if path == "/calendar":
            year, month = int(given.get("y", 2026)), int(given.get("m", 1))
            near = [(year + (month + step - 1) // 12, (month + step - 1) % 12 + 1) for step in (-1, 1)]
            return _html(
                f"<title>{year}-{month}</title>" + "".join(f'<a href="/calendar?y={y}&m={m}">{m}</a>' for y, m in near)
            )
        if path == "/session":
            number = int(given.get("n", "0"))
            return _html(
                "<title>Session</title>"
                + "".join(f'<a href="/session?n={number + 1}&visit={number * 7919 % 9973}{i}">x</a>' for i in "ab")
            )
        if path.startswith("/deep/"):
            return _html(
                f"<title>{len(path)}</title>" + "".join(f'<a href="{path}{name}/">{name}</a>' for name in ("a", "b"))
            )
        if path == "/sort":
            keys = [key for key in ("order", "view", "size", "color", "page") if key not in given]
            links = [f"/sort?{query}&{key}={value}".replace("?&", "?") for key in keys for value in (1, 2, 3)]
            return _html(
                "<title>List</title>" + "".join(f'<a href="{link.replace("&", "&amp;")}">{link}</a>' for link in links)
            )
        if path.startswith("/gone/"):  # answers 200 for what is not there
            number = int("".join(filter(str.isdigit, path)) or 0)
            return _html(
                f'<title>Page not found</title><h1>404 Not Found</h1><p>Sorry.</p><a href="/gone/{number + 1}">next</a>'
            )
        if path.startswith("/print/"):  # one text under many addresses
            number = int("".join(filter(str.isdigit, path)) or 0)
            text = "".join(f"<p>{html.escape(part)}" for part in article(site.lang, True, Random(site.number))[1])
            return _html(f'<title>Print</title>{text}<a href="/print/{number + 1}">next</a>')
        return None

    def _redirects(self, site: Site, path: str, query: str) -> Reply | None:
        if path in ("/loop1", "/loop2"):
            return _moved("/loop2" if path == "/loop1" else "/loop1")
        if path == "/self":
            return _moved("/self")
        if path.startswith("/hop/"):
            left = int(path[5:] or 0)
            return _moved(f"/hop/{left - 1}") if left else _html("<title>End of the chain</title>")
        if path == "/endless":
            return _moved(f"/endless?{int(query or 0) + 1}")
        if path == "/garbage":
            return Reply(302, b"", (("Location", "ht!tp://\x01%%%"),))
        if path == "/nowhere":
            return Reply(302, b"", ())
        if path == "/inside":
            return _moved(f"http://127.0.0.1:{self.canary}/from-redirect")
        if path == "/file":
            return _moved("file:///etc/passwd")
        if path == "/away":
            return _moved(f"http://{dict(parse_qsl(query)).get('to', site.host)}/")
        return None

    def _hostile(self, site: Site, path: str, query: str) -> Reply | None:
        plain = (("Content-Type", "text/html"),)
        packed = (*plain, ("Content-Encoding", "gzip"))
        return {
            "/drip": Reply(200, b"x" * 500, plain, "drip"),
            "/endless": Reply(200, b"y" * 65536, plain, "endless"),
            "/stall": Reply(200, b"", plain, "stall"),
            "/cut": Reply(200, b"<p>half of it", plain, "cut"),
            "/bomb": Reply(200, BOMB, packed),
            "/headers": Reply(200, b"x", tuple((f"X-{number}", "y" * 50) for number in range(3000))),
            "/lie": Reply(200, b"not packed at all", packed),
            "/nul": Reply(200, bytes(5000), plain),
            "/nest": Reply(200, b"<div>" * 100_000, plain),
        }.get(path)

    def _members(self, site: Site, path: str, query: str) -> Reply | None:
        if path == "/members/":
            return Reply(401, b"log in", (("WWW-Authenticate", 'Basic realm="members"'),))
        if path.startswith("/members/"):
            return _moved(f"/login?next={quote(path)}")
        if path == "/login":
            return _html('<title>Log in</title><form><input name="user"><input type="password" name="word"></form>')
        return None

    def _optouts(self, site: Site, path: str, query: str) -> Reply | None:
        if path == "/.well-known/tdmrep.json":
            return Reply(
                200, b'[{"location": "/food/", "tdm-reservation": 1}]', (("Content-Type", "application/json"),)
            )
        return None


BOMB = gzip.compress(bytes(200 * MIB), 9, mtime=0)
DOORS = {
    "traps": ("/calendar?y=2026&m=11", "/session?n=0", "/deep/", "/sort?a=1", "/gone/1", "/print/1"),
    "redirects": ("/loop1", "/self", "/hop/10", "/hop/3", "/endless", "/garbage", "/nowhere", "/inside", "/file"),
    "hostile": ("/drip", "/endless", "/stall", "/cut", "/bomb", "/headers", "/lie", "/nul", "/nest"),
    "members": ("/members/", "/members/1", "/members/2"),
}
"""Links of the front page of a site that plays a part."""
INSIDE = (
    "http://127.0.0.1:{port}/", "http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://0177.0.0.1:{port}/",
    "http://127.1:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/", "http://localhost:{port}/",
    "http://localhost.:{port}/", "http://clinic0.test@127.0.0.1:{port}/", "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/", "http://224.0.0.1/", "http://100.64.0.1/", "http://inside.invalid:{port}/",
    "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/",
    "http://rebinding.test:{port}/", "//127.0.0.1:{port}/", "javascript:alert(1)", "data:text/html,x",
)  # fmt: skip
"""Links to what is no business of a crawler."""


def _html(text: str, wait_s: float = 0.0) -> Reply:
    return Reply(200, text.encode(), wait_s=wait_s)


def _moved(to: str) -> Reply:
    return Reply(302, b"", (("Location", to),))
