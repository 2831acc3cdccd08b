"""Policy made from labels: each fitter on texts small enough to know the answer."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from mmedc.books.pdf import need
from mmedc.cli import app
from mmedc.engine.run import Inline
from mmedc.errors import ModelMissing, PolicyError, RequestError, WorkError
from mmedc.filters import open_filters
from mmedc.fit.kenlm import find_tool
from mmedc.fit.labelled import SCHEMA, read_labelled
from mmedc.fit.labels import Endpoint, label
from mmedc.fit.language import fit_language
from mmedc.fit.lexicon import judge, propose
from mmedc.fit.measured import quality, with_terms
from mmedc.fit.model import fit_model, folds, train
from mmedc.fit.pages import fit_pages
from mmedc.fit.thresholds import fewer_terms, fit, fit_thresholds, needed
from mmedc.pipeline.build import Build
from mmedc.policy import Policy, read_language, read_policy
from mmedc.recipe import Recipe
from mmedc.shipped import shipped
from mmedc.steps.classify import Classifier, by_length
from mmedc.steps.medical import LEXICON_MEASURES
from mmedc.steps.score import Score, scorer
from tests.build_sample import read_pages
from tests.conftest import LANGUAGES

QUIET = type("Quiet", (), {"begin": lambda *_: None, "update": lambda *_: None, "end": lambda *_: None})()


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def sample(path: Path) -> str:
    """Write the paragraphs of the project's own pages as labelled texts, their pages as two origins."""
    rows = [
        {"text": text, "lang": lang, "label": page["label"], "source": f"half{number % 2} {page['path']}"}
        for lang in LANGUAGES
        for number, page in enumerate(read_pages(lang))
        for text in page["text"].split("\n\n")
    ]
    return write(path, rows)


def table(rows: list[tuple[str, str, bool]], **columns: list[float]) -> pa.Table:
    given = [
        {"text": text, "lang": lang, "label": label, "source": "a b", "origin": "a", "licence": "CC0-1.0"}
        for lang, text, label in rows
    ]
    made = pa.Table.from_pylist(given, schema=SCHEMA)
    for name, values in columns.items():
        made = made.append_column(name, pa.array(values, pa.float32()))
    return made


def test_labelled_texts_are_read_and_mistakes_named(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "lang": "zh-Hant", "label": "medical", "source": "News 12"},
        {"text": "b", "lang": "en", "label": False, "source": "Books 3", "origin": "x", "licence": "MIT"},
        {"text": "c", "lang": "en", "label": None, "error": "the answer is not the asked-for JSON"},
        {"text": "d", "lang": "en"},
    ]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    read = read_labelled([str(tmp_path / "*.gz")])
    assert read["lang"].to_pylist() == ["zh", "en", "en"]
    assert read["label"].to_pylist() == [True, False, None]
    assert read["origin"].to_pylist() == ["News", "x", tmp_path.name]
    with pytest.raises(RequestError, match=r"bad.jsonl:2: not a labelled text"):
        read_labelled([write(tmp_path / "bad.jsonl", [rows[0], {"text": "x"}])])
    with pytest.raises(RequestError, match="no labelled text in fr"):
        read_labelled([str(tmp_path / "*.gz")], languages=("fr",))


def test_folds_hold_out_whole_origins() -> None:
    origins = ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d"]
    masks = list(folds(origins, 3))
    assert np.sum(masks, axis=0).tolist() == [1] * 11
    assert [sorted(set(np.array(origins)[mask])) for mask in masks] == [["a"], ["b"], ["c", "d"]]
    assert len(list(folds(["a", "b"], 8))) == 2


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    fit_model([sample(folder / "sample.jsonl")], folder, "medical", "medical", (), None)
    return folder


def test_a_model_is_trained_measured_and_pinned(fitted: Path) -> None:
    model = open_filters(str(fitted)).model("medical")
    assert model.languages == ()
    held = pq.read_table(fitted / "held-out.parquet")
    said = held["medical_model"].to_numpy() >= 0.5
    # Paragraphs of pages never seen, from a few dozen pages of training: far above chance.
    found = quality(said, held["label"].to_numpy(zero_copy_only=False))
    assert found.f1 > 0.9
    card = (fitted / "models" / "medical.md").read_text(encoding="utf-8")
    assert model.sha256 in card and "| half0 |" in card
    (fitted / "models" / "medical.npz").write_bytes(b"damaged")
    with pytest.raises(PolicyError, match="SHA-256"):
        open_filters(str(fitted)).model("medical")


def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    some = read_labelled([sample(tmp_path / "sample.jsonl")], languages=("en", "zh"))
    for name in ("one.npz", "two.npz"):
        train(some, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    score = scorer(str(tmp_path / "one.npz"))
    texts = pa.array(["The patient had fever and was given antibiotics.", "", "糖尿病患者的治疗"], pa.large_string())
    together, alone = score(texts, None), np.concatenate([score(texts[at : at + 1], None) for at in range(3)])
    assert together.tolist() == alone.tolist()
    assert together[0] > together[1] < together[2]


def test_a_score_is_null_in_languages_the_model_does_not_know(tmp_path: Path) -> None:
    fit_model([sample(tmp_path / "sample.jsonl")], tmp_path, "quality", "medical", ("en", "fr"), None)
    step = Score("quality", open_filters(str(tmp_path)).model("quality"), read_policy("mmedc", ("en", "zh")))
    batch = pa.RecordBatch.from_pydict(
        {
            "lang": ["en", "zh"],
            "text": pa.array(["asthma", "哮喘"], pa.large_string()),
            "medical_terms": pa.array([1, 1], pa.float32()),
            "medical_density": pa.array([1, 1], pa.float32()),
            "medical_spread": pa.array([1, 1], pa.float32()),
            "dropped_by": pa.nulls(2, pa.string()),
        }
    )
    scored = step.open()(batch)
    assert [value is None for value in scored.column("quality").to_pylist()] == [False, True]
    assert scored.column("dropped_by").null_count == 2


def test_a_model_needs_two_origins_and_both_labels(tmp_path: Path) -> None:
    rows = [{"text": "a", "lang": "en", "label": "medical", "source": "x"}] * 3
    with pytest.raises(RequestError, match="both labels"):
        fit_model([write(tmp_path / "a.jsonl", rows)], tmp_path, "medical", "medical", (), None)


def test_thresholds_are_where_the_labels_say() -> None:
    rows = [("en", "", index >= 60) for index in range(100)]
    terms = [float(index // 10) for index in range(100)]
    exact = table(rows, medical_terms=terms, medical_density=[0.1] * 100, medical_spread=[1.0] * 100)
    chosen, curve = fit(exact, {})
    assert {name: one.terms for name, one in chosen.items()} == {"precise": 6, "balanced": 6, "recall": 6}
    assert all(one.quality.f1 == 1 for one in chosen.values()) and curve[0].quality.recall == 1
    # Where the terms can't tell them apart, the model does.
    model = [0.95 if label else 0.25 for _, _, label in rows]
    blind = table(rows, medical_terms=[9.0] * 100, medical_density=[0.1] * 100, medical_model=model)
    assert all(0.25 < one.model <= 0.95 for one in fit(blind, {})[0].values())
    with pytest.raises(RequestError, match="have the same label"):
        fit(exact.slice(0, 10), {})


def test_a_policy_without_limits_for_a_language_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"mmedc\.yaml: no limits for de, ko, so everything would be kept"):
        read_policy("mmedc", ("en", "de", "ko"))


def test_fitted_policies_can_be_read_and_share_their_floors(tmp_path: Path) -> None:
    fit_thresholds([sample(tmp_path / "sample.jsonl")], tmp_path, "balanced", (), None)
    floors = set()
    for name in ("precise", "balanced"):
        limits = read_policy(name, LANGUAGES, str(tmp_path)).languages["en"].limits
        assert limits["chars"].min == 150  # what the base has is kept
        floors.add((limits["medical_terms"].floor, limits["medical_density"].floor))
    assert len(floors) == 1
    assert json.loads((tmp_path / "curve.json").read_text())["all"]


def test_proposed_terms_set_medical_texts_apart() -> None:
    medical = [("en", "Spleen rupture was seen. The weather was fine.", True)] * 8
    other = [("en", "The weather was fine in the town hall.", False)] * 8
    words = read_language("en")
    proposed = [one.phrase for one in propose(table(medical + other), words)]
    assert "spleen rupture" in proposed and not any("weather" in phrase for phrase in proposed)
    chinese = [("zh", "脾破裂的患者", True)] * 8 + [("zh", "天气很好的地方", False)] * 8
    phrases = [one.phrase for one in propose(table(chinese), read_language("zh"))]
    assert any("脾破裂" in phrase for phrase in phrases) and not any("天气" in phrase for phrase in phrases)
    judged = {one.term: one for one in judge(table([*medical, ("en", "asthma", True), ("en", "asthma", False)]), words)}
    assert (judged["asthma"].medical, judged["asthma"].other) == (1, 1) and judged["asthma"].precision < 0.2


class Judge(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that finds texts with "asthma" good; it stumbles once."""

    seen: list[dict[str, Any]] = []  # noqa: RUF012 (a server's handler is made anew for each request)
    stumbles = 1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Judge.seen.append({"path": self.path, "key": self.headers["Authorization"], **body})
        if Judge.stumbles:
            Judge.stumbles -= 1
            self.send_error(503)
            return
        if body["model"] == "unknown":
            self.send_error(404)
            return
        asked = body["messages"][0]["content"]
        answer = 'I think {"quality": 4, "reason": "clear"}' if "asthma" in asked else '{"quality": 1}'
        data = json.dumps({"choices": [{"message": {"content": "no" if "mumble" in asked else answer}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_labels_come_from_an_endpoint_and_a_stopped_run_goes_on(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "secret-key")
    out = tmp_path / "labels.jsonl"
    texts = table([("en", "asthma in children", True), ("en", "buy now", True), ("en", "mumble", True)])
    asked = Endpoint(endpoint, "judge", "JUDGE_KEY", pause_s=0)
    counts = label(texts, "quality", asked, out)
    assert (counts.judged, counts.failed, counts.already) == (2, 1, 0)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["label"] for row in rows] == [True, False, None] and "error" in rows[2]
    assert Judge.seen[-1]["path"] == "/v1/chat/completions" and Judge.seen[-1]["key"] == "Bearer secret-key"
    assert "secret-key" not in out.read_text()
    whole = out.read_bytes()
    out.write_bytes(whole[:-20])  # killed while it wrote
    counts = label(texts, "quality", asked, out)
    assert counts.already == 2 and out.read_bytes() == whole
    assert read_labelled([str(out)])["label"].to_pylist() == [True, False]
    with pytest.raises(RequestError, match="answered 404"):
        label(texts, "quality", Endpoint(endpoint, "unknown", pause_s=0), tmp_path / "other.jsonl")
    with pytest.raises(WorkError, match="no answer after"):
        label(texts, "quality", Endpoint("http://127.0.0.1:9/v1", "judge", pause_s=0), tmp_path / "third.jsonl")
    with pytest.raises(RequestError, match=r'no prompt "qality".*did you mean "quality"'):
        label(texts, "qality", asked, out)


def test_a_missing_tool_is_named_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"docs/how-to/fitting\.md"):
        find_tool("lmplz", str(tmp_path))


@pytest.mark.parametrize("name", ["balanced", "precise"])
def test_fewer_terms_decide_in_some_languages(name: str) -> None:
    """In the fit as in the policies that ship."""
    policy = read_policy(name, LANGUAGES)
    asked = {code: language.limits["medical_terms"].min for code, language in policy.languages.items()}
    assert fewer_terms(open_filters()) == {}
    assert asked == dict.fromkeys(LANGUAGES, 1)
    fewer = {"fr": 2, "ja": 2}
    table = pa.table({"lang": ["fr", "en", "ja"], "medical_model": [0.5, 0.5, 0.5]})
    assert needed(table, 3, fewer).tolist() == [2, 3, 2]
    assert needed(table, 1, fewer).tolist() == [1, 1, 1]
    assert needed(table.drop_columns("medical_model"), 3, fewer).tolist() == [3, 3, 3]


def checkpoint(folder: Path, seed: int = 1) -> Path:
    """Write a tiny classifier of random weights."""
    import transformers

    folder.mkdir(exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fever", "town", "the", "has", "of", "and", "la", "de", "в"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    labels = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    transformers.set_seed(seed)
    config = transformers.BertConfig(**shape, **labels, initializer_range=0.5)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_checkpoint_scores_texts_whatever_their_order(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    texts = ["the town has fever", "fever", "town " * 900, "", "the fever"]
    score = Classifier(str(tmp_path), label="good", batch_tokens=600).scorer()
    together = score(texts)
    assert np.allclose(together, np.concatenate([score([text]) for text in texts]), atol=1e-5)
    assert np.allclose(1 - together, Classifier(str(tmp_path), label="bad").scorer()(texts), atol=1e-5)
    with pytest.raises(ModelMissing, match="no label 'best'; it has bad, good"):
        Classifier(str(tmp_path), label="best").scorer()
    with pytest.raises(ModelMissing, match="no checkpoint for classification"):
        Classifier(str(tmp_path / "none")).scorer()


def test_a_checkpoint_judges_in_a_pass_of_its_own(tmp_path: Path) -> None:
    """Every document that other limits keep has its score; the policy's limit on it decides."""
    model = checkpoint(tmp_path / "judge")
    pages = shipped("pipelines") / "quickstart" / "pages.warc.gz"
    given = {"name": "judged", "sources": {"pages": {"warc": str(pages)}}, "dedup": {"minhash": False}}
    plain = build(given, tmp_path / "plain")
    given["classify"] = {"checkpoint": str(model), "label": "good", "gpus": 0.5}
    scored = build(given, tmp_path / "scored")
    assert plain["quality"].null_count == 0 and scored["id"].equals(plain["id"])  # the shipped model's there
    expected = Classifier(str(model), label="good").scorer()(scored["text"].to_pylist())
    found = scored["quality"].to_numpy()
    assert np.allclose(found, expected, atol=1e-5) and found.std() > 0
    # A limit at the median keeps the better half.
    middle = float(np.median(found))
    policy = (shipped("filters") / "policies" / "balanced.yaml").read_text("utf-8")
    stricter = policy.replace("    medical_model: {", f"    quality: {{min: {middle}}}\n    medical_model: {{")
    (tmp_path / "strict.yaml").write_text(stricter, "utf-8")
    given["medical"] = {"policy": str(tmp_path / "strict.yaml")}
    strict = build(given, tmp_path / "strict")
    kept = {one for one, value in zip(scored["id"].to_pylist(), found, strict=True) if value >= np.float32(middle)}
    assert 0 < len(kept) < len(scored) and set(strict["id"].to_pylist()) == kept
    with pytest.raises(ModelMissing, match="no folder with a model in safetensors"):
        build(given | {"classify": {"checkpoint": str(tmp_path)}}, tmp_path / "none")


def build(given: dict[str, object], out: Path) -> pa.Table:
    """Build a recipe in this process and return the documents of the corpus, by id."""
    Build.prepare(Recipe.model_validate(given), str(out)).run(Inline(), QUIET)
    return pads.dataset(out / "data", format="parquet").to_table(columns=["id", "quality", "text"]).sort_by("id")


def test_batches_by_length_waste_little() -> None:
    lengths = [500, 3, 4, 490, 5, 1000]
    batches = by_length(lengths, 1000)
    assert [batch.tolist() for batch in batches] == [[1, 2, 4], [3, 0], [5]]
    assert by_length([], 10) == []


def test_a_language_is_begun_from_seed_texts(tmp_path: Path) -> None:
    lines = Path(sample(tmp_path / "sample.jsonl")).read_text(encoding="utf-8")
    (tmp_path / "seeds.jsonl").write_text(4 * lines, encoding="utf-8")
    path, runner = str(tmp_path / "seeds.jsonl"), CliRunner()
    for code, options in (("fr", ["--name", "French"]), ("zh", ["--script", "Han", "--unspaced"])):
        made = runner.invoke(app, ["fit", "language", code, path, "--out", str(tmp_path / "mine"), *options])
        assert made.exit_code == 0 and "F1" in made.output, made.output
    filters = open_filters(str(tmp_path / "mine"))
    french = filters.language("fr")
    assert {"de", "la", "les"} <= set(french.stopwords) and len(french.lexicon) > 20
    assert filters.language("zh").spaced is False
    with pytest.raises(RequestError, match="exists already"):
        fit_language([path], "fr", "French", ["Latin"], True, tmp_path / "mine")


def test_the_shipped_model_tells_the_project_s_own_pages_apart(policy: Policy) -> None:
    """A floor of quality: these pages were never trained on; those that only play in a hospital are among them."""
    rows = [(lang, page["text"], page["label"] == "medical") for lang in LANGUAGES for page in read_pages(lang)]
    pages = with_terms(table(rows), policy)
    found = np.column_stack([pages[name].to_numpy() for name in LEXICON_MEASURES])
    chances = scorer(open_filters().model("medical").path)(pages["text"].combine_chunks(), found)
    for name, least in (("balanced", 0.2), ("precise", 0.6)):
        assert read_policy(name, ("en",)).languages["en"].limits["medical_model"].min == least
        assert quality(chances >= least, pages["label"].to_numpy(zero_copy_only=False)).f1 > 0.97


def test_the_commands_run(tmp_path: Path) -> None:
    path, runner = sample(tmp_path / "sample.jsonl"), CliRunner()
    judged = runner.invoke(app, ["fit", "lexicon", "en", path, "--judge"])
    assert judged.exit_code == 0 and "asthma" in judged.output
    proposed = runner.invoke(app, ["fit", "lexicon", "fr", path, "--least", "2", "--out", str(tmp_path / "terms.txt")])
    assert proposed.exit_code == 0 and (tmp_path / "terms.txt").read_text(encoding="utf-8").startswith("# ")
    fitted = runner.invoke(app, ["fit", "thresholds", path, "--out", str(tmp_path), "--lang", "en"])
    assert fitted.exit_code == 0 and "all precise: terms ≥" in fitted.output


def test_a_model_of_pages_tells_wrong_maps_from_texts_and_is_pinned(tmp_path: Path) -> None:
    sample = YAML(typ="safe").load(Path(__file__).with_name("sample") / "en.yaml")
    texts = [row["text"] for row in sample]
    sound = [{"text": text, "images": 0.0, "need": False, "lang": "en", "kind": "sound"} for text in texts]
    moved = str.maketrans("aeioutnshr", "xqzjkvwcpm")
    wrong = [row | {"text": row["text"].translate(moved), "need": True, "kind": "moved"} for row in sound]
    for name, rows in (("texts", sound), ("pages", 9 * [*sound, *wrong])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known, letters = str(tmp_path / "pages.jsonl"), str(tmp_path / "texts.jsonl")
    card = fit_pages([known], [letters], tmp_path / "mine")
    assert "precision 1.000, recall 1.000" in card and "left out" not in card  # one language, and one kind of each sort
    assert (tmp_path / "mine/models/pages.md").read_text() == card
    made = need.judge(open_filters(str(tmp_path / "mine")).model("pages").path)
    assert made.chance(wrong[0]["text"], 0.0) > 0.9 > 0.1 > made.chance(sound[0]["text"], 0.0)
    with pytest.raises(PolicyError, match=r"fitted\.md: expected a model of `mmedc fit pages`"):
        (tmp_path / "fitted.md").write_text(card)
        need.judge(str(tmp_path / "fitted.md"))
    with pytest.raises(RequestError, match=r"pages.jsonl:1: no images; expected text, images, need"):
        (tmp_path / "pages.jsonl").write_text('{"text": "x", "need": true, "lang": "en", "kind": "y"}\n')
        fit_pages([known], [letters], tmp_path / "mine")
