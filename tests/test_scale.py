"""What a build would take on a cluster: the simulation of the scheduler, and the plan that is made with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mmedc.cli import app
from mmedc.errors import RequestError
from mmedc.shipped import shipped
from mmedc.submit.cost import estimate, input_of, read_costs, read_plan
from mmedc.submit.simulate import Conditions, drawn, simulate

BARE = Conditions(driver_s=0.0, unit_s=0.0, first_s=0.0)
HARSH = Conditions(straggler=0.02, failure=0.02, losses_per_hour=2.0, replaced_s=60.0)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_no_slot_is_idle_while_a_unit_waits(units: list[float], nodes: int, slots: int) -> None:
    run = simulate(units, nodes, slots, BARE)
    even = sum(units) / (nodes * slots)
    assert max(even, max(units)) <= run.seconds + 1e-6 and run.seconds <= even + max(units) + 1e-6
    assert run.useful == pytest.approx(sum(units)) and run.lost == run.repeated == 0


@given(st.integers(1, 200), st.integers(1, 6), st.booleans(), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_every_unit_counts_once_whatever_is_lost(count: int, nodes: int, twice: bool, seed: int) -> None:
    units = drawn((0.5, 1, 2), 300.0, count, seed)
    harsh = replace(HARSH, twice=twice)
    run = simulate(units, nodes, 2, harsh, seed)
    assert run.useful == pytest.approx(units.sum()) and 0 < run.efficiency < 1
    assert run == simulate(units, nodes, 2, harsh, seed)


def test_what_helps_and_what_hurts() -> None:
    units = drawn((0.5, 0.8, 1, 1.2, 2), 600.0, 4000, seed=1)
    calm, late = simulate(units, 50, 16, BARE), simulate(units, 50, 16, replace(BARE, straggler=0.01))
    again = simulate(units, 50, 16, replace(BARE, straggler=0.01, twice=True))
    assert calm.seconds < again.seconds < 0.8 * late.seconds and again.repeated > 0
    small = simulate(np.repeat(units / 8, 8), 50, 16, replace(BARE, straggler=0.01))
    assert small.efficiency > late.efficiency + 0.2
    driver = simulate([1.0] * 1000, 100, 16, replace(BARE, driver_s=0.1))
    assert driver.seconds == pytest.approx(1000 * 0.1 + 1)  # one thing at a time
    lost = simulate(units, 50, 16, replace(BARE, losses_per_hour=0.5))
    assert lost.lost > 0 and lost.efficiency < calm.efficiency
    with pytest.raises(ValueError, match="run nothing"):
        simulate(units, 0, 16, BARE)


def test_durations_are_drawn_with_their_mean_and_spread() -> None:
    found = drawn((0.5, 1, 1, 4), 10.0, 10_000)
    assert found.mean() == pytest.approx(10.0) and found.min() >= 2.5 and np.quantile(found, 0.5) < 10
    assert drawn((1, 1), 3.0, 2).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("name", ["common-crawl", "culturax"])
def test_the_plans_that_ship_add_up(name: str) -> None:
    plan, costs = read_plan(str(shipped("cluster") / "plan" / f"{name}.yaml")), read_costs()
    assert plan.input is not None
    found = estimate(plan, plan.input, costs)
    assert found.node_hours == pytest.approx(found.hours * plan.nodes) and found.hours > 0
    assert found.documents == plan.input.documents and found.published < found.kept < found.documents
    cpu = sum(stage.cpu_hours for stage in found.stages)
    assert found.node_hours * plan.cpus >= cpu  # nothing is faster than its CPUs
    price = 0.2 * plan.price + 0.8 * plan.spot.price
    assert found.node_price == pytest.approx(found.node_hours * price)
    more = estimate(plan.model_copy(update={"nodes": 2 * plan.nodes}), plan.input, costs)
    assert more.hours < found.hours and more.node_hours > 0.99 * found.node_hours
    said = " ".join(found.assumptions)
    assert costs.date in said and "spot machines" in said and "prices are those of the file" in said


def test_a_plan_reads_what_the_recipe_reads_or_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("nodes: 2\ncpus: 4\nprice: 1\n")
    done = CliRunner().invoke(app, ["plan", "quickstart", "--cluster", str(file), "--json"])
    found = json.loads(done.stdout)
    size = sum(path.stat().st_size for path in (shipped("pipelines") / "quickstart").glob("*.warc.gz"))
    assert found["stages"][0]["read"] == size and found["stages"][0]["units"] == 2
    given, unknown = input_of([("books", 5_000_000), ("jsonl", 7), ("parquet", 9)], "x.yaml")
    assert (given.format, given.bytes, given.unit) == ("parquet", 16, 8) and unknown.endswith("5.0 MB of books")
    file.write_text("nodes: 2\ninput: {format: warc, bytes: 1TB}\n")
    shown = CliRunner().invoke(app, ["plan", "quickstart", "--cluster", str(file)], env={"COLUMNS": "80"}).stdout
    assert "1.0 TB of warc on 2 nodes of 16 CPUs" in shown and "assumed" in shown
    assert max(map(len, shown.splitlines())) <= 80
    file.write_text("nodes: 2\nnoddes: 3\n")
    with pytest.raises(RequestError, match=r"cluster\.yaml:2: .*noddes"):
        read_plan(str(file))
    with pytest.raises(RequestError, match="costs are known of warc, parquet and jsonl"):
        input_of([("jsonl", 5), ("warc", 5)], "x.yaml")
