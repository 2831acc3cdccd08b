"""What there is to read: the inputs of a recipe, cut into units of work."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from mmedc.engine.unit import Unit, digest_of
from mmedc.errors import RecipeError
from mmedc.recipe import Recipe
from mmedc.recipe import Source as SourceConfig
from mmedc.sources.files import FILE_SUFFIXES, read_files
from mmedc.sources.tables import JSONL_SUFFIXES, PARQUET_SUFFIXES, read_jsonl, read_parquet, row_group_ranges
from mmedc.sources.warc import WARC_SUFFIXES, read_warc
from mmedc.storage import Input, list_inputs

SUFFIXES = {
    "warc": WARC_SUFFIXES,
    "parquet": PARQUET_SUFFIXES,
    "jsonl": JSONL_SUFFIXES,
    "files": FILE_SUFFIXES,
}
FILES_PER_UNIT = 256


@dataclass(frozen=True)
class Piece:
    """What one unit reads: a file, some row groups of one, or a few small files."""

    source: str
    config: SourceConfig
    inputs: tuple[Input, ...]
    row_groups: tuple[int, int] | None
    """Half-open range, of a Parquet file that is cut."""
    document_bytes: int
    """A larger payload is rejected."""
    ratio: float = 200.0
    """A compressed file of lines that unpacks to more than this many times its size is read no further."""


@dataclass(frozen=True)
class Reader:
    """The source of every gather unit: reads any piece by its format."""

    version: ClassVar[int] = 1

    def read(self, piece: Piece, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the raw records of `piece` from number `start` on; see `mmedc.engine.chain.Source`."""
        config, one = piece.config, piece.inputs[0]
        if config.warc:
            yield from read_warc(one, piece.document_bytes, start, skip)
        elif config.parquet:
            yield from read_parquet(one, config, piece.row_groups, piece.document_bytes, start, skip)
        elif config.jsonl:
            yield from read_jsonl(one, config, piece.document_bytes, start, skip, piece.ratio)
        else:
            yield from read_files(piece.inputs, piece.document_bytes, start, skip)


def list_units(recipe: Recipe) -> list[Unit]:
    """Return the units of all sources, in the order of the recipe and then of their names.

    Raises: RecipeError for a pattern that matches nothing, or a Parquet file without the columns it needs.
    """
    units: list[Unit] = []
    for name, config in recipe.sources.items():
        pieces = [piece for pattern in config.paths for piece in _pieces(name, config, pattern, recipe)]
        seen = set()
        for piece in pieces:
            parts = [(one.name, one.bytes, one.version) for one in piece.inputs]
            identity = digest_of(name, parts, piece.row_groups, config.model_dump(exclude=set(SUFFIXES)))
            if identity in seen:
                continue  # two patterns of a source that match one file
            seen.add(identity)
            label = piece.inputs[0].name
            if len(piece.inputs) > 1:
                label += f" and {len(piece.inputs) - 1} more"
            if piece.row_groups:
                label += f" row groups {piece.row_groups[0]}–{piece.row_groups[1] - 1}"
            units.append(Unit(identity, f"{name}: {label}", piece, sum(one.bytes for one in piece.inputs)))
    return units


def _pieces(name: str, config: SourceConfig, pattern: str, recipe: Recipe) -> Iterator[Piece]:
    try:
        inputs = list_inputs(pattern, SUFFIXES[config.format])
    except OSError as problem:
        raise RecipeError(f'source "{name}": {pattern} can\'t be listed ({problem})') from None
    if not inputs:
        raise RecipeError(f'source "{name}": {pattern} matches no file')
    limit = recipe.limits
    if config.format == "files":
        for at in range(0, len(inputs), FILES_PER_UNIT):
            yield Piece(name, config, tuple(inputs[at : at + FILES_PER_UNIT]), None, limit.document, limit.ratio)
        return
    for index, one in enumerate(inputs):
        ranges: list[tuple[int, int] | None] = [None]
        if config.format == "parquet" and (index == 0 or one.bytes > limit.unit):
            ranges = row_group_ranges(name, one, config, limit.unit)
        for chosen in ranges:
            yield Piece(name, config, (one,), chosen, limit.document, limit.ratio)
