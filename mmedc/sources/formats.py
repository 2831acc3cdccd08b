"""The table of source formats. A new format is one file with a reader, and one row in this table."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from mmedc.books import sniff
from mmedc.errors import RecipeError
from mmedc.inputs import Input
from mmedc.recipe import Recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.sources import books, commoncrawl, files, jsonl, parquet, warc
from mmedc.sources.raw import InputSplit, open_whole
from mmedc.storage import read_each
from mmedc.unpack import MemberPart, Unpacked
from mmedc.yamlfile import nearest

Cut = Callable[[str, SourceConfig, tuple[Input, ...], Recipe], Iterator[InputSplit]]


class FormatReader(Protocol):
    """Reads the splits of one format; a small frozen dataclass."""

    @property
    def version(self) -> int:
        """The version, which is raised when the records that it yields change."""

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the raw records of `split` from number `start` on; see `mmedc.engine.chain.Source`."""


@dataclass(frozen=True)
class Format:
    """A format: its files, their reader, and how they are cut into units."""

    key: str
    """The key under which a source of a recipe names its files."""
    name: str
    """The name of the format in messages."""
    files: str
    """A sentence about the files of the format."""
    suffixes: tuple[str, ...]
    """The suffixes of the files that are read in a folder; their first bytes decide what they are."""
    signature: re.Pattern[bytes] | None
    """The first unpacked bytes of a file of this format; None if the format has no signature."""
    reader: FormatReader
    cut: Cut
    """Cuts the files of a pattern into splits. Raises: RecipeError if the recipe does not fit them."""
    bytes_per_s: float
    """Bytes on disk that ingest reads per second and core."""
    together: bool = False
    """Whether the files of all patterns are cut together instead of pattern by pattern."""


def _whole_files(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    for input_file in inputs:
        yield InputSplit(name, config, (input_file,), None, recipe.limits.document, recipe.limits.ratio)


def _archives(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    rules = books.book_rules(recipe)
    for split in _whole_files(name, config, inputs, recipe):
        yield replace(split, books=rules)


def _lines(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    if full := [input_file for input_file in inputs if input_file.bytes and not input_file.problem]:
        jsonl.check_lines(name, full[0], config)
    yield from _whole_files(name, config, inputs, recipe)


def _row_groups(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    def ranges(input_file: Input) -> list[tuple[int, int] | None]:
        if input_file is inputs[0] or input_file.bytes > recipe.limits.unit:
            return parquet.row_group_ranges(name, input_file, config, recipe.limits.unit)
        return [None]

    for input_file, chosen in zip(inputs, read_each(ranges, inputs), strict=True):
        for groups in chosen:
            yield InputSplit(name, config, (input_file,), groups, recipe.limits.document, recipe.limits.ratio)


def _many_files(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    for at in range(0, len(inputs), files.PER_UNIT):
        yield InputSplit(
            name, config, inputs[at : at + files.PER_UNIT], None, recipe.limits.document, recipe.limits.ratio
        )


def _site_lists(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    """Yield one split; the pass `crawl` puts the WARC files in its place that it leaves."""
    yield InputSplit(name, config, inputs, None, recipe.limits.document, recipe.limits.ratio)


# Speeds were measured on a mixed crawl (4.5 MB of gzip hold 23 MB of pages) and on texts made from it, AMD EPYC.
FORMATS = (
    Format(
        "warc",
        "a WARC",
        "WARC or WET files, plain or compressed with gzip, zstd or lz4.",
        warc.SUFFIXES,
        re.compile(rb"WARC/\d"),
        warc.WarcReader(),
        _archives,
        4.5e6,
    ),
    Format(
        "parquet",
        "Parquet",
        "Parquet files that contain text. Only the columns that the source names are read.",
        parquet.SUFFIXES,
        re.compile(rb"PAR1"),
        parquet.ParquetReader(),
        _row_groups,
        4.6e6,
    ),
    Format(
        "jsonl",
        "JSON lines",
        "JSON Lines files, plain or compressed with gzip, zstd or lz4.",
        jsonl.SUFFIXES,
        re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"'),
        jsonl.JsonlReader(),
        _lines,
        1e7,
    ),
    Format(
        "files",
        "a page or text",
        "Saved pages and plain text (.html, .htm, .xhtml, .txt, .md), also compressed, one document per file.",
        files.SUFFIXES,
        None,
        files.FilesReader(),
        _many_files,
        2e7,
    ),
    Format(
        "books",
        "a book or an article",
        "Books and articles, told apart by their content: EPUB, JATS, DOCX, MediaWiki, PubMed, HTML, Markdown, text.",
        books.SUFFIXES,
        None,
        books.BooksReader(),
        books.cut,
        5e6,
    ),
    Format(
        "crawl",
        "a list of sites",
        "Lists of sites, one a line, that are crawled.",
        (".txt",),
        None,
        warc.WarcReader(),
        _site_lists,
        4.5e6,
    ),
    Format(
        "commoncrawl",
        "an index of captures",
        "A mapping: an index of Common Crawl, and which of its captures are fetched.",
        commoncrawl.SUFFIXES,
        re.compile(rb"PAR1|\S+ \d{14} \{| CDX"),
        commoncrawl.CommonCrawlReader(),
        commoncrawl.cut,
        4.5e6,
        together=True,
    ),
)
"""All formats."""


BOOKS = {
    "epub": "an EPUB",
    "pdf": "a PDF",
    "docx": "a DOCX",
    "jats": "an article (JATS)",
    "pubmed": "a set of PubMed",
    "mediawiki": "a dump of MediaWiki",
}
"""What messages call the formats of books that their content shows."""


def format_of(config: SourceConfig) -> Format:
    """Return the format of a source. Raises: RecipeError, with the nearest key, for one that is not known."""
    for known in FORMATS:
        if known.key == config.format:
            return known
    keys = [*(known.key for known in FORMATS), *type(config).model_fields]
    where = f"{config.where}: " if config.where else ""
    raise RecipeError(f'{where}a source has no key "{config.format}"{nearest(config.format, keys)}')


def check_content(name: str, chosen: Format, input_file: Input, direct: bool = False) -> None:
    """Check that the format of a file is the format of its source. Raises: RecipeError.

    `direct`: the source names this file itself. Such a file is refused also where its content has no signature, as a
    page for `warc`; one of several in a folder is left to the reader, which reports it.
    """
    if not input_file.bytes or input_file.problem or (chosen.signature is None and not direct):
        return
    with open_whole(input_file) as stream:
        event = next(iter(Unpacked(stream, input_file.name)), None)
    head = event.data if isinstance(event, MemberPart) else b""
    if not head or (chosen.signature and chosen.signature.match(head)):
        return
    if found := _signed(chosen, head, input_file.name) or (direct and _recognised(chosen, head, input_file.name)):
        what, key = found
        raise RecipeError(f'source "{name}": {input_file.name} is {what}, not {chosen.name}: use `{key}:`')


def _signed(chosen: Format, head: bytes, name: str) -> tuple[str, str] | None:
    """Return (what a file is, its key) by the signature of another format; None for what `chosen` reads itself."""
    if chosen.key == "files" and files.kind_of(name, head) is not None:
        return None
    if chosen.key == "books" and sniff.format_of(head, name):
        return None
    signed = (other for other in FORMATS if other.signature and other.signature.match(head))
    return next(((other.name, other.key) for other in signed), None)


def _recognised(chosen: Format, head: bytes, name: str) -> tuple[str, str] | None:
    """Return (what a file is, its key) if it is a page or a book; None for what `chosen` may be able to read.

    A damaged file can begin anywhere, so that a suffix of `chosen` is believed.
    """
    if chosen.key == "books" or name.lower().endswith(chosen.suffixes):
        return None
    kind = sniff.format_of(head, name)
    if kind in BOOKS:
        return BOOKS[kind], "books"
    if chosen.key in ("warc", "parquet") and name.lower().endswith(files.TEXT_SUFFIXES):
        return "plain text", "files"
    return ("a page", "files") if kind == "html" and chosen.key != "files" else None
