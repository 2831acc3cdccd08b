"""The stream of training: a pure function of the step, exact in its shares, without loss or repetition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedc.errors import RecipeError
from mmedc.train.config import Data
from mmedc.train.mixture import Component, shares
from mmedc.train.stream import IGNORE, PackedStream, numbers_of_step
from mmedc.train.tokens import FlatShard


def component(name: str, lengths: list[int], first: int = 0, held_out: float = 0.0) -> Component:
    """A component whose token values are all different, `first` onwards."""
    offsets = np.cumsum([0, *lengths])
    ids = (np.arange(len(lengths), dtype=np.uint64) + np.uint64(first)) * np.uint64(0x9E3779B97F4A7C15)
    tokens, kinds = np.arange(first, first + offsets[-1], dtype=np.uint32), np.full(len(lengths), b"web")
    flat = FlatShard(tokens, offsets, ids, np.array(lengths) * 4, kinds)
    out = (ids >> np.uint64(32)).astype(float) < held_out * 2**32
    starts, paths = np.array([0, len(lengths)]), (f"data/{name}.parquet",)
    return Component(name, (flat,), (None,), paths, starts, np.array(lengths), out)


def stream(components: list[Component], share: list[float], context: int = 7, seed: int = 3) -> PackedStream:
    return PackedStream(components, np.array(share), context, seed, {"corpora": {}})


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 12), st.integers(0, 5))
def test_an_epoch_has_every_token_once(lengths: list[int], context: int, seed: int) -> None:
    one = stream([component("m/en/web/web", lengths)], [1.0], context, seed)
    total = sum(lengths)
    count = -(-total // (context + 1))
    # A block mixes the order of components only: within one component sequences follow its tape.
    ranks = sorted((one.place(number)[1], number) for number in range(one.block))[:count]
    tape = np.concatenate([np.concatenate([[*s.tokens, -1]]) for s in (one.sequence(n) for _, n in ranks)])
    pieces = [piece for _, number in ranks for piece in one.pieces(number)]
    seen = np.concatenate([one.components[0].read(p.row, p.start, p.stop) for p in pieces])
    assert sorted(seen[:total].tolist()) == list(range(total))
    assert len(tape) == count * (context + 1)


@given(
    st.lists(st.floats(0.002, 1), min_size=1, max_size=9),
    st.integers(0, 40),
)
def test_shares_are_kept_to_a_sequence(weights: list[float], blocks: int) -> None:
    total = sum(weights)
    share = [weight / total for weight in weights]
    one = stream([component(f"m/l{i}/web/web", [50], 100 * i) for i in range(len(share))], share)
    planned = np.array(one.planned(blocks))
    assert planned.sum() == blocks * one.block
    assert np.abs(planned - np.array(one.shares) * planned.sum()).max() <= 1.001
    more = np.array(one.planned(blocks + 1)) - planned
    assert (more >= 0).all()
    components, ranks = one._block(blocks)
    for number in range(len(share)):
        assert np.sort(ranks[components == number]).tolist() == list(
            range(planned[number], planned[number] + more[number])
        )


def test_any_number_of_devices_reads_the_same_stream() -> None:
    whole = list(range(5 * 24, 6 * 24))
    for ranks, micro in ((1, 1), (1, 24), (2, 3), (3, 4), (8, 1)):
        found = [n for rank in range(ranks) for some in numbers_of_step(5, 24, micro, rank, ranks) for n in some]
        assert sorted(found) == whole
        # … and within each round the devices take neighbours.
        first = [numbers_of_step(5, 24, micro, rank, ranks)[0] for rank in range(ranks)]
        assert [n for some in first for n in some] == whole[: micro * ranks]


def test_a_sequence_depends_on_nothing_but_its_number() -> None:
    components = [component("m/en/web/web", [5, 9, 30, 2]), component("m/es/web/web", [11, 3], 1000)]
    one, other = stream(components, [0.7, 0.3]), stream(components, [0.7, 0.3])
    far = [other.sequence(number) for number in (1_000_000, 3, 8191)]
    for number, expected in zip((1_000_000, 3, 8191), far, strict=True):
        for _ in range(2):
            got = one.sequence(number)
            assert got.tokens.tolist() == expected.tokens.tolist()
            assert got.targets.tolist() == expected.targets.tolist()
    different = stream(components, [0.7, 0.3], seed=4)
    assert any(different.sequence(n).tokens.tolist() != one.sequence(n).tokens.tolist() for n in range(20))


def test_targets_stay_in_their_document() -> None:
    one = stream([component("m/en/web/web", [3, 4, 5, 6])], [1.0], context=9)
    for number in range(30):
        got = one.sequence(number)
        assert got.lengths.sum() == len(got.tokens) == 9
        ends = np.cumsum(got.lengths)
        inside = np.ones(9, bool)
        inside[ends[:-1] - 1] = False
        # Values follow one another within a document, so the target is the token and one.
        assert (got.targets[inside][:-1] == got.tokens[inside][:-1] + 1).all()
        assert (got.targets[~inside] == IGNORE).all()


def test_provenance_names_the_tokens() -> None:
    one = stream([component("m/en/web/web", [3, 4, 50])], [1.0], context=9)
    told = one.provenance(2)
    assert sum(stop - start for start, stop in (part["tokens"] for part in told)) == 10
    first = told[0]
    flat = one.components[0].shards[0]
    assert one.sequence(2).tokens[0] == flat.tokens[flat.offsets[first["row"]] + first["tokens"][0]]
    assert first["shard"] == "data/m/en/web/web.parquet"


def test_held_out_documents_are_never_read() -> None:
    lengths = [7] * 200
    one = component("m/en/web/web", lengths, held_out=0.2)
    assert 10 < one.held_out.sum() < 80
    read = {piece.row for number in range(400) for piece in stream([one], [1.0]).pieces(number)}
    assert read == set(np.flatnonzero(~one.held_out).tolist())


def test_shares_by_tokens_temperature_and_pattern() -> None:
    components = [
        component("m/en/web/web", [900]),
        component("m/ja/web/web", [100]),
        component("general/en/wiki/encyclopedia", [500]),
    ]
    data = Data(corpora={"m": "x"}, max_epochs=1e9)
    assert shares(components, data, 1).tolist() == pytest.approx([0.6, 1 / 15, 1 / 3])
    even = data.model_copy(update={"temperature": 0.0})
    assert shares(components, even, 1).tolist() == pytest.approx([1 / 3] * 3)
    replay = data.model_copy(update={"shares": {"general": 0.1, "*/ja": 0.3}})
    assert shares(components, replay, 1).tolist() == pytest.approx([0.6, 0.3, 0.1])


def test_what_can_not_be_read_is_refused() -> None:
    components = [component("m/en/web/web", [900]), component("m/ja/web/web", [100])]
    with pytest.raises(RecipeError, match=r'"\*/fr" fits no component'):
        shares(components, Data(shares={"*/fr": 0.5}), 1)
    with pytest.raises(RecipeError, match=r"m/ja/web/web: would be read .* at most 4"):
        shares(components, Data(context=9, shares={"*/ja": 0.9}), 100)
    with pytest.raises(RecipeError, match="too small to be planned"):
        stream(components, [1 - 1e-8, 1e-8])
