"""What the passes of a published corpus left in `.work/`, for questions about its build and about single documents.

A document is known by its place: the number of its unit of ingest, times 2^32, plus its row there. The driver's memory
does not grow with documents: tables are read one unit at a time, and of them only columns.
"""

import json
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.corpus.manifest import Manifest, read_manifest
from mmedc.corpus.record import Record, read_record
from mmedc.engine.commit import read_table
from mmedc.engine.run import WORK
from mmedc.engine.unit import DataFile
from mmedc.errors import CorpusError
from mmedc.storage import Store, read_each

ACCOUNTED = ("ingest", "select", "decontaminate", "trim")
"""The passes that remove documents, in their order. The units of all but `trim` are those of ingest."""
LEDGER = ["ordinal", "locator", "provenance", "step", "fate", "reason", "detail", "lang"]


class History:
    """The passes of a corpus. Raises: CorpusError where there is no corpus, or nothing is left of its passes."""

    def __init__(self, corpus: str) -> None:
        self.corpus, store = corpus, Store(corpus)
        self.manifest: Manifest = read_manifest(corpus)
        found = read_record(store, self.manifest)
        if found is None:
            raise CorpusError(
                f"{corpus}/{WORK}: what the passes left is not there: it was deleted, is that of a build that has not "
                "published, or an older version built it; give the `mmedc run` of this corpus again"
            )
        self.record: Record = found
        self.store = store.below(WORK)

    @lru_cache(maxsize=8)  # noqa: B019 (a history lives as long as a command)
    def left(self, name: str) -> list[dict[str, Any]]:
        """Return the results of the units of a pass, in their order; none where the build had no such pass.

        Raises: CorpusError when a result is gone.
        """
        folder = self.record.folder(name)
        names = [f"{folder}/units/{unit}.json" for unit in self.record.units(name)]
        try:
            return [json.loads(data)["left"] for data in read_each(self.store.get, names)]
        except FileNotFoundError as problem:
            raise CorpusError(f"{self.corpus}: a result of the pass {name} is gone ({problem})") from None

    @cached_property
    def tables(self) -> list[tuple[DataFile, DataFile]]:
        """The documents and the keys of each unit of ingest, with all scores."""
        name = "classify" if self.record.folder("classify") else "ingest"
        return [(DataFile(**left["documents"]), DataFile(**left["keys"])) for left in self.left(name)]

    def read(self, file: DataFile, columns: list[str] | None = None, **options: Any) -> pa.Table:
        """Return columns of a file. Raises: CorpusError when it is gone."""
        try:
            return read_table(self.store, file, columns, **options)
        except FileNotFoundError:
            raise CorpusError(
                f"{self.corpus}/{WORK}/{file.path}: the file is gone; give the `mmedc run` again"
            ) from None

    def ledgers(self, *names: str) -> Iterator[tuple[str, int, DataFile]]:
        """Yield (pass, number of the unit, ledger) of those passes that removed rows; by default of all."""
        for name in names or ACCOUNTED:
            for number, left in enumerate(self.left(name)):
                if left["removed"]["rows"]:
                    yield name, number, DataFile(**left["removed"])

    def published_rows(self, unit: int) -> npt.NDArray[np.int64]:
        """Return the rows of a unit of ingest that are published, sorted."""
        for left in self.left("trim"):
            for part in left["units"]:
                if part["number"] == unit:
                    return self.read(DataFile(**part["keep"]), ["row"])["row"].to_numpy()  # type: ignore[no-any-return]
        last = self.left("decontaminate") or self.left("select")
        return self.read(DataFile(**last[unit]["keep"]), ["row"])["row"].to_numpy()  # type: ignore[no-any-return]

    def drops(self) -> Iterator[pa.Table]:
        """Yield what deduplication dropped: tables of `mmedc.dedup.records.DROP`, sorted by place."""
        for left in self.left("drops"):
            if left["drops"]["rows"]:
                yield self.read(DataFile(**left["drops"]))
