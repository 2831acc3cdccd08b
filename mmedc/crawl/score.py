"""How medical a page is, and how medical the page behind a link may be, cheaply enough for every link of a crawl.

Both are found by the terms of the lexicons of the wished languages, as whole words in scripts with spaces; their
weights are data (`filters/crawl/scores.yaml`). The score of a page only orders the frontier: what enters the corpus
is decided by ingest, which reads the page again.
"""

import functools
import re
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

from mmedc.errors import PolicyError
from mmedc.filters import Filters, open_filters
from mmedc.policy import is_acronym
from mmedc.settings import Part, checked
from mmedc.words import is_unspaced
from mmedc.yamlfile import read_yaml

WORD_BYTES = bytes(code if code > 127 or chr(code).isalnum() else 32 for code in range(256)).lower()
"""ASCII in lower case, with a space for what is neither letter nor digit; other bytes as they are."""
SIGNS = re.compile(
    r"[\u0080-\u00bf\u2000-\u206f\u3000-\u3004\u3008-\u303f\uff00-\uff0f\uff1a-\uff20\u060c\u061b\u061f\u0964]"
)
PATH = re.compile(r"https?://[^/?#]*([^?#]*)\??([^#]*)")
ONE_TERM = 0.6
"""What one term in an address or the text of a link counts, where two count 1."""
SHORT_ACRONYM = 4
MAX_SECTIONS = 200_000
"""Sections that `Sections` remembers; further ones share what their host scored."""


class PageWeights(Part):
    """What makes the medical score of a page; see `filters/crawl/scores.yaml`."""

    terms: float = 12
    density: float = 0.05
    characters: int = 20_000


class LinkWeights(Part):
    """What the parts of the score of a link weigh; see `filters/crawl/scores.yaml`."""

    anchor: float = 0
    url: float = 0
    page: float = 0
    section: float = 0
    unwanted: float = 0
    depth: float = 0
    language: float = 0


class SectionWeights(Part):
    """What is expected of a section before its pages are known; see `filters/crawl/scores.yaml`."""

    prior: float = 0.35
    pages: float = 3


class Weights(Part):
    """`filters/crawl/scores.yaml`."""

    page: PageWeights = PageWeights()
    link: LinkWeights = LinkWeights()
    section: SectionWeights = SectionWeights()


def read_weights(filters: Filters) -> Weights:
    """Return the weights of `filters`. Raises: PolicyError with file and line."""
    file = filters.find("crawl/scores.yaml")
    return checked(Weights, read_yaml(file, PolicyError), PolicyError) if file else Weights()


class Terms:
    """Finds terms of lexicons, and unwanted words, in text that need not be tokenised or folded before."""

    def __init__(self, terms: Sequence[tuple[Iterable[str], bool]], unwanted: Iterable[str] = ()) -> None:
        """Take the forms of each term, and whether they stand between spaces; and the unwanted words."""
        import ahocorasick_rs

        owners: dict[bytes, int] = {}
        for number, (forms, spaced) in enumerate([*terms, *(((word,), True) for word in unwanted)]):
            for form in forms:
                for written in {_plain(form), _without_accents(_plain(form))} - {b""}:
                    bounded = spaced and not any(map(is_unspaced, form))
                    owners.setdefault(b" %b " % written if bounded or written.isascii() else written, number)
        self._owners = list(owners.values())
        self._first_unwanted = len(terms)
        kind = ahocorasick_rs.Implementation.ContiguousNFA  # an automaton of all states takes a gigabyte
        self._find: Any = ahocorasick_rs.BytesAhoCorasick(list(owners), implementation=kind).find_matches_as_indexes

    def count(self, text: str) -> "Found":
        """Return what `text` has of them."""
        plain = b" %b " % _plain(text)
        found = self._find(plain, overlapping=True)
        if not found:
            return Found(0, False, 0, len(plain))
        terms, covered, last = set(), 0, 0
        for index, start, end in found:
            terms.add(self._owners[index])
            if end > last and self._owners[index] < self._first_unwanted:
                covered += end - max(start, last)
                last = end
        medical = sum(number < self._first_unwanted for number in terms)
        return Found(medical, medical < len(terms), covered, len(plain))


class Found(NamedTuple):
    """What a text has of the terms."""

    terms: int
    """How many different terms."""
    unwanted: bool
    """Whether it has an unwanted word."""
    covered: int
    """How many of its bytes lie in terms."""
    size: int
    """Its bytes, as they are compared."""


def _plain(text: str) -> bytes:
    """Return text in lower case as UTF-8, with single spaces for signs."""
    if not text.isascii():
        text = SIGNS.sub(" ", text)
    return b" ".join(text.lower().encode("utf-8", "replace").translate(WORD_BYTES).split())


def _without_accents(plain: bytes) -> bytes:
    """Return what URLs write for accented Latin letters."""
    text = unicodedata.normalize("NFD", plain.decode())
    bare = re.sub("(?<=[a-z])[\u0300-\u036f]+", "", text).replace("ß", "ss").replace("œ", "oe").replace("æ", "ae")
    return unicodedata.normalize("NFC", bare).encode()


def _cased(forms: Iterable[str]) -> list[str]:
    """Return the forms without short acronyms: in small letters AIDS and ALS are words of another meaning."""
    return [form for form in forms if len(form) > SHORT_ACRONYM or not is_acronym(form)]


@dataclass
class Sections:
    """What the pages of hosts, and of the first folders of their paths, scored so far.

    The mean of a folder begins at that of its host, and the mean of a host at the prior, as if so many pages had
    been seen. Two floats for each.
    """

    weights: SectionWeights = field(default_factory=SectionWeights)
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By host, and by host and folder: the sum of the scores, and the number of pages."""

    def add(self, url: str, score: float) -> None:
        """Count a page of `url` with the medical score `score`."""
        for key in _section(url):
            if key in self.sums or len(self.sums) < MAX_SECTIONS:
                total, pages = self.sums.get(key, (0.0, 0))
                self.sums[key] = total + score, pages + 1

    def expected(self, url: str) -> float:
        """Return the score that a page of `url` is expected to have, 0 to 1."""
        mean = self.weights.prior
        for key in _section(url):
            total, pages = self.sums.get(key, (0.0, 0))
            mean = (total + mean * self.weights.pages) / (pages + self.weights.pages)
        return mean


def _section(url: str) -> tuple[str, str]:
    """Return the host of `url`, and the host with the first folder."""
    parts = url.split("/", 4)
    host = parts[2] if len(parts) > 2 else url
    return host, f"{host}/{parts[3]}" if len(parts) > 4 else f"{host}/"


def open_scorer(languages: Iterable[str], filters: Filters) -> "Scorer":
    """Return a scorer; it is kept for the next crawl of this process, until a file that it reads changes.

    Making one takes a second of CPU for three languages.
    """
    wished = tuple(sorted(set(languages)))
    parts = ("lexicon.txt", "general.txt", "language.yaml")
    names = ("crawl/scores.yaml", "crawl/unwanted.txt", *(f"{code}/{part}" for code in wished for part in parts))
    return _made(wished, filters, filters.state(names))


@functools.lru_cache(2)
def _made(languages: tuple[str, ...], filters: Filters, state: Hashable) -> "Scorer":
    return Scorer(languages, filters)


class Scorer:
    """Scores pages and links by the lexicons and the weights of `filters` for the wished languages."""

    def __init__(self, languages: Iterable[str], filters: Filters | None = None) -> None:
        """Read the lexicons. Raises: PolicyError."""
        filters = filters or open_filters()
        self.languages = frozenset(languages)
        self.weights = read_weights(filters)
        known = [(filters.lexicon(code), filters.facts(code).spaced) for code in sorted(self.languages)]
        words = filters.words("crawl/unwanted.txt") if filters.find("crawl/unwanted.txt") else ()
        self._terms = Terms([(_cased(term.forms), spaced) for lexicon, spaced in known for term in lexicon], words)
        self._in_url = functools.lru_cache(1 << 14)(self._parts_of_url)
        self._in_anchor = functools.lru_cache(1 << 14)(self._parts_of_text)

    def page(self, text: str) -> float:
        """Return the medical score of the text of a page, 0 to 1; tags must be gone (`shown_text`)."""
        limits = self.weights.page
        found = self._terms.count(text[: 2 * limits.characters])
        density = found.covered / found.size
        return float((min(1.0, found.terms / limits.terms) * min(1.0, density / limits.density)) ** 0.5)

    def link(
        self,
        url: str,
        anchor: str = "",
        page_score: float = 0.0,
        host_score: float = 0.0,
        depth: int = 0,
        lang: str = "",
    ) -> float:
        """Return the score of a link: higher is fetched first; about -3 to 4.

        `page_score` is that of the page that links, `host_score` what `Sections` expects of `url`, `depth` the links
        from the seed, `lang` the language that the target is said to be in ("" if nothing says so).
        """
        weights = self.weights.link
        in_url, url_unwanted = self._in_url(url)
        in_anchor, anchor_unwanted = self._in_anchor(anchor) if anchor else (0.0, False)
        return (
            weights.anchor * in_anchor
            + weights.url * in_url
            + weights.page * page_score
            + weights.section * host_score
            + (weights.unwanted if url_unwanted or anchor_unwanted else 0.0)
            + weights.depth * min(depth, 10) / 10
            + (weights.language if lang and lang.lower().split("-")[0] not in self.languages else 0.0)
        )

    def _parts_of_text(self, text: str) -> tuple[float, bool]:
        found = self._terms.count(text)
        return (0.0, ONE_TERM, 1.0)[min(found.terms, 2)], found.unwanted

    def _parts_of_url(self, url: str) -> tuple[float, bool]:
        found = PATH.match(url)
        path = f"{found[1]} {found[2]}" if found else url
        return self._parts_of_text(unquote(path) if "%" in path else path)
