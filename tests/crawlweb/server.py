"""Serves the test web on loopback addresses, one for each site, and logs who asked for what and when.

    python -m tests.crawlweb.server --sites 200 --pages 20000 --log LOG

prints a line of JSON: the port, the names for the crawler's resolver, the seeds, and the port of the canary, which is a
server on 127.0.0.1 that nobody should connect to. It serves until its standard input is closed. The log has a line for
each request: when it came and when its answer was complete (seconds), host, target, status, number of the connection,
and User-Agent, apart by tabs. A connection to the canary is a line with the host `CANARY`.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TextIO

from tests.crawlweb.web import Reply, Web

CANARY = "CANARY"


CONNECTION = "X-Connection"  # the header with the number of the connection


class Entry(NamedTuple):
    """A request, as the server saw it. Times are in seconds since 1970."""

    came: float
    ended: float
    host: str
    target: str
    status: int
    connection: int
    agent: str

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.target}"


class Server:
    """A web that is served while its context is open."""

    def __init__(self, web: Web, log: Path | None = None) -> None:
        self.web, self.port, self.canary = web, 0, 0
        self.log: list[Entry] = []
        self._file: TextIO | None = log.open("w", encoding="utf-8") if log else None
        self.visits = dict.fromkeys(web.sites, 0)
        self.connections = 0
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        canary = await loop.create_server(lambda: _Canary(self), "127.0.0.1", 0)
        self.canary = self.web.canary = canary.sockets[0].getsockname()[1]
        addresses = sorted({site.ip for site in self.web.sites.values()})
        sockets = _listening(addresses)
        self.port = sockets[0].getsockname()[1]
        self._servers = [canary]
        for listening in sockets:
            self._servers.append(await loop.create_server(lambda: _Connection(self), sock=listening))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        if self._file:
            self._file.close()

    def note(self, entry: Entry) -> None:
        if self._file is None:
            self.log.append(entry)
        else:
            self._file.write("\t".join(str(value) for value in entry) + "\n")
            self._file.flush()

    def names(self) -> dict[str, tuple[str, int]]:
        """Return where the hosts are; `rebinding.test` is where the canary is."""
        return {**self.web.names(self.port), "rebinding.test": ("127.0.0.1", self.canary)}


def _listening(addresses: list[str]) -> list[socket.socket]:
    """Return sockets that listen on one free port of all addresses."""
    for _ in range(50):
        made: list[socket.socket] = []
        port = 0
        try:
            for address in addresses:
                opened = socket.socket()
                made.append(opened)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind((address, port))
                port = opened.getsockname()[1]
            return made
        except OSError:
            for opened in made:
                opened.close()
    raise OSError(f"no port is free on {len(addresses)} loopback addresses")


class _Canary(asyncio.Protocol):
    """Notes that somebody came."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.server.note(Entry(time.time(), time.time(), CANARY, "", 0, 0, ""))
        transport.close()


class _Connection(asyncio.Protocol):
    """Answers the requests of one connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.held = b""
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections += 1
        self.number = self.server.connections

    def connection_lost(self, problem: Exception | None) -> None:
        if self.task:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head, self.held = self.held[:end], self.held[end + 4 :]
            self.answer(head.decode("latin-1"))

    def answer(self, head: str) -> None:
        came = time.time()
        request, *lines = head.split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        target = request.split(" ")[1]
        host = fields.get("host", "")
        visits = self.server.visits[host] = self.server.visits.get(host, 0) + 1
        reply = self.server.web.reply(host, target, visits, fields.get("if-none-match", ""))
        agent = fields.get("user-agent", "")
        if reply.wait_s or reply.manner:
            self.task = asyncio.get_running_loop().create_task(self.slowly(came, host, target, agent, reply))
        else:
            ended = time.time()  # before the answer can have arrived
            self.transport.write(self.head(reply) + reply.body)
            self.server.note(Entry(came, ended, host, target, reply.status, self.number, agent))

    def head(self, reply: Reply, length: int | None = None) -> bytes:
        """Return the head of an answer; it says by which connection it went, as the log does."""
        size = len(reply.body) if length is None else length
        fields = "".join(f"{name}: {value}\r\n" for name, value in (*reply.headers, (CONNECTION, self.number)))
        return f"HTTP/1.1 {reply.status} -\r\n{fields}Content-Length: {size}\r\n\r\n".encode("latin-1")

    async def slowly(self, came: float, host: str, target: str, agent: str, reply: Reply) -> None:
        """Send an answer that takes time, or has no end."""
        ended = 0.0
        try:
            await asyncio.sleep(reply.wait_s)
            if reply.manner == "stall":
                await asyncio.sleep(3600)
            elif reply.manner == "endless":
                self.transport.write(self.head(reply, length=1 << 50))
                while not self.transport.is_closing():
                    self.transport.write(reply.body)
                    await asyncio.sleep(0.001)
            elif reply.manner == "drip":
                self.transport.write(self.head(reply))
                for byte in reply.body:
                    self.transport.write(bytes([byte]))
                    await asyncio.sleep(1)
            else:
                ended = time.time()
                self.transport.write(
                    self.head(reply, length=len(reply.body) * 2 if reply.manner else None) + reply.body
                )
                if reply.manner == "cut":
                    self.transport.close()
        finally:
            self.server.note(Entry(came, ended or time.time(), host, target, reply.status, self.number, agent))


def read_log(path: Path) -> list[Entry]:
    """Return the entries of a log, in the order in which the requests came."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        came, ended, host, target, status, connection, agent = line.split("\t")
        entries.append(Entry(float(came), float(ended), host, target, int(status), int(connection), agent))
    return sorted(entries)


async def _serve(given: argparse.Namespace) -> None:
    web = Web(given.sites, given.pages, given.seed, slow_s=given.slow)
    web.edition = given.edition
    web.bake()
    async with Server(web, given.log) as server:
        about = {"port": server.port, "canary": server.canary, "seeds": web.seeds(), "names": server.names()}
        print(json.dumps(about), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--sites", type=int, default=12)
    parser.add_argument("--pages", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--edition", type=int, default=1)
    parser.add_argument("--slow", type=float, default=0.05, help="seconds that the slow sites take for an answer")
    parser.add_argument("--log", type=Path, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
