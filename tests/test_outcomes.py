"""What a run may call done: exit codes, and what a run says of sources that failed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mmedc
from mmedc.corpus.manifest import read_manifest
from mmedc.errors import OutcomeError

TEXT = (
    "Asthma is a chronic disease of the airways. Patients suffer from cough, wheezing and dyspnoea. Diagnosis "
    "needs spirometry; therapy is an inhaled corticosteroid, and severe attacks are treated in hospital. Number {}. "
    "Symptoms of disease {} are treated by a physician with drugs, diet and exercise for {} weeks. "
)


def lines(path: Path, sound: int, broken: int = 0) -> None:
    rows = [json.dumps({"text": TEXT.format(n, n * 7, n * 3) * 3, "url": f"u{path.name}{n}"}) for n in range(sound)]
    path.write_text("\n".join([*rows, *(["{broken"] * broken)]) + "\n", encoding="utf-8")


def run(folder: Path, sources: dict[str, Any], *more: str, **keys: Any) -> subprocess.CompletedProcess[str]:
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps({"name": "mine", "languages": ["en"], "sources": sources, **keys}))
    command = [sys.executable, "-m", "mmedc", "run", str(recipe), "--inline", "--quiet", "--out", str(folder / "out")]
    return subprocess.run([*command, *more], capture_output=True, text=True)


def test_a_build_that_is_as_asked_says_done(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", 20, broken=1)  # one broken record of a few is no reason to fail
    done = run(tmp_path, {"a": {"jsonl": "a.jsonl", "url": "url"}})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("done: ") and "no document" not in done.stderr
    by_source = read_manifest(str(tmp_path / "out")).by_source
    assert [(share.name, share.read, share.rejected) for share in by_source] == [("a", 21, {"bad_json": 1})]


def test_an_empty_corpus_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The match ended without a goal in the rain, and everyone went home.\n" * 20)
    done = run(tmp_path, {"a": {"files": "a.txt"}})
    assert done.returncode == 1 and "done" not in done.stdout
    assert "no document was kept" in done.stderr and "prefilter 1" in done.stderr


def test_a_source_that_could_not_be_read_is_not_done(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", 5)
    (tmp_path / "b.jsonl").write_bytes(b"")
    done = run(tmp_path, {"a": {"jsonl": "a.jsonl"}, "b": {"jsonl": "b.jsonl"}})
    assert done.returncode in (1, 2) and "done:" not in done.stdout
    assert "b" in done.stderr


@pytest.mark.parametrize(
    ("broken", "more", "code"),
    [(10, (), 0), (11, (), 1), (11, ("--fail-above", "60%"), 0), (1, ("--fail-above", "0%"), 1),
     (11, ("--fail-above", "1"), 2)],
)  # fmt: skip
def test_rejects_above_a_share_fail(tmp_path: Path, broken: int, more: tuple[str, ...], code: int) -> None:
    lines(tmp_path / "a.jsonl", 12, broken)
    done = run(tmp_path, {"a": {"jsonl": "a.jsonl"}}, *more)
    assert done.returncode == code, done.stderr
    if code == 1:
        assert f"{broken} of {12 + broken} records were rejected" in done.stderr
        assert "mmedc redo CORPUS --rejected bad_json" in " ".join(done.stdout.split())


def test_a_file_that_ends_early_fails(tmp_path: Path) -> None:
    import gzip

    lines(tmp_path / "a.jsonl", 300)
    packed = gzip.compress((tmp_path / "a.jsonl").read_bytes())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    sources = {"a": {"jsonl": "a.jsonl.gz"}}
    done = run(tmp_path, sources)
    assert done.returncode == 1 and "1 of 1 file ends early: a.jsonl.gz" in done.stderr
    assert run(tmp_path, sources, fail_above="100%").returncode == 0


def test_the_funnel_by_language_and_by_source_adds_up(quickstart: Path) -> None:
    manifest = read_manifest(str(quickstart))
    for shares in (manifest.by_source, manifest.by_language):
        assert sum(share.read for share in shares) == manifest.funnel[0].read == 141
        assert sum(share.kept for share in shares) == manifest.documents == 63
    dropped = {share.name: share.dropped.get("near_duplicate", 0) for share in manifest.by_language}
    assert dropped.pop("") == 0 and min(dropped.values()) > 0
    assert sum(dropped.values()) == manifest.funnel[-1].dropped["near_duplicate"]


def test_the_front_door_raises_what_the_command_says(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The match ended without a goal in the rain.\n" * 20)
    (tmp_path / "recipe.yaml").write_text("name: mine\nlanguages: [en]\nsources:\n  a: {files: a.txt}\n")
    with pytest.raises(OutcomeError, match="no document was kept"):
        mmedc.build(tmp_path / "recipe.yaml", out=tmp_path / "out", inline=True)
    assert mmedc.open_corpus(tmp_path / "out").stats().documents == 0


SOMETIMES = """
from pathlib import Path


def sometimes(text: str) -> float:
    if Path(FLAG).exists() and "disease 21 " in text:
        raise ValueError("the disk is not there")
    return 1.0
"""


def test_redo_reads_again_what_was_rejected_and_ends_like_a_fresh_build(tmp_path: Path) -> None:
    for name in "abc":
        lines(tmp_path / f"{name}.jsonl", 6)
    (tmp_path / "own.py").write_text(SOMETIMES.replace("FLAG", repr(str(tmp_path / "flag"))))
    keys = {"measures": [{"use": "own:sometimes", "name": "mine"}], "dedup": {"jaccard": 0.99}}
    sources = {"a": {"jsonl": ["a.jsonl", "b.jsonl"], "url": "url"}, "c": {"jsonl": "c.jsonl", "url": "url"}}
    (tmp_path / "flag").touch()
    assert run(tmp_path, sources, **keys).returncode == 0
    broken = read_manifest(str(tmp_path / "out"))
    assert [share.rejected for share in broken.by_source] == [{"error": 2}, {"error": 1}]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/.work/ingest-*/units/*.json")}
    (tmp_path / "flag").unlink()

    def redo(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mmedc", "redo", str(tmp_path / "out"), *more]
        return subprocess.run([*command, "--inline", "--quiet"], capture_output=True, text=True, cwd="/")

    unknown = redo("--rejected", "eror")
    assert unknown.returncode == 2 and 'did you mean "error"?' in unknown.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    done = redo("--rejected", "error")
    assert done.returncode == 0, done.stderr
    mended = read_manifest(str(tmp_path / "out"))
    fresh = mmedc.build(tmp_path / "recipe.yaml", out=tmp_path / "fresh", inline=True).manifest
    assert mended.digest == fresh.digest != broken.digest
    assert [share.rejected for share in mended.by_source] == [{}, {}]


def test_an_out_that_can_be_no_folder_is_refused_by_plan_and_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in ("plan", "run"):
        for out, said in (("file", "is a file; name a folder"), ("file/below", "file is a file, which can hold no")):
            arguments = [sys.executable, "-m", "mmedc", command, "quickstart", "--out", str(tmp_path / out)]
            done = subprocess.run(arguments, capture_output=True, text=True)
            assert done.returncode == 2 and said in done.stderr


def test_a_folder_that_is_deleted_and_an_input_that_changes_under_a_run_are_not_done(tmp_path: Path) -> None:
    from mmedc.api import Unwatched, prepare
    from mmedc.engine.run import AnyPass, Inline, Progress
    from mmedc.errors import UnitsFailed, WorkError
    from mmedc.storage import Store

    class Doing(Unwatched):
        def __init__(self, act: Any) -> None:
            self.act = act

        def begin(self, current: AnyPass, done: int) -> None:
            if current.name == "ingest":
                self.act()

        def update(self, progress: Progress) -> None: ...

    for name in "ab":
        lines(tmp_path / f"{name}.jsonl", 4)
    (tmp_path / "recipe.yaml").write_text("name: m\nlanguages: [en]\nsources:\n  a: {jsonl: '*.jsonl', url: url}\n")

    def build(out: str, act: Any) -> None:
        ready = prepare(tmp_path / "recipe.yaml", tmp_path / out)
        ready.run(Inline(), Doing(act))

    with pytest.raises(WorkError, match="deleted during the run"):
        build("gone", lambda: Store(str(tmp_path / "gone")).delete(".work/lock"))
    with pytest.raises(UnitsFailed, match="1 of 2 units failed"):
        build("cut", lambda: (tmp_path / "b.jsonl").write_text('{"text": "a"}\n'))
    for out in ("gone", "cut"):
        assert not (tmp_path / out / "manifest.json").exists()
