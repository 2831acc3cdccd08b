import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedc.corpus.manifest import read_manifest
from mmedc.errors import RequestError
from mmedc.fit.labelled import read_labelled
from mmedc.inspect import catalog as catalogs
from mmedc.inspect.files import open_corpus
from mmedc.inspect.guard import host_of
from mmedc.inspect.limits import answer, policy_file, read_changes, snapped
from mmedc.inspect.looked import Looked
from mmedc.inspect.marks import Marks
from mmedc.inspect.neighbours import differences
from mmedc.inspect.question import ALL, DROPPED, PUBLISHED, Question, read_question
from mmedc.inspect.reading import contains, search
from mmedc.inspect.scales import NONE, scale_of
from mmedc.inspect.selection import listed, spread, total
from mmedc.inspect.serve import read_token, serve
from mmedc.markup import shown, tag
from mmedc.policy import read_policy
from mmedc.report.what_if import what_if
from tests.inspected import HOSTILE, client_of, hostile_corpus, looked_at

TOKEN = "a-token-of-24-characters"
PAGES = ("/", "/documents", "/documents?show=dropped", "/documents?show=removed", "/documents?q=asma", "/measures",
         "/limits", "/marks", "/documents/data/en/books-00000-of-00001/0", "/nothing")  # fmt: skip


@pytest.fixture(scope="module")
def looked(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    found = looked_at(quickstart, tmp_path_factory.mktemp("marks") / "marks.jsonl")
    yield found
    found.close()


@pytest.fixture(scope="module")
def hostile(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    folder = tmp_path_factory.mktemp("hostile")
    found = looked_at(hostile_corpus(quickstart, folder / "corpus"), folder / "marks.jsonl")
    yield found
    found.close()


# --- numbers


def test_filters_count_as_pyarrow_does(looked: Looked, quickstart: Path) -> None:
    table = ds.dataset(quickstart / "data", format="parquet").to_table()
    catalog = looked.view().catalog
    for lang in ("", "es", "zh"):
        for source in ("", "books"):
            for kind in ("", "web"):
                asked = Question(lang=lang, source=source, kind=kind)
                mask = np.ones(table.num_rows, bool)
                for name, wanted in (("lang", lang), ("source", source), ("kind", kind)):
                    if wanted:
                        mask &= pc.equal(table[name], wanted).to_numpy()
                tokens = int(table["tokens"].to_numpy()[mask].sum())
                assert total(catalog, asked) == (int(mask.sum()), tokens)


@given(measure=st.sampled_from(["quality", "medical_terms", "chars", "medical_density"]), data=st.data())
def test_ranges_of_scores_count_as_pyarrow_does(
    looked: Looked, quickstart: Path, measure: str, data: st.DataObject
) -> None:
    catalog, edges = looked.view().catalog, looked.view().catalog.scales[measure].edges
    low, high = data.draw(st.sampled_from(edges)), data.draw(st.sampled_from(edges))
    values = ds.dataset(quickstart / "data", format="parquet").to_table([measure])[measure].to_numpy()
    wanted = (values >= np.float32(low)) & (values < np.float32(high))
    assert total(catalog, Question(ranges={measure: (low, high)}))[0] == int(wanted.sum())


@given(st.lists(st.floats(0, 1, width=32) | st.just(float("nan")), min_size=1, max_size=50), st.data())
def test_codes_know_exactly_which_scores_meet_a_limit(scores: list[float], data: st.DataObject) -> None:
    scale, values = scale_of("quality", 0.0, 1.0, (0.123,)), np.asarray(scores, np.float32)
    codes, bound = scale.codes(values), data.draw(st.sampled_from(scale.edges))
    kept = codes != NONE
    assert ((codes >= scale.lowest(bound)) & kept == (values >= np.float32(bound))).all()
    assert ((codes <= scale.highest(bound)) & kept == (values <= np.float32(bound))).all()
    counts = np.bincount(codes[kept], minlength=scale.size)
    assert sum(count for _, _, count in scale.bars(counts)) == kept.sum()


@given(data=st.data())
def test_a_search_skips_no_block_that_has_the_text(looked: Looked, data: st.DataObject) -> None:
    view = looked.view()
    numbers = [at for at, file in enumerate(view.opened.files) if file.what == PUBLISHED]
    number = data.draw(st.sampled_from(numbers))
    file = view.opened.files[number]
    row = data.draw(st.integers(0, file.rows - 1))
    text = view.opened.take(file, [row], ["text"])[row]["text"]
    start = data.draw(st.integers(0, len(text) - 1))
    part = data.draw(st.sampled_from([str, str.upper, str.lower, str.title]))(text[start : start + 40])
    if contains(pa.array([text]), part)[0].as_py():
        assert view.catalog.skipping.may_have(np.array([number]), np.array([row]), part).all()


def test_a_search_skips_what_no_block_has_and_short_words_skip_nothing(looked: Looked) -> None:
    skipping = looked.view().catalog.skipping
    files, rows = np.array([0, 1]), np.array([0, 0])
    assert not skipping.may_have(files, rows, "xylophonquartz").any()
    assert skipping.may_have(files, rows, "xyl oph, x").all()


def test_bars_are_filters_that_have_as_many_documents(looked: Looked) -> None:
    catalog, asked = looked.view().catalog, Question(lang="fr", show=ALL)
    for name, counts in spread(catalog, asked).items():
        for low, high, count in catalog.scales[name].bars(counts):
            ranged = Question(lang="fr", show=ALL, ranges={name: (low, high)})
            assert total(catalog, ranged)[0] == count, (name, low, high)


def test_moved_limits_keep_what_what_if_says(looked: Looked, quickstart: Path) -> None:
    view = looked.view()
    for sets in (["es.medical_model.min=0.4"], ["fr.chars.min=2000", "en.medical_terms.min=20", "ja.quality.min=1"]):
        params = dict(each.split("=") for each in sets)
        moved = snapped(view.catalog, read_changes(params, view.opened.limits), view.opened.limits)
        assert moved.changes or "quality" in sets[0]
        said = what_if(str(quickstart), [f"policy.{each}" for each in sets if "quality" not in each])
        found = answer(view.catalog, moved)
        for lang, sums in found.languages.items():
            parts = [part for part in said.parts if part.lang == lang]
            wanted = [sum(part.scored for part in parts), sum(part.now.documents for part in parts)]
            wanted += [sum(part.then.documents for part in parts), sum(part.stay for part in parts)]
            assert [sums.scored, sums.now, sums.then, sums.stay] == wanted
        assert {name: tuple(both) for name, both in found.reasons.items()} == {
            name: tuple(both) for name, both in said.reasons.items()
        }


def test_licences_that_are_not_published_count_as_in_what_if(quickstart: Path) -> None:
    opened = open_corpus(str(quickstart))
    assert opened.history
    sets = ["publish.licences=[CC-BY-*]"]
    opened.__dict__["recipe"] = opened.history.record.settings(sets)
    catalog = catalogs.Catalog(opened)
    catalog.fill()
    found = answer(catalog, snapped(catalog, {}, opened.limits))
    said = what_if(str(quickstart), sets)
    assert sum(each.then for each in found.languages.values()) == sum(part.then.documents for part in said.parts) == 1
    assert found.reasons["licence"][1] == said.reasons["licence"][1]
    scale = catalog.scales["chars"]
    kept = sum(found.kept("chars", "min", lang)[scale.nearest(80)] for lang in found.languages)
    assert kept == 1


def test_sources_with_a_policy_of_their_own_count_as_in_what_if(quickstart: Path, tmp_path: Path) -> None:
    shutil.copytree(quickstart, tmp_path / "corpus")
    path = tmp_path / "corpus" / ".work" / "build.json"
    record = json.loads(path.read_text())
    record["recipe"]["sources"]["books"]["policy"] = "keep"
    record["limits_of_sources"] = {"books": {
        lang: {name: limit for name, limit in limits.items() if not name.startswith("medical")}
        for lang, limits in record["limits"].items()
    }}  # fmt: skip
    path.unlink()
    path.write_text(json.dumps(record))
    opened = open_corpus(str(tmp_path / "corpus"))
    catalog = catalogs.Catalog(opened)
    catalog.fill()
    sets = {"all.medical_model.min": 1.0, "all.chars.min": 1000}
    said = what_if(str(tmp_path / "corpus"), [f"policy.{name}={value}" for name, value in sets.items()])
    changes = read_changes({name: str(value) for name, value in sets.items()}, opened.limits)
    found = answer(catalog, snapped(catalog, changes, opened.limits))
    then = {lang: sum(part.then.documents for part in said.parts if part.lang == lang) for lang in found.languages}
    assert {lang: each.then for lang, each in found.languages.items()} == then
    assert sum(part.then.documents for part in said.parts if part.source == "books") == 3
    dragged = answer(catalog, snapped(catalog, {("all", "chars", "min"): 1000.0}, opened.limits))
    at = catalog.scales["medical_model"].nearest(1.0)
    assert {lang: int(dragged.kept("medical_model", "min", lang)[at]) for lang in then} == then


def test_what_a_dragged_limit_says_is_what_the_moved_limit_keeps(looked: Looked) -> None:
    view = looked.view()
    limits = view.opened.limits
    at_first = answer(view.catalog, snapped(view.catalog, {}, limits))
    for measure, bound in (("medical_model", "min"), ("chars", "min"), ("chars", "max"), ("symbol_ratio", "max")):
        scale = view.catalog.scales[measure]
        for edge in scale.edges[:: max(len(scale.edges) // 12, 1)]:
            moved = snapped(view.catalog, {("es", measure, bound): edge}, limits)
            at = scale.nearest(moved.changes["es", measure, bound])
            then = answer(view.catalog, moved, "es").languages["es"].then
            assert at_first.kept(measure, bound, "es")[at] == then


def test_a_limit_cannot_be_moved_to_where_nothing_is_stored(looked: Looked) -> None:
    view = looked.view()
    moved = snapped(view.catalog, {("all", "medical_model", "min"): 0.001}, view.opened.limits)
    assert moved.changes == {("all", "medical_model", "min"): 0.02}


def test_saved_limits_are_a_policy(looked: Looked, tmp_path: Path) -> None:
    client = client_of(looked)
    reply = client.get("/policy.yaml?all.medical_model.min=0.8&es.chars.min=1000")
    (tmp_path / "moved.yaml").write_text(reply.text)
    policy = read_policy(str(tmp_path / "moved.yaml"), ("en", "es"))
    assert policy.rule == "boundary"
    assert policy.languages["es"].limits["chars"].bounds(False) == (1000.0, 2_000_000.0)
    assert policy.languages["en"].limits["chars"].min == 150
    assert {lang.limits["medical_model"].min for lang in policy.languages.values()} == {0.8}
    assert policy.languages["en"].limits["medical_model"].floor == 0.02
    assert policy_file(snapped(looked.view().catalog, {}, looked.view().opened.limits), "mmedc", "x").count(
        "rule: mmedc"
    )


def test_chunks_in_files_answer_as_those_in_memory(
    quickstart: Path, looked: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "CHUNK", 5)
    view = looked.view()
    small = catalogs.Catalog(view.opened)
    small.fill()
    assert small.done.is_set() and not small.problem and all(chunk.held is None for chunk in small.rows())
    for asked in (
        Question(),
        Question(show=DROPPED),
        Question(show=ALL, sort="-quality"),
        Question(sort="medical_terms"),
    ):
        assert total(small, asked) == total(view.catalog, asked)
        assert listed(small, asked, 3, 20) == listed(view.catalog, asked, 3, 20)
    moved = snapped(small, {}, view.opened.limits)
    assert answer(small, moved).languages == answer(view.catalog, moved).languages
    small.close()


def test_a_sorted_list_is_sorted(looked: Looked, quickstart: Path) -> None:
    view = looked.view()
    values = np.sort(ds.dataset(quickstart / "data", format="parquet").to_table(["chars"])["chars"].to_numpy())
    rows = listed(view.catalog, Question(sort="-chars"), 0, 5)
    found = [view.opened.take(view.opened.places[row.file], [row.row], ["chars"])[row.row]["chars"] for row in rows]
    scale = view.catalog.scales["chars"]
    assert scale.codes(np.asarray(found, np.float32)).tolist() == scale.codes(values[::-1][:5]).tolist()


def test_a_search_finds_all_documents_with_the_word_however_it_stops(looked: Looked, quickstart: Path) -> None:
    table = ds.dataset(quickstart / "data", format="parquet").to_table(["text", "locator"])
    wanted = {row["locator"] for row in table.to_pylist() if "asma" in row["text"].lower()}
    assert wanted
    found, start = list[str](), 0
    while True:
        part = search(looked.view().catalog, Question(q="ASMA", start=start), most=2, budget_s=0.0)
        found += [each.locator for each in part.found]
        if part.after is None:
            break
        assert part.after > start
        start = part.after
    assert sorted(found) == sorted(wanted)


# --- the address is the state


@given(
    st.builds(
        Question,
        lang=st.sampled_from(["", "es"]),
        source=st.text(max_size=5),
        reason=st.sampled_from(["", "near_duplicate"]),
        show=st.sampled_from(["published", "dropped", "scored", "removed"]),
        q=st.text(st.characters(codec="utf-8"), max_size=8).map(str.strip),
        where=st.sampled_from(["text", "locator"]),
        sort=st.sampled_from(["", "-quality", "chars"]),
        page=st.integers(1, 99),
        start=st.integers(0, 10**9),
        ranges=st.dictionaries(
            st.sampled_from(["quality", "chars"]), st.sampled_from([(0.2, None), (None, 0.5), (0.1, 0.25)]), max_size=2
        ),
    )
)
def test_an_address_says_the_whole_question(asked: Question) -> None:
    if not asked.q:
        asked = Question(**{**vars(asked), "where": "text"})
    address = asked.address(page=asked.page, start=asked.start)
    params = dict(httpx.URL(address).params)
    assert read_question(params, ("quality", "chars")) == asked


def test_fields_of_the_form_become_part_of_the_address(looked: Looked) -> None:
    client = client_of(looked)
    reply = client.get("/documents?lang=es&measure=quality&low=0.2&high=", follow_redirects=False)
    assert reply.status_code == 303 and reply.headers["location"] == "/documents?lang=es&quality=0.2.."
    reply = client.get("/limits?lang=&all.chars.min=150&all.words.min=30", follow_redirects=False)
    assert reply.headers["location"] == "/limits?all.words.min=30"


# --- safety


class Tags(HTMLParser):
    """Collects elements with their attributes, and the text inside of `.text`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_sound(page: str) -> None:
    """Check that a page has only our own script, no handler, no style, and nothing from elsewhere."""
    for name, attributes in Tags(page).found:
        assert name not in ("iframe", "object", "embed", "base", "use", "style"), page
        assert not any(key.startswith("on") or key == "style" for key in attributes), attributes
        if name == "script":
            assert attributes.get("src") == "/static/inspect.js"
        for key in ("src", "href", "action"):
            value = attributes.get(key) or "/"
            outside = value.startswith(("https://", "http://")) and "external" in (attributes.get("rel") or "")
            assert outside or (value.startswith(("/", "#")) and not value.startswith("//")), (name, key, value)


@pytest.mark.parametrize("number", ["²", "٣", "-1", "9" * 30, "9" * 5000])
def test_no_number_in_an_address_is_a_failure_of_the_server(looked: Looked, number: str) -> None:
    client, where = client_of(looked), "data/en/books-00000-of-00001"
    for path in (f"/documents?page={number}&start={number}", f"/documents/{where}/0?from={number}&image={number}"):
        assert client.get(path).status_code == 200
    for path in (f"/documents/{where}/{number}", f"/picture/{where}/0/{number}.png", f"/beside?left={where}/{number}"):
        assert client.get(path).status_code == 404


def test_every_answer_has_a_strict_policy(looked: Looked) -> None:
    client = client_of(looked)
    for path in (*PAGES, "/limits.json", "/progress", "/static/inspect.js", "/static/x", "/labels.jsonl"):
        reply = client.get(path)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "same-origin"
        if "text/html" in reply.headers["content-type"]:
            check_sound(reply.text)


def test_hostile_documents_are_only_text(hostile: Looked) -> None:
    client = client_of(hostile)
    for row, (name, text) in enumerate(HOSTILE.items()):
        reply = client.get(f"/documents/data/en/pages-00000-of-00001/{row}")
        assert reply.status_code == 200 and "set-cookie" not in reply.headers
        check_sound(reply.text)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff\ufffe]", reply.text), (
            name
        )
        if name in ("script", "onerror", "json", "svg", "link"):
            assert str(shown(text)) in reply.text
        assert "<script>window" not in reply.text
        picture = client.get(f"/picture/data/en/pages-00000-of-00001/{row}/1.png")
        assert picture.status_code == 404
    for path in ("/", "/documents", "/documents?q=<b>", "/measures", "/marks", '/documents?lang="><script>x</script>'):
        reply = client.get(path)
        assert reply.status_code == 200
        check_sound(reply.text)
    both = "left=data/en/pages-00000-of-00001/0&right=data/en/pages-00000-of-00001/9"
    reply = client.get(f"/beside?{both}")
    assert reply.status_code == 200
    check_sound(reply.text)


def test_unseen_characters_are_named() -> None:
    assert 'title="U+202E right-to-left override">U+202E<' in shown("a\u202eb")
    assert 'title="U+001B escape">␛<' in shown("\x1b[31m")
    assert shown("<&\n\t") == "&lt;&amp;\n\t"
    assert "क्‍ष" in shown("क्‍ष") and "می‌خواهم" in shown("می‌خواهم")  # joiners that the scripts need
    assert (
        tag("a", "x", href='\x00"><b>', title=None, hidden=True) == '<a href="\ufffd&quot;&gt;&lt;b&gt;" hidden>x</a>'
    )


@pytest.mark.parametrize(
    "path", ["../../manifest", "data/../../x", "/etc/passwd", "data/en/books-00000-of-00001.parquet"]
)
def test_only_files_of_the_corpus_are_opened(looked: Looked, path: str) -> None:
    assert client_of(looked).get(f"/documents/{path}/0").status_code == 404


def test_other_names_of_the_server_are_refused(looked: Looked) -> None:
    client = client_of(looked)
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "",
        "10.0.0.1",
        "localhost@evil",
    ):
        assert client.get("/", headers={"host": host}).status_code == 421, host
    for host in ("localhost:8765", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert client.get("/", headers={"host": host}).status_code == 200, host
    named = client_of(looked, names=("Corpora.Example",), any_address=True)
    assert named.get("/", headers={"host": "corpora.example"}).status_code == 200
    assert named.get("/", headers={"host": "10.0.0.1:8765"}).status_code == 200
    assert named.get("/", headers={"host": "evil.example"}).status_code == 421
    assert host_of("[::1") == ""


def test_the_token_is_asked_for_and_never_sent_back(looked: Looked) -> None:
    client = client_of(looked, token=TOKEN)
    for path in (*PAGES, "/limits.json", "/labels.jsonl", "/policy.yaml"):
        assert client.get(path).status_code == 401
    browser = {"accept": "text/html"}
    assert client.get("/", headers=browser, follow_redirects=False).headers["location"] == "/enter"
    check_sound(client.get("/enter").text)
    assert client.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/", headers={"authorization": f"Bearer {TOKEN}x"}).status_code == 401
    wrong = client.post("/enter", data={"token": "another"}, follow_redirects=False)
    assert wrong.headers["location"] == "/enter?wrong=1" and "set-cookie" not in wrong.headers
    right = client.post("/enter", data={"token": TOKEN}, follow_redirects=False)
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert client.get("/documents").status_code == 200
    other = client_of(looked, token=TOKEN)  # as a process that is started again with the same token
    assert other.get("/", headers={"cookie": cookie.partition(";")[0]}).status_code == 401


def test_forms_of_other_pages_are_refused(looked: Looked) -> None:
    client = client_of(looked)
    form = {"file": "data/en/pages-00000-of-00001", "row": "0", "kind": "other"}
    for origin in ("http://evil.example", "null", "", "http://localhost:81", "http://[bad", "http://evil@localhost"):
        assert client.post("/marks", data=form, headers={"origin": origin}).status_code == 403
    assert client.post("/marks", data=form | {"note": "x" * 70_000}).status_code == 413
    assert client.request("DELETE", "/marks").status_code == 405
    assert client.post("/marks", data=form | {"kind": "none of these"}).status_code == 400
    assert client.post("/marks", data=form | {"row": "999"}).status_code == 404
    assert not looked.marks.known


def test_other_machines_need_a_token(quickstart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMEDC_INSPECT_TOKEN", raising=False)
    with pytest.raises(RequestError, match="token"):
        serve(str(quickstart), "0.0.0.0")
    with pytest.raises(RequestError, match="too short"):
        read_token("short", None)
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert read_token(None, tmp_path / "token") == TOKEN
    monkeypatch.setenv("MMEDC_INSPECT_TOKEN", TOKEN)
    assert read_token(None, None) == TOKEN


# --- pages


def test_the_overview_says_what_the_manifest_says(looked: Looked, quickstart: Path) -> None:
    manifest, page = read_manifest(str(quickstart)), client_of(looked).get("/").text
    assert f"<b>{manifest.documents:,}</b>" in page
    for row in manifest.funnel:
        for reason in (*row.dropped, *row.rejected_by):
            assert f"reason={reason}" in page


def test_each_reason_leads_to_what_was_removed_for_it(looked: Looked, quickstart: Path) -> None:
    client, manifest = client_of(looked), read_manifest(str(quickstart))
    for row in manifest.funnel:
        for reason, count in (*row.dropped.items(), *row.rejected_by.items()):
            show = "dropped" if row.step in ("limits", "dedup") else "removed"
            page = client.get(f"/documents?show={show}&reason={reason}").text
            assert page.count("<li><h3>") == min(count, 50), reason


def test_a_document_shows_its_terms_its_measures_and_its_duplicates(looked: Looked) -> None:
    client = client_of(looked)
    page = client.get("/documents?show=dropped&reason=near_duplicate&lang=es").text
    address = re.search(r'href="(/documents/unit/[^"]+)"', page)
    assert address
    page = client.get(address[1].replace("&amp;", "&")).text
    assert "<mark title=" in page and "near_duplicate" in page and "medical_model" in page
    beside = re.search(r'href="(/beside[^"]+)"', page)
    assert beside
    page = client.get(beside[1].replace("&amp;", "&")).text
    assert "<del>" in page or "<ins>" in page
    stays = re.search(r'<h2><a href="(/documents/data/es/[^"]+)"', page)
    assert stays and "this one" in client.get(stays[1]).text


@given(
    st.lists(st.sampled_from(["one ", "two ", "three.\n", "vier\n", "\n"])), st.lists(st.sampled_from(["one ", "two "]))
)
def test_differences_keep_both_texts(left: list[str], right: list[str]) -> None:
    texts = "".join(left), "".join([*left[: len(left) // 2], *right])
    found = differences(*texts)
    assert tuple("".join(piece for piece, _ in side) for side in found) == texts
    common = tuple("".join(piece for piece, changed in side if not changed) for side in found)
    assert common[0] == common[1]


def test_pages_of_a_pdf_are_drawn(looked: Looked) -> None:
    client = client_of(looked)
    page = client.get("/documents/data/en/books-00000-of-00001/0?image=2").text
    assert 'src="/picture/data/en/books-00000-of-00001/0/2.png"' in page
    picture = client.get("/picture/data/en/books-00000-of-00001/0/2.png")
    assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    assert client.get("/picture/data/en/books-00000-of-00001/0/99.png").status_code == 404


def test_a_corpus_without_its_passes(quickstart: Path, tmp_path: Path) -> None:
    shutil.copytree(quickstart, tmp_path / "corpus", ignore=shutil.ignore_patterns(".work"))
    looked = looked_at(tmp_path / "corpus", tmp_path / "marks.jsonl")
    client = client_of(looked)
    assert "is gone" in client.get("/").text
    assert client.get("/documents?show=removed&reason=near_duplicate").text.count("<li><h3>") > 0
    assert 'id="limits"' in client.get("/limits").text
    assert client.get("/documents/rejects/quarantine/0").status_code == 200
    looked.close()


def test_a_damaged_file_is_named_and_hides_no_other(quickstart: Path, tmp_path: Path) -> None:
    shutil.copytree(quickstart, tmp_path / "corpus")
    shard = tmp_path / "corpus" / "data/es/pages-00000-of-00001.parquet"
    shard.unlink()  # a hard link of what the pass left
    shard.write_bytes(b"PAR1 no more")
    looked = Looked(str(tmp_path / "corpus"), tmp_path / "marks.jsonl")
    assert looked.view().catalog.done.wait(60) and looked.view().catalog.problem
    client = client_of(looked)
    assert "cannot be read" in client.get("/").text
    reply = client.get("/documents/data/es/pages-00000-of-00001/0")
    assert reply.status_code == 500 and "mmedc verify" in reply.text and "Traceback" not in reply.text
    check_sound(reply.text)
    assert client.get("/documents/data/en/pages-00000-of-00001/0").status_code == 200
    looked.close()


def test_a_corpus_that_is_being_built(quickstart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmedc.inspect.looked.EVERY_S", -1.0)
    corpus = tmp_path / "corpus"
    shutil.copytree(quickstart, corpus)
    (corpus / "manifest.json").rename(tmp_path / "manifest.json")
    looked = looked_at(corpus, tmp_path / "marks.jsonl")
    client = client_of(looked)
    page = client.get("/").text
    assert "being built" in page and "3 units" in page
    assert client.get("/documents?show=scored").text.count("<li><h3>") == 50
    shutil.move(tmp_path / "manifest.json", corpus / "manifest.json")
    assert "being built" not in client.get("/").text
    looked.close()


# --- marks


def test_marks_are_kept_and_become_labels(quickstart: Path, tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    path.write_text('{"cut off')
    looked = looked_at(quickstart, path)
    client, file = client_of(looked), "data/es/pages-00000-of-00001"
    for row, kind, note in ((0, "not_medical", "a\nnote"), (1, "right", ""), (2, "other", ""), (3, "private", "")):
        form = {"file": file, "row": str(row), "kind": kind, "note": note, "back": f"/documents/{file}/{row}?lang=es"}
        reply = client.post("/marks", data=form, follow_redirects=False)
        assert reply.status_code == 303 and reply.headers["location"] == form["back"]
    client.post("/marks", data={"file": file, "row": "3", "kind": "none"})
    client.post("/marks", data={"file": file, "row": "2", "kind": "duplicate", "back": "//evil.example/"})
    assert "Marked as not medical" in client.get(f"/documents/{file}/0").text
    lines = path.read_bytes().splitlines()
    assert len(lines) == 7 and lines[0] == b'{"cut off'
    again = Marks(path)
    assert [mark.kind for mark in again.known.values()] == [
        "not_medical",
        "right",
        "duplicate",
    ] and again.unreadable == 1
    assert "1 of its lines" in client.get("/marks").text or again.unreadable == 1
    (tmp_path / "labels.jsonl").write_text(client.get("/labels.jsonl?question=medical").text)
    table = read_labelled([str(tmp_path / "labels.jsonl")])
    assert table["label"].to_pylist() == [False, True, None] and set(table["lang"].to_pylist()) == {"es"}
    known = ds.dataset(quickstart / f"{file}.parquet").to_table(["text"])["text"].to_pylist()
    assert table["text"].to_pylist() == known[:3]
    looked.close()


def test_a_mark_on_a_document_that_moved_is_no_label(quickstart: Path, tmp_path: Path) -> None:
    looked = looked_at(quickstart, tmp_path / "marks.jsonl")
    client = client_of(looked)
    client.post("/marks", data={"file": "data/es/pages-00000-of-00001", "row": "0", "kind": "right"})
    line = json.loads((tmp_path / "marks.jsonl").read_text()) | {"row": 5}
    (tmp_path / "marks.jsonl").write_text(json.dumps(line) + "\n")
    looked.marks = Marks(tmp_path / "marks.jsonl")
    (row,) = map(json.loads, client.get("/labels.jsonl").text.splitlines())
    assert row["label"] is None and "no longer" in row["error"]
    looked.close()


def test_the_command_serves_until_it_is_interrupted(quickstart: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmedc", "inspect", str(quickstart), "--port", "0", "--token", TOKEN]
    command += ["--marks", str(tmp_path / "marks.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://localhost:\d+/", address)
        assert httpx.get(address, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30).status_code == 200
        assert httpx.get(f"{address}documents?token={TOKEN}", timeout=30).status_code == 401
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
