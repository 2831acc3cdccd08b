"""Model files that `models.yaml` pins by SHA-256: where they lie on this machine, and how they are fetched."""

import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mmedc.errors import ModelMissing, PolicyError, RequestError, WorkError
from mmedc.settings import Part, checked
from mmedc.yamlfile import read_yaml

TIMEOUT_S = 60
MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Model:
    """A model file that was found; unless the user named it, it is the pinned one."""

    path: str
    sha256: str
    languages: tuple[str, ...]
    """The languages that it knows; empty: any."""

    def identity(self) -> list[object]:
        """Return its hash and languages: the same bytes are the same model, wherever they are."""
        return [self.sha256, *self.languages]


class PinnedModel(Part):
    """An entry of `models.yaml`."""

    use: str
    """What it is for, in a phrase."""
    file: str
    """Its place below the folder of `models.yaml`, and below the cache."""
    sha256: str
    """Of its bytes, in hexadecimal."""
    licence: str = "unknown"
    """SPDX identifier."""
    languages: tuple[str, ...] = ()
    """The languages that it knows; empty: any."""
    distribution: str | None = None
    """An installed Python distribution that carries the file."""
    url: str | None = None
    """Where `mmedc models get` fetches it."""


def read_pins(folder: Path) -> dict[str, PinnedModel]:
    """Return the entries of `models.yaml` in `folder`, by name; none without that file.

    Raises: PolicyError with file and line.
    """
    file = folder / "models.yaml"
    if not file.is_file():
        return {}
    yaml = read_yaml(file, PolicyError)
    if not isinstance(yaml.data or {}, dict):
        raise PolicyError(f"{file}: expected a mapping of names to models")
    return {name: checked(PinnedModel, yaml.part(name), PolicyError) for name in yaml.data or {}}


def model_cache() -> Path:
    """Return the folder of models that were fetched on this machine."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mmedc" / "models"


def given_model(name: str, path: str, pin: PinnedModel | None = None) -> Model:
    """Return the model file `path` that a user named; `pin` is the one that it replaces.

    Raises: ModelMissing when it is not there, saying how to get another.
    """
    file = Path(path)
    if not file.is_file():
        get = f" and run `mmedc models get {name}`" if pin and pin.url else ""
        get = f"; to use {pin.file} instead, leave models.{name} out{get}" if pin else ""
        raise ModelMissing(f"models.{name}: {path}: no such file{get}")
    return Model(path, hashlib.sha256(file.read_bytes()).hexdigest(), ())


def pinned_model(name: str, pin: PinnedModel, folder: Path) -> Model:
    """Return the model of an entry: beside `models.yaml` in `folder`, in the cache, or in its distribution.

    A distribution is searched by its list of files, without importing it. The SHA-256 is checked before
    anything loads the file: a damaged fastText model can make its loader spin for ever.

    Raises: ModelMissing, saying how to get it; PolicyError for a file that is not the pinned one.
    """
    places = [folder / pin.file, model_cache() / pin.file, *_in_distribution(pin)]
    for place in places:
        if place.is_file():
            found = hashlib.sha256(place.read_bytes()).hexdigest()
            if found != pin.sha256:
                raise PolicyError(f"{place}: SHA-256 is {found}, expected {pin.sha256}; get it again")
            return Model(str(place), found, pin.languages)
    raise ModelMissing(
        f"the model {pin.file} ({pin.use}) is not at {', '.join(map(str, places))}; "
        f"name a file in the recipe (`models: {{{name}: PATH}}`){_how_to_get(name, pin)}"
    )


def _how_to_get(name: str, pin: PinnedModel) -> str:
    return f", or fetch it by `mmedc models get {name}`" if pin.url else ""


def _in_distribution(pin: PinnedModel) -> list[Path]:
    if pin.distribution is None:
        return []
    try:
        files = metadata.distribution(pin.distribution).files or []
    except metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files if file.name == pin.file]


def fetch(name: str, pin: PinnedModel) -> Path:
    """Fetch the model of an entry into the cache and return its path; at once when it is there already.

    Raises: RequestError for one that ships with its `models.yaml`; WorkError when it can't be fetched, or when what
    came is not the pinned file.
    """
    if pin.url is None:
        raise RequestError(f"{name}: the file {pin.file} lies beside models.yaml; there is nothing to fetch")
    target = model_cache() / pin.file
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == pin.sha256:
        return target
    try:
        with urllib.request.urlopen(pin.url, timeout=TIMEOUT_S) as response:
            data = response.read(MAX_BYTES)
    except (urllib.error.URLError, OSError) as problem:
        raise WorkError(f"{pin.url}: can't be fetched ({problem}); put the file at {target} by hand") from None
    found = hashlib.sha256(data).hexdigest()
    if found != pin.sha256:
        raise WorkError(f"{pin.url}: SHA-256 is {found}, expected {pin.sha256}; nothing was kept")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(data)
    part.replace(target)
    return target
