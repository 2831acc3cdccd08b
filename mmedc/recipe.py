"""A recipe: what to build, from which sources, by which policy. YAML in, a checked value out.

Paths of inputs in a recipe file are relative to that file, so that a recipe and its data move
together; paths given by `--set` and `--out` are relative to the current folder.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mmedc.errors import RecipeError
from mmedc.settings import Bytes, Part, Settings, apply_setting, checked
from mmedc.shipped import shipped
from mmedc.yamlfile import YamlFile, nearest, read_yaml

Kind = Literal["web", "book", "textbook", "article", "encyclopedia", "qa"]
ModelName = Literal["lid", "medical", "quality", "kenlm"]
FORMATS = ("warc", "parquet", "jsonl", "files")
"""The keys that say what a source reads; a source has exactly one of them."""


OneOrMany = str | tuple[str, ...]


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


def _safe_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", value):
        raise ValueError("use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit")
    return value


Paths = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_one_or_many, json_schema_input_type=OneOrMany)]
Name = Annotated[str, AfterValidator(_safe_name)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Source(Part):
    """One source. Exactly one of `warc`, `parquet`, `jsonl` and `files` names the files that it reads."""

    warc: Paths | None = None
    """WARC or WET files, plain or compressed with gzip, zstd or lz4."""
    parquet: Paths | None = None
    """Parquet files that contain text. Only the columns that the source names are read."""
    jsonl: Paths | None = None
    """JSON Lines files, plain or compressed with gzip or zstd."""
    files: Paths | None = None
    """Saved pages and plain text (.html, .htm, .xhtml, .txt, .md), one document per file."""
    kind: Kind = "web"
    """The kind of document; it becomes a column of the corpus."""
    licence: str = "unknown"
    """The SPDX identifier of the licence, for documents that state none."""
    text: str = "text"
    """The column (Parquet) or key (JSON Lines) of the text."""
    url: str | None = None
    """The column or key that identifies a document; without one, the file and the row identify it."""
    title: str | None = None
    """The column or key of the title."""
    date: str | None = None
    """The column or key of the date."""

    @model_validator(mode="after")
    def _one_format(self) -> "Source":
        given = [name for name in FORMATS if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"a source has exactly one of {', '.join(FORMATS)}; this one has {given or 'none'}")
        return self

    @property
    def format(self) -> str:
        """The key that says what this source reads."""
        return next(name for name in FORMATS if getattr(self, name))

    @property
    def paths(self) -> tuple[str, ...]:
        """The patterns of the files it reads."""
        return tuple(getattr(self, self.format))


class Medical(Part):
    """What counts as medical."""

    policy: str = "balanced"
    """The name of a policy in `filters/policies/`, or the path of a policy file."""


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


class Dedup(Part):
    """How similar two documents must be for one of them to be removed."""

    jaccard: Annotated[float, Field(gt=0.3, lt=1.0)] = 0.8
    """Two documents are duplicates when the Jaccard similarity of their 5-word shingles is at least this."""
    minhash: bool = True
    """Whether to remove near duplicates; `false` removes exact duplicates only."""
    against: Annotated[tuple[str, ...], BeforeValidator(_one_or_many, json_schema_input_type=OneOrMany)] = ()
    """Published corpora (folders or `s3://` URLs): documents that they contain are removed. Their text is not read."""
    lines: Annotated[Lines | None, BeforeValidator(_switch, json_schema_input_type=Lines | bool | None)] = None
    """Whether to remove lines that many documents have: `true` for the default limits, or a mapping."""


class Decontaminate(Part):
    """Which benchmark questions must not occur in the corpus; a path or a list of paths is enough."""

    questions: Annotated[tuple[str, ...], BeforeValidator(_one_or_many, json_schema_input_type=OneOrMany)] = ()
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


class Classify(Part):
    """A transformer that scores texts in a separate pass, after ingest. A policy decides by a limit on `measure`."""

    checkpoint: str
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


class Publish(Part):
    """The shape of the corpus on disk."""

    shard: Bytes = 256_000_000
    """The target size of a Parquet file."""
    tokenizer: str = "qwen"
    """The tokenizer that counts tokens: `qwen` (Qwen 2.5, ships with mmedc), or the path of a `tokenizer.json`."""


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


class CustomStep(Part):
    """A custom step."""

    use: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
    """The class of the step, as `package.module:Class`."""
    after: str
    """The step of the chain that it follows."""
    arguments: dict[str, Any] = {}
    """The arguments of the class."""


class Recipe(Part):
    """A whole recipe; see docs/reference/recipe.md for every key."""

    name: Name
    """The name of the build. An output folder belongs to one name."""
    out: str = ""
    """Where the corpus is written: a folder or an `s3://` URL. `--out` overrides it."""
    extract: Literal["trafilatura", "resiliparse"] = "trafilatura"
    """The extractor that turns pages into text. `resiliparse` is nine times faster and loses .03 to .06 of F1."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en", "zh", "ja", "fr", "ru", "es")
    """The languages to keep. Each is a folder of `filters/`; `ar`, `de`, `hi`, `it`, `ko` and `pt` ship too."""
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    """The sources by name. Their order is their precedence: of two duplicates, that of the earlier source stays."""
    steps: tuple[CustomStep, ...] = ()
    """Custom steps."""
    filters: str | None = None
    """A folder whose files override those of the shipped `filters/`."""
    block: tuple[str, ...] = ()
    """Files of unwanted hosts, one per line, such as the `domains` of a UT1 category. Subdomains are included."""
    privacy: bool = True
    """Whether to replace e-mail addresses, telephone numbers, identity numbers and patient names with placeholders."""
    models: dict[ModelName, str] = {}
    """Paths of model files that replace the shipped ones: `lid`, `medical`, `quality`; `kenlm` is a folder."""
    medical: Medical = Medical()
    """What counts as medical."""
    classify: Classify | None = None
    """A transformer that scores texts in a separate pass."""
    dedup: Dedup = Dedup()
    """How similar two documents must be for one of them to be removed."""
    decontaminate: Decontaminate = Decontaminate()
    """Benchmark questions that must not occur in the corpus: a path, a list of paths, or a mapping."""
    publish: Publish = Publish()
    """The shape of the corpus on disk."""
    limits: Limits = Limits()
    """How much one document or unit may cost."""
    train: dict[str, Any] | None = None
    """The settings of `mmedc train`."""
    bench: dict[str, Any] | None = None
    """The settings of `mmedc bench`."""


def recipe_file(path: str) -> Path:
    """Return the file of a recipe: `path` itself, or the shipped recipe of this name.

    Raises: RecipeError where it is neither.
    """
    file = Path(path)
    if not file.suffix and not file.exists():
        names = [p.stem for p in shipped("pipelines").glob("*.yaml")]
        if path not in names:
            raise RecipeError(f"{path}: no such file, and no shipped recipe of this name{nearest(path, names)}")
        file = shipped("pipelines") / f"{path}.yaml"
    return file


def read_recipe(path: str, sets: list[str] | None = None) -> Recipe:
    """Read the recipe `path`: a file, or the name of a shipped recipe such as `quickstart`.

    `sets` are `key.sub=value` strings that replace values; a value is YAML.

    Raises: RecipeError with file, line, key, and the nearest valid name where one is unknown.
    """
    file = recipe_file(path)
    yaml = read_yaml(file, RecipeError)
    if not isinstance(yaml.data, dict):
        raise RecipeError(f"{file}: a recipe is a mapping of keys to values; docs/reference/recipe.md has them all")
    _anchor(yaml.data, file.parent)
    for setting in sets or []:
        apply_setting(yaml, setting, one_of=FORMATS)
    return checked(Recipe, yaml)


def read_part(path: str, part: str, model: type[Settings], sets: list[str] | None, docs: str) -> Settings:
    """Return the part `part` of the recipe `path`, or the whole file where it has no such part, as a `model`.

    `sets` are as for `read_recipe`, below the part; `docs` is where its keys are told.

    Raises: RecipeError with file, line and key.
    """
    yaml = read_yaml(recipe_file(path), RecipeError)
    if not isinstance(yaml.data, dict):
        raise RecipeError(f"{yaml.path}: expected a mapping of keys to values; {docs} has them all")
    if isinstance(yaml.data.get(part), dict):
        lines = {key[1:]: line for key, line in yaml.lines.items() if key[:1] == (part,)}
        yaml = YamlFile(yaml.path, yaml.data[part], lines)
    for setting in sets or []:
        apply_setting(yaml, setting)
    return checked(model, yaml)


def _anchor(data: dict[str, Any], folder: Path) -> None:
    """Make the paths of inputs in `data` relative to `folder`, where they are neither absolute nor URLs."""

    def anchored(value: Any) -> Any:
        if isinstance(value, list):
            return [anchored(item) for item in value]
        if isinstance(value, str) and "://" not in value and not value.startswith("/"):
            return str(folder / value)
        return value

    sources = data.get("sources")
    for source in sources.values() if isinstance(sources, dict) else ():
        if isinstance(source, dict):
            source.update({key: anchored(source[key]) for key in FORMATS if key in source})
    for place, keys in ((data, ("filters", "block")), (data.get("models"), get_args(ModelName))):
        if isinstance(place, dict):
            place.update({key: anchored(place[key]) for key in keys if key in place})
    dedup = data.get("dedup")
    if isinstance(dedup, dict) and "against" in dedup:
        dedup["against"] = anchored(dedup["against"])
    questions = data.get("decontaminate")
    if isinstance(questions, dict) and "questions" in questions:
        questions["questions"] = anchored(questions["questions"])
    elif isinstance(questions, str | list):
        data["decontaminate"] = anchored(questions)
    for part, key in (("medical", "policy"), ("publish", "tokenizer")):
        place = data.get(part)
        if isinstance(place, dict) and isinstance(place.get(key), str) and "/" in place[key]:
            place[key] = anchored(place[key])
