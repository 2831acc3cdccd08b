"""Storage: the same calls on a local disk and on S3 (an emulator that this test starts on loopback)."""

import json
import os
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mmedc.errors import RequestError, StorageError
from mmedc.inputs import list_inputs
from mmedc.storage import AHEAD_BYTES, Store, _object_store, file_system, open_binary


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1",
             "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}  # fmt: skip
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    _object_store.cache_clear()
    import boto3

    boto3.client("s3", endpoint_url=names["AWS_ENDPOINT_URL"]).create_bucket(Bucket="corpora")
    yield "s3://corpora"
    server.stop()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    _object_store.cache_clear()


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "new")
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


def test_a_store_on_disk_and_on_s3(root: str) -> None:
    store = Store(root)
    assert store.names() == [] and not store.exists("a/b")
    store.put("range", b"0123456789")
    assert (store.get_range("range", 2, 5), store.get_range("range", 9, 10)) == (b"234", b"9")
    with pytest.raises(StorageError):
        store.get_range("range", 5, 20)  # a part is never taken for the whole
    store.delete("range")
    with pytest.raises(FileNotFoundError):
        store.get("a/b")
    store.put("a/b", b"one")
    store.put("a/b", b"two")
    assert store.get("a/b") == b"two" and store.size("a/b") == 3
    assert store.put_new("c", b"first") is True
    assert store.put_new("c", b"second") is False
    assert store.get("c") == b"first"
    assert store.names() == ["a/b", "c"] and store.names("a") == ["a/b"]
    with store.open_input("c") as file:
        assert file.read() == b"first"
    store.delete("c")
    store.delete("c")
    assert not store.exists("c")
    assert store.below("a").get("b") == b"two"


def test_large_files_go_in_parts(root: str) -> None:
    data = os.urandom(40 << 20)
    Store(root).put("large", data)
    assert Store(root).get("large") == data


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "none"))
    assert store.names() == [] and not store.exists("x")
    store.delete("x")
    assert not (tmp_path / "none").exists()


def test_inputs_are_listed_alike(root: str) -> None:
    store = Store(root)
    for name in ("b.jsonl", "sub/a.jsonl", "sub/deep/c.jsonl", "x.txt"):
        store.put(name, name.encode())

    def names(pattern: str) -> list[str]:
        return [one.name for one in list_inputs(pattern, (".jsonl",))]

    assert names(root) == ["b.jsonl", "sub/a.jsonl", "sub/deep/c.jsonl"]
    assert names(f"{root}/*.jsonl") == ["b.jsonl"]
    assert names(f"{root}/**/*.jsonl") == ["b.jsonl", "sub/a.jsonl", "sub/deep/c.jsonl"]
    assert names(f"{root}/sub/?.jsonl") == ["a.jsonl"]
    assert names(f"{root}/[!b].txt") == ["x.txt"]
    assert names(f"{root}/b.jsonl") == ["b.jsonl"]
    assert names(f"{root}/none/*.jsonl") == []
    found = list_inputs(f"{root}/**/a.jsonl", ())[0]
    assert found.bytes == len("sub/a.jsonl")
    with open_binary(found.url) as stream:
        assert stream.read() == b"sub/a.jsonl"


def test_a_commit_on_google_cloud_storage_is_create_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in keeps what is put and refuses, as Google does, what asks for an object that is not there yet."""
    objects: dict[str, bytes] = {}

    class Stand(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken = self.headers.get("x-goog-if-generation-match") == "0" and self.path in objects
            if not taken:
                objects[self.path] = body
            self.send_response(412 if taken else 200)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.send_response(200 if self.path in objects else 404)
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
            self.send_header("Content-Length", str(len(objects.get(self.path, b""))))
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stand)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = {"gcs_base_url": f"http://127.0.0.1:{server.server_port}", "disable_oauth": True}
    key |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(key))
    monkeypatch.setenv("AWS_ENDPOINT_URL", key["gcs_base_url"])  # plain HTTP is allowed where it is asked for
    _object_store.cache_clear()
    store = Store("gs://corpora/build")
    assert store.put_new("c", b"first") is True and store.put_new("c", b"second") is False
    assert list(objects.values()) == [b"first"]
    server.shutdown()
    _object_store.cache_clear()
    system, path = file_system("gs://corpora/build/c")
    assert system.type_name == "gcs" and path == "corpora/build/c"


def test_unknown_schemes_are_named() -> None:
    with pytest.raises(RequestError, match="unknown scheme ftp"):
        list_inputs("ftp://host/x", ())


def test_hub_data_sets_are_read_through_their_file_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`hf://` is read by huggingface_hub's own file system; here one over a local folder stands for the hub."""
    import fsspec
    import huggingface_hub

    (tmp_path / "datasets/owner/name").mkdir(parents=True)
    (tmp_path / "datasets/owner/name/a.jsonl").write_bytes(b'{"text": "x"}\n')

    def hub() -> Any:
        return fsspec.filesystem("dir", path=str(tmp_path), target_protocol="file")

    monkeypatch.setattr(huggingface_hub, "HfFileSystem", hub)
    found = list_inputs("hf://datasets/owner/name/*.jsonl", ())
    assert [(one.url, one.bytes) for one in found] == [("hf://datasets/owner/name/a.jsonl", 14)]
    with open_binary(found[0].url) as stream:
        assert stream.read() == b'{"text": "x"}\n'


def test_a_remote_input_is_read_ahead_in_order(s3: str) -> None:
    data = random.Random(1).randbytes(2 * AHEAD_BYTES + 12_345)
    Store(s3).put("large", data)
    for offset in (0, 5, AHEAD_BYTES, len(data) - 1, len(data)):
        with open_binary(f"{s3}/large", offset) as stream:
            parts = [stream.read(size) for size in (1, 0, 70_000, AHEAD_BYTES + 1)]
            assert stream.tell() == sum(map(len, parts))
            assert b"".join(parts) + stream.read() == data[offset:]
    with open_binary(f"{s3}/large") as stream:
        stream.read(10)  # closed with a part on its way
    with pytest.raises(FileNotFoundError):
        open_binary(f"{s3}/none")
