"""Settings from YAML as checked values: what a recipe, a training, a benchmark and a policy have in common."""

import glob
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from mmedc.errors import RecipeError, RequestError
from mmedc.redact import holds_secret
from mmedc.shipped import SHIPPED, shipped_file
from mmedc.wording import sentence
from mmedc.yamlfile import Keys, YamlFile, dotted, nearest, parse_yaml

_DECIMAL = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS = {**_DECIMAL, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def _size(value: Any) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("expected a size such as 256MB or 64MiB")
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)):
        number, unit = found.groups()
        if unit.upper() in _UNITS:
            return int(float(number) * _UNITS[unit.upper()])
        raise ValueError(f'unknown unit "{unit}"; expected a size such as 256MB or 64MiB')
    if isinstance(value, str):
        raise ValueError("expected a size such as 256MB or 64MiB")
    return value


@dataclass(frozen=True)
class Shape:
    """Marks a text of settings that has a form: a regular expression for the whole text, and that form in words."""

    pattern: str
    words: str
    """What an error says is expected: `a code of two or three letters, such as de`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check on validation."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of a string with the pattern."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

    def check(self, value: str) -> str:
        """Return `value`. Raises: ValueError when it has another form."""
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"expected {self.words}")
        return value


Bytes = Annotated[int, Field(gt=0), BeforeValidator(_size, json_schema_input_type=int | str)]
"""A size in bytes; text such as `256MB` or `64MiB` is accepted."""


class FilePath(str):
    """An absolute path, or a URL, that remembers how the user wrote it."""

    written: str

    def __new__(cls, path: str, written: str | None = None) -> "FilePath":
        """Return `path`; `written` is what stands in the file, by default `path` itself."""
        made = super().__new__(cls, path)
        made.written = path if written is None else written
        return made


class FromCommandLine(str):
    """Text of a `--set`: a path in it is relative to the current folder, not to the recipe."""


class NotAPath(str):
    """Text that is a name even where a path is expected, such as a model's name on a server."""


def resolved(path: str, folder: str = "") -> FilePath:
    """Return `path` as an absolute path: relative to `folder`, or to the current folder where that is empty.

    URLs stay as they are. `~` is the home folder; `shipped:NAME` is a file that ships with mmedc.
    """
    if path.startswith(SHIPPED):
        return FilePath(str(shipped_file(path)), path)
    if "://" in path:
        return FilePath(path)
    return FilePath(os.path.abspath(os.path.join(folder, os.path.expanduser(path))), path)


@dataclass(frozen=True)
class PathRule:
    """Marks a text of settings as a path: it is resolved when it is read, relative to the file that contains it.

    The value is a `FilePath`. A model that is dumped gives the absolute path; with the context `AS_WRITTEN`
    it gives what the user wrote, so that a manifest names no folder of this machine.
    """

    names: str = ""
    """Regular expression of values that are names instead, such as `qwen`; they stay as they are."""
    read: bool = True
    """True for what is read. Where it is not beside its file but in the current folder, it is taken from there, with a
    warning, if the context `current_too` allows that: trainings and benchmarks used to be read so."""
    holds: str = ""
    """A file that a folder must hold to be what is meant."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Resolve on validation, and show on serialisation; see the class."""
        shown = core_schema.plain_serializer_function_ser_schema(
            _shown, info_arg=True, return_schema=core_schema.str_schema()
        )
        return core_schema.with_info_wrap_validator_function(self._resolve, handler(source), serialization=shown)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of a string with the format `path`."""
        return {**handler(schema), "format": "path"}

    def _resolve(self, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> str:
        text: str = handler(value)
        if isinstance(value, FilePath):
            return value
        if not text or isinstance(value, NotAPath) or (self.names and re.fullmatch(self.names, text)):
            return text
        context = info.context or {}
        folder = "" if isinstance(value, FromCommandLine) else context.get("folder", "")
        path = resolved(text, folder)
        if self.read and folder and context.get("current_too") and not self._exists(path):
            here = resolved(text)
            if self._exists(here):
                warnings.warn(f"{text} is not in {os.path.abspath(folder)}; {here} is used", stacklevel=2)
                return here
        return path

    def _exists(self, path: str) -> bool:
        if "://" in path:
            return True
        return os.path.isfile(path) or bool(glob.glob(os.path.join(path, self.holds) if self.holds else path))


AS_WRITTEN = {"as_written": True}
"""The context of a `model_dump` that shows paths as the user wrote them."""


def as_written(path: str) -> str:
    """Return a path as the user wrote it, where it was resolved."""
    return path.written if isinstance(path, FilePath) else path


def _shown(value: str, info: core_schema.SerializationInfo[Any]) -> str:
    return as_written(value) if (info.context or {}).get("as_written") else str(value)


def one_or_many(value: Any) -> Any:
    """Return a text as a list of one; anything else as it is."""
    return [value] if isinstance(value, str) else value


InputPath = Annotated[str, PathRule()]
"""A file or folder that is read, or a pattern of such; a local path or a URL."""
InputPaths = Annotated[
    tuple[InputPath, ...],
    BeforeValidator(one_or_many, json_schema_input_type=InputPath | tuple[InputPath, ...]),
]
"""Several of them; a single text is accepted too."""
OutputPath = Annotated[str, PathRule(read=False)]
"""A folder that is written."""
PolicyPath = Annotated[str, PathRule(names=r"[\w-]+")]
"""A policy of `filters/policies/` by name, or the path of a policy file (with a `/` or a suffix in it)."""
TokenizerPath = Annotated[str, PathRule(names="qwen", holds="tokenizer.json")]
"""`qwen`, or the path of a tokenizer."""


class Part(BaseModel):
    """A mapping of a settings file: unknown keys are errors, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Settings = TypeVar("Settings", bound=Part)


def checked(
    model: type[Settings],
    yaml: YamlFile,
    error: type[RequestError] = RecipeError,
    folder: str = "",
    current_too: bool = False,
) -> Settings:
    """Return the content of a file as a `model`; paths in it are relative to `folder`, by default the current one.

    `current_too`: what is read may also be in the current folder, where it is not in `folder` (see `PathRule.read`).

    Raises: `error` with file, line, key, and the nearest valid name where one is unknown; also for a
    secret, because settings are copied into what is made from them.
    """
    _refuse_secrets(yaml, yaml.data, (), error)
    try:
        return model.model_validate(yaml.data, context={"folder": folder, "current_too": current_too})
    except ValidationError as problem:
        raise error("\n".join(_complaints(problem.errors(), yaml, model))) from None


def _refuse_secrets(yaml: YamlFile, value: Any, at: tuple[str | int, ...], error: type[RequestError]) -> None:
    if isinstance(value, str) and holds_secret(value):
        raise error(
            f"{yaml.subject(at)} contains what looks like a secret; "
            "credentials come from the environment or from the profile of the machine"
        )
    for key, part in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        _refuse_secrets(yaml, part, (*at, key), error)


def apply_setting(yaml: YamlFile, setting: str, source_keys: tuple[str, ...] = ()) -> None:
    """Replace a value of the file by a `key.sub=value` of the command line; a value is YAML.

    `source_keys` are the keys of a source besides the one that names its files: setting that one replaces it.

    Raises: RecipeError when `setting` has another form, or its key leads through a value that is no mapping.
    """
    key, equals, text = setting.partition("=")
    keys = tuple(key.strip().split("."))
    if not equals or not all(keys):
        raise RecipeError(f"--set {setting}: expected key=value, for example publish.shard=64MB")
    place = yaml.data
    for part in keys[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise RecipeError(f"--set {setting}: {key} does not lead to a mapping")
    if source_keys and keys[0] == "sources" and len(keys) == 3 and keys[-1] not in source_keys:
        for other in [known for known in place if known not in source_keys]:
            del place[other]
    place[keys[-1]] = _from_command_line(parse_yaml(text, f"--set {key}", RecipeError).data)
    yaml.lines = {known: line for known, line in yaml.lines.items() if known[: len(keys)] != keys}
    yaml.settings.add(keys)


def _from_command_line(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _from_command_line(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_from_command_line(part) for part in value]
    return FromCommandLine(value) if isinstance(value, str) else value


def _complaints(problems: Sequence[Any], yaml: YamlFile, model: type[BaseModel]) -> list[str]:
    """Return a line for each value that is wrong; pydantic finds a problem for each type that it may have."""
    by_value: dict[Keys, list[Any]] = {}
    longer = {tuple(problem["loc"])[:-1] for problem in problems}  # pydantic counts values that are wrong as absent
    for problem in problems:
        if problem["type"] == "too_short" and problem["loc"] in longer:
            continue
        by_value.setdefault(_place(tuple(problem["loc"]), problem["type"], yaml.data), []).append(problem)
    return [_complaint(at, found, yaml, model) for at, found in by_value.items()]


def _complaint(at: Keys, problems: Sequence[Any], yaml: YamlFile, model: type[BaseModel]) -> str:
    problem = problems[0]
    if problem["type"] == "extra_forbidden":
        known = "" if isinstance(problem["loc"][-1], int) else nearest(str(at[-1]), _keys_at(model, at[:-1]))
        return f"{yaml.subject(at, 'unknown key')}{known}"
    if problem["type"] == "missing":
        return f'{yaml.where(at)}: the key "{dotted(at)}" is missing'
    known = f"; known keys: {', '.join(_keys_at(model, at))}" if problem["type"] == "model_type" else ""
    return f"{yaml.subject(at) if at else yaml.where(at)}: {sentence(problems)}{known}"


def _place(location: Keys, kind: str, data: Any) -> Keys:
    """Return the keys of the value that an error is about; pydantic appends the types that it tried, or `[key]`."""
    for number, part in enumerate(location):
        inside = (isinstance(data, dict) and part in data) or (isinstance(data, list) and part in range(len(data)))
        if not inside:
            return location[: number + 1] if kind == "missing" else location[:number]
        data = data[part]
    return location


def _keys_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that are valid at `location` of a `model`."""
    for part in location:
        known = model.model_fields.get(str(part))
        found = _model_in(known.annotation) if known else None  # a source's name, or an index, leads to no other model
        model = found or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first model that stands in an annotation, such as `Source` in `dict[str, Source]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
