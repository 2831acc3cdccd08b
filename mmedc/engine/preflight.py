"""Whether the nodes of a cluster see what the driver sees: the inputs, and the output folder on the same storage.

Every node reads a few of the inputs, whose sizes and bytes must be those that the driver found, reads a file that the
driver wrote to the output folder, and writes one there that the driver reads. On a node that does not share the disks,
paths lead to nothing or, worse, to other files, and its results would stay on it.
"""

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mmedc import __version__
from mmedc.errors import MmedcError, RequestError
from mmedc.redact import first_line
from mmedc.storage import Store, is_local, open_random

FOLDER = ".work/nodes"
END_BYTES = 64 << 10  # of a file at either end that are compared
OUT, VERSION = "--out", "version"  # what troubles are about, besides probes
SHARE = "put it where every node sees it under the same path (a shared disk), or use s3://"


@dataclass(frozen=True)
class Probe:
    """A file that every node must see as the driver does."""

    what: str
    """What it is for, such as `source pages`."""
    url: str
    digest: str
    """Of its size and its ends."""


@dataclass(frozen=True)
class Trouble:
    """Something that a node does not see as the driver does."""

    what: str
    """What it is for: that of a probe, or `--out`."""
    text: str


@dataclass(frozen=True)
class Machine:
    """What a node is like."""

    python: str
    ray: str
    token: bool
    """Whether its Ray asks for a token."""
    clock: float
    """Seconds since 1970, by its clock."""
    memory: int
    """Bytes, within the limit of its container."""
    disk: int
    """Bytes that are free for temporary files."""
    files: int
    """The number of files that a process may have open."""


@dataclass(frozen=True)
class Sight:
    """What a node sees."""

    version: str
    """The version of mmedc."""
    machine: Machine
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True)
class Seen:
    """What came of asking a node."""

    node: str
    sight: Sight | None
    """None where mmedc could not run there."""
    troubles: tuple[Trouble, ...]
    """Those that only the driver can tell included."""
    clock_s: float = 0.0
    """Seconds by which its clock is at least off that of the driver."""


@runtime_checkable
class Spread(Protocol):
    """A runner whose units may run on other nodes."""

    def guard(self, check: Callable[["OnEachNode"], None]) -> None:
        """Have `check` called before the first unit runs."""


class OnEachNode(Protocol):
    """Calls a function on every node that runs units."""

    def __call__(self, function: Callable[[int], Any]) -> list[tuple[str, Any]]:
        """Return the name of each node, with what the function returned there or the exception that it raised.

        The function is given the number of the node, from 0 on in the order of the result.
        """


def probes_of(files: Iterable[tuple[str, str]]) -> tuple[Probe, ...]:
    """Return the probes of files, given as (what it is for, URL), without those that the driver cannot read itself."""
    found = []
    for what, url in files:
        try:
            found.append(Probe(what, url, digest_of_ends(url)))
        except OSError:
            continue  # the unit that reads it fails, and says why
    return tuple(found)


def digest_of_ends(url: str) -> str:
    """Return a digest of the size, the first and the last bytes of a file. Raises: OSError."""
    with open_random(url) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        digest = hashlib.sha256(str(size).encode() + file.read(END_BYTES))
        file.seek(max(size - END_BYTES, 0))
        digest.update(file.read(END_BYTES))
    return digest.hexdigest()


def needed() -> tuple[str, ...]:
    """Return the modules that mmedc always needs, of those that this machine has."""
    found: list[str] = []
    with contextlib.suppress(metadata.PackageNotFoundError):
        for line in metadata.requires("mmedc") or ():
            if "extra ==" not in line and (name := re.match(r"[\w.-]+", line)):
                listed = metadata.distribution(name[0]).read_text("top_level.txt")
                found += (listed or name[0].replace("-", "_")).split()
    return tuple(module for module in found if _is_there(module))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def look(store: Store, nonce: str, probes: tuple[Probe, ...], modules: tuple[str, ...], number: int) -> Sight:
    """Return what this node sees, and leave a file in the output folder for the driver."""
    troubles = []
    if lacking := [module for module in modules if not _is_there(module)]:
        found = f"{', '.join(lacking)} can't be imported there; install mmedc, with all that it needs, on every node"
        troubles.append(Trouble(VERSION, found))
    try:
        if store.get(f"{FOLDER}/{nonce}") != nonce.encode():
            troubles.append(Trouble(OUT, f"{store.url} holds other files there"))
        else:
            store.put(f"{FOLDER}/{nonce}-{number}", f"{nonce} {number}".encode())
    except FileNotFoundError:
        troubles.append(Trouble(OUT, f"--out {store.url} is not the same folder there; {SHARE}"))
    except MmedcError as problem:
        troubles.append(Trouble(OUT, f"--out {problem}"))
    for probe in probes:
        try:
            if digest_of_ends(probe.url) != probe.digest:
                found = f"{probe.what}: {probe.url} is another file there; {SHARE}"
                troubles.append(Trouble(probe.what, found))
        except OSError as problem:
            found = f"{probe.what}: {probe.url} can't be read there ({first_line(problem)}); {SHARE}"
            troubles.append(Trouble(probe.what, found))
    return Sight(__version__, this_machine(), tuple(troubles))


def this_machine() -> Machine:
    """Return what this machine is like."""
    import resource

    import psutil

    return Machine(
        platform.python_version(),
        metadata.version("ray"),
        os.environ.get("RAY_AUTH_MODE", "").lower() == "token",
        time.time(),
        min([psutil.virtual_memory().total, *_limits_of_the_container()]),
        shutil.disk_usage(tempfile.gettempdir()).free,
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )


def _limits_of_the_container() -> Iterable[int]:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            yield int(text)


def examine(on_each_node: OnEachNode, store: Store, probes: tuple[Probe, ...]) -> list[Seen]:
    """Return what each node sees of the inputs and of the output folder, and what it is like."""
    nonce = secrets.token_hex(8)
    store.put(f"{FOLDER}/{nonce}", nonce.encode())
    try:
        begun = time.time()
        answers = on_each_node(partial(look, store, nonce, probes, needed()))
        ended = time.time()
        return [_seen(store, nonce, number, node, sight, begun, ended) for number, (node, sight) in enumerate(answers)]
    finally:
        for name in store.names(FOLDER):
            if nonce in name:
                store.delete(name)


def check_nodes(on_each_node: OnEachNode, store: Store, probes: tuple[Probe, ...]) -> None:
    """Check that all nodes see what the driver sees. Raises: RequestError naming node, path and remedy."""
    found = examine(on_each_node, store, probes)
    troubles = [f"{each.node}: {trouble.text}" for each in found for trouble in each.troubles]
    if troubles:
        shown = "\n".join(f"  {trouble}" for trouble in troubles[:20])
        more = f"\n  … and {len(troubles) - 20} more" if len(troubles) > 20 else ""
        raise RequestError(f"not all nodes of the cluster see what this machine sees; nothing was run\n{shown}{more}")


def _seen(store: Store, nonce: str, number: int, node: str, sight: Any, begun: float, ended: float) -> Seen:
    if isinstance(sight, BaseException):
        found = f"mmedc can't run there ({first_line(sight)}); install the same version on every node"
        return Seen(node, None, (Trouble(VERSION, found),))
    troubles = list(sight.troubles)
    if sight.version != __version__:
        found = f"mmedc {sight.version} is installed there, {__version__} here; install the same version on every node"
        troubles.insert(0, Trouble(VERSION, found))
    if not any(trouble.what == OUT for trouble in troubles):
        try:
            seen = store.get(f"{FOLDER}/{nonce}-{number}")
        except FileNotFoundError:
            seen = b""
        if seen != f"{nonce} {number}".encode():
            where = "is a disk of its own there" if is_local(store.url) else "is other storage there"
            found = f"--out {store.url} {where}: what the node writes does not arrive here; {SHARE}"
            troubles.append(Trouble(OUT, found))
    off = max(begun - sight.machine.clock, sight.machine.clock - ended, 0.0)
    return Seen(node, sight, tuple(troubles), off)
