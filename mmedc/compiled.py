"""Tables of lexicons and policies that this machine has compiled before: seconds to build, moments to read.

They are kept in `mmedc/compiled` of the user's cache folder (`XDG_CACHE_HOME`, by default `~/.cache`). The environment
variable `MMEDC_CACHE` names another folder, or is `off`. A table is JSON, named by the SHA-256 of all that it was made
from: the files, and the code that compiles them. So a table is never out of date, and results do not depend on whether
there is one. A file that is damaged, or that another user could have written, is not read.
"""

import functools
import hashlib
import json
import os
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

CACHE = "MMEDC_CACHE"
"""The environment variable that names the folder of the tables, or is `off`."""
MOST_BYTES = 512 << 20
"""The size of the folder beyond which the tables that were not used for the longest time are removed."""


def compiled(kind: str, code: Iterable[str], made_from: Iterable[bytes], compile_: Callable[[], Any]) -> Any:
    """Return what `compile_` returns, a JSON value, from the folder of tables if it is there.

    `made_from` is all that it depends on, and `code` the names of the imported modules that compile it. `kind` is the
    beginning of the name of its file. Anything that goes wrong with the folder only costs time.
    """
    folder = folder_of_tables()
    if folder is None:
        return compile_()
    file = folder / f"{kind}-{_digest(tuple(code), made_from)}.json"
    found = _read(file)
    if found is None:
        found = compile_()
        _write(file, found)
    return found


def folder_of_tables() -> Path | None:
    """Return the folder of the tables, which need not exist; None where none are kept."""
    named = os.environ.get(CACHE)
    if named == "off":
        return None
    if named:
        return Path(named)
    with suppress(RuntimeError):  # no home
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmedc" / "compiled"
    return None


def _digest(code: tuple[str, ...], made_from: Iterable[bytes]) -> str:
    parts = [hashlib.sha256(part).digest() for part in made_from]
    return hashlib.sha256(b"".join([_digest_of_code(code), *parts])).hexdigest()[:32]


@functools.cache
def _digest_of_code(modules: tuple[str, ...]) -> bytes:
    """Return the SHA-256 of the files of modules, and of the versions of Python and Unicode."""
    total = hashlib.sha256(f"{sys.version} {unicodedata.unidata_version}".encode())
    for name in (__name__, *modules):
        total.update(hashlib.sha256(Path(str(sys.modules[name].__file__)).read_bytes()).digest())
    return total.digest()


def _read(file: Path) -> Any:
    """Return a table; None where there is none that can be trusted."""
    try:
        if not _is_ours(os.stat(file.parent)):
            return None
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb") as opened:
            state = os.fstat(opened.fileno())
            if not (stat.S_ISREG(state.st_mode) and _is_ours(state)):
                return None
            digest, _, content = opened.read().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != digest:
            return None
        with suppress(OSError):
            os.utime(file)
        return json.loads(content)
    except (OSError, ValueError):
        return None


def _is_ours(state: os.stat_result) -> bool:
    """Return whether only this user can write what has the state."""
    return state.st_uid == os.geteuid() and not state.st_mode & 0o022


def _write(file: Path, table: Any) -> None:
    content = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_ours(os.stat(file.parent)):
            return
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".")
        try:
            with open(handle, "wb") as out:
                out.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            os.replace(name, file)
        except OSError:
            os.unlink(name)
            raise
        _trim(file.parent)


def _trim(folder: Path) -> None:
    """Remove the files that were not used for the longest time while all together are too large."""
    files = sorted(((entry.stat(), entry.path) for entry in os.scandir(folder)), key=lambda one: -one[0].st_mtime)
    size = 0
    for state, path in files:
        size += state.st_size
        if size > MOST_BYTES:
            os.unlink(path)
