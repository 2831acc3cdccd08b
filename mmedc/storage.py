"""Local disks and object stores, as one thin layer.

Data is read through pyarrow file systems (column projection, range reads); everything is written
through obstore, whose create-only put makes a commit atomic on a local disk and on S3 alike.
A URL is a local path, `s3://bucket/prefix` or, to read from, `hf://datasets/owner/name/…`.
Credentials come from the environment or the profile of the machine only.
"""

import contextlib
import functools
import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow.fs as pafs

from mmedc.errors import RequestError

PART_BYTES = 16 << 20  # of a multipart upload
AHEAD_BYTES = 4 << 20  # fetched from a remote input while the part before is worked on


@dataclass(frozen=True)
class Input:
    """A file that a source reads."""

    url: str
    name: str
    """Its path below the part of the pattern that holds no wildcard: the same on every machine."""
    bytes: int
    version: str
    """Changes when the file does: its time of change in ns, or its etag."""


@dataclass(frozen=True)
class Store:
    """A folder on a disk or an object store, by URL; cheap to pickle, opened where it is used."""

    url: str

    def get(self, name: str) -> bytes:
        """Return the content of `name`. Raises: FileNotFoundError."""
        return bytes(self._there.get(name).bytes())

    def put(self, name: str, data: Any) -> None:
        """Write `name` whole or not at all, replacing what was there; durable when it returns."""
        self._make()
        self._store.put(name, memoryview(data).cast("B"), chunk_size=PART_BYTES)
        self._sync(name)

    def put_new(self, name: str, data: bytes) -> bool:
        """Write `name` unless it exists; return False, changing nothing, when it does."""
        from obstore.exceptions import AlreadyExistsError

        self._make()
        try:
            self._store.put(name, data, mode="create")
        except AlreadyExistsError:
            return False
        self._sync(name)
        return True

    def exists(self, name: str) -> bool:
        """Tell whether `name` is there."""
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        """Return the bytes of `name`. Raises: FileNotFoundError."""
        return int(self._there.head(name)["size"])

    def names(self, prefix: str = "") -> list[str]:
        """Return the sorted names below the folder `prefix`."""
        if is_local(self.url) and not os.path.isdir(os.path.join(self.url, prefix)):
            return []
        found = [str(meta["path"]) for page in self._store.list(prefix or None) for meta in page]
        return sorted(found)

    def delete(self, name: str) -> None:
        """Remove `name`, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._there.delete(name)

    def open_input(self, name: str) -> Any:
        """Open `name` as a pyarrow random-access file."""
        system, path = file_system(self.url)
        return system.open_input_file(f"{path}/{name}")

    def below(self, folder: str) -> "Store":
        """Return the store of a sub-folder."""
        return Store(f"{self.url.rstrip('/')}/{folder}")

    @property
    def _store(self) -> Any:
        return _object_store(self.url)

    @property
    def _there(self) -> Any:
        """The store, when its folder exists. Raises: FileNotFoundError; reading makes no folder."""
        if is_local(self.url) and not os.path.isdir(self.url):
            raise FileNotFoundError(self.url)
        return self._store

    def _make(self) -> None:
        if is_local(self.url):
            os.makedirs(self.url, exist_ok=True)

    def _sync(self, name: str) -> None:
        """Force a local file and its folder's entry to disk, so that a commit never outlives its data."""
        if is_local(self.url):
            path = os.path.join(self.url, name)
            for place in (path, os.path.dirname(path)):
                handle = os.open(place, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)


def is_local(url: str) -> bool:
    """Tell whether `url` is a path of this machine."""
    return "://" not in url


@functools.lru_cache(maxsize=64)
def _object_store(url: str) -> Any:
    from obstore.store import LocalStore, from_url

    if is_local(url):
        return LocalStore(os.path.abspath(url))
    options: Any = {}
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["client_options"] = {"allow_http": True}
    return from_url(url, **options)


def file_system(url: str) -> tuple[pafs.FileSystem, str]:
    """Return the pyarrow file system of `url`, and the path there.

    Raises: RequestError for an unknown scheme, or where `hf://` lacks its package.
    """
    scheme, separator, path = url.partition("://")
    if not separator:
        return pafs.LocalFileSystem(), os.path.abspath(url)
    if scheme == "s3":
        return _s3(os.environ.get("AWS_ENDPOINT_URL", "")), path
    if scheme == "hf":
        try:
            from huggingface_hub import HfFileSystem
        except ImportError:
            raise RequestError(f"{url}: reading hf:// needs `pip install 'mmedc[hf]'`") from None
        return pafs.PyFileSystem(pafs.FSSpecHandler(HfFileSystem())), path
    raise RequestError(f"{url}: unknown scheme {scheme}://; known: a local path, s3://, hf://")


@functools.lru_cache(maxsize=4)
def _s3(endpoint: str) -> pafs.FileSystem:
    options: dict[str, Any] = {"retry_strategy": pafs.AwsStandardS3RetryStrategy(max_attempts=6)}
    if endpoint:
        options["scheme"], _, options["endpoint_override"] = endpoint.partition("://")
    return pafs.S3FileSystem(**options)


def open_binary(url: str, offset: int = 0) -> IO[bytes]:
    """Open a file to read from byte `offset` on: a local file, or a remote stream that reads ahead."""
    if is_local(url):
        local = Path(url).open("rb")  # noqa: SIM115 (the caller's)
        local.seek(offset)
        return local
    system, path = file_system(url)
    file = system.open_input_file(path)
    return io.BufferedReader(_ReadAhead(file.get_stream(offset, max(file.size() - offset, 0))), AHEAD_BYTES)


class _ReadAhead(io.RawIOBase):
    """Fetches the next part of a remote stream while the one before it is worked on."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._thread = stream, ThreadPoolExecutor(1)
        self._part, self._at = memoryview(b""), 0
        self._next = self._thread.submit(stream.read, AHEAD_BYTES)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if not self._part:
            self._part = memoryview(self._next.result())
            if self._part:
                self._next = self._thread.submit(self._stream.read, AHEAD_BYTES)
        size = min(len(self._part), len(buffer))
        buffer[:size] = self._part[:size]
        self._part, self._at = self._part[size:], self._at + size
        return size

    def close(self) -> None:
        if not self.closed:
            self._thread.shutdown(cancel_futures=True)
            self._stream.close()
        super().close()


def list_inputs(pattern: str, suffixes: tuple[str, ...]) -> list[Input]:
    """Return the files of `pattern`, sorted by name: a file, a folder (its files with `suffixes`) or a glob.

    In a glob `*` and `?` stay inside a folder and `**` crosses folders.
    A pattern that matches nothing gives an empty list; whether that is an error is the caller's to say.
    """
    system, path = file_system(pattern)
    if any(char in path for char in "*?["):
        parts = path.split("/")
        wild = next(i for i, part in enumerate(parts) if any(char in part for char in "*?["))
        base, matches = "/".join(parts[:wild]), re.compile(_translate(path)).fullmatch
        deep = "**" in path or len(parts) - wild > 1
    else:
        info = system.get_file_info(path)
        if info.type == pafs.FileType.File:
            return [_input(pattern, info, os.path.basename(path))]
        base, deep = path.rstrip("/"), True
        matches = re.compile(".*(" + "|".join(map(re.escape, suffixes)) + ")").fullmatch
    found = system.get_file_info(pafs.FileSelector(base, allow_not_found=True, recursive=deep))
    scheme = pattern.partition("://")[0] + "://" if "://" in pattern else ""
    inputs = [
        _input(scheme + info.path, info, info.path[len(base) :].lstrip("/"))
        for info in found
        if info.type == pafs.FileType.File and matches(info.path)
    ]
    return sorted(inputs, key=lambda one: one.name)


def _input(url: str, info: Any, name: str) -> Input:
    if is_local(url):
        return Input(url, name, info.size, str(info.mtime_ns))
    return Input(url, name, info.size, "" if info.mtime_ns is None else str(info.mtime_ns))


def _translate(pattern: str) -> str:
    """Return the regular expression of a glob."""
    out, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            out, rest = out + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            out, rest = out + ".*", rest[2:]
        elif rest[0] == "*":
            out, rest = out + "[^/]*", rest[1:]
        elif rest[0] == "?":
            out, rest = out + "[^/]", rest[1:]
        elif rest[0] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            inside = rest[1:end].replace("\\", r"\\")
            out, rest = out + "[" + ("^" + inside[1:] if inside[0] == "!" else inside) + "]", rest[end + 1 :]
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    return out
