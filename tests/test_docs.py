"""The documentation names everything there is, and says what is so. `test_docs_commands.py` runs what it shows."""

import json
import re
from pathlib import Path

import jsonschema
import pyarrow as pa
import pytest

from docs import generate
from docs.given import declared, given, given_by
from mmedc import reasons
from mmedc.document import DOCUMENT, MEASURES
from mmedc.filters import LanguageFile, Limit, PolicyFile
from mmedc.policy import Privacy
from mmedc.report.schema import schema
from mmedc.shipped import shipped
from mmedc.yamlfile import parse_yaml, read_yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmedc"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/[a-z]*/*.md"), *ROOT.glob("*/README.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_command_key_measure_column_and_reason_has_a_description(tmp_path: Path) -> None:
    generate.write_all(tmp_path)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    for command in ("mmedc run", "mmedc items convert", "mmedc fit labels", "mmedc models get", "mmedc filters check"):
        assert f"## `{command}`" in written["commands.md"]
    for key in ("classify.checkpoint", "dedup.lines.passage", "sources.NAME.warc", "decontaminate.hits"):
        assert f"| `{key}` |" in written["recipe.md"]
    assert "| `model.lora.rank` |" in written["training.md"]
    assert "| `shots` |" in written["benchmark.md"]
    assert all(f"| `{name}` |" in written["measures.md"] for name in MEASURES)
    assert all(f"| `{name}` |" in written["columns.md"] for name in DOCUMENT.names if name not in MEASURES)


def test_what_has_no_description_fails() -> None:
    with pytest.raises(generate.Undocumented, match="measure bare"):
        generate._cell("", "measure bare")


def test_schemas_beside_the_recipes_are_current_and_accept_them() -> None:
    folders = {"recipe": "pipelines", "train": "pipelines", "bench": "pipelines", "policy": "filters"}
    for name, folder in folders.items():
        stored = json.loads(read(f"{folder}/{name}.schema.json"))
        assert stored == schema(name), f"{folder}/{name}.schema.json is stale: make schemas"
        jsonschema.Draft202012Validator.check_schema(stored)
    for path in [*shipped("pipelines").glob("*.yaml"), *shipped("filters").glob("policies/*.yaml")]:
        text = path.read_text(encoding="utf-8")
        found = re.match(r"# yaml-language-server: \$schema=(?:\.\./)?(\w+)\.schema\.json\n", text)
        assert found, path
        jsonschema.validate(read_yaml(path, ValueError).data, schema(found[1]))


def test_the_schema_of_a_manifest_accepts_one(quickstart: Path) -> None:
    jsonschema.validate(json.loads((quickstart / "manifest.json").read_text(encoding="utf-8")), schema("manifest"))


def test_the_schema_of_a_recipe_takes_what_reading_takes_and_marks_typing_mistakes() -> None:
    check = jsonschema.Draft202012Validator(schema("recipe"))
    short = {
        "name": "x",
        "sources": {"pages": {"warc": "a/*.warc.gz"}},
        "dedup": {"lines": True},
        "decontaminate": ["questions"],
        "publish": {"shard": "64MB"},
        "train": {"model": {"path": "m"}},
    }
    assert check.is_valid(short)
    assert not check.is_valid({**short, "sourcs": {}})
    assert not check.is_valid({**short, "sources": {"Pages": {"warc": "a/*.warc.gz"}}})
    assert not check.is_valid({**short, "dedup": {"jacard": 0.7}})
    assert not check.is_valid({**short, "train": {"model": {"pth": "m"}}})
    assert check.is_valid({**short, "policy": {"all": {"chars": {"min": 100}}}})
    assert not check.is_valid({**short, "policy": {"all": {"chars": {"mn": 100}}}})


def test_yaml_that_is_shown_is_part_of_a_recipe() -> None:
    part = {key: value for key, value in schema("recipe").items() if key != "required"}
    check, shown = jsonschema.Draft202012Validator(part), 0
    for path in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S):
            data = parse_yaml(block, str(path), ValueError).data
            problems = [error.message for error in check.iter_errors(data or {})]
            assert not problems, f"{path.relative_to(ROOT)}: {problems[0]}\n{block}"
            shown += 1
    assert shown >= 5


def test_every_reason_that_a_step_gives_is_declared_and_the_other_way_round() -> None:
    assert {"no_main_text", "other_language", "binary", "http_status", "damaged", "no_text"} <= given()
    assert given() - declared() == set()
    code = "".join(p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.py") if p.name != "reasons.py")
    assert not [reason for reason in declared() if not re.search(rf"""['"`]{reason}['"`: ]""", code)]


def test_a_reason_without_a_meaning_fails(tmp_path: Path) -> None:
    step = tmp_path / "step.py"
    step.write_text('def why(index):\n    dropped[index] = "too_sad"\n    return f"too_glad: {index}"\n')
    assert set(given_by(step)) == {"too_sad", "too_glad"}


def test_reasons_of_real_builds_have_a_meaning() -> None:
    for row in json.loads(read("tests/golden/funnel.json"))["funnel"]:
        for fate, counts in (("dropped", row["dropped"]), ("rejected", row["rejected_by"])):
            assert not [reason for reason in counts if not reasons.meaning(row["step"], fate, reason)], row["step"]
    rejected = re.findall(r"rejected \(`(\w+)`\)", read("docs/explanation/security.md"))
    assert len(rejected) > 20
    assert set(rejected) <= declared()
    assert reasons.meaning("language", "dropped", "lang_score_low")
    assert reasons.meaning("extract", "rejected", "crash SIGSEGV")
    assert reasons.meaning("extract", "dropped", "no_such_reason") is None


def test_the_funnel_of_the_tutorial_is_the_golden_one() -> None:
    rows = []
    for row in json.loads(read("tests/golden/funnel.json"))["funnel"]:
        if row["kept"] < row["read"]:
            why = ", ".join(f"`{reason}` {count}" for reason, count in _most(row["dropped"]))
            if row["rejected_by"]:
                why += ", " * bool(why) + "rejected: "
                why += ", ".join(f"`{reason}` {count}" for reason, count in _most(row["rejected_by"]))
            rows.append(f"| `{row['step']}` | {row['read']} | {row['kept']} | {why} |")
    assert "\n".join(rows) in read("docs/tutorial/first-corpus.md")


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def test_every_shipped_recipe_and_policy_is_listed() -> None:
    for path in shipped("pipelines").glob("*.yaml"):
        assert f"`{path.name}`" in read("pipelines/README.md")
    for path in (shipped("filters") / "policies").glob("*.yaml"):
        assert f"`{path.stem}`" in read("docs/explanation/policies.md")


def test_every_key_of_the_files_of_a_language_and_of_a_policy_is_in_the_readme_of_filters() -> None:
    text = read("filters/README.md")
    keys = [*LanguageFile.model_fields, *Privacy.model_fields, *PolicyFile.model_fields, *Limit.model_fields]
    assert not [key for key in keys if f"`{key}`" not in text]
    assert generate.measures() in text, (
        "the table of measures in filters/README.md is stale: docs/_generated/measures.md"
    )


def test_the_documentation_uses_the_names_of_the_glossary() -> None:
    """Names that were given up for standard ones; DECISIONS and CHANGELOG may tell of them."""
    old = r"\b(?:gather(?:ed|s)?|glance[sd]?|settle[sd]?|the gate)\b"
    for path in PAGES:
        if path.name not in ("DECISIONS.md", "CHANGELOG.md"):
            assert not re.findall(old, path.read_text(encoding="utf-8")), path


def test_every_decision_has_a_date_and_the_newest_is_last() -> None:
    decisions = re.split(r"^## ", read("DECISIONS.md"), flags=re.M)[1:]
    dates = [re.match(r".+\n\n\*(\d{4}-\d\d-\d\d)\.\* ", text) for text in decisions]
    assert not [text.splitlines()[0] for text, date in zip(decisions, dates, strict=True) if not date]
    found = [date[1] for date in dates if date]
    assert found == sorted(found)


def test_every_module_and_package_is_in_the_architecture() -> None:
    text = read("docs/explanation/architecture.md")
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert not [name for name in names if f"`{name}`" not in text and not name.startswith("__")]


def test_top_level_folders_say_what_they_are_for() -> None:
    for folder in ("filters", "pipelines", "cluster", "benchmarks"):
        assert read(f"{folder}/README.md").startswith("# ")


def test_links_lead_somewhere_and_pages_that_are_named_exist() -> None:
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            assert (path.parent / target).exists(), f"{path}: {target}"
    for path in [*PACKAGE.rglob("*.py"), *ROOT.glob("filters/**/*.yaml"), *ROOT.glob("pipelines/*.yaml"), *PAGES]:
        for page in re.findall(
            r"\b(?:docs|filters|benchmarks|cluster)/[\w/-]+\.md\b", path.read_text(encoding="utf-8")
        ):
            assert (ROOT / page).exists(), f"{path} names {page}"


def test_the_measure_of_the_documentation_works() -> None:
    code = re.search(r"```python\n(# my_measures.py.*?)```", read("docs/how-to/extending.md"), re.S)
    assert code
    names: dict[str, object] = {}
    exec(code.group(1), names)
    assert names["brackets"]("(a) [b]") == 4000 / 7  # type: ignore[operator]


def test_the_step_of_the_documentation_works() -> None:
    code = re.search(r"```python\n(# my_steps.py.*?)```", read("docs/how-to/extending.md"), re.S)
    assert code
    names: dict[str, object] = {}
    exec(code.group(1), names)
    step = names["NoForums"]()  # type: ignore[operator]
    batch = pa.RecordBatch.from_pydict(
        {"locator": ["http://a/forum/1", "http://a/x"], "dropped_by": pa.nulls(2, pa.string())}
    )
    assert step.open()(batch).column("dropped_by").to_pylist() == ["forum", None]
