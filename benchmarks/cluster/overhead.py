"""What a unit costs besides its work: mmedc's runner, plain Ray tasks and datatrove's Ray executor on the same work.

    python benchmarks/cluster/overhead.py [--units 100 300] [--workers 2] [--systems ray mmedc datatrove]

The work of a unit: read a JSON Lines file of 20 short documents, write them to a file (JSON Lines; mmedc: Parquet and a
commit). Each system and number of units has a process and a Ray of its own, whose start is not counted. CPU seconds are
those of all processes: driver, raylet, head, workers. From two numbers of units follows what one more unit costs.
`--seconds 5` makes a unit as long (by sleeping), to see what share of the slots' time is work with 1 and 2 workers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from work import importable

DOCUMENTS = 20


def inputs(folder: Path, count: int) -> list[str]:
    """Write the inputs and return their paths."""
    (folder / "in").mkdir()
    for number in range(count):
        rows = [json.dumps({"text": f"Fever {number} {each}.", "id": f"{number}/{each}"}) for each in range(DOCUMENTS)]
        (folder / "in" / f"{number:06d}.jsonl").write_text("\n".join(rows) + "\n")
    return sorted(str(path) for path in (folder / "in").iterdir())


def with_ray(paths: list[str], folder: Path, seconds: float) -> None:
    """Run plain tasks."""
    import ray

    @ray.remote(num_cpus=1, max_retries=0)
    def task(path: str, out: str) -> int:
        time.sleep(seconds)
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        Path(out).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return len(rows)

    (folder / "out").mkdir()
    waiting = [task.remote(path, str(folder / "out" / Path(path).name)) for path in paths]
    assert sum(ray.get(waiting)) == DOCUMENTS * len(paths)


def with_mmedc(paths: list[str], folder: Path, seconds: float) -> None:
    """Run a pass of mmedc's engine."""
    from work import Copy, Silent

    from mmedc.engine.run import run_pass
    from mmedc.engine.runner import OnRay
    from mmedc.engine.unit import Pass, Unit
    from mmedc.storage import Store

    units = tuple(Unit.of(path, Path(path).name, Path(path).stat().st_size) for path in paths)
    done = run_pass(Pass("copy", Copy(seconds), units), OnRay(), Store(str(folder / "out")), Silent())
    assert sum(commit.left.documents.rows for commit in done) == DOCUMENTS * len(paths)


def with_datatrove(paths: list[str], folder: Path, seconds: float) -> None:
    """Run a pipeline of datatrove by its Ray executor."""
    from datatrove.executor.ray import RayPipelineExecutor
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    def wait(document: Any) -> bool:
        if document.id.endswith("/0"):
            time.sleep(seconds)
        return True

    RayPipelineExecutor(
        [JsonlReader(str(folder / "in"), id_key="id"), LambdaFilter(wait), JsonlWriter(str(folder / "out"))],
        tasks=len(paths),
        workers=int(os.environ["WORKERS"]),
        mem_per_cpu_gb=0.1,
        logging_dir=str(folder / "logs"),
    ).run()
    assert len(list((folder / "logs" / "completions").iterdir())) == len(paths)


def cpu_s() -> float:
    """Return the CPU seconds of this process and of all below it."""
    own = psutil.Process()
    found = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found += times.user + times.system + times.children_user + times.children_system
    return found


def one(system: str, count: int, workers: int, seconds: float, folder: Path) -> None:
    """Print the wall and CPU seconds of a system for `count` units."""
    import ray

    os.environ["WORKERS"] = str(workers)
    importable()
    paths = inputs(folder, count)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    ray.init(address="local", num_cpus=workers, object_store_memory=100 << 20, **quiet)
    wait = ray.remote(lambda: time.sleep(0.2))
    ray.get([wait.remote() for _ in range(workers)])  # the workers are there
    wall, cpu = time.perf_counter(), cpu_s()
    {"ray": with_ray, "mmedc": with_mmedc, "datatrove": with_datatrove}[system](paths, folder, seconds)
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": cpu_s() - cpu}), flush=True)
    ray.shutdown()
    os._exit(0)


def measured(system: str, count: int, workers: int, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        own = [sys.executable, __file__, "--one", system, "--units", str(count), "--workers", str(workers)]
        done = subprocess.run(
            [*own, "--seconds", str(seconds), "--folder", folder],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--systems", nargs="+", default=["ray", "mmedc", "datatrove"])
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.units[0], given.workers, given.seconds, Path(given.folder))
    elif given.seconds:
        print(
            "| system | units | wall s, 1 worker | wall s, 2 workers | efficiency |\n|:--|--:|--:|--:|--:|", flush=True
        )
        for system in given.systems:
            first, second = (measured(system, given.units[0], workers, given.seconds)["wall"] for workers in (1, 2))
            print(
                f"| {system} | {given.units[0]} | {first:.1f} | {second:.1f} | {first / 2 / second:.3f} |", flush=True
            )
    else:
        few, many = given.units
        print(
            "| system | units | CPU s | wall s | CPU ms a unit | wall ms a unit |\n|:--|--:|--:|--:|--:|--:|",
            flush=True,
        )
        for system in given.systems:
            found = {count: measured(system, count, given.workers, 0.0) for count in (few, many)}
            for count, row in found.items():
                more = {name: 1000 * (found[many][name] - found[few][name]) / (many - few) for name in row}
                last = f"{more['cpu']:.0f} | {more['wall']:.0f}" if count == many else " | "
                print(f"| {system} | {count} | {row['cpu']:.1f} | {row['wall']:.1f} | {last} |", flush=True)


if __name__ == "__main__":
    main()
