"""Steps and measures of a user's own: their columns, their limits, and what is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pytest

import mmedc
from mmedc.corpus.manifest import Manifest
from mmedc.corpus.verify import verify
from mmedc.engine.run import Inline
from mmedc.errors import PolicyError, RecipeError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.explain import explain
from tests.conftest import Notes

MODULE = """
from dataclasses import dataclass
from typing import ClassVar
import pyarrow as pa
import pyarrow.compute as pc
from mmedc.document import set_column

def brackets(text):
    return 1000 * sum(map(text.count, "()[]")) / max(len(text), 1)

def lengths(batch):
    return pc.utf8_length(batch.column("text"))

def breaks(text):
    raise ValueError("no number for this: https://me:{word}@a.example".format(word="pass" + "phrase"))

@dataclass(frozen=True)
class Lines:
    name: ClassVar[str] = "lines_of_text"
    version: ClassVar[int] = 1
    columns: ClassVar[tuple] = (pa.field("text_lines", pa.int32()), pa.field("first_word", pa.string()))

    def open(self):
        def transform(batch):
            texts = batch.column("text").to_pylist()
            batch = set_column(batch, "text_lines", pa.array([text.count("\\n") + 1 for text in texts], pa.int32()))
            return set_column(batch, "first_word", pa.array([text.split()[0] for text in texts]))

        return transform

@dataclass(frozen=True)
class Mark:
    word: str
    version: ClassVar[int] = 1

    @property
    def name(self):
        return f"mark_{self.word}"

    def open(self):
        return lambda batch: batch
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own, under a name of its own; return the name."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


TEXT = (
    "Type 2 diabetes is a chronic disease in which the body does not use insulin well. High blood glucose damages the "
    "vessels, kidneys and nerves over many years. Doctors usually begin with metformin, a diet and exercise. When "
    "these are not enough, an injection of insulin follows. Retinopathy, neuropathy and kidney failure are common "
    "complications, so that the physician checks blood pressure, cholesterol and the feet at every visit. Thirst, "
    "fatigue and loss of weight should lead to a blood test. An early diagnosis lowers the risk of a stroke."
)


def recipe_of(folder: Path, **keys: Any) -> Any:
    (folder / "pages").mkdir(exist_ok=True)
    for number in range(4):
        text = f"Case {number}. {TEXT} " + "The report (of the hospital) was short. " * number
        if not (path := folder / "pages" / f"{number}.txt").exists():
            path.write_text(text, encoding="utf-8")
    sets = [f"{key}={value}" for key, value in keys.items()]
    path = folder / "recipe.yaml"
    path.write_text(
        "name: own\nlanguages: [en]\nsources: {notes: {files: pages}}\ndedup: {minhash: false}\n", encoding="utf-8"
    )
    return read_recipe(str(path), sets)


def build(recipe: Any, out: Path) -> tuple[Manifest, list[dict[str, Any]]]:
    manifest = Build.prepare(recipe, str(out)).run(Inline(), Notes())
    verify(str(out))
    rows = pads.dataset(out / "data", format="parquet").to_table().to_pylist() if manifest.documents else []
    return manifest, sorted(rows, key=lambda row: str(row["locator"]))


def test_measures_and_the_columns_of_steps_reach_the_corpus(module: str, tmp_path: Path) -> None:
    measures = (
        f"[{{use: '{module}:brackets', name: brackets}}, {{use: '{module}:lengths', name: own_length, batch: true}}]"
    )
    steps = f"[{{use: '{module}:Lines', after: normalise}}]"
    manifest, rows = build(recipe_of(tmp_path, measures=measures, steps=steps), tmp_path / "out")
    assert manifest.columns == ("text_lines", "first_word", "brackets", "own_length") and len(rows) == 4
    for row in rows:
        own = 1000 * sum(map(row["text"].count, "()[]")) / len(row["text"])
        assert row["brackets"] == pytest.approx(own, rel=1e-5) and row["own_length"] == len(row["text"])
        assert (row["text_lines"], row["first_word"]) == (1, "Case")


def test_a_policy_limits_a_custom_measure(module: str, tmp_path: Path) -> None:
    measures = f"[{{use: '{module}:brackets', name: brackets}}]"
    plain, rows = build(recipe_of(tmp_path, measures=measures), tmp_path / "all")
    most = sorted(row["brackets"] for row in rows)[1]
    limit = {"policy.all.brackets.max": most}
    notes = Notes()
    recipe = recipe_of(tmp_path, measures=measures, **limit)
    manifest = Build.prepare(recipe, str(tmp_path / "all")).run(Inline(), notes)
    dropped = {row.step: row.dropped for row in manifest.funnel}["limits"]
    assert dropped == {"brackets_high": 2} and manifest.documents == 2 and plain.documents == 4
    assert notes.done["ingest"] == (1, 1)  # a limit costs no second extraction
    floor = recipe_of(tmp_path, measures=measures, **limit, **{"policy.all.brackets.ceiling": most})
    early = Build.prepare(floor, str(tmp_path / "early")).run(Inline(), Notes())
    assert {row.step: row.dropped for row in early.funnel}["brackets"] == {"brackets_high": 2}
    assert early.digest == manifest.digest


def test_a_document_that_a_measure_breaks_on_is_rejected_with_the_reason(module: str, tmp_path: Path) -> None:
    manifest, rows = build(recipe_of(tmp_path, measures=f"[{{use: '{module}:breaks', name: b}}]"), tmp_path / "out")
    assert not rows and {row.step: row.rejected_by for row in manifest.funnel}["b"] == {"error": 4}
    details = pads.dataset(tmp_path / "out/rejects/quarantine.parquet").to_table().column("detail").to_pylist()
    assert len(details) == 4 and all("no number" in each and "passphrase" not in each for each in details)


def test_what_is_wrong_with_a_custom_part_is_said_before_work_begins(module: str, tmp_path: Path) -> None:
    def prepare(**keys: Any) -> None:
        Build.prepare(recipe_of(tmp_path, **keys), str(tmp_path / "out"))

    one = f"{{use: '{module}:brackets', name: brackets}}"
    with pytest.raises(PolicyError, match=r'policy\.all\.brackets\.max: unknown measure "brackets"'):
        prepare(**{"policy.all.brackets.max": 3})
    with pytest.raises(PolicyError, match=r'unknown measure "bracket"; did you mean "brackets"'):
        prepare(measures=f"[{one}]", **{"policy.all.bracket.max": 3})
    with pytest.raises(
        RecipeError, match=rf'{module}:nothing: there is no "nothing" in .*{module}.py; known: .*brackets'
    ):
        prepare(measures=f"[{{use: '{module}:nothing', name: n}}]")
    with pytest.raises(RecipeError, match=r'column "quality" exists already'):
        prepare(measures=f"[{{use: '{module}:brackets', name: quality}}]")
    with pytest.raises(RecipeError, match=r'column "brackets" exists already'):
        prepare(measures=f"[{one}, {one}]")
    with pytest.raises(RecipeError, match=r'"normalize".*did you mean "normalise"'):
        prepare(steps=f"[{{use: '{module}:Lines', after: normalize}}]")
    with pytest.raises(RecipeError, match=rf"{module}:Mark can't be made"):
        prepare(steps=f"[{{use: '{module}:Mark', after: read, arguments: {{size: 3}}}}]")


def test_two_steps_of_one_class_are_two_steps(module: str, tmp_path: Path) -> None:
    def key(*words: str) -> str:
        steps = ", ".join(f"{{use: '{module}:Mark', after: read, arguments: {{word: {word}}}}}" for word in words)
        return Build.prepare(recipe_of(tmp_path, steps=f"[{steps}]"), str(tmp_path / "out")).ingest.key

    assert len({key(), key("a"), key("a", "b"), key("b", "a"), key("a", "c")}) == 5


def test_explain_shows_custom_columns(module: str, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, measures=f"[{{use: '{module}:brackets', name: brackets}}]")
    found = explain(recipe, str(tmp_path / "pages" / "2.txt"))
    assert {stage.step: stage.changes for stage in found.stages}["brackets"]["brackets"] > 0


def own_recipe(
    folder: Path, use: str, text: str = "def length(text):\n    return len(text)\n"
) -> subprocess.CompletedProcess[str]:
    """Run a recipe with a measure of a module beside it, from another folder."""
    folder.mkdir()
    (folder / "measure_of_mine.py").write_text(text)
    (folder / "a.txt").write_text(MEDICAL)
    recipe = {"name": "own", "languages": ["en"], "sources": {"a": {"files": "a.txt"}}}
    recipe["measures"] = [{"use": use, "name": "mine"}]
    (folder / "recipe.yaml").write_text(json.dumps(recipe, indent=1))
    command = [sys.executable, "-P", "-m", "mmedc", "run", str(folder / "recipe.yaml"), "--out", str(folder / "out")]
    return subprocess.run([*command, "--inline", "--quiet"], capture_output=True, text=True, cwd="/")


MEDICAL = (
    "Asthma is a chronic disease of the airways. Patients suffer from cough, wheezing and dyspnoea. The diagnosis "
    "needs spirometry; therapy is an inhaled corticosteroid, and severe attacks are treated in hospital. " * 3
)


def test_a_module_beside_the_recipe_is_found(tmp_path: Path) -> None:
    done = own_recipe(tmp_path / "a", "measure_of_mine:length")
    assert done.returncode == 0, done.stderr
    (batch,) = mmedc.open_corpus(tmp_path / "a" / "out").documents(columns=["text", "mine"])
    assert batch.to_pylist()[0]["mine"] == len(batch.to_pylist()[0]["text"])


MISSING = (
    'no module "measure_of_mind" beside the recipe, in .*/a, and none is installed; did you mean "measure_of_mine"'
)


@pytest.mark.parametrize(
    ("use", "text", "said"),
    [
        ("measure_of_mind:length", "", rf"recipe.yaml:\d+: .*{MISSING}"),
        (
            "measure_of_mine:lenght",
            "def length(text): ...\n",
            r'recipe.yaml:\d+: .*no "lenght" in .*did you mean "length"',
        ),
        ("measure_of_mine:length", "import nowhere\n", r"measure_of_mine.py:1: ModuleNotFoundError: .*nowhere"),
        ("measure_of_mine:length", "def length(text:\n", r"measure_of_mine.py:1: "),
        ("measure_of_mine:length", "LIMIT = 1 / 0\n", r"measure_of_mine.py:1: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_with_a_module_is_said_with_its_place(tmp_path: Path, use: str, text: str, said: str) -> None:
    done = own_recipe(tmp_path / "a", use, text)
    assert done.returncode == 2 and re.search(said, done.stderr), done.stderr
    assert "pip" not in done.stderr and "PYTHONPATH" not in done.stderr
