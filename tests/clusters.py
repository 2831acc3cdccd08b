"""Scenes on real Ray clusters of several nodes on loopback, each in a process of its own.

python -m tests.clusters SCENE FOLDER prints what happened as JSON. Nodes have addresses of their own (127.0.0.2,
.3, …), since Ray takes 127.0.0.1 for the address of the machine.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import cloudpickle
from ray._private.ray_constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
from ray.cluster_utils import Cluster
from ray.experimental.internal_kv import _internal_kv_get

from mmedc.engine import flight, runner, stragglers
from mmedc.engine.cluster import Demand
from mmedc.engine.commit import read_table
from mmedc.engine.meters import ProgressReader
from mmedc.engine.run import AnyPass, Following, Inline, Progress, run_pass
from mmedc.engine.runner import OnRay
from mmedc.engine.unit import Commit, Pass, Unit
from mmedc.errors import ClusterLost, RequestError
from mmedc.storage import Store
from tests.enginekit import Doubles, DropMultiples, Numbered, Numbers, Slow, Straggler, Waits
from tests.test_engine import work

UNITS = tuple(Unit(f"u{n}", f"unit {n}", 20, 20) for n in range(8))
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}


class News:
    """Remembers what it was told, and does something at the first sign of work."""

    def __init__(self, act: Any = None) -> None:
        self.act, self.done, self.retried, self.early = act, 0, list[str](), 0
        self.watch: Any = lambda: None

    def begin(self, current: AnyPass, done: int) -> None:
        self.before = done

    def update(self, progress: Progress) -> None:
        self.done += bool(progress.done)
        self.early += bool(progress.ahead)
        self.watch()
        if progress.retried:
            self.retried.append(progress.retried[1])
        if self.act and self.done >= 1:
            act, self.act = self.act, None
            act()

    def end(self, current: AnyPass, seconds: float) -> None: ...


def start() -> Cluster:
    head = {"node_ip_address": "127.0.0.2", "num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    return Cluster(initialize_head=True, head_node_args={**head, "_system_config": QUICK})


def add(cluster: Cluster, number: int) -> Any:
    return cluster.add_node(node_ip_address=f"127.0.0.{number}", num_cpus=1, object_store_memory=80 << 20)


def join(address: str) -> None:
    runner.quiet_stdout()
    ray.init(address=address, _node_ip_address="127.0.0.2", log_to_driver=False, logging_level="ERROR")


def the_pass(seconds: float = 0.4) -> Pass[int, Numbered]:
    return Pass("test", work(DropMultiples(3), Slow(seconds), source=Numbers(5), seconds=20.0), UNITS)


def kept(store: Store, commits: list[Commit[Numbered]]) -> bool:
    below, expected = store.below(".work"), [n for n in range(20) if n % 3]
    found = [read_table(below, commit.left.documents)["ordinal"].to_pylist() for commit in commits]
    return len(commits) == len(UNITS) and all(one == expected for one in found)


def nodes_come_and_go(folder: Path) -> dict[str, Any]:
    """A node is killed under its unit, another joins; the object store is full meanwhile and spills."""
    cluster = start()
    doomed = add(cluster, 3)
    join(cluster.address)
    held = [ray.put(os.urandom(25 << 20)) for _ in range(5)]  # more than an object store holds

    def strike() -> None:
        raylet = psutil.Process(doomed.all_processes["raylet"][0].process.pid)
        until = time.monotonic() + 60
        while time.monotonic() < until and not any("ray::_run" in " ".join(one.cmdline()) for one in raylet.children()):
            time.sleep(0.01)  # until a unit is under way there
        cluster.remove_node(doomed, allow_graceful=False)
        add(cluster, 4)

    news, store = News(strike), Store(str(folder))
    told: list[int] = []
    news.watch = lambda: told.append(_demand())
    commits = run_pass(the_pass(), OnRay(address=cluster.address), store, news)
    alive = sorted(node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"])
    gone = add(cluster, 5)
    cluster.wait_for_nodes()
    threading.Timer(1.0, lambda: cluster.remove_node(gone, allow_graceful=False)).start()
    asked = [(name.split()[1], answer) for name, answer in runner.on_each_node(_slow_answer)]
    return {
        "kept": kept(store, commits),
        "retried": news.retried,
        "alive": alive,
        "asked": sorted(asked),
        "told": [max(told), min(told), _demand()],
        "held": len(ray.get(held)),
    }


def _demand() -> int:
    """Return for how many tasks the autoscaler is asked to make room."""
    return len(json.loads(_internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL) or b"[]"))


def _slow_answer(number: int) -> str:
    time.sleep(3)
    return "here"


def a_training(folder: Path) -> dict[str, Any]:
    """The training of `recipe.yaml` by two workers of Ray Train, of which one is killed; then by more than CPUs."""
    from mmedc.engine.run import Inline
    from mmedc.train.config import read_train
    from mmedc.train.launch import tokenised, train_on_ray

    cluster = start()
    add(cluster, 3)
    join(cluster.address)
    told: list[int] = []
    killed: list[int] = []
    said = ""

    def kill_one() -> None:
        metrics = folder / "run" / "metrics.jsonl"
        while not metrics.is_file() or metrics.read_text().count('"loss"') < 12:
            time.sleep(0.02)
        names = ((one.pid, " ".join(one.cmdline())) for one in psutil.Process().children(recursive=True))
        killed.append(max(pid for pid, name in names if "TrainWorker" in name))
        psutil.Process(killed[0]).kill()

    threading.Thread(target=kill_one, daemon=True).start()
    for processes in (2, 4):
        settings = read_train(str(folder / "recipe.yaml"), [f"processes={processes}"])
        job = tokenised(settings, str(folder / "run"), Inline(), News())
        try:
            train_on_ray(job, cluster.address, lambda step, _: told.append(step))
        except RequestError as problem:
            said = str(problem)
    return {"told": told, "said": said, "killed": len(killed)}


def a_slow_attempt_ends_after_its_retry(folder: Path) -> dict[str, Any]:
    cluster = start()
    add(cluster, 3)
    join(cluster.address)
    (folder / "marks").mkdir()
    store = Store(str(folder / "c"))
    one = Pass("test", Straggler(str(folder / "marks")), UNITS[:1])
    reader = ProgressReader()
    tasks = [
        flight._run.remote((), cloudpickle.dumps(one.work), one.folder, UNITS[0], store, reader.actor) for _ in range(2)
    ]
    first, second = (json.loads(data) for data in ray.get(tasks))
    stragglers.LEAST_S = 0.5
    (folder / "more").mkdir()
    more, news = Pass("more", Straggler(str(folder / "more")), UNITS), News()
    commits = run_pass(more, OnRay(), store, news)
    return {
        "attempted twice near the end": len(commits) == len(UNITS) and not news.retried,
        "equal": first == second,
        "late": (folder / "marks" / "late").exists(),
        "entries": [name.removeprefix(f"{one.folder}/") for name in store.names(f"{one.folder}/units")],
        "files": len(store.names(f"{one.folder}/documents")),
        "a pass on GPUs begins before the other ends": _overlap(cluster, folder),
    }


def _overlap(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """A pass on GPUs follows another; then both run one after the other in this process."""
    cluster.add_node(node_ip_address="127.0.0.4", num_cpus=1, num_gpus=1, object_store_memory=80 << 20)
    following = Following(Pass("second", Doubles(), (), gpus=1), lambda n, left: Unit.of(left.documents, f"{n}", 9))
    units = tuple(Unit.of(rows, f"{rows} rows", 10 - rows) for rows in range(6))
    first = Pass("first", Waits(following.current.folder), units)
    left, news = list[Any](), News()
    with OnRay(address=cluster.address) as on:
        for place, on_what in ((folder / "a", on), (folder / "b", Inline())):
            (place / ".work" / following.current.folder / "units").mkdir(parents=True)
            if on_what is not on:
                (place / ".work" / following.current.folder / "units" / "none.json").touch()  # or it would wait
            store = Store(str(place))
            commits = run_pass(first, on_what, store, news, following=following)
            second = following.over([commit.left for commit in commits])
            left.append([commit.left for commit in run_pass(second, on_what, store, news)])
    demands, told = [Demand(), Demand()], []
    demands[1]._key += "-other"
    for demand, task in zip(demands, ((1.0, 0.0, 5), (1.0, 1.0, 3)), strict=True):
        demand.tell(task)
        told.append(_demand())
    for demand in demands:
        demand.end()
        told.append(_demand())
    return {"equal": left[0] == left[1], "units": len(left[0]), "early": news.early >= 1, "told": told}


def drive(folder: Path, address: str) -> dict[str, Any]:
    """Run the pass as a driver of its own on a cluster that is there."""
    join(address)
    news, store = News(), Store(str(folder))
    try:
        with OnRay() as on:
            commits = run_pass(the_pass(), on, store, news)
    except ClusterLost as problem:
        print(json.dumps({"lost": str(problem)}), flush=True)
        os._exit(1)  # Ray has no one to say good-bye to
    return {"kept": kept(store, commits), "before": news.before}


def the_head_dies(folder: Path) -> dict[str, Any]:
    """The head dies under a driver, which says so; on a new head the driver goes on with what is left."""
    said = []
    for kill in (True, False):
        cluster = start()
        driver = [sys.executable, "-m", "tests.clusters", "drive", str(folder / "c"), cluster.address]
        process = subprocess.Popen(driver, stdout=subprocess.PIPE, text=True)
        while kill and process.poll() is None:
            if list(folder.glob("c/.work/test-*/units/*.json")):
                cluster.head_node.kill_gcs_server(check_alive=False)
                cluster.head_node.kill_raylet(check_alive=False)
                break
            time.sleep(0.1)
        out, _ = process.communicate(timeout=120)
        said.append({"code": process.returncode, **json.loads(out.strip().splitlines()[-1])})
        if not kill:
            cluster.shutdown()
    return {"killed": said[0], "resumed": said[1]}


if __name__ == "__main__":
    name, folder, *more = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    print(json.dumps(globals()[name](Path(folder), *more)), flush=True)
    os._exit(0)  # the cluster ends with this process
