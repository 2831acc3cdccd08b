"""The opened `filters/`: what an overlay replaces or edits, and what is refused when it is read."""

import pickle
from pathlib import Path

import pytest

from mmedc.errors import ModelMissing, PolicyError
from mmedc.filters import open_filters
from mmedc.policy import PartialLimit, Policy
from mmedc.recipe import read_recipe
from tests.conftest import LANGUAGES


def overlay(folder: Path, **files: str) -> str:
    """Write files, `en_lexicon` for en/lexicon.txt, into `folder`."""
    for name, text in files.items():
        place, _, stem = name.partition("_")
        path = folder / place / f"{stem}.{'txt' if stem in ('lexicon', 'stopwords') else 'yaml'}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder)


def forms(filters_folder: str, code: str) -> dict[str, tuple[str, ...]]:
    return {term.forms[0]: term.forms for term in open_filters(filters_folder).lexicon(code)}


def limits(policy: Policy, code: str, measure: str) -> tuple[float | None, float | None]:
    limit = policy.languages[code].limits[measure]
    return limit.min, limit.floor


def test_an_overlay_s_files_are_used_instead_of_the_shipped_ones(tmp_path: Path) -> None:
    folder = overlay(
        tmp_path, en_stopwords="alpha\nbeta # a comment\n", policies_mine="limits: {all: {chars: {min: 9}}}"
    )
    filters = open_filters(folder)
    assert filters.language("en").stopwords == ("alpha", "beta")
    assert filters.language("fr") == open_filters().language("fr")
    assert filters.policies() == ("balanced", "mine", "mmedc", "precise", "recall")
    assert limits(filters.policy("mine", ("en", "fr")), "fr", "chars") == (9.0, None)
    assert (
        filters.models() == ("extractor", "lid", "medical", "pages", "quality") and filters.find("en/none.txt") is None
    )
    assert pickle.loads(pickle.dumps(filters)) == filters


def test_an_overlay_edits_the_shipped_lexicon(tmp_path: Path) -> None:
    shipped_forms = {term.forms[0]: term.forms for term in open_filters().lexicon("en")}
    tumour = "tumour"
    added = "+yard cough, yard coughs\n+asthma, wheeziness\n"
    lines = f"# ours\n[diseases]\n{added}-diabetes\n-{shipped_forms[tumour][1]}\n"
    edited = forms(overlay(tmp_path, en_lexicon=lines), "en")
    assert edited["yard cough"] == ("yard cough", "yard coughs")
    assert edited["asthma"] == (*shipped_forms["asthma"], "wheeziness")
    assert "diabetes" not in edited and "diabetes" in shipped_forms
    assert edited[tumour] == (tumour, *shipped_forms[tumour][2:])
    untouched = shipped_forms.keys() - {"asthma", "diabetes", tumour}
    assert all(edited[head] == shipped_forms[head] for head in untouched)
    assert open_filters(str(tmp_path)).check("en") == []


@pytest.mark.parametrize(
    ("code", "term", "some"),
    [
        ("en", "inflammation of the lung", {"inflammations of the lung"}),
        ("en", "haemangioma", {"hemangioma", "haemangiomas", "hemangiomata"}),
        ("fr", "rein artificiel", {"reins artificiels"}),
        ("es", "lesión renal", {"lesiones renales"}),
        ("de", "akute Bronchitis", {"akuten Bronchitis", "akuter Bronchitis"}),
        ("ru", "острый инфаркт миокарда", {"острым инфарктом миокарда", "острых инфарктов миокарда"}),
        ("ru", "щитовидная железа", {"щитовидной железой", "щитовидных желез"}),
        ("ru", "лёгкое", {"легкими", "лёгких"}),
        ("ar", "ورم خبيث", {"الورم الخبيث", "بورم خبيث", "للورم الخبيث"}),
        ("ar", "التهاب الكبد", {"والتهاب الكبد"}),
        ("ko", "폐렴", {"폐렴으로", "폐렴의"}),
        ("hi", "बीमारी", {"बीमारियों"}),
    ],
)
def test_rules_make_the_other_forms_of_a_term(tmp_path: Path, code: str, term: str, some: set[str]) -> None:
    file = tmp_path / code / "lexicon.txt"
    file.parent.mkdir()
    file.write_text(f"[diseases]\n{term}~, {term}x\n", encoding="utf-8")
    (found,) = open_filters(str(tmp_path)).lexicon(code)
    assert found.forms[:2] == (term, f"{term}x")
    assert some <= set(found.forms) and found.inflected == set(found.forms[2:])
    assert len(found.forms) == len(set(found.forms))


def test_the_words_of_a_russian_phrase_agree() -> None:
    made = open_filters().facts("ru").inflection.forms_of("острый инфаркт")
    assert "острого инфаркта" in made and "острого инфарктом" not in made


def test_forms_by_rules_may_stand_elsewhere_too(tmp_path: Path) -> None:
    filters = open_filters(overlay(tmp_path, en_lexicon="[diseases]\n+zooma~\n+zoomas~\n+yard cough~, yard coughs\n"))
    assert filters.check("en") == []
    terms = {term.forms[0]: term for term in filters.lexicon("en")}
    assert terms["zooma"].forms == ("zooma", "zoomas", "zoomata") and terms["yard cough"].inflected == frozenset()


@pytest.mark.parametrize(
    ("ending", "message"), [("'(s': es", "not a regular expression"), (r"'(s)': \1es \2", "group 2.* 1 in the ending")]
)
def test_a_rule_that_cannot_be_applied_is_refused(tmp_path: Path, ending: str, message: str) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en/language.yaml").write_text(f"inflection: {{endings: {{{ending}}}}}")
    with pytest.raises(PolicyError, match=message):
        open_filters(str(tmp_path)).lexicon("en")


def test_a_removed_line_may_name_all_its_forms(tmp_path: Path) -> None:
    line = next(term.forms for term in open_filters().lexicon("en") if len(term.forms) > 2)
    assert line[0] not in forms(overlay(tmp_path, en_lexicon=f"-{', '.join(line)}\n"), "en")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+a term\nanother\n", r"lexicon\.txt:2: this line begins with neither \+ nor -"),
        ("[diseses]\n+a\n", r'lexicon\.txt:1: unknown category "diseses"; did you mean "diseases"'),
        ("+a, ,b\n", r"lexicon\.txt:1: an empty form"),
    ],
)
def test_an_edit_that_cannot_be_applied_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        open_filters(overlay(tmp_path, en_lexicon=text)).language("en")


def test_a_term_that_upstream_no_longer_has_is_a_warning_and_fails_the_check(tmp_path: Path) -> None:
    filters = open_filters(overlay(tmp_path, en_lexicon="[diseases]\n-asthmaa\n+kennel cough\n"))
    with pytest.warns(UserWarning, match=r'lexicon\.txt:2: -asthmaa: .*did you mean "asthma"'):
        language = filters.language("en")
    assert "kennel cough" in {form for term in language.lexicon for form in term.forms}
    assert any("lexicon.txt:2: -asthmaa" in problem for problem in filters.check("en"))


def test_edits_that_are_all_comments_leave_the_shipped_terms(tmp_path: Path) -> None:
    filters = open_filters(overlay(tmp_path, en_lexicon="# nothing yet\n"))
    assert filters.language("en").lexicon == open_filters().language("en").lexicon


def test_a_language_has_limits_of_its_own(tmp_path: Path) -> None:
    words = "".join(f"term{number}x\n" for number in range(3))
    limits_of = "limits: {chars: {min: 7}, medical_terms: {min: 2, floor: 2}}"
    folder = overlay(
        tmp_path, nl_language=f"name: Dutch\n{limits_of}", nl_stopwords="de\n", nl_lexicon=f"[diseases]\n{words}",
        policies_mine="limits: {all: {chars: {min: 9}}, nl: {medical_terms: {min: 4}}}",
    )  # fmt: skip
    filters = open_filters(folder)
    assert limits(filters.policy("balanced", ("nl",)), "nl", "chars") == (7.0, None)
    assert limits(filters.policy("mine", ("nl",)), "nl", "medical_terms") == (4.0, None)  # the policy's own come first
    (tmp_path / "nl" / "language.yaml").write_text("name: Dutch\nlimits: {charz: {min: 1}}\n")
    with pytest.raises(PolicyError, match=r'language\.yaml: limits: unknown measure "charz"; did you mean "chars"'):
        filters.policy("balanced", ("nl",))


def test_a_language_without_terms_is_refused(tmp_path: Path) -> None:
    folder = overlay(tmp_path, nl_language="name: Dutch\n", nl_stopwords="de\n", nl_lexicon="# none\n")
    with pytest.raises(PolicyError, match=r"nl/lexicon\.txt: has no terms"):
        open_filters(folder).policy("balanced", ("nl",))


def test_there_must_be_a_lexicon_to_edit(tmp_path: Path) -> None:
    folder = overlay(tmp_path, xx_language="name: X", xx_stopwords="a\n", xx_lexicon="+term\n")
    with pytest.raises(PolicyError, match="there is none below it"):
        open_filters(folder).language("xx")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "limits:\n  all:\n    medical_modle: {min: 0.5}\n",
            r'mine\.yaml:3: "limits\.all\.medical_modle": unknown measure .*; did you mean "medical_model"',
        ),
        (
            "limits:\n  al: {chars: {min: 1}}\n",
            r'mine\.yaml:2: "limits\.al": unknown language "al"; did you mean "all"',
        ),
        ("limits: {all: {chars: {mni: 1}}}\n", r'mine\.yaml:1: unknown key "limits.all.chars.mni"; did you mean "min"'),
        ("limits: {all: {chars: {}}}\n", r"mine\.yaml:1: .*expected bounds such as"),
        ("limits: {all: {chars: {min: much}}}\n", r"limits\.all\.chars\.min.*number"),
        ("limits: {all: {chars: {min: 1, floor: 2}}}\n", r"floor 2 is above min 1"),
        ("limits: {all: {chars: {max: 3, ceiling: 2}}}\n", r"ceiling 2 is below max 3"),
        ("rule: boundry\n", r'mine\.yaml:1: "rule"'),
        ("rul: boundary\n", r'unknown key "rul"; did you mean "rule"'),
    ],
)
def test_a_policy_that_is_wrong_is_refused_when_it_is_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        open_filters(overlay(tmp_path, policies_mine=text)).policy("mine", ("en",))


def test_measures_that_a_recipe_declares_can_be_limited(tmp_path: Path) -> None:
    path = overlay(tmp_path, policies_mine="limits: {all: {brackets: {max: 3}}}") + "/policies/mine.yaml"
    with pytest.raises(PolicyError, match='unknown measure "brackets"'):
        open_filters().policy(path, ("en",))
    found = open_filters().policy(path, ("en",), measures=("brackets",))
    assert found.name == "mine" and found.languages["en"].limits["brackets"].max == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [("balancd", r'no policy "balancd" in .*; did you mean "balanced"'), ("./none.yaml", r"none\.yaml: can't be read")],
)
def test_an_unknown_policy_is_answered_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        open_filters().policy(name, ("en",))


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(PolicyError, match=r"filters: /none/filters: no such folder"):
        open_filters("/none/filters")
    filters = open_filters()
    with pytest.raises(PolicyError, match=r'no language "fz" in .*; known: ar, de'):
        filters.language("fz")
    with pytest.raises(ModelMissing, match=r'no model "lit" in .*; did you mean "lid"'):
        filters.model("lit")
    with pytest.raises(PolicyError, match=r'no prompt "qality" in .*; did you mean "quality"'):
        filters.prompt("qality")
    with pytest.raises(PolicyError, match=r"no word list block/none\.txt"):
        filters.words("block/none.txt")


def test_bounds_of_a_recipe_replace_those_of_its_policy(tmp_path: Path) -> None:
    plain = open_filters().policy("balanced", LANGUAGES)
    over = {
        "all": {"medical_model": PartialLimit(min=0.9), "quality": PartialLimit(min=0.3)},
        "fr": {"medical_terms": PartialLimit(min=4)},
    }
    found = open_filters().policy("balanced", LANGUAGES, limits=over)
    assert limits(plain, "ru", "medical_model") == (0.2, 0.02) and limits(found, "ru", "medical_model") == (0.9, 0.02)
    assert limits(found, "fr", "medical_terms") == (4.0, 1.0) and limits(found, "en", "medical_terms") == (1.0, 1.0)
    assert limits(found, "ja", "quality") == (0.3, None)
    # What ingest depends on is the same: a tightened limit costs no second extraction.
    same_floors = {"all": {"medical_model": PartialLimit(min=0.9)}}
    tightened = open_filters().policy("balanced", LANGUAGES, limits=same_floors)
    assert tightened.for_ingest().identity() == plain.for_ingest().identity()
    assert tightened.for_limits().identity() != plain.for_limits().identity()
    lower = open_filters().policy("balanced", LANGUAGES, limits={"all": {"medical_model": PartialLimit(floor=0.005)}})
    assert lower.for_ingest().identity() != plain.for_ingest().identity()
    for wrong, message in (
        (
            {"all": {"medical_modle": PartialLimit(min=1)}},
            r'policy\.all\.medical_modle: unknown measure .*"medical_model"',
        ),
        ({"en": {"medical_model": PartialLimit(min=0.005)}}, r"floor .* is above min"),
        ({"xx": {"chars": PartialLimit(min=1)}}, r'policy\.xx: unknown language "xx"'),
    ):
        with pytest.raises(PolicyError, match=message):
            open_filters().policy("balanced", LANGUAGES, limits=wrong)


def test_a_limit_on_the_command_line_reaches_the_policy() -> None:
    recipe = read_recipe("quickstart", ["policy.all.medical_model.min=0.8"])
    assert limits(recipe.read_policy(), "en", "medical_model") == (0.8, 0.02)
    assert recipe.as_written()["policy"] == {"all": {"medical_model": {"min": 0.8}}}
    assert recipe.read_policy() != read_recipe("quickstart").read_policy()


def test_what_differs_by_language_is_in_filters() -> None:
    filters = open_filters()
    assert not any(filters.facts(code).fit.medical_terms for code in filters.languages())
    assert filters.facts("zh").questions.answer == "答案" and filters.facts("xx").questions.answer == "Answer"
    assert filters.facts("ja").spaced is False and filters.facts("xx").scripts == ("Latin",)
