"""Benchmark questions in documents: found however they are set, not found where they are not."""

import gzip
import json
import random
import re
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from mmedc.corpus.manifest import read_manifest
from mmedc.corpus.verify import verify
from mmedc.dedup.contamination import find
from mmedc.dedup.questions import Index, Question, find_questions, read_questions
from mmedc.engine.run import Inline
from mmedc.errors import RecipeError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.storage import Input
from tests.test_build import Notes
from tests.test_cli import mmedc

SAID = {
    "en": "A 54-year-old gardener has had a stiff jaw and painful spasms for two days after stepping on a rusty nail. "
    "Which toxin is responsible? | Tetanospasmin | Botulinum toxin | Shiga toxin",
    "scurvy": "Which vitamin is lacking in scurvy? | Vitamin C | Vitamin D | Vitamin K",
    "short": "Scurvy is: | a lack of vitamin C over many weeks or months | an infection | a tumour",
    "zh": "患者男性，五十四岁，园艺工人，踩到生锈的钉子两天后出现张口困难和肌肉痉挛，引起症状的毒素是"
    "| 破伤风痉挛毒素 | 肉毒毒素 | 志贺毒素",
    "ja": "五十四歳の男性。庭師。錆びた釘を踏んだ二日後から開口障害と有痛性の痙攣が出現した。原因となる毒素は。"
    "| テタノスパスミン | ボツリヌス毒素 | 志賀毒素",
    "fr": "Un jardinier de 54 ans présente depuis deux jours une raideur de la mâchoire et des spasmes douloureux "
    "après avoir marché sur un clou rouillé. Quelle toxine en est responsable ? | La tétanospasmine | La botuline",
    "ru": "Садовник 54 лет два дня жалуется на тугоподвижность челюсти и болезненные судороги после того, как наступил "
    "на ржавый гвоздь. Какой токсин вызывает эти симптомы? | Тетаноспазмин | Ботулотоксин",
    "es": "Un jardinero de 54 años tiene desde hace dos días rigidez de la mandíbula y espasmos dolorosos tras pisar "
    "un clavo oxidado. ¿Qué toxina causa sus síntomas? | Tetanoespasmina | Toxina botulínica",
}
QUESTIONS = [
    Question(f"{name}#1", said.split("|")[0].strip(), tuple(part.strip() for part in said.split("|")[1:]))
    for name, said in SAID.items()
]
FILLER = "The garden was quiet that morning, and nobody spoke of illness. 花园里很安静。 "


def planted(question: Question) -> str:
    options = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCDEFGHIJ", question.options, strict=False))
    return f"{FILLER * 3}\n{question.text}\n{options}\n{FILLER * 3}"


def repunctuated(text: str, draw: random.Random) -> str:
    """Change punctuation, width and case; words stay."""
    marks = [" ", "、", " - ", "; ", "！"]
    text = re.sub(r"[^\w\s]", lambda _: draw.choice(marks), unicodedata.normalize("NFC", text))
    wide = {code: code + 0xFEE0 for code in range(0x30, 0x3A)}
    return "".join(c.swapcase() if c.isascii() else c for c in text).translate(wide)


def paraphrased(text: str, draw: random.Random) -> str:
    """Change every 15th word, or character where there are no spaces."""
    parts = re.findall(r"[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+|\W+", text)
    words = [at for at, part in enumerate(parts) if part[0].isalnum()]
    for at in words[draw.randrange(15) :: 15]:
        parts[at] = draw.choice("的了在是") if len(parts[at]) == 1 and ord(parts[at]) > 0x3000 else "perhaps"
    return "".join(parts)


def questions_in(texts: list[str], index: Index) -> list[set[int]]:
    hits = find(texts, index)
    found: list[set[int]] = [set() for _ in texts]
    for text, question in zip(hits["text"].to_pylist(), hits["question"].to_pylist(), strict=True):
        found[text].add(question)
    return found


def test_questions_are_found_verbatim_and_with_other_punctuation() -> None:
    index, draw = Index(QUESTIONS, 13, 20), random.Random(1)
    for change in (lambda text: text, lambda text: repunctuated(text, draw)):
        found = questions_in([change(planted(one)) for one in QUESTIONS], index)
        assert all(number in here for number, here in enumerate(found))
    assert not any(questions_in([FILLER * 20, *(one.options[0] for one in QUESTIONS)], index))


def test_questions_are_found_in_other_words() -> None:
    """All but those so short that the change falls into their only run."""
    index, draw = Index(QUESTIONS, 13, 20), random.Random(1)
    texts = [FILLER + paraphrased(planted(one), draw) for one in QUESTIONS for _ in range(5)]
    found = questions_in(texts, index)
    long = [n for n, one in enumerate(QUESTIONS) if len(one.text) > 40]
    assert len(long) == 6
    assert sum(n // 5 in here for n, here in enumerate(found) if n // 5 in long) >= 0.9 * 5 * len(long)


@pytest.mark.parametrize("marks", ["ABC", "абв", "123", ("-", "-", "-")])
def test_a_question_of_a_few_words_is_found_with_its_options(marks: str) -> None:
    brief = Question("q#1", "Аспирин разжижает кровь?", ("да", "нет"))
    index = Index([brief, Question("q#2", "Why?", ())], 13, 20)
    options = "\n".join(f"{mark}) {option}" for mark, option in zip(marks, brief.options, strict=False))
    assert questions_in([f"{FILLER}\n{brief.text}\n{options}\n{FILLER}"], index) == [{0}]
    assert questions_in([f"{FILLER} {brief.text} Врач ответил."], index) == [set()]
    assert index.short == 1  # what has neither words nor options


def test_a_hit_says_where_it_is() -> None:
    texts = ["ﬁrst ½ " + planted(one) for one in QUESTIONS]
    hits = find(texts, Index(QUESTIONS, 13, 20)).to_pylist()
    for hit in hits:
        if hit["share"] == 1.0 and hit["text"] == hit["question"] and hit["question"] != 2:
            shown = texts[hit["text"]][hit["start"] : hit["stop"]]
            assert shown.startswith(QUESTIONS[hit["question"]].text[:20])


def test_a_short_question_needs_its_options() -> None:
    index = Index(QUESTIONS, 13, 20)
    alone = "We asked: which vitamin is lacking in scurvy? Nobody knew. " + FILLER
    assert questions_in([alone, alone + "Vitamin C, vitamin D or vitamin K?"], index) == [set(), {1}]


def test_phrases_of_exams_do_not_count() -> None:
    stem = "A 45 year old man is brought to the emergency department because of severe pain"
    several = [
        Question(f"q#{part}", f"{stem} in the {part} since noon. Which is it?", (f"{part} fracture", f"{part} sprain"))
        for part in ("left hand", "right foot", "lower back", "upper neck")
    ]
    index = Index(several, 13, 20)
    assert questions_in([f"{stem} after a fall from a ladder.", planted(several[2])], index) == [set(), {2}]


@pytest.mark.data
def test_real_benchmarks(data: Path) -> None:
    """Of eight benchmarks all questions that have words enough are found, and most light paraphrases."""
    names = ("medqa_us", "igakuqa", "cnmleqa", "frenchmedmcqa", "rumeddanet", "casimedicos", "jmmlu_med", "medmcqa")
    questions = find_questions(tuple(str(data / f"bench_{name}") for name in names), 13, 20).read()[::7]
    index, draw = Index(questions, 13, 20), random.Random(2)
    assert len(questions) > 1_000 and index.short == 0
    texts = [planted(one) for one in questions]
    for change in (lambda text: text, lambda text: repunctuated(text, draw)):
        found = questions_in([change(text) for text in texts], index)
        assert [n for n in range(len(questions)) if n not in found[n]] == []
    found = questions_in([paraphrased(text, draw) for text in texts], index)
    assert sum(n in here for n, here in enumerate(found)) > 0.75 * len(questions)  # some have one run of five words
    innocent = []
    for path in sorted(data.glob("text_*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            innocent += [json.loads(line)["text"] for line in file][:200]
    assert sum(bool(here) for here in questions_in(innocent, index)) <= 0.001 * len(innocent)


ROWS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"question": "q", "options": {"A": "x", "B": "y"}, "answer_idx": "A"}, ("x", "y")),
    ({"question": "q", "options": ["x", "y"]}, ("x", "y")),
    ({"question": "q", "options": [{"key": "A", "value": "x"}]}, ("x",)),
    ({"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}}, ("x", "y")),
    ({"query": "q", "A": "x", "B": "y", "C": None}, ("x", "y")),
    ({"prompt": "q", "opa": "x", "opb": "y"}, ("x", "y")),
    ({"question": "q"}, ()),
]


@pytest.mark.parametrize("kind", [".jsonl", ".jsonl.gz", ".json", ".parquet"])
@pytest.mark.parametrize(("row", "options"), ROWS)
def test_questions_are_read_as_they_lie_about(
    tmp_path: Path, kind: str, row: dict[str, Any], options: tuple[str, ...]
) -> None:
    path, line = tmp_path / f"set{kind}", json.dumps(row).encode()
    if kind == ".parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        whole = b"[" + line + b"]" if kind == ".json" else line + b"\n"
        path.write_bytes(gzip.compress(whole) if kind.endswith("gz") else whole)
    assert list(read_questions(Input(str(path), path.name, 1, ""))) == [Question(f"set{kind}#1", "q", options)]


def test_files_without_questions_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has no file of questions"):
        find_questions((str(tmp_path),), 13, 20)
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(RecipeError, match=r"a\.jsonl, row 1: no text under question"):
        find_questions((str(tmp_path),), 13, 20).read()
    (tmp_path / "a.jsonl").write_text('{"question": "x"}\n{"quest')
    with pytest.raises(RecipeError, match=r"a\.jsonl:2: not JSON"):
        find_questions((str(tmp_path),), 13, 20).read()


@pytest.fixture(scope="module")
def planted_corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """A corpus built from the quickstart, and a file of questions cut from six of its documents."""
    folder = tmp_path_factory.mktemp("plain")
    Build.prepare(read_recipe("quickstart"), str(folder / "c")).run(Inline(), Notes())
    rows = pads.dataset(folder / "c" / "data", format="parquet").to_table(["id", "lang", "text"]).to_pylist()
    chosen = {lang: next(row for row in rows if row["lang"] == lang) for lang in ("en", "zh", "ja", "fr", "ru", "es")}
    lines = [json.dumps({"question": row["text"][30:330]}) for row in chosen.values()]
    (folder / "bench.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "c", folder / "bench.jsonl", {row["id"]: row["text"] for row in chosen.values()}


@pytest.mark.parametrize("hits", ["drop", "mask", "report"])
def test_a_build_is_decontaminated(
    planted_corpus: tuple[Path, Path, dict[str, str]], tmp_path: Path, hits: str
) -> None:
    plain, bench, chosen = planted_corpus
    out = tmp_path / "c"
    sets = [f"decontaminate.questions={bench}", f"decontaminate.hits={hits}"]
    Build.prepare(read_recipe("quickstart", sets), str(out)).run(Inline(), Notes())
    manifest = verify(str(out))
    before, after = (
        {row["id"]: row for row in pads.dataset(folder / "data", format="parquet").to_table().to_pylist()}
        for folder in (plain, out)
    )
    told = pq.read_table(out / "rejects" / "contamination.parquet").to_pylist()
    assert {row["id"] for row in told} >= set(chosen) and manifest["contamination"]["questions"] == 6
    assert all(row["in_question"] and row["in_document"] and row["benchmark"] == "bench" for row in told)
    hit = {row["id"] for row in told}
    if hits == "drop":
        assert set(before) - set(after) == hit
        assert manifest["funnel"][-1]["step"] == "decontaminate"
        assert manifest["funnel"][-1]["dropped"] == {"benchmark_question": len(hit)}
    elif hits == "mask":
        for key, text in chosen.items():
            assert text[60:300] not in after[key]["text"] and "…" in after[key]["text"]
            assert after[key]["text"].endswith(text[-20:]) and after[key]["chars"] == len(after[key]["text"])
        assert {key: row["text"] for key, row in after.items() if key not in hit} == {
            key: row["text"] for key, row in before.items() if key not in hit
        }
        assert sum(s["text_bytes"] for s in manifest["shards"]) == sum(len(r["text"].encode()) for r in after.values())
    else:
        assert after == before and manifest["digest"] == read_manifest(str(plain))["digest"]


def test_the_commands_show_what_was_found(planted_corpus: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    plain, bench, _ = planted_corpus
    out = str(tmp_path / "c")
    Build.prepare(read_recipe("quickstart", [f"decontaminate={bench}"]), out).run(Inline(), Notes())
    shown = mmedc("contamination", out)
    assert shown.returncode == 0 and "bench.jsonl#1" in shown.stdout and "question:" in shown.stdout
    assert len(json.loads(mmedc("contamination", out, "--json").stdout)) >= 6
    missing = mmedc("contamination", str(plain))
    assert missing.returncode == 2 and "name the questions" in missing.stderr
    shown = mmedc("duplicates", out)
    assert shown.returncode == 0 and "stays" in shown.stdout and "goes" in shown.stdout
    rows = json.loads(mmedc("duplicates", out, "--json").stdout)
    assert {row["fate"] for row in rows} == {"stays", "goes"} and all(row["locator"] for row in rows)
