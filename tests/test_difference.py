"""Two corpora are compared document by document, whatever their recipes call their sources."""

import json
import shutil
from pathlib import Path

import pytest

from mmedc.engine.run import Inline
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.difference import NOT_READ, UNKNOWN, difference
from mmedc.report.difference_page import difference_page
from tests.build_sample import read_pages
from tests.conftest import Notes
from tests.test_cli import mmedc

NOTICE = "Ask your doctor or a pharmacist before you take this medicine, and keep it out of the reach of children."


def build(out: Path, recipe: Path | str, *sets: str) -> str:
    Build.prepare(read_recipe(str(recipe), list(sets)), str(out)).run(Inline(), Notes())
    return str(out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora of the same articles: `a`; `b`, from a source of another name; `c`, with other limits than `b`."""
    folder = tmp_path_factory.mktemp("difference")
    pages = {page["path"]: page["text"] for page in read_pages("en")}
    names = ("asthma", "vertigo", "colonoscopy", "iron-deficiency", "emergency-medicine")
    lines = {
        name: json.dumps({"url": f"https://x.example/{name}", "text": f"{pages[name]}\n{NOTICE}"}) + "\n"
        for name in names
    }
    (folder / "a.jsonl").write_text("".join(lines[name] for name in names[:4]))
    (folder / "b.jsonl").write_text("".join(lines[name] for name in (*names[:3], names[4])))
    for name, source in (("a", "articles"), ("b", "crawl")):
        head = f"name: {name}\nlanguages: [en]\nsources: {{{source}: {{jsonl: {name}.jsonl, url: url}}}}\n"
        (folder / f"{name}.yaml").write_text(head)
        build(folder / name, folder / f"{name}.yaml")
    build(folder / "c", folder / "b.yaml", "dedup.lines.site=2", "policy.all.medical_terms.min=23")
    return folder


def test_documents_lost_by_a_limit(quickstart: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "dense", "quickstart", "policy.all.medical_density.min=0.25")
    found = difference(str(quickstart), other)
    assert (found.same, found.changed, found.moved, found.lost, found.gained) == (19, 0, 0, 44, 0)
    assert found.lost_by == {"limits: medical_density_low": 44}
    assert found.languages["es"] == {"in_a": 11, "in_b": 2, "lost": 9, "gained": 0, "changed": 0}
    assert [sample["what"] for sample in found.samples] == ["lost"] * 3
    back = difference(other, str(quickstart))
    assert (back.lost, back.gained, back.gained_by) == (0, 44, found.lost_by)
    shutil.rmtree(Path(other) / ".work")
    assert difference(str(quickstart), other).lost_by == {UNKNOWN: 44}


def test_sources_of_other_names_are_compared_by_locator(folder: Path) -> None:
    found = difference(str(folder / "a"), str(folder / "b"))
    assert (found.same, found.changed, found.moved, found.lost, found.gained) == (3, 0, 3, 1, 1)
    assert found.lost_by == found.gained_by == {NOT_READ: 1}
    assert {sample["locator"].rpartition("/")[2] for sample in found.samples} == {
        "iron-deficiency",
        "emergency-medicine",
    }
    assert found.sources["articles"]["in_a"] == 4 and found.sources["crawl"]["in_b"] == 4


def test_texts_that_differ_are_changed(folder: Path) -> None:
    found = difference(str(folder / "b"), str(folder / "c"), limit=9)
    changed = {sample["locator"] for sample in found.samples if sample["what"] == "changed"}
    assert found.changed == len(changed) > 0 and found.same + found.changed + found.lost == 4
    assert set(found.lost_by) == {"limits: medical_terms_low"}
    rewritten = (
        (folder / "b.jsonl").read_text().replace("dizziness", "giddiness", 1).replace("Dizziness", "Giddiness", 1)
    )
    (folder / "d.jsonl").write_text(rewritten)
    (folder / "d.yaml").write_text(
        (folder / "b.yaml").read_text().replace("b.jsonl", "d.jsonl").replace("name: b", "name: d")
    )
    edited = difference(str(folder / "b"), build(folder / "d", folder / "d.yaml"))
    assert (edited.same, edited.changed) == (3, 1)
    assert edited.samples == [
        {
            "what": "changed",
            "reason": "the text differs",
            "locator": "https://x.example/vertigo",
            "lang": "en",
            "source": "crawl",
        }
    ]


def test_the_screen_and_the_json(folder: Path) -> None:
    a, b = str(folder / "a"), str(folder / "b")
    shown = mmedc("diff", a, b).stdout
    assert "1 lost, 1 gained" in shown and "3 of these under a source of another name" in shown
    assert json.loads(mmedc("diff", a, b, "--json").stdout)["lost_by"] == {NOT_READ: 1}
    assert mmedc("diff", a, str(folder / "none")).returncode == 2


def test_the_page_says_what_was_set_and_escapes_what_it_shows(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "difference.html"
    mmedc("diff", str(folder / "b"), str(folder / "c"), "--html", str(page))
    text = page.read_text()
    assert "policy.all.medical_terms.min" in text and "limits: medical_terms_low" in text
    found = difference(str(folder / "a"), str(folder / "b"))
    found.samples[0]["locator"] = "<script>alert(1)</script>\x1b[2J"
    shown = difference_page(found)
    assert "<script" not in shown and "\x1b" not in shown and "&lt;script&gt;" in shown
