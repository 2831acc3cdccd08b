"""Steps of datatrove in a recipe, steps of mmedc in a pipeline of datatrove, signatures as those of datasketch."""

import json
import pickle
import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from mmedc.dedup.signature import estimate, sign, sketches
from mmedc.document import MEASURES, RAW
from mmedc.engine.chain import Chain, Produced
from mmedc.engine.identity import digest_of
from mmedc.errors import PolicyError, RecipeError
from mmedc.folding import folded_texts
from mmedc.limits import reasons
from mmedc.pipeline.ingest import ingest_steps
from mmedc.recipe import Recipe, read_recipe
from mmedc.report.schema import schema
from mmedc.shipped import shipped
from mmedc.steps.foreign import DatatroveStep, datatrove_step
from mmedc.steps.normalise import normalise
from mmedc.words import TextBatch
from tests.build_sample import read_pages
from tests.warcs import html

trove = pytest.importorskip("datatrove.data")

FINEWEB = "datatrove.pipeline.filters:FineWebQualityFilter"
PII = "datatrove.pipeline.formatters:PIIFormatter"
PROSE = {
    "en": "High blood pressure often has no symptoms.\nAdults should have it measured once a year.",
    "zh": "高血压患者应定期测量血压，并遵医嘱服药。\n减少食盐摄入有助于控制血压，也有助于减轻体重，还能保护肾脏。",
    "fr": "L'hypertension artérielle reste longtemps silencieuse.\nIl faut donc la mesurer régulièrement.",
}


def batch(texts: list[str | None], langs: list[str] | None = None, first: int = 0) -> pa.RecordBatch:
    """Return records as they are after `language`, or before it where there are no `langs`."""
    ordinals = list(range(first, first + len(texts)))
    columns: dict[str, Any] = {name: [None] * len(texts) for name in RAW.names}
    columns |= {"ordinal": ordinals, "locator": [f"https://a.example/{n}" for n in ordinals], "text": texts}
    columns["provenance"] = columns["locator"]
    made = pa.RecordBatch.from_pydict(columns, schema=RAW)
    if langs is None:
        return made
    chars = pa.array([len(text or "") for text in texts], pa.float32())
    return made.append_column("lang", pa.array(langs)).append_column("chars", chars)


def run(step: DatatroveStep, *batches: pa.RecordBatch) -> list[Produced]:
    chain = Chain((step,))
    return [chain.run(each, {}, 0.0) for each in batches]


def fates(produced: Produced) -> list[tuple[int, str, str]]:
    return [(row["ordinal"], row["fate"], row["reason"]) for row in produced.removed]


def recipe(*steps: dict[str, Any]) -> Recipe:
    languages = ("en", "zh")
    return Recipe.model_validate(
        {"name": "x", "languages": languages, "sources": {"s": {"jsonl": "x.jsonl"}}, "steps": steps}
    )


@pytest.fixture
def filters_of_ours(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module as a user of datatrove writes one."""
    from datatrove.pipeline.filters.base_filter import BaseFilter

    class Odd(BaseFilter):
        """Raises on one text, drops another without a reason and a third with a sentence as its reason."""

        def filter(self, doc: Any) -> Any:
            if doc.text == "broken":
                raise ValueError("not this one")
            if doc.text == "plain":
                return False
            return (False, "Fewer than 3 paragraphs!") if doc.text == "spoken" else True

    class Batched(Odd):
        """The same, a batch at a time; counts its batches."""

        version = 7
        batches = 0

        def filter_batch(self, batch: list[Any]) -> list[Any]:
            type(self).batches += 1
            for doc in batch:
                doc.metadata["seen"] = True
            return [self.filter(doc) for doc in batch]

    module = types.ModuleType("filters_of_ours")
    for made in (Odd, Batched):
        setattr(module, made.__name__, made)
        made.__module__ = "filters_of_ours"
    monkeypatch.setitem(sys.modules, "filters_of_ours", module)
    return module


def test_a_filter_is_built_for_the_language_of_each_document() -> None:
    pytest.importorskip("spacy")
    pytest.importorskip("jieba")
    step = datatrove_step(FINEWEB, {"short_line_length": 5, "new_line_ratio": 0.2}, tuple(PROSE))
    assert step.languages == {"en": "eng_Latn", "zh": "cmn_Hani", "fr": "fra_Latn"}
    # Cut at white space, the Chinese text would be two words with a line break: `list_ratio`.
    (produced,) = run(step, batch([*PROSE.values(), "home\nabout us\ncontact"], [*PROSE, "en"]))
    assert produced.kept is not None and produced.kept.column("lang").to_pylist() == ["en", "zh", "fr"]
    assert fates(produced) == [(3, "dropped", "datatrove_line_punct_ratio")]
    count = produced.funnel["FineWebQualityFilter"]
    assert (count.read, count.kept, count.dropped) == (4, 3, {"datatrove_line_punct_ratio": 1})


@pytest.mark.parametrize("name", ["Odd", "Batched"])
def test_an_exception_rejects_one_document_and_every_drop_has_a_reason(
    filters_of_ours: types.ModuleType, name: str
) -> None:
    step = datatrove_step(f"filters_of_ours:{name}", {}, ("en",))
    (produced,) = run(step, batch(["good", "broken", "plain", "spoken"], ["en"] * 4))
    assert produced.kept is not None and produced.kept.column("text").to_pylist() == ["good"]
    assert sorted(fates(produced)) == [
        (1, "rejected", "error"),
        (2, "dropped", "datatrove_dropped"),
        (3, "dropped", "datatrove_fewer_than_3_paragraphs"),
    ]
    details = {row["ordinal"]: row["detail"] for row in produced.removed}
    assert details[1] == "ValueError: not this one" and details[3] == "Fewer than 3 paragraphs!"


def test_a_batched_filter_gets_batches(filters_of_ours: types.ModuleType) -> None:
    step = datatrove_step("filters_of_ours:Batched", {}, ("en",))
    assert step.made_by == f"datatrove {metadata.version('datatrove')}, version 7"
    run(step, batch(["a", "b", "c"], ["en"] * 3), batch(["d"], ["en"], first=3))
    assert filters_of_ours.Batched.batches == 2


def test_a_formatter_changes_texts_whatever_came_before() -> None:
    step = datatrove_step(PII, {}, ("en",))
    texts = ["write to a@b.org", "or to c@d.org", "no address", None]
    (together,) = run(step, batch(texts))
    alone = [produced.kept for produced in run(step, *(batch([text], first=n) for n, text in enumerate(texts)))]
    assert together.kept is not None
    seen = together.kept.column("text").to_pylist()
    assert seen == ["write to email@example.com", "or to email@example.com", "no address", None]
    assert seen == [kept.column("text")[0].as_py() for kept in alone if kept is not None]


def test_a_changed_text_is_normalised_and_counted_and_an_emptied_one_is_dropped() -> None:
    step = datatrove_step("datatrove.pipeline.formatters:SymbolLinesFormatter", {"replace_char": "e\u0301"}, ("en",))
    (produced,) = run(step, batch(["word\n###\nword", "same"], ["en"] * 2))
    assert produced.kept is not None
    assert produced.kept.select(["text", "chars"]).to_pylist() == [
        {"text": "word\né\nword", "chars": 11.0},
        {"text": "same", "chars": 4.0},
    ]
    (emptied,) = run(
        datatrove_step("datatrove.pipeline.formatters:SymbolLinesFormatter", {}, ("en",)), batch(["###"], ["en"])
    )
    assert fates(emptied) == [(0, "dropped", "datatrove_empty")]


def test_a_draw_depends_on_the_document_alone() -> None:
    step = datatrove_step("datatrove.pipeline.filters:SamplerFilter", {"rate": 0.5, "seed": 1}, ("en",))
    whole = batch(["x"] * 200, ["en"] * 200)
    (one,) = run(step, whole)
    parts = run(step, whole.slice(0, 7), whole.slice(7))
    assert one.kept is not None and 70 < one.kept.num_rows < 130
    kept = [n for part in parts if part.kept for n in part.kept.column("ordinal").to_pylist()]
    assert kept == one.kept.column("ordinal").to_pylist()


def test_a_step_stands_where_the_recipe_says_and_is_known_by_class_arguments_and_version() -> None:
    chosen = recipe({"datatrove": PII, "after": "normalise"}, {"datatrove": PII, "after": "rules"})
    names = [step.name for step in ingest_steps(chosen, chosen.read_policy())]
    assert names[names.index("normalise") + 1] == "PIIFormatter"
    assert names[names.index("rules") + 1] == "PIIFormatter_2"
    first = datatrove_step(PII, {}, ("en",))
    assert digest_of(first) == digest_of(datatrove_step(PII, {}, ("en",), ("PIIFormatter",)))
    others = [
        datatrove_step(PII, {"remove_ips": False}, ("en",)),
        datatrove_step("datatrove.pipeline.formatters:SymbolLinesFormatter", {}, ("en",)),
        DatatroveStep(PII, {}, "datatrove 0.0.1"),
    ]
    assert len({digest_of(step) for step in (first, *others)}) == 4


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"after": "rules"}, "exactly one of use and datatrove; this one has neither"),
        ({"use": "a:B", "datatrove": PII, "after": "rules"}, "this one has both"),
        ({"datatrove": "PIIFormatter", "after": "rules"}, "steps"),
    ],
)
def test_a_step_has_exactly_one_class(step: dict[str, str], message: str, tmp_path: Path) -> None:
    text = {"name": "x", "sources": {"s": {"jsonl": "x.jsonl"}}, "steps": [step]}
    assert not jsonschema.Draft202012Validator(schema("recipe")).is_valid(text)
    file = tmp_path / "r.yaml"
    file.write_text(str(text), encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        read_recipe(str(file))


@pytest.mark.parametrize(
    ("use", "arguments", "after", "message"),
    [
        (FINEWEB, {}, "extract", "depends on the language, which is not known after extract"),
        ("datatrove.pipeline.filters:Nothing", {}, "rules", "can't be made .*Nothing"),
        ("datatrove.pipeline.writers:JsonlWriter", {"output_folder": "x"}, "rules", "only filters"),
        (PII, {"remove_faxes": True}, "rules", "can't be made .*remove_faxes"),
        (PII, {"exclusion_writer": "x"}, "rules", "leave exclusion_writer out"),
        ("no_such_package:Filter", {}, "rules", r'no module "no_such_package" is installed'),
    ],
)
def test_what_cannot_run_is_refused_before_the_build(use: str, arguments: Any, after: str, message: str) -> None:
    chosen = recipe({"datatrove": use, "arguments": arguments, "after": after})
    with pytest.raises(RecipeError, match=message):
        ingest_steps(chosen, chosen.read_policy())


def test_without_datatrove_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(RecipeError, match=r"not installed: pip install 'mmedc\[datatrove\]'$"):
        datatrove_step(PII, {}, ("en",))


@pytest.fixture(scope="module")
def medical() -> Any:
    from mmedc.interop.datatrove import MedicalFilter

    return MedicalFilter()


def documents(lang: str) -> tuple[list[Any], list[str]]:
    """Return the written pages of a language as documents of datatrove, and what a person called each."""
    pages = [page for page in read_pages(lang) if page["label"] in ("medical", "other")]
    return [trove.Document(text=page["text"], id=page["path"]) for page in pages], [page["label"] for page in pages]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_medical_filter_decides_and_measures_as_the_steps_of_a_recipe(medical: Any, lang: str) -> None:
    found, _ = documents(lang)
    results = medical.filter_batch(found)
    chosen = Recipe.model_validate({"name": "x", "sources": {"s": {"jsonl": "x"}}, "privacy": False})
    policy = chosen.read_policy()
    steps = ingest_steps(chosen, policy)
    columns: dict[str, Any] = {name: [None] * len(found) for name in RAW.names}
    columns |= {"ordinal": range(len(found)), "text": [each.text for each in found]}
    columns["locator"] = columns["provenance"] = [each.id for each in found]
    made = Chain(steps).run(pa.RecordBatch.from_pydict(columns, schema=RAW), {}, 0.0)
    assert made.kept is not None
    names = [step.name for step in steps]
    # Cheaper steps, which a pipeline of datatrove lacks, drop some of the same documents for reasons of their own.
    late = names[names.index("normalise") :]
    expected = {row["ordinal"]: (False, row["reason"] if row["step"] in late else "") for row in made.removed}
    for row, missed in zip(made.kept.to_pylist(), _missed(made.kept, policy), strict=True):
        expected[row["ordinal"]] = (False, missed) if missed else True
        metadata_of = found[row["ordinal"]].metadata
        assert metadata_of["language"] == lang
        for name in ("medical_terms", "medical_model", "stopword_ratio", "chars"):
            assert metadata_of[name] == pytest.approx(row[name], abs=1e-5)
    for index, result in enumerate(results):
        assert result == expected[index] or (expected[index] == (False, "") and result is not True)
    assert True in results and len(set(map(str, results))) > 1


def _missed(kept: pa.RecordBatch, policy: Any) -> list[str | None]:
    for name in MEASURES:
        if name not in kept.schema.names:
            kept = kept.append_column(name, pa.nulls(kept.num_rows, pa.float32()))
    return list(reasons(kept, policy).to_pylist())


def test_the_medical_filter_is_independent_of_batches_and_picklable(medical: Any) -> None:
    found, _ = documents("fr")
    whole = medical.filter_batch(found)
    again = pickle.loads(pickle.dumps(medical))
    assert [again.filter(document) for document in documents("fr")[0]] == whole
    other = trove.Document(text="Der Bluthochdruck bleibt oft lange unbemerkt und wird nur zufällig entdeckt.", id="de")
    empty = trove.Document(text=" \n", id="empty")
    assert medical.filter_batch([other, empty]) == [(False, "other_language"), (False, "empty")]
    assert other.metadata["language"] == "de" and other.text.startswith("Der")
    assert medical.filter_batch([trove.Document(text="a\ud800", id="x"), found[0]])[0] == (False, "error")


def test_the_medical_filter_refuses_what_a_recipe_refuses() -> None:
    from mmedc.interop.datatrove import MedicalFilter

    with pytest.raises(RecipeError, match="languages"):
        MedicalFilter(languages=["english"])
    with pytest.raises(PolicyError, match=r'no policy "balancd".*did you mean "balanced"'):
        MedicalFilter("balancd")
    strict = MedicalFilter(languages=["en"], limits={"all": {"chars": {"min": 10**6}}})
    assert {str(result) for result in strict.filter_batch(documents("en")[0])} >= {"(False, 'chars_low')"}


def test_the_extractor_leaves_the_menu_out_and_counts_what_no_parser_should_see() -> None:
    from mmedc.interop.datatrove import MedicalExtractor

    page = html("Asthma", ["Asthma is a chronic disease of the airways that makes breathing difficult. " * 3] * 3)
    texts: list[Any] = [
        page,
        "<div>" * 2_000,
        "<br>" * 400_000,
        "Пациент".encode("koi8-r") * 9 + bytes(99),
        b"\x01\x02\xff\x81" * 9,
    ]
    texts.append(page.replace("difficult", "diffıcult").encode("iso8859-9"))
    extractor = MedicalExtractor()
    found = list(extractor([trove.Document(text=text, id=str(n)) for n, text in enumerate(texts)]))
    assert [document.id for document in found] == ["0", "5"]
    assert "chronic disease" in found[0].text and "Contact" not in found[0].text
    stats = extractor.stats.to_dict()["stats"]
    for reason in ("too_deep", "too_many_nodes", "binary", "undecodable"):
        assert stats[f"dropped_{reason}"] == 1
    with pytest.raises(RecipeError, match="trafilatura or resiliparse"):
        MedicalExtractor("lynx")


def test_a_pipeline_of_datatrove_keeps_what_a_build_keeps_before_it_removes_duplicates(
    quickstart: Path, tmp_path: Path
) -> None:
    for package in ("warcio", "cchardet", "magic", "orjson"):
        pytest.importorskip(package, exc_type=ImportError)
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import JsonlWriter

    from mmedc.interop.datatrove import MedicalExtractor, MedicalFilter

    reader = WarcReader(str(shipped("pipelines") / "quickstart"), glob_pattern="pages.warc.gz")
    writer = JsonlWriter(str(tmp_path / "kept"), compression=None)
    steps = [reader, MedicalExtractor(), MedicalFilter(batch_size=50), writer]
    LocalPipelineExecutor(steps, logging_dir=str(tmp_path / "logs")).run()
    lines = (tmp_path / "kept" / "00000.jsonl").read_text(encoding="utf-8").splitlines()
    kept = {row["metadata"]["url"]: row for row in map(json.loads, lines)}
    corpus = pads.dataset(quickstart / "data").to_table(["locator", "text", "lang", "medical_density"]).to_pylist()
    removed = pads.dataset(quickstart / "rejects" / "samples.parquet").to_table().to_pylist()
    other = {row["locator"] for row in removed if row["step"] not in ("dedup", "privacy")}
    # Books are not in the WARC, and old.example is in charsets that the reader may take for others.
    corpus = [row for row in corpus if "://" in row["locator"] and "old.example" not in row["locator"]]
    assert {row["locator"] for row in corpus} <= kept.keys()
    assert not other & kept.keys()
    for row in corpus:
        found = kept[row["locator"]]["metadata"]
        assert found["language"] == row["lang"]
        assert found["medical_density"] == pytest.approx(row["medical_density"], abs=1e-5)
    (stats,) = (tmp_path / "logs").glob("stats.json")
    assert "dropped_medical_terms_low" in stats.read_text(encoding="utf-8")


TEXTS = [page["text"] for lang in ("en", "zh", "ru") for page in read_pages(lang)][:40]
PAIRS = [(text, text[: len(text) * share // 100]) for text in TEXTS for share in (60, 80, 95)]


def _jaccard(one: str, other: str) -> float:
    a, b = (set(TextBatch(folded_texts(pa.array([text]))).shingles(5)[0].tolist()) for text in (one, other))
    return len(a & b) / len(a | b)


def _error(estimates: list[float]) -> float:
    true = [_jaccard(*pair) for pair in PAIRS]
    return float(np.sqrt(np.mean((np.array(estimates) - true) ** 2)))


def test_signatures_are_those_of_a_build_as_minhashes() -> None:
    sketch = pytest.importorskip("mmedc.interop.datasketch")
    firsts, seconds = (sketch.minhashes([pair[side] for pair in PAIRS]) for side in (0, 1))
    texts = pa.array([pair[0] for pair in PAIRS], pa.large_string())
    assert np.array_equal([each.hashvalues for each in firsts], sign(normalise(texts)))
    estimates = [one.jaccard(other) for one, other in zip(firsts, seconds, strict=True)]
    packed = [sketches(np.stack([each.hashvalues for each in side])) for side in (firsts, seconds)]
    # Both estimate the same quantity, with standard errors of at most 0.047 and 0.062 (at 0.5).
    assert _error(estimates) < 0.06
    assert np.abs(estimate(*packed) - np.array(estimates)).max() < 4 * 0.06
    lean = sketch.lean_minhashes([pair[1] for pair in PAIRS])
    assert [one.jaccard(other) for one, other in zip(firsts, lean, strict=True)] == estimates


def test_an_index_of_datasketch_answers_queries_with_them() -> None:
    sketch = pytest.importorskip("mmedc.interop.datasketch")
    from datasketch import LeanMinHash, MinHash, MinHashLSH

    near = [text[: len(text) * 97 // 100] for text in TEXTS]
    existing = MinHash(num_perm=128, seed=3)
    for like, index in [
        (None, sketch.lsh(0.8)),
        (existing, MinHashLSH(threshold=0.8, num_perm=128)),
        (LeanMinHash(existing), MinHashLSH(threshold=0.8, num_perm=128)),
        (MinHash(num_perm=64, scheme="affine64"), MinHashLSH(threshold=0.8, num_perm=64)),
        (MinHash(num_perm=64, scheme="legacy"), MinHashLSH(threshold=0.8, num_perm=64)),
    ]:
        for number, each in enumerate(sketch.minhashes(TEXTS, like)):
            index.insert(number, each)
        queries = sketch.lean_minhashes(near, like)
        found = [number in index.query(query) for number, query in enumerate(queries)]
        assert np.mean(found) > 0.9, like
        assert index.query(sketch.minhashes(["A text of no other."], like)[0]) == []
    same, like = sketch.minhashes(TEXTS[:1], existing)[0], sketch.minhashes(TEXTS[:1], LeanMinHash(existing))[0]
    assert same.jaccard(like) == 1.0
    assert _error([a.jaccard(b) for a, b in (sketch.minhashes(pair, existing) for pair in PAIRS)]) < 0.06


def test_signatures_can_be_merged_and_not_mixed_up_or_updated() -> None:
    sketch = pytest.importorskip("mmedc.interop.datasketch")
    from datasketch import MinHash

    one, empty = sketch.minhashes(["Aspirin relieves pain.", "…"])
    assert empty.is_empty() and not one.is_empty()
    empty.merge(one)
    assert empty.jaccard(one) == 1.0
    with pytest.raises(ValueError, match="seed"):
        one.jaccard(MinHash(num_perm=112))
    with pytest.raises(TypeError, match="can't be updated"):
        one.update(b"word")
