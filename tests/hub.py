"""A stand-in for the Hugging Face hub on loopback: one dataset repository, its contents by hash, and its commits.

It answers what `huggingface_hub` asks of the real one when files are listed, sent and read; nothing of it is copied.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

LARGE = (".parquet", ".gz")


@dataclass
class Hub:
    """What is stored, and what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By path, as of the last commit; empty and not there are the same repository that does not exist."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256: what was sent, committed or not."""
    sent: list[str] = field(default_factory=list)
    commits: int = 0
    created: bool = False
    token: str = "hf_" + "standin" * 5
    fail_after: int | None = None
    """Refuse contents with 503 after so many."""
    url: str = ""

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        request = Request(environ)
        return self.answer(request)(environ, start)

    def answer(self, request: Request) -> Response:
        path = request.path
        if request.method == "PUT" and path.startswith("/content/"):
            return self._store(path.removeprefix("/content/"), request.get_data())
        if path.startswith("/datasets/") and "/resolve/" in path:
            return self._read(path.split("/resolve/")[1].partition("/")[2], request)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _json({"error": "who are you?"}, 401)
        if path == "/api/repos/create":
            self.created = True
            return _json({"url": f"{self.url}/datasets/me/corpus", "name": "me/corpus"})
        if not self.created:
            return Response("no such repository", 404, {"X-Error-Code": "RepoNotFound"})
        if "/tree/" in path:
            return _json([_entry(name, data) for name, data in sorted(self.files.items())])
        if "/preupload/" in path:
            asked = request.get_json()["files"]
            modes = [{"path": one["path"], "uploadMode": _mode(one["path"]), "shouldIgnore": False} for one in asked]
            return _json({"files": modes})
        if path.endswith("/info/lfs/objects/batch"):
            return self._batch(request.get_json(force=True))
        if "/commit/" in path:
            return self._commit(request.get_data().decode())
        return _json({"id": "me/corpus", "sha": "0" * 40, "siblings": []})

    def _store(self, sha256: str, data: bytes) -> Response:
        if self.fail_after is not None and len(self.sent) >= self.fail_after:
            return Response("come back later", 400)
        assert hashlib.sha256(data).hexdigest() == sha256
        self.contents[sha256] = data
        self.sent.append(sha256)
        return Response("", 200)

    def _batch(self, asked: dict[str, Any]) -> Response:
        objects = []
        for one in asked["objects"]:
            there = one["oid"] in self.contents
            actions = {} if there else {"actions": {"upload": {"href": f"{self.url}/content/{one['oid']}"}}}
            objects.append({"oid": one["oid"], "size": one["size"], "authenticated": True, **actions})
        return Response(
            json.dumps({"transfer": "basic", "objects": objects}), 200, content_type="application/vnd.git-lfs+json"
        )

    def _commit(self, lines: str) -> Response:
        for line in lines.splitlines():
            one = json.loads(line)
            value = one["value"]
            if one["key"] == "lfsFile":
                self.files[value["path"]] = self.contents[value["oid"]]
            elif one["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif one["key"] == "deletedFile":
                del self.files[value["path"]]
        self.commits += 1
        oid = f"{self.commits:040x}"
        return _json({"success": True, "commitOid": oid, "commitUrl": f"{self.url}/datasets/me/corpus/commit/{oid}"})

    def _read(self, name: str, request: Request) -> Response:
        if name not in self.files:
            return Response("no such file", 404, {"X-Error-Code": "EntryNotFound"})
        return Response(self.files[name], 200, {"ETag": f'"{_sha1(self.files[name])}"', "X-Repo-Commit": "0" * 40})


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _mode(path: str) -> str:
    return "lfs" if path.endswith(LARGE) else "regular"


def _sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": _sha1(data)}
    if name.endswith(LARGE):
        found["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return found


@contextmanager
def running() -> Iterator[Hub]:
    """Run a hub on a free port while the context is open."""
    hub = Hub()
    server = make_server("127.0.0.1", 0, hub, threaded=True)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
