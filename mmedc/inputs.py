"""The files that a pattern names: a file, a folder or a glob, on a local disk, an object store or the hub."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.fs as pafs

from mmedc.errors import MmedcError, StorageError
from mmedc.redact import first_line
from mmedc.storage import Store, file_system, is_local, is_web


@dataclass(frozen=True)
class Input:
    """A file that a source reads."""

    url: str
    name: str
    """The path below the part of the pattern without wildcards, which is the same on every machine."""
    bytes: int
    version: str
    """A value that changes with the file: its modification time in ns, or its etag."""
    problem: str = ""
    """The reason why the file can't be read, such as a link that leads to itself."""


def list_inputs(pattern: str, suffixes: tuple[str, ...]) -> list[Input]:
    """Return the files of `pattern`, sorted by name: a file, a folder (its files with `suffixes`) or a glob.

    In a glob `*` and `?` stay inside a folder and `**` crosses folders.
    The list is empty if nothing matches; the caller decides whether that is an error.
    Raises: RequestError for an unknown scheme; StorageError if the hub does not answer.
    """
    if is_web(pattern):
        return [_web_input(pattern)]
    try:
        return _listed(pattern, suffixes)
    except Exception as problem:  # the errors of the hub's client have no common class
        if not pattern.startswith("hf://") or isinstance(problem, MmedcError):
            raise
        raise StorageError(
            f"{pattern}: the hub does not answer ({first_line(problem)}); run the command again"
        ) from None


def _listed(pattern: str, suffixes: tuple[str, ...]) -> list[Input]:
    system, path = file_system(pattern)
    local = is_local(pattern)
    if any(char in path for char in "*?[") and not (local and os.path.exists(path)):
        parts = path.split("/")
        wild = next(i for i, part in enumerate(parts) if any(char in part for char in "*?["))
        base, matches = "/".join(parts[:wild]), re.compile(_translate(path), re.DOTALL).fullmatch
        deep = "**" in path or len(parts) - wild > 1
    else:
        info = system.get_file_info(path)
        if info.type == pafs.FileType.File:
            return [_input(pattern, info, readable(os.path.basename(path)))]
        base, deep = path.rstrip("/"), True
        matches = re.compile(f".*({'|'.join(map(re.escape, suffixes))})", re.IGNORECASE | re.DOTALL).fullmatch
    if local:
        found = (_local_input(entry, base) for entry in _walk(base or "/", deep, ()) if matches(entry.path))
    else:
        scheme = pattern.partition("://")[0] + "://"
        infos = system.get_file_info(pafs.FileSelector(base, allow_not_found=True, recursive=deep))
        files = (info for info in infos if info.type == pafs.FileType.File and matches(info.path))
        found = (_input(scheme + info.path, info, info.path[len(base) :].lstrip("/")) for info in files)
    return sorted(found, key=lambda file: file.name)


def _web_input(url: str) -> Input:
    """Return a file of a web server; it must name one, because such servers have no lists."""
    folder, _, name = url.rpartition("/")
    store = Store(folder)
    try:
        return Input(url, name, store.size(name), store.etag(name))
    except FileNotFoundError:
        raise StorageError(f"{url}: the server has no such file; https:// names one file, without wildcards") from None


def _walk(folder: str, deep: bool, above: tuple[tuple[int, int], ...]) -> Iterator["os.DirEntry[str]"]:
    """Yield the files below a folder; a link to a parent folder is not followed.

    Raises: OSError for a folder that cannot be read.
    """
    try:
        seen = os.stat(folder)
    except FileNotFoundError:
        return
    here = (*above, (seen.st_dev, seen.st_ino))
    if here[-1] in above or not stat.S_ISDIR(seen.st_mode):
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda item: os.fsencode(item.name)):
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                is_folder = False
            if not is_folder:
                yield entry
            elif deep:
                yield from _walk(entry.path, deep, here)


def _local_input(entry: "os.DirEntry[str]", base: str) -> Input:
    name = readable(entry.path[len(base) :].lstrip("/"))
    try:
        seen = entry.stat()
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            return Input(entry.path, name, 0, "", "the link leads to itself")
        return Input(entry.path, name, 0, "")  # the unit that reads it will fail and report the problem
    if not stat.S_ISREG(seen.st_mode):
        return Input(entry.path, name, 0, "", "neither a file nor a folder")
    return Input(entry.path, name, seen.st_size, str(seen.st_mtime_ns))


def readable(name: str) -> str:
    r"""Return the name of a file as valid UTF-8; invalid bytes become `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _input(url: str, info: Any, name: str) -> Input:
    if is_local(url):
        return Input(url, name, info.size, str(info.mtime_ns))
    return Input(url, name, info.size, "" if info.mtime_ns is None else str(info.mtime_ns))


def _translate(pattern: str) -> str:
    """Return the regular expression for a glob."""
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
