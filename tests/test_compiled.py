"""Tables that a machine compiled before only save time: they are never wrong, trusted blindly, or too many."""

import os
from pathlib import Path
from typing import Any

import pytest

from mmedc import compiled as tables
from mmedc.compiled import CACHE, compiled
from mmedc.filters import open_filters
from mmedc.lexicon import _whole
from mmedc.policy import LanguagePolicy


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "tables"))
    return tmp_path / "tables"


class Compiler:
    """Counts how often it compiles."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        return {"forms": ["asthme", "喘息"], "weight": 0.25}


def compile_with(compiler: Compiler, text: bytes = b"asthme") -> Any:
    return compiled("test", ("mmedc.lexicon",), [text], compiler)


def test_a_table_is_compiled_once_for_each_content(folder: Path) -> None:
    compiler = Compiler()
    assert compile_with(compiler) == compile_with(compiler) == Compiler()()
    assert compiler.calls == 1
    compile_with(compiler, b"toux")
    assert compiler.calls == 2 and len(list(folder.iterdir())) == 2
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", [b"", b"[]", b"0" * 64 + b"\n[]"])
def test_a_damaged_table_is_compiled_again(folder: Path, damage: bytes) -> None:
    compiler = Compiler()
    compile_with(compiler)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert compile_with(compiler) == Compiler()() and compiler.calls == 2
    assert file.read_bytes() == whole


def test_what_others_can_write_is_neither_read_nor_written(folder: Path) -> None:
    compiler = Compiler()
    compile_with(compiler)
    (file,) = folder.iterdir()
    file.chmod(0o666)
    compile_with(compiler)
    assert compiler.calls == 2 and file.stat().st_mode & 0o777 == 0o600  # replaced
    folder.chmod(0o777)
    compile_with(compiler)
    compile_with(compiler, b"toux")
    assert compiler.calls == 4 and list(folder.iterdir()) == [file]


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = Compiler()
    (tmp_path / "file").touch()
    for place in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "off"):
        monkeypatch.setenv(CACHE, place)
        assert compile_with(compiler) == Compiler()()
    assert compiler.calls == 3


def test_what_was_not_used_for_the_longest_time_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with(Compiler(), b"first")
    (first,) = folder.iterdir()
    compile_with(Compiler(), b"second")
    (second,) = set(folder.iterdir()) - {first}
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    compile_with(Compiler(), b"first")  # now used last
    monkeypatch.setattr(tables, "MOST_BYTES", 2 * first.stat().st_size)
    compile_with(Compiler(), b"third")
    assert first.exists() and not second.exists() and len(list(folder.iterdir())) == 2


def test_a_language_is_the_same_from_tables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> LanguagePolicy:
        _whole.cache_clear()
        return open_filters().language("hi")

    first, second = read(), read()
    names = {file.name.partition("-")[0] for file in folder.iterdir()}
    monkeypatch.setenv(CACHE, "off")
    assert first == second == read() and names == {"lexicon", "yaml"}
