"""Blocking of documents by their address: hosts on lists, and words in host names.

A list is a text file with one host per line, like the blacklists of the University of Toulouse (UT1);
a host stands for its subdomains too. Lists are held as sorted 64-bit hashes, 8 bytes per host, so that
millions of hosts fit in memory; with a list of ten million, a host that is not listed has the hash of a listed
one with a probability of about 10^-12.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.engine.identity import Json, fields_of
from mmedc.errors import PolicyError

U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Block:
    """Drops documents of blocked hosts. Dropped: `blocked_host`, `blocked_word`."""

    words: tuple[str, ...]
    """Parts of a host name, between dots, hyphens and digits: `casino` blocks casino-24.example."""
    lists: tuple[str, ...] = ()
    """The paths of the lists of hosts."""
    name: ClassVar[str] = "block"
    version: ClassVar[int] = 1

    def identity(self) -> Json:
        """Return the words, and the hashes of the lists. Raises: PolicyError for a list that can't be read."""
        lists = [hashlib.sha256(read_hosts(path).tobytes()).hexdigest() for path in self.lists]
        return [fields_of(self, "lists"), lists]

    def open(self) -> Transform:
        """Return the transform; reads the lists."""
        reason = blocker(self.words, self.lists)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            reasons = [reason(locator) for locator in batch.column("locator").to_pylist()]
            return set_column(batch, "dropped_by", pa.array(reasons, pa.string()))

        return transform


def blocker(words: tuple[str, ...], lists: tuple[str, ...]) -> Any:
    """Return a function from a locator to the reason why it is blocked, or None. Raises: PolicyError."""
    hosts = np.unique(np.concatenate([np.zeros(0, np.uint64), *(read_hosts(path) for path in lists)]))
    banned = set(words)

    def reason(locator: str) -> str | None:
        host = host_of(locator)
        if not host:
            return None
        if banned and not banned.isdisjoint(re.split(r"[.\-_0-9]+", host)):
            return "blocked_word"
        if len(hosts):
            labels = host.split(".")
            wanted = np.array([_hash(".".join(labels[at:])) for at in range(len(labels))], np.uint64)
            at = np.minimum(np.searchsorted(hosts, wanted), len(hosts) - 1)
            if (hosts[at] == wanted).any():
                return "blocked_host"
        return None

    return reason


def read_hosts(path: str) -> U64:
    """Return the hashes of the hosts in a list; `#` begins a comment. Raises: PolicyError when it can't be read."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as lines:
            names = (line.partition("#")[0].strip().lower() for line in lines)
            return np.array([_hash(name) for name in names if name], np.uint64)
    except OSError as problem:
        raise PolicyError(f"{path}: the list of blocked hosts can't be read ({problem.strerror})") from None


def host_of(locator: str) -> str:
    """Return the host of a URL in lower case, or an empty string for a locator that is not a URL."""
    try:
        return urlsplit(locator).hostname or ""
    except ValueError:
        return ""


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
