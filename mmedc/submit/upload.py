"""What a job takes along: the recipe as other machines read it, small files that it names, and the package if asked.

Nothing else of this machine is uploaded, least of all the working folder.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mmedc
from mmedc.errors import RecipeError
from mmedc.recipe import Recipe
from mmedc.shipped import shipped
from mmedc.storage import is_local
from mmedc.submit.portable import as_yaml, modules_of, parts_of, values_of

ASSET_BYTES, ASSETS_BYTES = 16 << 20, 64 << 20
"""Of one asset, and of all: larger files belong where all nodes see them."""
ASSETS = (
    ("filters",),
    ("block",),
    ("medical", "policy"),
    ("decontaminate", "questions"),
    ("publish", "tokenizer"),
    ("models",),
    ("train", "data", "tokenizer"),
    ("train", "examples", "path"),
    ("train", "watch", "questions"),
    ("bench", "items"),
    ("bench", "examples"),
)
"""The keys whose files go along where they are small; what sources read and what runs write does not."""


def write_upload(folder: Path, recipe: Recipe, path: str, out: str, sets: list[str], then: tuple[str, ...]) -> str:
    """Write what a job needs to `folder`: `recipe.yaml`, and `assets/`; return the digest of it all.

    Raises: RecipeError for parts that are wrong, or assets that are too large together.
    """
    values = {**values_of(recipe, out), **parts_of(recipe, path, sets, then, out)}
    left = ASSETS_BYTES
    for keys in ASSETS:
        values, left = _with_assets(values, keys, folder, left)
    _copy_modules(recipe, folder)
    (folder / "recipe.yaml").write_text(as_yaml(values), encoding="utf-8")
    return _digest(folder)


def _with_assets(values: Any, keys: tuple[str, ...], folder: Path, left: int) -> tuple[Any, int]:
    """Return `values` with the files at `keys` copied to `folder`, and the bytes that may still be copied."""
    if keys:
        if isinstance(values, dict) and keys[0] in values:
            inner, left = _with_assets(values[keys[0]], keys[1:], folder, left)
            values = {**values, keys[0]: inner}
        return values, left
    if isinstance(values, dict):
        pairs = {}
        for key, value in values.items():
            pairs[key], left = _with_assets(value, (), folder, left)
        return pairs, left
    if isinstance(values, list):
        found = []
        for value in values:
            copied, left = _with_assets(value, (), folder, left)
            found.append(copied)
        return found, left
    if not (isinstance(values, str) and values.startswith("/") and is_local(values) and os.path.exists(values)):
        return values, left
    size = sum(path.stat().st_size for path in _files(Path(values)))
    if size > ASSET_BYTES:
        return values, left
    if size > left:
        raise RecipeError(
            f"{values}: the small files of the recipe exceed {ASSETS_BYTES >> 20} MiB; put it where all nodes see it"
        )
    name = hashlib.sha256(values.encode()).hexdigest()[:8]
    to = folder / "assets" / name / os.path.basename(values)
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if os.path.isdir(values) else shutil.copyfile)(values, to)
    return str(to.relative_to(folder)), left - size


def _files(path: Path) -> Iterator[Path]:
    return (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else iter([path])


def _copy_modules(recipe: Recipe, folder: Path) -> None:
    """Copy the modules of custom steps and measures that lie beside the recipe."""
    for name, path in modules_of(recipe).items():
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(path, folder / path.name)


def write_package(folder: Path) -> Path:
    """Write the package as an unpacked wheel below `folder`: its modules, and the data that ships; return its path.

    A wheel itself would be installed by pip with all that it depends on, on every node.
    """
    to = folder / "mmedc"
    ignored: Callable[[str, list[str]], set[str]] = shutil.ignore_patterns("__pycache__", "_shipped")
    shutil.copytree(Path(mmedc.__file__).parent, to, ignore=ignored)
    for name in ("filters", "pipelines", "cluster"):
        shutil.copytree(shipped(name), to / "_shipped" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(_files(folder)):
        found.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]
