"""datatrove's MinHash in four stages over one Parquet file; in its own environment. Prints {gone, seconds}.

    python datatrove_dedup.py DOCUMENTS.parquet

Each language runs with its own word tokeniser, as datatrove wants it (`cmn_Hani`, `jpn_Jpan`, …): 14 bands of
8, 5-grams, 64 bits.
"""

import glob
import json
import struct
import sys
import tempfile

import pyarrow.parquet as pq
from clocks import clocks, since
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer

CODES = {"en": "eng_Latn", "zh": "cmn_Hani", "ja": "jpn_Jpan", "fr": "fra_Latn", "ru": "rus_Cyrl", "es": "spa_Latn"}


def main():
    path = sys.argv[1]
    # The executor copies its steps, and the Chinese tokeniser, which holds a module, can't be copied.
    WordTokenizer.__deepcopy__ = lambda self, _: self
    for code in CODES.values():
        load_word_tokenizer(code).word_tokenize("warm up")  # loads its model: not counted
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64))
    gone = []
    with tempfile.TemporaryDirectory() as out:
        begun = clocks()
        rows = pq.read_table(path).to_pylist()
        for lang, code in CODES.items():
            mine = [Document(text=row["text"], id=row["id"]) for row in rows if row["lang"] == lang]
            folder = f"{out}/{lang}"

            def run(pipeline, tasks=1, folder=folder):
                log = f"{folder}/log-{tasks}-{pipeline[-1].name}"
                LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=log).run()

            run([mine, MinhashDedupSignature(f"{folder}/sig", config, language=code)])
            run([MinhashDedupBuckets(f"{folder}/sig", f"{folder}/buckets", config=config)], 14)
            run([MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)])
            for name in glob.glob(f"{folder}/remove/*.remove"):
                with open(name, "rb") as file:
                    data = file.read()
                gone += [mine[at].id for (at,) in struct.iter_unpack("<I", data)]
        seconds = since(begun)
    print(json.dumps({"gone": gone, "seconds": seconds}))


if __name__ == "__main__":
    main()
