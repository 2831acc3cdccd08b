"""The record of a build beside its passes: which recipe it ran, and which passes and units its corpus is made of.

It is in `.work/`, because it names folders of this machine. While a build runs, or after it stopped, `running.json` is
there; a build that has published leaves `build.json`, which belongs to the manifest with the same digest of passes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mmedc.corpus.manifest import Manifest
from mmedc.engine.run import WORK
from mmedc.engine.unit import Pass
from mmedc.policy import Limit, Policy
from mmedc.recipe import Recipe, recipe_of
from mmedc.storage import Store

BUILD, RUNNING = f"{WORK}/build.json", f"{WORK}/running.json"


class Recorded(BaseModel):
    """A part of the record. Keys that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PassRecord(Recorded):
    """A pass, and its units in their order."""

    name: str
    folder: str
    units: tuple[str, ...]

    @classmethod
    def of(cls, current: Pass[Any, Any]) -> "PassRecord":
        """Return the record of a pass."""
        return cls(name=current.name, folder=current.folder, units=tuple(unit.id for unit in current.units))


class Record(Recorded):
    """A build."""

    build: str
    """The digest of the passes, as in the manifest."""
    recipe: dict[str, JsonValue]
    """The recipe, with absolute paths and without defaults."""
    sources: tuple[str, ...]
    """The source of each unit of ingest."""
    limits: dict[str, dict[str, Limit]]
    """The limits of the policy, by language and measure."""
    limits_of_sources: dict[str, dict[str, dict[str, Limit]]] = {}
    """The limits of the sources that have a policy of their own, by source, language and measure."""
    passes: tuple[PassRecord, ...]

    def settings(self, sets: Iterable[str] = ()) -> Recipe:
        """Return the recipe, with `key.sub=value` settings in place. Raises: RecipeError."""
        return recipe_of(self.recipe, sets)

    def units(self, name: str) -> tuple[str, ...]:
        """Return the units of a pass; none where the build has no such pass."""
        return next((each.units for each in self.passes if each.name == name), ())

    def folder(self, name: str) -> str | None:
        """Return the folder of a pass below `.work/`, or None where the build has no such pass."""
        return next((each.folder for each in self.passes if each.name == name), None)


class Begun(Recorded):
    """A build that has begun and not published."""

    recipe: str
    """Its name."""
    at: str
    """The time in UTC, ISO 8601."""


def begin(store: Store, recipe: str) -> None:
    """Record that a build of the recipe named `recipe` begins in this process."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    begun = Begun(recipe=recipe, at=now)
    store.put(RUNNING, begun.model_dump_json().encode())


def keep(
    store: Store,
    build: str,
    recipe: dict[str, Any],
    policy: Policy,
    sources: Iterable[str],
    passes: Iterable[PassRecord],
) -> None:
    """Record the passes of the corpus that is about to be published; see `Record`."""
    limits, *own = ({code: one.limits for code, one in each.languages.items()} for each in policy.every)
    record = Record(
        build=build,
        recipe=recipe,
        sources=tuple(sources),
        limits=limits,
        limits_of_sources=dict(zip(policy.of_sources, own, strict=True)),
        passes=tuple(passes),
    )
    store.put_changed(BUILD, record.model_dump_json(exclude_unset=True).encode())


def end(store: Store) -> None:
    """Record that the build has published."""
    store.delete(RUNNING)


def read_record(store: Store, manifest: Manifest) -> Record | None:
    """Return the record of the build that made `manifest`; None where it is gone or another build's."""
    try:
        found = Record.model_validate_json(store.get(BUILD))
    except (FileNotFoundError, ValidationError):
        return None
    return found if found.build == manifest.build else None


def read_begun(store: Store) -> Begun | None:
    """Return what has begun here and not published, or None."""
    try:
        return Begun.model_validate_json(store.get(RUNNING))
    except (FileNotFoundError, ValidationError):
        return None
