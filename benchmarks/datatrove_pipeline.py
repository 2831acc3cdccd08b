"""Plain datatrove over a folder of WARC or Parquet files, as its examples build a web corpus; in its own environment.

WarcReader → Trafilatura → LanguageFilter → GopherQualityFilter → [medical rule] → JsonlWriter, then
MinHash in its four stages (14 bands of 8, 5-grams, 64 bits). Prints one JSON line.

    python datatrove_pipeline.py FOLDER OUT --lid lid.176.ftz [--workers 2] [--terms terms.json]

A folder with `.parquet` files is read as text (columns `text` and `url`) and needs no extraction.
`--terms` adds mmedc's medical rule as a last filter, from
{lang: {"terms": [[form, …], …], "min_terms": n, "min_density": x}}.
"""

import argparse
import glob
import gzip
import json
import os
import shutil
import time


class MedicalRule:
    """Tells whether a document passes by the terms of `path`: whole words, longest match, count and density.

    Picklable: each worker makes its automata at its first document.
    """

    def __init__(self, path):
        self.path, self.automata = path, {}

    def __call__(self, document):
        """Return whether the document passes."""
        automaton, owners, one = (self.automata or self.make())[document.metadata["language"]]
        text = document.text.lower()
        spaced = document.metadata["language"] not in ("zh", "ja")
        terms, chars = set(), 0
        for index, start, end in automaton.find_matches_as_indexes(text):
            inside = spaced and (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
            if not inside:
                terms.add(owners[index])
                chars += end - start
        return len(terms) >= one["min_terms"] and chars >= one["min_density"] * len(text)

    def make(self):
        """Make the automaton of each language and return them."""
        import ahocorasick_rs

        with open(self.path, encoding="utf-8") as file:
            config = json.load(file)
        for lang, one in config.items():
            owner = {form.lower(): number for number, forms in enumerate(one["terms"]) for form in forms}
            built = ahocorasick_rs.AhoCorasick(list(owner), matchkind=ahocorasick_rs.MATCHKIND_LEFTMOST_LONGEST)
            self.automata[lang] = built, list(owner.values()), one
        return self.automata


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--lid", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--terms")
    given = parser.parse_args()

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import GopherQualityFilter, LambdaFilter, LanguageFilter
    from datatrove.pipeline.readers import JsonlReader, ParquetReader, WarcReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    shutil.rmtree(given.out, ignore_errors=True)
    out = os.path.abspath(given.out)
    language = LanguageFilter(languages=["en", "zh", "ja", "fr", "ru", "es"], language_threshold=0.65)
    language.model.MODEL_URL = "file://" + os.path.abspath(given.lid)
    language.model.MODEL_SUBFOLDER = "ftz"
    # Stop words and word lengths are rules for English; with them on nothing in Chinese or Japanese is left.
    gopher = GopherQualityFilter(
        min_stop_words=None, max_avg_word_length=None, min_avg_word_length=None, min_doc_words=20
    )
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64))
    stages, begun = {}, time.time()

    def run(name, pipeline, tasks):
        start = time.time()
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=min(given.workers, tasks), logging_dir=f"{out}/logs/{name}"
        ).run()
        stages[name] = round(time.time() - start, 2)

    medical = [LambdaFilter(MedicalRule(given.terms))] if given.terms else []
    if glob.glob(f"{given.folder}/*.parquet"):
        texts = [ParquetReader(given.folder, glob_pattern="*.parquet", id_key="url")]
    else:
        reader = WarcReader(given.folder, glob_pattern="*.warc.gz")
        texts = [reader, Trafilatura(favour_precision=True, timeout=5)]
    run("extract", [*texts, language, gopher, *medical, JsonlWriter(f"{out}/filtered")], given.tasks)
    run("signatures", [JsonlReader(f"{out}/filtered"), MinhashDedupSignature(f"{out}/sig", config)], given.tasks)
    run("buckets", [MinhashDedupBuckets(f"{out}/sig", f"{out}/buckets", config=config)], 14)
    run("cluster", [MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config)], 1)
    last = [JsonlReader(f"{out}/filtered"), MinhashDedupFilter(f"{out}/remove"), JsonlWriter(f"{out}/dedup")]
    run("filter", last, given.tasks)
    whole = time.time() - begun

    def lines(folder):
        return sum(sum(1 for _ in gzip.open(path)) for path in glob.glob(f"{out}/{folder}/*.gz"))

    with open(f"{out}/logs/extract/stats.json", encoding="utf-8") as file:
        first = json.load(file)
    read = next(s["stats"]["documents"] for s in first if "documents" in s["stats"])
    read = read["total"] if isinstance(read, dict) else read
    result = {
        "read": read,
        "filtered": lines("filtered"),
        "kept": lines("dedup"),
        "stages": stages,
        "seconds": round(whole, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
