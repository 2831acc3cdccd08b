"""The tutorial notebook runs, and shows what it showed when its outputs were stored."""

import json
import sys
from pathlib import Path

import pytest

from docs.notebook import NOTEBOOK, executed, read, texts

SHIM = "#!{python}\nfrom mmedc.cli import main\nmain()\n"
STABLE = (" documents, ", " before, ", "_low", " terms ", "dropped at", "all as the manifest says")
"""Lines with these words are compared; tables with seconds, and lines that a long path wraps, are not."""


def lines(notebook: object) -> list[str]:
    return [
        line
        for text in texts(notebook)
        for line in text.splitlines()
        if any(word in line for word in STABLE) and not any(word in line for word in ("corpus  ", "medical   "))
    ]


def test_the_notebook_runs_and_its_stored_outputs_are_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mmedc").write_text(SHIM.format(python=sys.executable))
    (tmp_path / "bin" / "mmedc").chmod(0o755)
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[2]), prepend=":")
    shown, stored = executed(read(), tmp_path / "here"), read()
    assert lines(shown) == lines(stored), "the outputs are stale: python -m docs.notebook"
    assert all(texts(stored)), "a cell shows nothing"
    assert len(lines(stored)) > 10


def test_the_stored_notebook_names_no_folder_of_a_machine() -> None:
    text = json.dumps(read())
    assert not [word for word in ("/tmp/", "/home/", "/root/", "/work/", "u001b") if word in text]
