"""The table of `mmedc check`: what nodes answer, and what is made of it."""

import io
import platform
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from rich.console import Console

from mmedc import __version__
from mmedc.engine.cluster import Cluster
from mmedc.engine.preflight import VERSION, Machine, Probe, Seen, Sight, Trouble, look, needed, this_machine
from mmedc.report.checked import as_json, check_table, rows_of
from mmedc.storage import Store

GIB = 1 << 30
WELL = Machine(platform.python_version(), metadata.version("ray"), True, 0.0, 16 * GIB, 50 * GIB, 65_536)
PROBES = (Probe("source web", "s3://b/x", "0"), Probe("the model of language", "/m", "0"))


def seen(machine: Machine = WELL, name: str = "10.0.0.1", clock_s: float = 0.0, *troubles: Trouble) -> Seen:
    return Seen(f"node {name} ({name})", Sight(__version__, machine, troubles), troubles, clock_s)


def states(*found: Seen, cpus: int = 4, dashboard: str = "") -> dict[str, tuple[str, str]]:
    cluster = Cluster({each.node.split(" ")[1]: cpus for each in found}, 0, dashboard)
    rows = rows_of(cluster, PROBES, found, 3 * GIB, "s3://b/out")
    return {row.check: (row.state, row.found) for row in rows}


def test_nodes_that_are_as_they_should_be_are_ready() -> None:
    found = states(seen(), seen(name="10.0.0.2"), dashboard="127.0.0.1:8265")
    assert {state for state, _ in found.values()} == {"ok"}
    assert found["CPUs"][1] == "8 units at once on 2 nodes"
    assert found["memory"][1] == "4.3 GB or more a unit, which may take 3.8 GB on 2 nodes"


def test_a_node_that_lacks_a_package_is_named(tmp_path: Path) -> None:
    assert "pyarrow" in needed()
    (trouble, *_) = look(Store(str(tmp_path)), "n", (), ("pyarrow", "no_such_package"), 0).troubles
    assert trouble.what == VERSION and trouble.text.startswith("no_such_package can't be imported there")


def test_each_fault_has_its_row() -> None:
    machines = {
        "Python": replace(WELL, python="3.10.1"),
        "Ray": replace(WELL, ray="2.0.0"),
        "token": replace(WELL, token=False),
        "disk": replace(WELL, disk=GIB),
        "open files": replace(WELL, files=256),
        "memory": replace(WELL, memory=8 * GIB),
    }
    for row, machine in machines.items():
        found = states(seen(), seen(machine, "10.0.0.2"))
        wrong = {name for name, (state, _) in found.items() if state != "ok"}
        assert wrong == {row} and found[row][1].startswith("node 10.0.0.2 (10.0.0.2): "), found
    late = states(seen(WELL, "10.0.0.2", 900.0))
    assert late["clock"] == ("note", "node 10.0.0.2 (10.0.0.2): off by 900 s")
    other = states(seen(WELL, "10.0.0.2", 0.0, Trouble("source web", "source web: no such file")))
    assert other["inputs"] == ("wrong", "node 10.0.0.2 (10.0.0.2): source web: no such file")
    gone = Seen("node 10.0.0.3 (c)", None, (Trouble("version", "mmedc can't run there"),))
    found = states(seen(), gone)
    assert found["mmedc"][0] == "wrong" and found["models"][1] == "1 file alike on 1 of 2 nodes"


def test_a_thousand_nodes_are_a_short_table() -> None:
    bad = [seen(replace(WELL, disk=GIB), f"10.0.{n // 250}.{n % 250}") for n in range(1000)]
    cluster = Cluster({}, 0, "")
    rows = rows_of(cluster, PROBES, bad, GIB, "s3://b/out")
    console = Console(width=80, file=io.StringIO())
    console.print(check_table(rows))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "and 997 more" in text and len(text.splitlines()) < 40 and max(map(len, text.splitlines())) <= 80
    assert "not ready: CPUs" in text and not as_json(rows)["ready"]


def test_this_machine_tells_of_itself() -> None:
    here = this_machine()
    assert here.python == WELL.python and here.memory > 0 and here.disk >= 0 and here.files > 0
