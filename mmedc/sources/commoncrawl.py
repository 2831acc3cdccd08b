"""Pages of Common Crawl, or of an archive with an index like its, of which only the chosen records are fetched.

The index is Parquet with the columns of Common Crawl's columnar index (`cc-index/table/cc-main/warc/`) or lines of
CDXJ. Hosts, languages and media types choose captures; their records are fetched by ranges and read as any WARC file
is. The choice is made when the recipe is planned, so that the plan knows what will be fetched; of each capture it keeps
17 bytes.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.books.book import Unreadable
from mmedc.errors import RecipeError
from mmedc.inputs import Input
from mmedc.recipe import Recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.redact import first_line
from mmedc.settings import as_written
from mmedc.sitelists import Places, domains_of, read_sites
from mmedc.sourcekeys import CommonCrawl, CommonCrawlSource
from mmedc.sources.books import book_rules
from mmedc.sources.content import parts_of
from mmedc.sources.ranges import ROW, Ranges, RangeStream, requests_of
from mmedc.sources.raw import InputSplit, Records
from mmedc.sources.warc import pages_of
from mmedc.storage import open_random
from mmedc.unpack import Unpacked, packed_suffixes
from mmedc.yamlfile import nearest

SUFFIXES = (".parquet", *packed_suffixes(".cdxj", ".cdx"))
PARQUET = b"PAR1"
CHOSEN_BY = {
    "url_host_name": "string",
    "fetch_status": "integer",
    "content_mime_detected": "string",
    "warc_filename": "string",
    "warc_record_offset": "integer",
    "warc_record_length": "integer",
}
"""The columns without which nothing can be chosen."""
OPTIONAL = ("url", "url_host_registered_domain", "content_languages", "content_truncated")
HTML = ("text/html", "application/xhtml+xml")
CDXJ_KEYS = {
    "fetch_status": "status",
    "content_mime_detected": "mime-detected",
    "content_languages": "languages",
    "content_truncated": "truncated",
    "warc_filename": "filename",
    "warc_record_offset": "offset",
    "warc_record_length": "length",
}
CDXJ_BATCH = 20_000  # lines that are looked at together
WORST_RATIO = 1_000.0  # of a packed list of captures


@dataclass(frozen=True)
class CommonCrawlReader:
    """Reads the chosen records of an archive. Dropped here: `cut_by_archive`, and what `WarcReader` drops."""

    version: ClassVar[int] = 1

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the records; see `mmedc.engine.chain.Source`. Raises: OSError when they cannot be fetched."""
        assert split.ranges is not None
        records = Records(start, skip)
        with RangeStream(split.ranges) as stream:
            unpacked = Unpacked(io.BufferedReader(stream), split.inputs[0].name, hold=True)
            yield from pages_of(unpacked, split, records, stream.place)
            if unpacked.tape.end != stream.size:
                raise OSError(f"{split.inputs[0].name}: {unpacked.tape.end:,} of {stream.size:,} bytes came")
        for file, offset, length, cut in split.ranges.table.tolist():
            if cut and records.next():
                place = f"{split.ranges.names[file]}#offset={offset}"
                yield from records.add(place, place, dropped_by=f"cut_by_archive: {length:,} bytes are stored")
        yield from records.flush()


@dataclass
class Choice:
    """The captures that are chosen, and how many others there are."""

    names: dict[str, int] = field(default_factory=dict)
    """The WARC files, by name, with their numbers."""
    rows: list[npt.NDArray[Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, table: pa.Table) -> None:
        """Take the chosen captures of a table with the columns of the index."""
        if not table.num_rows:
            return
        files = table["warc_filename"].combine_chunks().dictionary_encode()
        numbers = np.array([self.names.setdefault(name, len(self.names)) for name in files.dictionary.to_pylist()])
        rows = np.zeros(table.num_rows, ROW)
        rows["file"] = numbers[files.indices.to_numpy()]
        rows["offset"] = table["warc_record_offset"].to_numpy()
        rows["length"] = table["warc_record_length"].to_numpy()
        if "content_truncated" in table.column_names:
            rows["cut"] = pc.fill_null(pc.not_equal(table["content_truncated"], ""), False).to_numpy()
        self.rows.append(rows)

    def ranges(self, base: str) -> Ranges:
        """Return the captures in the order of the names of their files and their offsets, each once."""
        names = sorted(self.names)
        rows = np.concatenate([np.zeros(0, ROW), *self.rows])
        new = np.zeros(len(names), np.int32)
        new[[self.names[name] for name in names]] = np.arange(len(names))
        rows["file"] = new[rows["file"]]
        rows.sort(order=["file", "offset"])
        again = (rows["file"][1:] == rows["file"][:-1]) & (rows["offset"][1:] == rows["offset"][:-1])
        return Ranges(base, tuple(names), rows[np.concatenate([[True], ~again])[: len(rows)]].tobytes())


class Chooser:
    """Chooses captures by the settings of a source."""

    def __init__(self, settings: CommonCrawl) -> None:
        """Read the lists of sites. Raises: PolicyError."""
        self._mime = pa.array([mime.lower() for mime in settings.mime])
        self._languages = rf"(^|,)({'|'.join(settings.languages)})(,|$)" if settings.languages else ""
        sites = [site for path in settings.hosts for site in read_sites(path, settings.unlicensed)]
        self._places = Places.of((site.host, site.path) for site in sites) if settings.hosts else None
        above = {domain for host in self._places.paths for domain in domains_of(host)} if self._places else set()
        self.domains = np.array(sorted(above)) if self._places is not None else None
        """Every name that may be the registered domain of a wished host, sorted; None: all."""

    def chosen(self, table: pa.Table, counts: "Counter[str]") -> pa.Table:
        """Return the chosen rows of a table of captures; `counts` is told why the others are not."""
        counts["captures"] += table.num_rows
        for name, keep in (
            ("other hosts", self._of_hosts),
            ("not status 200", lambda rows: pc.equal(rows["fetch_status"], 200)),
            ("other types", lambda rows: pc.is_in(pc.utf8_lower(rows["content_mime_detected"]), self._mime)),
            ("other languages", self._of_languages),
        ):
            before = table.num_rows
            table = table.filter(pc.fill_null(keep(table), False)) if before else table
            counts[name] += before - table.num_rows
        return table

    def _of_languages(self, rows: pa.Table) -> Any:
        """Return which rows are in a wished language; for what is no HTML, Common Crawl finds out none."""
        if not self._languages:
            return pa.array(np.ones(rows.num_rows, bool))
        languages = rows["content_languages"]
        wished = pc.fill_null(pc.match_substring_regex(languages, self._languages), False)
        html = pc.is_in(pc.utf8_lower(rows["content_mime_detected"]), pa.array(HTML))
        return pc.or_(wished, pc.and_(pc.is_null(languages), pc.invert(html)))

    def _of_hosts(self, rows: pa.Table) -> Any:
        if self._places is None:
            return pa.array(np.ones(rows.num_rows, bool))
        hosts = rows["url_host_name"].combine_chunks().dictionary_encode()
        paths = [self._places.paths_of(host or "") for host in hosts.dictionary.to_pylist()]
        whole = np.array([allowed == ("/",) for allowed in paths], bool)
        partly = np.array([bool(allowed) and allowed != ("/",) for allowed in paths], bool)
        numbers = pc.fill_null(hosts.indices, 0).to_numpy()
        keep = (whole[numbers] if len(paths) else np.zeros(rows.num_rows, bool)) & pc.is_valid(hosts).to_numpy(False)
        for row in np.flatnonzero(partly[numbers]) if len(paths) else ():
            path = "/" + "/".join(rows["url"][int(row)].as_py().split("/")[3:])
            keep[row] = path.startswith(paths[numbers[row]])
        return pa.array(keep)


def tables_of(file: Input, chooser: Chooser, counts: "Counter[str]") -> Iterator[pa.Table]:
    """Yield the captures of a file of an index; row groups that hold no wished domain are skipped.

    Raises: RecipeError for a file that lacks columns or can't be read.
    """
    with open_random(file.url) as opened:
        head = opened.read(4)
        opened.seek(0)
        try:
            yield from _parquet(file, opened, chooser, counts) if head == PARQUET else _cdxj(file)
        except (pa.ArrowException, Unreadable, KeyError, ValueError) as problem:
            raise RecipeError(f"{file.name}: can't be read as an index ({first_line(problem)[:200]})") from None


def _parquet(file: Input, opened: Any, chooser: Chooser, counts: "Counter[str]") -> Iterator[pa.Table]:
    parquet = pq.ParquetFile(opened)
    known = parquet.schema_arrow.names
    for column in CHOSEN_BY:
        if column not in known:
            raise RecipeError(f'{file.name}: is no index of captures: no column "{column}"{nearest(column, known)}')
    columns = [column for column in (*CHOSEN_BY, *OPTIONAL) if column in known]
    for group in range(parquet.num_row_groups):
        if _may_hold(parquet.metadata.row_group(group), chooser.domains):
            table = parquet.read_row_group(group, columns=columns)
            for name in OPTIONAL:
                if name not in columns:
                    table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
            yield table
        else:
            rows = parquet.metadata.row_group(group).num_rows
            counts["captures"] += rows
            counts["other hosts"] += rows


def _may_hold(group: Any, domains: npt.NDArray[Any] | None) -> bool:
    """Return whether a row group may hold a capture of one of the domains, by its lowest and highest domain."""
    if domains is None:
        return True
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "url_host_registered_domain":
            bounds = column.statistics if column.is_stats_set else None
            if bounds is None or not bounds.has_min_max:
                return True
            return bool(np.searchsorted(domains, bounds.min) < np.searchsorted(domains, bounds.max, "right"))
    return True


def _cdxj(file: Input) -> Iterator[pa.Table]:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_lines(parts_of(file, WORST_RATIO)), 1):
        found = line.partition(b"{")
        if not found[1]:
            if line.strip() and not line.startswith((b" CDX", b"!")):
                raise RecipeError(f"{file.name}:{number}: is no line of CDXJ; expected a key, a time and a JSON object")
            continue
        values = json.loads(b"{" + found[2])
        row = {name: values.get(key) for name, key in CDXJ_KEYS.items()}
        row |= {
            "url": values.get("url") or "",
            "content_mime_detected": row["content_mime_detected"] or values.get("mime"),
        }
        row |= {name: int(row[name] or 0) for name in ("warc_record_offset", "warc_record_length")}
        row["fetch_status"] = int(row["fetch_status"]) if str(row["fetch_status"]).isdigit() else 0
        row["url_host_name"] = row["url"].split("/")[2].partition(":")[0] if row["url"].count("/") > 1 else ""
        rows.append(row)
        if len(rows) == CDXJ_BATCH:
            yield pa.Table.from_pylist(rows, schema=CAPTURES)
            rows = []
    yield pa.Table.from_pylist(rows, schema=CAPTURES)


CAPTURES = pa.schema(
    [
        *((name, pa.string() if kind == "string" else pa.int64()) for name, kind in CHOSEN_BY.items()),
        *((name, pa.string()) for name in OPTIONAL),
    ]
)


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    if rest:
        yield rest


def cut(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    """Yield splits of about equal bytes of the chosen captures of an index. Raises: RecipeError when there are none."""
    assert isinstance(config, CommonCrawlSource)
    settings, choice = config.commoncrawl, Choice()
    chooser = Chooser(settings)
    for file in inputs:
        if file.problem:
            raise RecipeError(f'source "{name}": {file.name}: {file.problem}')
        for table in tables_of(file, chooser, choice.counts):
            choice.add(chooser.chosen(table, choice.counts))
    ranges = choice.ranges(str(settings.warcs))
    if not ranges.rows:
        raise RecipeError(f'source "{name}": no capture of the index is chosen ({_counted(choice.counts)})')
    note = f"{name}: {_note(ranges, as_written(settings.warcs), choice.counts)}"
    for part in _of_even_size(ranges, recipe.limits.unit):
        yield replace(_split(name, config, part, recipe), note=note)
        note = ""


def _split(name: str, config: SourceConfig, part: Ranges, recipe: Recipe) -> InputSplit:
    table = part.table
    sizes = np.bincount(table["file"], weights=np.where(table["cut"], 0, table["length"]), minlength=len(part.names))
    files = tuple(
        Input(f"{part.base.rstrip('/')}/{file}", file, int(size), "")
        for file, size in zip(part.names, sizes.tolist(), strict=True)
    )
    limits = recipe.limits
    return InputSplit(name, config, files, None, limits.document, limits.ratio, book_rules(recipe), ranges=part)


def _of_even_size(ranges: Ranges, size: int) -> Iterator[Ranges]:
    """Yield parts of about equal bytes, none of which has many more than `size`."""
    table = ranges.table
    ends = np.cumsum(np.where(table["cut"], 0, table["length"]).astype(np.int64))
    count = max(1, -(-int(ends[-1]) // size))
    cuts = np.searchsorted(ends, [int(ends[-1]) * number // count for number in range(1, count)], "right")
    for rows in np.split(table, cuts):
        if len(rows):
            used, numbers = np.unique(rows["file"], return_inverse=True)
            mine = rows.copy()
            mine["file"] = numbers
            yield Ranges(ranges.base, tuple(ranges.names[number] for number in used), mine.tobytes())


def _counted(counts: "Counter[str]") -> str:
    others = [f"{count:,} {what}" for what, count in counts.items() if what != "captures" and count]
    return f"of {counts['captures']:,}: {', '.join(others) or 'all'}"


def _note(ranges: Ranges, place: str, counts: "Counter[str]") -> str:
    """Return what is chosen and what it takes to fetch it, in a sentence."""
    table = ranges.table
    whole = table[~table["cut"]]
    fetched = list(requests_of(ranges))
    asked = sum(request.end - request.start for request in fetched)
    told = (
        f"{len(table):,} captures ({_counted(counts)}) in {len(ranges.names):,} files of {place}; "
        f"{int(whole['length'].sum()):,} bytes, in {len(fetched):,} requests for {asked:,} bytes"
    )
    cut_off = len(table) - len(whole)
    return told + (f"; dropped unread because the archive cut them: {cut_off:,}" if cut_off else "")
