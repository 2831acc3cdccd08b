"""What is forgotten leaves nothing: no row, no sample, no statistic, no WARC record, and does not come back."""

import gzip
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmedc.corpus.manifest import File, read_manifest
from mmedc.corpus.verify import verify
from mmedc.engine.run import Inline
from mmedc.errors import CorpusError, RecipeError
from mmedc.forgetting import Entry, Forgotten, domain_key, entry, read_entries, url_keys
from mmedc.pipeline import forget as forgetting
from mmedc.pipeline.build import Build
from mmedc.pipeline.forget import LIST, ORDER, Outcome, forget
from mmedc.pipeline.traces import Needles, members, target_of
from mmedc.recipe import read_recipe
from mmedc.storage import Store
from tests.conftest import Notes
from tests.test_cli import mmedc

URL, DOMAIN = "https://mirror1.example/en/vertigo", "old.example"
TWIN = "https://en.health.example/vertigo.html"


def both(corpus: Path, **more: object) -> Outcome:
    entries = (entry("url", URL), entry("domain", DOMAIN))
    return forget(str(corpus), entries, [URL], [DOMAIN], **more)  # type: ignore[arg-type]


def everything(corpus: Path) -> str:
    """Return what every file of a folder says, with Parquet and gzip unpacked."""
    found = []
    for path in sorted(corpus.rglob("*")):
        if path.suffix == ".parquet":
            found.append(str(pq.read_table(path).to_pylist()))
        elif path.is_file():
            data = path.read_bytes()
            found.append((gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace"))
    return "\n".join(found)


@pytest.fixture(scope="module")
def texts(quickstart: Path) -> list[str]:
    rows = [row for path in sorted(quickstart.glob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    return [row["text"] for row in rows if row["locator"] == URL or f"//{DOMAIN}/" in row["locator"]]


@pytest.fixture
def corpus(quickstart: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(quickstart, tmp_path / "corpus"))


@pytest.fixture(scope="module")
def clean(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A corpus that has forgotten a URL, a domain and all that is nearly the same."""
    out = Path(shutil.copytree(quickstart, tmp_path_factory.mktemp("forget") / "corpus"))
    return out, both(out, together=True)


@pytest.mark.parametrize(
    ("stored", "asked", "same"),
    [
        ("https://www.example.org/a/", "http://example.org/a", True),
        ("https://example.org:443/a#part", "https://EXAMPLE.org/a", True),
        ("https://example.org/a", "https://example.org/a#part", False),
        ("https://example.org/a?b=1", "https://example.org/a", False),
        ("notes.jsonl#line=3", "notes.jsonl#line=3", True),
        ("notes.jsonl#line=3", "notes.jsonl", True),
        ("notes.jsonl#line=31", "notes.jsonl#line=3", False),
    ],
)
def test_an_address_is_known_however_it_is_written(stored: str, asked: str, same: bool) -> None:
    assert Forgotten([entry("url", asked)]).locator(stored) is same


def test_domains_hold_what_lies_below_and_other_kinds_are_exact() -> None:
    known = Forgotten(
        [entry("domain", "www.Example.org"), entry("doi", "https://doi.org/10.1000/ABC"), entry("id", "a" * 32)]
    )
    assert known.locator("https://a.example.org/x") and not known.locator("https://notexample.org/x")
    assert known.identifiers(["pmid:1", "doi:10.1000/abc"]) and not known.identifiers(["doi:10.1000/abcd"])
    assert known.identity("a" * 32) and not known.identity("b" * 32)
    assert Forgotten([entry("domain", "münchen.example")]).locator("https://xn--mnchen-3ya.example/")


def test_a_list_has_values_or_hashes_and_wrong_lines_are_named(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    hashed = entry("url", URL)
    file.write_text(f"# asked on Monday\n{hashed}\n{URL}  # again\ndomain {DOMAIN}\nurl https://a.example/x#y\n\n")
    expected = {hashed, entry("domain", DOMAIN), entry("url", "https://a.example/x#y")}
    assert set(read_entries([str(file)])) == expected and "example" not in str(hashed)
    for line, said in [("site x", "expected url, domain, doi, id"), ("doi x", "expected a DOI"), ("id 1", "32 hex")]:
        file.write_text(f"\n{line}\n")
        with pytest.raises(RecipeError, match=said) as problem:
            read_entries([str(file)])
        assert str(problem.value).startswith(f"{file}:2: ")
    assert url_keys("https://www.A.org/b/#c") == ["a.org/b#c", "a.org/b"]


@pytest.mark.parametrize(
    "value", ["müller.example", "MÜLLER.example.", "*.xn--mller-kva.example/", "www.müller.example"]
)
def test_a_domain_is_known_however_it_is_written(value: str) -> None:
    known = Forgotten([entry("domain", value)])
    for host in ("müller.example", "xn--mller-kva.example", "www.MÜLLER.example", "sub.müller.example."):
        assert known.locator(f"https://{host}/x"), host
        assert Forgotten([entry("url", f"https://{host}/x")]).locator(f"http://{host.upper()}/x")
    assert not known.locator("https://muller.example/x") and not known.locator("https://einmüller.example/x")
    needles = Needles([], [domain_key(value)], [], [], [])
    assert needles.names("https://müller.example/x") and needles.names("http://xn--mller-kva.example/x")


def test_what_is_no_domain_is_refused() -> None:
    for value in ("org", "a.example:443", "https://a.example", "a..example", "a b.example", "a@b.example"):
        with pytest.raises(RecipeError, match="expected a domain"):
            entry("domain", value)


def test_removed_rows_of_a_domain_go_however_it_is_written(corpus: Path) -> None:
    assert "https://broken.example/" in everything(corpus / "rejects")
    result = mmedc("forget", corpus, "--domain", "WWW.broken.example.")
    assert result.returncode == 0, result.stderr
    assert "https://broken.example/" not in everything(corpus / "rejects")


def test_a_file_of_urls_with_something_else_is_refused(corpus: Path, tmp_path: Path) -> None:
    for data, said in ((b"\nurl https://a.example/b\ndomain a.example\n", ":3: is no url"), (b"%PDF\0", "not a list")):
        file = tmp_path / "list"
        file.write_bytes(data)
        result = mmedc("forget", corpus, "--url", file)
        assert result.returncode == 2 and said in result.stderr.replace("\n", " "), result.stderr


def test_nothing_is_left_in_any_file(quickstart: Path, clean: tuple[Path, Outcome], texts: list[str]) -> None:
    out, outcome = clean
    before, after = everything(quickstart), everything(out)
    lines = [line for text in texts for line in text.split("\n") if len(line) > 60]
    assert len(texts) == 5 and len(outcome.what.documents) == 6 and outcome.traces == []
    for said in (URL, DOMAIN, TWIN, *lines, *(one.id for one in outcome.what.documents)):
        assert said in before.replace("\\n", "\n") or said in before
        assert said not in after
    assert not any((out / ".work").glob("*-*"))


def test_the_account_and_the_digest_are_those_of_the_new_version(
    quickstart: Path, clean: tuple[Path, Outcome], corpus: Path
) -> None:
    out, _ = clean
    manifest, old = verify(str(out)), read_manifest(str(quickstart))
    assert manifest.documents == old.documents - 6 and manifest.funnel[-1].dropped == {"forgotten": 6}
    assert sum(share.dropped.get("forgotten", 0) for share in manifest.by_language) == 6
    assert manifest.digest != old.digest and "57" in (out / "README.md").read_text()
    again = both(corpus, together=True)
    assert again.after and again.after.digest == manifest.digest and again.after.to_json() == manifest.to_json()
    third = both(corpus)
    assert third.after and third.after.digest == manifest.digest and not third.what.documents


def test_keys_still_say_where_texts_are(clean: tuple[Path, Outcome]) -> None:
    out, _ = clean
    manifest = read_manifest(str(out))
    ids: dict[tuple[str, str], list[str]] = {}
    for shard in sorted(manifest.shards, key=lambda shard: shard.path):
        ids.setdefault((shard.lang, shard.source), []).extend(pq.read_table(out / shard.path)["id"].to_pylist())
    keys = [row for file in (out / "keys").iterdir() for row in pq.read_table(file).to_pylist()]
    assert len(keys) == manifest.documents
    assert all(ids[key["lang"], key["source"]][key["at"]] == key["id"] for key in keys)


def test_neighbours_are_named_and_stay_unless_they_are_to_go(corpus: Path) -> None:
    outcome = both(corpus, dry_run=True)
    assert outcome.after is None and read_manifest(str(corpus)).documents == 63
    assert {one.locator for one in outcome.what.neighbours} >= {TWIN}
    assert {one.how for one in outcome.what.neighbours} == {"removed", "holds it"}
    (book,) = [one for one in outcome.what.neighbours if one.published]  # a chapter of it is one of the pages
    assert book.alike == 1 and book.locator == "handbook.pdf"
    assert len(both(corpus).what.entries) == 2


def test_duplicates_are_known_from_clusters_when_the_passes_are_gone(corpus: Path) -> None:
    all_of_it = both(corpus, dry_run=True).what
    shutil.rmtree(corpus / ".work")
    less = both(corpus, dry_run=True).what
    assert all_of_it.certain and not less.certain
    assert {one.locator for one in less.neighbours} == {one.locator for one in all_of_it.neighbours}  # few clusters
    assert "may come back" in mmedc("forget", str(corpus), "--url", URL, "--dry-run").stdout


def test_a_build_brings_nothing_back(clean: tuple[Path, Outcome], tmp_path: Path) -> None:
    out = Path(shutil.copytree(clean[0], tmp_path / "corpus"))
    with pytest.raises(CorpusError, match="has forgotten 8 entries that the recipe would bring back"):
        Build.prepare(read_recipe("quickstart"), str(out))
    build = Build.prepare(read_recipe("quickstart", [f"forget={out / LIST}"]), str(out))
    manifest = build.run(Inline(isolate=True), Notes())
    assert manifest.digest == clean[1].after.digest if clean[1].after else False
    assert manifest.funnel[0].dropped["forgotten"] == 14 and len(manifest.forgotten) == 8
    said = everything(out)
    assert URL not in said and TWIN not in said and DOMAIN not in said


def test_a_stop_at_any_moment_costs_nothing(
    corpus: Path, clean: tuple[Path, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "decide", stop)
        with pytest.raises(Stopped):
            both(corpus)
    assert verify(str(corpus)).documents == 63  # not decided: the old version
    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "sweep", stop)
        with pytest.raises(Stopped):
            both(corpus, together=True)
    assert Store(str(corpus)).exists(ORDER)
    with pytest.raises(CorpusError, match="mmedc forget` was stopped"):
        Build.prepare(read_recipe("quickstart"), str(corpus))
    outcome = both(corpus)
    assert outcome.resumed and clean[1].after and verify(str(corpus)).digest == clean[1].after.digest


def test_a_copy_leaves_the_corpus_as_it_is(quickstart: Path, clean: tuple[Path, Outcome], tmp_path: Path) -> None:
    outcome = both(quickstart, out=str(tmp_path / "new"), together=True)
    assert clean[1].after and verify(str(tmp_path / "new")).digest == clean[1].after.digest
    assert outcome.traces == [] and verify(str(quickstart)).documents == 63
    with pytest.raises(CorpusError, match="is not empty"):
        both(quickstart, out=str(tmp_path / "new"))


def record(target: str, body: bytes) -> bytes:
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {target}\r\nContent-Length: {len(body)}\r\n\r\n"
    return gzip.compress(head.encode() + body + b"\r\n\r\n", mtime=0)


def test_records_of_a_crawl_are_taken_out_and_links_to_them_are_mentions(corpus: Path) -> None:
    kept = record("https://other.example/", f'<a href="{URL}">'.encode())
    data = record(URL, b"secret") + kept + record(f"https://a.{DOMAIN}/x", b"secret")
    (corpus / "crawl").mkdir()
    (corpus / "crawl" / "a.warc.gz").write_bytes(data)
    manifest = read_manifest(str(corpus))
    crawled = (
        File(path="crawl/a.warc.gz", rows=3, bytes=len(data), sha256=Store(str(corpus)).sha256("crawl/a.warc.gz")[0]),
    )
    (corpus / "manifest.json").write_bytes(manifest.model_copy(update={"crawled": crawled}).to_json())
    outcome = both(corpus)
    assert (
        (corpus / "crawl" / "a.warc.gz").read_bytes() == kept and outcome.after and outcome.after.crawled[0].rows == 1
    )
    assert outcome.traces == [] and any(one.file == "crawl/a.warc.gz" and one.mention for one in outcome.left)
    with (corpus / "crawl" / "a.warc.gz").open("rb") as file:
        assert [target_of(gzip.decompress(each)) for each in members(file)] == ["https://other.example/"]


@pytest.mark.parametrize(
    ("said", "hits"),
    [
        ("see http://www.a.example/b.", 1),
        ("see https://a.example/b/ and", 1),
        ("https://a.example/bc https://a.example/b/c https://sub.a.example/b", 0),
        ("mail to x@d.example, www.d.example:80", 2),
        ("d.example.org nod.example", 0),
    ],
)
def test_addresses_are_found_as_wholes(said: str, hits: int) -> None:
    needles = Needles(["https://a.example/b"], ["d.example"], [], [], [])
    assert len(needles.hits(said.encode())) == hits


def test_the_case_of_a_host_does_not_count_and_that_of_a_path_does() -> None:
    needles = Needles(["https://a.example/One", "https://a.example/one"], ["Old.example"], [], [], ["As It Is"])
    found = needles.hits(b"HTTP://WWW.A.example/One, a.EXAMPLE/one, a.example/ONE, x.OLD.Example, as it is, As It Is")
    assert [needles.values[at].decode() for at, _, _ in found] == [
        "a.example/One", "a.example/one", "old.example", "As It Is",
    ]  # fmt: skip


def test_the_scan_finds_what_is_left(corpus: Path) -> None:
    (corpus / "notes.txt").write_text(f"somebody asked about {URL}")
    done = mmedc("forget", str(corpus), "--url", URL, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and [trace["file"] for trace in found["traces"]] == ["notes.txt"]
    assert "1 trace left, the first in notes.txt: address" in done.stderr


def test_the_command_says_what_it_did_and_what_fits_nothing(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "urls").write_text(f"{URL}\nhttps://typo.example/\n")
    done = mmedc("forget", str(corpus), "--url", str(tmp_path / "urls"))
    assert done.returncode == 0 and "nothing is left" in done.stdout
    assert "no published document has url https://typo.example/" in done.stdout
    assert mmedc("forget", str(corpus)).returncode == mmedc("forget", str(corpus), "--doi", "x").returncode == 2


def test_what_is_nowhere_in_a_corpus_is_refused_and_changes_nothing(corpus: Path) -> None:
    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(corpus.rglob("*")) if path.is_file()}

    before = state()
    asked = ("--url", "https://mirror1.example/en/vertigos", "--domain", "oldd.example")
    long = ("--url", "https://a.example/" + 9_000 * "x")
    for options in (asked, (*asked, "--dry-run"), ("--doi", "10.1000/none"), long):
        refused = mmedc("forget", str(corpus), *options)
        assert refused.returncode == 2 and "nothing was changed" in refused.stderr.replace("\n", " ")
        assert len(refused.stderr) < 1_000
        if options[0] == "--url" and options != long:
            assert URL in refused.stderr.replace("\n", "") and DOMAIN in refused.stderr
    assert state() == before
    for _ in range(2):  # asked again, it is known as forgotten
        assert mmedc("forget", str(corpus), "--domain", DOMAIN).returncode == 0


def test_entries_sort_and_hash_alike() -> None:
    assert (
        entry("url", str(entry("url", URL)).split()[1]) == entry("url", URL) == Entry("url", entry("url", URL).digest)
    )
