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


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


def _safe_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", value):
        raise ValueError("use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit")
    return value


Paths = Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(min_length=1)]
Name = Annotated[str, AfterValidator(_safe_name)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Source(Part):
    """One source: exactly one of `warc`, `parquet`, `jsonl` and `files` says what it reads."""

    warc: Paths | None = None
    """WARC or WET files, plain or compressed by gzip, zstd or lz4."""
    parquet: Paths | None = None
    """Parquet files that hold text already."""
    jsonl: Paths | None = None
    """JSON lines, plain or compressed by gzip or zstd."""
    files: Paths | None = None
    """Saved pages and plain text (.html, .htm, .xhtml, .txt, .md), one document a file."""
    kind: Kind = "web"
    licence: str = "unknown"
    """SPDX identifier of what the source grants, where a document states none."""
    text: str = "text"
    """Column or key of the text (Parquet, JSONL)."""
    url: str | None = None
    """Column or key that names a document; without it, file and row do."""
    title: str | None = None
    date: str | None = None

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
    """A policy of `filters/policies/`, or the path of a policy file."""


class Lines(Part):
    """Which lines go from a text since other documents have them; each stays in the best of these."""

    site: Annotated[int, Field(ge=0)] = 10
    """Documents of a site that have a line of boilerplate; 0: never for that."""
    corpus: Annotated[int, Field(ge=0)] = 50
    """Documents of a language that have one, wherever they are from; 0: never for that."""
    passage: Annotated[int, Field(ge=0)] = 100
    """Words of a run of lines that other documents have, from which on it goes; 0: never for that."""
    words: Annotated[int, Field(ge=3)] = 8
    """A line of fewer words is not looked at. Two characters of scripts without spaces are a word."""


class Dedup(Part):
    """How alike two documents must be for one to go."""

    jaccard: Annotated[float, Field(gt=0.3, lt=1.0)] = 0.8
    """Similarity of the sets of 5-token shingles from which two documents are duplicates."""
    minhash: bool = True
    """False: exact duplicates only."""
    against: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = ()
    """Published corpora: what they have already goes."""
    lines: Annotated[Lines | None, BeforeValidator(_switch)] = None
    """Take out lines that many documents have; `true` for the usual limits."""


class Decontaminate(Part):
    """Which benchmark questions must not stand in the corpus; a path or a list of paths will do."""

    questions: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = ()
    """Files of questions, JSON lines or Parquet; paths, folders or globs."""
    hits: Literal["drop", "mask", "report"] = "drop"
    """What becomes of a document that holds one: it goes, the passage goes, or it is only told."""
    words: Annotated[int, Field(ge=8)] = 13
    """Words in a row that make a hit."""
    characters: Annotated[int, Field(ge=8)] = 20
    """The same in scripts without spaces."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"questions": value} if isinstance(value, str | list | tuple) else value


class Classify(Part):
    """A transformer that scores texts in a pass of its own, after gather; give the policy a limit on `measure`."""

    checkpoint: str
    """A Hugging Face folder of a model for sequence classification, in safetensors."""
    measure: Literal["quality", "medical_model"] = "quality"
    """What its score is called."""
    label: str | int = -1
    """Whose probability is the score: a name, or a number, -1 for the last. Of a model with one output that counts."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """What the output of a model with one output is divided by."""
    tokens: Annotated[int, Field(gt=0)] = 512
    """Of a text that are looked at."""
    batch_tokens: Annotated[int, Field(gt=0)] = 16_384
    """Tokens of a batch, padding and all; texts of like length go together."""
    gpus: Annotated[float, Field(ge=0)] = 1.0
    """Of a task, where the cluster has any; .25 lets four tasks share one."""


class Publish(Part):
    """The shape of the corpus on disk."""

    shard: Bytes = 256_000_000
    """Target size of a Parquet file."""
    tokenizer: str = "qwen"
    """`qwen` (ships with mmedc), or the path of a Hugging Face `tokenizer.json`."""


class Limits(Part):
    """What one document or unit may cost before it is rejected or cut off."""

    document: Bytes = 16 * 2**20
    """Largest payload after decompression."""
    document_seconds: Annotated[float, Field(gt=0)] = 20.0
    """CPU seconds that one document may take in one step."""
    document_memory: Bytes = 2**30
    """Bytes by which one document may make its parser process grow."""
    unit_seconds: Annotated[float, Field(gt=0)] = 6 * 3600.0
    """CPU seconds that one unit may take in one attempt."""
    memory: Bytes = 3 * 2**30
    """Resident memory of one parser process."""
    ratio: Annotated[float, Field(gt=1)] = 200.0
    """How many times its size a compressed file of lines may unpack to, beyond 64 MiB."""
    html_depth: Annotated[int, Field(gt=0)] = 1_000
    """How deep the elements of a page may nest; browsers build 512 levels."""
    html_nodes: Annotated[int, Field(gt=0)] = 300_000
    """Start and end tags of a page."""
    unit: Bytes = 256 * 2**20
    """Target size of a unit where an input can be split (Parquet row groups)."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a unit that failed is tried again."""


class CustomStep(Part):
    """A step of the user's own: `use: package.module:Class`, with the arguments of that class."""

    use: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
    after: str
    """The step of the default chain that it follows."""
    arguments: dict[str, Any] = {}


class Recipe(Part):
    """A whole recipe; see docs/recipe.md for every key."""

    name: Name
    out: str = ""
    extract: Literal["trafilatura", "resiliparse"] = "trafilatura"
    """What turns pages into text: the reference for quality, or one that is nine times faster."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en", "zh", "ja", "fr", "ru", "es")
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    steps: tuple[CustomStep, ...] = ()
    filters: str | None = None
    """A folder whose files come before those of the shipped `filters/`."""
    block: tuple[str, ...] = ()
    """Lists of unwanted hosts, one a line, such as `domains` of a UT1 category; a host stands for its subdomains."""
    privacy: bool = True
    """Replace e-mail addresses, telephone numbers and the like by placeholders."""
    models: dict[ModelName, str] = {}
    """Paths of model files, instead of the ones that ship or are found on this machine."""
    medical: Medical = Medical()
    classify: Classify | None = None
    dedup: Dedup = Dedup()
    decontaminate: Decontaminate = Decontaminate()
    publish: Publish = Publish()
    limits: Limits = Limits()
    train: dict[str, Any] | None = None
    """For `mmedc train`; see docs/training.md."""
    bench: dict[str, Any] | None = None
    """For `mmedc bench`."""


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
        raise RecipeError(f"{file}: a recipe is a mapping of keys to values; docs/recipe.md has them all")
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
