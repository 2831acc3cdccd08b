"""The commands that ask about a build: what was removed, what may be deleted, whether all is as the manifest says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmedc import __version__
from mmedc.corpus.leftovers import leftovers, remove
from mmedc.corpus.record import RUNNING, begin, read_begun
from mmedc.corpus.verify import verify
from mmedc.engine.lock import Lock
from mmedc.engine.run import Inline
from mmedc.errors import CorpusError, FolderBusy, RequestError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.rejected import rejected
from mmedc.storage import Store
from tests.conftest import Notes
from tests.test_cli import mmedc


def build(out: Path, *sets: str) -> None:
    Build.prepare(read_recipe("quickstart", list(sets)), str(out)).run(Inline(), Notes())


@pytest.fixture
def corpus(quickstart: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(quickstart, tmp_path / "corpus"))


def bare(corpus: Path, folder: Path) -> str:
    return str(shutil.copytree(corpus, folder / "bare", ignore=shutil.ignore_patterns(".work")))


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {row["reason"]: row["documents"] for row in found["counts"]}


def test_rejects_are_counted_and_shown(quickstart: Path, tmp_path: Path) -> None:
    found = rejected(str(quickstart))
    assert counts(found)["prefilter"] == 30 and counts(found)["near_duplicate"] == 23
    assert all(row["meaning"] for row in found["counts"])
    shown = [row["reason"] for row in found["samples"]]
    assert shown.count("prefilter") == 3 and list(dict.fromkeys(shown)) == [row["reason"] for row in found["counts"]]
    (duplicate, *_) = (row for row in found["samples"] if row["reason"] == "exact_duplicate")
    assert duplicate["detail"].startswith("stays: https://")
    published = rejected(bare(quickstart, tmp_path))
    assert counts(published) == counts(found) and {row["reason"] for row in published["samples"]} == set(shown)


def test_rejects_of_a_language_and_of_a_source(quickstart: Path, tmp_path: Path) -> None:
    french = rejected(str(quickstart), language="fr", limit=1)
    assert counts(french) == {"medical_terms_low": 1, "medical_model_low": 1, "near_duplicate": 4, "exact_duplicate": 1}
    assert french["unknown"] == 39 and {row["lang"] for row in french["samples"]} == {"fr"}
    assert len(french["samples"]) == 4
    broken = rejected(str(quickstart), source="broken")
    assert counts(broken)["prefilter"] == 3 and "near_duplicate" not in counts(broken)
    with pytest.raises(CorpusError, match="ask the passes of the build"):
        rejected(bare(quickstart, tmp_path), language="fr")


def test_the_screen_of_rejects_is_safe_and_its_names_are_checked(quickstart: Path) -> None:
    shown = mmedc("rejects", str(quickstart), "--reason", "binary").stdout
    assert "␀␁␂" in shown and "\x00" not in shown and "\x1b" not in shown and "prefilter" not in shown
    for option, near in (
        ("--reason=near_duplicat", "near_duplicate"),
        ("--source=page", "pages"),
        ("--lang=frr", "fr"),
    ):
        done = mmedc("rejects", str(quickstart), option)
        assert done.returncode == 2 and f'did you mean "{near}"' in done.stderr


def test_clean_leaves_what_the_corpus_is_made_of(corpus: Path) -> None:
    assert leftovers(str(corpus)) == []
    build(corpus, "policy.all.medical_terms.min=25")
    before = verify(str(corpus)).digest
    found = leftovers(str(corpus))
    assert {each.folder.rpartition("-")[0] for each in found} >= {"select", "publish"} and sum(
        e.freed for e in found
    ) > 0
    done = mmedc("clean", str(corpus))
    assert "would be deleted; --yes deletes them" in done.stdout and leftovers(str(corpus)) == found
    done = mmedc("clean", str(corpus), "--yes", "--json")
    assert json.loads(done.stdout)["freed"] == sum(each.freed for each in found)
    assert leftovers(str(corpus)) == [] and verify(str(corpus)).digest == before
    notes = Notes()
    again = Build.prepare(read_recipe("quickstart", ["policy.all.medical_terms.min=25"]), str(corpus))
    again.run(Inline(), notes)
    assert all(done == total for name, (done, total) in notes.done.items() if name != "place")


def test_clean_waits_for_a_build_that_has_begun(corpus: Path) -> None:
    store = Store(str(corpus))
    build(corpus, "policy.all.medical_terms.min=25")
    assert not store.exists(RUNNING)
    with Lock(store):
        assert leftovers(str(corpus))
        with pytest.raises(FolderBusy, match="another run is under way"):
            remove(str(corpus))
    begin(store, "quickstart")
    with pytest.raises(RequestError, match=r'build of the recipe "quickstart" began .* give --abandoned'):
        leftovers(str(corpus))
    with pytest.raises(RequestError, match="has not published"):
        remove(str(corpus))
    assert remove(str(corpus), abandoned=True)
    assert read_begun(store) is None and leftovers(str(corpus)) == []


def test_clean_needs_the_record_of_the_present_build(quickstart: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not recorded"):
        leftovers(bare(quickstart, tmp_path))


def test_verify_as_json(corpus: Path) -> None:
    found = json.loads(mmedc("verify", str(corpus), "--json").stdout)
    assert found["sound"] and found["documents"] == 63 and found["digest"].startswith("sha256:")
    shard = next(corpus.glob("data/en/*.parquet"))
    data = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(data[:-1])
    done = mmedc("verify", str(corpus), "--json")
    assert (
        done.returncode == 1
        and not json.loads(done.stdout)["sound"]
        and shard.name in json.loads(done.stdout)["problem"]
    )


def test_the_version_is_printed() -> None:
    assert mmedc("--version").stdout == f"mmedc {__version__}\n"


@pytest.mark.parametrize(("typed", "offered"), [("mmedc expl", "explain"), ("mmedc rejects --rea", "--reason")])
def test_the_shell_completes(typed: str, offered: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_MMEDC_COMPLETE": "complete_bash"}
    code = "import sys; sys.argv = ['mmedc']; from mmedc.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **words})
    assert offered in done.stdout.split(), done.stderr
