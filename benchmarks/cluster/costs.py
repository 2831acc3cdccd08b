"""What a document costs in each part of a build, for `mmedc plan --cluster`: CPU, bytes, shares that stay.

    python benchmarks/cluster/costs.py --warc FOLDER [--texts FOLDER] [--files 32] > cluster/plan/costs.yaml

A build runs in this process and its parser processes, one unit at a time, so that their CPU seconds are those of the
work alone. The input is cut into files: how far their costs are apart, relative to their bytes, is the spread of units.
Of the pages of `--warc`, 2% are medical after mixing, as on the web. `--texts` is a folder of Parquet files with texts
(benchmarks/texts.py makes one). Of such a mix few documents are kept, and a build has costs that do not grow with them,
so the passes after ingest are measured on many (`--later`): the difference between a build of few and of many.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psutil

PARTS = {
    "ingest": ("ingest",),
    "keys": (
        "exchange",
        "match",
        "shingle",
        "verify-pairs",
        "decide",
        "turn",
        "release",
        "duplicates",
        "drops",
        "select",
    ),
}
"""Part of a build → its passes; `publish` is all others."""


def cpu_s() -> float:
    """Return the CPU seconds of this process and of all below it."""
    own = psutil.Process()
    found = 0.0
    for process in (own, *own.children(recursive=True)):
        times = process.cpu_times()
        found += times.user + times.system + times.children_user + times.children_system
    return found


class Meter:
    """A watcher that adds up CPU seconds by part of the build, and those of each unit of ingest."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.units: dict[str, float] = {}
        self.at = cpu_s()

    def _since(self) -> float:
        before, self.at = self.at, cpu_s()
        return self.at - before

    def begin(self, current: Any, done: int) -> None:
        """See `mmedc.engine.run.Watcher`."""
        self._since()

    def update(self, progress: Any) -> None:
        """See `mmedc.engine.run.Watcher`."""
        if progress.done:
            part = self._since()
            self.units[progress.done.unit] = part
            self.seconds["all"] += part

    def end(self, current: Any, seconds: float) -> None:
        """See `mmedc.engine.run.Watcher`."""
        part = part_of(current.name)
        spent = self.seconds.pop("all", 0.0) + self._since()
        self.seconds[part] += spent


def part_of(name: str) -> str:
    """Return the part of the build that a pass belongs to; the rounds of a repeated pass are numbered."""
    return next((part for part, names in PARTS.items() if name.rstrip("-0123456789") in names), "publish")


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def measured(kind: str, files: str, out: Path, policy: str = "balanced") -> dict[str, Any]:
    """Return the figures of a build of `files`."""
    from mmedc.api import prepare
    from mmedc.corpus.manifest import stats
    from mmedc.engine.run import Inline
    from mmedc.recipe import recipe_of

    source = {kind: files, "kind": "web", **({"url": "url"} if kind == "parquet" else {})}
    values = {"name": "costs", "out": str(out), "sources": {"all": source}, "fail_above": "100%", "limits": {"unit": 1}}
    values["medical"] = {"policy": policy}
    build = prepare(recipe_of(values))
    meter = Meter()
    manifest = build.run(Inline(isolate=True), meter)
    read = manifest.funnel[0].read
    ingested = next(row for row in reversed(manifest.funnel) if row.step == "perplexity" or row.step == "privacy").kept
    stored = sum(size(path / "documents") for path in (out / ".work").glob("ingest-*"))
    keys = sum(size(path / "keys") for path in (out / ".work").glob("ingest-*"))
    passes = [path for path in (out / ".work").iterdir() if path.is_dir()]
    exchanged = sum(size(path) for path in passes if part_of(path.name.rsplit("-", 1)[0]) == "keys")
    units = build.ingest.units
    rates = np.array([meter.units[unit.id] / unit.bytes for unit in units][1:])  # the first loads the models
    spread = np.quantile(rates / rates.mean(), np.linspace(0, 1, 9)) if len(rates) else [1.0]
    total = sum(unit.bytes for unit in units)
    total_of = stats(manifest)
    return {
        "documents": read,
        "input_bytes": total,
        "document_bytes": round(total / read),
        "ingest_ms": round(1000 * meter.seconds["ingest"] / read, 3),
        "kept": round(ingested / read, 4),
        "keys_ms": round(1000 * meter.seconds["keys"] / ingested, 3),
        "publish_ms": round(1000 * meter.seconds["publish"] / ingested, 3),
        "stored_bytes": round(stored / ingested),
        "keys_bytes": round(keys / ingested),
        "exchanged_bytes": round(exchanged / ingested),
        "published": round(manifest.documents / ingested, 4),
        "published_bytes": round(total_of.bytes / total_of.documents),
        "tokens": round(total_of.tokens / total_of.documents),
        "spread": [round(float(value), 2) for value in spread],
        "units": len(units),
    }


def scrambled(texts: list[str], copies: int, out: Path) -> None:
    """Write texts `copies` times, each with its words in another order, so that none are alike."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for copy in range(copies):
        for number, text in enumerate(texts):
            lines = [line.split(" ") for line in text.split("\n")]
            words = [word for line in lines for word in line]
            random.Random(f"{copy} {number}").shuffle(words)
            rest = iter(words)
            rows.append("\n".join(" ".join(next(rest) for _ in line) for line in lines))
    out.mkdir()
    urls = [f"http://a/{number}" for number in range(len(rows))]
    pq.write_table(pa.table({"url": urls, "text": rows}), out / "texts.parquet", row_group_size=2_000)


def later(warc: str, folder: Path) -> dict[str, float]:
    """Return what one more document costs in the passes after ingest, from builds of few and of many."""
    import pyarrow.parquet as pq

    measured("warc", f"{warc}/*.warc.gz", folder / "pages")
    shards = sorted((folder / "pages" / "data").rglob("*.parquet"))
    texts = [text for path in shards for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
    texts = [text for text in texts if text.count(" ") > 80]
    found = []
    for copies in (1, 6):
        scrambled(texts, copies, folder / f"texts{copies}")
        found.append(measured("parquet", f"{folder}/texts{copies}/*.parquet", folder / f"later{copies}", "recall"))
    kept = [row["documents"] * row["kept"] for row in found]
    published = [count * row["published"] for count, row in zip(kept, found, strict=True)]
    more = {"kept": round(kept[1] - kept[0]), "published": round(published[1] - published[0])}
    for name, per in (("keys_ms", kept), ("publish_ms", published)):
        spent = [row[name] * count for row, count in zip(found, kept, strict=True)]
        more[name] = round((spent[1] - spent[0]) / (per[1] - per[0]), 3)
    return more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc")
    parser.add_argument("--texts")
    parser.add_argument("--files", type=int, default=32)
    parser.add_argument("--as-is", action="store_true", help="the folder has many files already")
    parser.add_argument("--later", help="a WARC folder: what the passes after ingest cost, from many documents")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if given.warc and given.as_is:
            found["warc"] = measured("warc", f"{given.warc}/*.warc.gz", Path(folder, "web"))
        elif given.warc:
            mixes = [sys.executable, str(Path(__file__).parent.parent / "mixes.py"), "--warc", given.warc]
            mixes += ["--out", f"{folder}/warc", "--files", str(given.files), "--medical", "0.02", "--times", "4"]
            subprocess.run(mixes, check=True, stdout=sys.stderr)
            found["warc"] = measured("warc", f"{folder}/warc/*.warc.gz", Path(folder, "web"))
        if given.later:
            found["later"] = later(given.later, Path(folder))
        if given.texts:
            found["parquet"] = measured("parquet", f"{given.texts}/*.parquet", Path(folder, "texts"))
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    print(json.dumps({"machine": model, "date": str(date.today()), **found}, indent=1))
    os._exit(0)


if __name__ == "__main__":
    main()
