"""The raw record that a user names: by a file, by a place in a file, or by the locator or id of a source's document."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from mmedc.document import document_id
from mmedc.engine.run import WORK, Following, Inline, run_pass
from mmedc.engine.unit import Left, Pass, Spec, Unit
from mmedc.errors import RecipeError, RequestError
from mmedc.inputs import Input, list_inputs
from mmedc.pipeline.pages import may_have_pdf, paged
from mmedc.recipe import Recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.report.grid import shortened, visible
from mmedc.report.log import Watchers
from mmedc.sources import FORMATS, InputSplit, Reader, format_of, list_units
from mmedc.storage import Store, is_local

LISTED = 10  # records of a file that are named where the user names none
HEAD_CHARS = 60


class SeveralRecords(RequestError):
    """A file has several records, and none was named."""


def find_record(recipe: Recipe, target: str) -> pa.RecordBatch:
    """Return the record of `target` as a batch of one row.

    `target` is a file; a record of a file (`FILE#line=3`, as its locators are written); or the locator, the provenance
    or the id of a document in the recipe's sources.

    Raises: RequestError if there is none, or if the file has several and none is named.
    """
    path, _, place = target.rpartition("#")
    if is_local(target) and os.path.isdir(target):
        raise RequestError(f"{target}: is a folder; name a file in it, or a record of a file: FILE#line=1")
    if is_local(target) and os.path.isfile(target):
        return _only_record(target, _splits_of_file(recipe, target))
    if place and is_local(path) and os.path.isfile(path):
        found = _matching(_splits_of_file(recipe, path), {f"{os.path.basename(path)}#{place}", target}, place)
        if found is None:
            raise RequestError(f"{target}: {path} has no record {place}; `mmedc explain {path}` names some")
        return found
    found = _matching((unit.spec for unit in list_units(recipe)), {target})
    if found is None:
        raise RequestError(
            f"{target}: neither a file here nor a document of the recipe's sources "
            f"({', '.join(recipe.sources)}); name another recipe with --recipe, or a corpus with --corpus"
        )
    return found


def _splits_of_file(recipe: Recipe, path: str) -> Iterator[InputSplit]:
    """Yield the splits of a file, read as the recipe's source that has it, or else as its name says."""
    whole = os.path.abspath(path)
    for name, config in recipe.sources.items():
        known = format_of(config)
        patterns = filter(is_local, config.paths)
        if any(each.url == whole for pattern in patterns for each in list_inputs(pattern, known.suffixes)):
            yield from _safely(known.cut(name, config, (_input(whole),), recipe), recipe)
            return
    yield from _safely(_splits_as(_key_of(path), path, recipe), recipe)


def _splits_as(key: str, path: str, recipe: Recipe) -> Iterator[InputSplit]:
    """Yield the splits of a file that is read as the format `key`. Raises: RequestError."""
    config = SourceConfig.model_validate({key: path})
    try:
        yield from format_of(config).cut("explain", config, (_input(path),), recipe)
    except RecipeError as problem:  # the user knows the file, and no source of this name
        raise RequestError(str(problem).removeprefix('source "explain": ')) from None


def _safely(splits: Iterable[InputSplit], recipe: Recipe) -> Iterator[InputSplit]:
    """Yield splits; the pages of their PDF files are read in a process of their own, because parsers of PDF hang."""
    for split in splits:
        with paged_here(split, recipe) as ready:
            yield ready


@contextlib.contextmanager
def paged_here(split: InputSplit, recipe: Recipe, most: int | None = None) -> Iterator[InputSplit]:
    """Give a split that knows the pages of its PDF files, if any, read as a build reads them; at most `most` of each.

    The pages lie in a folder that is removed at the end.
    """
    if not may_have_pdf(split):
        yield split
        return
    unit = Unit.of(split, split.source, 0)
    with tempfile.TemporaryDirectory(prefix="mmedc-pages-") as folder:
        store, runner = Store(folder), Inline(isolate=True)

        def run(current: Pass[Spec, Left], following: Following | None = None) -> list[Left]:
            return [commit.left for commit in run_pass(current, runner, store, Watchers())]

        yield paged(run, [unit], recipe, store.below(WORK), most).get(unit.id, unit).spec


def pdf_split(path: str, recipe: Recipe) -> InputSplit:
    """Return the split of a file that is read as a book. Raises: RequestError."""
    return next(iter(_splits_as("books", path, recipe)))


def _input(path: str) -> Input:
    return Input(path, os.path.basename(path), os.path.getsize(path), "")


def _key_of(path: str) -> str:
    """Return the key of the format that a file's suffix says; `files` for any other name."""
    return next((known.key for known in FORMATS if path.lower().endswith(known.suffixes)), "files")


def _only_record(path: str, splits: Iterator[InputSplit]) -> pa.RecordBatch:
    """Return the record of a file that has one, or the book in a file that also has pages without a text.

    Raises: RequestError, naming some, where it has several or none.
    """
    first = list(islice(_records(splits), LISTED + 1))
    whole = [batch for batch in first if batch.column("locator")[0].as_py() == os.path.basename(path)]
    if len(first) == 1 or len(whole) == 1:
        return (whole or first)[0]
    if not first:
        raise RequestError(f"{path}: there is no record in it")
    rows = [batch.select(["locator", "provenance", "text"]).to_pylist()[0] for batch in first[:LISTED]]
    lines = [f"  {visible(_named(path, row))}  {_head(row['text'] or row['locator'])}" for row in rows]
    more = "\n  …" if len(first) > LISTED else ""
    raise SeveralRecords(
        f"{path}: has several records; name one, for example mmedc explain '{_named(path, rows[0])}'\n"
        + "\n".join(lines)
        + more
    )


def _named(path: str, row: dict[str, str]) -> str:
    """Return how the user names a record of a file: by its place in it."""
    return f"{path}#{row['provenance'].rpartition('#')[2]}"


def _head(text: str | None) -> str:
    return visible(shortened(" ".join((text or "")[:400].split()), HEAD_CHARS))


def _records(splits: Iterator[InputSplit]) -> Iterator[pa.RecordBatch]:
    for split in splits:
        for batch in Reader().read(split, 0, frozenset()):
            for index in range(batch.num_rows):
                yield batch.slice(index, 1)


def _matching(splits: Iterator[InputSplit], names: set[str], place: str = "") -> pa.RecordBatch | None:
    """Return the first record whose locator, provenance or id is one of `names`.

    A record of a file with an address of its own is known by its `place`, which its provenance has after the `#`.
    """
    for split in splits:
        for batch in Reader().read(split, 0, frozenset()):
            locators, places = batch.column("locator").to_pylist(), batch.column("provenance").to_pylist()
            for index, (locator, provenance) in enumerate(zip(locators, places, strict=True)):
                ids = {locator, provenance, document_id(split.source, locator)}
                if ids & names or (place and provenance.rpartition("#")[2] == place):
                    return batch.slice(index, 1)
    return None


def read_again(recipe: Recipe, units: Sequence[str], number: int, row: Mapping[str, Any]) -> pa.RecordBatch | None:
    """Return the record that a `row` of a ledger is about, or None where its source is not as it was.

    `units` are the ids of the units of ingest, and `number` is that of the unit of the record.

    Raises: RequestError when a source can't be read.
    """
    listed, ordinal = list_units(recipe), row["ordinal"]
    split = next((each.spec for each in listed if each.id == units[number]), None)
    if split is None and len(listed) == len(units) and listed[number].spec.books is not None:
        split = listed[number].spec  # its id is another, because passes before ingest read the pages of its PDF files
    if split is None:
        return None
    first = next(Reader().read(split, ordinal, frozenset()), None)
    if first is None or first.column("ordinal")[0].as_py() != ordinal:
        return None
    return first.slice(0, 1) if first.column("provenance")[0].as_py() == row["provenance"] else None
