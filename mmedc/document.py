"""The one row type of mmedc: a document, as an Arrow schema, and the measures it carries."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

MEASURES: dict[str, str] = {
    "lang_score": "the probability that the identification model gives the language, 0 to 1",
    "medical_terms": "the number of distinct lexicon terms of the document's language in the text; a term that general "
    "text has, too, counts a quarter",
    "medical_density": "the share of the text's characters that lie inside lexicon terms, 0 to 1",
    "medical_spread": "the share of the text's tenths that contain a lexicon term, 0 to 1",
    "medical_model": "the probability that the medical model gives to medical, 0 to 1; null for languages it lacks",
    "quality": "the probability that the quality model gives to good, 0 to 1; null without such a model",
    "perplexity": "the perplexity per piece by the language's KenLM model, from 1 up; null without such a model",
    "private_items": "the number of placeholders for e-mail addresses, telephone numbers and the like",
    "chars": "the number of characters (Unicode code points)",
    "words": "the number of words; in scripts without spaces, of characters",
    "letter_ratio": "the share of letters and their marks among the characters that are not space, 0 to 1",
    "symbol_ratio": "the share of symbols such as # | = < > among the characters that are not space, 0 to 1",
    "mean_word_chars": "the mean length of a word in characters; 1 in scripts without spaces",
    "stopword_ratio": "the share of words that are stop words of the language, 0 to 1",
    "duplicate_line_ratio": "the share of characters in lines that occurred before in the same text, 0 to 1",
    "sentence_end_ratio": "the share of lines of 5+ words that end like a sentence, 0 to 1; 1 without such lines",
    "top_trigram_ratio": "the share of words in the most common run of 3, 0 to 1 (Gopher, arXiv 2112.11446, A1.1)",
}
"""Every measure, with its unit. A column of float32; null where it could not be computed."""

SCHEMA_VERSION = 5
SECTION = pa.struct([("offset", pa.int32()), ("title", pa.string()), ("level", pa.int8())])
"""A section of a text: its first character, its heading, and the depth of the heading, from 1 for the highest."""

LEFT_OUT = pa.struct([("part", pa.string()), ("title", pa.string()), ("chars", pa.int32())])
"""A part of a book that was left out: what it was taken for, its heading, and its length in characters."""

STRUCTURE = (
    pa.field("authors", pa.list_(pa.string())),  # as the source names them, in its order
    pa.field("identifiers", pa.list_(pa.string())),  # `doi:10.…`, `isbn:…`, `pmid:…`, `url:…` for a canonical URL
    pa.field("licence_evidence", pa.string()),  # where the licence was found: `source`, `page`, `jats`, `epub`, …
    pa.field("sections", pa.list_(SECTION)),  # in order, each at the beginning of its heading
    pa.field("pages", pa.list_(pa.int32())),  # the offset of each page of a book, in characters
    pa.field(
        "left_out", pa.list_(LEFT_OUT)
    ),  # the parts of a book that are not in the text: `books.parts` of the recipe
)
"""The columns for what a source or a page knows about a document beside its text; null where nothing is known."""

RESERVED = "tdm:reservation"
"""Says in `licence_evidence` that the publisher reserves text and data mining, of a document that is kept anyway."""

OPT_OUT = "opt-out "
"""Begins in `licence_evidence` the wishes of a page against its use, of a document that is kept anyway."""

OFFSETS = ("sections", "pages")
"""The columns that hold offsets in characters of `text`. A step that changes `text` changes them too."""

DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # 32 hex digits, see `document_id`
        pa.field("text", pa.large_string(), nullable=False),  # Unicode NFC
        pa.field("lang", pa.string(), nullable=False),  # ISO 639-1
        pa.field("source", pa.string(), nullable=False),  # its name in the recipe
        pa.field("kind", pa.string(), nullable=False),  # web, book, textbook, article, encyclopedia, qa
        pa.field("locator", pa.string(), nullable=False),  # URL, or `file.pdf#pages=13-40`
        pa.field("title", pa.string()),
        pa.field("date", pa.string()),  # ISO 8601, as precise as the source has it
        pa.field("licence", pa.string(), nullable=False),  # SPDX or `unknown`
        pa.field("tokens", pa.int32()),  # by the tokenizer that the manifest names
        *STRUCTURE,
        pa.field("provenance", pa.string(), nullable=False),  # input file and record: `part-0.warc.gz#17`
        pa.field("removed_chars", pa.int32()),  # of lines that were removed because other documents have them
        pa.field("bucket", pa.string()),  # of perplexity: head, middle, tail; null without a model
        *(pa.field(name, pa.float32()) for name in MEASURES),
    ],
    metadata={"mmedc.schema": str(SCHEMA_VERSION)},
)
"""A published document."""

RAW = pa.schema(
    [
        pa.field("ordinal", pa.int64(), nullable=False),  # position among the unit's records, from 0
        pa.field("locator", pa.string(), nullable=False),
        pa.field("provenance", pa.string(), nullable=False),
        pa.field("payload", pa.large_binary()),  # undecoded page; null where the source has text
        pa.field("content_type", pa.string()),  # as sent by the server
        pa.field("charset", pa.string()),  # as sent by the server
        pa.field("text", pa.large_string()),
        pa.field("title", pa.string()),
        pa.field("date", pa.string()),
        pa.field("kind", pa.string()),  # null: the kind of the source in the recipe
        pa.field("licence", pa.string()),  # null: the licence of the source in the recipe
        *STRUCTURE,
        pa.field("opt_out", pa.string()),  # wishes that it is not used to train models; ingest puts them into evidence
        pa.field("dropped_by", pa.string()),  # reason; null = kept
        pa.field("rejected_by", pa.string()),  # reason, then what was seen; null = sound
    ]
)
"""A raw record, as a source yields it before any step."""


SCRATCH = ("payload", "content_type", "charset", "html", "dropped_by", "rejected_by")
"""The columns that only the chain uses; they are removed at its end."""


def document_schema(columns: tuple[pa.Field, ...]) -> pa.Schema:
    """Return the schema of documents to which a recipe's own steps and measures add `columns`."""
    return pa.schema([*DOCUMENT, *columns], metadata=DOCUMENT.metadata)


def document_id(source: str, locator: str) -> str:
    """Return the id of a document: 32 hex digits of SHA-256 over source and locator."""
    return hashlib.sha256(f"{source}\0{locator}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def set_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    """Return `batch` with column `name` set to `values`, replacing the one it had."""
    at = batch.schema.get_field_index(name)
    return batch.append_column(name, values) if at < 0 else batch.set_column(at, name, values)


def source_of(batch: pa.RecordBatch) -> str | None:
    """Return the source of a batch of ingest where it has a policy of its own; None where the recipe's holds."""
    return batch.column("source")[0].as_py() if "source" in batch.schema.names and batch.num_rows else None


def offset_columns(batch: pa.RecordBatch) -> list[str]:
    """Return which of the OFFSETS columns `batch` has."""
    return [name for name in OFFSETS if name in batch.schema.names]


def views(column: pa.Array) -> list[memoryview | None]:
    """Return a view of the bytes of each text or binary value, or None if the value is null.

    Unlike the scalars of Arrow, the views do not copy the values.
    """
    _, offsets, data = column.buffers()
    large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    ends = np.frombuffer(offsets, np.int64 if large else np.int32)[column.offset :][: len(column) + 1].tolist()
    seen = memoryview(data or b"")
    valid = column.is_valid().to_pylist()
    return [seen[a:b] if sound else None for a, b, sound in zip(ends[:-1], ends[1:], valid, strict=True)]


def edited_text(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    """Return `text` with the characters from start to stop replaced by `by`, for each (start, stop, by) of `spans`.

    The spans are sorted and do not overlap.
    """
    pieces, end = [], 0
    for start, stop, by in spans:
        pieces += [text[end:start], by]
        end = stop
    return "".join([*pieces, text[end:]])


def edited_offsets(row: dict[str, Any], spans: Sequence[tuple[int, int, str]]) -> dict[str, Any]:
    """Return `row`, the OFFSETS columns of a document, as they are after `edited_text` with the same spans.

    An offset inside a span becomes the place at which what replaces the span begins.
    """

    def at(offset: int) -> int:
        shift = 0
        for start, stop, by in spans:
            if stop > offset:
                return min(start, offset) + shift
            shift += len(by) - (stop - start)
        return offset + shift

    def moved(value: Any) -> Any:
        return {**value, "offset": at(value["offset"])} if isinstance(value, dict) else at(value)

    return {name: values and [moved(value) for value in values] for name, values in row.items()}
