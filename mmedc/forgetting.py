"""What is to be forgotten: URLs, domains, DOIs and ids of documents, as hashes from which they cannot be read.

A list of it is a text file, one entry a line: a kind and a value (`url https://example.org/a`, `domain example.org`,
`doi 10.1000/182`, `id 0f3c…`), or a kind and the hash of a value (`url sha256:…`), as `mmedc forget` writes it. `#`
begins a comment, where a blank or nothing is before it. A list of who wants to be forgotten would itself tell on them.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mmedc.errors import RecipeError
from mmedc.identifiers import doi_in
from mmedc.sitelists import bare, domains_of
from mmedc.storage import open_binary

Kind = Literal["url", "domain", "doi", "id"]
KINDS: tuple[Kind, ...] = get_args(Kind)
HASHED = re.compile(r"sha256:([0-9a-f]{64})")
DOMAIN = re.compile(r"[^\s/:?#@\[\].]+(\.[^\s/:?#@\[\].]+)+")
ID = re.compile(r"[0-9a-f]{32}")
COMMENT = re.compile(r"(?:^|\s)#(?:\s.*|$)")
URL = re.compile(
    r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::\d+)?(?P<rest>.*)$", re.DOTALL
)
MAX_BYTES = 256 << 20


@dataclass(frozen=True, order=True)
class Entry:
    """One thing to forget."""

    kind: Kind
    digest: str
    """64 hex digits: the SHA-256 of the kind, a blank and the key of the value."""

    def __str__(self) -> str:
        return f"{self.kind} sha256:{self.digest}"


def entry(kind: Kind, value: str) -> Entry:
    """Return the entry for a value, or for its hash. Raises: RecipeError for a value that is none of its kind."""
    value = value.strip()
    if found := HASHED.fullmatch(value):
        return Entry(kind, found[1])
    if not value:
        raise RecipeError(f"a {kind} is expected, and nothing is given")
    return _entry(kind, _key(kind, value))


def _entry(kind: Kind, key: str) -> Entry:
    return Entry(kind, hashlib.sha256(f"{kind} {key}".encode("utf-8", "surrogatepass")).hexdigest())


def _key(kind: Kind, value: str) -> str:
    if kind == "url":
        return url_keys(value)[0]
    if kind == "domain":
        return domain_key(value)
    if kind == "doi":
        if found := doi_in(value):
            return found
        raise RecipeError(f'doi "{value}": expected a DOI such as 10.1000/182')
    if not ID.fullmatch(value):
        raise RecipeError(f'id "{value}": expected the 32 hex digits of the column `id`')
    return value


def domain_key(value: str) -> str:
    """Return by which key a domain is known, given as `Example.org`, `www.example.org.` or `*.example.org/`.

    Raises: RecipeError where it is none.
    """
    host = host_key(value.strip().rstrip("/").removeprefix("*").lstrip("."))
    if not DOMAIN.fullmatch(host):
        raise RecipeError(f'domain "{value}": expected a domain such as example.org; give an address as a url')
    return host


def host_key(host: str) -> str:
    """Return by which key a host is known: in lower case and ASCII, without `www.` and a dot at its end.

    `müller.example` is `xn--mller-kva.example`, by IDNA 2008 as browsers apply it (UTS #46).
    """
    host = host.rstrip(".")
    if not host.isascii():
        import ada_url

        with contextlib.suppress(ValueError):  # what browsers take for no host is known as it is
            host = ada_url.idna_to_ascii(host).decode() or host
    return bare(host)


def host_spellings(host: str) -> list[str]:
    """Return how a host may be written in lower case without `www.`: its key, and in Unicode where that differs."""
    key = host_key(host)
    found = [key, bare(host.rstrip("."))]
    if "xn--" in key:
        import ada_url

        with contextlib.suppress(ValueError):
            found.append(bare(ada_url.idna_to_unicode(key)))
    return list(dict.fromkeys(found))


def url_keys(locator: str) -> list[str]:
    """Return by which keys a locator is known: itself, and without the part of it that a fragment names.

    Schemes, `www.`, the case of the host, ports and a slash at the end do not count: whoever asks to be forgotten is
    not to be missed for them. Locators that are no URL are their own keys.
    """
    whole, mark, part = locator.partition("#")
    if found := URL.match(whole):
        whole = f"{host_key(found['host'])}{found['rest'].rstrip('/')}"
    return list(dict.fromkeys([f"{whole}{mark}{part}", whole]))


def read_entries(paths: Iterable[str]) -> tuple[Entry, ...]:
    """Return the entries of lists, sorted, each once. Raises: RecipeError with file and line."""
    found: set[Entry] = set()
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            line = COMMENT.sub("", line).strip()
            if not line:
                continue
            kind, _, value = line.partition(" ")
            if "://" in kind:
                kind, value = "url", line
            if kind not in KINDS:
                raise RecipeError(f"{path}:{number}: expected {', '.join(KINDS)} and a value; found {kind!r}")
            try:
                found.add(entry(kind, value))
            except RecipeError as problem:
                raise RecipeError(f"{path}:{number}: {problem}") from None
    return tuple(sorted(found))


def values_of(kind: Kind, path: str) -> list[str]:
    """Return the values of a file with one of a kind a line. Raises: RecipeError for others."""
    found = []
    for number, line in enumerate(_lines(path), 1):
        value = COMMENT.sub("", line).strip()
        other, *rest = value.split() or [""]
        if other in KINDS and other != kind and len(rest) == 1:
            raise RecipeError(f"{path}:{number}: is no {kind}; put it into a file of its own, for --{other}")
        found.append(value.removeprefix(f"{kind} ").strip())
    return [value for value in found if value]


def _lines(path: str) -> Iterator[str]:
    try:
        with open_binary(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise RecipeError(f"{path}: the list of what is to be forgotten can't be read ({problem.strerror})") from None
    if len(data) > MAX_BYTES:
        raise RecipeError(f"{path}: more than {MAX_BYTES:,} bytes; divide it")
    if b"\0" in data:
        raise RecipeError(f"{path}: is not a list in text, and would be read as one; run this in another folder")
    return iter(data.decode("utf-8-sig", "replace").splitlines())


class Forgotten:
    """Tells which documents are to be forgotten."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Look for `entries`."""
        self._digests: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for one in entries:
            self._digests[one.kind].add(one.digest)
        self.ids, self.dois = bool(self._digests["id"]), bool(self._digests["doi"])
        self.tests: dict[str, Callable[[Any], bool]] = {"locator": self.locator, "url": self.locator, "host": self.host}
        """By column, how a value of it is looked up."""
        if self.ids:
            self.tests["id"] = self.identity
        if self.dois:
            self.tests["identifiers"] = self.identifiers

    def locator(self, locator: str) -> bool:
        """Return whether a locator is one of the URLs, or lies in one of the domains."""
        if self._digests["url"] and any(self._has("url", key) for key in url_keys(locator)):
            return True
        if self._digests["domain"] and (found := URL.match(locator)):
            return any(self._has("domain", name) for name in domains_of(host_key(found["host"])))
        return False

    def host(self, host: str) -> bool:
        """Return whether a host is one of the domains, or lies in one of them."""
        return self.locator(f"https://{host}/") if self._digests["domain"] else False

    def identity(self, identity: str) -> bool:
        """Return whether an id is one of the ids."""
        return self.ids and self._has("id", identity)

    def identifiers(self, names: Sequence[str] | None) -> bool:
        """Return whether one of the identifiers of a document is one of the DOIs."""
        if not self.dois or not names:
            return False
        return any(name.startswith("doi:") and self._has("doi", name[4:].lower()) for name in names)

    def _has(self, kind: Kind, key: str) -> bool:
        return _entry(kind, key).digest in self._digests[kind]
