"""Duplicates: signatures against datasketch, matching and grouping against plain definitions."""

import random
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH

from mmedc.dedup.exchange import Match, keys_of, ranks
from mmedc.dedup.groups import CLUSTER, drops_of, strongest
from mmedc.dedup.records import KNOWN, NODE, RECORD, edges_of, place_of, ranges_for
from mmedc.dedup.signature import (
    PERMUTATIONS,
    SKETCH_BYTES,
    Bands,
    band_keys,
    bands_for,
    estimate,
    long_signatures,
    signatures,
    sketches,
    standard_error,
)
from mmedc.dedup.verify import SHINGLES, jaccards, sets_of
from mmedc.engine.unit import DataFile
from mmedc.folding import folded_texts
from mmedc.pipeline import clusters
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
    assert rmse["full"] < 0.045 and rmse["short"] < 0.07
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
    assert (empty == np.uint32(2**32 - 1)).all() and not (word == empty).any()


def test_the_estimate_errs_as_it_says() -> None:
    ones, others, truth = pairs("en", 400)
    short = estimate(sketches(signed(ones)), sketches(signed(others)))
    wrong = [(a - b) / standard_error(b) for a, b in zip(short, truth, strict=True) if b < 1]
    assert 0.85 < float(np.sqrt(np.mean(np.square(wrong)))) < 1.15


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_long_text_is_signed_in_pieces(lang: str) -> None:
    draw = random.Random(3)
    texts = [text_of(draw.choices(ALPHABETS[lang], k=size), lang) for size in (0, 3, 40, 5_000, 700, 20_000)]
    folded = folded_texts(pa.array(texts, pa.large_string()))
    whole = signatures(TextBatch(folded))
    for piece in (64, 1_000, 30_000):
        assert (long_signatures(folded, piece) == whole).all()


def test_a_book_of_3000_pages_is_signed_in_bounded_memory() -> None:
    code = (
        "import random, resource, pyarrow as pa\n"
        "from mmedc.dedup.signature import Sign, bands_for\n"
        "draw = random.Random(1)\n"
        "page = lambda: ' '.join(str(draw.randrange(10**6)) for _ in range(450))\n"
        "book = '\\n'.join(page() for _ in range(3000))\n"
        "batch = pa.RecordBatch.from_pydict({'text': pa.array([book], pa.large_string())})\n"
        "transform = Sign(0.8).open()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "transform(batch)\n"
        "print(len(book), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    chars, mib = map(int, subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split())
    assert chars > 9_000_000 and mib < 300


def records(rows: list[tuple[int, int, int, int, bytes]]) -> pa.Table:
    """Return RECORD rows of (key, kind, rank, place, sketch)."""
    return pa.Table.from_pylist([dict(zip(RECORD.names, row, strict=True)) for row in rows], RECORD)


A, B = bytes(SKETCH_BYTES), bytes([255] * SKETCH_BYTES)


def like_a(jaccard: float) -> bytes:
    """Return a sketch that seems to be of a text this much like that of `A`."""
    differ = round((1 - jaccard) * 0.75 * PERMUTATIONS)
    value = sum(1 << 2 * at for at in range(differ))
    return value.to_bytes(SKETCH_BYTES, "little")


def match(published: int = 9, **fields: Any) -> Match:
    return Match(0.8, 1, (0, published), published, **fields)


def pairs_of(rows: list[tuple[int, int, int, int, bytes]]) -> tuple[set[Any], set[Any]]:
    """Return the sure and the doubtful pairs as (kind, who is worse, who is better)."""
    found = match().pairs(records(rows))
    return tuple(  # type: ignore[return-value]
        {(row["kind"], row["place"], row["to_place"]) for row in table.to_pylist()}
        for table in (found.sure, found.doubtful)
    )


def test_only_verified_pairs_count() -> None:
    bucket = [(5, 2, rank, place, sketch) for rank, place, sketch in ((1, 10, A), (2, 11, B), (3, 12, A), (4, 13, B))]
    assert pairs_of(bucket) == ({(2, 12, 10), (2, 13, 11)}, set())
    assert pairs_of([(5, 2, 1, 10, A), (6, 2, 2, 11, A)]) == (set(), set())
    assert pairs_of([(5, 0, 1, 10, A), (5, 1, 1, 11, A)]) == (set(), set())  # a locator is not a content
    assert pairs_of([(5, 2, 1, 10, A), (5, 2, 1, 10, A)]) == (set(), set())  # the same row twice


@pytest.mark.parametrize(("jaccard", "sure", "doubt"), [(0.5, 0, 0), (0.72, 0, 1), (0.85, 0, 1), (0.95, 1, 0)])
def test_pairs_near_the_line_are_left_to_their_texts(jaccard: float, sure: int, doubt: int) -> None:
    found = pairs_of(
        [(5, 2, 1, 10, A), (5, 2, 2, 11, like_a(jaccard)), (6, 2, 1, 10, A), (6, 2, 2, 11, like_a(jaccard))]
    )
    assert tuple(map(len, found)) == (sure, doubt)


def test_what_is_published_stays_and_is_compared_like_the_rest() -> None:
    old = int(place_of(9, np.array([4]))[0])
    assert pairs_of([(5, 2, 0, old, A), (5, 2, 1, 11, like_a(0.95)), (5, 2, 2, 12, like_a(0.74))]) == (
        {(2, 11, old)},
        {(2, 12, old)},
    )
    assert pairs_of([(5, 1, 0, old, A), (5, 1, 0, old + 1, A)]) == (set(), set())


def test_followers_are_compared_among_themselves_when_they_are_released() -> None:
    """Three texts are surely like the first; only where several follow is anything left to compare."""
    rows = [(5, 2, rank, rank, A) for rank in (1, 2, 3)]
    found = match().pairs(records(rows))
    assert found.sure.num_rows == 2 and found.followers.tolist() == [2, 3]
    assert match().pairs(records(rows[:2])).followers.tolist() == []
    again = match(released=(DataFile("", "", 2, 0),)).pairs(records(rows))
    assert again.sure.num_rows == 3 and again.compared == 3 and again.followers.tolist() == []


def test_a_later_leader_is_compared_with_all_of_its_bucket() -> None:
    """The third text is like the second, which follows the first: the pair is seen, though not in order."""
    near = like_a(0.85)
    rows = [(5, 2, 1, 1, A), (5, 2, 2, 2, near), (5, 2, 3, 3, like_a(0.66))]
    found = match().pairs(records(rows))
    assert {(row["place"], row["to_place"]) for row in found.doubtful.to_pylist()} == {(2, 1), (3, 2)}
    assert found.compared == 3 and found.followers.tolist() == []


def test_an_id_that_only_begins_alike_is_another() -> None:
    """The key of a locator is of the id's later digits, the rank holds the first eight."""
    assert pairs_of([(5, 0, 1, 10, A), (5, 0, 2, 11, A)]) == (set(), set())
    assert pairs_of([(5, 0, 1, 10, A), (5, 0, (7 << 32) + 1, 11, B)]) == ({(0, 11, 10)}, set())


def test_a_bucket_of_unlike_documents_ends() -> None:
    draw = np.random.default_rng(1)
    rows = [(5, 2, n, n, draw.bytes(SKETCH_BYTES)) for n in range(300)]
    found = match().pairs(records(rows))
    assert found.sure.num_rows == found.doubtful.num_rows == 0 and found.compared < 64 * 300


def edge_table(rows: list[tuple[int, int, int]], places: list[int] | None = None) -> pa.Table:
    """Return EDGE rows for (kind, worse, better); rows are numbered by rank."""
    nodes = pa.table([list(range(9)), places or list(range(9)), [A] * 9], schema=pa.schema(NODE))
    kind, worse, better = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return edges_of(kind, nodes, worse, better, np.full(len(rows), 0.9))


def test_a_row_is_dropped_for_the_strongest_reason() -> None:
    found = strongest(edge_table([(2, 5, 0), (1, 5, 3), (1, 5, 2), (2, 6, 1)]))
    assert drops_of(found, 9).select(["place", "reason", "survivor"]).to_pylist() == [
        {"place": 5, "reason": "exact_duplicate", "survivor": 2},
        {"place": 6, "reason": "near_duplicate", "survivor": 1},
    ]


def test_a_row_that_is_published_already_says_so() -> None:
    old = int(place_of(3, np.array([5]))[0])
    assert drops_of(edge_table([(1, 1, 0)], [old, *range(1, 9)]), 3)["reason"].to_pylist() == [KNOWN]


def test_ranges_grow_with_the_corpus() -> None:
    assert ranges_for(0, 14) == ranges_for(100_000, 14) == 1
    assert ranges_for(1_000_000, 14) == 8


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_texts_are_compared_as_sets_of_shingles(lang: str) -> None:
    ones, others, truth = pairs(lang)

    def table(texts: list[str]) -> pa.Table:
        return pa.table([list(range(len(texts))), sets_of(pa.array(texts, pa.large_string()))], schema=SHINGLES)

    at = np.arange(len(truth))
    assert np.abs(jaccards(table(ones), table(others), at, at) - truth).max() < 1e-9


def test_records_are_made_of_ids_contents_and_bands() -> None:
    ids, contents = [f"{n * 7919:08x}" * 4 for n in range(1, 4)], [bytes([n]) * 16 for n in range(3)]
    keys = pa.table(
        {
            "id": pa.chunked_array([ids[:1], ids[1:]]),
            "content": pa.array(contents, pa.binary(16)),
            "bands": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.uint64(), 2)),
            "sketch": pa.array([A] * 3, pa.binary(SKETCH_BYTES)),
            "words": pa.array([4.0, 0.0, 9.0], pa.float32()),
        }
    )
    key, kind, row = keys_of(keys, True)
    assert list(zip(kind.tolist(), row.tolist(), key.tolist(), strict=True)) == [
        *((0, n, int(ids[n][8:24], 16)) for n in range(3)),
        *((1, n, int.from_bytes(contents[n][:8], "big")) for n in range(3)),
        *((2, 0, 1), (2, 0, 2), (2, 2, 5), (2, 2, 6)),  # the second has no word, so no shingle
    ]


def test_of_duplicates_the_best_comes_first() -> None:
    """By source, then quality in tenths, then length, then id; published rows before all."""
    rows = [
        ("a", 0.1, 10), ("b", 0.93, 10), ("b", 0.91, 600_000), ("b", 0.91, 5), ("b", 0.5, 99), ("b", None, 1 << 24)
    ]  # fmt: skip
    sources, quality, chars = zip(*rows, strict=True)
    table = pa.table(
        {
            "id": [f"{n:08x}" * 4 for n in range(len(rows))],
            "source": list(sources),
            "quality": pa.array(quality, pa.float32()),
            "chars": pa.array(chars, pa.float32()),
        }
    )
    assert np.argsort(ranks(table, ("a", "b"))).tolist() == [0, 2, 1, 3, 4, 5]
    plain = ranks(table.drop_columns(["quality"]), ("a", "b"))
    assert np.argsort(plain).tolist() == [0, 5, 2, 4, 1, 3]
    assert ranks(table, ("a", "b"), published=True).max() < plain.min()
    ids = ["7" + "1" * 31, "3" + "9" * 31, "30" + "0" * 30]
    same = pa.table({"id": ids, "source": ["a"] * 3, "chars": [5.0] * 3})
    assert np.argsort(ranks(same, ("a",))).tolist() == [2, 1, 0]


def test_kinds_come_before_sources() -> None:
    rows = [("web", "a"), ("article", "b"), ("textbook", "b"), ("textbook", "a"), ("qa", "a"), ("web", "b")]
    kinds, sources = zip(*rows, strict=True)
    ids = [f"{n:08x}" * 4 for n in range(len(rows))]
    table = pa.table({"id": ids, "kind": list(kinds), "source": list(sources), "chars": [5.0] * len(rows)})
    order = ranks(table, ("a", "b"), kinds=("textbook", "article"))
    assert np.argsort(order).tolist() == [3, 2, 1, 0, 4, 5]
    many = (*(f"s{n}" for n in range(200)), "a", "b")
    assert np.argsort(ranks(table, many, kinds=("textbook", "article")), kind="stable").tolist() == [2, 3, 1, 0, 4, 5]
    assert ranks(table, ("a", "b"), published=True, kinds=("textbook",)).max() < order.min()


def test_the_worst_clusters_are_found_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters that several ranges share are added up; small tight ones are forgotten on the way."""
    monkeypatch.setattr(clusters, "HELD", 20)
    monkeypatch.setattr(clusters, "COUNT", 2)

    def table(start: int) -> pa.Table:
        rows = [(1, 50, 0.9, [10 + start]), (2, 3, 0.8 - start / 1000, [20 + start])]
        rows += [(1000 * start + n, 1 + n % 2, 0.95, [n]) for n in range(100, 130)]
        return pa.Table.from_pylist([dict(zip(CLUSTER.names, row, strict=True)) for row in rows], CLUSTER)

    found = clusters.worst(table(start) for start in range(1, 40))
    assert [row["survivor"] for row in found][:2] == [1, 2] and found[0]["rows"] == 39 * 50
    assert found[0]["samples"] == [11, 12, 13] and found[1]["jaccard"] == pytest.approx(0.761)
