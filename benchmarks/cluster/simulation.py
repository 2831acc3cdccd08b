"""The simulation of the scheduler beside real runs, and what it says of a thousand nodes.

    python benchmarks/cluster/simulation.py check [--nodes 1 2 4] [--units 60] [--mean 2]
    python benchmarks/cluster/simulation.py table [--nodes 1000] [--cpus 16]

`check`: raylets with one CPU each run units that only sleep, so that it does not matter how many cores there are; the
last run loses a node half-way. The overheads of a unit are taken from a run of units that do nothing.

`table`: a dump of Common Crawl in units of a WARC file, under worse and worse conditions; the costs are those of
cluster/plan/costs.yaml.
"""

import argparse
import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from raylets import Raylets
from work import Silent, Sleep, importable

from mmedc.submit.cost import read_costs
from mmedc.submit.simulate import Conditions, drawn, simulate

SPREAD = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 2.5)
"""Wider than what was measured, so that the order matters."""


def real(name: str, seconds: list[float], address: str, folder: Path, act: Any = None) -> tuple[float, float]:
    """Return the wall seconds of a pass on the cluster, and the CPU seconds of the driver."""
    from mmedc.engine.run import run_pass
    from mmedc.engine.runner import OnRay, quiet_stdout
    from mmedc.engine.unit import Pass, Unit
    from mmedc.storage import Store

    units = tuple(Unit.of(value, f"{number}", 1) for number, value in enumerate(seconds))
    quiet_stdout()
    runner = OnRay(address=address)
    begun, cpu = time.monotonic(), time.process_time()
    run_pass(Pass(name, Sleep(name), units), runner, Store(str(folder / name)), Silent(len(seconds) // 2, act))
    return time.monotonic() - begun, time.process_time() - cpu


def check(nodes: list[int], count: int, mean: float) -> None:
    os.environ["RAY_AUTH_MODE"] = "token"  # before Ray is imported
    importable()
    import ray

    print("| nodes | units | real s | simulated s | difference |\n|:--|--:|--:|--:|--:|", flush=True)
    seconds = [round(float(value), 3) for value in drawn(SPREAD, mean, count, seed=1)]
    with tempfile.TemporaryDirectory() as name, Raylets(Path(name), 1) as cluster:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        ray.init(address=cluster.address, _node_ip_address="127.0.0.2", **options)
        real("warm", [0.2] * 4, cluster.address, Path(name))
        empty = [round(number * 1e-6, 6) for number in range(100)]
        wall, cpu = real("empty", empty, cluster.address, Path(name))
        at = Conditions(driver_s=cpu / len(empty), unit_s=max((wall - cpu) / len(empty), 0.0), first_s=0.0)
        print(
            f"a unit costs the driver {1000 * at.driver_s:.1f} ms, and its slot {1000 * at.unit_s:.1f} ms", flush=True
        )
        for number in nodes:
            while len(cluster.nodes) < number:
                cluster.add(len(cluster.nodes))
            time.sleep(2)
            real(f"warm{number}", [0.5 + each / 1e6 for each in range(3 * number)], cluster.address, Path(name))
            wall, _ = real(f"on{number}", seconds, cluster.address, Path(name))
            told = simulate(seconds, number, 1, at).seconds
            print(f"| {number} | {count} | {wall:.1f} | {told:.1f} | {told / wall - 1:+.1%} |", flush=True)
        begun: list[float] = []

        def strike() -> None:
            begun.append(time.monotonic())
            threading.Thread(target=cluster.remove, args=(max(cluster.nodes),), daemon=True).start()

        start = time.monotonic()
        wall, _ = real("struck", seconds, cluster.address, Path(name), strike)
        lost = begun[0] - start if begun else wall
        told = _struck(seconds, len(cluster.nodes) + 1, at, lost)
        row = f"| {len(cluster.nodes) + 1}, one lost at {lost:.0f} s | {count} | {wall:.1f} | {told:.1f} |"
        print(f"{row} {told / wall - 1:+.1%} |", flush=True)
        ray.shutdown()


def _struck(seconds: list[float], nodes: int, at: Conditions, lost: float) -> float:
    """Return the simulated time where one node is lost for good at a moment."""
    from mmedc.submit import simulate as module

    simulation = module._Simulation(module.np.asarray(seconds), nodes, 1, replace(at, replaced_s=1e9), 0)
    simulation._event(lost, "lose", nodes - 1)
    return simulation.run().seconds


def table(nodes: int, cpus: int) -> None:
    costs = read_costs().warc
    files, size = 90_000, 1e9
    mean = size / costs.document_bytes * costs.ingest_ms / 1000
    print(f"{files:,} units of {size / 1e9:g} GB, {mean:.0f} s each on average, on {nodes:,} nodes of {cpus} CPUs")
    calm = Conditions()
    worse = replace(calm, straggler=0.005, failure=0.001)
    spot = replace(worse, losses_per_hour=0.05)
    rows: list[tuple[str, Conditions, int]] = [
        ("calm", calm, 1),
        ("0.5% stragglers (5 times), 0.1% failures", worse, 1),
        ("the same, spot machines (5% lost an hour)", spot, 1),
        ("the same, spot machines (50% lost an hour)", replace(spot, losses_per_hour=0.5), 1),
        ("5% lost, stragglers run twice", replace(spot, twice=True), 1),
        ("5% lost, units cut in four", spot, 4),
        ("5% lost, cut in four, run twice", replace(spot, twice=True), 4),
        ("5% lost, run twice, a driver of 40 ms a unit", replace(spot, twice=True, driver_s=0.04), 1),
        ("5% lost, run twice, a driver of 1 ms a unit", replace(spot, twice=True, driver_s=0.001), 1),
        ("the same, cut in four", replace(spot, twice=True, driver_s=0.001), 4),
    ]
    print("| conditions | units | hours | efficiency | lost | repeated |\n|:--|--:|--:|--:|--:|--:|")
    for name, at, parts in rows:
        run = simulate(drawn(costs.spread, mean / parts, files * parts, seed=1), nodes, cpus, at, seed=1)
        shown = f"{run.seconds / 3600:.2f} | {run.efficiency:.2f} | {run.lost:,} | {run.repeated:,}"
        print(f"| {name} | {files * parts:,} | {shown} |", flush=True)
    first = drawn(costs.spread, mean, files, seed=1)
    run = simulate(sorted(first, reverse=True), nodes, cpus, replace(spot, twice=True), seed=1)
    shown = f"{run.seconds / 3600:.2f} | {run.efficiency:.2f} | {run.lost:,} | {run.repeated:,}"
    print(f"| 5% lost, run twice, longest first | {files:,} | {shown} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["check", "table"])
    parser.add_argument("--nodes", type=int, nargs="+")
    parser.add_argument("--cpus", type=int, default=16)
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument("--mean", type=float, default=2.0)
    given = parser.parse_args()
    if given.what == "check":
        check(given.nodes or [1, 2, 4], given.units, given.mean)
    else:
        table((given.nodes or [1000])[0], given.cpus)


if __name__ == "__main__":
    main()
