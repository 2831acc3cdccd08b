"""A source with a policy of its own: `keep` for what is medical by its origin, or the name of another policy."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mmedc.cli import app
from mmedc.engine import supervisor
from mmedc.engine.run import Inline
from mmedc.errors import PolicyError
from mmedc.pipeline.build import Build
from mmedc.pipeline.plan import notes_of
from mmedc.recipe import read_recipe
from mmedc.report.explain import explain
from mmedc.report.what_if import what_if
from tests.conftest import Notes

PLAIN = (
    "The train left the station at noon and crossed the river before the rain began. Most of the people in it read "
    "a newspaper, and some of them slept until the next town, where the market had already closed for the day."
)
ILL = "Diabetes raises the risk of stroke, and insulin lowers glucose in the blood of patients with the disease. "
OTHER = (
    "Le train a quitté la gare à midi et il a traversé la rivière avant que la pluie commence à tomber sur la ville."
)
RECIPE = """\
name: own
languages: [en]
dedup: {{minhash: false}}
sources:
  web: {{jsonl: web.jsonl}}
  library: {{jsonl: library.jsonl{policy}}}
"""


def recipe_file(folder: Path, policy: str) -> Path:
    texts = [PLAIN, PLAIN.replace("train", "ship").replace("river", "bay") + " " + ILL, OTHER * 4]
    for name in ("web", "library"):
        lines = [json.dumps({"text": f"{text} This is the {name}."}) for text in texts]
        if not (file := folder / f"{name}.jsonl").exists():
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(policy=f", policy: {policy}" if policy else ""), encoding="utf-8")
    return path


def built(folder: Path, policy: str) -> tuple[dict[str, int], Path, Build]:
    """Return the documents of each source in the corpus of a recipe, the corpus, and its build."""
    out = folder / "out"
    build = Build.prepare(read_recipe(str(recipe_file(folder, policy))), str(out))
    manifest = build.run(Inline(), Notes())
    return {shard.source: shard.rows for shard in manifest.shards}, out, build


def stats_of(corpus: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CliRunner().invoke(app, ["stats", corpus, "--json"]).stdout)
    return found


def test_keep_drops_nothing_for_how_medical_it_is_and_measures_it_all_the_same(tmp_path: Path) -> None:
    kept, out, build = built(tmp_path, "keep")
    assert kept == {"web": 1, "library": 2}  # both English texts; the French one misses the limit of the language
    (shard,) = (out / "data/en").glob("library-*.parquet")
    table = pq.read_table(shard).to_pydict()
    assert sorted(density > 0.02 for density in table["medical_density"]) == [False, True]
    assert None not in table["medical_model"] and None not in table["medical_density"]
    assert notes_of(build) == ["source library: policy keep; no limit on how medical a text is drops any of it"]
    assert stats_of(str(out))["policies"] == {"library": "keep"}
    found = what_if(str(out), ["policy.all.medical_model.min=0.999"])
    assert {part.source: part.then.documents for part in found.parts}["library"] == 2
    seen = explain(read_recipe(str(tmp_path / "recipe.yaml")), f"{tmp_path / 'library.jsonl'}#line=1")
    assert seen.verdict == "kept" and seen.stages[0].changes["policy"] == "keep"
    assert not {"medical_terms", "medical_model"} & {limit["measure"] for limit in seen.limits}


def test_steps_that_an_earlier_build_left_open_do_not_judge_by_its_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_CHAINS", {})
    (tmp_path / "first").mkdir()
    assert built(tmp_path / "first", "")[0] == {"web": 1, "library": 1}
    (tmp_path / "second").mkdir()
    assert built(tmp_path / "second", "keep")[0] == {"web": 1, "library": 2}


def test_other_sources_and_other_recipes_are_not_read_again_for_it(tmp_path: Path) -> None:
    passes = [
        Build.prepare(read_recipe(str(recipe_file(tmp_path, policy))), str(tmp_path / "out")).ingest
        for policy in ("", "keep", "recall", "precise")
    ]
    assert len({each.key for each in passes}) == 1
    assert len({each.units[0].id for each in passes}) == 1  # the web
    assert len({each.units[1].id for each in passes}) == 4


def test_a_source_may_name_a_policy_whose_limits_hold_for_it_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "rule: mmedc\nlimits: {all: {medical_terms: {min: 1, floor: 1}, chars: {max: 250}}}\n", encoding="utf-8"
    )
    recipe = read_recipe(str(recipe_file(tmp_path, "./mine.yaml")))
    policy = recipe.read_policy()
    assert policy.name == "balanced" and policy.of("web") is policy
    own = policy.of("library")
    assert (own.name, own.rule, own.languages["en"].limits["chars"].max) == ("mine", "mmedc", 250)
    assert own.languages["en"].lexicon is policy.languages["en"].lexicon
    manifest = Build.prepare(recipe, str(tmp_path / "out")).run(Inline(), Notes())
    dropped = {row.step: row.dropped for row in manifest.funnel}
    assert dropped["limits"]["chars_high"] == 1


def test_an_unknown_policy_is_answered_with_the_nearest_and_its_place(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, "kep")
    with pytest.raises(PolicyError) as problem:
        read_recipe(str(path)).read_policy()
    assert str(problem.value).startswith(f'{path}:6: "sources.library.policy": no policy "kep"')
    assert 'did you mean "keep"?' in str(problem.value)
