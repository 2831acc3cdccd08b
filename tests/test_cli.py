"""The command line: instant help, one message per error, exit codes that scripts can use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmedc import __version__

HEAVY = ("ray", "pyarrow", "numpy", "trafilatura", "fasttext", "torch", "obstore", "pydantic")


def mmedc(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "180"}
    return subprocess.run([sys.executable, "-m", "mmedc", *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    "command", ["import mmedc", "from mmedc.cli import app; app(['--help'], standalone_mode=False)"]
)
def test_help_imports_nothing_heavy(command: str) -> None:
    code = f"import sys\n{command}\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_error_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsorces: {}\n")
    done = mmedc("run", str(recipe), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert f'{recipe}:2: unknown key "sorces"; did you mean "sources"?' in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()
    assert "Traceback" in mmedc("--debug", "run", str(recipe), "--out", "x").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("stats", "/nowhere/at/all"), 2, "no manifest.json; the folder does not exist"),
        (("verify", "/nowhere/at/all"), 2, "no manifest.json"),
        (("run", "nothing-like-it"), 2, "no such file, and no shipped recipe"),
        (("run", "web", "--set", "sources.pages.warc=/none/*.gz", "--out", "x"), 2, "matches no file"),
        (("run", "quickstart", "--set", "medical.policy=balancd"), 2, 'did you mean "balanced"'),
        (("plan", "quickstart", "--set", "sources.page.policy=keep"), 2, 'no source "page"; did you mean "pages"?'),
        (("run", "quickstart", "--set", "languages=[xx]"), 2, 'no language "xx"'),
        (("run", "quickstart", "--set", "publish.tokenizer=none.json"), 2, "publish.tokenizer"),
        (("run", "quickstart", "--set", "models.lid=/none.ftz"), 2, "mmedc models get lid"),
        (("run", "quickstart", "--set", "steps=[{use: 'os:getcwd', after: nowhere}]"), 2, "comes after"),
        (("explain", "http://a.example/none"), 2, "neither a file here nor a document"),
        (("models", "get", "lit"), 2, 'did you mean "lid"'),
        (("frobnicate",), 2, "No such command"),
        (("quickstart",), 2, "mmedc run quickstart"),
        (("run", "quickstart", "--cpus", "0"), 2, "cpus"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = mmedc(*arguments)
    assert done.returncode == code and said in done.stderr
    assert "Traceback" not in done.stderr


def test_plan_touches_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = mmedc("plan", "quickstart", "--out", str(out), "--json")
    rows = {row["pass"]: row for row in json.loads(done.stdout)}
    assert rows["ingest"]["units"] == 3 and rows["ingest"]["done"] == 0 and rows["ingest"]["seconds"] > 0
    assert rows["publish"]["units"] is None
    assert not out.exists()
    mmedc("run", "quickstart", "--out", str(out), "--inline", "--quiet")
    rows = {row["pass"]: row for row in json.loads(mmedc("plan", "quickstart", "--out", str(out), "--json").stdout)}
    assert all(row["done"] == row["units"] > 0 and row["bytes"] == 0 for row in rows.values())


def explain(*arguments: str) -> dict[str, object]:
    done = mmedc("explain", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_explain_says_why(tmp_path: Path) -> None:
    medical = "Asthma is a chronic disease of the airways. Patients suffer from cough, wheezing and dyspnoea. "
    (tmp_path / "a.txt").write_text(medical + "Diagnosis needs spirometry; therapy is an inhaled corticosteroid. " * 3)
    found = explain(str(tmp_path / "a.txt"))
    assert next(stage["step"] for stage in found["stages"]) == "read"  # type: ignore[attr-defined,index]
    assert any(term.startswith("asthma") for term in found["terms"])  # type: ignore[attr-defined]
    (tmp_path / "b.html").write_text(
        "<html><body><p>The football match ended without goals in the rain.</p></body></html>"
    )
    assert str(explain(str(tmp_path / "b.html"))["verdict"]).startswith("dropped at prefilter")
    plain = mmedc("explain", str(tmp_path / "b.html"))
    assert plain.returncode == 0 and "dropped at prefilter" in plain.stdout


def test_explain_finds_a_document_of_the_sources() -> None:
    found = explain("https://broken.example/bomb", "--recipe", "quickstart")
    assert "too_large" in str(found["verdict"])


def test_shipped_words_are_clean() -> None:
    done = mmedc("filters", "check")
    assert done.returncode == 0, done.stderr
    terms = {line.split(":")[0]: int(line.split()[1].replace(",", "")) for line in done.stdout.splitlines()}
    assert set(terms) >= {"en", "zh", "ja", "fr", "ru", "es"}
    assert all(number >= 300 for number in terms.values())


def test_filters_check_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "lexicon.txt").write_text("[diseases]\nasma\nasma, asmas\nгрипп\nde\nxy\n", encoding="utf-8")
    done = mmedc("filters", "check", "es", "--filters", str(tmp_path))
    assert done.returncode == 1
    path = tmp_path / "es" / "lexicon.txt"
    for said in (f'{path}:3: "asma" occurs already in line 2', f'{path}:4: "грипп" has letters outside',
                 f'{path}:5: "de" is a stop word', f'{path}:6: "xy" is too short'):  # fmt: skip
        assert said in done.stderr


def test_the_version_is_one() -> None:
    from importlib.metadata import version

    assert version("mmedc") == __version__
