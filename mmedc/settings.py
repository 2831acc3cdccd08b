"""Settings from YAML as checked values: what a recipe, a training and a benchmark have in common."""

import re
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mmedc.errors import RecipeError
from mmedc.redact import holds_secret
from mmedc.yamlfile import YamlFile, nearest, parse_yaml

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _size(value: Any) -> Any:
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)):
        number, unit = found.groups()
        if unit.upper() in _UNITS:
            return int(float(number) * _UNITS[unit.upper()])
        raise ValueError(f"unknown unit {unit!r}; write for example 256MB or 64MiB")
    return value


Bytes = Annotated[int, Field(gt=0), BeforeValidator(_size, json_schema_input_type=int | str)]
"""A size in bytes; text such as `256MB` or `64MiB` is read too."""


class Part(BaseModel):
    """A mapping of a settings file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True)


Settings = TypeVar("Settings", bound=Part)


def checked(model: type[Settings], yaml: YamlFile) -> Settings:
    """Return what a file says as a `model`.

    Raises: RecipeError with file, line, key, and the nearest valid name where one is unknown; for a
    secret too, since settings are copied into what they make.
    """
    _refuse_secrets(yaml, yaml.data, ())
    try:
        return model.model_validate(yaml.data)
    except ValidationError as problem:
        raise RecipeError("\n".join(_explain(error, yaml, model) for error in problem.errors())) from None


def _refuse_secrets(yaml: YamlFile, value: Any, at: tuple[str | int, ...]) -> None:
    if isinstance(value, str) and holds_secret(value):
        raise RecipeError(
            f'{yaml.where(at)}: "{".".join(map(str, at))}" holds what looks like a secret; '
            "credentials come from the environment or the profile of the machine"
        )
    for key, part in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        _refuse_secrets(yaml, part, (*at, key))


def apply_setting(yaml: YamlFile, setting: str, one_of: tuple[str, ...] = ()) -> None:
    """Put a `key.sub=value` of the command line over what the file says; a value is YAML.

    `one_of` are keys of which a source has one: setting one takes the others away.

    Raises: RecipeError when `setting` is no such thing, or leads nowhere.
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
    if keys[-1] in one_of and keys[0] == "sources":
        for other in one_of:
            place.pop(other, None)
    place[keys[-1]] = parse_yaml(text, f"--set {key}", RecipeError).data
    yaml.lines = {known: line for known, line in yaml.lines.items() if known[: len(keys)] != keys}


def _explain(error: Any, yaml: YamlFile, model: type[BaseModel]) -> str:
    """Return one line for one problem that pydantic found."""
    location = tuple(error["loc"])
    place, dotted = yaml.where(location), ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        return f'{place}: unknown key "{dotted}"{nearest(str(location[-1]), _keys_at(model, location[:-1]))}'
    if error["type"] == "missing":
        return f'{place}: the key "{dotted}" is missing'
    said = error["msg"].removeprefix("Value error, ")
    found = error.get("input")
    shown = f" (found {found!r})" if isinstance(found, str | int | float) else ""
    return f'{place}: "{dotted}": {said[0].lower()}{said[1:]}{shown}' if dotted else f"{place}: {said}"


def _keys_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that are valid at `location` of a `model`."""
    for part in location:
        known = model.model_fields.get(str(part))
        if known is None:
            continue  # a source's name, or an index: the model below it is already chosen
        options = [known.annotation, *get_args(known.annotation)]
        found = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
        if found:
            model = found[0]
    return list(model.model_fields)
