"""What is wrong with a settings file is said in plain English: file, line, key, what was expected, what was found."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core.core_schema import ErrorType

from mmedc.bench.config import Bench
from mmedc.errors import PolicyError, RecipeError
from mmedc.filters import LanguageFile, PolicyFile
from mmedc.models import PinnedModel
from mmedc.pipeline.build import Build
from mmedc.policy import Privacy
from mmedc.recipe import Recipe, read_recipe
from mmedc.settings import Part, checked
from mmedc.train.config import Train
from mmedc.wording import EXPECTED
from mmedc.yamlfile import YamlFile, parse_yaml
from tests.test_recipe import models_below

FOREIGN = re.compile(
    r"Input should|valid \w+|pattern|type=|pydantic|https?://|Value error|function-|\[key\]|None|True|False"
)
WRONG: tuple[Any, ...] = (
    *(None, True, 0, -1, 7, 1.5, -2.5, 10**30, "", "abc", "Not A Name", "x" * 200, "1e400"),
    *([], [1], [None], ["a", "a"], [[]], {}, {"a": 1}, {"Bad Key": {}}, {"a": None}, {"a": {"b": {"c": [1]}}}),
)
GOOD = """\
name: good
languages: [en, es]
sources: {pages: {warc: "shipped:quickstart/pages.warc.gz"}}
publish: {tokenizer: qwen}
"""


def parts() -> Iterator[type[BaseModel]]:
    for model in (Recipe, Train, Bench, PolicyFile, LanguageFile, Privacy, PinnedModel):
        yield from models_below(model)


@pytest.mark.parametrize(
    "model", sorted(set(parts()), key=lambda model: model.__name__), ids=lambda model: model.__name__
)
def test_no_value_of_any_key_is_answered_in_the_words_of_a_library(model: type[Part]) -> None:
    answered = 0
    for key in (*model.model_fields, "colour"):
        for value in WRONG:
            try:
                checked(model, YamlFile("r.yaml", {key: value}, {(key,): 3}))
            except RecipeError as problem:
                answered += 1
                for line in str(problem).splitlines():
                    assert not FOREIGN.search(line.replace("None", "").replace(str(value), "")), line
                    assert "of another kind" not in line, line
                    assert line.startswith("r.yaml"), line
    assert answered > 10


def test_the_table_has_only_errors_that_exist() -> None:
    assert set(EXPECTED) <= set(get_args(ErrorType))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("languages: EN", '"languages": expected a list, such as [a, b]; found "EN"'),
        ("languages: [EN]", '"languages": expected the code of a language, two or three small letters such as de; found "EN"; did you mean "en" (English)?'),
        ("languages: [en, english]", '"languages": expected the code of a language, two or three small letters such as de; found "english"; did you mean "en" (English)?'),
        ("languages: [pt-BR]", '"languages": expected the code of a language, two or three small letters such as de; found "pt-BR"; did you mean "pt" (Portuguese)?'),
        ("extract: trafilature", '"extract": expected mmedc, trafilatura or resiliparse; found "trafilature"; did you mean "trafilatura"?'),
        ("privacy: maybe", '"privacy": expected true or false; found "maybe"'),
        ("medical: balanced", '"medical": expected a mapping of keys to values, such as `key: value`; found "balanced"; known keys: policy'),
        ("classify: {checkpoint: x, label: [1]}", '"classify.label": expected text or a whole number; found a list of 1 value'),
        ("classify: {gpus: 1}", 'the key "classify.checkpoint" is missing'),
        ("dedup: {jaccard: 7}", '"dedup.jaccard": expected a number less than 1; found 7'),
        ("publish: {shard: [1]}", '"publish.shard": expected a size such as 256MB or 64MiB; found a list of 1 value'),
        ("publish: {shard: lots}", '"publish.shard": expected a size such as 256MB or 64MiB; found "lots"'),
        ("publish: {tokenizer: 4}", '"publish.tokenizer": expected text; found 4; put it in quotes to make it text'),
        ("models: {lidd: x}", '"models.lidd": expected lid, extractor, medical, quality, pages or kenlm; found "lidd"; did you mean "lid"?'),
        ("measures: [{use: abc, name: x}]", '"measures.0.use": expected a function as package.module:function; found "abc"'),
        ("languages: []", '"languages": expected at least 1 value; found an empty list'),
        ("block:", '"block": expected a list, such as [a, b]; found nothing'),
    ],
)  # fmt: skip
def test_what_was_expected_and_what_was_found(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "r.yaml"
    key = line.partition(":")[0]
    text = "".join(row for row in GOOD.splitlines(True) if not row.startswith(key))
    path.write_text(text + line + "\n")
    with pytest.raises(RecipeError) as problem:
        read_recipe(str(path))
    assert str(problem.value) == f"{path}:{len(text.splitlines()) + 1}: {said}"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dedup.jaccard=7", "--set dedup.jaccard: expected a number less than 1; found 7"),
        ("dedup.jacard=7", '--set dedup.jacard: unknown key; did you mean "jaccard"?'),
        ("dedup={jaccard: 7}", '--set dedup: "jaccard": expected a number less than 1; found 7'),
        ("policy.all.chars.min=abc", '--set policy.all.chars.min: expected a number; found "abc"'),
    ],
)
def test_a_key_of_the_command_line_is_named_once(setting: str, said: str) -> None:
    with pytest.raises(RecipeError) as problem:
        read_recipe("quickstart", [setting])
    assert str(problem.value) == said


def test_a_limit_given_to_medical_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r'yaml:\d+: "medical" \(with --set medical.limits.chars\): limits belong to the'
    ):
        read_recipe("quickstart", ["medical.limits.chars=5"])


LATER = {
    "steps: [{use: 'none:Here', after: read}]": '"steps.0": none:Here: there is no',
    "steps: [{use: 'io:BytesIO', after: nowhere}]": '"steps.0": io:BytesIO',
    "measures: [{use: 'none:here', name: x}]": '"measures.0": none:here: there is no',
    "measures: [{use: 'math:sqrt', name: chars}]": '"measures.0": the column "chars" exists already',
    "policy: {all: {charz: {min: 1}}}": '"policy.all.charz": unknown measure "charz"; did you mean "chars"?',
    "policy: {xx: {chars: {min: 1}}}": '"policy.xx": unknown language "xx"',
    "policy: {all: {medical_model: {floor: 0.9}}}": '"policy.all.medical_model": floor 0.9 is above min 0.2',
    "languages: [en, sp]": '"languages": no language "sp"',
    "languages: [en, xx]": '"languages": no language "xx"',
    "medical: {policy: balancd}": '"medical.policy": no policy "balancd"',
    "filters: nowhere": '"filters": ',
    "models: {lid: nowhere.ftz}": '"models.lid": ',
    "publish: {tokenizer: none.json}": '"publish.tokenizer" is "',
    "decontaminate: nowhere/*.jsonl": '"decontaminate.questions": ',
    "sources: {web: {warc: nowhere/*.warc.gz}}": '"sources.web.warc": ',
    "classify: {checkpoint: nowhere}": '"classify.checkpoint": ',
}


@pytest.mark.parametrize("line", LATER)
def test_what_is_found_wrong_later_has_file_and_line_too(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.yaml"
    key = line.partition(":")[0]
    text = "".join(row for row in GOOD.splitlines(True) if not row.startswith(key))
    path.write_text(text + line + "\n")
    with pytest.raises((RecipeError, PolicyError, Exception)) as problem:
        Build.prepare(read_recipe(str(path)), str(tmp_path / "out"))
    assert str(problem.value).startswith(f"{path}:{len(text.splitlines()) + 1}: {LATER[line]}")


def test_lines_of_a_part_of_a_recipe(tmp_path: Path) -> None:
    yaml = parse_yaml("a: 1\ntrain:\n  steps: x\n  data: {context: 2}\n", "r.yaml", RecipeError)
    with pytest.raises(RecipeError) as problem:
        checked(Train, yaml.part("train"))
    assert str(problem.value).splitlines() == [
        'r.yaml:2: the key "model" is missing',
        'r.yaml:4: "data.context": expected a number that is 8 or more; found 2',
        'r.yaml:3: "steps": expected a whole number; found "x"',
    ]


def test_a_tab_is_called_a_tab() -> None:
    with pytest.raises(RecipeError, match=r"^r\.yaml:2: a tab stands where YAML takes spaces only"):
        parse_yaml("name: x\n\tdedup: {}\n", "r.yaml", RecipeError)
