"""The keys of a published corpus: by them a later build knows what it has already, without its text."""

from dataclasses import dataclass

import pyarrow as pa

from mmedc.corpus.manifest import KeyFiles, read_manifest
from mmedc.engine.commit import read_table
from mmedc.engine.selection import Selection
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.errors import CorpusError

COLUMNS = ("id", "chars", "words", "content", "bands", "sketch")


@dataclass(frozen=True)
class Keys:
    """What `WriteKeys` leaves."""

    keys: DataFile


@dataclass(frozen=True)
class WriteKeys:
    """Leaves the keys of the rows that are published. Unit spec: (all keys of a unit, its Selection)."""

    def run(self, unit: Unit[tuple[DataFile, Selection]], out: UnitFiles) -> Keys:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        keys, selection = unit.spec
        rows = read_table(out.store, selection.keep, ["row"])["row"]
        table: pa.Table = read_table(out.store, keys, list(COLUMNS)).take(rows)
        return Keys(out.write("keys", Stream(table.schema, iter([table]), whole=True)))


def published_keys(corpora: tuple[str, ...], made_by: KeyFiles) -> list[tuple[str, DataFile]]:
    """Return (URL of the corpus, file) of the keys of published corpora.

    Raises: CorpusError for a folder that is no corpus, has no keys, or has some that were not `made_by` the same
    step with the same settings.
    """
    found = []
    for url in corpora:
        keys = read_manifest(url).keys
        if keys is None:
            raise CorpusError(
                f"{url}: has no keys, it was built by an older version; build it again to compare with it"
            )
        if (keys.sign, keys.bands) != (made_by.sign, made_by.bands):
            raise CorpusError(
                f"{url}: its keys were made by signatures of version {keys.sign} with bands {keys.bands}; those of "
                f"this recipe are made by version {made_by.sign} with bands {made_by.bands}; give the same "
                "`dedup.jaccard`, or build that corpus again"
            )
        found += [(url, DataFile(file.path, file.sha256, file.rows, file.bytes)) for file in keys.files]
    return found
