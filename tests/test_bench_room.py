"""What scoring does with too little room: long prompts are counted, thinking models are told apart, texts are drawn."""

import io
import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")

from rich.console import Console
from typer.testing import CliRunner

from mmedc.bench.parsing import parse
from mmedc.bench.perplexity import read_texts
from mmedc.bench.scoring import compare, score
from mmedc.cli.training import _bench_several, app
from mmedc.errors import RecipeError, RequestError
from mmedc.report.scores import report, side_by_side
from tests.test_bench import how, make

THINKING = (
    "{% for turn in messages %}<|user|>{{ turn['content'] }}<|assistant|>{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}"
)


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose chat template lets it think, unless it is told not to."""
    folder = make(tmp_path_factory.mktemp("thinking"))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": THINKING}))
    return folder


def test_a_thinking_model_gets_room_or_is_told_not_to_think(thinking: Path, tmp_path: Path) -> None:
    plain = {"model": str(thinking), "chat": True, "device": "cpu", "limit": 1}
    for more in ({"protocol": "generate"}, {"protocol": "letters"}):
        with pytest.raises(RecipeError, match=r"bench\.template: \{enable_thinking: false\}"):
            score(how(**plain, **more))
    settled = score(how(**plain, protocol="letters", template={"enable_thinking": False}))
    assert sum(row["items"] for row in settled["languages"].values()) == 6
    with_room = how(
        **plain, protocol="generate", max_tokens=512, context=1024, out=str(tmp_path), items=[one(tmp_path)]
    )
    score(with_room)
    (line,) = (tmp_path / "items.jsonl").read_text().splitlines()
    assert json.loads(line)["output"].startswith("<think>")  # so that a thought which was cut off is no answer


def one(folder: Path) -> str:
    path = folder / "one.jsonl"
    path.write_text(json.dumps({"id": "1", "lang": "en", "question": "Which?", "options": ["a", "b"], "answer": "A"}))
    return str(path)


def test_a_thought_is_no_answer() -> None:
    options = {"A": "insulin", "B": "paracetamol"}
    assert parse("<think>The answer is A. No,", options) is None
    assert parse("<think>The answer is A.</think>The answer is B.", options) == ("B",)


def test_arguments_of_a_template_need_a_template() -> None:
    with pytest.raises(ValueError, match="set chat: true"):
        how(template={"enable_thinking": False})


def test_prompts_that_lose_their_beginning_are_reported(thinking: Path) -> None:
    for more in ({"protocol": "letters"}, {"protocol": "options"}, {"protocol": "generate", "max_tokens": 4}):
        whole = score(how(model=str(thinking), device="cpu", context=128, limit=1, **more))
        short = score(how(model=str(thinking), device="cpu", context=16, limit=1, **more))
        assert "cut" not in whole and sum(short["cut"].values()) >= 4
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(report(short, {}))
    assert "prompts are longer than bench.context and lost their beginning" in console.export_text()


def test_texts_are_drawn_and_not_the_first(tmp_path: Path) -> None:
    rows = [{"lang": lang, "text": f"{lang} text {number}"} for lang in ("en", "fr") for number in range(100)]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_texts((str(path),), 10)
    assert [lang for lang, _ in found] == ["en"] * 10 + ["fr"] * 10
    numbers = [int(text.split()[-1]) for _, text in found[:10]]
    assert numbers == sorted(numbers) and max(numbers) > 50
    turned = tmp_path / "turned.jsonl"
    turned.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    assert {*read_texts((str(turned),), 10)} == {*found}
    assert len(read_texts((str(path),), 0)) == 200


def test_several_models_stand_in_one_table(tmp_path: Path) -> None:
    for seed, name in enumerate(("first", "second", "third")):
        make(tmp_path / name, seed=seed)
    recipe = tmp_path / "bench.yaml"
    recipe.write_text(f"model: {tmp_path / 'first'}\nitems: [shipped:questions]\ndevice: cpu\nlimit: 2\n")
    models = [part for name in ("first", "second", "third") for part in ("--model", str(tmp_path / name))]
    done = CliRunner().invoke(app, ["bench", str(recipe), *models, "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [*told["models"]] == ["first", "second", "third"] and [*told["compared"]] == ["second", "third"]
    pair = compare(tmp_path / "out" / "second", tmp_path / "out" / "first")
    for lang, row in told["compared"]["second"].items():
        assert row["difference"] == pair[lang]["difference"] and row["p"] >= pair[lang]["p"]
    shown = Console(record=True, width=80, file=io.StringIO())
    shown.print(side_by_side(told["models"], told["compared"]))
    lines = shown.export_text().splitlines()
    assert lines[0] == "differences from first" and sum(line.startswith("mean") for line in lines) == 3
    assert all(len(line) <= 80 for line in lines)
    with pytest.raises(RequestError, match="have the same last name"):
        _bench_several(str(recipe), ["a/x", "b/x"], tmp_path, [], True, True, False)
