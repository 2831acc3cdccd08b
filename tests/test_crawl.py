"""The crawler end to end, on a web of its own: what is fetched, what lies in WARC files, and what a stop leaves."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from mmedc.crawl.crawler import Crawler
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.placing import Placed, place
from mmedc.crawl.plan import Plan
from mmedc.crawl.queued import FETCHED, Found, Outcome
from mmedc.crawl.scope import set_of
from mmedc.engine.run import Inline
from mmedc.engine.unit import DataFile
from mmedc.errors import FolderBusy, OutcomeError, RecipeError
from mmedc.pipeline.build import Build
from mmedc.pipeline.crawl import run_crawls
from mmedc.pipeline.hostset import Crawled
from mmedc.recipe import read_recipe
from mmedc.storage import Store
from tests.conftest import Notes
from tests.crawlset import POINTS, crawl, plan_of
from tests.crawlweb.server import Server, read_log
from tests.crawlweb.web import Web

SITES, PAGES = 3, 60


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Path]]:
    """A web of three sites in another process: what it printed, and its log."""
    log = tmp_path_factory.mktemp("web") / "log"
    arguments = ["--sites", str(SITES), "--pages", str(PAGES), "--log", str(log)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crawlweb.server", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout and process.stdin
    yield json.loads(process.stdout.readline()), log
    process.stdin.close()
    process.wait()
    process.stdout.close()


def responses(folder: Path) -> list[tuple[str, int]]:
    """Return (URL, status) of the responses in all WARC files, read by FastWARC with their digests checked."""
    found = []
    for path in sorted(folder.glob("**/*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, WarcRecordType.response, parse_http=False):
                assert record.verify_block_digest()
                record.parse_http()
                assert record.verify_payload_digest()
                found.append((record.headers["WARC-Target-URI"], record.http_headers.status_code))
    return found


def test_killed_at_every_point_no_page_is_fetched_twice_and_none_is_lost(
    tmp_path: Path, served: tuple[dict[str, Any], Path]
) -> None:
    about, log = served
    (tmp_path / "about").write_text(json.dumps(about))
    begun = len(read_log(log))
    state, kept = tmp_path / "work" / "crawl" / "web" / "0000", dict[str, int]()
    counts = {
        "before the frontier is copied": 1,
        "before the round is recorded": 1,
        "after the round is recorded": 1,
        "after the unit is committed": 2,
    }
    for point in ["inside the write of a WARC", *POINTS, ""]:
        arguments = [str(tmp_path / "work"), str(tmp_path / "about"), point, str(counts.get(point, 2))]
        done = subprocess.run([sys.executable, "-m", "tests.crawlset", *arguments], capture_output=True, text=True)
        assert done.returncode == (9 if point else 0), done.stderr
        for url, at in kept.items():  # what lay in a WARC file when it was killed was not asked for again
            assert not [each for each in read_log(log)[at:] if each.url == url], (point, url)
        frontier = Frontier(state)
        now = len(read_log(log))
        kept |= {url: now for url, _, status, _, _ in frontier.urls(FETCHED) if url not in kept}
        frontier.close()
    found = Counter(responses(state))
    wanted = set(Web(SITES, PAGES).wanted())
    pages = {url: count for (url, status), count in found.items() if status == 200}
    assert wanted <= set(pages) and set(pages.values()) == {1}
    assert {each.url for each in read_log(log)[begun:] if each.status == 200} >= wanted
    assert set(kept) >= wanted


def test_warc_files_are_sound_for_warcio(tmp_path: Path, served: tuple[dict[str, Any], Path]) -> None:
    commit = crawl(tmp_path, plan_of(served[0]), budget=20)
    kinds = Counter[str]()
    for file in commit.left.segments:
        with (tmp_path / file.path).open("rb") as stream:
            records = WarcioIterator(stream, check_digests="raise")
            for record in records:
                kinds[record.rec_type] += 1
                record.content_stream().read()
                assert record.digest_checker.passed is not False
        assert Store(str(tmp_path)).sha256(file.path) == (file.sha256, file.bytes)
    assert kinds["response"] >= 20 and kinds["response"] == kinds["request"] == kinds["metadata"]
    assert kinds["warcinfo"] == len(commit.left.segments)
    assert sum(file.rows for file in commit.left.segments) == sum(kinds.values())


def test_a_larger_budget_goes_on_with_the_same_crawl(tmp_path: Path, served: tuple[dict[str, Any], Path]) -> None:
    about, log = served
    first = crawl(tmp_path, plan_of(about), budget=10).left
    before = len(read_log(log))
    again = crawl(tmp_path, plan_of(about), budget=10).left
    assert again == first and len(read_log(log)) == before  # the commit is there
    more = crawl(tmp_path, plan_of(about), budget=25).left
    assert (first.fetched, more.fetched) == (10, 25)
    assert more.segments[: len(first.segments)] == first.segments
    urls = [each.url for each in read_log(log)[before:]]
    assert len(urls) == len(set(urls)) and not set(urls) & {url for url, _ in responses(tmp_path)[:10]}


def test_a_second_visit_asks_for_changes_only(tmp_path: Path, served: tuple[dict[str, Any], Path]) -> None:
    about, log = served
    first = crawl(tmp_path, plan_of(about)).left
    before = len(read_log(log))
    second = crawl(tmp_path, plan_of(about), again="2").left
    asked = Counter(each.status for each in read_log(log)[before:])
    assert asked[304] >= PAGES - 6 and second.pages == first.pages
    records = Counter[str]()
    for file in second.segments[len(first.segments) :]:
        with (tmp_path / file.path).open("rb") as stream:
            for record in ArchiveIterator(stream, WarcRecordType.revisit):
                records[record.headers["WARC-Profile"]] += 1
    assert sum(records.values()) >= asked[304]


def recipe_in(folder: Path, about: dict[str, Any], more: str = "", sites: list[str] | None = None) -> str:
    lines = [f"{address}:{port} {host}" for host, (address, port) in about["names"].items() if host != "rebinding.test"]
    (folder / "hosts").write_text("\n".join(lines))
    (folder / "sites.txt").write_text("# sites\n" + "\n".join(about["seeds"] if sites is None else sites) + "\n")
    (folder / "recipe.yaml").write_text(
        "name: crawled\nlanguages: [en]\nsources:\n  web:\n    crawl: sites.txt\n    delay_s: 0.01\n"
        f'    contact: "https://example.org/bot"\n    hosts_file: hosts\n    licence: CC-BY-4.0\n{more}'
    )
    return str(folder / "recipe.yaml")


def test_a_crawl_becomes_a_corpus_that_its_warc_files_make_too(
    tmp_path: Path, served: tuple[dict[str, Any], Path]
) -> None:
    recipe = read_recipe(recipe_in(tmp_path, served[0], "    sets: 2\n"))
    out = tmp_path / "out"
    manifest = Build.prepare(recipe, str(out)).run(Inline(), Notes())
    assert manifest.documents > 5
    names = sorted(file.path for file in manifest.crawled)
    assert names[0] == "crawl/hosts.parquet" and any(name.endswith(".warc.gz") for name in names)
    before = len(read_log(served[1]))
    assert Build.prepare(recipe, str(out)).run(Inline(), Notes()).digest == manifest.digest
    assert len(read_log(served[1])) == before
    source = f'{{warc: "{out}/crawl/web/*.warc.gz", licence: CC-BY-4.0}}'
    (tmp_path / "again.yaml").write_text(f"name: again\nlanguages: [en]\nsources:\n  web: {source}\n")
    again = Build.prepare(read_recipe(str(tmp_path / "again.yaml")), str(tmp_path / "again")).run(Inline(), Notes())
    assert again.digest == manifest.digest


def test_a_crawl_without_a_page_fails_with_a_table_and_can_be_tried_again(
    tmp_path: Path, served: tuple[dict[str, Any], Path]
) -> None:
    dead = {"names": {"gone.test": ("127.9.9.9", 9)}, "seeds": ["http://gone.test/"]}
    build = Build.prepare(read_recipe(recipe_in(tmp_path, dead)), str(tmp_path / "out"))
    for _ in range(2):  # what failed is not taken for done
        with pytest.raises(OutcomeError, match=r"the crawl brought no page.*\n  gone.test: given up .*connect: "):
            build.run(Inline(), Notes())


def test_sites_whose_servers_were_down_are_asked_again_by_the_next_run(
    tmp_path: Path, served: tuple[dict[str, Any], Path]
) -> None:
    about, out = served[0], str(tmp_path / "out")
    down = {**about, "names": dict.fromkeys(about["names"], ("127.9.9.9", 9))}
    with pytest.raises(OutcomeError, match="the crawl brought no page"):
        Build.prepare(read_recipe(recipe_in(tmp_path, down)), out).run(Inline(), Notes())
    manifest = Build.prepare(read_recipe(recipe_in(tmp_path, about)), out).run(Inline(), Notes())
    assert manifest.documents > 2


def test_a_site_that_is_a_private_address_is_refused_as_such(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, {"names": {"a.test": ("127.9.9.9", 9)}, "seeds": ["http://127.0.0.1:9/"]})
    with pytest.raises(OutcomeError, match=r"given up \(private_address: 127.0.0.1\)(.|\n)*name it in `private`"):
        Build.prepare(read_recipe(recipe), str(tmp_path / "out")).run(Inline(), Notes())


def test_two_sources_never_ask_a_domain_at_the_same_time(tmp_path: Path) -> None:
    names = {"a.test": ("127.9.9.9", 9), "b.test": ("127.9.9.8", 9), "www.a.test": ("127.9.9.7", 9)}
    names["c.test"] = names["a.test"]  # on the same address
    path = Path(recipe_in(tmp_path, {"names": names, "seeds": ["http://a.test/"]}))
    web, text = "  web:\n", path.read_text()
    body = text.partition(web)[2]
    (tmp_path / "other.txt").write_text("b.test\n")
    (tmp_path / "both.txt").write_text("b.test\nwww.a.test\n")
    (tmp_path / "shared.txt").write_text("c.test\n")
    other, both, shared = (body.replace("sites.txt", f"{name}.txt") for name in ("other", "both", "shared"))
    path.write_text(f"{text}  other:\n{other}  both:\n{both}  shared:\n{shared}")
    rounds: list[list[str]] = []

    def run(current: Any) -> list[Crawled]:
        rounds.append([unit.spec.plan.source for unit in current.units])
        file = DataFile("none", "", 0, 0)
        return [Crawled((), (), file, file, fetched=1, pages=1, queued=0) for _ in current.units]

    build = Build.prepare(read_recipe(str(path)), str(tmp_path / "out"))
    run_crawls(run, build.ingest, build.recipe, Store(str(tmp_path / "work")))
    assert rounds == [["web", "other"], ["both", "shared"]]


def test_sites_on_one_address_are_crawled_by_one_set_also_when_they_are_new(tmp_path: Path) -> None:
    names = {f"s{number}.test": (f"127.9.9.{1 + number % 2}", 9) for number in range(6)}

    def run(current: Any) -> list[Crawled]:
        ran.extend(current.units)
        file = DataFile("none", "", 0, 0)
        return [Crawled((), (), file, file, fetched=1, pages=1, queued=0) for _ in current.units]

    for count in (4, 6):
        ran: list[Any] = []
        seeds = [f"http://{name}/" for name in list(names)[:count]]
        path = recipe_in(tmp_path, {"names": names, "seeds": seeds}, "    sets: 50\n")
        build = Build.prepare(read_recipe(path), str(tmp_path / "out"))
        run_crawls(run, build.ingest, build.recipe, Store(str(tmp_path / "work")))
        plan = ran[0].spec.plan
        found = [plan.set_of(name) for name in list(names)[:count]]
        assert found == found[:2] * (count // 2) and {unit.spec.number for unit in ran} == set(found[:2])


def test_where_new_sites_belong() -> None:
    known = {"a.test": Placed(7, ("1",)), "b.test": Placed(3, ("2",)), "c.test": Placed(5)}
    new = {"d.test": ("2", "9"), "e.test": ("8",), "f.test": ("9", "1"), "g.test": (), "h.test": ("8",)}
    found = {domain: placed.set for domain, placed in place(new, known, 100).items()}
    assert found["d.test"] == found["f.test"] == 3 and found["g.test"] == set_of("g.test", 100)
    assert found["e.test"] == found["h.test"] == set_of("e.test", 100)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hosts_file: hosts", "hosts_file: sites.txt", "stands alone; expected an address and its hosts"),
        ('    contact: "https://example.org/bot"\n', "", "contact: it is missing; give a URL or mail address"),
        ("delay_s", "delay", 'unknown key "delay"; did you mean "delay_s"'),
        ("sites.txt", "none.txt", "none.txt matches no file"),
        ("sites.txt", "https://a.test/x", "crawl: https://a.test/x is a site; write it into a file"),
        ("https://example.org/bot", "me", '"me" is neither a URL nor a mail address; give a URL'),
        ("hosts_file: hosts", "hosts_file: recipe.yaml", "recipe.yaml:1: name: is no address"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_before_anything_is_fetched(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = Path(recipe_in(tmp_path, {"names": {}, "seeds": ["http://a.test/"]}))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RecipeError, match=r"recipe.yaml:\d+.*") as raised:
        Build.prepare(read_recipe(str(path)), str(tmp_path / "out"))
    assert said in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_frontier_is_open_in_one_place_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmedc.crawl.frontier.LOCK_S", 0.01)
    frontier = Frontier(tmp_path)
    with pytest.raises(FolderBusy, match="another process"):
        Frontier(tmp_path)
    frontier.close()
    Frontier(tmp_path).close()


def test_a_frontier_keeps_what_was_saved_and_nothing_else(tmp_path: Path) -> None:
    frontier = Frontier(tmp_path)
    for number in range(5):
        frontier.find(Found(f"http://a.test/{number}", "a.test", 0, 1, 0, number / 5))
    fresh = frontier.save(None)
    assert [item.url[-1] for _, item in fresh] == ["4", "3", "2", "1", "0"]
    host = frontier.host("a.test")
    assert host.queued == sum(frontier.bins) == 5
    frontier.settle(Outcome(fresh[0][1], host.id, FETCHED, status=200, segment=0, at=0, length=10))
    frontier.find(Found("http://a.test/4", "a.test", 0, 1, 0, 3.0))  # known
    frontier.save(None)
    frontier.find(Found("http://a.test/9", "a.test", 0, 1, 0, 0.0))
    frontier.close()  # without saving
    frontier = Frontier(tmp_path)
    host = frontier.host("a.test")
    assert host.queued == sum(frontier.bins) == 4
    assert [item.url[-1] for item in frontier.best(host.id)] == ["3", "2", "1", "0"]
    frontier.close()


@pytest.mark.parametrize("lost", ["the end", "a piece"])
def test_a_warc_file_that_lost_a_part_is_cut_to_whole_records(
    tmp_path: Path, served: tuple[dict[str, Any], Path], lost: str
) -> None:
    plan = plan_of(served[0], segment_bytes=1 << 30)
    state = tmp_path / "state"
    frontier = Frontier(state)
    for seed in plan.sites:
        frontier.find(Found(seed, seed.split("/")[2], 0, 0, 0, 4.0))
    frontier.save(None)
    _run(plan, state, frontier, 12)
    (path,) = state.glob("*.warc.gz")
    with path.open("r+b") as file:
        size = path.stat().st_size
        if lost == "the end":  # as when the power fails before the disk has all
            file.truncate(size * 2 // 3)
        else:
            file.seek(size * 2 // 3)
            file.write(bytes(size // 10))
    frontier = Frontier(state)
    _run(plan, state, frontier, 24)
    found = Counter(url for url, status in responses(state) if status == 200)
    assert set(found.values()) == {1}


def _run(plan: Plan, state: Path, frontier: Frontier, budget: int) -> None:
    crawler = Crawler(plan, 0, state, frontier, budget, lambda read, kept: None)
    asyncio.run(crawler.run())
    crawler.spool.segment.abandon()
    frontier.close()


def test_stats_shows_hosts_those_without_a_page_and_who_opted_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from mmedc.cli import app

    web = Web(10, 60)

    async def build() -> None:
        async with Server(web) as server:
            about = {"names": server.names() | {"gone.test": ("127.9.9.9", 9)}}
            sites = [url for url in web.seeds() if web.sites[url.split("/")[2]].part in ("clinic", "optouts")]
            recipe = read_recipe(recipe_in(tmp_path, about, "", [*sites, "http://gone.test/"]))
            await asyncio.to_thread(Build.prepare(recipe, str(tmp_path / "out")).run, Inline(), Notes())

    asyncio.run(build())
    monkeypatch.setenv("COLUMNS", "80")
    said = CliRunner().invoke(app, ["stats", str(tmp_path / "out")]).output
    assert max(map(len, said.splitlines())) <= 80
    text = " ".join(said.split())
    assert "1 of 3 hosts brought no page: gone.test (robots.txt connect)" in text
    found = json.loads(CliRunner().invoke(app, ["stats", str(tmp_path / "out"), "--json"]).output)["crawl"]
    hosts = {host["name"]: host for host in found["hosts"]["web"]}
    assert hosts["clinic0.test"]["medical_share"] > 0.1 and hosts["gone.test"]["dead"]
    signals = {row["signal"]: row for row in found["opt_outs"]}
    assert {"robots", "noai"} <= set(signals) and all(
        row["hosts"] == 1 and row["kept"] == 0 for row in signals.values()
    )
    assert all(row["signal"] in said for row in signals.values())
    live = CliRunner().invoke(app, ["crawl-status", str(tmp_path / "out"), "--live"])  # no run is under way: it ends
    assert live.exit_code == 0 and "clinic0.test" in live.output
