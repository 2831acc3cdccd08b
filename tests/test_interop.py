"""Steps of datatrove in a recipe, steps of mmedc in a pipeline of datatrove, signatures as those of datasketch."""

import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest

from mmedc.document import RAW
from mmedc.engine.chain import Chain, Produced
from mmedc.engine.identity import digest_of
from mmedc.errors import RecipeError
from mmedc.pipeline.ingest import ingest_steps
from mmedc.recipe import Recipe, read_recipe
from mmedc.report.schema import schema
from mmedc.steps.foreign import DatatroveStep, datatrove_step

pytest.importorskip("datatrove")

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
    return [(row["ordinal"], row["fate"], row["reason"]) for row in produced.gone]


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
    details = {row["ordinal"]: row["detail"] for row in produced.gone}
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
        ("no_such_package:Filter", {}, "rules", r"no_such_package.*pip install 'mmedc\[datatrove\]'"),
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
