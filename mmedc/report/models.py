"""Fetches model files, pinned by SHA-256."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from mmedc.errors import PolicyError, RequestError, WorkError
from mmedc.models import model_cache
from mmedc.shipped import shipped
from mmedc.yamlfile import nearest, read_yaml

TIMEOUT_S = 60
MAX_BYTES = 1 << 30


def get_model(name: str) -> Path:
    """Fetch model `name` of `filters/models.yaml` into the cache and return its path; at once where it is there.

    Raises: RequestError for an unknown name; WorkError when it can't be fetched or is not the pinned file.
    """
    known = read_yaml(shipped("filters") / "models.yaml", PolicyError).data
    if name not in known:
        raise RequestError(f'no model "{name}"{nearest(name, known)}')
    one = known[name]
    if "url" not in one:
        raise RequestError(f"{name} ships with mmedc, as filters/{one['file']}: there is nothing to fetch")
    target = model_cache() / str(one["file"])
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == one["sha256"]:
        return target
    try:
        with urllib.request.urlopen(one["url"], timeout=TIMEOUT_S) as response:
            data = response.read(MAX_BYTES)
    except (urllib.error.URLError, OSError) as problem:
        raise WorkError(f"{one['url']}: can't be fetched ({problem}); put the file at {target} by hand") from None
    found = hashlib.sha256(data).hexdigest()
    if found != one["sha256"]:
        raise WorkError(f"{one['url']}: SHA-256 is {found}, expected {one['sha256']}; nothing was kept")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(data)
    part.replace(target)
    return target
