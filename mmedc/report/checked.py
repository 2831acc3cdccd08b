"""`mmedc check`: whether a cluster can run a recipe, as one table with a row for each question."""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

from rich.console import Group
from rich.text import Text

from mmedc import __version__
from mmedc.corpus.outcome import counted
from mmedc.engine.cluster import Cluster
from mmedc.engine.preflight import OUT, VERSION, Machine, Probe, Seen
from mmedc.report.grid import Column, Grid, Passage
from mmedc.report.tables import human_bytes

State = Literal["ok", "note", "wrong"]
STYLES: dict[State, str] = {"ok": "green", "note": "yellow", "wrong": "bold red"}

CLOCK_S = 60.0
"""Seconds by which a clock may be off: object stores refuse requests from fifteen minutes on."""
LEAST_DISK = 2 << 30
LEAST_FILES = 1_024
WORKER_BYTES = 1 << 29
"""Memory of a worker of Ray beside the parser process."""
NAMED = 3
"""Nodes that a row names."""


@dataclass(frozen=True)
class Row:
    """The answer to one question about a cluster."""

    check: str
    state: State
    """`note`: the build may run, but look at it; `wrong`: it would fail or spoil something."""
    found: str
    cure: str = ""


def rows_of(cluster: Cluster, probes: Sequence[Probe], seen: Sequence[Seen], limit: int, out: str) -> list[Row]:
    """Return the table of a cluster; `limit` is `limits.memory` of the recipe, in bytes."""
    nodes = _Nodes(seen)
    return [
        _cpus(cluster, nodes),
        _token(nodes),
        _dashboard(cluster),
        *_versions(nodes),
        *_files(probes, nodes, out),
        nodes.row(
            "clock",
            "note",
            lambda each, _: each.clock_s > CLOCK_S,
            lambda each, _: f"off by {each.clock_s:,.0f} s",
            "within what can be told from here",
            "start NTP there; object stores refuse requests from a wrong clock",
        ),
        nodes.row(
            "disk",
            "note",
            lambda _, machine: machine.disk < LEAST_DISK,
            lambda _, machine: f"{human_bytes(machine.disk)} free",
            f"{human_bytes(nodes.least(lambda machine: machine.disk))} or more free for temporary files",
            "free the disk of temporary files, or start Ray there with another TMPDIR",
        ),
        nodes.row(
            "open files",
            "note",
            lambda _, machine: machine.files < LEAST_FILES,
            lambda _, machine: f"{machine.files:,} at once",
            f"{nodes.least(lambda machine: machine.files):,} or more at once",
            "ulimit -n 65536, before ray start",
        ),
        _memory(cluster, nodes, limit),
    ]


def _cpus(cluster: Cluster, nodes: "_Nodes") -> Row:
    total = sum(cluster.cpus.values())
    found = f"{counted(total, 'unit')} at once on {counted(len(nodes.seen), 'node')}"
    found += f", {counted(cluster.gpus, 'GPU')}" if cluster.gpus else ""
    return Row("CPUs", "ok" if total else "wrong", found, "" if total else "start a node with --num-cpus")


def _token(nodes: "_Nodes") -> Row:
    return nodes.row(
        "token",
        "wrong",
        lambda _, machine: not machine.token,
        lambda *_: "whoever reaches its ports runs code",
        "asked for",
        "start Ray on every node with RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN_PATH",
    )


def _dashboard(cluster: Cluster) -> Row:
    if not cluster.dashboard:
        return Row("dashboard", "ok", "none")
    if not cluster.exposed:
        return Row("dashboard", "ok", f"{cluster.dashboard}, not reached from other machines")
    cure = "ray start --head --dashboard-host=127.0.0.1, or let only those in who may run code (a network policy)"
    return Row("dashboard", "note", f"{cluster.dashboard} answers beyond loopback", cure)


def _versions(nodes: "_Nodes") -> Iterator[Row]:
    yield _version(nodes, "Python", platform.python_version(), lambda machine: machine.python)
    yield _version(nodes, "Ray", metadata.version("ray"), lambda machine: machine.ray)
    yield nodes.troubled("mmedc", [VERSION], f"{__version__}, as here")


def _version(nodes: "_Nodes", name: str, here: str, of: Callable[[Machine], str]) -> Row:
    return nodes.row(
        name,
        "wrong",
        lambda _, machine: of(machine) != here,
        lambda _, machine: of(machine),
        f"{here}, as here",
        f"install {here} there, or the version of the cluster here",
    )


def _files(probes: Sequence[Probe], nodes: "_Nodes", out: str) -> Iterator[Row]:
    yield nodes.troubled("--out", [OUT], f"{out}, the same place")
    kinds: dict[str, list[Probe]] = {}
    for probe in probes:
        kind = "inputs" if probe.what.startswith("source ") else "models" if "model" in probe.what else "lists, modules"
        kinds.setdefault(kind, []).append(probe)
    for kind in ("models", "inputs", "lists, modules"):
        if kind in kinds:
            yield nodes.troubled(
                kind, {probe.what for probe in kinds[kind]}, f"{counted(len(kinds[kind]), 'file')} alike"
            )
        elif kind == "inputs":
            yield Row(kind, "note", "none that can be read from here", "are the paths of the recipe right?")


def _memory(cluster: Cluster, nodes: "_Nodes", limit: int) -> Row:
    def each_unit(seen: Seen, machine: Machine) -> float:
        address = seen.node.removeprefix("node ").split(" ")[0]
        return machine.memory / max(cluster.cpus.get(address, 1), 1)

    found = [each_unit(each, each.sight.machine) for each in nodes.seen if each.sight]
    least = human_bytes(min(found, default=0))
    return nodes.row(
        "memory",
        "note",
        lambda each, machine: each_unit(each, machine) < limit + WORKER_BYTES,
        lambda each, machine: f"{human_bytes(each_unit(each, machine))} a unit",
        f"{least} or more a unit, which may take {human_bytes(limit + WORKER_BYTES)}",
        f"ray start --num-cpus=N with fewer units at once, or a lower limits.memory: {human_bytes(limit)} is what one "
        "may take, and few do",
    )


class _Nodes:
    """What all nodes answered."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self.seen = seen

    def least(self, of: Callable[[Machine], int]) -> int:
        """Return the least of a figure of the nodes."""
        return min((of(each.sight.machine) for each in self.seen if each.sight), default=0)

    def row(
        self,
        check: str,
        state: State,
        is_wrong: Callable[[Seen, Machine], bool],
        say: Callable[[Seen, Machine], str],
        well: str,
        cure: str,
    ) -> Row:
        """Return a row that names the nodes of which `is_wrong` is true, with what `say` says of the first ones."""
        asked = [(each, each.sight.machine) for each in self.seen if each.sight]
        wrong = [(each, machine) for each, machine in asked if is_wrong(each, machine)]
        if not wrong:
            return Row(check, "ok", f"{well}{self._everywhere(len(asked))}")
        return Row(check, state, _named([f"{each.node}: {say(each, machine)}" for each, machine in wrong]), cure)

    def troubled(self, check: str, about: Iterable[str], well: str) -> Row:
        """Return a row that names the nodes with a trouble about one of `about`."""
        about = set(about)
        found = [
            f"{each.node}: {trouble.text}" for each in self.seen for trouble in each.troubles if trouble.what in about
        ]
        if not found:
            return Row(check, "ok", f"{well}{self._everywhere(sum(each.sight is not None for each in self.seen))}")
        return Row(check, "wrong", _named(found))

    def _everywhere(self, asked: int) -> str:
        return f" on {counted(asked, 'node')}" if asked == len(self.seen) else f" on {asked} of {len(self.seen)} nodes"


def _named(found: list[str]) -> str:
    more = len(found) - NAMED
    return "; ".join(found[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def check_table(rows: Sequence[Row]) -> Group:
    """Return the screen of `mmedc check`."""
    table = Grid(
        [Column("check"), Column(""), Column("found", wrap=True)],
        [(row.check, Text(row.state, STYLES[row.state]), row.found) for row in rows],
    )
    parts: list[Any] = [table, ""]
    cures = [(row.check, row.cure) for row in rows if row.cure]
    if cures:
        parts += [Grid([Column("to change it"), Column("do", wrap=True)], cures), ""]
    wrong = [row.check for row in rows if row.state == "wrong"]
    last = f"not ready: {', '.join(wrong)}" if wrong else "this cluster can run the recipe"
    parts.append(Passage(last, style=STYLES["wrong" if wrong else "ok"]))
    return Group(*parts)


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the rows as JSON values; `ready` is false where one is wrong."""
    return {"ready": all(row.state != "wrong" for row in rows), "checks": [asdict(row) for row in rows]}
