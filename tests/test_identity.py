"""A pass is stale exactly when something that it depends on changed: every key of a recipe in turn, and every input."""

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import pyarrow as pa
import pytest
from pydantic import BaseModel

from mmedc.engine.identity import NO_EFFECT, digest_of, identity_of
from mmedc.engine.run import Inline
from mmedc.pipeline.build import Build
from mmedc.policy import Lexicon, Term, read_language
from mmedc.recipe import Recipe, read_recipe
from mmedc.shipped import shipped
from tests import bookfiles
from tests.conftest import Notes
from tests.test_custom import MODULE, TEXT

RECIPE = """
name: identity
languages: [en, fr]
filters: own
block: [hosts.txt]
sources:
  notes: {files: "pages/*.txt"}
  rows: {jsonl: "rows.jsonl", url: url}
  books: {books: article.xml}
publish: {split: section}
measures: [{use: "MODULE:brackets", name: brackets}]
steps: [{use: "MODULE:Mark", after: read, arguments: {word: a}}]
decontaminate: {questions: questions.jsonl}
dedup: {lines: {words: 5}}
"""
QUESTION = (
    '{"question": "A patient of forty years has a painful swelling of the left knee after a long march; which '
    'examination of the joint comes first?", "options": {"A": "Puncture", "B": "Radiograph"}, "answer": "A"}\n'
)
FIRST = "ingest"
NEVER = None
SCHEMA = pa.schema([("a", pa.int32())])
KEYS: dict[str, tuple[Any, str | None]] = {
    "extract": ("resiliparse", FIRST),
    "ruby": ("readings", FIRST),
    "languages": ("[en]", FIRST),
    "sources.rows.kind": ("article", FIRST),
    "sources.rows.licence": ("CC0-1.0", FIRST),
    "sources.rows.title": ("name", FIRST),
    "sources.rows.date": ("day", FIRST),
    "sources.rows.url": ("other", FIRST),
    "steps": ("[]", FIRST),
    "measures": ("[]", FIRST),
    "block": ("[]", FIRST),
    "privacy": ("false", FIRST),
    "opt_outs": ("honour", FIRST),
    "medical.policy": ("recall", FIRST),
    "policy": ("{all: {chars: {floor: 100}}}", FIRST),
    "dedup.jaccard": ("0.7", FIRST),
    "limits.document": ("1MiB", FIRST),
    "limits.html_depth": ("100", FIRST),
    "limits.html_nodes": ("1000", FIRST),
    "limits.ratio": ("100", FIRST),
    "dedup.prefer": ("[article]", "exchange"),
    "dedup.minhash": ("false", "exchange"),
    "decontaminate.words": ("10", "decontaminate"),
    "decontaminate.characters": ("10", "decontaminate"),
    "decontaminate.hits": ("mask", "decontaminate"),
    "dedup.lines.words": ("8", "lines"),
    "dedup.lines.site": ("3", "repeats"),
    "dedup.lines.corpus": ("30", "repeats"),
    "dedup.lines.passage": ("30", "repeats"),
    "limits.document_seconds": ("5", NEVER),
    "limits.document_memory": ("512MiB", NEVER),
    "limits.unit_seconds": ("100", NEVER),
    "limits.memory": ("2GiB", NEVER),
    "limits.retries": ("7", NEVER),
    "fail_above": ("3%", NEVER),
    "limits.unit": ("1MiB", NEVER),  # of Parquet that is larger
    "books.engine": ("pymupdf", "covers"),
    "books.ocr": ("{engine: paddle}", FIRST),
    "books.parts": ("{index: keep}", FIRST),
    "books.reserved": ("keep", FIRST),
    "publish.split": ("null", FIRST),
    "publish.tokens": ("4096", FIRST),
    "publish.licences": ("[MIT]", "exchange"),
    "publish.unknown": ("drop", "exchange"),
    "publish.shard": ("64MB", NEVER),  # as long as it changes no shard
    "train": ("{steps: 3}", NEVER),
    "bench": ("{model: m}", NEVER),
}
"""Key → (another value, the first pass that is then to be done again)."""
ELSEWHERE = {
    "name": "a folder of another name is refused",
    "out": "where it is written does not matter: test_the_folder_does_not_matter",
    "forget": "by its content: tests/test_forget.py",
    "filters": "by its content: test_what_files_hold",
    "models": "a model is known by its hash: test_what_files_hold",
    "sources.*": "formats and paths: by their content, test_what_files_hold",
    "dedup.against": "tests/test_build.py",
    "decontaminate.questions": "by their content: test_what_files_hold",
    "classify": "tests/test_quality.py",
    "publish.tokenizer": "its digest: test_a_tokenizer_is_known_by_its_files",
}


@dataclass(frozen=True)
class Built:
    folder: Path

    def stale(self, *sets: str) -> str | None:
        """Return the first pass that a build would have to do again, or None."""
        build = Build.prepare(read_recipe(str(self.folder / "recipe.yaml"), list(sets)), str(self.folder / "out"))
        last, done = build.done()[-1]
        return last.name if any(unit.id not in done for unit in last.units) else None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity")
    (folder / "pages").mkdir()
    for number in range(2):
        (folder / "pages" / f"{number}.txt").write_text(f"Case {number}. {TEXT}", encoding="utf-8")
    (folder / "rows.jsonl").write_text(
        f'{{"url": "u", "other": "v", "name": "n", "day": "2020", "text": "{TEXT}"}}\n', encoding="utf-8"
    )
    (folder / "article.xml").write_bytes(bookfiles.jats(f"<p>{TEXT}</p>"))
    (folder / "questions.jsonl").write_text(QUESTION, encoding="utf-8")
    (folder / "hosts.txt").write_text("bad.example\n", encoding="utf-8")
    shutil.copytree(shipped("filters") / "en", folder / "own" / "en")
    (folder / "own_module.py").write_text(MODULE, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE.replace("MODULE", "own_module"), encoding="utf-8")
    return folder


@pytest.fixture
def built(made: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    monkeypatch.syspath_prepend(str(made))
    if not (made / "out").exists():
        Build.prepare(read_recipe(str(made / "recipe.yaml")), str(made / "out")).run(Inline(), Notes())
    return Built(made)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_makes_stale_what_depends_on_it(built: Built, key: str) -> None:
    value, first = KEYS[key]
    assert built.stale() is None
    assert built.stale(f"{key}={value}") == first


def test_every_key_of_a_recipe_is_looked_at() -> None:
    def leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
        found = []
        for name, info in model.model_fields.items():
            kinds = [info.annotation, *get_args(info.annotation)]
            inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
            if name in ("sources", "steps", "measures", "policy") or not inner:
                found.append(prefix + name)
            else:
                found += leaves(inner[0], f"{prefix}{name}.")
        return found

    known = {*KEYS, *ELSEWHERE, "sources"}
    missing = [key for key in leaves(Recipe) if not any(f"{key}.".startswith(f"{name}.") for name in known)]
    assert not missing


def changed(path: Path, change: Callable[[str], str]) -> Callable[[], None]:
    """Change a file; return what undoes it, its time of change included."""
    before, times = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(change(before), encoding="utf-8")

    def undo() -> None:
        import os

        path.write_text(before, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    return undo


@pytest.mark.parametrize(
    "file,change,first",
    [
        ("pages/0.txt", lambda text: text + " More.", FIRST),
        ("rows.jsonl", lambda text: text * 2, FIRST),
        ("hosts.txt", lambda text: text + "worse.example\n", FIRST),
        ("hosts.txt", lambda text: "# a remark\n" + text, NEVER),
        ("own/en/lexicon.txt", lambda text: text + "\n[care]\nhospice night\n", FIRST),
        ("own/en/lexicon.txt", lambda text: "# a remark\n" + text, NEVER),
        ("own/en/stopwords.txt", lambda text: text + "\nbehold\n", FIRST),
        ("own/en/privacy.yaml", lambda text: "regions: [NZ]\n", FIRST),
        ("own_module.py", lambda text: text + "\nMORE = 1\n", FIRST),
        ("questions.jsonl", lambda text: text.replace("left knee", "right knee"), "decontaminate"),
        ("recipe.yaml", lambda text: "# a remark\n" + text, NEVER),
    ],
)
def test_what_files_hold(built: Built, file: str, change: Callable[[str], str], first: str | None) -> None:
    undo = changed(built.folder / file, change)
    try:
        assert built.stale() == first
    finally:
        undo()
    assert built.stale() is None


def test_a_new_input_costs_its_own_unit(built: Built) -> None:
    (built.folder / "more.jsonl").write_text('{"url": "w", "text": "another"}\n', encoding="utf-8")
    recipe = read_recipe(str(built.folder / "recipe.yaml"), [f"sources.rows.jsonl=['{built.folder}/*.jsonl']"])
    (built.folder / "questions.jsonl").rename(built.folder / "questions.json")
    try:
        recipe = recipe.model_copy(update={"decontaminate": type(recipe.decontaminate)()})
        passes = Build.prepare(recipe, str(built.folder / "out")).done()
        current, done = next(found for found in passes if found[0].name == FIRST)
        assert sum(unit.id not in done for unit in current.units) == 1
    finally:
        (built.folder / "questions.json").rename(built.folder / "questions.jsonl")
        (built.folder / "more.jsonl").unlink()


def test_the_folder_does_not_matter(built: Built, tmp_path: Path) -> None:
    for name in ("pages", "own"):
        shutil.copytree(built.folder / name, tmp_path / name)
    for name in ("rows.jsonl", "article.xml", "questions.jsonl", "hosts.txt", "recipe.yaml"):
        shutil.copy2(built.folder / name, tmp_path / name)
    here, there = (
        Build.prepare(read_recipe(str(one / "recipe.yaml")), str(one / "out")) for one in (built.folder, tmp_path)
    )
    assert here.ingest.key == there.ingest.key
    assert [unit.id for unit in here.ingest.units] == [unit.id for unit in there.ingest.units]


def test_a_field_counts_unless_it_is_marked() -> None:
    @dataclass(frozen=True)
    class Work:
        limit: float
        names: tuple[str, ...] = ()
        schema: pa.Schema = SCHEMA
        place: str = field(default="", metadata=NO_EFFECT)
        version: ClassVar[int] = 1

    @dataclass(frozen=True)
    class Newer(Work):
        version: ClassVar[int] = 2

    base = digest_of(Work(1.0))
    assert base == digest_of(Work(1.0, place="elsewhere"))
    others = [Work(2.0), Work(1.0, ("a",)), Work(1.0, schema=pa.schema([("a", pa.int64())])), Newer(1.0)]
    assert len({base, *map(digest_of, others)}) == 5
    with pytest.raises(TypeError, match="object has no identity"):
        identity_of(object())


def test_identity_of_a_lexicon_follows_forms_and_weights_but_not_order_or_category():
    first, second = Term(("asthma", "asthmas"), "diseases", 1), Term(("cough",), "symptoms", 2, weight=0.25)
    lexicon = Lexicon((first, second))
    assert lexicon.digest == Lexicon((second, replace(first, category="symptoms", line=9))).digest
    assert lexicon.digest != Lexicon((first, replace(second, weight=1.0))).digest
    assert lexicon.digest != Lexicon((replace(first, forms=("asthma",)), second)).digest
    assert lexicon.digest != Lexicon((first,)).digest


def test_digest_of_a_lexicon_travels_with_it():
    language = read_language("fr")
    digest = digest_of(language)
    copy = pickle.loads(pickle.dumps(language))
    assert "digest" in vars(copy.lexicon)
    assert copy == language and digest_of(copy) == digest
    assert digest_of(replace(language, lexicon=Lexicon(language.lexicon[1:]))) != digest
