"""An object store that misbehaves: an emulator on loopback behind a door that drops, delays, cuts and lies.

Real stores were not at hand; what they do wrong is done here to real requests of the real clients.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from mmedc import storage
from mmedc.corpus.verify import verify
from mmedc.engine.run import Inline
from mmedc.errors import StorageError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.storage import PART_BYTES, Store, open_binary
from tests.conftest import Notes

SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]
SECRET = "hunter2-hunter2-hunter2"


class Door:
    """Stands before the emulator and lets a test decide what happens to each request."""

    def __init__(self, behind: Application) -> None:
        self.behind = behind
        self.seen: Counter[str] = Counter()
        self.answer: Callable[[Door, dict[str, Any], Callable[..., Any]], Any] = Door.pass_on

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        self.seen[environ["REQUEST_METHOD"]] += 1
        return self.answer(self, environ, start)

    def pass_on(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        return self.behind(environ, start)

    def slow_down(self, _: dict[str, Any], start: Callable[..., Any]) -> Any:
        start("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(SLOW_DOWN)))])
        return [SLOW_DOWN]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Door, str]]:
    from moto.server import DomainDispatcherApplication, create_backend_app

    door = Door(DomainDispatcherApplication(create_backend_app))
    running = make_server("127.0.0.1", 0, door, threaded=True)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield door, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()


@pytest.fixture
def door(server: tuple[Door, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    door, url = server
    door.answer = Door.pass_on
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
                        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(storage, "REQUEST_S", 2)
    monkeypatch.setattr(storage, "RETRY_S", 5)
    storage._object_store.cache_clear()
    storage._s3.cache_clear()
    import boto3

    boto3.client("s3", endpoint_url=url).create_bucket(Bucket="corpora")
    door.seen.clear()
    yield door
    door.answer = Door.pass_on
    storage._object_store.cache_clear()
    storage._s3.cache_clear()


@pytest.fixture
def store(door: Door, tmp_path: Path) -> Store:
    return Store(f"s3://corpora/{tmp_path.name}")


def every(number: int, fault: Callable[..., Any]) -> Callable[..., Any]:
    """Return an answer that meets each `number`-th request with `fault` and lets the others pass."""
    count = iter(range(1, 10**9))
    return lambda door, environ, start: (fault if next(count) % number == 0 else Door.pass_on)(door, environ, start)


def once(when: Callable[[dict[str, Any]], bool], fault: Callable[..., Any]) -> Callable[..., Any]:
    """Return an answer that meets the first request for which `when` holds with `fault`."""
    left = [True]

    def answer(door: Door, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if left[0] and when(environ):
            left[0] = False
            return fault(door, environ, start)
        return door.pass_on(environ, start)

    return answer


def is_put(environ: dict[str, Any]) -> bool:
    return environ["REQUEST_METHOD"] == "PUT"


def late(door: Door, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
    time.sleep(3)  # longer than REQUEST_S of these tests
    return door.pass_on(environ, start)


def answer_lost(door: Door, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
    """Do what was asked, then answer as if nothing had been done."""
    list(door.behind(environ, lambda *_: None))
    return door.slow_down(environ, start)


def half_kept(door: Door, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
    """Keep half of what came, and say that all is well."""
    import io

    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    half = body[: len(body) // 2]
    return door.pass_on({**environ, "wsgi.input": io.BytesIO(half), "CONTENT_LENGTH": str(len(half))}, start)


def test_a_third_of_the_requests_is_told_to_slow_down(door: Door, store: Store) -> None:
    door.answer = every(3, Door.slow_down)
    for number in range(10):
        store.put(f"a/{number}", b"%d" % number)
    assert store.put_new("b", b"first") is True
    assert store.names("a") == [f"a/{number}" for number in range(10)]
    assert [store.get(name) for name in store.names("a")] == [b"%d" % number for number in range(10)]


def test_a_store_that_never_answers_well_is_given_up_and_named(door: Door, store: Store) -> None:
    door.answer = Door.slow_down
    monkey = pytest.MonkeyPatch()
    monkey.setattr(storage, "TRIES", 2)
    monkey.setattr(storage, "RETRY_S", 1)
    storage._object_store.cache_clear()
    begun = time.monotonic()
    with pytest.raises(StorageError, match=r"s3://corpora/.*/x: .*503.*tried 2 times.*give the same command again"):
        store.put("x", b"x")
    monkey.undo()
    assert time.monotonic() - begun < 30
    assert door.seen["PUT"] > 2


def test_an_upload_that_takes_too_long_is_sent_again(door: Door, store: Store) -> None:
    door.answer = once(is_put, late)
    store.put("x", b"late")
    assert store.get("x") == b"late"


@pytest.mark.parametrize("size", [1000, PART_BYTES + 1000], ids=["one request", "in parts"])
def test_an_upload_of_which_half_arrives_is_sent_again(door: Door, store: Store, size: int) -> None:
    data = os.urandom(size)
    door.answer = once(is_put, half_kept)
    store.put("x", data)
    assert store.get("x") == data


def test_an_entry_of_which_half_arrives_is_no_commit(door: Door, store: Store) -> None:
    door.answer = once(is_put, half_kept)
    assert store.put_new("entry", b"x" * 1000) is True
    assert store.get("entry") == b"x" * 1000


def test_an_entry_whose_answer_is_lost_stands(door: Door, store: Store) -> None:
    door.answer = once(is_put, answer_lost)
    store.put_new("entry", b"mine")
    assert store.get("entry") == b"mine"
    assert store.put_new("entry", b"another's") is False and store.get("entry") == b"mine"


def test_a_download_that_breaks_off_is_read_on(door: Door, store: Store) -> None:
    data = os.urandom(6 << 20)
    store.put("x", data)

    def cut(door: Door, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        body = b"".join(door.pass_on(environ, start))
        return [body[: len(body) // 2]]

    door.answer = once(lambda environ: environ["REQUEST_METHOD"] == "GET", cut)
    with open_binary(f"{store.url}/x") as stream:
        assert stream.read() == data


def test_wrong_credentials_are_not_tried_again(door: Door, store: Store) -> None:
    def refuse(_: Door, __: dict[str, Any], start: Callable[..., Any]) -> Any:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    door.answer = refuse
    with pytest.raises(StorageError, match="x: "):
        store.put("x", b"x")
    assert door.seen["PUT"] == 1


def stale(hidden: float) -> Callable[..., Any]:
    """Return an answer that leaves out of listings what was written less than `hidden` seconds ago."""
    import re

    written: dict[str, float] = {}

    def answer(door: Door, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] == "PUT":
            written[environ["PATH_INFO"].removeprefix("/corpora/")] = time.monotonic()
        if environ["REQUEST_METHOD"] != "GET" or "list-type=2" not in environ["QUERY_STRING"]:
            return door.pass_on(environ, start)
        said: list[Any] = []
        body = b"".join(door.behind(environ, lambda *given: said.extend(given))).decode()

        def visible(found: "re.Match[str]") -> str:
            key = found.group(1)
            return "" if time.monotonic() - written.get(key, 0.0) < hidden else found.group(0)

        body = re.sub(r"<Contents>\s*<Key>(.*?)</Key>.*?</Contents>", visible, body, flags=re.DOTALL)
        headers = [(name, value) for name, value in said[1] if name.lower() != "content-length"]
        start(said[0], [*headers, ("Content-Length", str(len(body.encode())))])
        return [body.encode()]

    return answer


def test_a_corpus_is_built_on_a_store_that_misbehaves(door: Door, store: Store, tmp_path: Path) -> None:
    """Each seventh request is told to slow down, and listings lag: the corpus is that of a local disk."""
    recipe = read_recipe("quickstart")
    calm = Build.prepare(recipe, str(tmp_path / "calm")).run(Inline(), Notes())
    door.answer = every(7, Door.slow_down)
    manifest = Build.prepare(recipe, store.url).run(Inline(), Notes())
    assert manifest.digest == calm.digest
    door.answer = stale(3600)
    again = Build.prepare(recipe, store.url).run(Inline(), Notes())  # which sees none of what is committed
    assert again.digest == calm.digest
    door.answer = Door.pass_on
    verify(store.url)
    for name in store.names():
        assert SECRET.encode() not in store.get(name), name
