"""Where model files lie, and whether they are the right ones: `models.yaml` pins each by SHA-256."""

import hashlib
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from mmedc.errors import ModelMissing, PolicyError
from mmedc.policy import filter_folders
from mmedc.yamlfile import nearest, read_yaml


@dataclass(frozen=True)
class Model:
    """A model file that was found and is the pinned one."""

    path: str
    sha256: str
    languages: tuple[str, ...]
    """The languages that it knows; none named: any."""


def find_model(name: str, given: str | None = None, overlay: str | None = None) -> Path:
    """Return the file of model `name`; see `read_model`."""
    return Path(read_model(name, given, overlay).path)


def read_model(name: str, given: str | None = None, overlay: str | None = None) -> Model:
    """Return model `name`: the file `given`, or the one that `models.yaml` (of `overlay` first) names.

    It may lie beside `models.yaml`, in the cache of this machine, or inside an installed distribution,
    found by that distribution's file list without importing it. Its SHA-256 is checked before
    anything loads it: a damaged fastText model can make its loader spin for ever.

    Raises: ModelMissing, saying how to get it; PolicyError for a file that is not the pinned one.
    """
    folder, known = _entry(name, overlay)
    places = [Path(given)] if given else [folder / known["file"], model_cache() / known["file"]]
    if not given and "distribution" in known:
        try:
            files = metadata.distribution(known["distribution"]).files or []
        except metadata.PackageNotFoundError:
            files = []
        places += [Path(str(file.locate())) for file in files if file.name == known["file"]]
    for place in places:
        if place.is_file():
            found = hashlib.sha256(place.read_bytes()).hexdigest()
            if not given and found != known["sha256"]:
                raise PolicyError(f"{place}: SHA-256 is {found}, expected {known['sha256']}; get it again")
            return Model(str(place), found, () if given else tuple(known.get("languages", ())))
    get = f"get it with `mmedc models get {name}`, or " if "url" in known else ""
    raise ModelMissing(
        f"the model {known['file']} ({known['use']}) is not at {', '.join(map(str, places))}; "
        f"{get}name a file in the recipe: `models: {{{name}: PATH}}`"
    )


def known_models(overlay: str | None = None) -> set[str]:
    """Return the names of the models that some `models.yaml` pins."""
    return {name for folder in filter_folders(overlay) for name in _read(folder)}


def model_cache() -> Path:
    """Return the folder for models that were fetched on this machine."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mmedc" / "models"


def _entry(name: str, overlay: str | None) -> tuple[Path, dict[str, Any]]:
    for folder in filter_folders(overlay):
        known = _read(folder)
        if name in known:
            return folder, known[name]
    names = known_models(overlay)
    raise ModelMissing(f'no model "{name}" in {", ".join(map(str, filter_folders(overlay)))}{nearest(name, names)}')


def _read(folder: Path) -> dict[str, Any]:
    file = folder / "models.yaml"
    if not file.is_file():
        return {}
    yaml = read_yaml(file, PolicyError)
    for name, one in (yaml.data or {}).items():
        missing = {"file", "sha256", "use"} - set(one if isinstance(one, dict) else ())
        if missing:
            raise PolicyError(f"{yaml.where((name,))}: {name} lacks {', '.join(sorted(missing))}")
    return dict(yaml.data or {})
