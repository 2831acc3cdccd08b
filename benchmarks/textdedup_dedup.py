"""text-dedup's MinHash over one Parquet file; in its own environment. Prints {gone, seconds}.

    python textdedup_dedup.py DOCUMENTS.parquet

Its command as its documentation has it, in this process: windows of 5, 112 permutations, 0.8. It cuts words at
whatever is neither letter nor digit, in Chinese and Japanese too.
"""

import contextlib
import json
import logging
import sys
import tempfile

import pyarrow.parquet as pq
from clocks import clocks, since
from datasets import load_from_disk
from text_dedup.minhash import main as minhash


def main():
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        begun = clocks()
        minhash.main(
            ["--path", "parquet", "--data_files", sys.argv[1], "--split", "train", "--cache_dir", f"{folder}/cache",
             "--output", f"{folder}/out", "--column", "text", "--num_perm", "112", "--ngram", "5", "--threshold", "0.8",
             "--min_length", "1", "--num_proc", "1"],
            standalone_mode=False,
        )  # fmt: skip
        seconds = since(begun)
        kept = set(load_from_disk(f"{folder}/out")["id"])
    gone = [one for one in pq.read_table(sys.argv[1])["id"].to_pylist() if one not in kept]
    print(json.dumps({"gone": gone, "seconds": seconds}))


if __name__ == "__main__":
    main()
