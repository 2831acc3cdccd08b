"""Where a crawler may connect to: to public addresses, on the ports of the web, unless a host is allowed by name.

A page can link to any host, and the host's name can resolve to any address, also to one behind the user's firewall. So
every URL is checked before anything is sent (`Guard.check`); a name is resolved once, every answer is checked, and the
connection goes to the address that was checked (`Guard.addresses`); and a socket to any other address is refused
(`Guard.admits`). Redirects are URLs like any other. If a name were resolved again for the connection, as most HTTP
libraries do it, its address could change between the check and the connection (DNS rebinding).
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from mmedc.crawl.types import Refused

PORTS = {"http": 80, "https": 443}
ANSWER_S = 600.0  # for which an answer of the resolver is used
FAILURE_S = 60.0  # the same where there was none
LOOKUP_S = 20.0  # that a resolver may take
MAX_NAMES = 100_000  # whose answers are kept
LOOKUPS = 16  # at a time
NAT64 = IPv6Network("64:ff9b::/96")
REFUSED_V6 = tuple(
    IPv6Network(block)
    for block in (
        "::/96",  # IPv4-compatible
        "64:ff9b:1::/48",  # NAT64 of a network's own
        "2002::/16",  # 6to4
        "2001::/23",  # protocol assignments, with Teredo, ORCHID
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local
    )
)
REFUSED_V4 = frozenset({IPv4Address("168.63.129.16")})  # the platform of Azure, a public address that serves metadata
ISATAP = 0x00005EFE  # bits 32 to 63 of an interface that embeds an IPv4 address; 0x02005EFE for a public one

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host, each as text; raises OSError where there are none."""


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, which no resolver needs to be asked for."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to a host of the public internet, also by what it embeds."""
    try:
        ip = ip_address(address)
    except ValueError:  # also an address with a zone, such as `fe80::1%eth0`
        return False
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        elif ip in NAT64:
            ip = IPv4Address(int(ip) & 0xFFFFFFFF)
        elif any(ip in block for block in REFUSED_V6) or (int(ip) >> 32) & 0xFDFFFFFF == ISATAP:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and ip not in REFUSED_V4


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL leads to."""

    host: str
    port: int
    literal: bool
    """True where the host is an IP address."""


class Guard:
    """Decides about URLs and addresses. One object serves all connections of a process."""

    def __init__(
        self,
        allowed: Collection[str] = (),
        names: Mapping[str, tuple[str, int]] | None = None,
        ports: Collection[int] = (80, 443),
        lookup: Lookup | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow the hosts `allowed` any port and any address, and all other hosts `ports` and public addresses.

        `names` says for a host which address and port to connect to, in place of the resolver's answer and the URL's
        port (0 leaves that); a private address there still asks for the host to be allowed. `lookup` replaces the
        system's resolver.
        """
        self.ports = frozenset(ports)
        self.allowed, self.names = frozenset(host.lower() for host in allowed), dict(names or {})
        self._lookup, self._clock = lookup or self._system, clock
        self._answers: dict[str, tuple[float, list[str] | Refused]] = {}
        self._asked: dict[str, asyncio.Task[list[str]]] = {}
        self._trusted: set[tuple[str, int]] = set()
        self._threads: ThreadPoolExecutor | None = None

    def check(self, url: str) -> Target:
        """Return what a URL in normal form leads to.

        Raises: Refused with `scheme`, `bad_url`, `userinfo`, `port` or `private_address`.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as problem:
            raise Refused("bad_url", str(problem)) from None
        if parts.scheme not in PORTS:
            raise Refused("scheme", parts.scheme[:20])
        host = parts.hostname
        if not host:
            raise Refused("bad_url", "no host")
        if "@" in parts.netloc:
            raise Refused("userinfo", host)
        port = PORTS[parts.scheme] if port is None else port
        allowed = host in self.allowed
        if port not in self.ports and not allowed:
            raise Refused("port", f"{host}:{port}")
        literal = ":" in host or host.replace(".", "").isdigit()
        if literal:
            if not allowed and not is_public(host):
                raise Refused("private_address", host)
            if allowed:
                self._trusted.add((host, port))
        elif "." not in host and not allowed:
            raise Refused("private_address", f"{host} is no name of the public internet")
        return Target(host, port, literal)

    async def addresses(self, host: str, port: int) -> list[tuple[str, int]]:
        """Return the addresses that a host may be connected to, the first of them first; the answer is kept.

        Raises: Refused with `dns` where there is none, with `private_address` if any of them is not public.
        """
        allowed = host in self.allowed
        if host in self.names:
            found, port = [self.names[host][0]], self.names[host][1] or port
            self._judge(host, found, allowed)
        else:
            found = await self._resolved(host, port, allowed)
        if allowed:
            self._trusted.update((address, port) for address in found)
        return [(address, port) for address in found]

    async def _resolved(self, host: str, port: int, allowed: bool) -> list[str]:
        until, answer = self._answers.get(host, (0.0, []))
        if self._clock() < until:
            if isinstance(answer, Refused):
                raise Refused(answer.reason, answer.detail)
            return answer
        if host not in self._asked:  # a task of its own: who asked first may be cancelled
            task = asyncio.get_running_loop().create_task(self._looked_up(host, port, allowed))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to see it
            self._asked[host] = task
        return await asyncio.shield(self._asked[host])

    async def _looked_up(self, host: str, port: int, allowed: bool) -> list[str]:
        try:
            answer = await self._ask(host, port)
            self._judge(host, answer, allowed)
        except Refused as refusal:
            self._keep(host, FAILURE_S, refusal)
            raise
        finally:
            del self._asked[host]
        self._keep(host, ANSWER_S, answer)
        return answer

    async def _ask(self, host: str, port: int) -> list[str]:
        if is_address(host):
            return [host]
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = await self._lookup(host, port)
        except TimeoutError:
            raise Refused("dns", f"no answer for {host} within {LOOKUP_S:.0f} s") from None
        except (OSError, UnicodeError) as problem:
            raise Refused("dns", f"{host}: {problem}") from None
        if not found:
            raise Refused("dns", f"{host} has no address")
        return sorted(dict.fromkeys(found), key=lambda address: ":" in address)  # IPv4 first: every machine has it

    def _judge(self, host: str, found: list[str], allowed: bool) -> None:
        for address in () if allowed else found:
            if not is_public(address):
                raise Refused("private_address", host if host == address else f"{host} resolves to {address}")

    def _keep(self, host: str, seconds: float, answer: list[str] | Refused) -> None:
        if len(self._answers) >= MAX_NAMES:
            del self._answers[next(iter(self._answers))]  # the oldest
        self._answers.pop(host, None)
        self._answers[host] = self._clock() + seconds, answer

    def failed(self, host: str, address: str) -> None:
        """Put an address that could not be connected to behind the other addresses of its host."""
        _, answer = self._answers.get(host, (0.0, []))
        if isinstance(answer, list) and answer[:1] == [address]:
            answer.append(answer.pop(0))

    def admits(self, address: str, port: int) -> bool:
        """Return whether a socket may be connected to an address; the last check, on what is really connected to."""
        return (address, port) in self._trusted or is_public(address)

    async def _system(self, host: str, port: int) -> list[str]:
        """Ask the system's resolver in a thread. The final dot keeps it from trying a network's own domains."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="resolve")
        name = host if host in self.allowed else host + "."
        answers = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        )
        return [str(answer[4][0]) for answer in answers]

    def close(self) -> None:
        """Let go of the threads that resolve names; those under way are not waited for."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
