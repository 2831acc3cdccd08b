"""A recipe: what to build, from which sources, by which policy. YAML in, a checked value out.

Every path in a recipe is relative to the file that contains it, so that a recipe and its data move together;
paths given by `--set` and `--out` are relative to the current folder, and so are those of a shipped recipe.
"""

import contextlib
import copy
import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from mmedc.bookparts import BookPart, Fate
from mmedc.document import UNKNOWN
from mmedc.errors import RecipeError, RequestError
from mmedc.filters import open_filters
from mmedc.policy import LANGUAGE_CODE, PartialLimit, Policy
from mmedc.settings import (
    AS_WRITTEN,
    Bytes,
    InputPath,
    InputPaths,
    OutputPath,
    Part,
    PolicyPath,
    Settings,
    Shape,
    TokenizerPath,
    apply_setting,
    checked,
)
from mmedc.shipped import shipped
from mmedc.yamlfile import YamlFile, dotted, nearest, read_yaml

Kind = Literal["web", "book", "textbook", "article", "encyclopedia", "qa"]
ModelName = Literal["lid", "extractor", "medical", "quality", "kenlm"]


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


class _Language(Shape):
    """The code of a language; an error says the code where a name is given."""

    def check(self, value: str) -> str:
        """Return `value`. Raises: ValueError when it has another form, with the nearest code."""
        try:
            return super().check(value)
        except ValueError as problem:
            raise ValueError(f"{problem}{open_filters().language_like(value)}") from None


Language = Annotated[str, _Language(LANGUAGE_CODE.pattern, LANGUAGE_CODE.words)]


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

    @model_validator(mode="after")
    def _one_format(self) -> "SourceConfig":
        given = list(self.__pydantic_extra__)
        if len(given) != 1:
            known = list(type(self).model_fields)
            for key in given if len(given) > 1 else ():
                if near := get_close_matches(key, known, 1):
                    raise ValueError(f'unknown key "{key}"; did you mean "{near[0]}"?')
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
    """The target size of a unit, for inputs that can be split (Parquet, by row groups)."""
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


class Recipe(Part):
    """A whole recipe; see docs/reference/recipe.md for every key."""

    name: Name
    """The name of the build. What one build left is not overwritten by another."""
    out: OutputPath = ""
    """Where the corpus is written: a folder or an `s3://` URL. `--out` overrides it."""
    extract: Literal["mmedc", "trafilatura", "resiliparse"] = "mmedc"
    """The extractor that turns pages into text: our own (docs/explanation/extraction.md), or another."""
    ruby: Literal["base", "readings"] = "base"
    """What is kept of ruby: the base text, or the readings too, in brackets. Only our own extractor reads this key."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en", "zh", "ja", "fr", "ru", "es")
    """The languages to keep, of those in `filters/`; `ar`, `de`, `hi`, `it`, `ko` and `pt` ship too."""
    sources: Annotated[dict[Name, SourceConfig], Field(min_length=1)]
    """The sources by name. Their order is their precedence: of two duplicates of a kind, the first source's stays."""
    steps: tuple[CustomStep, ...] = ()
    """Custom steps, each after a step that it names."""
    measures: tuple[CustomMeasure, ...] = ()
    """Custom measures."""
    filters: InputPath | None = None
    """A folder whose files override those of the shipped `filters/`. A lexicon of `+` and `-` lines edits it."""
    block: InputPaths = ()
    """Files of unwanted hosts, one per line, such as the `domains` of a UT1 category. Subdomains are included."""
    privacy: bool = True
    """Whether to replace e-mail addresses, telephone numbers, identity numbers and patient names with placeholders."""
    models: dict[ModelName, InputPath] = {}
    """Paths of model files that replace the shipped ones: `lid`, `medical`, `quality`; `kenlm` is a folder."""
    medical: MedicalConfig = MedicalConfig()
    """What counts as medical."""
    policy: dict[str, dict[str, PartialLimit]] = {}
    """Limits that replace those of `medical.policy`: by language or `all`, then by measure."""
    classify: ClassifyConfig | None = None
    """A transformer that scores texts in a separate pass."""
    dedup: DedupConfig = DedupConfig()
    """How similar two documents must be for one of them to be removed."""
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    """Benchmark questions that must not occur in the corpus: a path, a list of paths, or a mapping."""
    books: Books = Books()
    """How books and articles are read."""
    publish: Publish = Publish()
    """The shape of the corpus on disk."""
    limits: Limits = Limits()
    """How much one document or unit may cost."""
    fail_above: Percentage | None = None
    """Fail the run when more of the records of a source are rejected than this, such as `1%`. Without it, when more
    than 1% and more than ten records are."""
    train: dict[str, Any] | None = None
    """The settings of `mmedc train`."""
    bench: dict[str, Any] | None = None
    """The settings of `mmedc bench`."""

    def read_policy(self, measures: Iterable[str] = ()) -> Policy:
        """Return the policy that the recipe names, with the recipe's limits in place; `measures` are custom ones.

        Raises: PolicyError, also for a limit on a measure that nothing computes.
        """
        with self.at("filters"):
            filters = open_filters(self.filters)
        for number, code in enumerate(self.languages):
            with self.at("languages", number):
                filters.require(code)
        with self.at("medical", "policy"):
            filters.policy_file(self.medical.policy)
        return filters.policy(
            self.medical.policy,
            self.languages,
            measures,
            limits=self.policy,
            subject=lambda keys: self.places.subject(("policy", *keys)),
        )

    @functools.cached_property
    def places(self) -> YamlFile:
        """The file and the lines of the keys, as `read_recipe` puts them; not part of the value."""
        return YamlFile("", None)

    @functools.cached_property
    def origin(self) -> tuple[str, tuple[str, ...]]:
        """The file or shipped name, and the `sets`, as `read_recipe` was given them; not part of the value."""
        return "", ()

    @functools.cached_property
    def folder(self) -> str:
        """The folder that its paths are relative to, in which its modules may be; `read_recipe` puts it."""
        return ""

    @contextlib.contextmanager
    def at(self, *keys: str | int) -> Iterator[None]:
        """Name the file, line and key in what is said to be wrong with the value of `keys`.

        Raises: the RequestError of what is inside, with the place in front of its message.
        """
        try:
            yield
        except RequestError as problem:
            text, subject = str(problem), self.places.subject(keys)
            rest = text.removeprefix(dotted(keys))
            raise type(problem)(f"{subject}: {text}" if rest == text else f"{subject}{rest}") from None

    def as_written(self) -> dict[str, Any]:
        """Return what differs from the defaults, as JSON values, with paths as the user wrote them."""
        return self.model_dump(mode="json", exclude_defaults=True, context=AS_WRITTEN)


def recipe_file(path: str) -> Path:
    """Return the file of a recipe: `path` itself, or the shipped recipe of this name.

    Raises: RecipeError when it is neither.
    """
    file = Path(path)
    if file.is_dir():
        inside = sorted(file.glob("*.yaml"), key=lambda each: (each.name != "recipe.yaml", each.name))
        raise RecipeError(f"{path}: a folder; expected a recipe file" + (f", such as {inside[0]}" if inside else ""))
    if not file.suffix and not file.exists():
        names = [p.stem for p in shipped("pipelines").glob("*.yaml")]
        if path not in names:
            raise RecipeError(f"{path}: no such file, and no shipped recipe of this name{nearest(path, names)}")
        file = shipped("pipelines") / f"{path}.yaml"
    elif not file.exists():
        close = get_close_matches(file.name, [each.name for each in file.parent.glob("*.yaml")], 1)
        raise RecipeError(f"{path}: no such file" + (f'; did you mean "{file.parent / close[0]}"?' if close else ""))
    return file


def read_recipe(path: str, sets: list[str] | None = None) -> Recipe:
    """Read the recipe `path`: a file, or the name of a shipped recipe such as `quickstart`.

    `sets` are `key.sub=value` strings that replace values; a value is YAML.

    Raises: RecipeError with file, line, key, and the nearest valid name where one is unknown.
    """
    file = recipe_file(path)
    yaml = _mapping(file, "docs/reference/recipe.md")
    _refuse_others(yaml, path)
    for setting in sets or []:
        apply_setting(yaml, setting, source_keys=tuple(SourceConfig.model_fields))
    recipe = checked(Recipe, yaml, folder=_folder(file))
    recipe.__dict__["folder"] = os.path.abspath(_folder(file) or ".")
    recipe.__dict__["origin"] = path if _folder(file) == "" else os.path.abspath(file), tuple(sets or ())
    recipe.__dict__["places"] = YamlFile(yaml.path, None, yaml.lines, yaml.settings)
    for name, source in recipe.sources.items():
        source.__dict__["where"] = yaml.where(("sources", name, source.format))
    return recipe


def recipe_of(values: Mapping[str, Any], sets: Iterable[str] = ()) -> Recipe:
    """Return the recipe of stored `values`, whose paths are absolute; `sets` are as for `read_recipe`.

    Raises: RecipeError.
    """
    yaml = YamlFile("recipe", copy.deepcopy(dict(values)))
    for setting in sets:
        apply_setting(yaml, setting, source_keys=tuple(SourceConfig.model_fields))
    recipe = checked(Recipe, yaml)
    recipe.__dict__["places"] = YamlFile(yaml.path, None, yaml.lines, yaml.settings)
    return recipe


def read_part(path: str, part: str, model: type[Settings], sets: list[str] | None, docs: str) -> Settings:
    """Return the part `part` of the recipe `path`, or the whole file where it has no such part, as a `model`.

    `sets` are as for `read_recipe`, below the part; `docs` is the page that explains its keys.

    Raises: RecipeError with file, line and key.
    """
    file = recipe_file(path)
    yaml = _mapping(file, docs)
    if isinstance(yaml.data.get(part), dict):
        yaml = yaml.part(part)
    elif "sources" in yaml.data:
        raise RecipeError(
            f"{yaml.path}: is the recipe of a corpus, without a part `{part}`; add one to it, or give a file with only "
            f"the settings of `mmedc {part}` ({docs} explains them)"
        )
    for setting in sets or []:
        apply_setting(yaml, setting)
    return checked(model, yaml, folder=_folder(file), current_too=True)


OTHERS = {"train": ("model", "optimizer", "data"), "bench": ("items", "protocol", "backend")}
"""Keys by which a file of settings of another command is known."""


def _refuse_others(yaml: YamlFile, path: str) -> None:
    """Check that a file without sources is no file of settings of another command. Raises: RecipeError."""
    if "sources" in yaml.data:
        return
    for command, keys in sorted(OTHERS.items()):
        if command in yaml.data or any(key in yaml.data for key in keys):
            raise RecipeError(
                f"{yaml.path}: has no `sources`, so it is no recipe of a corpus but settings of `mmedc {command}`; "
                f"give `mmedc {command} {path}`"
            )


def _mapping(file: Path, docs: str) -> YamlFile:
    yaml = read_yaml(file, RecipeError)
    if not isinstance(yaml.data, dict):
        raise RecipeError(f"{file}: expected a mapping of keys to values; {docs} explains them all")
    return yaml


def _folder(file: Path) -> str:
    """Return the folder that paths in a recipe are relative to: its own, or the current one for a shipped recipe."""
    return "" if file.resolve().parent == shipped("pipelines").resolve() else str(file.parent)
