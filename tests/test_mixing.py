"""What a law of mixture reads, by hand, and that the trainer and `mmedc mix` have one law."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmedc.corpus.manifest import read_manifest
from mmedc.errors import RecipeError
from mmedc.mixing import Mixture, allot, bucket_of, read_mixture, unimax
from mmedc.report.mixed import bar, components, rows_of
from tests.test_cli import mmedc

NAMES = ("m/en/a/web", "m/en/b/web", "m/ja/a/web", "g/en/w/web")


def read(budget: float, tokens: tuple[float, ...] = (60, 20, 10, 10), **law: object) -> list[float]:
    return allot(NAMES, tokens, Mixture.model_validate(law), budget).read.tolist()


@pytest.mark.parametrize(
    ("sizes", "budget", "epochs", "expected"),
    [
        ((10, 100, 1000), 300, 4, [40, 130, 130]),  # the smallest at its cap, the others evenly
        ((10, 100, 1000), 30, 4, [10, 10, 10]),
        ((1000, 10), 100, 1, [90, 10]),
        ((10, 10), 100, 2, [20, 20]),  # nothing may take the rest
    ],
)
def test_unimax_by_hand(sizes: tuple[float, ...], budget: float, epochs: float, expected: list[float]) -> None:
    assert unimax(np.array(sizes, float), budget, epochs).tolist() == pytest.approx(expected)


def test_laws_weigh_groups_and_within_them_tokens() -> None:
    assert read(100) == pytest.approx([60, 20, 10, 10])
    assert read(100, temperature=0) == pytest.approx([25] * 4)
    assert read(100, temperature=0, by="language") == pytest.approx([60 * 50 / 90, 20 * 50 / 90, 50, 10 * 50 / 90])
    assert read(100, unimax=True, by="language", max_epochs=2) == pytest.approx([53.333, 17.777, 20, 8.888], abs=1e-2)
    assert read(100, shares={"g": 0.5, "*/ja": 0.2}) == pytest.approx([22.5, 7.5, 20, 50])


def test_what_exceeds_the_epochs_is_given_to_the_others() -> None:
    assert read(100, temperature=0, over="cap", max_epochs=2) == pytest.approx([30, 30, 20, 20])
    found = allot(NAMES, (10, 10, 10, 10), Mixture(over="cap", max_epochs=2), 100)
    assert found.read.tolist() == pytest.approx([20] * 4) and found.missing == pytest.approx(20)
    with pytest.raises(RecipeError, match="fits no component"):
        read(1, shares={"x": 0.5})


def test_a_wrong_mixture_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    for text, said in [
        ("unimax: true\ntemperature: 0.5", "a temperature or unimax, not both"),
        ("by: bucket", "by bucket needs buckets"),
        ("buckets: [0.8, 0.5]", "rising bounds"),
        ("temperatur: 1", 'did you mean "temperature"'),
    ]:
        file.write_text(f"{text}\n")
        with pytest.raises(RecipeError, match=said):
            read_mixture(str(file))


def test_buckets_are_ranges_of_quality() -> None:
    quality = np.array([0.1, 0.5, 0.79, 0.9, np.nan], np.float32)
    assert bucket_of(quality, (0.5, 0.8)).tolist() == ["q0", "q1", "q1", "q2", "q"]


def test_components_add_up_to_the_corpus(quickstart: Path) -> None:
    total = sum(shard.tokens for shard in read_manifest(str(quickstart)).shards)
    plain, divided = components({"m": str(quickstart)}), components({"m": str(quickstart)}, (0.5, 0.9))
    assert sum(plain.values()) == sum(divided.values()) == total
    assert "m/en/books/textbook" in plain and all(name.count("/") == 4 for name in divided)
    law = Mixture(temperature=0.3, by="language")
    rows = rows_of(allot(list(plain), list(plain.values()), law, 1e5), law, "language")
    assert sum(row.share for row in rows) == pytest.approx(1) and {row.note for row in rows} == {"repeated"}
    assert bar(0.5, 0.25, 0.5) == "███████┃████████"


def test_the_command_shows_and_writes_what_it_computes(quickstart: Path, tmp_path: Path) -> None:
    said = mmedc("mix", str(quickstart), "--tokens", "100k").stdout
    assert "UniMax" in said and "100k tokens are read" in said
    out = tmp_path / "m.yaml"
    done = mmedc(
        "mix", f"m={quickstart}", "--tokens", "0.1M", "--unimax", "--share", "*/ja=0.3", "--out", str(out), "--json"
    )
    found = json.loads(done.stdout)
    assert read_mixture(str(out)) == Mixture(unimax=True, by="language", shares={"*/ja": 0.3})
    assert next(row for row in found["groups"] if row["name"] == "ja")["share"] == pytest.approx(0.3)
    assert mmedc("mix", str(quickstart), "--tokens", "much").returncode == 2
