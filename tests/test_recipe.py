"""A recipe that is wrong is answered with file, line, key and the nearest valid name."""

from pathlib import Path

import pytest

from mmedc.errors import RecipeError
from mmedc.recipe import read_recipe

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
        (GOOD.replace("warc:", "wacr:"), 4, 'did you mean "warc"?'),
        (GOOD.replace("64MiB", "64 parsecs"), 5, "unknown unit"),
        (GOOD.replace("64MiB", "-1"), 5, "publish.shard"),
        (GOOD.replace("name: good", "name: Not Good"), 1, "use 1 to 63"),
        (GOOD.replace("name: good\n", ""), None, 'the key "name" is missing'),
        (GOOD.replace('{warc: "a/*.warc.gz"}', "{kind: web}"), 4, "exactly one of"),
        (GOOD + "name: again\n", 6, "duplicate"),
        (GOOD + "dedup: {jaccard: 1.5}\n", 6, "dedup.jaccard"),
        (GOOD + "a: [1, 2\n", 7, "expected"),
        (GOOD + "x: !!python/object/apply:os.system ['true']\n", 6, "unknown key"),
        ("a" * 10, None, "a recipe is a mapping"),
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
    assert recipe.sources["pages"].paths == ("x.jsonl",)  # of --set, so relative to the current folder
    assert recipe.publish.shard == 10**9 and recipe.languages == ("ja",)
    with pytest.raises(RecipeError, match=r"did you mean \"publish\""):
        read_recipe(path, ["publis.shard=1GB"])
    with pytest.raises(RecipeError, match="expected key=value"):
        read_recipe(path, ["publish.shard"])


def test_unknown_recipe_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r'did you mean "web"'):
        read_recipe("webb")
