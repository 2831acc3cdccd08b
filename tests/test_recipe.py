"""A recipe that is wrong is answered with file, line, key and the nearest valid name."""

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mmedc.bench.config import Bench, read_bench
from mmedc.engine.run import Inline
from mmedc.errors import RecipeError
from mmedc.pipeline.build import Build
from mmedc.recipe import Recipe, read_recipe
from mmedc.settings import PathRule, resolved
from mmedc.shipped import shipped
from mmedc.train.config import Train, read_train
from tests.conftest import Notes

GOOD = """\
name: good
languages: [en, es]
sources:
  pages: {warc: "a/*.warc.gz"}
publish: {shard: 64MiB}
"""


def write(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_a_good_recipe(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, GOOD))
    assert recipe.languages == ("en", "es")
    assert recipe.publish.shard == 64 * 2**20
    assert recipe.sources["pages"].paths == (str(tmp_path / "a/*.warc.gz"),)
    assert recipe.dedup.jaccard == 0.8


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (GOOD + "publsh: 1\n", 6, 'unknown key "publsh"; did you mean "publish"?'),
        (GOOD.replace("shard:", "shrd:"), 5, 'did you mean "shard"?'),
        (GOOD.replace("warc:", "licens: MIT, warc:"), 4, 'unknown key "licens"; did you mean "licence"?'),
        (GOOD.replace("64MiB", "64 parsecs"), 5, "unknown unit"),
        (GOOD.replace("64MiB", "-1"), 5, "publish.shard"),
        (GOOD.replace("name: good", "name: Not Good"), 1, "expected 1 to 63"),
        (GOOD.replace("name: good\n", ""), None, 'the key "name" is missing'),
        (GOOD.replace('{warc: "a/*.warc.gz"}', "{kind: web}"), 4, "exactly one key that names its files"),
        (
            GOOD.replace("warc:", "engine: pymupdf, warc:"), 4,
            '"engine" is no key of a source; it belongs in `books: {engine: …}` of the recipe',
        ),
        (GOOD + "name: again\n", 6, "duplicate"),
        (GOOD + "dedup: {jaccard: 1.5}\n", 6, "dedup.jaccard"),
        (GOOD + "a: [1, 2\n", 7, "expected"),
        (GOOD + "x: !!python/object/apply:os.system ['true']\n", 6, "unknown key"),
        ("a" * 10, None, "expected a mapping"),
        (GOOD + "medical: {limits: {all: {chars: {min: 5}}}}\n", 6, "--set policy.all.medical_model.min=0.8"),
        (GOOD + "policy: {all: {chars: {mim: 5}}}\n", 6, 'did you mean "min"?'),
        (GOOD + "policy: {all: {chars: {min: yes}}}\n", 6, "policy.all.chars.min"),
        ("[" * 20000, None, "nested too deep"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as problem:
        read_recipe(path)
    assert said in str(problem.value)
    assert str(problem.value).startswith(f"{path}:{line}: " if line else path)


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as problem:
        read_recipe(write(tmp_path, GOOD + "one: 1\ntwo: 2\n"))
    assert len(str(problem.value).splitlines()) == 2


def test_aliases_do_not_expand_without_bound(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    with pytest.raises(RecipeError, match="aliases"):
        read_recipe(write(tmp_path, bomb))


def test_norwegian_is_a_language(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, GOOD.replace("[en, es]", "[no, en]"))).languages == ("no", "en")


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: a\n# caf\xe9\n")
    with pytest.raises(RecipeError, match=r"recipe.yaml:2: not UTF-8"):
        read_recipe(str(path))


def test_settings_replace_values(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    recipe = read_recipe(path, ["sources.pages.jsonl=x.jsonl", "publish.shard=1GB", "languages=[ja]"])
    assert recipe.sources["pages"].format == "jsonl"
    assert recipe.sources["pages"].paths == (os.path.abspath("x.jsonl"),)  # of --set: relative to the current folder
    assert recipe.publish.shard == 10**9 and recipe.languages == ("ja",)
    with pytest.raises(RecipeError, match=r"did you mean \"publish\""):
        read_recipe(path, ["publis.shard=1GB"])
    with pytest.raises(RecipeError, match=r"^--set dedup\.jaccard: .*found 7"):
        read_recipe(path, ["dedup.jaccard=7"])
    with pytest.raises(RecipeError, match="expected key=value"):
        read_recipe(path, ["publish.shard"])


def test_unknown_recipe_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r'did you mean "web"'):
        read_recipe("webb")


def test_a_folder_and_a_file_that_is_not_there_are_answered_with_a_recipe_near_it(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(RecipeError, match=r"a folder; expected a recipe file, such as .*recipe\.yaml"):
        read_recipe(str(tmp_path))
    with pytest.raises(RecipeError, match=r'recipe\.yml: no such file; did you mean ".*recipe\.yaml"'):
        read_recipe(str(tmp_path / "recipe.yml"))
    with pytest.raises(RecipeError, match=r"x\.yaml: no such file$"):
        read_recipe(str(tmp_path / "nothing" / "x.yaml"))


EVERYTHING = """\
name: all
out: corpus
sources:
  pages: {warc: ["a/*.gz", "s3://bucket/b.gz"]}
  texts: {files: ../texts}
filters: filters
block: [hosts.txt]
models: {quality: q.npz}
medical: {policy: ./strict.yaml}
classify: {checkpoint: judge}
dedup: {against: old}
decontaminate: tests/*.jsonl
publish: {tokenizer: tokenizer.json}
train:
  out: run
  model: {path: llama}
  data: {corpora: {medical: corpus, other: s3://bucket/other}, tokenizer: tokens, cache: /var/cache}
  watch: {questions: shipped:questions}
  steps: 1
  batch: 1
bench: {model: llama, items: [items], out: scores, examples: solved, adapter: lora, corpora: corpus, texts: t.jsonl}
"""


def test_every_path_is_relative_to_the_file_that_contains_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "mine", EVERYTHING)
    monkeypatch.chdir(tmp_path / "elsewhere")
    path, mine = "../mine/recipe.yaml", str(tmp_path / "mine")
    recipe = read_recipe(path)
    assert recipe.sources["pages"].paths == (f"{mine}/a/*.gz", "s3://bucket/b.gz")
    assert recipe.sources["texts"].paths == (f"{tmp_path}/texts",)
    assert recipe.classify is not None
    found = [
        recipe.out, recipe.filters, *recipe.block, recipe.models["quality"], recipe.medical.policy,
        recipe.classify.checkpoint, *recipe.dedup.against, *recipe.decontaminate.questions, recipe.publish.tokenizer,
    ]  # fmt: skip
    names = "corpus filters hosts.txt q.npz strict.yaml judge old tests/*.jsonl tokenizer.json"
    assert found == [f"{mine}/{name}" for name in names.split()]
    train = read_train(path)
    assert (train.out, train.model.path, train.data.tokenizer) == (f"{mine}/run", f"{mine}/llama", f"{mine}/tokens")
    assert train.data.corpora == {"medical": f"{mine}/corpus", "other": "s3://bucket/other"}
    assert train.data.cache == "/var/cache"
    assert train.watch.questions == (str(shipped("pipelines") / "questions"),)
    assert Train.model_validate(train.model_dump(mode="json")) == train  # as `mmedc export` reads it again
    bench = read_bench(path, ["items=other", "out=here"])
    assert (bench.model, bench.adapter, bench.texts) == (f"{mine}/llama", f"{mine}/lora", (f"{mine}/t.jsonl",))
    assert (bench.items, bench.out) == ((f"{tmp_path}/elsewhere/other",), f"{tmp_path}/elsewhere/here")


def test_names_stay_names(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, GOOD.replace("{shard: 64MiB}", "{}") + "medical: {policy: precise}\n"))
    assert (recipe.medical.policy, recipe.publish.tokenizer, recipe.out) == ("precise", "qwen", "")
    server = {"backend": "server", "endpoint": "http://localhost/v1", "protocol": "generate", "prompt": "plain"}
    assert Bench.model_validate({"model": "owner/name", "items": "x", **server}).model == "owner/name"


def test_a_shipped_recipe_writes_and_reads_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("quickstart", str(shipped("pipelines") / "quickstart.yaml")):
        recipe = read_recipe(path)
        assert recipe.out == f"{tmp_path}/corpus/quickstart"
        assert recipe.sources["pages"].paths == (str(shipped("pipelines") / "quickstart" / "pages.warc.gz"),)
    assert read_train("train-tiny").data.corpora == {"medical": f"{tmp_path}/corpus/quickstart"}
    copy = tmp_path / "copy" / "quickstart.yaml"
    copy.parent.mkdir()
    copy.write_bytes((shipped("pipelines") / "quickstart.yaml").read_bytes())
    assert read_recipe(str(copy)).sources == read_recipe("quickstart").sources
    assert read_recipe(str(copy)).out == f"{tmp_path}/copy/corpus/quickstart"


def test_what_is_recorded_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    recipes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        recipes.append(read_recipe(write(tmp_path / name, EVERYTHING), ["policy.all.medical_model.min=0.8"]))
    one, two = (recipe.as_written() for recipe in recipes)
    assert one == two and str(tmp_path) not in str(one)
    assert one["classify"] == {"checkpoint": "judge"} and one["policy"] == {"all": {"medical_model": {"min": 0.8}}}
    again = pickle.loads(pickle.dumps(recipes[0]))
    assert again == recipes[0] and again.as_written() == one


TEXT = """\
Asthma is a chronic disease of the airways. Patients suffer from cough, wheezing and dyspnoea. Diagnosis needs
spirometry, and the therapy is an inhaled corticosteroid. The doctor shows the patients how to use the inhaler.
"""


WORDS = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"},
}  # fmt: skip
"""A tokenizer.json to which every word is the same token."""


def test_a_corpus_does_not_depend_on_where_its_recipe_lies(tmp_path: Path) -> None:
    manifests = []
    for folder in (tmp_path / "one", tmp_path / "two" / "deeper"):
        for name, text in {
            "texts/a.txt": TEXT,
            "hosts.txt": "bad.example\n",
            "filters/en/lexicon.txt": "[diseases]\n+kennel cough\n",
            "strict.yaml": (shipped("filters") / "policies" / "precise.yaml").read_text(encoding="utf-8"),
            "tokenizer.json": json.dumps(WORDS),
            "recipe.yaml": "name: same\nout: corpus\nlanguages: [en]\nsources: {texts: {files: texts}}\n"
            "filters: filters\nblock: hosts.txt\nmedical: {policy: ./strict.yaml}\n"
            "publish: {tokenizer: tokenizer.json}\n",
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        os.utime(folder / "texts" / "a.txt", (10**9, 10**9))
        recipe = read_recipe(str(folder / "recipe.yaml"))
        assert recipe.out == f"{folder}/corpus"
        Build.prepare(recipe, recipe.out).run(Inline(False), Notes())
        written = (folder / "corpus" / "manifest.json").read_text(encoding="utf-8")
        assert str(tmp_path) not in written
        manifests.append(json.loads(written))
    one, two = manifests
    assert (one["digest"], one["build"], one["recipe"]) == (two["digest"], two["build"], two["recipe"])
    assert sum(shard["rows"] for shard in one["shards"]) == 1


def test_home_and_parents_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert resolved("~/a", "/b") == "/home/someone/a"
    assert resolved("../a", "/b/c") == "/b/a" and resolved("../a", "/b/c").written == "../a"


PATH_WORDS = {"path", "paths", "file", "files", "folder", "folders", "checkpoint"}


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and the models of its fields."""
    yield model
    for field in model.model_fields.values():
        for part in parts_of(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from models_below(part)


def parts_of(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from parts_of(part)


def is_path(field: FieldInfo) -> bool:
    parts = [*field.metadata, *parts_of(field.annotation)]
    return any(isinstance(part, PathRule) for part in parts)


@pytest.mark.parametrize("model", [Recipe, Train, Bench])
def test_every_text_that_names_a_file_is_a_path(model: type[BaseModel]) -> None:
    """A new key that reads or writes a file can't forget to be relative to its recipe."""
    paths, forgotten = 0, []
    for part in set(models_below(model)):
        for name, field in part.model_fields.items():
            words = {word.strip(".,;:`()") for word in f"{name} {field.description}".lower().replace("_", " ").split()}
            text = any(option is str for option in parts_of(field.annotation))
            if text and words & PATH_WORDS and not is_path(field):
                forgotten.append(f"{part.__name__}.{name}")
            paths += is_path(field)
    assert not forgotten
    # The keys that name the files of a source are paths too: they have the type of its extra values.
    assert paths >= {Recipe: 9, Train: 6, Bench: 8}[model]


def test_what_a_training_reads_may_be_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not beside the file; so older trainings still run, with a warning."""
    here, beside = tmp_path / "here", tmp_path / "beside"
    for folder in (here, beside):
        folder.mkdir()
    (here / "rows.jsonl").touch()
    (here / "tokenizer.json").touch()
    (beside / "t.yaml").write_text(
        "model: {config: {model_type: llama}}\ndata: {tokenizer: .}\nexamples: {path: rows.jsonl}\nsteps: 1\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(here)
    with pytest.warns(UserWarning) as caught:
        settings = read_train(str(beside / "t.yaml"))
    messages = [str(warning.message) for warning in caught]
    assert f"rows.jsonl is not in {beside}; {here}/rows.jsonl is used" in messages and len(messages) == 2
    assert (
        settings.examples
        and settings.examples.path == str(here / "rows.jsonl")
        and settings.data.tokenizer == str(here)
    )
    (beside / "rows.jsonl").touch()
    (beside / "tokenizer.json").touch()
    settings = read_train(str(beside / "t.yaml"))
    assert settings.examples and settings.examples.path == str(beside / "rows.jsonl")
    assert settings.data.tokenizer == str(beside)


def test_settings_of_another_command_are_known_as_such(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("model: {config: small}\nsteps: 10\n")
    with pytest.raises(RecipeError, match=r"t.yaml: has no `sources`.*give `mmedc train .*t.yaml`"):
        read_recipe(str(tmp_path / "t.yaml"))
    (tmp_path / "b.yaml").write_text("model: m\nitems: [x]\n")
    with pytest.raises(RecipeError, match=r"give `mmedc bench "):
        read_recipe(str(tmp_path / "b.yaml"))
    (tmp_path / "c.yaml").write_text("name: c\nsources:\n  a: {warc: x}\n")
    with pytest.raises(RecipeError, match=r"c.yaml: is the recipe of a corpus, without a part `train`"):
        read_train(str(tmp_path / "c.yaml"))
