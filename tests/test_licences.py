"""Which licence words name, which licences are published, and what is told of those that are not."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmedc.api import open_corpus
from mmedc.books.pdf.cover import licence_in
from mmedc.corpus.manifest import Manifest
from mmedc.engine.run import Inline
from mmedc.errors import RecipeError
from mmedc.licences import Rule, fits, named, printed
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.explain import explain
from mmedc.report.fate import fates
from mmedc.report.licences import COLUMNS, licences_of
from mmedc.report.what_if import what_if
from tests.conftest import Notes
from tests.test_cli import mmedc

PLOS = "This is an open-access article distributed under the terms of the Creative Commons Attribution License, which "


@pytest.mark.parametrize(
    ("words", "licence"),
    [
        (f"{PLOS}permits unrestricted use, distribution, and reproduction in any medium.", "LicenseRef-CC-BY"),
        ("a Creative Commons Attribution 4.0 International License", "CC-BY-4.0"),
        ("Creative Commons Attribution (CC BY) license, version 4.0", "CC-BY-4.0"),
        ("the Creative Commons Attribution License (CC BY). The dose was 4.0 mg", "LicenseRef-CC-BY"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 3.0 Unported", "CC-BY-NC-SA-3.0"),
        ("licença Creative Commons Attribution, que permite uso", "LicenseRef-CC-BY"),
        ("Creative Commons Atribución-NoComercial-SinDerivadas 4.0", "CC-BY-NC-ND-4.0"),
        (f"{PLOS}permits non-commercial use", None),
        ("Creative Commons Attribution 4.0, its figures Creative Commons Attribution-ShareAlike 4.0", None),
        ("sob uma licença Creative Commons", None),
        ("All rights reserved.", None),
    ],
)
def test_words_name_a_licence_only_as_far_as_they_go(words: str, licence: str | None) -> None:
    assert named(words) == licence


@pytest.mark.parametrize(
    ("page", "licence"),
    [
        ("https://doi.org/10.1590/1 CC BY\nORIGINAL", "LicenseRef-CC-BY"),
        ("Journal of Knees\nCC BY-NC 4.0\n", "CC-BY-NC-4.0"),
        ("CC\nhttps://doi.org/10.1590/123BYhttps://doi.org/10.1590/123\nTitle", "LicenseRef-CC-BY"),
        ("CC\nwritten BY us\n", None),
        ("Photo: A. Person, CC BY\n", None),
        ("Smith AB, Jones CC, BY and others\n", None),
        ("CC BY\nCC BY-SA\n", None),
    ],
)
def test_a_short_name_at_the_end_of_a_line_licenses_the_page(page: str, licence: str | None) -> None:
    assert printed(page) == licence


def test_pages_of_a_pdf_state_a_licence_by_address_then_by_name_then_in_short() -> None:
    address = "https://creativecommons.org/licenses/by-sa/ 4.0/"
    assert licence_in(["Title CC BY", f"{PLOS}permits use", address]) == ("CC-BY-SA-4.0", "page")
    licence, evidence = licence_in(["Title CC BY", f"Page.\n{PLOS}permits\nuse"])
    assert licence == "LicenseRef-CC-BY" and evidence and evidence.startswith("page: Creative Commons Attribution")
    assert licence_in(["Title CC BY", "text"]) == ("LicenseRef-CC-BY", "page: the short name on the first page")
    assert licence_in(["text", "a reference CC BY"]) == (None, None)


def test_a_star_stands_for_a_version_and_never_widens_a_licence() -> None:
    assert fits("CC-BY-4.0", "CC-BY-*") and fits("CC-BY-3.0-DE", "CC-BY-*") and fits("OGL-UK-3.0", "OGL-UK-*")
    for other in ("CC-BY-NC-4.0", "CC-BY-SA-4.0", "LicenseRef-CC-BY", "unknown"):
        assert not fits(other, "CC-BY-*")


def test_licences_are_judged_by_value_and_the_unknown_by_the_rule() -> None:
    column = pa.chunked_array([["CC-BY-4.0", "unknown"], ["MIT", "CC-BY-4.0"]])
    assert Rule(("CC-BY-4.0",), "drop").reasons(column).to_pylist() == [None, "licence_unknown", "licence", None]
    assert Rule((), "drop").reasons(column).to_pylist() == [None, "licence_unknown", None, None]
    assert Rule(("MIT",), "keep").reasons(column).to_pylist() == ["licence", None, None, "licence"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CC-BY-4", 'unknown licence "CC-BY-4"; did you mean "CC-BY-4.0"?'),
        ("CC-BY", 'states no version; for all of its versions, write "CC-BY-*"'),
        ("apache-2.0", 'did you mean "Apache-2.0"?'),
        ("CC-*", "`*` stands for a version"),
        ("unknown", "publish: {unknown: keep}"),
        ("Herbal", "expected an SPDX identifier, or what a source states in `licence`"),
    ],
)
def test_an_unknown_licence_is_refused_where_it_stands(tmp_path: Path, name: str, said: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(f'name: x\nsources: {{a: {{jsonl: x.jsonl}}}}\npublish:\n  licences:\n    - MIT\n    - "{name}"\n')
    with pytest.raises(RecipeError) as problem:
        read_recipe(str(file)).read_policy()
    assert said in str(problem.value) and str(problem.value).startswith(f"{file}:6: ")


@pytest.fixture(scope="module")
def free(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """The quickstart corpus, built again for CC-BY only, which needs no second ingest."""
    out, notes = Path(shutil.copytree(quickstart, tmp_path_factory.mktemp("licences") / "free")), Notes()
    manifest = Build.prepare(read_recipe("quickstart", ["publish.licences=CC-BY-*"]), str(out)).run(Inline(), notes)
    done, units = notes.done["ingest"]
    assert done == units
    return out, manifest


def test_only_the_licences_of_the_recipe_are_published_and_the_others_counted(
    quickstart: Path, free: tuple[Path, Manifest]
) -> None:
    out, manifest = free
    row = next(row for row in manifest.funnel if row.step == "limits")
    assert row.dropped["licence"] == row.read - row.kept - row.dropped["medical_model_low"] == 92
    assert sum(share.dropped.get("licence", 0) for share in manifest.by_source) == 92
    found = licences_of(manifest, open_corpus(out).documents(columns=COLUMNS))
    assert [one.licence for one in found.licences] == ["CC-BY-4.0"] and found.dropped == {"licence": 92}
    samples = pq.read_table(out / "rejects" / "samples.parquet").to_pylist()
    mine = [row for row in samples if row["reason"] == "licence"]
    assert mine and {row["detail"] for row in mine} == {"Apache-2.0"} and all(row["text"] for row in mine)
    (told,) = fates(str(out), mine[0]["locator"])
    assert told.verdict == "dropped at limits: licence: Apache-2.0"
    assert what_if(str(quickstart), ["publish.licences=CC-BY-*"]).reasons["licence"] == [0, 92]


def test_explain_says_what_the_licence_does(tmp_path: Path) -> None:
    text = "The knee joint hurts after surgery. Patients with arthritis take ibuprofen for pain and swelling. "
    line = {"text": "\n".join(f"{text} Case {n} of diabetes and asthma, with fever." for n in range(30)), "url": "u"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    (tmp_path / "r.yaml").write_text(
        "name: x\nlanguages: [en]\nsources: {a: {jsonl: a.jsonl, url: url, licence: MIT}}\n"
        "publish: {licences: CC0-1.0}\n"
    )
    recipe = read_recipe(str(tmp_path / "r.yaml"), ["medical.policy=recall"])
    assert explain(recipe, "u").verdict == "dropped at limits: licence: MIT"


def test_the_command_shows_licences_and_the_rule(free: tuple[Path, Manifest]) -> None:
    said = mmedc("stats", str(free[0]), "--by", "licence").stdout
    assert "CC-BY-4.0" in said and "only documents with the licence CC-BY-* are published" in said
    rows = json.loads(mmedc("stats", str(free[0]), "--by", "licence", "--json").stdout)
    assert rows["licences"][0]["evidence"] == {"page": 1}
