"""What other limits would keep is what a build with them keeps."""

import json
import shutil
from pathlib import Path

import pytest

from mmedc.corpus.manifest import Manifest
from mmedc.engine.run import Inline
from mmedc.errors import CorpusError, PolicyError, RequestError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.what_if import what_if
from tests.conftest import Notes
from tests.test_cli import mmedc


@pytest.fixture(scope="module")
def copy(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(quickstart, tmp_path_factory.mktemp("what-if") / "copy"))


def build(out: Path, *sets: str) -> Manifest:
    return Build.prepare(read_recipe("quickstart", list(sets)), str(out)).run(Inline(), Notes())


@pytest.mark.parametrize(
    "sets",
    [
        ("policy.all.medical_density.min=0.2",),
        ("policy.all.medical_model.min=0.06", "policy.fr.medical_terms.min=30", "policy.zh.mean_word_chars.max=3"),
        ("medical.policy=precise", "policy.ja.chars.max=600"),
    ],
)
def test_the_answer_is_what_the_step_limits_of_a_build_keeps(
    quickstart: Path, copy: Path, sets: tuple[str, ...]
) -> None:
    found = what_if(str(quickstart), sets)
    manifest = build(copy, *sets)
    (limits,) = [row for row in manifest.funnel if row.step == "limits"]
    assert sum(part.then.documents for part in found.parts) == limits.kept
    assert sum(part.scored for part in found.parts) == limits.read
    assert {name: then for name, (_, then) in found.reasons.items() if then} == limits.dropped
    assert sum(part.now.documents for part in found.parts) == 93 and sum(part.published for part in found.parts) == 63
    again = what_if(str(copy), sets)  # of the corpus that has these limits already
    assert (
        [part.now for part in again.parts] == [part.then for part in found.parts] == [part.then for part in again.parts]
    )
    published = {(part.lang, part.source): part.published for part in again.parts if part.published}
    assert published == {(shard.lang, shard.source): shard.rows for shard in manifest.shards}


def test_what_the_stored_scores_cannot_answer_is_refused(quickstart: Path, tmp_path: Path) -> None:
    for setting in ("policy.all.medical_terms.min=0.5", "policy.all.medical_terms.floor=0.5", "medical.policy=mmedc"):
        with pytest.raises(RequestError, match="cannot answer this: what ingest drops is not stored"):
            what_if(str(quickstart), [setting])
    with pytest.raises(RequestError, match="answer for limits only"):
        what_if(str(quickstart), ["dedup.jaccard=0.5"])
    with pytest.raises(RequestError, match=r'did you mean "publish\.licences"'):
        what_if(str(quickstart), ["publish.licenses=[MIT]"])
    with pytest.raises(RequestError, match="no limit is given"):
        what_if(str(quickstart), [])
    with pytest.raises(PolicyError, match='did you mean "medical_model"'):
        what_if(str(quickstart), ["policy.all.medical_modle.min=0.5"])
    bare = shutil.copytree(quickstart, tmp_path / "bare", ignore=shutil.ignore_patterns(".work"))
    with pytest.raises(CorpusError, match="give the `mmedc run`"):
        what_if(str(bare), ["policy.all.chars.min=500"])


def test_the_command_changes_nothing(quickstart: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in quickstart.rglob("*")}
    done = mmedc("what-if", str(quickstart), "--set", "policy.all.medical_density.min=0.2")
    row = next(line for line in done.stdout.splitlines() if line[:3] == "all")
    assert row.split()[:5] == ["all", "97", "93", "71", "-22"]
    found = json.loads(mmedc("what-if", str(quickstart), "-s", "policy.all.medical_density.min=0.2", "--json").stdout)
    assert sum(part["stay"] for part in found["parts"]) == 48
    assert all(part["then"]["tokens"] <= part["now"]["tokens"] < 10_000 for part in found["parts"])
    assert {path: path.stat().st_mtime_ns for path in quickstart.rglob("*")} == before
