"""Groups over many ranges: equal to plain connected components, whatever the shape, the order and the ranges."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmedc.dedup.records import DROP, NODE, cut, edges_of, owner_of, read_cut, sketch_array
from mmedc.dedup.signature import SKETCH_BYTES
from mmedc.engine.commit import write_table
from mmedc.engine.run import WORK, Inline
from mmedc.pipeline.build import Running
from mmedc.pipeline.dedup import Dedup
from mmedc.policy import Policy
from mmedc.storage import Store
from tests.test_build import Notes

Array = npt.NDArray[Any]


def dropped(folder: Path, pairs: Array, rank: Array, owners: int) -> dict[int, int]:
    """Return {row: survivor} as the passes over edges in `owners` ranges say, all rows being alike."""
    nodes = [rank.astype(np.uint64), np.arange(len(rank)), sketch_array(np.zeros((len(rank), SKETCH_BYTES), np.uint8))]
    one, other = pairs.T
    swap = rank[one] > rank[other]
    worse, better = np.where(swap, one, other), np.where(swap, other, one)
    edges = edges_of(np.full(len(one), 2), pa.table(nodes, schema=pa.schema(NODE)), worse, better)
    store = Store(str(folder))
    work = store.below(WORK)
    first = write_table(work, "edges", cut(edges, owner_of(edges["place"].to_numpy(), owners), owners), "all")
    dedup = Dedup(Policy("none", "boundary", {}), (), 0.8, True, 0)
    settled = dedup.settle(Running(Inline(), store, Notes()), (first,), owners, (0, 1))
    drops = read_cut(work, tuple(left.drops for left in settled), 0, DROP)
    return dict(zip(drops["place"].to_pylist(), drops["survivor"].to_pylist(), strict=True))


def expected(pairs: Array, rank: Array) -> dict[int, int]:
    """Return the same by scipy's connected components."""
    size = (len(rank),) * 2
    _, component = connected_components(coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=size), directed=False)
    order = np.argsort(rank)
    best = np.zeros(len(rank), int)
    best[component[order[::-1]]] = order[::-1]
    centre = best[component]
    return {int(row): int(centre[row]) for row in np.flatnonzero(centre != np.arange(len(rank)))}


pair = st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda ends: ends[0] != ends[1])


@given(st.lists(pair, min_size=1, max_size=70), st.permutations(range(61)), st.integers(1, 4))
@settings(max_examples=15)
def test_groups_are_connected_components(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], rank: list[int], owners: int
) -> None:
    edges, order = np.array(pairs), np.array(rank)
    assert dropped(tmp_path_factory.mktemp("graph"), edges, order, owners) == expected(edges, order)


def test_a_large_random_graph(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    pairs, rank = draw.integers(0, 30_000, (24_000, 2)), draw.permutation(30_000)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    assert dropped(tmp_path, pairs, rank, 5) == expected(pairs, rank)


@pytest.mark.parametrize("order", ["sorted", "random", "there and back"])
def test_a_chain_of_100_000(tmp_path: Path, order: str) -> None:
    size = 100_000
    at = np.arange(size)
    rank = {
        "sorted": at,
        "random": np.random.default_rng(2).permutation(size),
        "there and back": np.where(at < size // 2, 2 * at, 2 * (size - at) - 1),
    }[order]
    found = dropped(tmp_path, np.stack([at[:-1], at[1:]], axis=1), rank, 3)
    assert len(found) == size - 1 and set(found.values()) == {int(np.argmin(rank))}


@pytest.mark.parametrize("centre", [0, 49_999])
def test_a_giant_cluster(tmp_path: Path, centre: int) -> None:
    others = np.delete(np.arange(50_000), centre)
    pairs = np.stack([np.full(len(others), centre), others], axis=1)
    found = dropped(tmp_path, pairs, np.arange(50_000), 4)
    assert len(found) == 49_999 and set(found.values()) == {0}
