"""One request, one answer: within its limits, to an address that the guard checked, and as the server sent it.

aiohttp speaks HTTP. What it could do beyond that is switched off: redirects (each hop is a URL with its own checks),
cookies, proxies from the environment, decompression, and its own resolver.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from mmedc.codings import TooLarge, Truncated, undone
from mmedc.crawl.guard import Guard, Target
from mmedc.crawl.types import Fetched, Refused

if TYPE_CHECKING:
    import aiohttp

ACCEPT = "text/html,application/xhtml+xml,application/pdf;q=0.9,application/xml;q=0.8,*/*;q=0.5"
ACCEPT_ENCODING = "gzip, br"  # what the readers of WARC files undo
MAX_TRIES = 3  # addresses of a host that are tried
DRAIN_BYTES = 64 << 10  # read ahead of what is taken


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may cost."""

    total_s: float = 60.0
    """From the first lookup to the last byte; what has come by then is kept as truncated."""
    connect_s: float = 15.0
    silence_s: float = 30.0
    """Without a byte."""
    line_bytes: int = 16 << 10
    """Of one header field."""
    fields: int = 200
    """In the head of an answer."""
    body_bytes: int = 32 << 20
    """As sent, so compressed."""
    content_bytes: int = 64 << 20
    """Decompressed."""


class Fetcher:
    """Fetches URLs over connections that are kept open; one object for all hosts of a process.

    Use it as an asynchronous context manager, within the event loop in which it fetches.
    """

    def __init__(
        self,
        guard: Guard,
        agent: str,
        bounds: Bounds | None = None,
        connections: int = 1000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Fetch as `agent`, the User-Agent, over at most so many connections; `tls` replaces the system's trust."""
        self.guard, self.agent, self.bounds = guard, agent, bounds or Bounds()
        self._connections, self._tls = connections, tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp
        from yarl import URL

        self._aiohttp, self._url = aiohttp, URL
        bounds = self.bounds
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            limit_per_host=0,  # the schedule of the crawler sees to that
            resolver=_resolver(self.guard),
            use_dns_cache=False,
            ssl=self._tls or ssl.create_default_context(),
            keepalive_timeout=30,
            happy_eyeballs_delay=None,
            socket_factory=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=bounds.line_bytes,
            max_field_size=bounds.line_bytes,
            max_headers=bounds.fields,
            read_bufsize=DRAIN_BYTES,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=bounds.connect_s, sock_read=bounds.silence_s, connect=None
            ),
            headers={"User-Agent": self.agent, "Accept": ACCEPT, "Accept-Encoding": ACCEPT_ENCODING},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self.guard.close()

    async def fetch(self, url: str, headers: Mapping[str, str] | None = None, body_bytes: int | None = None) -> Fetched:
        """Return the answer to a GET of a URL in normal form, with further `headers`; a redirect is an answer.

        `body_bytes` replaces the bound of that name. A body that a bound cuts is kept as `truncated`.

        Raises: Refused with a reason of `Guard`, or with `connect`, `tls`, `timeout`, `bad_http` or `cut_off`: a head
        that breaks the rules or is too long, and a body that ends before its end, with its connection.
        """
        target = self.guard.check(url)
        limit = self.bounds.body_bytes if body_bytes is None else body_bytes
        got = _Got(limit)
        before = time.monotonic()
        started = time.time()
        try:
            async with asyncio.timeout(self.bounds.total_s):
                await self._connected(url, target, headers, got)
        except TimeoutError:
            if not got.status:
                raise Refused("timeout", f"no head of an answer after {time.monotonic() - before:.1f} s") from None
            got.truncated = "time"
        return Fetched(
            url=url,
            ip=got.ip,
            status=got.status,
            headers=got.headers,
            body=b"".join(got.parts),
            request=got.request,
            truncated=got.truncated,
            started=started,
            seconds=time.monotonic() - before,
            reason=got.reason,
        )

    async def _connected(self, url: str, target: Target, headers: Mapping[str, str] | None, got: "_Got") -> None:
        """Send the request to the first address of the host that can be connected to."""
        addresses = [(target.host, target.port)] if target.literal else None
        tries = 0
        while True:
            tries += 1
            addresses = addresses or await self.guard.addresses(target.host, target.port)
            got.ip = addresses[0][0]
            try:
                return await self._answered(url, target, headers, got)
            except Refused as refusal:
                if refusal.reason != "connect" or tries >= min(MAX_TRIES, len(addresses)):
                    raise
                self.guard.failed(target.host, got.ip)
                addresses = None

    async def _answered(self, url: str, target: Target, headers: Mapping[str, str] | None, got: "_Got") -> None:
        aiohttp, session = self._aiohttp, self._session
        assert session is not None, "a Fetcher is used within its context"
        address = self._url(url, encoded=True)
        if address.raw_host != target.host:
            raise Refused("bad_url", f"two parsers read {target.host!r} and {address.raw_host!r} in it")
        try:
            answer = await session.get(address, headers=headers, allow_redirects=False)
            try:
                got.head(answer)
                await got.body(answer)
            finally:
                answer.close() if got.truncated or not answer.content.is_eof() else answer.release()
        except aiohttp.ClientSSLError as problem:
            raise Refused("tls", str(problem)) from None
        except aiohttp.ClientConnectorError as problem:
            raise Refused("connect", str(problem)) from None
        except aiohttp.ServerTimeoutError as problem:
            raise Refused("timeout", str(problem)) from None
        except aiohttp.ClientResponseError as problem:
            raise Refused("bad_http", problem.message) from None
        except (aiohttp.InvalidURL, ValueError) as problem:
            raise Refused("bad_url", str(problem)) from None
        except (aiohttp.ClientError, OSError) as problem:
            raise Refused("cut_off", str(problem) or type(problem).__name__) from None

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Return a socket for an address, if the guard admits it: the check that nothing can go around."""
        family, kind, protocol, _, (address, port, *_rest) = info
        if not self.guard.admits(address, port):
            raise OSError(f"{address} port {port} is not to be connected to")
        return socket.socket(family, kind, protocol)


class _Got:
    """What has come of an answer so far, so that a time limit leaves it behind."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ip, self.status, self.reason, self.request = "", 0, b"", b""
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        self.parts: list[bytes] = []
        self.truncated: Literal["", "length", "time"] = ""

    def head(self, answer: "aiohttp.ClientResponse") -> None:
        self.status, self.headers = answer.status, answer.raw_headers
        self.reason = (answer.reason or "").encode("utf-8", "surrogateescape")
        info = answer.request_info
        fields = "".join(f"{name}: {value}\r\n" for name, value in info.headers.items())
        self.request = f"GET {info.url.raw_path_qs} HTTP/1.1\r\n{fields}\r\n".encode()
        if (connection := answer.connection) and connection.transport:  # a short answer has let go of it already
            self.ip = connection.transport.get_extra_info("peername", (self.ip,))[0]

    async def body(self, answer: "aiohttp.ClientResponse") -> None:
        left = self.limit
        while part := await answer.content.readany():
            if len(part) > left:
                self.parts.append(part[:left])
                self.truncated = "length"
                return
            self.parts.append(part)
            left -= len(part)


def _resolver(guard: Guard) -> Any:
    """Return a resolver for aiohttp that gives the one address of a host that the guard checked and chose."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Pinned(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            address, to = (await guard.addresses(host, port))[0]
            kind = socket.AF_INET6 if ":" in address else socket.AF_INET
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            return [ResolveResult(hostname=host, host=address, port=to, family=kind, proto=0, flags=flags)]

        async def close(self) -> None:
            pass

    return Pinned()


def content_of(fetched: Fetched, limit: int) -> bytes:
    """Return the body of an answer without its content codings, of at most `limit` bytes.

    Raises: Refused with `too_large`, `truncated` or `bad_encoding`.
    """
    stated = fetched.header("content-encoding").lower()
    codings = [coding.strip() for coding in stated.split(",")] if stated else []
    try:
        content = undone(fetched.body, codings, limit)
    except TooLarge:
        raise Refused("too_large", f"over {limit:,} bytes once decompressed") from None
    except Truncated as problem:
        raise Refused("truncated", str(problem)) from None
    except ValueError as problem:
        raise Refused("bad_encoding", str(problem)) from None
    if len(content) > limit:
        raise Refused("too_large", f"{len(content):,} bytes, at most {limit:,} are read")
    return content


def agent_of(version: str, contact: str) -> str:
    """Return the User-Agent: the name of the crawler and where its operator is reached."""
    return f"mmedc/{version} (+{contact})"


def wanted_since(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of a conditional request, from those of the answer before (RFC 9110, 13.1)."""
    conditions = {b"etag": "If-None-Match", b"last-modified": "If-Modified-Since"}
    found: dict[str, str] = {}
    for name, value in headers:
        asked = conditions.get(name.lower())
        if asked and value.isascii() and b"\r" not in value and b"\n" not in value:
            found.setdefault(asked, value.decode("ascii"))
    return found
