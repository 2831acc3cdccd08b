"""The statistics of a corpus are what its columns say, and depend on neither shards, order, nor batches."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedc.api import Corpus
from mmedc.corpus import statistics
from mmedc.corpus.manifest import read_manifest, stats
from mmedc.corpus.statistics import HOSTS, ShardStatistics, bins_of, edges, hosts_of, most_hosts
from mmedc.corpus.verify import verify
from mmedc.document import DOCUMENT, MEASURES
from mmedc.engine.run import AnyPass, Inline, Progress
from mmedc.errors import CorpusError, VerifyError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from tests.conftest import Notes

NAMES = ("extremes", "histograms", "hosts", "row_groups")


def files(corpus: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted((corpus / "statistics").glob("*.parquet"))}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart in many small shards, its statistics added up three at a time, its units run backwards."""

    class Backwards(Inline):
        def run(self, current: AnyPass, units: list[Any], store: Any) -> Iterator[Progress]:
            yield from super().run(current, units[::-1], store)

    out = tmp_path_factory.mktemp("split") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmedc.pipeline.publish.FAN_IN", 3)
        patch.setattr("mmedc.corpus.passes.SLICE_ROWS", 2)
        notes = Notes()
        Build.prepare(read_recipe("quickstart", ["publish.shard=12kB"]), str(out)).run(Backwards(), notes)
        assert notes.done["statistics-02"][1] >= 1
    return out


def test_histograms_and_extremes_are_those_of_the_columns(quickstart: Path) -> None:
    corpus = Corpus(str(quickstart))
    documents = pads.dataset(quickstart / "data", format="parquet").to_table()
    measures = corpus.statistics("extremes")
    assert set(measures["measure"].to_pylist()) == {*MEASURES, "tokens", "removed_chars"}
    histograms = corpus.statistics("histograms").to_pylist()
    for row in measures.to_pylist():
        mine = documents.filter(
            (pads.field("lang") == row["lang"])
            & (pads.field("source") == row["source"])
            & (pads.field("kind") == row["kind"])
        )
        known = [value for value in mine[row["measure"]].to_pylist() if value is not None]
        assert row["documents"] == len(mine) and row["nulls"] == len(mine) - len(known)
        assert [row["min"], row["max"]] == ([min(known), max(known)] if known else [None, None])
        assert row["sum"] == pytest.approx(sum(known))
        bins = [b for b in histograms if all(b[key] == row[key] for key in ("measure", "lang", "source", "kind"))]
        assert sum(b["tokens"] for b in bins) == sum(mine["tokens"].to_pylist())
        for one in bins:
            values = mine[row["measure"]].to_pylist()
            inside = [v for v in values if (v is None if one["low"] is None else v is not None and within(v, one))]
            assert len(inside) == one["documents"], one
    assert sum(b["documents"] for b in histograms if b["measure"] == "quality") == len(documents)


def within(value: float, one: dict[str, Any]) -> bool:
    return one["low"] <= value < one["high"] or (value == one["high"] == 1.0)


def test_hosts_are_those_of_the_locators(quickstart: Path) -> None:
    rows = Corpus(str(quickstart)).statistics("hosts").to_pylist()
    assert sum(row["documents"] for row in rows) == read_manifest(str(quickstart)).documents
    assert {row["source"] for row in rows if row["host"] is None} == {"books"}
    french = {row["host"]: row["documents"] for row in rows if row["lang"] == "fr"}
    locators = pads.dataset(quickstart / "data/fr", format="parquet").to_table()["locator"].to_pylist()
    assert french == {host: sum(f"://{host}/" in url for url in locators) for host in french} and sum(french.values())


def test_a_reader_skips_by_row_groups(split: Path) -> None:
    """Every group without an English document of quality .9 is skipped, and none with one."""
    groups = Corpus(str(split)).statistics("row_groups").to_pylist()
    assert [row["path"] for row in groups] == [shard.path for shard in read_manifest(str(split)).shards]
    for row in groups:
        footer = pq.ParquetFile(split / row["path"])
        table = footer.read_row_group(row["row_group"])
        assert row["rows"] == len(table) and row["total_tokens"] == sum(table["tokens"].to_pylist())
        assert row["text_bytes"] == sum(len(text.encode()) for text in table["text"].to_pylist())
        for name in (*MEASURES, "tokens", "kind", "licence"):
            values = [value for value in table[name].to_pylist() if value is not None]
            assert row[name]["min"] == min(values, default=None) and row[name]["max"] == max(values, default=None)
            assert row[name]["nulls"] == len(table) - len(values)
    by_sql = duckdb.sql(
        f"select sum(rows) from '{split}/statistics/row_groups.parquet' where tokens.max >= 500"
    ).fetchall()
    assert by_sql[0][0] == sum(row["rows"] for row in groups if row["tokens"]["max"] >= 500)


def test_statistics_depend_on_neither_shards_nor_order_nor_batches(quickstart: Path, split: Path) -> None:
    one, two = files(quickstart), files(split)
    assert tuple(one) == tuple(two) == NAMES
    assert one["histograms"] == two["histograms"] and one["hosts"] == two["hosts"]
    a, b = (pq.read_table(folder / "statistics/extremes.parquet") for folder in (quickstart, split))
    assert a.drop_columns("sum") == b.drop_columns("sum")
    assert a["sum"].to_pylist() == pytest.approx(b["sum"].to_pylist())


def test_statistics_are_counted_and_hashed_but_not_in_the_digest(quickstart: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(quickstart, tmp_path / "copy", ignore=shutil.ignore_patterns(".work")))
    manifest = json.loads((copy / "manifest.json").read_text())
    path = copy / "statistics" / "histograms.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(VerifyError, match=r"statistics/histograms.parquet: bytes"):
        verify(str(copy))
    import hashlib

    named = next(file for file in manifest["statistics"] if file["path"].endswith("histograms.parquet"))
    tokens = table.set_column(7, "tokens", pa.array([0] * len(table)))
    pq.write_table(tokens, path)
    named |= {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(VerifyError, match="documents and tokens by language"):
        verify(str(copy))
    shutil.rmtree(copy / "statistics")
    del manifest["statistics"]  # as an older version left it
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert verify(str(copy)).digest == read_manifest(str(quickstart)).digest
    with pytest.raises(CorpusError, match="an older version built it"):
        Corpus(str(copy)).statistics("hosts")
    with pytest.raises(CorpusError, match='did you mean "hosts"'):
        Corpus(str(quickstart)).statistics("host")


def test_a_corpus_without_documents_has_no_statistics(tmp_path: Path) -> None:
    manifest = Build.prepare(read_recipe("quickstart", ["policy.all.chars.min=900000"]), str(tmp_path / "out")).run(
        Inline(), Notes()
    )
    assert not manifest.documents and manifest.statistics == () and stats(manifest).tokens == 0
    verify(str(tmp_path / "out"))


@given(st.floats(allow_nan=False, width=32), st.sampled_from(["chars", "perplexity", "mine"]))
def test_a_number_lies_within_the_edges_of_its_bin(value: float, name: str) -> None:
    low, high = edges(name, int(bins_of(name, np.array([value]))[0]))
    assert low is not None and high is not None
    size, (near, far) = abs(value), sorted((abs(low), abs(high)))
    assert near <= size < far or size >= far == 2.0**64 or (size < 2.0**-20 and (low, high) == (0.0, 2.0**-20))
    if 2.0**-20 <= size < 2.0**64:
        assert math.copysign(1, value) == math.copysign(1, high if value > 0 else low) and far <= near * 1.25


@given(st.floats(0, 1, width=32))
def test_a_share_lies_within_the_edges_of_its_hundredth(value: float) -> None:
    low, high = edges("quality", int(bins_of("quality", np.array([value]))[0]))
    assert low is not None and high is not None and (low <= value * 1.0000001 and (value < high or high == 1.0))


def test_numbers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    row = dict.fromkeys(DOCUMENT.names) | {"text": "x", "kind": "web", "licence": "unknown", "id": "0" * 32}
    row |= {"lang": "en", "source": "s", "locator": "mail/1", "provenance": "p"}
    schema = pa.schema([*DOCUMENT, pa.field("mine", pa.float64()), pa.field("whole", pa.int64())])
    rows = [{**row, "mine": value, "whole": whole} for value, whole in ((math.nan, None), (math.inf, 3), (-2.5, -3))]
    found = ShardStatistics("en", "s", schema)
    found.add(pa.Table.from_pylist(rows, schema), np.array([5, 6, 7]), np.array([1, 1, 1]))
    mine = {(r["low"], r["high"]): r["documents"] for r in found.histograms().to_pylist() if r["measure"] == "mine"}
    assert mine[None, None] == 1 and mine[-3.0, -2.5] == 1 and len(mine) == 3
    whole = next(r for r in found.extremes().to_pylist() if r["measure"] == "whole")
    assert (whole["nulls"], whole["min"], whole["max"], whole["sum"]) == (1, -3.0, 3.0, 0.0)
    assert found.hosts().to_pylist() == [{"host": None, "lang": "en", "source": "s", "documents": 3, "tokens": 18}]


def test_hosts_of_locators() -> None:
    urls = [
        "https://Me:x@A.example:80/x@y",
        "ftp://b.example",
        "http://[2001:db8::1]:8/",
        "book.pdf#pages=1-2",
        "//c/d",
    ]
    assert hosts_of(pa.chunked_array([urls])).to_pylist() == ["a.example", "b.example", "[2001:db8::1]", None, None]


def test_the_rarest_hosts_are_one_row_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_HOSTS", 3)
    rows = [(f"h{n}", "en" if n % 2 else "fr", "s", n, 10 * n) for n in range(1, 9)] + [("h1", "en", "s", 100, 1)]
    table = pa.Table.from_pylist([dict(zip(HOSTS.names, row, strict=True)) for row in rows], HOSTS)
    found = most_hosts(table)
    assert found.schema == HOSTS and {row["host"] for row in found.to_pylist()} == {"h1", "h8", "h7", None}
    assert sum(found["documents"].to_pylist()) == 136 and sum(found["tokens"].to_pylist()) == 361
    assert found["documents"].to_pylist() == sorted(found["documents"].to_pylist(), reverse=True)


def test_a_missing_manifest_names_the_corpus_that_is_near(quickstart: Path) -> None:
    near = f'did you mean "{quickstart}"?'
    for place in (quickstart / "data", quickstart / "data" / "en"):
        with pytest.raises(CorpusError) as problem:
            read_manifest(str(place))
        assert str(problem.value) == f"{place}: there is no manifest.json; {near}"
