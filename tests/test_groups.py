"""Which rows are dropped: the same as row by row in the order of ranks, whatever the shape and the owners."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmedc.dedup import groups
from mmedc.dedup.groups import by_owner, watches
from mmedc.dedup.records import DROP, EDGE, read_cut
from mmedc.dedup.signature import Sign, estimate, standard_error
from mmedc.document import document_id
from mmedc.engine.commit import write_table
from mmedc.engine.run import WORK, Inline
from mmedc.engine.unit import Stream
from mmedc.pipeline.build import Running
from mmedc.pipeline.dedup import Dedup
from mmedc.policy import Policy
from mmedc.storage import Store
from tests.test_build import Notes

Array = npt.NDArray[Any]
LINE = 0.8


def edges_between(pairs: Array, rank: Array) -> pa.Table:
    one, other = pairs.T
    swap = rank[one] > rank[other]
    worse, better = np.where(swap, one, other), np.where(swap, other, one)
    columns = [np.full(len(one), 2, np.uint8), rank[worse].astype(np.uint64), worse]
    columns += [rank[better].astype(np.uint64), better, np.full(len(one), 0.9, np.float32)]
    return pa.table(columns, schema=EDGE)


def dropped(folder: Path, pairs: Array, rank: Array, owners: int) -> dict[int, int]:
    """Return {row: a row that stays and is like it} as the rounds between so many owners say."""
    store = Store(str(folder))
    work = store.below(WORK)
    edges = edges_between(pairs, rank)
    files = (write_table(work, "edges", by_owner(edges, owners), "all"),)
    watch = (write_table(work, "watch", watches(edges, owners), "all"),)
    dedup = Dedup(Policy("none", "boundary", {}), (), LINE, True, 0)
    drops = dedup.decide(Running(Inline(), store, Notes()), files, watch, owners)
    found = pa.concat_tables([groups.read_drops(work, drops, owner) for owner in range(owners)])
    assert len(found) == len(set(found["place"].to_pylist()))
    return dict(zip(found["place"].to_pylist(), found["to_place"].to_pylist(), strict=True))


def in_order(pairs: Array, rank: Array) -> set[int]:
    """Return the rows that are dropped when they are looked at one by one, the best first."""
    near: dict[int, set[int]] = {}
    for one, other in pairs.tolist():
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    gone: set[int] = set()
    for row in np.argsort(rank).tolist():
        if row not in gone:
            gone |= {other for other in near.get(row, ()) if rank[other] > rank[row]}
    return gone


def assert_lawful(found: dict[int, int], pairs: Array) -> None:
    """No two rows that stay are a pair, and every dropped row is a pair with one that stays."""
    alike = {frozenset(ends) for ends in pairs.tolist()}
    assert all(any(end in found for end in ends) for ends in alike)
    for row, stays in found.items():
        assert frozenset((row, stays)) in alike and stays not in found


@contextmanager
def rounds_by_rank(number: int) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for module in ("mmedc.dedup.groups", "mmedc.pipeline.dedup"):
        patch.setattr(f"{module}.ROUNDS_BY_RANK", number)
    try:
        yield
    finally:
        patch.undo()


pair = st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda ends: ends[0] != ends[1])


@given(st.lists(pair, min_size=1, max_size=90), st.permutations(range(61)), st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_rows_are_dropped_as_one_by_one(rows: list[tuple[int, int]], ranks: list[int], owners: int) -> None:
    pairs, rank = np.array(rows), np.array(ranks)
    with TemporaryDirectory() as one, TemporaryDirectory() as several:
        found = dropped(Path(one), pairs, rank, 1)
        assert set(found) == in_order(pairs, rank)
        assert dropped(Path(several), pairs, rank, owners) == found
    assert_lawful(found, pairs)


@given(st.lists(pair, min_size=30, max_size=90), st.permutations(range(61)), st.integers(0, 3), st.integers(2, 3))
@settings(max_examples=15, deadline=None)
def test_what_ranks_leave_open_is_decided_at_random(
    rows: list[tuple[int, int]], ranks: list[int], by_rank: int, owners: int
) -> None:
    pairs, rank = np.array(rows), np.array(ranks)
    with rounds_by_rank(by_rank), TemporaryDirectory() as one, TemporaryDirectory() as several:
        found = dropped(Path(one), pairs, rank, 1)
        assert dropped(Path(several), pairs, rank, owners) == found
    assert_lawful(found, pairs)


@pytest.mark.parametrize("owners", [1, 3])
@pytest.mark.parametrize("order", ["forward", "backward", "random"])
def test_long_chains(tmp_path: Path, owners: int, order: str) -> None:
    """Of a chain of 800 rows, in the worst order too, no two neighbours stay and none goes without one."""
    size = 800
    rank = np.arange(size)
    if order == "backward":
        rank = rank[::-1].copy()
    elif order == "random":
        rank = np.random.default_rng(1).permutation(size)
    pairs = np.stack([np.arange(size - 1), np.arange(1, size)], axis=1)
    found = dropped(tmp_path, pairs, rank, owners)
    assert_lawful(found, pairs)
    assert len(list((tmp_path / ".work").glob("decide-*"))) < 70


@pytest.mark.parametrize("centre", [0, 49_999])
def test_a_giant_cluster(tmp_path: Path, centre: int) -> None:
    others = np.delete(np.arange(50_000), centre)
    pairs = np.stack([np.full(len(others), centre), others], axis=1)
    found = dropped(tmp_path, pairs, np.arange(50_000), 4)
    assert set(found) == (set(range(1, 50_000)) if centre == 0 else {49_999})


WORDS = [f"{a}{b}{c}" for a in "bcdfghjklmnp" for b in "aeiou" for c in ("ran", "list", "mod", "ten", "sul")]


def family(draw: random.Random, documents: int, steps: list[int]) -> list[str]:
    """Return texts of which each is an earlier one with some sentences changed, dropped or added."""
    texts: list[list[str]] = []

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(6, 14)))

    for number in range(documents):
        if not texts or draw.random() < 0.15:
            texts.append([sentence() for _ in range(draw.randint(8, 30))])
            continue
        parts = list(texts[-1] if draw.random() < 0.7 else draw.choice(texts))
        for _ in range(steps[number % len(steps)]):
            at = draw.randrange(len(parts))
            parts[at : at + 1] = draw.choice(([sentence()], [sentence()], [parts[at], sentence()], []))
            parts = parts or [sentence()]
        texts.append(parts)
    draw.shuffle(texts)
    return [". ".join(parts) for parts in texts]


def keys_of(texts: list[str], source: str = "pages") -> pa.Table:
    batch = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})
    signed = Sign(LINE).open()(batch)
    columns = {
        "id": pa.array([document_id("pages", text) for text in texts], pa.string()),
        "lang": pa.array(["en"] * len(texts), pa.string()),
        "source": pa.array([source] * len(texts), pa.string()),
        "chars": pc.utf8_length(signed.column("text")).cast(pa.float32()),
        "words": np.ones(len(texts), np.float32),
    }
    return pa.table(columns | {name: signed.column(name) for name in ("content", "bands", "sketch")})


def deduplicated(texts: list[str], units: int, **sizes: int) -> dict[int, int]:
    """Return {text: text that stays in its favour} as the passes say over so many units; see `Dedup`."""
    with TemporaryDirectory() as folder:
        store = Store(folder)
        work = store.below(WORK)
        bounds = np.linspace(0, len(texts), units + 1).astype(int).tolist()
        keys, documents = [], []
        for low, high in pairwise(bounds):
            table = keys_of(texts[low:high])
            keys.append(write_table(work, "keys", Stream(table.schema, iter([table]), whole=True), "keys"))
            lines = pa.table({"text": pa.array(texts[low:high], pa.large_string())})
            documents.append(write_table(work, "documents", Stream(lines.schema, iter([lines])), "documents"))
        dedup = Dedup(Policy("none", "boundary", {}), ("pages",), LINE, True, 0, **sizes)
        found = dedup.run(Running(Inline(), store, Notes()), keys, documents, [])
        drops = [read_cut(work, found.drops, group, DROP) for group in range(len(found.groups) - 1)]
        rows = pa.concat_tables(drops).to_pylist()

        def number(place: int) -> int:
            return bounds[place >> 32] + (place & 0xFFFFFFFF)

        return {number(row["place"]): number(row["survivor"]) for row in rows}


def alike(texts: list[str]) -> tuple[Array, Array]:
    """Return (which pairs of texts share a bucket, which of all are alike as far as estimates do not decide)."""
    sets = []
    for text in texts:
        words = text.replace(".", "").split()
        sets.append({tuple(words[at : at + 5]) for at in range(max(len(words) - 4, 1))})
    true = np.array([[len(a & b) / len(a | b) for b in sets] for a in sets])
    table = keys_of(texts)
    bands = np.array(table["bands"].to_pylist(), np.uint64)
    bucket = (bands[:, None, :] == bands[None, :, :]).any(axis=2)
    sketch = np.array([list(value) for value in table["sketch"].to_pylist()], np.uint8)
    one, other = np.indices(true.shape).reshape(2, -1)
    guess = estimate(sketch[one], sketch[other]).reshape(true.shape)
    margin = 2.5 * standard_error(LINE)
    return bucket, np.where(np.abs(guess - LINE) < margin, true >= LINE, guess >= LINE)


@given(st.integers(0, 2**32), st.integers(2, 40), st.lists(st.integers(0, 5), min_size=1, max_size=4), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_law_of_duplicates(seed: int, documents: int, steps: list[int], data: st.DataObject) -> None:
    """No two documents that share a bucket and are alike stay; every dropped one is like one that stays.

    The result is the same for any number of units, key ranges, owners and groups.
    """
    texts = family(random.Random(seed), documents, steps)
    found = deduplicated(texts, 1)
    bucket, same = alike(texts)
    stays = np.array([number not in found for number in range(documents)])
    both = bucket & same & stays[:, None] & stays[None, :]
    assert not both[np.triu_indices(documents, 1)].any()
    for row, survivor in found.items():
        assert stays[survivor] and same[row, survivor]
    units = data.draw(st.integers(1, min(4, documents)))
    sizes = {name: data.draw(st.integers(1, 60)) for name in ("range_edges", "group_rows")}
    assert deduplicated(texts, units, range_records=data.draw(st.integers(40, 400)), **sizes) == found
