"""What the documents of a shard are: their kinds, licences and identifiers, counted as the shard is written."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import OPT_OUT, RESERVED

MOST_LICENCES = 100
OTHER = "other"
"""The name of the licences beyond `MOST_LICENCES`, and of identifiers whose scheme is none of `SCHEMES`."""
SCHEMES = ("isbn", "issn", "doi", "pmid", "pmcid", "url")


@dataclass(frozen=True, slots=True)
class KindSize:
    """The documents of one kind, their tokens, and the UTF-8 bytes of their texts."""

    rows: int
    tokens: int
    text_bytes: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What the documents of a shard are; see `mmedc.corpus.manifest.Shard`."""

    kinds: dict[str, KindSize]
    licences: dict[str, int]
    identified: dict[str, int]
    authored: int
    reserved: int

    @property
    def kind(self) -> str:
        """The kind of most documents; empty without documents."""
        return min(self.kinds, key=lambda kind: (-self.kinds[kind].rows, kind), default="")

    @property
    def tokens(self) -> int:
        """The number of tokens of all documents."""
        return sum(size.tokens for size in self.kinds.values())

    @property
    def text_bytes(self) -> int:
        """The UTF-8 bytes of all texts."""
        return sum(size.text_bytes for size in self.kinds.values())


@dataclass
class Counted:
    """Counts what is in the tables of a shard."""

    kinds: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    licences: Counter[str] = field(default_factory=Counter)
    identified: Counter[str] = field(default_factory=Counter)
    authored: int = 0
    reserved: int = 0

    def add(self, table: pa.Table, tokens: npt.NDArray[Any], text_bytes: npt.NDArray[Any]) -> None:
        """Count a table of documents, with the `tokens` and the UTF-8 bytes of each."""
        sizes = pa.table({"kind": table["kind"], "tokens": tokens, "bytes": text_bytes}).group_by("kind")
        for row in sizes.aggregate([("tokens", "count"), ("tokens", "sum"), ("bytes", "sum")]).to_pylist():
            size = np.array([row["tokens_count"], row["tokens_sum"], row["bytes_sum"]], np.int64)
            self.kinds[row["kind"]] = self.kinds.get(row["kind"], 0) + size
        for row in pc.value_counts(table["licence"]).to_pylist():
            self.licences[row["values"]] += row["counts"]
        self.authored += table.num_rows - table["authors"].null_count
        self.reserved += (
            pc.sum(pc.match_substring_regex(table["licence_evidence"], f"{RESERVED}|{OPT_OUT}")).as_py() or 0
        )
        for names in table["identifiers"].drop_null().to_pylist():
            schemes = {name.partition(":")[0] for name in names}
            self.identified.update(scheme if scheme in SCHEMES else OTHER for scheme in schemes)

    def contents(self) -> Contents:
        """Return the counts, in an order that does not depend on that of the tables."""
        ranked = sorted(self.licences.items(), key=lambda item: (-item[1], item[0]))
        licences = dict(sorted(ranked[:MOST_LICENCES]))
        if rest := sum(count for _, count in ranked[MOST_LICENCES:]):
            licences[OTHER] = rest
        return Contents(
            kinds={kind: KindSize(*size.tolist()) for kind, size in sorted(self.kinds.items())},
            licences=licences,
            identified=dict(sorted(self.identified.items())),
            authored=self.authored,
            reserved=self.reserved,
        )
