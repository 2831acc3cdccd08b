"""Data-Juicer over a folder of Parquet files with texts: length, language, medical rule; in its own environment.

    python juicer_pipeline.py FOLDER OUT --lid lid.176.ftz --terms terms.json [--workers 2]

Language and medical rule are one operator (`juicer_ops.py`), since Data-Juicer's own language operator
fetches its model. Prints one JSON line.
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import time

import pyarrow.parquet as pq


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--lid", required=True)
    parser.add_argument("--terms", required=True)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    shutil.rmtree(given.out, ignore_errors=True)
    os.makedirs(given.out)
    config = {
        "project_name": "texts",
        "dataset_path": given.folder,
        "export_path": f"{given.out}/texts.jsonl",
        "np": given.workers,
        "use_cache": False,
        "text_keys": "text",
        "custom_operator_paths": [f"{here}/juicer_ops.py"],
        "process": [
            {"text_length_filter": {"min_len": 200}},
            {"medical_filter": {"lid": given.lid, "terms": given.terms}},
        ],
    }
    with open(f"{given.out}/config.yaml", "w", encoding="utf-8") as file:
        json.dump(config, file)  # JSON is YAML
    begun = time.time()
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "dj-process"), "--config", file.name],
        cwd=given.out,
        env=os.environ | {"PYTHONPATH": here},
        capture_output=True,
        text=True,
    )
    seconds = time.time() - begun
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    read = sum(pq.read_metadata(path).num_rows for path in glob.glob(f"{given.folder}/*.parquet"))
    with open(f"{given.out}/texts.jsonl", encoding="utf-8") as file:
        kept = sum(1 for _ in file)
    print(json.dumps({"read": read, "kept": kept, "stages": {"extract": seconds}}))


if __name__ == "__main__":
    main()
