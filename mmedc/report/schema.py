"""JSON Schemas of the files that users write, for editors that complete keys and mark mistakes as they are typed."""

from typing import Any

from pydantic import BaseModel

from mmedc.bench.config import Bench
from mmedc.recipe import Recipe
from mmedc.sources import FORMATS
from mmedc.train.config import Train

SCHEMAS: dict[str, type[BaseModel]] = {"recipe": Recipe, "train": Train, "bench": Bench}
"""By the names that `mmedc schema` takes."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the settings file `name`, a key of SCHEMAS.

    A recipe's `train` and `bench` parts are spelled out, although reading a recipe does not look into them.
    """
    found = SCHEMAS[name].model_json_schema()
    found = {"$schema": DRAFT, **found}
    if name == "recipe":
        source = found["$defs"]["Source"]  # the keys that name files are those of the table of formats
        paths = source.pop("additionalProperties")
        source["properties"] |= {each.key: {**paths, "description": each.files} for each in FORMATS}
        source["additionalProperties"] = False
        source["oneOf"] = [{"required": [each.key]} for each in FORMATS]
        questions = found["properties"][
            "decontaminate"
        ]  # a path or a list of paths stands for a mapping with `questions`
        questions["anyOf"] = [
            {"$ref": questions.pop("$ref")},
            found["$defs"]["Decontaminate"]["properties"]["questions"],
        ]
        for part in ("train", "bench"):
            below = schema(part)
            found["$defs"] |= below.pop("$defs", {}) | {part: {k: v for k, v in below.items() if k != "$schema"}}
            found["properties"][part] = {
                "$ref": f"#/$defs/{part}",
                "description": found["properties"][part]["description"],
            }
    return found
