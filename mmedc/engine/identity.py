"""Identities: everything that a result depends on, as one JSON value, for steps, readers, works and data alike.

A frozen dataclass is identified by its class, its `version` and its fields, so nothing has to be listed by hand. A
field that cannot change the result is marked with `NO_EFFECT`. A value with an `identity()` method states its own
identity; a file, for example, is identified by its hash and not by its path.
"""

import dataclasses
import functools
import hashlib
import json
from types import FunctionType
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import BaseModel

NO_EFFECT = {"mmedc.no_effect": True}
"""Metadata of a dataclass field that the result does not depend on: `field(metadata=NO_EFFECT)`."""

Json = Any
"""A JSON value: null, a boolean, a number, a string, or a list or mapping of JSON values."""


@runtime_checkable
class Identified(Protocol):
    """A value that states what the results made with it depend on."""

    def identity(self) -> Json:
        """Return a JSON value that differs whenever the results may differ."""


def identity_of(value: object) -> Json:
    """Return the identity of `value`; see the module docstring.

    Raises: TypeError for a value whose identity is not known, so that nothing is left out silently.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [identity_of(item) for item in value]
    if isinstance(value, dict):
        return {str(key): identity_of(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((identity_of(item) for item in value), key=str)
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, pa.Schema):
        return [f"{field.name}: {field.type}" for field in value]
    if isinstance(value, FunctionType):
        return f"{value.__module__}:{value.__qualname__}"
    if callable(identity := getattr(value, "identity", None)):  # `isinstance` of a protocol takes 30 times as long
        return identity()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value):
        return fields_of(value)
    raise TypeError(f"{type(value).__name__} has no identity: make it a dataclass, or give it a method `identity`")


def fields_of(value: Any, *but: str) -> Json:
    """Return the class, version and fields of a dataclass, without the fields in `but` and those without effect."""
    kind: Any = type(value)
    fields = {name: identity_of(getattr(value, name)) for name in _names(kind) if name not in but}
    return [kind.__qualname__, getattr(value, "version", 1), fields]


@functools.cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of those fields of a dataclass that results depend on."""
    return tuple(field.name for field in dataclasses.fields(kind) if not field.metadata.get("mmedc.no_effect"))


def digest_of(*parts: object) -> str:
    """Return 16 hex digits of SHA-256 over the identities of `parts`."""
    text = json.dumps([identity_of(part) for part in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
