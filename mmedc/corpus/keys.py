"""The keys of a published corpus, by which a later build recognises its documents without reading the texts."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmedc.corpus.manifest import KeyFiles, read_manifest
from mmedc.engine.commit import read_table
from mmedc.engine.selection import Selection
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.errors import CorpusError

COLUMNS = ("id", "lang", "chars", "words", "content", "bands", "sketch")
LAYOUT = 1
"""The version of the columns of published keys."""


@dataclass(frozen=True)
class Keys:
    """The result of `WriteKeys`."""

    keys: DataFile


@dataclass(frozen=True)
class Kept:
    """The keys of the rows of a unit, and the selection of those that are published."""

    keys: DataFile
    selection: Selection
    before: dict[str, int]
    """The number of documents of the same source that come before it in the corpus, by language."""


@dataclass(frozen=True)
class WriteKeys:
    """Writes the keys of the published rows, and the positions of their texts. Unit spec: Kept.

    `at` numbers the documents of a language and source across its shards, so that a text can be looked up.
    """

    layout: int = LAYOUT

    def run(self, unit: Unit[Kept], out: UnitFiles) -> Keys:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec = unit.spec
        rows = read_table(out.store, spec.selection.keep, ["row"])["row"]
        table: pa.Table = read_table(out.store, spec.keys, list(COLUMNS)).take(rows)
        lang, at = np.array(table["lang"].to_pylist(), object), np.zeros(table.num_rows, np.int64)
        for name in np.unique(lang).tolist():
            in_language = np.flatnonzero(lang == name)
            at[in_language] = spec.before.get(name, 0) + np.arange(len(in_language))
        table = table.append_column("source", pa.array([spec.selection.source] * table.num_rows, pa.string()))
        table = table.append_column("at", pa.array(at))
        return Keys(out.write("keys", Stream(table.schema, iter([table]), whole=True)))


def counted(files: list[DataFile], selections: list[Selection]) -> list[Kept]:
    """Return the specs of `WriteKeys`; `files` are the keys of the units of `selections`."""
    before: dict[str, dict[str, int]] = {}
    found = []
    for file, selection in zip(files, selections, strict=True):
        counts = before.setdefault(selection.source, {})
        found.append(Kept(file, selection, dict(counts)))
        for lang, size in selection.sizes.items():
            counts[lang] = counts.get(lang, 0) + size.rows
    return found


@dataclass(frozen=True)
class KnownKeys:
    """A file of keys of a published corpus, and the shards that contain its documents."""

    corpus: str
    file: DataFile
    shards: tuple[tuple[str, str, DataFile], ...]
    """All shards as (language, source, file), in the order of their documents."""


def published_keys(corpora: tuple[str, ...], made_by: KeyFiles) -> list[KnownKeys]:
    """Return the files of keys of published corpora.

    Raises: CorpusError for a folder that is not a corpus, that has no keys, or whose keys were not `made_by` the same
    step with the same settings.
    """
    found = []
    for url in corpora:
        manifest = read_manifest(url)
        keys = manifest.keys
        if keys is None or keys.layout != made_by.layout:
            raise CorpusError(
                f"{url}: its keys do not say where the texts are, because an older version built it; build it again "
                "to compare with it"
            )
        if (keys.sign, keys.bands) != (made_by.sign, made_by.bands):
            raise CorpusError(
                f"{url}: its keys were made by signatures of version {keys.sign} with bands {keys.bands}; those of "
                f"this recipe are made by version {made_by.sign} with bands {made_by.bands}; give the same "
                "`dedup.jaccard`, or build that corpus again"
            )
        shards = tuple(
            (shard.lang, shard.source, DataFile(shard.path, shard.sha256, shard.rows, shard.bytes))
            for shard in sorted(manifest.shards, key=lambda shard: shard.path)
        )
        found += [
            KnownKeys(url, DataFile(file.path, file.sha256, file.rows, file.bytes), shards) for file in keys.files
        ]
    return found
