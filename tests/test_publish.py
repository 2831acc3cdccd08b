"""A corpus is published whole, once, and last of all its manifest: in folders, object stores and on the hub."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mmedc.corpus.manifest import read_manifest
from mmedc.corpus.verify import verify
from mmedc.errors import CorpusError, RequestError, StorageError, VerifyError
from mmedc.forgetting import entry
from mmedc.pipeline.forget import forget
from mmedc.pipeline.hub import repository_of
from mmedc.pipeline.push import MARKS, StoreTarget, publication
from mmedc.storage import Store
from tests.hub import Hub, running
from tests.test_cli import mmedc


@pytest.fixture(scope="module")
def newer(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version of the corpus that has forgotten a document."""
    out = tmp_path_factory.mktemp("publish") / "newer"
    forget(str(quickstart), (entry("url", "https://mirror1.example/en/vertigo"),), out=str(out))
    return out


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_copy_has_documents_statistics_and_what_describes_them(quickstart: Path, tmp_path: Path) -> None:
    publication(str(quickstart), str(tmp_path / "copy")).send()
    manifest = verify(str(tmp_path / "copy"))
    assert manifest.digest == read_manifest(str(quickstart)).digest and manifest.rejects == () and manifest.keys is None
    assert {name.split("/")[0] for name in names(tmp_path / "copy")} == {
        "data",
        "statistics",
        "README.md",
        "croissant.json",
        "manifest.json",
    }
    publication(str(quickstart), str(tmp_path / "whole"), ["rejects", "keys", "crawl"]).send()
    assert verify(str(tmp_path / "whole")).rejects


def test_nothing_is_sent_twice_and_an_old_version_is_replaced(
    quickstart: Path, newer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = str(tmp_path / "copy")
    publication(str(quickstart), copy).send()
    again = publication(str(quickstart), copy)
    assert again.there.complete and not again.missing
    update = publication(str(newer), copy)
    changed = {item.path for item in update.missing}
    assert "data/en/pages-00000-of-00001.parquet" in changed and "data/ru/pages-00000-of-00001.parquet" not in changed
    sent: list[str] = []
    send = StoreTarget.send

    def stop_at_third(self: StoreTarget, item: Any, data: bytes) -> None:
        if len(sent) == 2:
            raise StorageError("the line is down")
        sent.append(item.path)
        send(self, item, data)

    with monkeypatch.context() as patch:
        patch.setattr(StoreTarget, "send", stop_at_third)
        with pytest.raises(StorageError):
            update.send()
    assert not Store(copy).exists("manifest.json")  # no whole corpus, and none that seems to be one
    rest = publication(str(newer), copy)
    assert {item.path for item in rest.missing} == changed - set(sent)
    rest.send()
    assert verify(copy).digest == read_manifest(str(newer)).digest and not Store(copy).names(MARKS)


def test_what_is_no_place_for_a_corpus_is_refused(quickstart: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(CorpusError, match="is not empty and holds no corpus"):
        publication(str(quickstart), str(tmp_path / "full"))
    for url, said in [("ftp://x/y", "expected a folder"), ("hf://models/a/b", "hf://datasets/OWNER/NAME")]:
        with pytest.raises(RequestError, match=said):
            publication(str(quickstart), url)
    with pytest.raises(RequestError, match=r"letter\.txt: is a file; name a folder"):
        publication(str(quickstart), str(tmp_path / "full" / "letter.txt"))
    with pytest.raises(RequestError, match="lies in the corpus itself"):
        publication(str(quickstart), str(quickstart / "copy"))
    assert repository_of("hf://datasets/me/corpus@v2") == ("me/corpus", "v2")
    assert mmedc("publish", str(quickstart), str(tmp_path / "x"), "--with", "reject").returncode == 2


def test_a_build_is_not_overwritten(quickstart: Path, newer: Path, tmp_path: Path) -> None:
    built = Path(shutil.copytree(quickstart, tmp_path / "built"))
    with pytest.raises(CorpusError, match="builds its corpus"):
        publication(str(newer), str(built))
    assert verify(str(built)).rejects


def test_a_file_that_was_changed_is_not_sent(newer: Path, tmp_path: Path) -> None:
    import shutil

    corpus = Path(shutil.copytree(newer, tmp_path / "corpus"))
    shard = next((corpus / "data").glob("*/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(VerifyError, match="was changed since it was built"):
        publication(str(corpus), str(tmp_path / "copy")).send()


def test_an_object_store(quickstart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret-value",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/public", method="PUT")).close()
        publication(str(quickstart), "s3://public/corpus").send()
        assert verify("s3://public/corpus").digest == read_manifest(str(quickstart)).digest
        assert publication(str(quickstart), "s3://public/corpus").there.complete
    finally:
        server.stop()


@pytest.fixture
def hub() -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    with running() as found:
        yield found


def push(hub: Hub, corpus: Path, *options: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": token or hub.token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "COLUMNS": "180",
    }
    command = [sys.executable, "-m", "mmedc", "publish", str(corpus), "hf://datasets/me/corpus", *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_hub(hub: Hub, quickstart: Path, newer: Path, tmp_path: Path) -> None:
    dry = push(hub, quickstart, "--dry-run", "--json")
    assert dry.returncode == 0 and not hub.created and len(json.loads(dry.stdout)["missing"]) == 23
    hub.fail_after = 5
    stopped = push(hub, quickstart)
    assert stopped.returncode == 75 and not hub.files and hub.commits == 0 and len(hub.contents) == 5
    assert hub.token not in stopped.stdout + stopped.stderr
    hub.fail_after = None
    done = push(hub, quickstart)
    assert done.returncode == 0, done.stderr
    assert hub.commits == 1 and len(hub.sent) == len(set(hub.sent)) == 22  # nothing twice
    again = push(hub, quickstart)
    assert "has this version already" in again.stdout and hub.commits == 1
    before = len(hub.sent)
    assert push(hub, newer).returncode == 0
    assert hub.commits == 2 and len(hub.sent) - before < 10
    folder = tmp_path / "read"
    for name, data in hub.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    assert verify(str(folder)).digest == read_manifest(str(newer)).digest
    rows = sum(pq.read_metadata(path).num_rows for path in folder.glob("data/*/*.parquet"))
    assert rows == read_manifest(str(newer)).documents


def test_a_token_that_may_not_write_is_told_and_not_shown(hub: Hub, quickstart: Path) -> None:
    done = push(hub, quickstart, token="hf_wrongwrongwrongwrong")
    assert done.returncode == 2 and "refused (401)" in done.stderr and "hf_wrong" not in done.stdout + done.stderr
