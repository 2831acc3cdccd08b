"""Duplicates: signatures against datasketch, matching and grouping against plain definitions."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.dedup.passes import DROP, KINDS, RECORD, Match, drops_of, ranges_for
from mmedc.dedup.signature import PERMUTATIONS, Bands, band_keys, bands_for, estimate, signatures, sketches
from mmedc.words import TextBatch

ALPHABETS = {
    "en": [a + b + c for a in "bcdfgklmnprst" for b in "aeiou" for c in ("n", "l", "st")],
    "zh": [chr(0x4E00 + 37 * n) for n in range(400)],
}


def text_of(words: list[str], lang: str) -> str:
    return (" " if lang == "en" else "").join(words)


def pairs(lang: str, number: int = 150) -> tuple[list[str], list[str], np.ndarray[Any, Any]]:
    """Return texts, copies with some words changed, and the true Jaccard of their sets of 5-word shingles."""
    draw = random.Random(7)
    ones, others, truth = [], [], []
    for index in range(number):
        words = draw.choices(ALPHABETS[lang], k=draw.randint(80, 300))
        copy = list(words)
        for _ in range(index % 40):
            copy[draw.randrange(len(copy))] = draw.choice(ALPHABETS[lang])
        a, b = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (words, copy))
        ones.append(text_of(words, lang))
        others.append(text_of(copy, lang))
        truth.append(len(a & b) / len(a | b))
    return ones, others, np.array(truth)


def signed(texts: list[str]) -> Any:
    return signatures(TextBatch(pa.array(texts, pa.large_string())))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_estimates_are_as_good_as_datasketchs(lang: str) -> None:
    ones, others, truth = pairs(lang)
    left, right = signed(ones), signed(others)
    full = (left == right).mean(axis=1)
    short = estimate(sketches(left), sketches(right))

    def theirs(text: str) -> MinHash:
        words = text.split() if lang == "en" else list(text)
        one = MinHash(num_perm=PERMUTATIONS, seed=3)
        for i in range(len(words) - 4):
            one.update(" ".join(words[i : i + 5]).encode())
        return one

    oracle = np.array([theirs(a).jaccard(theirs(b)) for a, b in zip(ones, others, strict=True)])
    rmse = {name: float(np.sqrt(((value - truth) ** 2).mean())) for name, value in
            {"full": full, "short": short, "oracle": oracle}.items()}  # fmt: skip
    assert rmse["full"] < 0.045 and rmse["short"] < 0.05
    assert rmse["full"] < rmse["oracle"] * 1.35
    assert abs(float((full - truth).mean())) < 0.01  # without bias


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_near_duplicates_become_candidates(lang: str) -> None:
    ones, others, truth = pairs(lang)
    bands = bands_for(0.8)
    left, right = (band_keys(signed(texts), bands) for texts in (ones, others))
    candidate = (left == right).any(axis=1)
    assert candidate[truth >= 0.85].mean() >= 0.98
    assert candidate[truth < 0.4].mean() <= 0.1
    expected = np.array([bands.chance(value) for value in truth])
    assert abs(candidate.mean() - expected.mean()) < 0.08


@pytest.mark.parametrize("jaccard", [0.5, 0.7, 0.8, 0.9])
def test_bands_are_sharp_and_miss_little(jaccard: float) -> None:
    ours = bands_for(jaccard)
    assert ours.count * ours.rows <= PERMUTATIONS
    assert ours.chance(jaccard) >= 0.97
    assert Bands(PERMUTATIONS // (ours.rows + 1), ours.rows + 1).chance(jaccard) < 0.97
    assert ours.chance(jaccard / 2) < 0.45
    # At least the recall of datasketch's optimiser when it counts a missed pair nine times.
    theirs = MinHashLSH(threshold=jaccard, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    assert ours.chance(jaccard) >= Bands(theirs.b, theirs.r).chance(jaccard)


def test_documents_without_words_have_no_signature() -> None:
    empty, word = signed(["", "word"])
    assert (empty == np.uint64(2**64 - 1)).all() and not (word == empty).any()


def records(rows: list[tuple[int, int, int, int, bytes]]) -> pa.Table:
    """Return RECORD rows of (key, kind, rank, place, sketch)."""
    return pa.Table.from_pylist([dict(zip(RECORD.names, row, strict=True)) for row in rows], RECORD)


A, B = bytes(PERMUTATIONS), bytes([255] * PERMUTATIONS)


def edges_of(rows: list[tuple[int, int, int, int, bytes]]) -> set[tuple[int, int, int]]:
    table, _ = Match(0.8).edges(records(rows))
    return {(row["kind"], row["one"], row["other"]) for row in table.to_pylist()}


def test_only_verified_pairs_count() -> None:
    bucket = [(5, 2, rank, place, sketch) for rank, place, sketch in ((1, 10, A), (2, 11, B), (3, 12, A), (4, 13, B))]
    assert edges_of(bucket) == {(2, 10, 12), (2, 11, 13)}
    assert edges_of([(5, 2, 1, 10, A), (6, 2, 2, 11, A)]) == set()
    assert edges_of([(5, 0, 1, 10, A), (5, 1, 1, 11, A)]) == set()  # a locator is not a content


def test_an_id_that_only_begins_alike_is_another() -> None:
    assert edges_of([(5, 0, 1, 10, A), (5, 0, 2, 11, A)]) == set()
    assert edges_of([(5, 0, 1, 10, A), (5, 0, (7 << 32) + 1, 11, B)]) == {(0, 10, 11)}


def test_a_bucket_of_unlike_documents_ends() -> None:
    draw = np.random.default_rng(1)
    rows = [(5, 2, n, n, draw.bytes(PERMUTATIONS)) for n in range(300)]
    table, compared = Match(0.8).edges(records(rows))
    assert table.num_rows == 0 and compared < 64 * 300


def edge_table(rows: list[tuple[int, int, int]], ranks: dict[int, int]) -> pa.Table:
    return pa.table(
        {
            "kind": pa.array([kind for kind, _, _ in rows], pa.uint8()),
            "one": pa.array([one for _, one, _ in rows], pa.int64()),
            "other": pa.array([other for _, _, other in rows], pa.int64()),
            "one_rank": pa.array([ranks[one] for _, one, _ in rows], pa.uint64()),
            "other_rank": pa.array([ranks[other] for _, _, other in rows], pa.uint64()),
            "jaccard": pa.array([1.0] * len(rows), pa.float32()),
        }
    )


def groups_of(rows: list[tuple[int, int, int]]) -> dict[int, set[int]]:
    group = {node: {node} for _, *ends in rows for node in ends}
    for _, one, other in rows:
        joined = group[one] | group[other]
        for node in joined:
            group[node] = joined
    return group


edges = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 25), st.integers(0, 25)).filter(lambda e: e[1] != e[2]), max_size=40
)


@given(edges, st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_one_of_each_group_stays(rows: list[tuple[int, int, int]], draw: random.Random) -> None:
    order = list(range(26))
    draw.shuffle(order)
    ranks = {node: order[node] for node in range(26)}
    drops = drops_of(edge_table(rows, ranks))
    assert drops.schema.names == DROP.names
    groups = groups_of(rows)
    best = {node: min(group, key=lambda one: ranks[one]) for node, group in groups.items()}
    found = {row["place"]: row for row in drops.to_pylist()}
    assert set(found) == {node for node in groups if best[node] != node}
    strong = groups_of([edge for edge in rows if edge[0] == 0])
    for node, row in found.items():
        assert row["survivor"] == best[node]
        better = any(ranks[other] < ranks[node] for other in strong.get(node, ()))
        assert (row["reason"] == KINDS[0]) == better
    draw.shuffle(rows)
    assert drops_of(edge_table(rows, ranks)).select(["place", "reason", "survivor"]) == drops.select(
        ["place", "reason", "survivor"]
    )


def test_ranges_grow_with_the_corpus() -> None:
    assert ranges_for(0, 14) == ranges_for(100_000, 14) == 1
    assert ranges_for(1_000_000, 14) == 8
