"""Files that contain many articles: dumps of MediaWiki, sets of PubMed, tar archives of PubMed Central.

They are read from beginning to end, however large they are, and give an item for each article; an item is cheap, and
only what is parsed of it can fail.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from mmedc.sources.content import Stream

CHUNK_BYTES = 1 << 20


class Item(NamedTuple):
    """What one article of a container is made from."""

    place: str
    """Its place in the file, as `member=a/b.nxml`."""
    name: str
    data: bytes
    problem: str = ""
    """The reason to reject it unread."""
    at: int = 0
    """Where it begins, in bytes of what was read."""


class Readable(Protocol):
    """What gives the bytes of a file one after another, as `Stream` does."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` of the next bytes; none at the end."""


def elements(stream: Readable, tag: str, limit: int) -> Iterator[Item]:
    """Yield the elements `tag` of a large XML file, which must not contain each other, and what cannot be read.

    A file written by a program has its tags as they are looked for: without attributes, or with some.
    """
    begin, end = re.compile(rb"<%b[\s>]" % tag.encode()), b"</%b>" % tag.encode()
    opened = b"<%b>" % tag.encode()
    window, number, dropped, at = b"", 0, False, 0
    while True:
        found = begin.search(window)
        if not found:
            part = stream.read(CHUNK_BYTES)
            if not part:
                return
            at += max(len(window) - 64, 0)
            window = window[-64:] + part
            continue
        window, at = window[found.start() :], at + found.start()
        stop, searched = window.find(end), len(window)
        size = 0
        while stop < 0:
            part = stream.read(CHUNK_BYTES)
            if not part:
                yield Item(f"{tag}={number + 1}", "", b"", f"damaged: the file ends inside <{tag}>", at)
                return
            if len(window) > limit:  # only the end of it is needed
                size, dropped = size + len(window) - len(end), True
                window = window[-len(end) :]
                searched = len(window)
            window += part
            stop = window.find(end, max(searched - len(end), 0))
            searched = len(window)
        number += 1
        size += stop + len(end)
        if dropped or size > limit:
            yield Item(f"{tag}={number}", "", b"", f"too_large: over {limit:,} bytes", at)
        elif (again := window.rfind(opened, 1, stop)) > 0:  # what lay between was lost
            yield Item(f"{tag}={number}", "", b"", f"damaged: <{tag}> has no end", at)
            window, at = window[again:], at + again
            continue
        else:
            yield Item(f"{tag}={number}", "", window[: stop + len(end)], "", at)
        window, at, dropped = window[stop + len(end) :], at + size, False


def members(stream: Stream, limit: int) -> Iterator[Item]:
    """Yield the files of a tar archive; their names are used as names only, and never as paths."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                archive.members = []  # otherwise it remembers every member
                if not member.isfile():
                    continue
                place = f"member={member.name[:500]}"
                if member.size > limit:
                    yield Item(place, member.name, b"", f"too_large: {member.size:,} bytes, at most {limit:,} are read")
                    continue
                opened = archive.extractfile(member)
                yield Item(place, member.name, opened.read() if opened else b"")
        if stream.last.strip(b"\0"):
            yield Item("rest", "", b"", "damaged: the tar archive ends early")
        rest = 0
        while part := stream.read(CHUNK_BYTES):
            rest += len(part.strip(b"\0"))
        if rest:
            yield Item("rest", "", b"", f"damaged: {rest:,} bytes follow the end of the tar archive")
    except (tarfile.TarError, EOFError, ValueError, OSError, OverflowError) as problem:
        yield Item("rest", "", b"", f"damaged: the tar archive is broken ({problem}); the rest of it is not read")
