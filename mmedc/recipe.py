"""A recipe: what to build, from which sources, by which policy. YAML in, a checked value out.

Every path in a recipe is relative to the file that contains it, so that a recipe and its data move together;
paths given by `--set` and `--out` are relative to the current folder, and so are those of a shipped recipe.
"""

import contextlib
import copy
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from mmedc.errors import RecipeError, RequestError
from mmedc.filters import Filters, open_filters
from mmedc.licences import is_name, unknown_name
from mmedc.policy import KEEP, PartialLimit, Policy
from mmedc.recipe_parts import (
    Books,
    ClassifyConfig,
    CustomMeasure,
    CustomStep,
    DecontaminateConfig,
    DedupConfig,
    Language,
    Limits,
    MedicalConfig,
    ModelName,
    Name,
    Percentage,
    Publish,
)
from mmedc.settings import AS_WRITTEN, InputPath, InputPaths, OutputPath, Part, Settings, apply_setting, checked
from mmedc.shipped import shipped
from mmedc.sourcekeys import SOURCE_KEYS, AnySource
from mmedc.yamlfile import YamlFile, dotted, nearest, read_yaml


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
    sources: Annotated[dict[Name, AnySource], Field(min_length=1)]
    """The sources by name. Their order is their precedence: of two duplicates of a kind, the first source's stays."""
    steps: tuple[CustomStep, ...] = ()
    """Custom steps, each after a step that it names."""
    measures: tuple[CustomMeasure, ...] = ()
    """Custom measures."""
    filters: InputPath | None = None
    """A folder whose files override those of the shipped `filters/`. A lexicon of `+` and `-` lines edits it."""
    block: InputPaths = ()
    """Files of unwanted hosts, one per line, such as the `domains` of a UT1 category. Subdomains are included."""
    forget: InputPaths = ()
    """Lists of URLs, domains, DOIs and ids whose documents are never stored, such as those of `mmedc forget`."""
    opt_outs: Literal["honour", "record"] = "record"
    """Whether pages in archives that ask not to be used to train models are dropped, or kept with that on record. What
    a crawl stores is said by the `opt_outs` of its source."""
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
        self._check_licences()
        found = filters.policy(
            self.medical.policy,
            self.languages,
            measures,
            limits=self.policy,
            subject=lambda keys: self.places.subject(("policy", *keys)),
        )
        found = replace(found, licences=self.publish.rule)
        return replace(found, of_sources=self._policies_of_sources(filters, found, measures))

    def _policies_of_sources(self, filters: Filters, whole: Policy, measures: Iterable[str]) -> dict[str, Policy]:
        """Return the policies of the sources that have one of their own. Raises: PolicyError."""
        found = {}
        for name, source in self.sources.items():
            if source.policy == KEEP:
                found[name] = whole.keeping()
            elif source.policy is not None:
                with self.at("sources", name, "policy"):
                    filters.policy_file(source.policy, besides=(KEEP,))
                    own = filters.policy(
                        source.policy,
                        self.languages,
                        measures,
                        limits=self.policy,
                        subject=lambda keys: self.places.subject(("policy", *keys)),
                        known_languages=whole.languages,
                    )
                found[name] = replace(own, licences=whole.licences)
        return found

    def _check_licences(self) -> None:
        """Check the names of `publish.licences`. Raises: RecipeError with the nearest name."""
        stated = [source.licence for source in self.sources.values()]
        for number, name in enumerate(self.publish.licences):
            with self.at("publish", "licences", number):
                if not is_name(name, stated):
                    raise RecipeError(unknown_name(name, stated))

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
    sources = set(_sources(yaml))
    for setting in sets or []:
        apply_setting(yaml, setting, source_keys=SOURCE_KEYS)
    _refuse_unknown_source(yaml, sources)
    recipe = checked(Recipe, yaml, folder=_folder(file))
    recipe.__dict__["folder"] = os.path.abspath(_folder(file) or ".")
    recipe.__dict__["origin"] = path if _folder(file) == "" else os.path.abspath(file), tuple(sets or ())
    recipe.__dict__["places"] = YamlFile(yaml.path, None, yaml.lines, yaml.settings)
    for name, source in recipe.sources.items():
        source.__dict__["where"] = yaml.where(("sources", name, source.format))
    return recipe


def _sources(yaml: YamlFile) -> Mapping[str, Any]:
    sources = yaml.data.get("sources")
    return sources if isinstance(sources, dict) else {}


def _refuse_unknown_source(yaml: YamlFile, written: set[str]) -> None:
    """Refuse a `--set sources.NAME.KEY` whose name is not in the recipe, unless `--set` also names its files."""
    for name, source in _sources(yaml).items():
        if name not in written and isinstance(source, dict) and source.keys() <= set(SOURCE_KEYS):
            raise RecipeError(f'--set sources.{name}: the recipe has no source "{name}"{nearest(name, written)}')


def recipe_of(values: Mapping[str, Any], sets: Iterable[str] = ()) -> Recipe:
    """Return the recipe of stored `values`, whose paths are absolute; `sets` are as for `read_recipe`.

    Raises: RecipeError.
    """
    yaml = YamlFile("recipe", copy.deepcopy(dict(values)))
    for setting in sets:
        apply_setting(yaml, setting, source_keys=SOURCE_KEYS)
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
