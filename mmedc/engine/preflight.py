"""Whether the nodes of a cluster see what the driver sees: the inputs, and the output folder on the same storage.

Every node reads a few of the inputs, whose sizes and bytes must be those that the driver found, reads a file that the
driver wrote to the output folder, and writes one there that the driver reads. On a node that does not share the disks,
paths lead to nothing or, worse, to other files, and its results would stay on it.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from mmedc import __version__
from mmedc.errors import MmedcError, RequestError
from mmedc.redact import first_line
from mmedc.storage import Store, is_local, open_random

FOLDER = ".work/nodes"
END_BYTES = 64 << 10  # of a file at either end that are compared
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
class Sight:
    """What a node sees."""

    version: str
    """The version of mmedc."""
    troubles: tuple[str, ...]
    """What it does not see as the driver does."""


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


def look(store: Store, nonce: str, probes: tuple[Probe, ...], number: int) -> Sight:
    """Return what this node sees, and leave a file in the output folder for the driver."""
    troubles = []
    try:
        if store.get(f"{FOLDER}/{nonce}") != nonce.encode():
            troubles.append(f"{store.url} holds other files there")
        else:
            store.put(f"{FOLDER}/{nonce}-{number}", f"{nonce} {number}".encode())
    except FileNotFoundError:
        troubles.append(f"--out {store.url} is not the same folder there; {SHARE}")
    except MmedcError as problem:
        troubles.append(f"--out {problem}")
    for probe in probes:
        try:
            if digest_of_ends(probe.url) != probe.digest:
                troubles.append(f"{probe.what}: {probe.url} is another file there; {SHARE}")
        except OSError as problem:
            troubles.append(f"{probe.what}: {probe.url} can't be read there ({first_line(problem)}); {SHARE}")
    return Sight(__version__, tuple(troubles))


def check_nodes(on_each_node: OnEachNode, store: Store, probes: tuple[Probe, ...]) -> None:
    """Check that all nodes see what the driver sees. Raises: RequestError naming node, path and remedy."""
    nonce = secrets.token_hex(8)
    store.put(f"{FOLDER}/{nonce}", nonce.encode())
    try:
        troubles = []
        for number, (node, sight) in enumerate(on_each_node(partial(look, store, nonce, probes))):
            troubles += [f"{node}: {trouble}" for trouble in _troubles(store, nonce, number, sight)]
    finally:
        for name in store.names(FOLDER):
            if nonce in name:
                store.delete(name)
    if troubles:
        shown = "\n".join(f"  {trouble}" for trouble in troubles[:20])
        more = f"\n  … and {len(troubles) - 20} more" if len(troubles) > 20 else ""
        raise RequestError(f"not all nodes of the cluster see what this machine sees; nothing was run\n{shown}{more}")


def _troubles(store: Store, nonce: str, number: int, sight: Any) -> Iterable[str]:
    if isinstance(sight, BaseException):
        yield f"mmedc can't run there ({first_line(sight)}); install the same version on every node"
        return
    if sight.version != __version__:
        yield f"mmedc {sight.version} is installed there, {__version__} here; install the same version on every node"
    yield from sight.troubles
    if not sight.troubles:
        try:
            seen = store.get(f"{FOLDER}/{nonce}-{number}")
        except FileNotFoundError:
            seen = b""
        if seen != f"{nonce} {number}".encode():
            where = "is a disk of its own there" if is_local(store.url) else "is other storage there"
            yield f"--out {store.url} {where}: what the node writes does not arrive here; {SHARE}"
