"""The page of the worst clusters of duplicates: their rows with what a person needs to judge them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from mmedc.dedup.groups import SAMPLES
from mmedc.engine.commit import read_rows, read_table
from mmedc.engine.unit import DataFile, Unit, UnitFiles
from mmedc.storage import Store

HEAD_CHARS = 200
COUNT = 50
SHOWN = pa.schema(
    [
        ("cluster", pa.int64()),  # from 1, largest first
        ("documents", pa.int64()),
        ("fate", pa.string()),  # stays | goes | published, of another corpus
        ("jaccard", pa.float32()),  # of the row that is least like the one that stays, estimated
        ("lang", pa.string()),
        ("locator", pa.string()),
        ("begins", pa.string()),
    ]
)


@dataclass(frozen=True)
class Shown:
    """What `ShowClusters` leaves."""

    file: DataFile


@dataclass(frozen=True)
class ShowClusters:
    """Writes the worst clusters as SHOWN rows. Unit spec: the files of clusters of all ranges."""

    documents: tuple[DataFile, ...]
    """Of every ingest unit."""
    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[DataFile, ...]], out: UnitFiles) -> Shown:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        return Shown(out.write("clusters", worst_clusters(out.store, self.documents, unit.spec)))


def worst_clusters(work: Store, documents: tuple[DataFile, ...], clusters: tuple[DataFile, ...]) -> pa.Table:
    """Return the largest and the loosest clusters with the heads of a few texts of each, as SHOWN rows."""
    parts = [row for file in clusters for row in read_table(work, file).to_pylist()]
    rows = []
    for number, cluster in enumerate(worst(parts), 1):
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
                for one, found in zip(at.tolist(), table.to_pylist(), strict=True):
                    begins = " ".join(found["text"][: 2 * HEAD_CHARS].split())[:HEAD_CHARS]
                    texts[unit << 32 | one] = {**found, "begins": begins}
    unknown = {"lang": "", "locator": "", "begins": "(in a published corpus)"}
    shown = [{**row, **texts.get(row["place"], unknown)} for row in rows]
    return pa.Table.from_pylist([{name: row[name] for name in SHOWN.names} for row in shown], SHOWN)


def worst(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the COUNT largest and the COUNT loosest of the clusters of all ranges, largest first."""
    whole: dict[int, dict[str, Any]] = {}
    for part in parts:
        one = whole.setdefault(part["survivor"], {**part, "rows": 0, "samples": []})
        one["rows"] += part["rows"]
        one["jaccard"] = min(one["jaccard"], part["jaccard"])
        one["samples"] = [*one["samples"], *part["samples"]][:SAMPLES]
    large = sorted(whole.values(), key=lambda one: (-one["rows"], one["survivor"]))
    loose = sorted(whole.values(), key=lambda one: (one["jaccard"], one["survivor"]))
    shown = {one["survivor"] for one in (*large[:COUNT], *loose[:COUNT])}
    return [one for one in large if one["survivor"] in shown]
