"""The keys of a published corpus: by them a later build knows what it has already, without its text."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mmedc.corpus.manifest import read_manifest
from mmedc.engine.commit import read_table
from mmedc.engine.unit import Output, Result, Stream, Unit
from mmedc.errors import CorpusError
from mmedc.storage import Store

COLUMNS = ("id", "chars", "words", "content", "bands", "sketch")


@dataclass(frozen=True)
class Kept:
    """The keys of a gather unit, and which of its rows are published."""

    keys: Output
    keep: Output


@dataclass(frozen=True)
class PublishKeys:
    """Leaves the `keys` of the rows that are published. Unit spec: Kept."""

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec: Kept = unit.spec
        rows = read_table(store, spec.keep, ["row"])["row"]
        table: pa.Table = read_table(store, spec.keys, list(COLUMNS)).take(rows)
        return Result({"keys": Stream(table.schema, iter([table]), whole=True)})


def published_keys(corpora: tuple[str, ...], made_by: dict[str, Any]) -> list[tuple[str, Output]]:
    """Return (URL of the corpus, file) of the keys of published corpora.

    Raises: CorpusError for a folder that is no corpus, has no keys, or has some that were not `made_by` the same
    step with the same settings.
    """
    found = []
    for url in corpora:
        keys = read_manifest(url).get("keys")
        if keys is None:
            raise CorpusError(
                f"{url}: has no keys, it was built by an older version; build it again to compare with it"
            )
        theirs = {name: keys.get(name) for name in made_by}
        if theirs != made_by:
            raise CorpusError(
                f"{url}: its keys were made with {theirs}, this recipe's are made with {made_by}; "
                "give the same `dedup.jaccard`, or build that corpus again"
            )
        found += [(url, Output(one["path"], one["sha256"], one["rows"], one["bytes"])) for one in keys["files"]]
    return found
