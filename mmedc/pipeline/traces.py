"""The search of a whole corpus folder for what was forgotten: in every column of every file, and in every WARC record.

What is looked for are bytes: addresses, ids and DOIs of the documents, and passages of their texts. A hit in the text
of another document, or in a page that a crawl stored for it, is no trace of the forgotten one but a mention: somebody
else cites its address, or has the same words.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.engine.lock import NAME as LOCK
from mmedc.forgetting import URL, host_spellings
from mmedc.storage import Store

Bools = npt.NDArray[np.bool_]
Sort = Literal["address", "domain", "id", "doi", "passage"]
PASSAGES = 8
PASSAGE_CHARS, SHORTEST_PASSAGE = 80, 40
MOST_PASSAGES = 200_000
"""The number of passages that are looked for; of many documents each has fewer."""
LETTERS = np.zeros(256, bool)
LETTERS[np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", np.uint8)] = True
GOES_ON = LETTERS.copy()
GOES_ON[np.frombuffer(b"/=&%~+?", np.uint8)] = True
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Trace:
    """A hit."""

    file: str
    where: str
    """The column, or the address of a WARC record; empty in other files."""
    sort: Sort
    times: int
    mention: bool
    """Whether it is in the text of another document."""


def passages_of(text: str, most: int = PASSAGES) -> list[str]:
    """Return passages by which a text is recognised: the beginnings of its longer lines, evenly spread."""
    lines = [line.strip() for line in text.split("\n")]
    long = [line for line in lines if len(line) >= SHORTEST_PASSAGE] or [max(lines, key=len)]
    chosen = long if len(long) <= most else [long[at * len(long) // most] for at in range(most)]
    return list(dict.fromkeys(line[:PASSAGE_CHARS] for line in chosen if line))


class Needles:
    """What is looked for."""

    def __init__(
        self,
        addresses: Iterable[str],
        domains: Iterable[str],
        ids: Iterable[str],
        dois: Iterable[str],
        passages: Iterable[str],
    ) -> None:
        spelt = {rest: host for address in addresses for host, rest in _spellings(address)}
        sorts: list[tuple[Sort, Iterable[str]]] = [
            ("address", spelt),
            ("domain", (spelling for domain in domains for spelling in host_spellings(domain))),
            ("id", ids),
            ("doi", dois),
            ("passage", passages),
        ]
        known: dict[bytes, Sort] = {}
        for sort, values in sorts:
            for value in values:
                if value:
                    known.setdefault(value.encode("utf-8", "surrogatepass"), sort)
        self.values = list(known)
        self.sorts: list[Sort] = list(known.values())
        hosts = {value.encode("utf-8", "surrogatepass"): host for value, host in spelt.items()}
        self._caseless = [
            len(value) if sort in ("domain", "doi") else hosts[value] if sort == "address" else 0
            for value, sort in known.items()
        ]
        """Of how many bytes at the beginning of each value the case of ASCII letters does not count."""
        folded = [value.lower() for value in self.values] if any(self._caseless) else self.values
        self._find = ahocorasick_rs.BytesAhoCorasick(folded) if known else None

    def hits(self, data: Any) -> list[tuple[int, int, int]]:
        """Return (number, start, stop) of what occurs in bytes, as words of their own where that is an address."""
        if self._find is None or not len(data):
            return []
        view = memoryview(data).cast("B")
        seen = bytes(view).lower() if any(self._caseless) else view
        found = self._find.find_matches_as_indexes(seen, overlapping=True)
        return [(at, low, high) for at, low, high in found if self._is(at, view, low, high)]

    def _is(self, at: int, view: memoryview, low: int, high: int) -> bool:
        """Return whether what was found in lower case is the value, and no part of a longer one."""
        free = self._caseless[at]
        return view[low + free : high] == self.values[at][free:] and _whole(self.sorts[at], view, low, high)

    def rows(self, column: pa.Array) -> tuple[list[int], npt.NDArray[np.int64]]:
        """Return (numbers, rows) of the hits in a column of text or bytes."""
        _, offsets, data = column.buffers()
        if data is None:
            return [], np.zeros(0, np.int64)
        large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
        ends = np.frombuffer(offsets, np.int64 if large else np.int32)[column.offset :][: len(column) + 1]
        first = int(ends[0])
        hits = self.hits(memoryview(data)[first : int(ends[-1])])
        low, high = np.array([hit[1:] for hit in hits], np.int64).reshape(-1, 2).T + first
        rows = np.searchsorted(ends, low, side="right") - 1
        inside = high <= ends.astype(np.int64)[np.minimum(rows + 1, len(ends) - 1)]
        return [hit[0] for hit, keep in zip(hits, inside.tolist(), strict=True) if keep], rows[inside]

    def names(self, address: str) -> bool:
        """Return whether an address is one of a document, or lies in a domain, that is looked for."""
        return any(self.sorts[number] != "passage" for number, _, _ in self.hits(address.encode()))

    def in_table(self, table: pa.Table) -> Bools:
        """Return which rows of a table have a hit in any column."""
        found = np.zeros(table.num_rows, bool)
        for name in table.column_names:
            first = 0
            for chunk in table[name].chunks:
                for leaf, parents in leaves(chunk, np.arange(len(chunk))):
                    _, rows = self.rows(leaf)
                    found[first + parents[rows]] = True
                first += len(chunk)
        return found


def leaves(column: pa.Array, rows: npt.NDArray[np.int64]) -> Iterator[tuple[pa.Array, npt.NDArray[np.int64]]]:
    """Yield the arrays of texts and bytes in a column, however deep, each with the row of each value."""
    kind = column.type
    if pa.types.is_struct(kind):
        for at in range(kind.num_fields):
            yield from leaves(column.field(at), rows)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        parents = column.value_parent_indices().to_numpy()
        yield from leaves(column.flatten(), rows[parents])
    elif pa.types.is_dictionary(kind):
        yield from leaves(column.dictionary_decode(), rows)
    elif any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    ):
        yield column, rows


def _spellings(locator: str) -> list[tuple[int, str]]:
    """Return a URL without its scheme, `www.` and the slash at its end, and the bytes of its host before it.

    Another locator is as it is, and has no host.
    """
    if not (found := URL.match(locator)):
        return [(0, locator)]
    rest = found["rest"].rstrip("/")
    return [(len(host.encode()), f"{host}{rest}") for host in host_spellings(found["host"])]


def _whole(sort: Sort, data: memoryview, low: int, high: int) -> bool:
    """Return whether what lies there is an address or domain of its own, and no part of a longer one."""
    if sort in ("passage", "id"):
        return True
    before = data[low - 1] if low else 32
    if LETTERS[before] or (
        sort == "address" and before == 46 and bytes(data[max(low - 4, 0) : low]).lower() != b"www."
    ):
        return False
    if high == len(data):
        return True
    if sort == "domain":
        more = high + 1 < len(data) and data[high] == 46 and LETTERS[data[high + 1]]
        return not LETTERS[data[high]] and not more
    if data[high] == 47:  # a slash at the end
        return high + 1 == len(data) or not GOES_ON[data[high + 1]]
    more = high + 1 < len(data) and data[high] == 46 and LETTERS[data[high + 1]]
    return not GOES_ON[data[high]] and not more


def traces(store: Store, needles: Needles, report: Any = None) -> list[Trace]:
    """Return every hit in every file of a folder."""
    found: dict[tuple[str, str, Sort, bool], int] = {}
    for name in store.names():
        if name.startswith(LOCK):
            continue
        if report:
            report(name)
        for where, sort, mention in _hits_of(store, name, needles):
            key = name, where, sort, mention
            found[key] = found.get(key, 0) + 1
    return [Trace(name, where, sort, times, mention) for (name, where, sort, mention), times in sorted(found.items())]


def _hits_of(store: Store, name: str, needles: Needles) -> Iterator[tuple[str, Sort, bool]]:
    if name.endswith(".parquet"):
        yield from _in_parquet(store, name, needles)
    elif name.endswith(".warc.gz"):
        with store.open_input(name) as file:
            for member in members(file):
                record = zlib.decompress(member, 31)
                target = target_of(record)
                own = needles.names(target)
                for number, _, _ in needles.hits(record):
                    yield target, needles.sorts[number], not own
    else:
        data = store.get(name)
        if name.endswith(".gz"):
            data = zlib.decompress(data, 47)
        yield from (("", needles.sorts[number], False) for number, _, _ in needles.hits(data))


def _in_parquet(store: Store, name: str, needles: Needles) -> Iterator[tuple[str, Sort, bool]]:
    with store.open_input(name) as file:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        for key, value in (parquet.metadata.metadata or {}).items():
            yield from ((key.decode(), needles.sorts[at], False) for at, _, _ in needles.hits(value))
        for number in range(parquet.num_row_groups):
            table = parquet.read_row_group(number, use_threads=False)
            for column in table.column_names:
                for chunk in table[column].chunks:
                    for leaf, _ in leaves(chunk, np.arange(len(chunk))):
                        mention = name.startswith("data/") and column not in ("id", "locator", "provenance")
                        yield from ((column, needles.sorts[at], mention) for at in needles.rows(leaf)[0])


def members(file: Any) -> Iterator[bytes]:
    """Yield the gzip members of a file as they are; a WARC file has one for each record."""
    unpack, held = zlib.decompressobj(31), bytearray()
    while data := file.read(READ_BYTES):
        while data:
            unpack.decompress(data)
            rest = unpack.unused_data if unpack.eof else b""
            held += data[: len(data) - len(rest)]
            if unpack.eof:
                yield bytes(held)
                unpack, held = zlib.decompressobj(31), bytearray()
            data = rest


def target_of(record: bytes) -> str:
    """Return the address that a WARC record is about; empty for one that has none."""
    head = record[: record.find(b"\r\n\r\n") + 2]
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"warc-target-uri":
            return value.strip().strip(b"<>").decode("utf-8", "replace")
    return ""
