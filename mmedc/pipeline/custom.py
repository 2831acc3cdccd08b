"""Custom steps and measures, which a recipe adds to the chain, and the columns that they declare."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from mmedc.document import DOCUMENT
from mmedc.engine.chain import Step
from mmedc.engine.identity import Json, identity_of
from mmedc.errors import RecipeError
from mmedc.modules import load
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.recipe_parts import CustomStep
from mmedc.steps.foreign import DatatroveStep, datatrove_step
from mmedc.steps.language import Language
from mmedc.steps.measure import Measure, function_of
from mmedc.yamlfile import nearest


class Custom:
    """A custom step, identified by its class, its arguments, its version and its place in the chain."""

    def __init__(self, settings: CustomStep, folder: str = "") -> None:
        self.settings = settings
        made = load(settings.target, folder)
        try:
            self.step: Step = made(**settings.arguments)
        except TypeError as problem:
            raise RecipeError(f"{settings.target} can't be made ({problem}); look at its `arguments`") from None

    @property
    def name(self) -> str:
        """The name of the step in the funnel."""
        return self.step.name

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """The columns that it adds to a document: its attribute `columns`, if it has one."""
        return tuple(getattr(self.step, "columns", ()))

    def identity(self) -> Json:
        """Return what the results depend on; the identity that a step states itself is used as it is."""
        own = identity_of(self.step) if hasattr(self.step, "identity") else getattr(self.step, "version", 1)
        return [self.settings.target, identity_of(self.settings.arguments), own]

    def open(self) -> Any:
        """Return the transform of the step."""
        return self.step.open()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash(self.settings.target)


def with_custom(steps: list[Step], recipe: Recipe, policy: Policy) -> tuple[Step, ...]:
    """Return the chain with the recipe's custom measures before its last step, and its custom steps in their places.

    Raises: RecipeError for a step or measure that can't be made, or that is to follow a step that does not exist.
    """
    measures = [Measure(settings.use, settings.name, settings.batch, policy) for settings in recipe.measures]
    for number, measure in enumerate(measures):
        with recipe.at("measures", number):
            function_of(measure.use, recipe.folder)  # so that a wrong name is found before work begins
    chain: list[Step] = [*steps[:-1], *measures, steps[-1]]
    for number, settings in enumerate(recipe.steps):
        with recipe.at("steps", number):
            _insert(settings, recipe, chain)
    return tuple(chain)


def _insert(settings: CustomStep, recipe: Recipe, chain: list[Step]) -> None:
    """Insert a custom step into the chain, after the step that it names. Raises: RecipeError."""
    names = ["read", *(step.name for step in chain)]
    if settings.after not in names:
        raise RecipeError(
            f'{settings.target} comes after "{settings.after}", which is no step{nearest(settings.after, names)}'
        )
    at = names.index(settings.after)
    chain.insert(
        at, _of_datatrove(settings, recipe, chain, at) if settings.datatrove else Custom(settings, recipe.folder)
    )


def _of_datatrove(settings: CustomStep, recipe: Recipe, chain: list[Step], at: int) -> Step:
    """Return the datatrove step for position `at` of the chain."""
    names = [step.name for step in chain if isinstance(step, DatatroveStep)]
    if not settings.target.startswith("datatrove."):
        load(settings.target, recipe.folder)
    step = datatrove_step(settings.target, settings.arguments, recipe.languages, names)
    if step.languages and not any(isinstance(earlier, Language) for earlier in chain[:at]):
        raise RecipeError(
            f"{settings.target} depends on the language, which is not known after {settings.after}: "
            "put it after language or a later step, or give arguments.language"
        )
    return step


def own_columns(recipe: Recipe) -> tuple[pa.Field, ...]:
    """Return the columns that the recipe's custom steps and measures add to a document, in their order.

    Raises: RecipeError for a column that documents already have, or that is declared twice.
    """
    declared: dict[str, pa.Field] = {}
    for number, settings in enumerate(recipe.steps):
        with recipe.at("steps", number):
            for field in Custom(settings, recipe.folder).columns if settings.use else ():
                _declare(declared, field)
    for number, measure in enumerate(recipe.measures):
        with recipe.at("measures", number):
            _declare(declared, pa.field(measure.name, pa.float32()))
    return tuple(declared.values())


def _declare(declared: dict[str, pa.Field], field: pa.Field) -> None:
    if field.name in declared or field.name in DOCUMENT.names:
        raise RecipeError(f'the column "{field.name}" exists already; choose another name')
    declared[field.name] = field


def measures_among(columns: Iterable[pa.Field]) -> tuple[str, ...]:
    """Return the names of the numeric columns, on which a policy can set limits."""
    return tuple(field.name for field in columns if pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
