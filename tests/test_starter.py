"""What a newcomer begins with: a recipe that runs, edits of the terms, a language of their own."""

import gzip
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmedc.cli import app
from mmedc.corpus.manifest import read_manifest
from mmedc.engine.run import Inline
from mmedc.errors import RequestError, WorkError
from mmedc.filters import open_filters
from mmedc.fit.language import fit_language
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.starter import copy_shipped, write_first_recipe, write_language
from tests.conftest import LANGUAGES, Notes
from tests.warcs import html, packed, page


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    write_first_recipe(tmp_path / "mine")
    return tmp_path / "mine"


def documents(recipe: Path, sets: list[str] | None = None) -> int:
    read = read_recipe(str(recipe), sets)
    Build.prepare(read, read.out).run(Inline(False), Notes())
    return read_manifest(read.out).documents


def test_the_first_recipe_runs_beside_its_own_sample(begun: Path) -> None:
    assert documents(begun / "recipe.yaml") == 60
    assert (begun / "corpus" / "manifest.json").is_file()
    with pytest.raises(RequestError, match="exists already"):
        write_first_recipe(begun)


def test_each_of_the_three_edits_works_when_its_comment_is_removed(begun: Path) -> None:
    recipe = begun / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8")
    (begun / "leaflets").mkdir()
    (begun / "leaflets" / "a.jsonl.gz").write_bytes(gzip.compress(b'{"id": "1", "text": "Asthma."}\n'))
    for comment in ("leaflets:", "policy:"):
        assert f"# {comment}" in text
        text = text.replace(f"# {comment}", comment)
    recipe.write_text(text, encoding="utf-8")
    (begun / "filters" / "en" / "lexicon.txt").write_text("[diseases]\n+kennel cough, kennel coughs\n-asthma\n")
    read = read_recipe(str(recipe))
    policy = read.read_policy()
    assert policy.languages["en"].limits["medical_model"].min == 0.85
    heads = {term.forms[0] for term in policy.languages["en"].lexicon}
    assert "kennel cough" in heads and "asthma" not in heads and len(heads) > 500
    assert list(read.sources) == ["sample", "leaflets"]
    assert not [problem for code in LANGUAGES for problem in open_filters(str(begun / "filters")).check(code)]


def test_files_that_ship_are_copied_and_used(tmp_path: Path) -> None:
    copy_shipped(["policies/balanced.yaml", "de/stopwords.txt"], tmp_path)
    policy = tmp_path / "policies" / "balanced.yaml"
    assert (tmp_path / "policy.schema.json").is_file()  # its first line names it
    policy.write_text(
        policy.read_text(encoding="utf-8").replace("medical_model: {min: 0.2", "medical_model: {min: 0.75")
    )
    assert open_filters(str(tmp_path)).policy("balanced", ("en",)).languages["en"].limits["medical_model"].min == 0.75
    with pytest.raises(RequestError, match=r'did you mean "policies/precise.yaml"'):
        copy_shipped(["policies/precis.yaml"], tmp_path)
    with pytest.raises(RequestError, match="exists already"):
        copy_shipped(["de/stopwords.txt"], tmp_path)


DUTCH = """\
Astma is een chronische ziekte van de luchtwegen. De patiënt heeft last van hoesten, benauwdheid en een piepende
ademhaling. De arts stelt de diagnose met een longfunctieonderzoek en schrijft een medicijn voor. Bij een ontsteking van
de longen is een behandeling in het ziekenhuis nodig, en de verpleegkundige meet koorts en bloeddruk.
"""
WORDS = "de en van het een is in die met op te voor niet dat zijn bij ook door of aan"
TERMS = "astma ziekte luchtwegen patiënt hoesten benauwdheid arts diagnose medicijn ontsteking longen koorts"


def test_a_language_is_begun_filled_in_checked_and_built(tmp_path: Path) -> None:
    folder, runner = tmp_path / "filters", CliRunner()
    said = runner.invoke(app, ["filters", "new", "nl", "--from", "de", "--name", "Dutch", "--out", str(folder)]).output
    assert "Fill in" in said and str(folder / "nl" / "privacy.yaml") in said
    check = runner.invoke(app, ["filters", "check", "nl", "--filters", str(folder)])
    assert check.exit_code == 1
    for missing in ("lexicon.txt: 0 terms; expected at least 100", "stopwords.txt: 0 words; expected at least 20"):
        assert missing in check.stderr
    lexicon = folder / "nl" / "lexicon.txt"
    assert "\n# Asthma" in lexicon.read_text(encoding="utf-8")  # the words to be translated
    more = [f"ziekte{letter}{other}" for letter in "abcdefghij" for other in "klmnopqrst"]
    lexicon.write_text("\n".join(["[diseases]", *TERMS.split(), *more]), encoding="utf-8")
    (folder / "nl" / "stopwords.txt").write_text(WORDS.replace(" ", "\n"), encoding="utf-8")
    check = runner.invoke(app, ["filters", "check", "nl", "--filters", str(folder)])
    assert check.exit_code == 0, check.output
    (tmp_path / "a.warc.gz").write_bytes(packed(page("http://a.example/astma", html("Astma", [DUTCH]))))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: nl\nout: c\nlanguages: [nl]\nfilters: filters\nsources: {p: {warc: a.warc.gz}}\n")
    assert documents(recipe) == 1


def test_a_language_begins_from_any_that_ships(tmp_path: Path) -> None:
    for model in open_filters().languages():
        write_language("nl", "", model, tmp_path / model)
        problems = open_filters(str(tmp_path / model)).check("nl")
        assert len(problems) == 3 and "no name" in problems[0], problems
    with pytest.raises(RequestError, match="ships with mmedc"):
        write_language("de", "", "en", tmp_path)


def test_a_language_that_identification_does_not_know_is_said(tmp_path: Path) -> None:
    write_language("qq", "Nothing", "en", tmp_path)
    check = CliRunner().invoke(app, ["filters", "check", "qq", "--filters", str(tmp_path)])
    assert "the identification model knows no language qq" in check.stderr


def test_a_language_begins_from_a_list_of_terms(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("[symptoms]\nhoesten\n[diseases]\nastma, astma's # common\n", encoding="utf-8")
    begun = fit_language([], "nl", "Dutch", ["Latin"], True, tmp_path / "mine", tmp_path / "terms.txt")
    assert (begun.terms, begun.stop_words, begun.quality) == (2, 0, None)
    terms = open_filters(str(tmp_path / "mine")).lexicon("nl")
    assert [(term.forms, term.category) for term in terms] == [
        (("hoesten",), "symptoms"),
        (("astma", "astma's"), "diseases"),
    ]


def test_what_is_no_code_no_language_or_no_list_of_terms_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="german: expected the code of a language, two or three small letters"):
        write_language("german", "", "de", tmp_path)
    with pytest.raises(RequestError, match="--from ge: no language that ships"):
        write_language("nl", "", "ge", tmp_path)
    (tmp_path / "terms.txt").write_text('astma\n{"text": "astma"}\n')
    with pytest.raises(RequestError, match=r"terms\.txt:2: found \{ in a term; expected a term a line"):
        fit_language([], "nl", "Dutch", ["Latin"], True, tmp_path / "mine", tmp_path / "terms.txt")
    with pytest.raises(RequestError, match=r"none\.jsonl: no such file"):
        fit_language([str(tmp_path / "none.jsonl")], "nl", "Dutch", ["Latin"], True, tmp_path / "mine")


def test_too_few_seeds_end_with_exit_code_1_and_say_what_is_needed(tmp_path: Path) -> None:
    rows = [f'{{"text": "Tekst {number}.", "lang": "nl", "label": "{label}", "source": "s{number % 3}"}}\n'
            for number in range(10) for label in ("medical", "other")]  # fmt: skip
    (tmp_path / "few.jsonl").write_text("".join(rows))
    arguments = [str(tmp_path / "few.jsonl"), "nl", "Dutch", ["Latin"], True, tmp_path / "mine"]
    with pytest.raises(WorkError, match=r"10 medical texts from 3 sources and 10 others.* at least 30 of each label"):
        fit_language([arguments[0]], *arguments[1:])  # type: ignore[arg-type]
    (tmp_path / "few.jsonl").write_text("".join(rows * 4))
    with pytest.raises(WorkError, match=r"terms in \d+ seed texts; expected at least 20"):
        fit_language([arguments[0]], *arguments[1:])  # type: ignore[arg-type]
    assert not (tmp_path / "mine").exists()
    with pytest.raises(RequestError, match="nothing to learn from"):
        fit_language([], *arguments[1:])  # type: ignore[arg-type]
