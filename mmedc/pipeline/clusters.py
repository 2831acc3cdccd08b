"""The table of the worst clusters of duplicates, with what a person needs in order to judge them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from mmedc.corpus.layout import Table
from mmedc.dedup.groups import SAMPLES
from mmedc.engine.commit import read_rows, read_table
from mmedc.engine.unit import DataFile, Unit, UnitFiles
from mmedc.storage import Store

HEAD_CHARS = 200
COUNT = 50
HELD = 5_000
SHOWN = pa.schema(
    [
        ("cluster", pa.int64()),  # numbered from 1, largest first
        ("documents", pa.int64()),
        ("fate", pa.string()),  # stays | goes | published, of another corpus
        ("jaccard", pa.float32()),  # estimated, of the row that is least similar to the kept one
        ("lang", pa.string()),
        ("locator", pa.string()),
        ("begins", pa.string()),
    ]
)


@dataclass(frozen=True)
class ShowClusters:
    """Writes the worst clusters as SHOWN rows. Unit spec: the files of clusters of all ranges."""

    documents: tuple[DataFile, ...]
    """The documents of every ingest unit."""
    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[DataFile, ...]], out: UnitFiles) -> Table:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        return Table(out.write("clusters", worst_clusters(out.store, self.documents, unit.spec)))


def worst_clusters(work: Store, documents: tuple[DataFile, ...], clusters: tuple[DataFile, ...]) -> pa.Table:
    """Return the largest and the least similar clusters, with the heads of a few texts of each, as SHOWN rows."""
    rows = []
    for number, cluster in enumerate(worst(read_table(work, file) for file in clusters), 1):
        for place in (cluster["survivor"], *cluster["samples"]):
            stays = place == cluster["survivor"]
            rows.append(
                {
                    "place": place,
                    "cluster": number,
                    "documents": cluster["rows"] + 1,
                    "fate": "stays" if stays else "goes",
                    "jaccard": None if stays else cluster["jaccard"],
                }
            )
    by_unit: dict[int, list[int]] = {}
    for row in rows:
        by_unit.setdefault(row["place"] >> 32, []).append(row["place"] & 0xFFFFFFFF)
    texts = {}
    for unit, wanted in sorted(by_unit.items()):
        if unit < len(documents):
            for at, table in read_rows(work, documents[unit], np.unique(wanted), ["lang", "locator", "text"]):
                for row_number, found in zip(at.tolist(), table.to_pylist(), strict=True):
                    begins = " ".join(found["text"][: 2 * HEAD_CHARS].split())[:HEAD_CHARS]
                    texts[unit << 32 | row_number] = {**found, "begins": begins}
    unknown = {"lang": "", "locator": "", "begins": "(in a published corpus)"}
    shown = [{**row, **texts.get(row["place"], unknown)} for row in rows]
    return pa.Table.from_pylist([{name: row[name] for name in SHOWN.names} for row in shown], SHOWN)


def worst(tables: Iterable[pa.Table]) -> list[dict[str, Any]]:
    """Return the COUNT largest and the COUNT least similar of the clusters of all ranges, largest first.

    At most twice HELD clusters are in memory. A cluster has a row in the table of every range that contains rows of
    it. A cluster that is neither among the HELD largest nor among the HELD least similar so far is forgotten, and
    counts only from its next row on.
    """
    held: dict[int, dict[str, Any]] = {}
    for table in tables:
        for part in table.to_pylist():
            cluster = held.setdefault(part["survivor"], {**part, "rows": 0, "samples": []})
            cluster["rows"] += part["rows"]
            cluster["jaccard"] = min(cluster["jaccard"], part["jaccard"])
            cluster["samples"] = [*cluster["samples"], *part["samples"]][:SAMPLES]
        if len(held) > 2 * HELD:
            held = {cluster["survivor"]: cluster for cluster in _extreme(held.values(), HELD)}
    return _extreme(held.values(), COUNT)


def _extreme(clusters: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the `count` largest and the `count` least similar clusters, largest first."""
    large = sorted(clusters, key=lambda cluster: (-cluster["rows"], cluster["survivor"]))
    loose = sorted(large, key=lambda cluster: (cluster["jaccard"], cluster["survivor"]))
    shown = {cluster["survivor"] for cluster in (*large[:count], *loose[:count])}
    return [cluster for cluster in large if cluster["survivor"] in shown]
