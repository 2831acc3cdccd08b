"""Near duplicates: mmedc, datasketch's LSH, text-dedup, Data-Juicer and datatrove over planted documents, one run.

    python benchmarks/dedup.py --data FOLDER [--documents 4000] [--peers datasketch text-dedup data-juicer datatrove]
    python benchmarks/dedup.py --data FOLDER --clusters       # macro-F1 and adjusted Rand index
    python benchmarks/dedup.py --data FOLDER --chains         # texts that change step by step

Every side gets one Parquet file (`id`, `lang`, `text`), works in one process and leaves the ids that go. Counted
are CPU seconds, those of children too, from the first text read to that list; not imports, nor the loading of
models and tables. Recall: of the planted pairs at a true Jaccard of 0.8 or more, those of which one goes.
False merges: of the documents that go, those without a pair at 0.8. Clusters are compared with datasketch's and
with those of every pair compared truly, which is what a line can give. Peers run in environments of their own
(see side_by_side.py).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from clocks import clocks, since
from planted import LANGUAGES, abstracts, chains, news, pairs, shingles
from side_by_side import environment

HERE = Path(__file__).parent
LINE = 0.8
Seconds = tuple[float, float]


def run_mmedc(path: str, jaccard: float) -> tuple[list[str], dict[str, str], Seconds]:
    """Return (ids that go, {id: id that stays}, (wall, CPU) seconds) by the steps and passes of a build."""
    from mmedc.dedup.records import DROP, read_cut
    from mmedc.dedup.signature import Sign
    from mmedc.document import document_id
    from mmedc.engine.commit import write_table
    from mmedc.engine.run import WORK, Inline
    from mmedc.engine.unit import DataFile, Stream
    from mmedc.pipeline.build import Running
    from mmedc.pipeline.dedup import Dedup
    from mmedc.policy import Policy
    from mmedc.storage import Store

    class Silent:
        def begin(self, current, done) -> None: ...
        def update(self, progress) -> None: ...
        def end(self, current, seconds) -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        work = store.below(WORK)
        work.put("documents.parquet", Path(path).read_bytes())  # as ingest leaves the texts
        sign_once = Sign(jaccard).open()
        sign_once(pa.RecordBatch.from_pydict({"text": pa.array(["warm up"], pa.large_string())}))  # loads its tables
        begun = clocks()
        parts, names, sign = [], [], Sign(jaccard).open()
        for batch in pq.ParquetFile(path).iter_batches(500):
            one = sign(batch.set_column(2, "text", batch.column("text").cast(pa.large_string())))
            ids = one.column("id").to_pylist()
            names += ids
            lengths = pc.utf8_length(one.column("text")).cast(pa.float32())
            keys = {"id": [document_id("pages", name) for name in ids], "lang": one.column("lang")}
            keys |= {"source": ["pages"] * len(ids), "chars": lengths}
            keys |= {"words": np.ones(len(ids), np.float32)}
            keys |= {name: one.column(name) for name in ("content", "bands", "sketch")}
            parts.append(pa.table(keys))
        table = pa.concat_tables(parts)
        keys = [write_table(work, "keys", Stream(table.schema, iter([table]), whole=True), "0")]
        documents = [DataFile("documents.parquet", "", len(names), 0)]
        dedup = Dedup(Policy("none", "boundary", {}), ("pages",), jaccard, True, 0)
        duplicates = dedup.run(Running(Inline(), store, Silent()), keys, documents, [])
        drops = read_cut(work, duplicates.drops, 0, DROP)
        seconds = since(begun)
        gone = {
            names[a]: names[b] for a, b in zip(drops["place"].to_pylist(), drops["survivor"].to_pylist(), strict=True)
        }
    return list(gone), gone, seconds


def run_datasketch(path: str, jaccard: float) -> tuple[list[str], dict[str, str], Seconds]:
    """Return the same by datasketch: MinHash of 112 permutations, LSH with its own parameters, union of all pairs."""
    from datasketch import MinHash, MinHashLSH

    begun = clocks()
    lsh, root = MinHashLSH(threshold=jaccard, num_perm=112), {}

    def find(one: str) -> str:
        while root[one] != one:
            root[one] = root[root[one]]
            one = root[one]
        return one

    for row in pq.read_table(path).to_pylist():
        sketch = MinHash(num_perm=112)
        sketch.update_batch([shingle.encode() for shingle in shingles(row["text"], row["lang"])])
        root[row["id"]] = row["id"]
        for other in lsh.query(sketch):
            root[find(row["id"])] = find(other)
        lsh.insert(row["id"], sketch)
    gone = {one: find(one) for one in root if find(one) != one}
    return list(gone), gone, since(begun)


def run_exact(path: str, jaccard: float) -> tuple[list[str], dict[str, str], Seconds]:
    """Return the same by comparing every pair truly: what a line can give at best."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    begun = clocks()
    rows = pq.read_table(path).to_pylist()
    sets = [shingles(row["text"], row["lang"]) for row in rows]
    known = {one: number for number, one in enumerate(set().union(*sets))}
    sizes = np.array([len(one) for one in sets])
    at = np.array([known[one] for mine in sets for one in mine])
    held = coo_array((np.ones(len(at), np.int32), (np.repeat(np.arange(len(sets)), sizes), at))).tocsr()
    both = (held @ held.T).tocoo()
    alike = both.data / (sizes[both.coords[0]] + sizes[both.coords[1]] - both.data) >= jaccard
    edges = coo_array((np.ones(alike.sum(), np.int8), tuple(axis[alike] for axis in both.coords)), shape=both.shape)
    _, group = connected_components(edges, directed=False)
    first = np.unique(group, return_index=True)[1]
    gone = {rows[n]["id"]: rows[first[one]]["id"] for n, one in enumerate(group) if first[one] != n}
    return list(gone), gone, since(begun)


SIDES = {"mmedc": run_mmedc, "datasketch": run_datasketch, "exact": run_exact}
PEERS = {"datatrove": "datatrove_dedup.py", "data-juicer": "juicer_dedup.py", "text-dedup": "textdedup_dedup.py"}


def side(name: str, path: str, jaccard: float) -> dict:
    """Run a side in a process of its own and return {gone, stays, seconds}."""
    if name in SIDES:
        command = [sys.executable, str(HERE / "dedup.py"), "--side", name, "--data", path, "--jaccard", str(jaccard)]
    else:
        command = [environment(name), str(HERE / PEERS[name]), path]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(rows: list[dict], path: str) -> None:
    table = pa.table({name: [row[name] for row in rows] for name in ("id", "lang", "text")})
    pq.write_table(table, path, row_group_size=2_000)


def compare(given: argparse.Namespace, folder: str) -> None:
    """Print the table of speed, recall and false merges."""
    rows, path = pairs(given.data, given.documents), f"{folder}/documents.parquet"
    write(rows, path)
    size = sum(len(row["text"].encode()) for row in rows)
    planted = [row for row in rows if "of" in row]
    alike = [row for row in planted if row["jaccard"] >= LINE]
    with_pair = {row[key] for row in alike for key in ("id", "of")}
    print(f"{len(rows):,} documents, {size / 1e6:.0f} MB; {len(planted):,} planted pairs, {len(alike):,} at {LINE}")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one process each\n")
    print(f"| | documents/s of CPU | CPU s | wall s | gone | recall {' | '.join(LANGUAGES)} | false merges |")
    print("|---|--:|--:|--:|--:|" + "--:|" * len(LANGUAGES) + "--:|")
    rates = {}
    for name in ("mmedc", *given.peers):
        found = [side(name, path, LINE) for _ in range(given.rounds)]
        wall, cpu = sorted(one["seconds"] for one in found)[len(found) // 2]
        gone = set(found[0]["gone"])
        recall = []
        for lang in LANGUAGES:
            mine = [row for row in alike if row["lang"] == lang]
            recall.append(f"{sum(row['id'] in gone or row['of'] in gone for row in mine) / len(mine):.3f}")
        false = len(gone - with_pair)
        rates[name] = len(rows) / cpu
        share = f"{false} ({false / max(len(gone), 1):.2%})"
        counts = f"{rates[name]:,.0f} | {cpu:.1f} | {wall:.1f} | {len(gone):,}"
        print(f"| {name} | {counts} | {' | '.join(recall)} | {share} |", flush=True)
    print("\nmmedc against: " + ", ".join(f"{name} {rates['mmedc'] / rates[name]:.1f}x" for name in given.peers))


def judge(rows: list[dict], stays: dict[str, str]) -> tuple[float, float]:
    """Return (macro-F1 over duplicate and single documents, adjusted Rand index of the clusters)."""
    root = {row["id"]: row["id"] for row in rows} | stays
    found = [root[row["id"]] for row in rows]
    truth = [row["cluster"] for row in rows]
    sizes, true_sizes = Counter(found), Counter(truth)
    scores = []
    for wanted in (True, False):
        said = np.array([(sizes[one] > 1) == wanted for one in found])
        true = np.array([(true_sizes[one] > 1) == wanted for one in truth])
        both = (said & true).sum()
        scores.append(2 * both / (said.sum() + true.sum()))

    def choose(counts) -> float:
        return sum(n * (n - 1) / 2 for n in counts)

    together = choose(Counter(zip(found, truth, strict=True)).values())
    a, b, every = choose(sizes.values()), choose(true_sizes.values()), choose([len(rows)])
    expected = a * b / every
    return float(np.mean(scores)), (together - expected) / ((a + b) / 2 - expected)


def protocols(given: argparse.Namespace, folder: str) -> None:
    """Print macro-F1 and adjusted Rand index on clusters of news and of abstracts."""
    print("| protocol | line | | macro-F1 | adjusted Rand index | CPU s |\n|---|--:|---|--:|--:|--:|")
    for name, make in (("news", news), ("abstracts", abstracts)):
        rows, path = make(given.data, given.documents // 4), f"{folder}/{name}.parquet"
        write(rows, path)
        for line in (0.4, 0.5, 0.8):
            for one in SIDES:
                found = side(one, path, line)
                f1, rand = judge(rows, found["stays"])
                print(
                    f"| {name}, {len(rows):,} | {line} | {one} | {f1:.4f} | {rand:.4f} | {found['seconds'][1]:.1f} |",
                    flush=True,
                )


def stepwise(given: argparse.Namespace, folder: str) -> None:
    """Print what is left of chains of texts: pairs that are alike and both stay, texts that go without an equal."""
    rows, path = chains(given.data, given.documents // 100), f"{folder}/chains.parquet"
    write(rows, path)
    sets = {row["id"]: shingles(row["text"], row["lang"]) for row in rows}
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row["chain"], []).append(row["id"])
    alike = set()
    for group in groups.values():
        for one in group:
            for other in group:
                if one < other and len(sets[one] & sets[other]) >= LINE * len(sets[one] | sets[other]):
                    alike.add((one, other))
    near: dict[str, set[str]] = {}
    for one, other in alike:
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    print(f"{len(rows):,} texts in {len(groups)} chains, {len(alike):,} pairs at {LINE}\n")
    print("| | gone | pairs of which both stay | gone without a text that stays | gone for a text below the line |")
    print("|---|--:|--:|--:|--:|")
    for name in SIDES:
        stays = side(name, path, LINE)["stays"]
        both = sum(one not in stays and other not in stays for one, other in alike)
        lonely = sum(all(other in stays for other in near.get(one, ())) for one in stays)
        below = sum(other not in near.get(one, ()) for one, other in stays.items())
        print(f"| {name} | {len(stays):,} | {both:,} | {lonely:,} | {below:,} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a folder with text_*/<lang>*.jsonl.gz")
    parser.add_argument("--documents", type=int, default=4_000, help="a language, copies not counted")
    parser.add_argument("--peers", nargs="*", default=["datasketch", "text-dedup", "data-juicer", "datatrove"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clusters", action="store_true")
    parser.add_argument("--chains", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--jaccard", type=float, default=LINE, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        gone, stays, seconds = SIDES[given.side](given.data, given.jaccard)
        print(json.dumps({"gone": gone, "stays": stays, "seconds": seconds}))
        return
    with tempfile.TemporaryDirectory() as folder:
        (protocols if given.clusters else stepwise if given.chains else compare)(given, folder)


if __name__ == "__main__":
    main()
