"""The passes over keys on synthetic signatures with known clusters, at several sizes, on Ray on this machine.

    python benchmarks/dedup_scale.py [--millions 1 4 16] [--cpus 2] [--folder FOLDER]

Of the documents 4% are one giant cluster, one in 160 is a link of one chain (neighbours share one band
key), 35% lie in clusters whose sizes fall by a power law (2 to 10,000), the rest is unlike all. Members of
a cluster share each band of its first with probability 0.7 and all but two of its minima. Checked: no two
documents that stay share a band, and every one that goes has one of its cluster that stays and shares a band.
Measured: wall and CPU seconds, the largest resident memory of any worker process in each kind of pass (imports
and what earlier tasks left included), the bytes left on disk.
"""

import argparse
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from mmedc.dedup.records import DROP, read_cut, sketch_array
from mmedc.dedup.signature import SKETCH_BYTES, bands_for
from mmedc.engine.commit import write_table
from mmedc.engine.run import WORK
from mmedc.engine.runner import OnRay
from mmedc.engine.unit import DataFile, Pass, Stream, files_of
from mmedc.pipeline.build import Running
from mmedc.pipeline.dedup import Dedup
from mmedc.policy import Policy
from mmedc.storage import Store
from mmedc.words import mix

UNIT_ROWS = 100_000
JACCARD = 0.8
BANDS = bands_for(JACCARD).count


def cluster_sizes(documents: int) -> np.ndarray:
    """Return the sizes of the clusters: the giant, the chain, the power law, then ones."""
    giant, chain = documents * 4 // 100, documents // 160
    draw = np.random.default_rng(documents)
    sizes = np.arange(2, 10_001)
    drawn = draw.choice(sizes, documents // 4, p=(1 / sizes**2.0) / (1 / sizes**2.0).sum())
    drawn = drawn[: np.searchsorted(np.cumsum(drawn), documents * 35 // 100)]
    alone = documents - giant - chain - drawn.sum()
    return np.concatenate([[giant, chain], drawn, np.ones(alone, np.int64)])


def units_of(documents: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (number, cluster, number within it) of the documents of each unit."""
    sizes = cluster_sizes(documents)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(documents) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    order = np.random.default_rng(1).permutation(documents)
    for low in range(0, documents, UNIT_ROWS):
        rows = order[low : low + UNIT_ROWS]
        yield rows, cluster[rows], within[rows]


def write_keys(store: Store, documents: int) -> list[DataFile]:
    """Write the keys of `documents` as ingest would, in units."""
    return [
        write_table(store, "keys", _keys(*unit), f"{number:06d}") for number, unit in enumerate(units_of(documents))
    ]


def check(documents: int, drops: pa.Table) -> None:
    """Compare what was dropped with what must be; see the module."""
    units, rows = [], []
    for unit in units_of(documents):
        table = next(_keys(*unit).parts)
        rows.append(table["bands"].combine_chunks().flatten().to_numpy().reshape(-1, BANDS))
        units.append(unit[1])
    bands, cluster = np.concatenate(rows), np.concatenate(units)
    place, survivor = (
        (column >> 32) * UNIT_ROWS + (column & 0xFFFFFFFF)
        for column in (drops[name].to_numpy() for name in ("place", "survivor"))
    )
    stays = np.ones(documents, bool)
    stays[place] = False
    keys, row = bands[stays].ravel(), np.repeat(np.flatnonzero(stays), BANDS)
    order = np.argsort(keys, kind="stable")
    shared = keys[order][1:] == keys[order][:-1]
    assert (row[order][1:] == row[order][:-1])[shared].all(), "two documents that stay share a band"
    assert stays[survivor].all() and (cluster[place] == cluster[survivor]).all()
    assert (bands[place] == bands[survivor]).any(axis=1).all()


def _keys(rows: np.ndarray, cluster: np.ndarray, within: np.ndarray) -> Stream:
    with np.errstate(over="ignore"):
        seed = mix(cluster.astype(np.uint64) + np.uint64(1))
        own = mix(rows.astype(np.uint64) + np.uint64(1 << 40))
        band = np.arange(BANDS, dtype=np.uint64)
        common, alone = (mix(value[:, None] + band * np.uint64(0x9E3779B97F4A7C15)) for value in (seed, ~own))
        shared = (mix(own[:, None] ^ mix(band)) % np.uint64(10) < 7) | (within == 0)[:, None]
        bands = np.where(shared, common, alone)
        # Two links of the chain share the key of the band in which the first is even and the other odd.
        chain = cluster == 1
        bands[chain] = alone[chain]
        bands[chain, 0] = mix(seed[chain] + (within[chain] // 2).astype(np.uint64))
        bands[chain, 1] = mix(seed[chain] - (within[chain] + 1).astype(np.uint64) // 2)
        words = mix(seed[:, None] + np.arange(1, 5, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03))
    sketch = np.ascontiguousarray(words).view(np.uint8)[:, :SKETCH_BYTES].copy()
    if not chain.all():
        for turn in (0, 32):
            at = (own >> np.uint64(turn)).astype(np.int64) % SKETCH_BYTES
            sketch[np.arange(len(rows)), at] ^= np.where(chain, 0, 1).astype(np.uint8)
    content = np.stack([own, ~own], axis=1).astype("<u8")
    ids = np.char.mod("%016x", mix(own)).tolist()
    table = {
        "id": pa.array([one * 2 for one in ids]),
        "lang": pa.array(["en"] * len(rows)),
        "source": pa.array(["pages"] * len(rows)),
        "chars": pa.array((1000 + own % np.uint64(9000)).astype(np.float32)),
        "words": pa.array(np.full(len(rows), 500, np.float32)),
        "content": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(rows), [None, pa.py_buffer(content.tobytes())]
        ),
        "bands": pa.FixedSizeListArray.from_arrays(pa.array(bands.ravel()), BANDS),
        "sketch": sketch_array(sketch),
    }
    found = pa.table(table)
    return Stream(found.schema, iter([found]), whole=True)


class Meter:
    """Samples the worker processes of Ray: the largest resident memory, and CPU seconds."""

    def __init__(self) -> None:
        self.peak, self.cpu, self.stage, self._stop = {}, {}, "", threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                try:
                    if child.name().startswith("ray::"):
                        times = child.cpu_times()
                        self.cpu[child.pid] = times.user + times.system
                        self.peak[self.stage] = max(self.peak.get(self.stage, 0), child.memory_info().rss)
                except psutil.Error:
                    continue

    def stop(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()


class Notes:
    """Notes how long each pass took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def begin(self, current, done) -> None:
        """Pass over."""

    def update(self, progress) -> None:
        """Pass over."""

    def end(self, current, seconds: float) -> None:
        """Note it."""
        self.seconds[current.name] = seconds


def stage_of(name: str) -> str:
    """Return the kind of a pass: those that are repeated are numbered."""
    return name.split("-")[0]


def measure(millions: float, cpus: int, folder: Path) -> dict:
    documents = int(millions * 1_000_000)
    store, notes, meter = Store(str(folder)), Notes(), Meter()
    work = store.below(WORK)
    keys = write_keys(work, documents)
    dedup = Dedup(Policy("none", "boundary", {}), ("pages",), JACCARD, True, 0)
    files: list[DataFile] = []
    tasks = 0
    with OnRay(cpus) as runner:
        runner.start()
        running = Running(runner, store, notes)
        begun = time.perf_counter()

        def run(current: Pass) -> list:
            nonlocal tasks
            meter.stage = stage_of(current.name)
            left = running(current)
            files.extend(files_of(tuple(left)))
            tasks += len(left)
            return left

        duplicates = dedup.run(run, keys, [], [])
        wall = time.perf_counter() - begun
        meter.stop()
    gone = sum(file.rows for file in duplicates.drops)
    count = len(duplicates.groups) - 1
    check(documents, pa.concat_tables([read_cut(work, duplicates.drops, group, DROP) for group in range(count)]))
    parts: dict[str, float] = {}
    for name, seconds in notes.seconds.items():
        parts[stage_of(name)] = parts.get(stage_of(name), 0.0) + seconds
    return {
        "documents": documents, "wall": wall, "cpu": sum(meter.cpu.values()),
        "peaks": meter.peak, "peak": max(meter.peak.values()),
        "bytes": sum(file.bytes for file in files), "tasks": tasks, "passes": len(notes.seconds), "gone": gone,
        "parts": parts,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 4, 16])
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--folder")
    given = parser.parse_args()
    rows = []
    for millions in given.millions:
        folder = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            rows.append(measure(millions, given.cpus, folder))
        finally:
            shutil.rmtree(folder)
        row = rows[-1]
        parts = ", ".join(
            f"{name} {seconds:.0f} s {row['peaks'].get(name, 0) / 1e6:.0f} MB" for name, seconds in row["parts"].items()
        )
        print(
            f"{row['documents']:,} documents: {row['wall']:.0f} s wall ({parts}), {row['cpu']:.0f} s CPU, "
            f"{row['gone']:,} go; largest worker {row['peak'] / 1e6:.0f} MB, "
            f"{row['bytes'] / 1e9:.2f} GB left by {row['tasks']} tasks of {row['passes']} passes",
            flush=True,
        )
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {given.cpus} workers\n")
    print("| documents | wall s | CPU s | µs CPU a document | largest worker | bytes a document | against linear |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for before, row in zip([None, *rows], rows, strict=False):
        n = row["documents"]
        grown = f"{row['cpu'] / before['cpu'] / (n / before['documents']):.2f}" if before else ""
        print(
            f"| {n:,} | {row['wall']:.0f} | {row['cpu']:.0f} | {row['cpu'] / n * 1e6:.1f} "
            f"| {row['peak'] / 1e6:.0f} MB | {row['bytes'] / n:.0f} | {grown} |"
        )


if __name__ == "__main__":
    main()
