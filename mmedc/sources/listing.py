"""The inputs of a recipe, cut into units of work."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import ClassVar

import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine.identity import digest_of
from mmedc.engine.unit import Unit
from mmedc.errors import RecipeError, StorageError
from mmedc.inputs import Input, list_inputs, readable
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.settings import as_written
from mmedc.sources.formats import Format, check_content, format_of
from mmedc.sources.nearby import nearest_file
from mmedc.sources.raw import InputSplit, Records
from mmedc.sources.warc import SUFFIXES as WARC_SUFFIXES


@dataclass(frozen=True)
class Reader:
    """The source of all units of ingest; it reads each split with the reader of its format."""

    version: ClassVar[int] = 3

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the raw records of `split` from number `start` on; see `mmedc.engine.chain.Source`."""
        input_file = split.inputs[0]
        if input_file.problem and len(split.inputs) == 1:
            records = Records(start, skip)
            yield from records.reject(input_file.name, input_file.name, f"unreadable: {input_file.problem}")
            yield from records.flush()
            return
        for batch in format_of(split.config).reader.read(split, start, skip):
            if split.config.policy is not None:
                batch = set_column(batch, "source", pa.array([split.source] * batch.num_rows, pa.string()))
            yield batch


def list_units(recipe: Recipe, policy: Policy | None = None) -> list[Unit[InputSplit]]:
    """Return the units of all sources, in the order of the recipe and, within a source, of the file names.

    `policy` is that of the recipe: units of a source that has one of its own depend on that.

    Raises: RecipeError for an unknown format, a pattern that matches no file, and files that do not fit the recipe
    because they have another format or lack the columns that it names.
    """
    units: list[Unit[InputSplit]] = []
    problems: list[str] = []
    own = {name: digest_of(each.for_ingest()) for name, each in policy.of_sources.items()} if policy else {}
    for name, config in recipe.sources.items():
        known = format_of(config)
        try:
            with recipe.at("sources", name, config.format):
                units += _units_of(name, config, known, recipe, own.get(name, ""))
        except RecipeError as problem:
            problems.append(str(problem))
        except (StorageError, OSError) as problem:
            problems.append(f"{recipe.places.subject(('sources', name, config.format))}: can't be read: {problem}")
    if problems:
        raise RecipeError("\n".join(problems))
    return units


def _units_of(
    name: str, config: SourceConfig, known: Format, recipe: Recipe, policy: str
) -> Iterator[Unit[InputSplit]]:
    """Yield the units of one source; `policy` is the digest of its own. Raises: RecipeError."""
    found = _inputs(name, config, known.suffixes)
    if not any(input_file.bytes or input_file.problem for inputs in found for input_file in inputs):
        files = sum(map(len, found))
        what = "its only file is empty" if files == 1 else f"all of its {files:,} files are empty"
        raise RecipeError(f'source "{name}": {what} ({found[0][0].name}); fetch it again, or take the source out')
    if known.key == "books" and all(file.name.lower().endswith(WARC_SUFFIXES) for inputs in found for file in inputs):
        raise RecipeError(
            f'source "{name}": all of its files are WARC files, which `books:` does not read; use `warc:`'
        )
    for inputs in [tuple(chain.from_iterable(found))] if known.together else found:
        if full := [input_file for input_file in inputs if input_file.bytes and not input_file.problem]:
            check_content(name, known, full[0], direct=full[0].url in config.paths)
        for split in known.cut(name, config, inputs, recipe):
            yield _unit(replace(split, policy=policy), known.reader.version)


def _unit(split: InputSplit, version: int) -> Unit[InputSplit]:
    label = split.inputs[0].name
    if len(split.inputs) > 1:
        label += f" and {len(split.inputs) - 1} more"
    if split.row_groups:
        label += f" row groups {split.row_groups[0]}–{split.row_groups[1] - 1}"
    size = sum(input_file.bytes for input_file in split.inputs)
    if split.bytes_read:
        label += f" bytes {split.bytes_read[0]:,}–{split.bytes_read[1] - 1:,}"
        size = split.bytes_read[1] - split.bytes_read[0]
    return Unit(digest_of(split, version), f"{split.source}: {label}", split, size)


def _inputs(name: str, config: SourceConfig, suffixes: tuple[str, ...]) -> list[tuple[Input, ...]]:
    """Return the files of each pattern of a source, each file once, with distinct names."""
    found: list[list[Input]] = []
    seen: set[str] = set()
    for pattern in config.paths:
        try:
            inputs = list_inputs(pattern, suffixes)
        except OSError as problem:
            raise RecipeError(f'source "{name}": {pattern} can\'t be listed ({problem})') from None
        if not inputs:
            raise RecipeError(f'source "{name}": {as_written(pattern)} matches no file{nearest_file(pattern)}')
        found.append([input_file for input_file in inputs if input_file.url not in seen])
        seen.update(input_file.url for input_file in inputs)
    names = _distinct([input_file for inputs in found for input_file in inputs])
    return [
        tuple(replace(input_file, name=names[input_file.url]) for input_file in inputs) for inputs in found if inputs
    ]


def _distinct(inputs: list[Input]) -> dict[str, str]:
    """Return a name for each URL: its own name, preceded by as many folders as are needed to make it unique.

    Names that no folder makes unique, because invalid bytes and their written form read alike, get a number.
    """
    names = {input_file.url: input_file.name for input_file in inputs}
    depths = {input_file.url: input_file.name.count("/") + 1 for input_file in inputs}
    while alike := _alike(names):
        deeper = [url for url in alike if depths[url] < len(url.split("/"))]
        if not deeper:
            return names | _numbered({file.url: file.name for file in inputs if file.url in alike}, set(names.values()))
        for url in deeper:
            depths[url] += 1
            names[url] = readable("/".join(url.split("/")[-depths[url] :]))
    return names


def _alike(names: dict[str, str]) -> set[str]:
    """Return the URLs whose name another URL has too."""
    many = Counter(names.values())
    return {url for url, name in names.items() if many[name] > 1}


def _numbered(names: dict[str, str], taken: set[str]) -> dict[str, str]:
    """Return `names` with `#2`, `#3` and so on before the suffixes, by URL; none is in `taken`, which grows."""
    distinct = {}
    for url, name in sorted(names.items()):
        folders, slash, file = name.rpartition("/")
        stem, dot, suffixes = file.partition(".")
        numbered = (f"{folders}{slash}{stem}#{number}{dot}{suffixes}" for number in count(2))
        tries = chain([name], numbered)
        distinct[url] = next(chosen for chosen in tries if chosen not in taken)
        taken.add(distinct[url])
    return distinct
