"""The Python front door: read a recipe, build it, open a corpus."""

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

import mmedc
from mmedc.errors import CorpusError, RecipeError, VerifyError


def test_a_build_returns_its_corpus(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "name: door\nlanguages: [en]\nsources: {notes: {files: notes.txt}}\nout: corpus\n", encoding="utf-8"
    )
    from tests.test_custom import TEXT

    (tmp_path / "notes.txt").write_text(TEXT, encoding="utf-8")
    corpus = mmedc.build(tmp_path / "recipe.yaml", inline=True)
    assert corpus.url == str(tmp_path / "corpus") and corpus.verify().documents == corpus.stats().documents == 1
    (batch,) = corpus.documents()
    assert batch.column("text").to_pylist() == [TEXT]
    again = mmedc.build(
        mmedc.read_recipe(tmp_path / "recipe.yaml", ["languages=[en, fr]"]), tmp_path / "both", inline=True
    )
    assert again.manifest.digest == corpus.manifest.digest and again.manifest.languages == ("en", "fr")


def test_documents_come_lazily_and_as_they_were_published(quickstart: Path) -> None:
    corpus = mmedc.open_corpus(quickstart)
    every = pa.Table.from_batches(corpus.documents())
    assert every.num_rows == corpus.manifest.documents
    whole = pads.dataset([str(quickstart / shard.path) for shard in corpus.manifest.shards]).to_table()
    assert every.equals(whole.cast(every.schema))
    batches = list(corpus.documents(lang=["fr", "ja"], columns=["lang", "chars"], batch_rows=4))
    assert {lang for batch in batches for lang in batch.column("lang").to_pylist()} == {"fr", "ja"}
    assert max(batch.num_rows for batch in batches) <= 4 and batches[0].schema.names == ["lang", "chars"]
    assert sum(batch.num_rows for batch in corpus.documents(source="pages")) == every.num_rows - 3


def test_what_is_wrong_is_said(quickstart: Path, tmp_path: Path) -> None:
    corpus = mmedc.open_corpus(quickstart)
    with pytest.raises(CorpusError, match=r'no language "de"'):
        corpus.documents(lang="de")
    with pytest.raises(CorpusError, match=r'no column "txt"; did you mean "text"'):
        next(corpus.documents(columns=["txt"]))
    with pytest.raises(CorpusError, match=r"there is no manifest\.json"):
        mmedc.open_corpus(tmp_path)
    (tmp_path / "recipe.yaml").write_text("name: r\nsources: {notes: {files: notes.txt}}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"no `out` in the recipe"):
        mmedc.build(tmp_path / "recipe.yaml", inline=True)
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        mmedc.biuld  # noqa: B018


def test_verify_finds_a_changed_byte(quickstart: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(quickstart, tmp_path / "copy"))
    shard = next(copy.glob("data/*/*.parquet"))
    data = bytearray(shard.read_bytes())
    data[-20] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(VerifyError, match="SHA-256"):
        mmedc.open_corpus(copy).verify()


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import mmedc, sys; print(sorted({'pyarrow', 'numpy', 'ray', 'pydantic', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
