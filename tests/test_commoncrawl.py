"""Captures of an archive, chosen by its index: which are read, what is fetched, and how faults of the server end."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmedc import storage
from mmedc.api import build, prepare
from mmedc.corpus.manifest import read_manifest
from mmedc.errors import RecipeError, StorageError
from mmedc.recipe import Recipe, recipe_of
from mmedc.sources import Reader, list_units
from tests.pdffiles import book
from tests.warcs import html, http, page, record

TEXTS = {
    "eng": "Asthma is a chronic disease of the airways. Its symptoms are cough, wheezing and dyspnoea at night. "
    "The diagnosis is made by spirometry before and after a bronchodilator. Inhaled corticosteroids treat "
    "most patients, and an acute attack needs oxygen in hospital. ",
    "fra": "L'asthme est une maladie des bronches. La toux et la dyspnée en sont les symptômes, surtout la nuit. Le "
    "diagnostic repose sur la spirométrie. Le traitement de la plupart des patients est un corticoïde inhalé. ",
}


class Archive:
    """An archive of a few WARC files with an index, as Common Crawl has it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, []
        folder.mkdir()

    def add(self, file: str, url: str, block: bytes, **columns: Any) -> None:
        member = gzip.compress(block, 6, mtime=0)
        path = self.folder / file
        offset = path.stat().st_size if path.exists() else 0
        with path.open("ab") as out:
            out.write(member)
        host = url.split("/")[2]
        self.rows.append(
            {
                "url": url,
                "url_host_name": host,
                "url_host_registered_domain": ".".join(host.split(".")[-2:]),
                "content_languages": None,
                "content_mime_detected": "text/html",
                "fetch_status": 200,
                "content_truncated": None,
                "warc_filename": file,
                "warc_record_offset": offset,
                "warc_record_length": len(member),
                **columns,
            }
        )

    def index(self, name: str = "index.parquet", per_group: int = 3) -> str:
        rows = sorted(self.rows, key=lambda row: (row["url_host_registered_domain"], row["url"]))
        path = self.folder / name
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=per_group)
        else:
            lines = [
                "org,example)/ 20260101000000 "
                + json.dumps(
                    {
                        "url": row["url"],
                        "mime": "text/html",
                        "mime-detected": row["content_mime_detected"],
                        "status": str(row["fetch_status"]),
                        "length": str(row["warc_record_length"]),
                        "offset": str(row["warc_record_offset"]),
                        "filename": row["warc_filename"],
                        **({"languages": row["content_languages"]} if row["content_languages"] else {}),
                        **({"truncated": row["content_truncated"]} if row["content_truncated"] else {}),
                    }
                )
                for row in rows
            ]
            path.write_bytes(gzip.compress("\n".join(lines).encode()))
        return str(path)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive")
    for number in range(12):
        for lang, host in (
            ("eng", "health.example.org"),
            ("fra", "www.sante.example.com"),
            ("eng", "news.example.net"),
        ):
            url = f"https://{host}/{lang}/{number}"
            text = html(f"Page {number}", [TEXTS[lang] + f"Number {number}."], lang[:2])
            made.add(f"crawl/{number % 3}.warc.gz".replace("/", "-"), url, page(url, text), content_languages=lang)
    return made


def recipe(
    archive: Archive, index: str = "index.parquet", limits: dict[str, Any] | None = None, **settings: Any
) -> Recipe:
    chosen = {"index": archive.index(index), "warcs": str(archive.folder), **settings}
    return Recipe.model_validate(
        {"name": "t", "languages": ["en", "fr"], "sources": {"cc": {"commoncrawl": chosen}}, "limits": limits or {}}
    )


def read(made: Recipe) -> list[dict[str, Any]]:
    return [
        row
        for unit in list_units(made)
        for batch in Reader().read(unit.spec, 0, frozenset())
        for row in batch.to_pylist()
    ]


def sites(folder: Path, *lines: str) -> str:
    (folder / "sites.txt").write_text("\n".join(lines))
    return str(folder / "sites.txt")


@pytest.mark.parametrize("index", ["index.parquet", "index.cdxj.gz"])
def test_hosts_languages_and_types_choose_captures(archive: Archive, tmp_path: Path, index: str) -> None:
    archive.add(
        "crawl-0.warc.gz", "https://health.example.org/x", record("https://health.example.org/x", b""), fetch_status=404
    )
    pdf = "https://health.example.org/book.pdf"
    archive.add(
        "crawl-1.warc.gz",
        pdf,
        record(pdf, http(book(2), "application/pdf")),
        content_mime_detected="application/pdf",
    )
    hosts = sites(tmp_path, "example.org | CC0-1.0", "sante.example.com/fra/1", "news.example.net | unknown")
    rows = read(recipe(archive, index, hosts=hosts))
    assert {row["locator"].rpartition("/")[0] for row in rows} == {
        "https://health.example.org/eng",
        "https://www.sante.example.com/fra",
    }
    assert sum("sante" in row["locator"] for row in rows) == 3  # /fra/1, /fra/10 and /fra/11
    assert all(b"<main>" in row["payload"] for row in rows)
    assert len(read(recipe(archive, index, hosts=hosts, unlicensed=True))) == len(rows) + 12
    assert {row["locator"].split("/")[2] for row in read(recipe(archive, index, languages=["fra"]))} == {
        "www.sante.example.com"
    }
    books = read(recipe(archive, index, languages=["fra"], mime=["application/pdf"]))
    assert [row["locator"] for row in books] == [pdf]  # the index knows no language of what is no HTML


def test_the_place_of_a_capture_in_the_archive_is_kept(archive: Archive) -> None:
    by_url = {row["url"]: row for row in archive.rows}
    for row in read(recipe(archive)):
        place = by_url[row["locator"]]
        assert row["provenance"] == f"{place['warc_filename']}#offset={place['warc_record_offset']}"


def test_a_capture_that_the_archive_cut_is_counted_and_not_fetched(archive: Archive) -> None:
    for row in archive.rows[:2]:
        row["content_truncated"] = "length"
    made = recipe(archive)
    rows = read(made)
    assert [row["dropped_by"].partition(":")[0] for row in rows if row["dropped_by"]] == ["cut_by_archive"] * 2
    assert len(rows) == 36
    assert "because the archive cut them: 2" in list_units(made)[0].spec.note


def test_damage_in_the_archive_costs_its_own_records(archive: Archive) -> None:
    place = archive.rows[6]
    path = archive.folder / place["warc_filename"]
    data = bytearray(path.read_bytes())
    data[place["warc_record_offset"] + 40] ^= 0xFF
    path.write_bytes(data)
    rows = read(recipe(archive))
    assert sum(row["payload"] is not None for row in rows) == 35
    broken = [row for row in rows if row["rejected_by"]]
    assert broken and broken[0]["provenance"].startswith(
        f"{place['warc_filename']}#offset={place['warc_record_offset']}"
    )


def test_units_have_about_equal_bytes_and_do_not_depend_on_where_the_files_are(
    archive: Archive, tmp_path: Path
) -> None:
    total = sum(row["warc_record_length"] for row in archive.rows)
    made = recipe(archive, limits={"unit": total // 5})
    units = list_units(made)
    sizes = [unit.bytes for unit in units]
    assert len(units) in (5, 6) and sum(sizes) == total and max(sizes) < 1.5 * min(sizes)
    assert len(read(made)) == 36
    moved = archive.folder.rename(tmp_path / "elsewhere")
    archive.folder = moved
    assert [unit.id for unit in list_units(recipe(archive, limits={"unit": total // 5}))] == [unit.id for unit in units]


def test_a_capture_that_two_files_of_the_index_name_is_read_once(archive: Archive) -> None:
    archive.index("again.cdxj.gz")
    both = [archive.index(), str(archive.folder / "again.cdxj.gz")]
    chosen = {"index": both, "warcs": str(archive.folder)}
    assert len(read(Recipe.model_validate({"name": "t", "sources": {"cc": {"commoncrawl": chosen}}}))) == 36


def test_row_groups_without_a_wished_domain_are_not_read(archive: Archive, tmp_path: Path) -> None:
    hosts = sites(tmp_path, "health.example.org")
    path = Path(archive.index())
    group = pq.ParquetFile(path).metadata.row_group(0)
    assert "example.com" in str(group.column(2).statistics)
    data = bytearray(path.read_bytes())
    data[4:200] = b"\0" * 196  # its pages; reading them would fail
    made = recipe(archive, hosts=hosts)
    path.write_bytes(data)
    assert {row["locator"].split("/")[2] for row in read(made)} == {"health.example.org"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"languages": ["fr"]}, "ISO 639-3"),
        ({"language": ["fra"]}, 'did you mean "languages"|language'),
        ({"mime": ["application/none"]}, "no capture of the index is chosen .of 36: 36 other types"),
    ],
)
def test_mistakes_are_reported(archive: Archive, settings: dict[str, Any], message: str) -> None:
    chosen = {"index": archive.index(), "warcs": str(archive.folder), **settings}
    with pytest.raises(RecipeError, match=message):
        list_units(recipe_of({"name": "t", "sources": {"cc": {"commoncrawl": chosen}}}))


def test_a_table_that_is_no_index_is_refused(archive: Archive) -> None:
    pq.write_table(pa.table({"url": ["x"], "warc_file": ["y"]}), archive.folder / "other.parquet")
    chosen = {"index": str(archive.folder / "other.parquet"), "warcs": str(archive.folder)}
    with pytest.raises(RecipeError, match=r'other\.parquet: is no index of captures: no column "url_host_name"'):
        list_units(recipe_of({"name": "t", "sources": {"cc": {"commoncrawl": chosen}}}))


class Web:
    """A web server that serves a folder by ranges, and a fault now and then."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fault: Callable[[int], int] = lambda number: 0
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("Range", "")))
                path = folder / self.path.rpartition("/")[2]
                status = web.fault(len(web.asked)) or (200 if path.is_file() else 404)
                data = path.read_bytes() if status == 200 else b""
                size, wanted = len(data), self.headers.get("Range", "")
                self.send_response(206 if wanted and status == 200 else status)
                if wanted and status == 200:
                    start, _, end = wanted.removeprefix("bytes=").partition("-")
                    data = data[int(start) : int(end) + 1]
                    self.send_header("Content-Range", f"bytes {start}-{int(start) + len(data) - 1}/{size}")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("ETag", '"1"')
                self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/data"


@pytest.fixture
def web(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(storage, "RETRY_S", 1)
    storage._object_store.cache_clear()
    made = Web(archive.folder)
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    storage._object_store.cache_clear()


def test_near_records_are_fetched_together_from_a_web_server(archive: Archive, web: Web) -> None:
    archive.index()
    made = recipe_of(
        {"name": "t", "sources": {"cc": {"commoncrawl": {"index": f"{web.url}/index.parquet", "warcs": web.url}}}}
    )
    units = list_units(made)
    web.asked.clear()
    rows = [row for unit in units for batch in Reader().read(unit.spec, 0, frozenset()) for row in batch.to_pylist()]
    assert {row["locator"] for row in rows} == {row["url"] for row in archive.rows}
    assert len(web.asked) == 3  # one for each WARC file
    assert "in 3 requests for" in units[0].spec.note


def test_a_server_that_is_busy_is_asked_again(archive: Archive, web: Web) -> None:
    made = recipe(archive, warcs=web.url)
    web.fault = lambda number: {0: 503, 1: 429}.get(number % 4, 0)
    assert len(read(made)) == 36


def test_what_a_server_has_not_fails_the_unit(archive: Archive, web: Web) -> None:
    made = recipe(archive, warcs=web.url)
    (archive.folder / "crawl-1.warc.gz").unlink()
    with pytest.raises(OSError, match=r"has no crawl-1\.warc\.gz, which the index names"):
        read(made)
    web.fault = lambda number: 403
    with pytest.raises(StorageError):
        read(made)


def test_a_corpus_is_built_and_an_interrupted_one_ends_in_the_same_bytes(
    archive: Archive, web: Web, tmp_path: Path
) -> None:
    total = sum(row["warc_record_length"] for row in archive.rows)
    made = recipe(archive, limits={"unit": total // 4, "retries": 0}, warcs=web.url, languages=["eng"])
    calm = build(made, str(tmp_path / "calm"), inline=True).manifest
    assert calm.shards
    broken = [0]

    def fault(number: int) -> int:
        broken[0] += 1
        return 403 if broken[0] > 2 else 0

    web.fault = fault
    with pytest.raises(Exception, match="units"):
        build(made, str(tmp_path / "again"), inline=True)
    web.fault = lambda number: 0
    web.asked.clear()
    build(made, str(tmp_path / "again"), inline=True)
    assert read_manifest(str(tmp_path / "again")).digest == calm.digest
    assert len(prepare(made, str(tmp_path / "again")).ingest.units) > 1
