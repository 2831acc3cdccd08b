"""What happened to a document: by the steps, and in a build that removed it or published it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from mmedc.document import document_id
from mmedc.engine.run import Inline
from mmedc.errors import RequestError
from mmedc.folding import folded, origins, plain
from mmedc.pipeline.build import Build
from mmedc.recipe import Recipe, read_recipe
from mmedc.report.explain import explain
from mmedc.report.fate import Fate, fates
from mmedc.shipped import shipped
from tests.build_sample import read_pages
from tests.conftest import Notes
from tests.test_cli import mmedc

SITE = "https://site.example"
NOTICE = "Ask your doctor or a pharmacist before you take this medicine, and keep it out of the reach of children."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that each part of a build removes, and the corpora `first` (some of them) and `whole`."""
    folder = tmp_path_factory.mktemp("fates")
    texts = {page["path"]: page["text"] for page in read_pages("en")}
    drama = next(page["text"] for page in read_pages("fr") if page["path"] == "serie-hopital")
    asthma = texts["asthma"]
    rows: list[dict[str, Any]] = [
        {"url": f"{SITE}/asthma", "text": asthma},
        {"url": f"{SITE}/asthma-old", "text": asthma},
        {"url": f"{SITE}/asthma-shorter", "text": asthma.rsplit(". ", 1)[0] + "."},
        {"url": f"{SITE}/radish", "text": "Radish and chicken, simmered for an hour in a fever."},
        {"url": f"{SITE}/null", "text": None},
        {"url": f"{SITE}/measles", "text": texts["measles-vaccination"]},
        {"url": f"{SITE}/drama", "text": drama},
        {"url": f"{SITE}/kidney", "text": texts["kidney-anatomy"]},
        *({"url": f"{SITE}/{name}", "text": f"{texts[name]}\n{NOTICE}"} for name in ("vertigo", "colonoscopy")),
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "all.jsonl").write_text("".join(lines))
    (folder / "some.jsonl").write_text(lines[7])
    asked = texts["measles-vaccination"].split("\n\n")[1].split(". ")[0]
    question = {"question": asked, "options": {"A": "Yes", "B": "No"}, "answer": "A", "lang": "en"}
    (folder / "questions.jsonl").write_text(json.dumps(question) + "\n")
    head = "languages: [en, fr]\nsources: {articles: {jsonl: FILE, url: url}}\n"
    more = "decontaminate: questions.jsonl\ndedup: {against: [first], lines: {site: 2}}\n"
    (folder / "first.yaml").write_text("name: first\n" + head.replace("FILE", "some.jsonl"))
    (folder / "whole.yaml").write_text("name: whole\n" + head.replace("FILE", "all.jsonl") + more)
    for name in ("first", "whole"):
        Build.prepare(read_recipe(str(folder / f"{name}.yaml")), str(folder / name)).run(Inline(), Notes())
    return folder


def fate(folder: Path, name: str) -> Fate:
    (found,) = fates(str(folder / "whole"), f"{SITE}/{name}")
    return found


def last(found: Fate) -> tuple[str, str, bool]:
    return found.events[-1].step, found.events[-1].what, found.events[-1].removed


def test_a_published_document_has_a_shard_and_a_row(folder: Path) -> None:
    found = fate(folder, "asthma")
    assert found.verdict == "published" and found.id == document_id("articles", f"{SITE}/asthma")
    row = pq.read_table(folder / "whole" / found.shard).to_pylist()[found.row or 0]
    assert (row["locator"], row["text"]) == (f"{SITE}/asthma", found.text)
    assert [event.step for event in found.events] == ["ingest", "limits", "dedup", "decontaminate", "lines", "publish"]
    (dedup,) = [event for event in found.events if event.step == "dedup"]
    assert dedup.what == "stays; 2 like it were removed"
    assert {quote for _, quote in dedup.quotes} == {
        f"{SITE}/asthma-old (similarity 1.00)",
        f"{SITE}/asthma-shorter (similarity 0.9{dedup.quotes[1][1][-2]})",
    }
    assert all(limit["met"] for limit in found.limits)
    assert fates(str(folder / "whole"), found.id)[0] == fates(str(folder / "whole"), "all.jsonl#line=1")[0] == found


def test_each_part_of_the_build_is_named_that_removed_a_document(folder: Path) -> None:
    again, near = fate(folder, "asthma-old"), fate(folder, "asthma-shorter")
    assert last(again) == ("dedup", f"exact_duplicate of {SITE}/asthma (similarity 1.00), which stays", True)
    assert near.verdict.startswith(f"dropped at dedup: near_duplicate of {SITE}/asthma (similarity 0.9")
    assert near.events[-1].quotes == [("the one that stays", f"{SITE}/asthma — {fate(folder, 'asthma').shard}, row 0")]
    measles = fate(folder, "measles")
    assert last(measles) == ("decontaminate", "benchmark_question: 1 question found", True)
    assert "questions.jsonl#1" in measles.events[-1].quotes[0][0] and "«" in measles.events[-1].quotes[1][1]
    drama = fate(folder, "drama")
    assert last(drama) == ("limits", "medical_model_low", True)
    assert [limit["measure"] for limit in drama.limits if not limit["met"]] == ["medical_model"]
    kidney = fate(folder, "kidney")
    assert kidney.verdict.startswith(
        f"dropped at dedup: already_published: {SITE}/kidney in {folder / 'first'}/data/en/"
    )
    assert fate(folder, "null").verdict == "rejected at read: no_text: null"


def test_lines_that_were_removed_are_shown(folder: Path) -> None:
    found = [
        next(event for event in fate(folder, name).events if event.step == "lines")
        for name in ("vertigo", "colonoscopy")
    ]
    (trimmed,) = [event for event in found if event.quotes]
    assert trimmed.what == f"{len(NOTICE) + 2} characters removed in 1 place" and trimmed.quotes[0][1].strip() == NOTICE


def test_a_document_dropped_at_the_prefilter_is_told_its_terms(folder: Path) -> None:
    found = fate(folder, "radish")
    assert found.verdict == "dropped at prefilter: prefilter" and found.again and found.again.shortage
    short = found.again.shortage
    assert (short.lang, short.terms, short.needed, short.others) == (
        "en",
        ["fever ×1"],
        1.0,
        {},
    ) and short.counted == 0.25
    shown = mmedc("explain", "--corpus", str(folder / "whole"), f"{SITE}/radish")
    assert "lexicon terms (en): 0.25 of the 1 that are needed: fever ×1" in shown.stdout


def test_no_document_that_the_build_removed_is_called_kept(folder: Path) -> None:
    corpus = folder / "whole"
    kept = {row["locator"] for row in pads.dataset(corpus / "data", format="parquet").to_table(["locator"]).to_pylist()}
    for line in (folder / "all.jsonl").read_text().splitlines():
        url = json.loads(line)["url"]
        assert [one.verdict == "published" for one in fates(str(corpus), url)] == [url in kept]


def test_what_is_not_in_the_build_is_an_error(folder: Path) -> None:
    done = mmedc("explain", "--corpus", str(folder / "whole"), "https://nowhere.example/")
    assert done.returncode == 2 and "its sources are articles" in done.stderr
    for near in (f"{SITE.replace('https', 'http')}/asthma/", "site.example/radish"):
        with pytest.raises(RequestError, match=rf"did you mean {SITE}/(asthma|radish)\?"):
            fates(str(folder / "whole"), near)
    done = mmedc("explain", "--corpus", str(folder / "whole"), "--recipe", "quickstart", f"{SITE}/asthma")
    assert done.returncode == 2 and "leave --recipe and --set out" in done.stderr


def test_published_files_are_enough_for_a_published_document(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "whole", tmp_path / "bare", ignore=shutil.ignore_patterns(".work"))
    (found,) = fates(str(tmp_path / "bare"), f"{SITE}/asthma")
    assert found.verdict == "published" and found.text == fate(folder, "asthma").text
    (sample,) = fates(str(tmp_path / "bare"), f"{SITE}/radish")
    assert sample.verdict == "dropped at prefilter: prefilter" and "deleted" in sample.events[-1].what
    with pytest.raises(RequestError, match="neither published nor among the samples"):
        fates(str(tmp_path / "bare"), "https://nowhere.example/")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe("quickstart")


def test_a_file_of_several_records_lists_them(folder: Path, recipe: Recipe) -> None:
    path = str(folder / "all.jsonl")
    with pytest.raises(
        RequestError, match=r"has several records; name one.*all\.jsonl#line=1'\n.*line=1  Asthma"
    ) as told:
        explain(recipe, path)
    assert len(str(told.value).splitlines()) == 1 + 10
    assert explain(recipe, f"{path}#line=6").verdict == "kept"
    assert explain(recipe, f"{path}#line=5").verdict == "rejected at read: no_text: null"
    with pytest.raises(RequestError, match="has no record line=99"):
        explain(recipe, f"{path}#line=99")
    assert explain(recipe, str(folder / "some.jsonl")).verdict == "kept"  # it has only one


def test_a_row_of_a_parquet_file_and_a_page_of_a_warc_are_named(folder: Path, recipe: Recipe) -> None:
    shard = next((folder / "whole" / "data").glob("en/*.parquet"))
    with pytest.raises(RequestError, match=rf"{shard.name}#row=0"):
        explain(recipe, str(shard))
    assert explain(recipe, f"{shard}#row=1").locator == f"{shard.name}#row=1"
    pages = str(shipped("pipelines") / "quickstart" / "pages.warc.gz")
    with pytest.raises(RequestError, match=r"explain '.*pages\.warc\.gz#offset=\d+'\n") as told:
        explain(recipe, pages)
    named, locator = str(told.value).splitlines()[2].split()
    assert explain(read_recipe("web", [f"sources.pages.warc={pages}"]), named).locator == locator
    with pytest.raises(RequestError, match="is a folder"):
        explain(recipe, str(folder))
    asthma = "https://en.health.example/asthma.html"
    assert explain(recipe, document_id("pages", asthma)).locator == asthma


def test_how_far_explain_looked_is_said(tmp_path: Path) -> None:
    page = tmp_path / "a.txt"
    page.write_text(read_pages("en")[0]["text"])
    done = mmedc("explain", str(page))
    assert (
        "Not applied: dedup, decontaminate, lines, which compare documents with others" in done.stdout
        and "chars 1,8" in done.stdout
    )
    (line,) = mmedc("explain", str(page), "--json").stdout.splitlines()
    assert json.loads(line)["verdict"] == "kept" and json.loads(line)["not_looked"] == [
        "dedup",
        "decontaminate",
        "lines",
    ]
    both = mmedc("explain", str(page), "https://broken.example/bomb", "--json").stdout.splitlines()
    assert [json.loads(line)["verdict"][:8] for line in both] == ["kept", "rejected"]


def test_terms_are_shown_in_the_text_as_it_is_published(recipe: Recipe, tmp_path: Path) -> None:
    asthma = next(page["text"] for page in read_pages("en") if page["path"] == "asthma")
    page = tmp_path / "leaflet.txt"
    page.write_text(f"The patient’s asthma came with 0.5 × 10⁹/L neutrophils and much CO₂.\n{asthma}")
    found = explain(recipe, str(page))
    assert "«patient»’s «asthma» came" in found.sentences[0]
    assert "10⁹/L" in found.sentences[0] and "CO₂" in found.sentences[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10⁹/L ﬁx…", ["1", "0", "⁹", "/", "L", " ", "ﬁ", "ﬁ", "x", "…", "…", "…"]),
        ("e\u0301té ｶﾞ", ["e\u0301", "t", "é", " ", "ｶﾞ"]),
        ("А\u0301стма", ["А\u0301", "с", "т", "м", "а"]),
        ("x 糖 尿 病 的 治 疗 x", ["x", " ", *"糖尿病的治疗", " ", "x"]),
        ("so\u00adft", ["s", "o", "f", "t"]),
    ],
)
def test_every_folded_character_has_an_origin(text: str, shown: list[str]) -> None:
    seen = plain(text)
    assert [text[start:end] for start, end in origins(text, seen) or ()] == shown
    assert len(origins(text, folded(text)) or ()) == len(folded(text))
