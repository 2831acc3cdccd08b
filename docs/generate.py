"""Writes the reference pages that come from the code: commands, settings, measures, reasons, Python API, schemas.

`conf.py` calls `write_all` whenever the site is built, so that no such page is edited by hand or goes stale. Whatever
lacks a description raises `Undocumented`, which fails the build.
"""

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo
from typer.main import get_command

from docs.given import declared, given
from mmedc import reasons
from mmedc.bench.config import Bench
from mmedc.cli import app
from mmedc.corpus.manifest import Manifest
from mmedc.document import DOCUMENT, MEASURES
from mmedc.recipe import Recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.report.schema import SCHEMAS, schema
from mmedc.settings import Bytes, PathRule
from mmedc.shipped import shipped
from mmedc.sourcekeys import KEYED
from mmedc.sources import FORMATS
from mmedc.train.config import Train
from mmedc.yamlfile import read_yaml

OUT = Path(__file__).parent / "_generated"

EXTENDING = ("mmedc.engine.chain.Step", "mmedc.document.set_column", "mmedc.document.views", "mmedc.errors")
"""What a step of a user's own may build on, beside the front door."""

INTEROP = tuple(
    f"mmedc.interop.{name}"
    for name in (
        *("datatrove.MedicalFilter", "datatrove.MedicalExtractor"),
        *("datasketch.minhashes", "datasketch.lean_minhashes", "datasketch.lsh"),
    )
)
"""What users of other libraries import."""


class Undocumented(Exception):
    """Something that users see has no description."""


def write_all(folder: Path = OUT) -> None:
    """Write every generated page below `folder`. Raises: Undocumented."""
    pages = {
        "commands.md": commands(),
        "recipe.md": settings(Recipe, skip=("train", "bench")),
        "training.md": settings(Train),
        "benchmark.md": settings(Bench),
        "manifest.md": settings(Manifest),
        "measures.md": measures(),
        "limits.md": limits(),
        "columns.md": columns(),
        "reasons.md": drop_reasons(),
        "api.md": api(),
    }
    schemas = {f"{name}.schema.json": json.dumps(schema(name), indent=1, ensure_ascii=False) for name in SCHEMAS}
    folder.mkdir(exist_ok=True)
    for name, text in (pages | schemas).items():
        path = folder / name
        if (
            not path.exists() or path.read_text(encoding="utf-8") != text + "\n"
        ):  # the site is rebuilt by time of change
            path.write_text(text + "\n", encoding="utf-8")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines)


def _cell(text: str, subject: str) -> str:
    """Return a description as one line of a table. Raises: Undocumented where it is empty."""
    line = " ".join(text.split()).replace("|", "\\|")
    if not line:
        raise Undocumented(f"{subject} has no description")
    return line


# Commands


def commands() -> str:
    """Return the reference of all commands. Raises: Undocumented for a command or option without help."""
    return "\n\n".join(_command(names, command) for names, command in walk(get_command(app), ("mmedc",)))


def walk(command: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (names, command) of every command below `command` that does something."""
    below = getattr(command, "commands", None)
    if below is None:
        yield names, command
    for name, each in (below or {}).items():
        yield from walk(each, (*names, name))


def _command(names: tuple[str, ...], command: Any) -> str:
    title = " ".join(names)
    if not command.help:
        raise Undocumented(f"`{title}` has no description")
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([title, *map(_argument, arguments), "[OPTIONS]"])
    parts = [f"## `{title}`", f"```text\n{usage}\n```", inspect.cleandoc(command.help)]
    rows = [(f"`{_argument(each)}`", "", _cell(each.help or "", f"{title} {each.name}")) for each in arguments]
    for each in command.params:
        if each.param_type_name == "option" and "--help" not in each.opts:
            name = " ".join(f"`{option}`" for option in each.opts)
            value = "" if each.is_flag else f"`{_value(each)}`"
            rows.append((name, value, _cell(each.help or "", f"{title} {each.opts[0]}")))
    return "\n\n".join([*parts, table(("argument or option", "value", "meaning"), rows)] if rows else parts)


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper() + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _value(option: Any) -> str:
    kind = getattr(option.type_descriptor.annotation, "__name__", "text")
    word = {"str": "TEXT", "list": "TEXT", "int": "INTEGER", "float": "NUMBER", "Path": "PATH"}.get(kind, kind.upper())
    default = getattr(option, "default", None)
    return f"{word}" + (f" = {default}" if default not in (None, "", ()) else "")


# Settings


def settings(model: type[BaseModel], skip: tuple[str, ...] = ()) -> str:
    """Return the keys of a settings model, a section for each mapping. Raises: Undocumented."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for key, field in keys(model, skip=skip):
        value = field.get_default(call_default_factory=True)
        default = "required" if field.is_required() else f"`{_size(value)}`" if _is_size(field) else _default(value)
        meaning = _cell(field.description or "", f"key {key} of {model.__name__}")
        sections.setdefault(key.rpartition(".")[0], []).append((f"`{key}`", _type(field), default, meaning))
    parts = []
    for section, rows in sections.items():
        parts += [f"## `{section}`" if section else "## Top level", table(("key", "type", "default", "meaning"), rows)]
    return "\n\n".join(parts)


def keys(model: type[BaseModel], prefix: str = "", skip: tuple[str, ...] = ()) -> Iterator[tuple[str, FieldInfo]]:
    """Yield (dotted key, field) of a model and of all models below it; `NAME` and `[]` stand for any key or place."""
    if model is SourceConfig:  # the keys that name files are those of the table of formats
        for known in FORMATS:
            yield prefix + known.key, FieldInfo(annotation=tuple[str, ...], default=None, description=known.files)
        for kind in KEYED:
            own = [item for item in kind.model_fields.items() if item[0] not in {*SourceConfig.model_fields, kind.key}]
            yield from ((f"{prefix.removesuffix('.')} ({kind.key}).{name}", field) for name, field in own)
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        yield prefix + name, field
        for below, between in _models(field.annotation):
            yield from keys(below, f"{prefix}{name}{between}.")


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield (model, what stands between its keys and the key that holds it) for the models in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
        return
    between = {dict: ".NAME", tuple: "[]", list: "[]"}.get(get_origin(annotation), "")
    for part in get_args(annotation):
        for model, below in _models(part):
            yield model, between + below


def _type(field: FieldInfo) -> str:
    bounds = []
    for limit in field.metadata:
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            if getattr(limit, name, None) is not None:
                bounds.append(f"{sign} {getattr(limit, name)}")
    if _is_size(field):
        return "size, such as `256MB`"
    kind = "path" if any(isinstance(rule, PathRule) for rule in field.metadata) else _name(field.annotation)
    return ", ".join([kind, *bounds])


def _is_size(field: FieldInfo) -> bool:
    """Tell whether a key takes a size in bytes; see `mmedc.settings.Bytes`."""
    return any(limit in get_args(Bytes)[1:] for limit in field.metadata)


def _size(number: int) -> str:
    """Return a number of bytes as a recipe writes it: 16MiB."""
    units = {"GiB": 2**30, "GB": 10**9, "MiB": 2**20, "MB": 10**6}
    return next((f"{number // each}{unit}" for unit, each in units.items() if number % each == 0), str(number))


def _name(annotation: Any) -> str:
    """Return a type as a reader of YAML calls it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "path" if any(isinstance(part, PathRule) for part in parts[1:]) else _name(parts[0])
    if origin is Literal:
        return f"{', '.join(f'`{part}`' for part in parts[:-1])} or `{parts[-1]}`"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_name(part) for part in parts if part is not type(None)))
    if origin in (tuple, list):
        inner = [_name(part) for part in parts if part is not Ellipsis]
        several = {"path": "paths", "mapping": "mappings", "text": "texts"}.get(inner[0], f"{inner[0]}s")
        return f"list of {several}" if Ellipsis in parts or origin is list else f"{len(inner)} {several}"
    if origin is dict:
        value = _name(parts[1])
        return f"mapping of names to {'mappings' if value.startswith('mapping') else f'{value}s'}".replace(
            "anythings", "anything"
        )
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    words = {
        str: "text",
        int: "integer",
        float: "number",
        bool: "true or false",
        Any: "anything",
        JsonValue: "anything",
    }
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(value: Any) -> str:
    if value is None or value in ("", (), {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple) else value}`"


# Policies, columns, reasons


def measures() -> str:
    """Return the table of measures."""
    rows = [(f"`{name}`", _cell(unit, f"measure {name}")) for name, unit in MEASURES.items()]
    return table(("measure", "meaning and unit"), rows)


def limits() -> str:
    """Return the limits of each shipped policy, as its file has them."""
    parts = []
    for path in sorted((shipped("filters") / "policies").glob("*.yaml")):
        data = read_yaml(path, ValueError).data
        rows = []
        for code, bounds in data.get("limits", {}).items():
            for measure, limit in bounds.items():
                rows.append((code, f"`{measure}`", *(f"{limit[key]:g}" if key in limit else "" for key in BOUNDS)))
        rule = data.get("rule", "boundary")
        parts += [f"## Policy `{path.stem}`", f"Rule: `{rule}`.", table(("language", "measure", *BOUNDS), rows)]
    return "\n\n".join(parts)


BOUNDS = ("min", "floor", "max", "ceiling")


def columns() -> str:
    """Return the columns of a published document that are not measures, with their types."""
    rows = []
    for field in DOCUMENT:
        if field.name not in MEASURES:
            meaning = COLUMNS.get(field.name, "")
            rows.append((f"`{field.name}`", f"`{field.type}`", _cell(meaning, f"column {field.name}")))
    return table(("column", "type", "meaning"), rows)


COLUMNS = {
    "id": "The first 32 hexadecimal digits of SHA-256 over source and locator.",
    "text": "The text, in Unicode form NFC.",
    "lang": "The language, ISO 639-1.",
    "source": "The name of the source in the recipe.",
    "kind": "What the document or its source is: web, book, textbook, article, encyclopedia or qa.",
    "locator": "The URL, or the file and the row in it.",
    "title": "The title that the source or the page states; null without one.",
    "date": "The date that the source or the page states, ISO 8601, as precise as it is stated; null without one.",
    "licence": "The SPDX identifier of the licence that the document states, else that of its source; or `unknown`.",
    "tokens": "The number of tokens, by the tokenizer that the manifest names.",
    "authors": "The authors that the source or the page states, in its order.",
    "identifiers": "Identifiers of the work: `doi:…`, `isbn:…`, `pmid:…`, `url:…` for the canonical URL of a page.",
    "licence_evidence": "Where the licence was found: `source` (the recipe), `sites` (a list), `page:link`, `pdf`, ….",
    "sections": "The sections: offset of the heading in characters, its text, and its level, from 1 for the highest.",
    "pages": "For a book: the offset of each of its pages, in characters.",
    "left_out": "For a book: the parts that are not in the text (`part`, `title`, `chars`); see `books.parts`.",
    "provenance": "The input file and the place in it: `part-0.warc.gz#offset=17`.",
    "removed_chars": "The number of characters removed from the text because other documents have these lines.",
    "bucket": "`head`, `middle` or `tail` by perplexity, where the recipe names KenLM models; else null.",
}


def drop_reasons() -> str:
    """Return what each reason means, by step. Raises: Undocumented, for a reason that no table declares too."""
    if unknown := given() - declared():
        raise Undocumented(f"mmedc/reasons.py lacks {', '.join(sorted(unknown))}")
    rows = []
    for step in dict.fromkeys([*reasons.DROPPED, *reasons.REJECTED, *reasons.LIMITED]):
        for fate, table_of in (("dropped", reasons.DROPPED), ("rejected", reasons.REJECTED)):
            for reason, meaning in table_of.get(step, {}).items():
                rows.append((f"`{step}`", fate, f"`{reason}`", _cell(meaning, f"reason {reason}")))
        if named := reasons.LIMITED.get(step):
            which = "any measure" if len(named) == len(MEASURES) else ", ".join(f"`{measure}`" for measure in named)
            text = f"A measure is below or above what the policy allows. Measures: {which}."
            rows.append((f"`{step}`", "dropped", "`MEASURE_low`, `MEASURE_high`", text))
    text = (
        "What a filter of datatrove gives as its reason; `dropped` where it gives none, `empty` where no text is left."
    )
    rows.append(("any of datatrove", "dropped", f"`{reasons.DATATROVE}REASON`", text))
    for reason, meaning in reasons.REJECTED_ANYWHERE.items():
        rows.append(("any", "rejected", f"`{reason}`", _cell(meaning, f"reason {reason}")))
    return table(("step", "fate", "reason", "meaning"), rows)


# Python


def api() -> str:
    """Return autodoc directives for the front door and for what extensions build on. Raises: Undocumented."""
    import mmedc

    names = [f"mmedc.{name}" for name in getattr(mmedc, "__all__", ()) if not name.startswith("_")]
    parts = []
    if names:
        parts += ["## The front door", *map(_directive, names)]
    parts += ["## For steps of your own", *map(_directive, EXTENDING)]
    parts += ["## For pipelines of datatrove and indexes of datasketch", *map(_directive, INTEROP)]
    return "\n\n".join(parts)


def _directive(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except AttributeError:
        found = importlib.import_module(name)
    if not inspect.getdoc(found):
        raise Undocumented(f"{name} has no docstring")
    if inspect.ismodule(found):
        options = "\n   :members:\n   :show-inheritance:"
        return f"```{{eval-rst}}\n.. automodule:: {name}{options}\n```"
    kind, options = ("class", "\n   :members:") if inspect.isclass(found) else ("function", "")
    return f"```{{eval-rst}}\n.. auto{kind}:: {found.__module__}.{found.__qualname__}{options}\n```"


if __name__ == "__main__":
    write_all()
