"""Data-Juicer's MinHash deduplicator over one Parquet file; in its own environment. Prints {gone, seconds}.

    python juicer_dedup.py DOCUMENTS.parquet

Words by spaces for spaced languages, by characters for Chinese and Japanese; windows of 5, 112 permutations, 0.8.
"""

import json
import sys

import pyarrow.parquet as pq
from clocks import clocks, since
from data_juicer.core.data import NestedDataset
from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator


def main():
    begun = clocks()
    table = pq.read_table(sys.argv[1])
    kept = set()
    for tokenization, langs in (("space", ("en", "fr", "ru", "es")), ("character", ("zh", "ja"))):
        rows = [row for row in table.to_pylist() if row["lang"] in langs]
        data = NestedDataset.from_list(rows)
        dedup = DocumentMinhashDeduplicator(
            tokenization=tokenization, window_size=5, jaccard_threshold=0.8, num_permutations=112, lowercase=True,
            ignore_pattern=r"\p{P}",
        )  # fmt: skip
        hashed = data.map(dedup.compute_hash, num_proc=1)
        found, _ = dedup.process(hashed)
        kept |= set(found["id"])
    seconds = since(begun)
    gone = [one for one in table["id"].to_pylist() if one not in kept]
    print(json.dumps({"gone": gone, "seconds": seconds}))


if __name__ == "__main__":
    main()
