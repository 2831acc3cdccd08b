"""The parts of a recipe: sources, deduplication, books, publication, limits. `mmedc.recipe` has the whole."""

import functools
import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from mmedc.bookparts import BookPart, Fate
from mmedc.filters import open_filters
from mmedc.licences import UNKNOWN, Rule
from mmedc.policy import LANGUAGE_CODE
from mmedc.settings import Bytes, InputPath, InputPaths, Part, PolicyPath, Shape, TokenizerPath, one_or_many

Kind = Literal["web", "book", "textbook", "article", "encyclopedia", "qa"]
ModelName = Literal["lid", "extractor", "medical", "quality", "pages", "kenlm"]


def _switch(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


def _share(value: Any) -> Any:
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value)):
        return float(found[1]) / 100
    if isinstance(value, int) and not isinstance(value, bool) and value == 1:
        raise ValueError("1 may mean 1% or 100%; write the sign")
    return value


Files = Annotated[InputPaths, Field(min_length=1)]
"""One path, pattern or folder, or several."""
Percentage = Annotated[float, Field(ge=0, le=1), BeforeValidator(_share, json_schema_input_type=float | str)]
"""A part of 1; text such as `1%` is accepted."""
Name = Annotated[
    str, Shape("[a-z0-9][a-z0-9_-]{0,62}", "1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit")
]


LicenceNames = Annotated[tuple[str, ...], BeforeValidator(one_or_many, json_schema_input_type=str | tuple[str, ...])]
"""One licence, or several."""


class _Language(Shape):
    """The code of a language; an error says the code where a name is given."""

    def check(self, value: str) -> str:
        """Return `value`. Raises: ValueError when it has another form, with the nearest code."""
        try:
            return super().check(value)
        except ValueError as problem:
            raise ValueError(f"{problem}{open_filters().language_like(value)}") from None


Language = Annotated[str, _Language(LANGUAGE_CODE.pattern, LANGUAGE_CODE.words)]


def _place_of(key: str) -> str:
    """Return the part of a recipe that has a key of this name; empty where none has."""
    parts: dict[str, type[Part]] = {
        "books": Books,
        "books.ocr": Ocr,
        "medical": MedicalConfig,
        "dedup": DedupConfig,
        "dedup.lines": Lines,
        "decontaminate": DecontaminateConfig,
        "classify": ClassifyConfig,
        "publish": Publish,
        "limits": Limits,
    }
    return next((name for name, part in parts.items() if key in part.model_fields), "")


class SourceConfig(Part):
    """One source: exactly one further key, such as `warc`, names the files that it reads and says their format.

    A recipe keeps that key as it is; the table `mmedc.sources.FORMATS` has those that are known.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Files]

    kind: Kind = "web"
    """The kind of document; it becomes a column of the corpus."""
    licence: str = UNKNOWN
    """The SPDX identifier of the licence, for documents that state none."""
    text: str = "text"
    """The column (Parquet) or key (JSON Lines) of the text."""
    url: str | None = None
    """The column or key that identifies a document; by default its place in the input does."""
    title: str | None = None
    """The column or key of the title."""
    date: str | None = None
    """The column or key of the date."""
    policy: PolicyPath | None = None
    """The policy of this source instead of `medical.policy`: a name or a path, or `keep` for a source that is medical
    by its origin: everything is measured, and no limit on how medical a text is drops any of it."""

    @model_validator(mode="after")
    def _one_format(self) -> "SourceConfig":
        given = list(self.__pydantic_extra__)
        if len(given) != 1:
            known = list(type(self).model_fields)
            for key in given if len(given) > 1 else ():
                if near := get_close_matches(key, known, 1):
                    raise ValueError(f'unknown key "{key}"; did you mean "{near[0]}"?')
            for key in given if len(given) > 1 else ():
                if place := _place_of(key):
                    raise ValueError(
                        f'"{key}" is no key of a source; it belongs in `{place}: {{{key}: …}}` of the recipe'
                    )
            found = " and ".join(f'"{key}"' for key in given) or "none"
            raise ValueError(f"a source has exactly one key that names its files, such as warc; this one has {found}")
        return self

    @property
    def format(self) -> str:
        """The key that names the files of this source."""
        return next(iter(self.__pydantic_extra__))

    @property
    def paths(self) -> tuple[str, ...]:
        """The patterns of the files it reads."""
        return tuple(self.__pydantic_extra__[self.format])

    @functools.cached_property
    def where(self) -> str:
        """The file and line of the recipe that name its files, as `read_recipe` puts them; not part of the value."""
        return ""


class MedicalConfig(Part):
    """What counts as medical."""

    policy: PolicyPath = "balanced"
    """The name of a policy in `filters/policies/`, or the path of a policy file, such as `./mine.yaml`."""

    @model_validator(mode="before")
    @classmethod
    def _no_limits(cls, value: Any) -> Any:
        if isinstance(value, dict) and "limits" in value:
            raise ValueError(
                "limits belong to the policy; to replace one, use --set policy.all.medical_model.min=0.8, "
                "or the key `policy` of the recipe: `policy: {all: {medical_model: {min: 0.8}}}`"
            )
        return value


class Lines(Part):
    """Which lines are removed from texts because other documents have them; the best of these documents keeps each."""

    site: Annotated[int, Field(ge=0)] = 10
    """Remove a line as boilerplate when at least this many documents of one site have it; 0 disables the rule."""
    corpus: Annotated[int, Field(ge=0)] = 50
    """Remove a line as boilerplate when at least this many documents of the language have it; 0 disables the rule."""
    passage: Annotated[int, Field(ge=0)] = 100
    """Remove duplicated passages (runs of lines) of at least this many words; 0 disables the rule."""
    words: Annotated[int, Field(ge=3)] = 8
    """Ignore lines of fewer words. In scripts without spaces two characters count as a word."""


class DedupConfig(Part):
    """How similar two documents must be for one of them to be removed."""

    jaccard: Annotated[float, Field(gt=0.3, lt=1.0)] = 0.8
    """Two documents are duplicates when the Jaccard similarity of their 5-word shingles is at least this."""
    minhash: bool = True
    """Whether to remove near duplicates; `false` removes exact duplicates only."""
    prefer: tuple[Kind, ...] = ("textbook", "book", "article", "encyclopedia")
    """Of two duplicates, the one whose kind stands first here stays; all other kinds follow. Then sources decide."""
    against: InputPaths = ()
    """Published corpora (folders or `s3://` URLs): documents that they contain are removed."""
    lines: Annotated[Lines | None, BeforeValidator(_switch, json_schema_input_type=Lines | bool | None)] = None
    """Whether to remove lines that many documents have: `true` for the default limits, or a mapping."""


class DecontaminateConfig(Part):
    """Which benchmark questions must not occur in the corpus; a path or a list of paths is enough."""

    questions: InputPaths = ()
    """Files of questions (JSON Lines, JSON or Parquet): paths, folders or globs."""
    hits: Literal["drop", "mask", "report"] = "drop"
    """`drop` documents that contain a question, `mask` the passage with `…`, or only `report` them."""
    words: Annotated[int, Field(ge=8)] = 13
    """The number of consecutive words that make a hit."""
    characters: Annotated[int, Field(ge=8)] = 20
    """The number of consecutive characters that make a hit in scripts without spaces."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"questions": value} if isinstance(value, str | list | tuple) else value


class ClassifyConfig(Part):
    """A transformer that scores texts in a separate pass, after ingest. A policy decides by a limit on `measure`."""

    checkpoint: InputPath
    """The Hugging Face folder of a sequence-classification model, in safetensors."""
    measure: Literal["quality", "medical_model"] = "quality"
    """The measure that the score becomes."""
    label: str | int = -1
    """The label whose probability is the score: a name, or a number (-1: last). Not for models with one output."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """The number by which the output of a model with a single output is divided."""
    tokens: Annotated[int, Field(gt=0)] = 512
    """The number of tokens of a text that the model reads."""
    batch_tokens: Annotated[int, Field(gt=0)] = 16_384
    """The number of tokens in a batch, including padding. Texts of similar length share a batch."""
    gpus: Annotated[float, Field(ge=0)] = 1.0
    """GPUs per task, on a cluster that has GPUs; 0.25 lets four tasks share one."""


class Ocr(Part):
    """How pages of PDF are read whose text layer is missing or garbled; needs `pip install 'mmedc[ocr]'`."""

    engine: Literal["auto", "paddle", "tesseract"] = "auto"
    """`paddle` (PP-OCRv6: Chinese, Japanese, Latin script), `tesseract`, or `auto`: paddle for Chinese and Japanese."""
    languages: tuple[Language, ...] = ()
    """The languages of the pages; by default those of the recipe."""
    tessdata: InputPath | None = None
    """The folder of Tesseract's models; by default `TESSDATA_PREFIX`, or where Debian installs them."""
    dpi: Annotated[int, Field(ge=72, le=600)] = 200
    """The dots per inch at which a page is drawn."""
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Drop pages whose mean confidence, by the model itself, is lower."""


class Books(Part):
    """How books and articles are read: sources `books`, and the books in sources `warc`."""

    engine: Literal["permissive", "pymupdf"] = "permissive"
    """What reads PDF: `permissive` (pdf-inspector and pdfium), or `pymupdf` (AGPL; `pip install 'mmedc[books]'`)."""
    parts: dict[BookPart, Fate] = {}
    """Which parts of a book are kept or dropped where that is not the default: `{index: keep}`. See the how-to."""
    ocr: Annotated[Ocr | None, BeforeValidator(_switch, json_schema_input_type=Ocr | bool | None)] = None
    """Whether OCR reads the pages that need it: `true` for the defaults, or a mapping. Without it they are dropped."""
    reserved: Fate = "drop"
    """Whether to keep books whose publisher reserves text and data mining (`tdm:reservation`)."""


class Publish(Part):
    """The shape of the corpus on disk."""

    shard: Bytes = 256_000_000
    """The target size of a Parquet file."""
    tokenizer: TokenizerPath = "qwen"
    """The tokenizer that counts tokens: `qwen` (Qwen 2.5, ships with mmedc), or the path of a `tokenizer.json`."""
    split: Literal["section"] | None = None
    """`section` splits books of more than `tokens` at their sections, before they are judged; null does not."""
    tokens: Annotated[int, Field(ge=256)] = 8_192
    """The number of tokens that a piece of a book has at most, with the headings above it."""
    licences: LicenceNames = ()
    """Publish only documents with these licences (SPDX identifiers; `CC-BY-*`: CC-BY in any version); empty: all."""
    unknown: Fate | None = None
    """Whether documents without a stated licence are kept or dropped; by default kept unless `licences` names some."""

    @property
    def rule(self) -> Rule | None:
        """Which licences are published; None for all."""
        unknown = self.unknown or ("drop" if self.licences else "keep")
        return Rule(self.licences, unknown) if self.licences or unknown == "drop" else None


class Limits(Part):
    """How much one document or unit may cost before it is rejected."""

    document: Bytes = 16 * 2**20
    """Reject payloads that are larger than this after decompression."""
    document_seconds: Annotated[float, Field(gt=0)] = 20.0
    """Reject a document that takes more CPU seconds than this in one step."""
    document_memory: Bytes = 2**30
    """Reject a document that makes its parser process grow by more than this."""
    unit_seconds: Annotated[float, Field(gt=0)] = 6 * 3600.0
    """Fail a unit that takes more CPU seconds than this in one attempt."""
    memory: Bytes = 3 * 2**30
    """Memory of a parser process (the document at fault is rejected), and of what a unit keeps (the unit fails)."""
    ratio: Annotated[float, Field(gt=1)] = 200.0
    """A compressed file of lines may unpack to this many times its size, or to 64 MiB; the rest is rejected."""
    html_depth: Annotated[int, Field(gt=0)] = 1_000
    """Reject pages whose elements nest deeper than this. Browsers build 512 levels."""
    html_nodes: Annotated[int, Field(gt=0)] = 300_000
    """Reject pages that have more start and end tags than this, before a parser reads them."""
    unit: Bytes = 256 * 2**20
    """The target size of a unit, for inputs that can be split: Parquet, and large dumps of MediaWiki."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a failed unit is tried again."""


ClassPath = Annotated[str, Shape(r"[\w.]+:\w+", "a class as package.module:Class")]
"""A class, as `package.module:Class`."""


class CustomStep(Part):
    """A custom step: a class of your own (`use`), or a filter or formatter of datatrove (`datatrove`)."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["use"]}, {"required": ["datatrove"]}]})

    use: ClassPath | None = None
    """The class of the step, as `package.module:Class`."""
    datatrove: ClassPath | None = None
    """A filter or formatter of datatrove instead, such as `datatrove.pipeline.filters:FineWebQualityFilter`."""
    after: str
    """The step of the chain that it follows."""
    arguments: dict[str, Any] = {}
    """The arguments of the class."""

    @model_validator(mode="after")
    def _one_class(self) -> "CustomStep":
        if (self.use is None) == (self.datatrove is None):
            found = "neither" if self.use is None else "both"
            raise ValueError(f"a step has exactly one of use and datatrove; this one has {found}")
        return self

    @property
    def target(self) -> str:
        """The class, whichever key names it."""
        return self.use or self.datatrove or ""


class CustomMeasure(Part):
    """A measure of your own: a function from a text to a number."""

    use: Annotated[str, Shape(r"[\w.]+:\w+", "a function as package.module:function")]
    """The function, as `package.module:function`."""
    name: Annotated[str, Shape("[a-z][a-z0-9_]{0,62}", "1 to 63 of a-z, 0-9 and _, beginning with a letter")]
    """The name of the measure: a column of the corpus, and what a policy limits it by."""
    batch: bool = False
    """Whether the function takes a record batch and returns a column, instead of a text and a number."""
