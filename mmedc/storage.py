"""A thin layer over local disks and object stores.

Data is read through pyarrow file systems (column projection, range reads); everything is written
through obstore, whose create-only put makes a commit atomic on a local disk and on S3 alike.
A URL is a local path, `s3://bucket/prefix`, `gs://bucket/prefix` or, for reading only, `hf://datasets/owner/name/…`.
Credentials come only from the environment or the profile of the machine.

An object store may answer late or not at all, or store only a part of an upload. Each request is therefore
retried with growing pauses, the size of an upload is checked afterwards, and a failure that persists is a
StorageError.
"""

import contextlib
import functools
import hashlib
import io
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

import pyarrow.fs as pafs

from mmedc.errors import RequestError, StorageError
from mmedc.redact import first_line

S = TypeVar("S")
T = TypeVar("T")

HASHED_BYTES = 8 << 20  # at a time
PART_BYTES = 16 << 20  # of a multipart upload
PAGE_BYTES = 256 << 10  # of a file of a web server that are fetched at once, at least
AHEAD_BYTES = 4 << 20  # fetched from a remote input while the part before is processed
TRIES = 4  # attempts at an operation, within each of which the client itself retries for RETRY_S
RETRY_S = 60
REQUEST_S = 60  # timeout of one request
NO_BUCKET = "NoSuchBucket"
READERS = 16  # small files that are read at once


@dataclass(frozen=True)
class Store:
    """A folder on a disk or in an object store, given by its URL; cheap to pickle, and opened on first use."""

    url: str

    def get(self, name: str) -> bytes:
        """Return the content of `name`. Raises: FileNotFoundError, StorageError."""
        return self._try(name, lambda: bytes(self._there.get(name).bytes()))

    def get_range(self, name: str, start: int, end: int) -> bytes:
        """Return the bytes of `name` from `start` up to `end`. Raises: FileNotFoundError, StorageError."""

        def get() -> bytes:
            data = bytes(self._there.get_range(name, start=start, end=end))
            if len(data) != end - start:
                raise OSError(f"{len(data):,} bytes came instead of {end - start:,} from offset {start:,}")
            return data

        return self._try(name, get)

    def etag(self, name: str) -> str:
        """Return the etag of `name`, or when it was changed. Raises: FileNotFoundError, StorageError."""
        meta = self._try(name, lambda: self._there.head(name))
        return str(meta.get("e_tag") or meta["last_modified"])

    def put(self, name: str, data: Any) -> None:
        """Write `name` atomically, replacing an existing file; the data is durable when the method returns.

        Raises: StorageError.
        """
        view = memoryview(data).cast("B")

        def put() -> None:
            self._make()
            self._store.put(name, view, chunk_size=PART_BYTES)
            self._sync(name, len(view))

        self._try(name, put)

    def put_changed(self, name: str, data: bytes) -> None:
        """Write `name` unless it holds `data` already, so that what changes nothing writes nothing.

        Raises: StorageError.
        """
        if not self.exists(name) or self.get(name) != data:
            self.put(name, data)

    def put_new(self, name: str, data: bytes) -> bool:
        """Write `name` unless it exists; if it does, return False and change nothing. Raises: StorageError.

        If the answer to a successful attempt is lost, the next attempt finds the file and returns False.
        """
        from obstore.exceptions import AlreadyExistsError

        def put() -> bool:
            self._make()
            try:
                self._store.put(name, data, mode="create")
            except AlreadyExistsError:
                return False
            try:
                self._sync(name, len(data))
            except OSError:
                self._store.delete(name)  # a partial file must not be taken for a commit
                raise
            return True

        return self._try(name, put)

    def copy(self, name: str, to: str) -> None:
        """Make `to` a copy of `name`, atomically, replacing an existing file. No byte passes through this process.

        On a local disk both are names of the same file (a hard link) if the file system supports that; an object store
        copies on the server.

        Raises: FileNotFoundError, StorageError.
        """

        def copy() -> None:
            if is_local(self.url):
                _link(os.path.join(self.url, name), os.path.join(self.url, to))
                self._sync(to, 0)
            else:
                self._store.copy(name, to)

        self._try(to, copy)

    def exists(self, name: str) -> bool:
        """Return whether `name` is there."""
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        """Return the bytes of `name`. Raises: FileNotFoundError, StorageError."""
        return self._try(name, lambda: int(self._there.head(name)["size"]))

    def names(self, prefix: str = "") -> list[str]:
        """Return the sorted names below the folder `prefix`. Raises: StorageError."""
        return sorted(self.sizes(prefix))

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the bytes of each file below the folder `prefix`, by name. Raises: StorageError."""
        if is_local(self.url) and not os.path.isdir(os.path.join(self.url, prefix)):
            return {}
        return self._try(
            prefix,
            lambda: {
                str(meta["path"]): int(meta["size"]) for page in self._store.list(prefix or None) for meta in page
            },
        )

    def delete(self, name: str) -> None:
        """Delete `name`, if it exists. Raises: StorageError."""
        with contextlib.suppress(FileNotFoundError):
            self._try(name, lambda: self._there.delete(name))

    def sha256(self, name: str) -> tuple[str, int]:
        """Return the SHA-256 of `name` in hex digits, and its bytes. Raises: FileNotFoundError, OSError."""
        digest, size = hashlib.sha256(), 0
        with self.open_input(name) as file:
            while block := file.read(HASHED_BYTES):
                digest.update(block)
                size += len(block)
        return digest.hexdigest(), size

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
        """The store, if its folder exists, because reading must not create one. Raises: FileNotFoundError."""
        if is_local(self.url) and not os.path.isdir(self.url):
            raise FileNotFoundError(self.url)
        return self._store

    def _make(self) -> None:
        if is_local(self.url):
            os.makedirs(self.url, exist_ok=True)

    def _sync(self, name: str, size: int) -> None:
        """Make sure that a written file is complete.

        A local file and the entry in its folder are forced to disk, so that a commit never outlives its
        data; for a remote file the size is checked.
        """
        if not is_local(self.url):
            if (found := int(self._store.head(name)["size"])) != size:
                raise OSError(f"an upload arrived in part: {found:,} of {size:,} bytes")
            return
        path = os.path.join(self.url, name)
        for place in (path, os.path.dirname(path)):
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _try(self, name: str, act: Callable[[], T]) -> T:
        """Return the result of `act`, with retries on a remote store. Raises: FileNotFoundError, StorageError."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        local = is_local(self.url)
        for tries in range(1, TRIES + 1):
            try:
                return act()
            except FileNotFoundError:
                raise
            except (OSError, BaseError) as problem:
                refused = isinstance(problem, PermissionDeniedError | UnauthenticatedError | PermissionError)
                refused = refused or NO_BUCKET in str(problem)
                if local or refused or tries == TRIES:
                    raise StorageError(_what_failed(f"{self.url.rstrip('/')}/{name}", problem, tries)) from None
                time.sleep(2**tries / 10)
        raise AssertionError("not reached")


def _link(path: str, to: str) -> None:
    """Make `to` another name of the file `path`, or a copy of it, with one rename."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    part = f"{to}.{os.getpid()}.part"
    with contextlib.suppress(FileNotFoundError):
        os.remove(part)
    try:
        os.link(path, part)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(path, part)
        with open(part, "rb") as handle:
            os.fsync(handle.fileno())
    if os.path.exists(to) and os.path.samefile(part, to):
        os.remove(part)  # a rename between two names of the same file does nothing, and `part` would remain
    else:
        os.replace(part, to)


def _what_failed(where: str, problem: BaseException, tries: int) -> str:
    message = first_line(problem)[:300]
    if NO_BUCKET in str(problem):
        return f"{where}: there is no bucket {bucket_of(where)}; create it, or correct its name"
    for sign, meaning in (
        ("os error 28", "the disk is full; make room"),
        ("No space left", "the disk is full; make room"),
        ("os error 122", "the quota of the disk is used up; make room"),
        ("os error 13", "not allowed; change the owner or the mode"),
        ("os error 30", "the disk can only be read; choose another --out"),
    ):
        if sign in message:
            return f"{where}: {meaning}, then give the same command again"
    tried = f" (tried {tries} times)" if tries > 1 else ""
    return f"{where}: {message}{tried}; when the store is well, give the same command again"


def bucket_of(url: str) -> str:
    """Return the bucket of a URL of an object store."""
    return url.partition("://")[2].partition("/")[0]


def has_bucket(url: str) -> bool:
    """Return whether the bucket of an `s3://` URL is there, as far as that can be told with these credentials."""
    if not url.startswith("s3://"):
        return True
    system, _ = file_system(url)
    try:
        return bool(system.get_file_info(bucket_of(url)).type != pafs.FileType.NotFound)
    except OSError:
        return True  # not allowed to ask, or the store does not answer, which is reported when it is used


def read_each(read: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield `read(item)` for each item, in their order; READERS are read at once, and as many wait.

    Raises: what `read` raises, at the first item of which it does.
    """
    with ThreadPoolExecutor(READERS) as pool:
        under_way: deque[Future[T]] = deque()
        try:
            for item in items:
                if len(under_way) == 2 * READERS:
                    yield under_way.popleft().result()
                under_way.append(pool.submit(read, item))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def is_local(url: str) -> bool:
    """Return whether `url` is a path of this machine."""
    return "://" not in url


@functools.lru_cache(maxsize=64)
def _object_store(url: str) -> Any:
    from obstore.store import LocalStore, from_url

    if is_local(url):
        return LocalStore(os.path.abspath(url))
    client: Any = {"timeout": timedelta(seconds=REQUEST_S), "connect_timeout": timedelta(seconds=min(10, REQUEST_S))}
    if url.startswith("http://") or os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        client["allow_http"] = True
    retry: Any = {"max_retries": 8, "retry_timeout": timedelta(seconds=RETRY_S)}
    return from_url(url, client_options=client, retry_config=retry)


def is_web(url: str) -> bool:
    """Return whether `url` names a file of a web server, which is read by ranges and cannot be listed or written."""
    return url.startswith(("https://", "http://"))


class _WebFile(io.RawIOBase):
    """A file of a web server, read by ranges."""

    def __init__(self, url: str, offset: int = 0) -> None:
        folder, _, self._name = url.rpartition("/")
        self._store = Store(folder)
        self._size, self._at = self._store.size(self._name), offset

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence], 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        data = self._store.get_range(self._name, self._at, end)
        buffer[: len(data)] = data
        self._at = end
        return len(data)


def file_system(url: str) -> tuple[pafs.FileSystem, str]:
    """Return the pyarrow file system of `url`, and the path in it.

    Raises: RequestError for an unknown scheme, or if the package for `hf://` is missing.
    """
    scheme, separator, path = url.partition("://")
    if not separator:
        return pafs.LocalFileSystem(), os.path.abspath(url)
    if scheme == "s3":
        return _s3(os.environ.get("AWS_ENDPOINT_URL", "")), path
    if scheme == "gs":
        return _gs(), path
    if scheme == "hf":
        try:
            from huggingface_hub import HfFileSystem
        except ImportError:
            raise RequestError(f"{url}: reading hf:// needs `pip install 'mmedc[hf]'`") from None
        return pafs.PyFileSystem(pafs.FSSpecHandler(HfFileSystem())), path
    raise RequestError(f"{url}: unknown scheme {scheme}://; known: a local path, s3://, gs://, hf://")


@functools.lru_cache(maxsize=1)
def _gs() -> pafs.FileSystem:
    """Return Google Cloud Storage, with the credentials of this machine or pod."""
    return pafs.GcsFileSystem(retry_time_limit=timedelta(seconds=RETRY_S))


@functools.lru_cache(maxsize=4)
def _s3(endpoint: str) -> pafs.FileSystem:
    options: dict[str, Any] = {"retry_strategy": pafs.AwsStandardS3RetryStrategy(max_attempts=6)}
    if endpoint:
        options["scheme"], _, options["endpoint_override"] = endpoint.partition("://")
    return pafs.S3FileSystem(**options)


def open_binary(url: str, offset: int = 0) -> IO[bytes]:
    """Open a file for reading from byte `offset` on, as a local file or as a remote stream that reads ahead."""
    if is_local(url):
        local = Path(url).open("rb")  # noqa: SIM115 (the caller's)
        local.seek(offset)
        return local
    if is_web(url):
        return io.BufferedReader(_WebFile(url, offset), AHEAD_BYTES)
    system, path = file_system(url)
    file = system.open_input_file(path)
    return io.BufferedReader(_ReadAhead(file.get_stream(offset, max(file.size() - offset, 0))), AHEAD_BYTES)


def open_random(url: str) -> Any:
    """Open a file for random access. Raises: OSError."""
    if is_local(url):
        return Path(url).open("rb")
    if is_web(url):
        return io.BufferedReader(_WebFile(url), PAGE_BYTES)
    system, path = file_system(url)
    return system.open_input_file(path)


class _ReadAhead(io.RawIOBase):
    """Fetches the next part of a remote stream while the part before is processed."""

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
