"""Wishes that a page is not used to train models, in the words of HTTP headers and of `meta` elements.

Only wishes against it are returned. The crawler asks them of answers, ingest of the answers and pages in archives.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

AGAINST = frozenset({"noai", "noindex", "none", "noarchive"})
"""Words for robots that ask not to be in a corpus. `noarchive` asks that no copy is kept; a corpus is copies."""
ROBOTS = frozenset({"robots", "mmedc"})
"""The names of `meta` elements whose words are meant for us."""
RESERVED = "tdm-reservation=1"
"""The word for a `meta` element of that name and content (TDM Reservation Protocol)."""
USES = ("train-ai", "ai-train", "train-genai", "genai", "ai", "tdm", "bots", "all")
"""Uses that include training models, the most specific first: of AIPREF and its drafts, and of Content-Signal."""
USAGE = re.compile(r"([a-z*][\w.*-]*)\s*=\s*\"?([a-z0-9?]+)", re.IGNORECASE)
NO = frozenset({"n", "no", "?0", "0", "false", "disallow"})
AGENT_WORD = re.compile(r"\s*([\w*-]+)\s*:\s*(.*)", re.DOTALL)
VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
HEADERS = ("x-robots-tag", "tdm-reservation", "content-usage", "content-signal")
"""The headers that `in_headers` reads."""
HEAD_BYTES = 64 << 10
META = re.compile(rb"<meta\s([^>]{1,600})>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"([a-z:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>/]+))", re.IGNORECASE)
BODY = re.compile(rb"<body[\s>]", re.IGNORECASE)


def usage_refused(value: str) -> str:
    """Return the part of a usage preference, such as `search=y, train-ai=n`, that refuses training; or nothing.

    The most specific use decides: `bots=n, train-ai=y` allows it. Of contradictory statements the refusal holds.
    """
    stated: dict[str, list[str]] = {}
    for use, answer in USAGE.findall(value):
        stated.setdefault(use.lower(), []).append(answer.lower())
    for use in USES:
        if use in stated:
            return f"{use}={next((word for word in stated[use] if word in NO), '')}" if NO & set(stated[use]) else ""
    return ""


def words_for(lines: Iterable[str], token: str) -> Iterable[str]:
    """Yield the words of X-Robots-Tag that are meant for everybody or for `token`: `word, word` or `agent: word`."""
    for line in lines:
        to_us = True
        for part in line.split(","):
            named = AGENT_WORD.match(part)
            if named and named[1].lower() not in VALUED:
                to_us = named[1].lower() in (token, "*", "robots")
                part = named[2]
            if to_us:
                yield part.strip().lower()


def in_headers(fields: Mapping[str, Sequence[str]], token: str = "mmedc") -> list[str]:
    """Return the wishes in headers, by their names in small letters, such as `X-Robots-Tag: noai`."""
    found = [
        f"X-Robots-Tag: {word}" for word in sorted(AGAINST & set(words_for(fields.get("x-robots-tag", ()), token)))
    ]
    if any(value.strip().startswith("1") for value in fields.get("tdm-reservation", ())):
        found.append("tdm-reservation: 1")
    for name in ("content-usage", "content-signal"):
        found += [f"{name}: {refused}" for value in fields.get(name, ()) if (refused := usage_refused(value))]
    return found


def in_page(html: bytes) -> list[str]:
    """Return the wishes in the `meta` elements at the beginning of a page, such as `meta: noai`."""
    body = BODY.search(html, 0, HEAD_BYTES)
    words: set[str] = set()
    for match in META.finditer(html, 0, body.start() if body else HEAD_BYTES):
        attributes = {
            name.lower(): a or b or c for name, a, b, c in ATTRIBUTE.findall(match[1].decode("utf-8", "replace"))
        }
        name, content = attributes.get("name", "").strip().lower(), attributes.get("content", "")
        if name in ROBOTS:
            words.update(AGAINST & set(re.split(r"[\s,;]+", content.lower())))
        elif name == "tdm-reservation" and content.strip() == "1":
            words.add(RESERVED)
    return [f"meta: {word}" for word in sorted(words)]
