"""The documentation names everything there is: commands, keys of a recipe, measures, columns, steps."""

import re
from pathlib import Path

from pydantic import BaseModel

from mmedc.bench.config import Bench
from mmedc.cli import app
from mmedc.document import DOCUMENT, MEASURES
from mmedc.recipe import Decontaminate, Dedup, Limits, Medical, Publish, Recipe, Source
from mmedc.shipped import shipped
from mmedc.train import config

ROOT = Path(__file__).parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_command_is_in_the_readme() -> None:
    commands = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert len(commands) >= 6
    missing = [name for name in commands if f"mmedc {name}" not in read("README.md")]
    assert not missing


def test_every_key_of_a_recipe_is_documented() -> None:
    text = read("docs/recipe.md")
    parts: list[tuple[str, type[BaseModel]]] = [
        ("", Recipe), ("", Source), ("medical.", Medical),
        ("dedup.", Dedup), ("decontaminate.", Decontaminate), ("publish.", Publish), ("limits.", Limits),
    ]  # fmt: skip
    parents = {"medical", "dedup", "publish", "limits"}
    keys = [prefix + key for prefix, model in parts for key in model.model_fields if key not in parents]
    assert not [key for key in keys if f"`{key}`" not in text]


def test_every_key_of_a_training_is_documented() -> None:
    text = read("docs/training.md")
    parts: list[tuple[str, type[BaseModel]]] = [
        ("", config.Train), ("model.", config.Model), ("model.lora.", config.Lora), ("data.", config.Data),
        ("optimizer.", config.Optimizer), ("checkpoints.", config.Checkpoints), ("watch.", config.Watch),
        ("examples.", config.Examples),
    ]  # fmt: skip
    parents = {"model", "model.lora", "data", "optimizer", "checkpoints", "watch", "examples"}
    keys = {prefix + key for prefix, model in parts for key in model.model_fields} - parents
    assert not [key for key in keys if f"`{key}`" not in text]


def test_every_key_of_a_benchmark_is_documented() -> None:
    assert not [key for key in Bench.model_fields if f"`{key}`" not in read("docs/scoring.md")]


def test_every_measure_and_column_is_documented() -> None:
    assert not [name for name in MEASURES if f"`{name}`" not in read("filters/README.md")]
    columns = [name for name in DOCUMENT.names if name not in MEASURES]
    assert not [name for name in columns if f"`{name}`" not in read("docs/corpus.md")]


def test_every_shipped_recipe_and_policy_is_listed() -> None:
    for path in shipped("pipelines").glob("*.yaml"):
        assert f"`{path.name}`" in read("pipelines/README.md")
    for path in (shipped("filters") / "policies").glob("*.yaml"):
        assert f"`{path.stem}`" in read("docs/policies.md")


def test_top_level_folders_say_what_they_are_for() -> None:
    for folder in ("filters", "pipelines", "cluster", "benchmarks"):
        assert read(f"{folder}/README.md").startswith("# ")


def test_links_inside_the_documentation_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_step_of_the_documentation_works() -> None:
    code = re.search(r"```python\n(# my_steps.py.*?)```", read("docs/extending.md"), re.S)
    assert code
    import pyarrow as pa

    names: dict[str, object] = {}
    exec(code.group(1), names)
    step = names["NoForums"]()  # type: ignore[operator]
    batch = pa.RecordBatch.from_pydict(
        {"locator": ["http://a/forum/1", "http://a/x"], "dropped_by": pa.nulls(2, pa.string())}
    )
    assert step.open()(batch).column("dropped_by").to_pylist() == ["forum", None]
