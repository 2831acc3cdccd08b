"""JSON Schemas: of the files that users write, for editors, and of the manifest that a build writes."""

from typing import Any

from pydantic import BaseModel

from mmedc.bench.config import Bench
from mmedc.corpus.manifest import Manifest
from mmedc.document import MEASURES
from mmedc.filters import PolicyFile
from mmedc.recipe import Recipe
from mmedc.sourcekeys import KEYED
from mmedc.sources import FORMATS
from mmedc.train.config import Train

SCHEMAS: dict[str, type[BaseModel]] = {
    "recipe": Recipe,
    "train": Train,
    "bench": Bench,
    "policy": PolicyFile,
    "manifest": Manifest,
}
"""By the names that `mmedc schema` takes."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file `name`, a key of SCHEMAS.

    A recipe's `train` and `bench` parts are spelled out, although reading a recipe does not look into them.
    """
    found: dict[str, Any] = {"$schema": DRAFT, **SCHEMAS[name].model_json_schema()}
    if name == "policy":
        _name_measures(found["properties"]["limits"])
    if name == "recipe":
        _name_measures(found["properties"]["policy"])
        _name_formats(found["$defs"]["SourceConfig"])
        found["properties"]["sources"]["additionalProperties"] = False  # names of another form are errors
        # A path or a list of paths stands for a mapping with `questions`.
        questions = found["properties"]["decontaminate"]
        paths = found["$defs"]["DecontaminateConfig"]["properties"]["questions"]
        questions["anyOf"] = [{"$ref": questions.pop("$ref")}, paths]
        for part in ("train", "bench"):
            _spell_out(found, part)
    return found


def _name_measures(languages: dict[str, Any]) -> None:
    """Name the measures in the schema of limits by language and measure, so that an editor can complete them."""
    limits = languages["additionalProperties"]
    limit = limits["additionalProperties"]
    limits["properties"] = {measure: {**limit, "description": unit} for measure, unit in MEASURES.items()}


def _name_formats(source: dict[str, Any]) -> None:
    """Name the keys of the table of formats, one of which a source has."""
    paths = source.pop("additionalProperties")
    plain = [each for each in FORMATS if each.key not in {kind.key for kind in KEYED}]
    source["properties"] |= {each.key: {**paths, "description": each.files} for each in plain}
    source["additionalProperties"] = False
    source["oneOf"] = [{"required": [each.key]} for each in plain]


def _spell_out(recipe: dict[str, Any], part: str) -> None:
    """Put the schema of the part `part` in the place of the free mapping that a recipe has there."""
    below = schema(part)
    del below["$schema"]
    recipe["$defs"] |= below.pop("$defs", {}) | {part: below}
    description = recipe["properties"][part]["description"]
    recipe["properties"][part] = {"$ref": f"#/$defs/{part}", "description": description}
