"""Files that are ZIP archives, such as EPUB and DOCX: read within bounds, whatever their directory claims."""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from mmedc.books.book import Unreadable

MAX_MEMBERS = 50_000
MAX_RATIO = 200.0
FREE_BYTES = 1 << 20
"""A member may unpack to so many bytes whatever its ratio."""
CHUNK_BYTES = 1 << 16
NOT_ZIP = (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError, IndexError)
"""What `zipfile.ZipFile` raises for bytes that are no whole archive."""


@dataclass
class Package:
    """The members of an archive by name; what is read of them is bounded in all."""

    data: bytes
    limit: int
    """The bytes to which the members that are read may unpack together."""
    _zip: zipfile.ZipFile = field(init=False)
    _names: dict[str, zipfile.ZipInfo] = field(init=False)
    _read: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(self.data))
        except NOT_ZIP as problem:
            raise Unreadable(f"damaged: not a whole ZIP archive ({problem})") from None
        infos = self._zip.infolist()
        if len(infos) > MAX_MEMBERS:
            raise Unreadable(f"bomb: {len(infos):,} members, at most {MAX_MEMBERS:,} are read")
        # Names are only looked up, never written to a disk; those that leave the archive are not found all the same.
        self._names = {info.filename: info for info in infos if not _leaves(info.filename)}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def size(self, name: str) -> int:
        """Return to how many bytes a member unpacks, as the directory says; 0 for one that is missing."""
        return self._names[name].file_size if name in self._names else 0

    def read(self, name: str) -> bytes:
        """Return a member. Raises: Unreadable when it is missing, damaged, encrypted, or unpacks to too much."""
        info = self._names.get(name)
        if info is None:
            raise Unreadable(f"damaged: {name[:200]} is missing")
        if info.flag_bits & 1:
            raise Unreadable(f"encrypted: {name[:200]} needs a password")
        parts, size = [], 0
        most = max(FREE_BYTES, int(info.compress_size * MAX_RATIO))
        try:
            with self._zip.open(info) as member:
                while part := member.read(CHUNK_BYTES):
                    size += len(part)
                    self._read += len(part)
                    if size > most:
                        raise Unreadable(f"bomb: {name[:200]} unpacks to over {MAX_RATIO:.0f} times its size")
                    if self._read > self.limit:
                        raise Unreadable(f"too_large: what is read unpacks to over {self.limit:,} bytes")
                    parts.append(part)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            OSError,
            RuntimeError,
            ValueError,
        ) as problem:
            raise Unreadable(f"damaged: {name[:200]} cannot be unpacked ({problem})") from None
        return b"".join(parts)


def _leaves(name: str) -> bool:
    """Return whether a name leads out of the archive."""
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")


def resolve(base: str, href: str) -> str:
    """Return the member that `href`, written in member `base`, leads to; "" for an address outside the archive."""
    try:
        parts = urlsplit(href.strip())
    except ValueError:
        return ""
    if parts.scheme or parts.netloc:
        return ""
    if not parts.path:
        return base
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(parts.path)))
    return "" if _leaves(name) else name
