"""What every request passes: the names of this server, the token, the origin of forms, and the headers of answers."""

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
import sys
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmedc.redact import redact

POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"),
        *("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with `no-referrer` browsers send forms with `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
OPEN = ("/static/", "/enter")
"""What is answered without the token."""
LEAST_TOKEN = 16
"""Characters of the shortest token."""
PAUSE_S = 0.5
"""The wait after a wrong token."""
MOST_BODY = 64 << 10
"""Bytes of the largest form."""
MOST_SAID = 500
"""Characters of the longest message on the screen."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


class Guard:
    """ASGI middleware. With `any_address`, every IP address is a name of this server: it listens on all of them."""

    def __init__(
        self, app: ASGIApp, names: Iterable[str] = LOOPBACK, token: str = "", any_address: bool = False
    ) -> None:
        self.app, self.token, self.any_address = app, token, any_address
        self.names = {name.lower() for name in (*LOOPBACK, *names)}
        self.key = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = await self._refusal(scope, receive)
        try:
            await (answer or self.app)(scope, receive, send_guarded)
        except Exception as problem:  # Starlette has answered it with status 500
            what = f"{scope['path']}: {type(problem).__name__}: {redact(str(problem))}"[:MOST_SAID]
            print(f"error: {''.join(c if c.isprintable() else '?' for c in what)}", file=sys.stderr)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to a request that does not pass; None for one that does."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if not self._is_ours(headers.get("host", "")):
            return PlainTextResponse("This server is not known by that name.", 421)
        if method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Only GET, HEAD and POST are answered.", 405)
        if method == "POST":
            scheme, _, origin = headers.get("origin", "").partition("://")
            if scheme not in ("http", "https") or origin.lower() != headers["host"].lower():
                return PlainTextResponse("The form was not sent from a page of this server.", 403)
            size = headers.get("content-length", "")
            if not size.isdigit() or int(size[:9]) > MOST_BODY:
                return PlainTextResponse("The form is too large.", 413)
        if not self.token or self._has_token(headers):
            return None
        if path == "/enter" and method == "POST":
            return await self._enter(Request(scope, receive))
        if path.startswith(OPEN):
            return None
        if method == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/enter", 303)
        return PlainTextResponse("The token is missing or wrong.", 401)

    def _is_ours(self, header: str) -> bool:
        host = host_of(header)
        if host in self.names:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return self.any_address

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), self.token.encode()):
            return True
        cookies = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        found = cookies.get(self._cookie(headers))
        return found is not None and hmac.compare_digest(found.value.encode(), self._session().encode())

    def _cookie(self, headers: Headers) -> str:
        """Return the name of the cookie: browsers send the cookies of all ports of a host."""
        port = headers.get("host", "").rpartition(":")[2]
        return f"mmedc_inspect_{port if port.isdigit() else 80}"

    def _session(self) -> str:
        """Return the value of the cookie: not the token, and worthless after this process has ended."""
        return hmac.new(self.key, self.token.encode(), hashlib.sha256).hexdigest()

    async def _enter(self, request: Request) -> Response:
        given = (await request.form(max_fields=4)).get("token")
        if not isinstance(given, str) or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            await asyncio.sleep(PAUSE_S)
            return RedirectResponse("/enter?wrong=1", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie(request.headers), self._session(), httponly=True, samesite="strict", path="/")
        return answer
