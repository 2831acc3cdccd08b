"""Custom measures: a function from a text to a number, whose values become a column of the corpus.

The function takes a text and returns a number, or None if the text has no value. With `batch` it takes a record
batch (`text`, `lang`, `title`, …) and returns a column with one value per row. A policy can set limits on the column,
as on any other measure. If the function raises, the document is rejected.
"""

import hashlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.engine.identity import Json, fields_of
from mmedc.errors import RecipeError
from mmedc.limits import drop_below_floor
from mmedc.modules import load
from mmedc.policy import Policy


@dataclass(frozen=True)
class Measure:
    """Sets the column `name` to the values of the function `use` (`package.module:function`).

    Dropped: by the policy's floors on it.
    """

    use: str
    name: str
    batch: bool
    policy: Policy
    version: ClassVar[int] = 1

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """The columns that the measure adds to a document."""
        return (pa.field(self.name, pa.float32()),)

    def identity(self) -> Json:
        """Return the fields, and a hash of the source of the function's module, so that an edit is noticed.

        Raises: RecipeError for a function that can't be found.
        """
        return [fields_of(self), hashlib.sha256(source_of(self.use).encode()).hexdigest()]

    def open(self) -> Transform:
        """Return the transform; imports the function."""
        function = function_of(self.use)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            values = _column(function(batch)) if self.batch else _each(function, batch)
            return drop_below_floor(set_column(batch, self.name, values), self.policy, (self.name,))

        return transform


def _each(function: Callable[[str], float | None], batch: pa.RecordBatch) -> pa.Array:
    values = []
    for ordinal, text in zip(batch.column("ordinal").to_pylist(), batch.column("text").to_pylist(), strict=True):
        slot.mark(ordinal)
        value = function(text)
        values.append(None if value is None else float(value))
    return pa.array(values, pa.float32())


def _column(values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    array = values if isinstance(values, pa.Array) else pa.array(np.asarray(values), from_pandas=True)
    return array.cast(pa.float32())


def function_of(use: str, folder: str = "") -> Callable[[Any], Any]:
    """Return the function `package.module:function`, of a module in `folder` or an installed one.

    Raises: RecipeError when it can't be imported or called.
    """
    function = load(use, folder)
    if not callable(function):
        raise RecipeError(f"{use}, named in `measures`, is not a function but {type(function).__name__}")
    return function  # type: ignore[no-any-return]


def source_of(use: str) -> str:
    """Return the source text of the module of a function, or `use` itself if there is none, as for compiled modules."""
    function_of(use)
    try:
        return inspect.getsource(importlib.import_module(use.partition(":")[0]))
    except (OSError, TypeError):
        return use
