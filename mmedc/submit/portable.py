"""A recipe as other machines read it: its values in full, what it needs that lies on disks, and its memory per CPU."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mmedc.bench.config import read_bench
from mmedc.errors import RecipeError, RequestError
from mmedc.recipe import Recipe
from mmedc.settings import AS_WRITTEN, resolved
from mmedc.shipped import SHIPPED, shipped
from mmedc.sources.formats import format_of
from mmedc.storage import is_local
from mmedc.train.config import Train, read_train

GIB = 1 << 30
WORKER_BYTES = GIB // 2
"""Memory of the worker process of Ray beside its parser process, which `limits.memory` bounds."""
RAY_BYTES = GIB
"""Memory of Ray itself on a node, its small object store included."""


def values_of(recipe: Recipe, out: str = "") -> dict[str, Any]:
    """Return the values of a recipe that differ from the defaults, as JSON values.

    Paths are absolute, so that they mean the same on every machine that sees the disk; files that ship with mmedc are
    named as such. `out` replaces that of the recipe. The parts of later stages are left to `parts_of`.

    Raises: RequestError for what is wrong wherever the recipe runs.
    """
    _check(recipe)
    options: Any = {"mode": "json", "exclude_defaults": True, "exclude": {"train", "bench"}}
    absolute = recipe.model_dump(**options)
    written = recipe.model_dump(**options, context=AS_WRITTEN)
    values: dict[str, Any] = _portable(absolute, written)
    return {**values, "out": str(resolved(out))} if out else values


def modules_of(recipe: Recipe) -> dict[str, Path]:
    """Return the modules of the recipe's own steps and measures that lie beside it: files, and folders of packages."""
    used = [step.target for step in recipe.steps] + [measure.use for measure in recipe.measures]
    found: dict[str, Path] = {}
    for name in sorted({target.partition(":")[0].partition(".")[0] for target in used}):
        here = Path(recipe.folder or ".")
        if (here / f"{name}.py").is_file():
            found[name] = here / f"{name}.py"
        elif (here / name / "__init__.py").is_file():
            found[name] = here / name
    return found


def _check(recipe: Recipe) -> None:
    """Check what needs none of the inputs, so that it is not found on the cluster first. Raises: RequestError."""
    for source in recipe.sources.values():
        format_of(source)
    if not recipe.steps and not recipe.measures:  # which may compute what limits are about
        recipe.read_policy()


def parts_of(recipe: Recipe, path: str, sets: list[str], then: tuple[str, ...], out: str) -> dict[str, Any]:
    """Return the values of the parts of a recipe, read from `path`, for the stages `then` after a corpus in `out`.

    Paths are as in `values_of`. Raises: RecipeError for parts that are wrong, or a training without a folder.
    """
    parts: dict[str, Any] = {}
    if "train" in then:
        train = read_train(path, below("train", sets))
        check_folder(train, out)
        parts["train"] = _dumped(reading(train, recipe.out, out))
    if "bench" in then:
        parts["bench"] = _dumped(read_bench(path, below("bench", sets)))
    return parts


def below(part: str, sets: list[str]) -> list[str]:
    """Return the settings of a part of a recipe, as its own reader takes them."""
    return [each.removeprefix(f"{part}.") for each in sets if each.startswith(f"{part}.")]


def check_folder(train: Train, out: str) -> None:
    """Check that a training on the corpus in `out` has a folder. Raises: RecipeError."""
    if not train.out and not is_local(out):
        raise RecipeError(f"the corpus is in an object store ({out}); name a folder that all nodes see in train.out")


def reading(train: Train, out: str, place: str) -> Train:
    """Return a training that reads the corpus at `place` instead of the one that the recipe names.

    Raises: RecipeError where it names several, and none of them is the recipe's own.
    """
    corpora = train.data.corpora
    if train.examples is not None:
        return train
    built = [name for name, url in corpora.items() if url in (out, place)] or (
        list(corpora) if len(corpora) == 1 else []
    )
    if not built:
        named = json.dumps(corpora)
        raise RecipeError(f"train.data.corpora: none of them is the corpus that is built, {place}; found {named}")
    data = train.data.model_copy(update={"corpora": {**corpora, built[0]: place}})
    return train.model_copy(update={"data": data})


def _dumped(part: Any) -> dict[str, Any]:
    """Return the values of a part; files that ship with mmedc are named as such."""
    root = str(shipped("pipelines"))

    def portable(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: portable(each) for key, each in value.items()}
        if isinstance(value, list):
            return [portable(each) for each in value]
        if isinstance(value, str) and value.startswith(f"{root}/"):
            return SHIPPED + value.removeprefix(f"{root}/")
        return value

    found: dict[str, Any] = portable(part.model_dump(mode="json", exclude_unset=True))
    return found


def as_yaml(values: Any) -> str:
    """Return values as YAML text, in their order."""
    stream = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 4096
    writer.dump(values, stream)
    return stream.getvalue()


def disks_of(values: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, path) of every absolute path of this machine among the values of a recipe."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from disks_of(value, f"{at}.{key}" if at else key)
    elif isinstance(values, list):
        for value in values:
            yield from disks_of(value, at)
    elif isinstance(values, str) and values.startswith("/") and is_local(values):
        yield at, values


def check_reachable(values: dict[str, Any], below: str) -> None:
    """Check that what a recipe reads and writes is in an object store, or in the folder `below` that all nodes mount.

    Raises: RequestError naming each key and path that other machines would not see.
    """
    if not values.get("out"):
        raise RequestError(
            "the recipe has no `out`, and no --out was given: other machines need a place for the corpus"
        )
    hidden = [(key, path) for key, path in disks_of(values) if not (below and f"{path}/".startswith(f"{below}/"))]
    if hidden:
        shown = "\n".join(f"  {key}: {path}" for key, path in hidden)
        where = f"is not below {below}" if below else "is on a disk of this machine"
        raise RequestError(
            f"this {where}, so that the pods would not see it; copy it to an object store (s3://…), or name a volume "
            f"that is mounted there: --volume CLAIM:/PATH\n{shown}"
        )


def node_bytes(recipe: Recipe, cpus: int) -> int:
    """Return the memory that a node needs to run `cpus` units at once, in whole GiB."""
    needed = cpus * (recipe.limits.memory + WORKER_BYTES) + RAY_BYTES
    return -(-needed // GIB) * GIB


def _portable(absolute: Any, written: Any) -> Any:
    if isinstance(absolute, dict):
        return {key: _portable(value, written[key]) for key, value in absolute.items()}
    if isinstance(absolute, list):
        return [_portable(value, other) for value, other in zip(absolute, written, strict=True)]
    return written if isinstance(written, str) and written.startswith(SHIPPED) else absolute
