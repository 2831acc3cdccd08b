"""Fetching: only public addresses are connected to, and no answer costs more than its bounds."""

import asyncio
import contextlib
import datetime
import gzip
import ipaddress
import resource
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mmedc.crawl.address import host_of, normal, origin_of, site_of
from mmedc.crawl.fetch import Bounds, Fetcher, agent_of, content_of, wanted_since
from mmedc.crawl.guard import ANSWER_S, FAILURE_S, Guard, is_public
from mmedc.crawl.types import Fetched, Refused
from tests.loopback import Loopback, fixed, http

AGENT = agent_of("0.1.0", "https://example.org/bot")
OPEN = Bounds()
PUBLIC = "9.9.9.9"  # is never connected to here


async def fetch(answer: Any, bounds: Bounds = OPEN, path: str = "/", **more: Any) -> Fetched:
    async with Loopback(answer) as server:
        guard = Guard({"site.test"}, {"site.test": ("127.0.0.1", server.port)})
        async with Fetcher(guard, AGENT, bounds) as fetcher:
            return await fetcher.fetch(f"http://site.test{path}", **more)


def reason(awaited: Awaitable[Any]) -> str:
    async def run() -> str:
        try:
            await awaited
        except Refused as refusal:
            return refusal.reason
        return ""

    return asyncio.run(run())


def content_reason(fetched: Fetched, limit: int) -> str:
    try:
        content_of(fetched, limit)
    except Refused as refusal:
        return refusal.reason
    return ""


# addresses


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("HTTP://Example.ORG:80", "http://example.org/"),
        ("http://example.org/a/./b/../c#part", "http://example.org/a/c"),
        ("https://example.org:443/%7Ename/%e4?", "https://example.org/~name/%E4"),
        ("http://example.org./a", "http://example.org/a"),
        ("http://faß.de/ä", "http://xn--fa-hia.de/%C3%A4"),
        ("/a?utm_source=x&id=7&fbclid=1", "http://base.org/a?id=7"),
        ("b.php?PHPSESSID=0a1b&page=2", "http://base.org/dir/b.php?page=2"),
        ("/shop;jsessionid=0AB1?x=1", "http://base.org/shop?x=1"),
        ("/(S(abcdefghijklmnop))/list.aspx", "http://base.org/list.aspx"),
        ("?s=anemia", "http://base.org/dir/page?s=anemia"),
        ("?s=0123456789abcdef0123456789abcdef", "http://base.org/dir/page"),
        ("//other.org/x", "http://other.org/x"),
        ("javascript:alert(1)", ""),
        ("mailto:info@example.org", ""),
        ("ftp://example.org/", ""),
        ("http://[::1", ""),
        ("http://a b/", ""),
        ("\ud800", ""),
        ("/" + "a" * 3000, ""),
    ],
)
def test_an_address_has_one_form(url: str, wanted: str) -> None:
    assert normal(url, "http://base.org/dir/page") == wanted
    if wanted:
        assert normal(wanted) == wanted


def test_the_short_way_to_the_normal_form_gives_what_the_parser_gives() -> None:
    import ada_url

    for path in ("/", "/a", "/a/b.html", "/a/", "/a//b", "/a/../b", "/.a", "/~x/y_z-1.2", "/a.", "/A+b", "a", "/a/./"):
        assert normal(path, "https://www.example.org/d/e") == ada_url.URL(path, "https://www.example.org/d/e").href
        if path.startswith("/"):
            assert normal("http://example.org" + path) == ada_url.URL("http://example.org" + path).href


PIECES = [*"/?&=;#%@:\\ aä", "..", ".", "41", "2e", "utm_x", "sid", ";jsessionid=1", "/(S(abcdefgh1))", "b.c"]


@given(
    st.lists(st.sampled_from(PIECES), max_size=9).map("".join) | st.text(max_size=20),
    st.sampled_from(["", "http://a.org", "https://x.a.org/"]),
)
def test_the_normal_form_of_a_normal_form_is_itself(text: str, before: str) -> None:
    url = normal(before + text, "http://base.org/dir/page")
    assert normal(url, "http://base.org/dir/page") == url if url else True
    if url:
        assert host_of(url) and origin_of(url)
        with contextlib.suppress(Refused):
            Guard().check(url)


def test_the_parts_of_an_address() -> None:
    assert host_of("http://[::1]:8080/") == "::1"
    assert origin_of("http://example.org:8080/a/b?c") == "http://example.org:8080"
    assert [site_of(host) for host in ("www.health.gov.uk", "a.b.example.org", "127.0.0.1", "localhost")] == [
        "health.gov.uk",
        "example.org",
        "127.0.0.1",
        "localhost",
    ]


# the guard

INSIDE = [
    "http://127.0.0.1:{port}/",  # loopback
    "http://10.0.0.1:{port}/",  # private
    "http://169.254.169.254:{port}/latest/meta-data/",  # metadata, link-local
    "http://168.63.129.16:{port}/",  # metadata on a public address
    "http://100.64.0.1:{port}/",  # shared by carriers
    "http://224.0.0.1:{port}/",  # multicast
    "http://0.0.0.0:{port}/",
    "http://2130706433:{port}/",  # decimal
    "http://0x7f.1:{port}/",  # hexadecimal
    "http://0177.0.0.1:{port}/",  # octal
    "http://127.1:{port}/",  # short
    "http://①②⑦.⓪.⓪.①:{port}/",  # digits that IDNA turns into ASCII
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",  # IPv4-mapped
    "http://[64:ff9b::7f00:1]:{port}/",  # NAT64
    "http://[2002:7f00:1::]:{port}/",  # 6to4
    "http://[fe80::1]:{port}/",  # link-local
    "http://[fd00:ec2::254]:{port}/",  # metadata, unique local
    "http://[::127.0.0.1]:{port}/",  # IPv4-compatible
    "http://[2001:4860:1::5efe:127.0.0.1]:{port}/",  # ISATAP
    "http://localhost:{port}/",
    "http://localhost.:{port}/",
    "http://inside.test:{port}/",  # a name that resolves to loopback
    "http://mixed.test:{port}/",  # a name with a public and a private address
    "http://mapped.test:{port}/",
    "http://public.test@127.0.0.1:{port}/",  # what looks like the host is a user
    "http://user:word@public.test:{port}/",
    "http://127.0.0.1:{port}\\@public.test/",
    "http://public.test#@127.0.0.1:{port}/\\",
    "http://127.0.0.1%2f@public.test:{port}/",
]
ANSWERS = {
    "inside.test": ["127.0.0.1"],
    "mixed.test": [PUBLIC, "127.0.0.1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "public.test": [PUBLIC],
    "localhost": ["127.0.0.1"],
}


async def lookup(host: str, port: int) -> list[str]:
    return ANSWERS.get(host) or [socket.inet_ntoa(socket.inet_aton(host))]  # as the system reads `0x7f.1`


def test_no_way_leads_to_a_private_address() -> None:
    async def run() -> None:
        async with Loopback(fixed(http(b"secret"))) as canary:
            # a guard that let everything through would reach the canary by these: ports are not what stops them
            guard = Guard(ports=(80, 443, canary.port), lookup=lookup)
            tried: list[str] = []

            class Offline(Fetcher):
                def _socket(self, info: tuple[Any, ...]) -> Any:
                    tried.append(info[4][0])
                    assert not is_public(info[4][0]) or info[4][0] == PUBLIC
                    if info[4][0] == PUBLIC:
                        raise OSError("this test does not leave the machine")
                    return super()._socket(info)

            async with Offline(guard, AGENT, OPEN) as fetcher:
                for vector in INSIDE:
                    raw = vector.format(port=canary.port)
                    for url in {normal(raw), raw} - {""}:
                        with pytest.raises(Refused):
                            await fetcher.fetch(url)
                for url in (
                    f"file://127.0.0.1:{canary.port}/etc/passwd",
                    f"gopher://127.0.0.1:{canary.port}/",
                    f"ftp://public.test:{canary.port}/",
                    "http://public.test:22/",
                    "http:///etc",
                    "http://public.test:99999/",
                ):
                    with pytest.raises(Refused):
                        await fetcher.fetch(url)
            assert set(tried) <= {PUBLIC}
            assert canary.connections == 0
            allowing = Guard({"127.0.0.1"})
            async with Fetcher(allowing, AGENT, OPEN) as fetcher:  # and the canary does answer
                assert (await fetcher.fetch(f"http://127.0.0.1:{canary.port}/")).body == b"secret"
            assert canary.connections == 1

    asyncio.run(run())


def test_a_redirect_is_an_answer_and_its_target_is_checked_like_any_url() -> None:
    async def run() -> None:
        async with (
            Loopback(fixed(http(b"secret"))) as canary,
            Loopback(fixed(http(b"", "302 Found", Location=f"http://127.0.0.1:{canary.port}/"))) as server,
        ):
            guard = Guard({"site.test"}, {"site.test": ("127.0.0.1", server.port)}, ports=(80, canary.port))
            async with Fetcher(guard, AGENT, OPEN) as fetcher:
                answer = await fetcher.fetch("http://site.test/")
                assert answer.status == 302
                with pytest.raises(Refused, match="private_address"):
                    await fetcher.fetch(normal(answer.header("location"), answer.url))
            assert canary.connections == 0

    asyncio.run(run())


def test_a_name_is_resolved_once_and_a_change_of_address_is_checked() -> None:
    now, asked, tried = [0.0], [0], []

    async def rebinding(host: str, port: int) -> list[str]:
        asked[0] += 1
        return [PUBLIC] if asked[0] == 1 else ["127.0.0.1"]

    class Offline(Fetcher):
        def _socket(self, info: tuple[Any, ...]) -> Any:
            tried.append(info[4][0])
            raise OSError("this test does not leave the machine")

    async def run() -> None:
        guard = Guard(lookup=rebinding, clock=lambda: now[0])
        async with Offline(guard, AGENT, OPEN) as fetcher:
            for _ in range(3):
                with pytest.raises(Refused, match="connect"):
                    await fetcher.fetch("http://flip.test/")
            assert asked == [1]
            assert set(tried) == {PUBLIC}
            now[0] += ANSWER_S
            for _ in range(2):
                with pytest.raises(Refused, match=r"private_address: flip\.test resolves to 127\.0\.0\.1"):
                    await fetcher.fetch("http://flip.test/")
            assert asked == [2]  # a refusal is kept too
            now[0] += FAILURE_S
            with pytest.raises(Refused):
                await guard.addresses("flip.test", 80)
            assert asked == [3]
            assert set(tried) == {PUBLIC}

    asyncio.run(run())


def test_many_who_ask_for_a_name_share_one_answer() -> None:
    asked = [0]

    async def slow(host: str, port: int) -> list[str]:
        asked[0] += 1
        await asyncio.sleep(0.01)
        if host == "none.test":
            raise OSError("no such name")
        return [PUBLIC]

    async def run() -> None:
        guard = Guard(lookup=slow)
        answers = await asyncio.gather(*(guard.addresses("site.test", 80) for _ in range(9)))
        assert {tuple(answer) for answer in answers} == {((PUBLIC, 80),)}
        refusals = await asyncio.gather(*(guard.addresses("none.test", 80) for _ in range(9)), return_exceptions=True)
        assert {str(refusal) for refusal in refusals} == {"dns: none.test: no such name"}
        assert asked == [2]
        first = asyncio.ensure_future(guard.addresses("other.test", 80))
        second = asyncio.ensure_future(guard.addresses("other.test", 80))
        await asyncio.sleep(0)
        first.cancel()  # as a fetch is whose time is up
        assert await second == [(PUBLIC, 80)]

    asyncio.run(run())


def test_an_address_that_does_not_answer_gives_way_to_the_next() -> None:
    async def run() -> None:
        async with Loopback(fixed(http(b"here"))) as server:

            async def two(host: str, port: int) -> list[str]:
                return ["127.0.0.9", "127.0.0.1"]

            guard = Guard({"site.test"}, lookup=two)
            async with Fetcher(guard, AGENT, OPEN) as fetcher:
                for _ in range(2):
                    answer = await fetcher.fetch(f"http://site.test:{server.port}/")
                    assert (answer.ip, answer.body) == ("127.0.0.1", b"here")
                with pytest.raises(Refused, match="connect"):
                    await fetcher.fetch("http://site.test:9/")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:4700::1", True),
        ("64:ff9b::9.9.9.9", True),  # how a network with only IPv6 reaches IPv4
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("2001:db8::1", False),
        ("2001:0:1::1", False),
        ("ff02::1", False),
        ("fec0::1", False),
        ("fe80::1%eth0", False),
        ("64:ff9b:1::1", False),
        ("name", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public


# what one answer may cost


def test_a_request_and_its_answer_are_kept_as_they_went_over_the_wire() -> None:
    async def run() -> None:
        sent = http(b"<p>x</p>", X_Odd="\xe4 b", Set_Cookie="a=1", Content_Type="text/html")
        async with Loopback(fixed(sent)) as server:
            guard = Guard({"site.test"}, {"site.test": ("127.0.0.1", server.port)})
            async with Fetcher(guard, AGENT, OPEN) as fetcher:
                answers = [
                    await fetcher.fetch("http://site.test/a%20b?q=%C3%A4", {"If-None-Match": '"7"'}) for _ in range(3)
                ]
            assert server.connections == 1
            assert {answer.request for answer in answers} == set(server.requests)
            answer = answers[-1]
            assert answer.request.startswith(b"GET /a%20b?q=%C3%A4 HTTP/1.1\r\nHost: site.test\r\n")
            assert b'If-None-Match: "7"\r\n' in answer.request
            assert f"User-Agent: {AGENT}\r\n".encode() in answer.request
            assert b"ookie" not in answer.request
            head = b"".join(b"%b: %b\r\n" % field for field in answer.headers)
            assert b"HTTP/1.1 200 " + answer.reason + b"\r\n" + head + b"\r\n" + answer.body == sent
            assert (answer.ip, answer.status, answer.truncated) == ("127.0.0.1", 200, "")

    asyncio.run(run())


def test_a_server_that_drips_is_cut_at_the_total() -> None:
    async def drip(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        for _ in range(999):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    answer = asyncio.run(fetch(drip, Bounds(total_s=1.5)))
    assert answer.truncated == "time"
    assert 0 < len(answer.body) < 80


def test_a_server_that_says_nothing_or_drips_its_head_is_given_up() -> None:
    async def silent(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(9)

    async def dripping(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(999):
            writer.write(b"X-%d: 1\r\n" % number)
            await writer.drain()
            await asyncio.sleep(0.02)

    async def continuing(head: bytes, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)

    for answer in (silent, dripping, continuing):
        assert reason(fetch(answer, Bounds(total_s=0.2))) == "timeout"
    assert reason(fetch(silent, Bounds(total_s=9, silence_s=0.2))) == "timeout"


def test_an_endless_body_is_cut_and_takes_no_memory() -> None:
    async def endless(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
            await writer.drain()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = asyncio.run(fetch(endless, Bounds(body_bytes=3 << 20)))
    assert (answer.truncated, len(answer.body)) == ("length", 3 << 20)
    assert len(asyncio.run(fetch(endless, body_bytes=1000)).body) == 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10  # KiB


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 2000,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * (1 << 20) + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 900) for number in range(2000)),
    ],
)
def test_a_flood_of_headers_is_refused(head: bytes) -> None:
    assert reason(fetch(fixed(head + b"Content-Length: 0\r\n\r\n"))) == "bad_http"


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nshort", "cut_off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort", "cut_off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort\r\n0\r\n\r\n", "bad_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbody", "bad_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 9\r\n\r\nbody", "bad_http"),
        (b"<html>no head</html>", "bad_http"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "bad_http"),
        (b"\x16\x03\x01\x00\x05hello", "bad_http"),
        (b"", "cut_off"),
    ],
)
def test_an_answer_that_breaks_the_rules_is_no_answer(sent: bytes, wanted: str) -> None:
    assert reason(fetch(fixed(sent, close=True))) == wanted


def test_an_answer_of_http_1_0_without_a_length_ends_with_its_connection() -> None:
    answer = asyncio.run(fetch(fixed(b"HTTP/1.0 200 OK\r\n\r\nbody", close=True)))
    assert (answer.status, answer.body, answer.truncated) == (200, b"body", "")


def test_what_follows_a_body_is_never_taken_for_an_answer() -> None:
    async def run() -> None:
        forged = http(b"forged", Content_Type="text/html")
        async with Loopback(fixed(http(b"four") + forged)) as server:
            guard = Guard({"site.test"}, {"site.test": ("127.0.0.1", server.port)})
            async with Fetcher(guard, AGENT, OPEN) as fetcher:
                for _ in range(4):
                    try:
                        assert (await fetcher.fetch("http://site.test/")).body == b"four"
                    except Refused as refusal:
                        assert refusal.reason in ("bad_http", "cut_off")
            assert server.connections > 1

    asyncio.run(run())


ZEROS = bytes(32 << 20)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("coding", PACKERS)
def test_a_bomb_is_unpacked_up_to_the_bound(coding: str) -> None:
    answer = asyncio.run(fetch(fixed(http(PACKERS[coding](ZEROS), Content_Encoding=coding))))
    assert len(answer.body) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert content_reason(answer, 1 << 20) == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # KiB


def test_content_is_what_a_coding_was_done_to() -> None:
    page = b"<p>Blut</p>" * 99
    for coding, pack in PACKERS.items():
        packed = pack(page)
        answer = asyncio.run(fetch(fixed(http(packed, Content_Encoding=coding))))
        assert (answer.body, content_of(answer, 1 << 20)) == (packed, page)
    cut = asyncio.run(fetch(fixed(http(gzip.compress(page)[:-9], Content_Encoding="gzip"))))
    assert content_reason(cut, 1 << 20) == "truncated"
    odd = asyncio.run(fetch(fixed(http(b"\x00\x01\x02" * 99, Content_Encoding="compress"))))
    assert content_reason(odd, 1 << 20) == "bad_encoding"


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            certificate = _certificate(Path(folder), "site.test")
            serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            serving.load_cert_chain(certificate)
            async with Loopback(fixed(http(b"hello")), serving) as server:
                names = dict.fromkeys(("site.test", "other.test"), ("127.0.0.1", server.port))
                async with Fetcher(Guard(names, names), AGENT, OPEN) as fetcher:
                    with pytest.raises(Refused, match="tls"):
                        await fetcher.fetch("https://site.test/")
                trusting = ssl.create_default_context(cafile=certificate)
                async with Fetcher(Guard(names, names), AGENT, OPEN, tls=trusting) as fetcher:
                    assert (await fetcher.fetch("https://site.test/")).body == b"hello"
                    with pytest.raises(Refused, match="tls"):
                        await fetcher.fetch("https://other.test/")

    asyncio.run(run())


def _certificate(folder: Path, host: str) -> Path:
    """Write a key and a certificate for a host that it signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=3))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "site.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_what_is_wanted_only_if_it_changed() -> None:
    headers = ((b"ETag", b'W/"7"'), (b"last-modified", b"Mon, 30 Nov 2026 10:00:00 GMT"), (b"X", b"1"))
    assert wanted_since(headers) == {
        "If-None-Match": 'W/"7"',
        "If-Modified-Since": "Mon, 30 Nov 2026 10:00:00 GMT",
    }
    assert wanted_since(((b"ETag", b'"\xff"'),)) == {}
