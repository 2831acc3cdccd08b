"""The files of a corpus that the page looks at, and how their rows are read: a group of rows at a time.

A corpus is looked at as it is: published, with what its passes left or without it; or still being built, when only the
units that are committed exist.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.corpus.history import History
from mmedc.corpus.manifest import NAME, Manifest, nearby, read_manifest
from mmedc.corpus.record import read_begun
from mmedc.engine.run import WORK
from mmedc.engine.unit import DataFile
from mmedc.errors import CorpusError, MmedcError
from mmedc.licences import Rule
from mmedc.policy import Limit, Policy
from mmedc.recipe import Recipe, read_recipe, recipe_of
from mmedc.storage import Store

UNREADABLE = (MmedcError, OSError, pa.ArrowException)
"""What a damaged or missing file raises."""
BATCH = 2_000
"""Rows that are read at a time."""
PUBLISHED, SCORED, REMOVED = "published", "scored", "removed"


@dataclass(frozen=True)
class RowFile:
    """A file of documents, or of removed records, by a name that can stand in an address."""

    name: str
    """`data/es/pages-00000-of-00001`, `unit/<id>` or `ledger/<id>`."""
    path: str
    """The path below the folder of the corpus."""
    rows: int
    what: str
    """`published`, `scored` (a document of ingest that is not published) or `removed` (a record without scores)."""
    keys: str = ""
    """The file of scores beside documents of ingest."""
    unit: int = -1
    """The number of the unit of ingest; -1 for a shard."""
    lang: str = ""
    """The language of all documents, if the file has only one."""
    source: str = ""
    """The source of all rows, if it is known."""


@dataclass
class Opened:
    """A corpus as it was when it was opened."""

    corpus: str
    manifest: Manifest | None
    history: History | None
    files: tuple[RowFile, ...]
    """Files of documents: shards, then what ingest left."""
    removed: tuple[RowFile, ...]
    """Files of records that were removed before they were scored."""
    stamp: str
    """Changes when there is something new to see."""
    begun: str = ""
    """When the build that is under way began; empty where none is."""
    committed: int = 0
    """The units of ingest that are committed, of a build that has not published."""
    lacks: str = ""
    """What cannot be shown, and why."""
    places: dict[str, RowFile] = field(init=False)

    def __post_init__(self) -> None:
        self.places = {file.name: file for file in (*self.files, *self.removed)}

    @property
    def store(self) -> Store:
        """The folder of the corpus."""
        return Store(self.corpus)

    @cached_property
    def recipe(self) -> Recipe | None:
        """The recipe of the build; None where it is not known or cannot be read any more."""
        try:
            if self.history:
                return self.history.record.settings()
            if self.manifest:
                return recipe_of(self.manifest.recipe)
            from mmedc.pipeline.folder import origin_of  # brings the parsers, which take a second to import

            origin = origin_of(self.corpus)
            path = os.path.join(origin.cwd, origin.recipe)
            return read_recipe(path if os.path.isfile(path) else origin.recipe, list(origin.sets))
        except (MmedcError, OSError):
            return None

    @cached_property
    def policy(self) -> Policy | None:
        """The policy of the recipe as its files are now; None where it cannot be read."""
        if self.recipe is None:
            return None
        try:
            return self.recipe.read_policy(self.manifest.columns if self.manifest else ())
        except (MmedcError, OSError):
            return None

    @cached_property
    def limits(self) -> dict[str, dict[str, Limit]]:
        """The limits of the policy by language and measure: those that the build had, or else those of its recipe."""
        if self.history:
            return self.history.record.limits
        languages = self.policy.languages if self.policy else {}
        return {code: language.limits for code, language in languages.items()}

    @cached_property
    def own_limits(self) -> dict[str, dict[str, dict[str, Limit]]]:
        """The limits of the sources that have a policy of their own, by source, language and measure."""
        if self.history:
            return self.history.record.limits_of_sources
        policies = self.policy.of_sources if self.policy else {}
        return {
            source: {code: language.limits for code, language in policy.languages.items()}
            for source, policy in policies.items()
        }

    def limits_of(self, source: str) -> dict[str, dict[str, Limit]]:
        """Return the limits by which the documents of a source are judged."""
        return self.own_limits.get(source, self.limits)

    @property
    def licences(self) -> Rule | None:
        """Which licences the recipe publishes; None for all."""
        return self.recipe.publish.rule if self.recipe else None

    @property
    def extra(self) -> tuple[str, ...]:
        """The columns that the recipe's own steps and measures add."""
        return self.manifest.columns if self.manifest else ()

    def take(self, file: RowFile, rows: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Return rows of a file, by their numbers; columns that the file lacks are left out."""
        found: dict[int, dict[str, Any]] = {}
        for start, table in self.groups(file, columns, np.asarray(sorted(rows), np.int64)):
            mine = [row for row in rows if start <= row < start + table.num_rows]
            taken = table.take(pa.array([row - start for row in mine], pa.int64())).to_pylist()
            found |= dict(zip(mine, taken, strict=True))
        return found

    def groups(
        self, file: RowFile, columns: Sequence[str], rows: npt.NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, table) for all rows, or for groups that have one of the sorted `rows`.

        A group is read in parts, so that no more than a part of its texts is in memory.
        """
        with self.store.open_input(file.path) as handle:
            parquet = pq.ParquetFile(handle)
            names = [name for name in columns if name in parquet.schema_arrow.names]
            start = 0
            for number in range(parquet.num_row_groups):
                count = parquet.metadata.row_group(number).num_rows
                at, stop = start, start + count
                start = stop
                wanted = None if rows is None else rows[np.searchsorted(rows, at) : np.searchsorted(rows, stop)]
                if wanted is not None and not len(wanted):
                    continue
                for batch in parquet.iter_batches(BATCH, [number], names, use_threads=False):
                    yield at, pa.Table.from_batches([batch])
                    at += batch.num_rows
                    if wanted is not None and at > wanted[-1]:
                        break


def open_corpus(corpus: str) -> Opened:
    """Open the corpus at `corpus`, or what is committed of a build that has not published.

    Raises: CorpusError where there is neither.
    """
    store = Store(corpus)
    begun = read_begun(store)
    if not store.exists(NAME):
        return _unpublished(corpus, store, begun.at if begun else "")
    manifest, lacks = read_manifest(corpus), ""
    history: History | None = None
    try:
        history = History(corpus)
    except CorpusError:
        lacks = (
            f"What the passes left ({WORK}/) is gone, so only published documents have scores, and of the removed ones "
            "there are samples."
        )
    shards = [
        RowFile(
            shard.path.removesuffix(".parquet"), shard.path, shard.rows, PUBLISHED, "", -1, shard.lang, shard.source
        )
        for shard in sorted(manifest.shards, key=lambda shard: shard.path)
    ]
    units, ledgers = _of_passes(history) if history else ([], _samples(manifest))
    at = begun.at if begun else ""
    stamp = f"{store.etag(NAME)} {at}"
    return Opened(corpus, manifest, history, (*shards, *units), tuple(ledgers), stamp, at, lacks=lacks)


def _of_passes(history: History) -> tuple[list[RowFile], list[RowFile]]:
    ids, sources = history.record.units("ingest"), history.record.sources
    units = [
        RowFile(
            f"unit/{ids[unit]}",
            f"{WORK}/{documents.path}",
            documents.rows,
            SCORED,
            f"{WORK}/{keys.path}",
            unit,
            source=sources[unit],
        )
        for unit, (documents, keys) in enumerate(history.tables)
    ]
    ledgers = [
        RowFile(f"ledger/{ids[unit]}", f"{WORK}/{file.path}", file.rows, REMOVED, unit=unit, source=sources[unit])
        for _, unit, file in history.ledgers("ingest")
    ]
    return units, ledgers


def _samples(manifest: Manifest) -> list[RowFile]:
    wanted = ("rejects/samples.parquet", "rejects/quarantine.parquet")
    return [
        RowFile(file.path.removesuffix(".parquet"), file.path, file.rows, REMOVED)
        for file in manifest.rejects
        if file.path in wanted
    ]


def _unpublished(corpus: str, store: Store, begun: str) -> Opened:
    """Return what the newest ingest pass committed."""
    passes: dict[str, list[str]] = {}
    for name in store.names(WORK):
        parts = name.split("/")
        if len(parts) == 4 and parts[1].startswith("ingest-") and parts[2] == "units":
            passes.setdefault(parts[1], []).append(name)
    if not passes and not begun:
        raise CorpusError(f"{corpus}: there is no {NAME}, and no build is under way here; {nearby(corpus)}")
    names = sorted(passes[max(passes, key=lambda folder: (_age(corpus, passes[folder]), folder))]) if passes else []
    units, ledgers = [], []
    for number, name in enumerate(names):
        left, unit = json.loads(store.get(name))["left"], name.rsplit("/", 1)[-1].removesuffix(".json")
        documents, keys, gone = (DataFile(**left[part]) for part in ("documents", "keys", "removed"))
        paths = [f"{WORK}/{file.path}" for file in (documents, keys, gone)]
        units.append(RowFile(f"unit/{unit}", paths[0], documents.rows, SCORED, paths[1], number))
        ledgers.append(RowFile(f"ledger/{unit}", paths[2], gone.rows, REMOVED, unit=number))
    stamp = f"{begun} {len(names)}"
    return Opened(corpus, None, None, tuple(units), tuple(ledgers), stamp, begun or "?", len(names))


def _age(corpus: str, names: list[str]) -> float:
    """Return when the last of some files of a local corpus was written; 0 for one in an object store."""
    return max(
        (os.path.getmtime(path) for path in (os.path.join(corpus, name) for name in names) if os.path.exists(path)),
        default=0.0,
    )


def stamp_of(corpus: str) -> str:
    """Return the stamp that `open_corpus` would give; an empty text where there is nothing to open."""
    store = Store(corpus)
    try:
        begun = read_begun(store)
        at = begun.at if begun else ""
        if store.exists(NAME):
            return f"{store.etag(NAME)} {at}"
        return _unpublished(corpus, store, at).stamp
    except (MmedcError, OSError):
        return ""
