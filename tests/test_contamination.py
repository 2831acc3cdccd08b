"""Benchmark questions in documents: found however they are set, not found where they are not."""

import gzip
import html
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
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mmedc.corpus.manifest import read_manifest
from mmedc.corpus.verify import verify
from mmedc.dedup.clean import masks, original
from mmedc.dedup.contamination import find
from mmedc.dedup.question_index import Index
from mmedc.dedup.questions import Question, find_questions, read_questions
from mmedc.document import edited_text
from mmedc.engine.run import Inline
from mmedc.errors import RecipeError
from mmedc.inputs import Input
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
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
    brief = Question("q#1", "Кровь очень густая?", ("да", "нет"))
    index = Index([brief, Question("q#2", "Why?", ())], 13, 20)
    options = [f"{mark}) {option}" for mark, option in zip(marks, brief.options, strict=False)]
    for lines in ([brief.text, *options], [*options, brief.text]):
        assert questions_in(["\n".join([FILLER, *lines, FILLER])], index) == [{0}]
    assert questions_in([f"{FILLER} {brief.text} Врач ответил."], index) == [set()]
    assert index.too_short == 1  # what has neither words nor options


YES_OR_NO = Question("q#1", "Аспирин заметно разжижает кровь?", ("да", "нет"))


def test_a_rare_question_stands_for_itself_where_it_is_a_sentence() -> None:
    index = Index([YES_OR_NO], 13, 20)
    advertisement = "Читайте также: десять простых советов. Подпишитесь на рассылку!"
    middle = YES_OR_NO.text.replace("заметно ", f"заметно\n{advertisement}\n")
    for text in (YES_OR_NO.text, f"Врач спросил. {YES_OR_NO.text} Никто не знал.", f"1. {YES_OR_NO.text}", middle):
        assert questions_in([f"{FILLER}\n{text}\n{FILLER}"], index) == [{0}], text
    stated = YES_OR_NO.text.replace("?", "")
    for text in (f"Известно, что {stated.lower()}.", stated, f"Может ли быть, что {stated.lower()}?"):
        assert questions_in([f"{FILLER}\n{text}\n{FILLER}"], index) == [set()], text


def test_a_common_question_or_topic_needs_its_options() -> None:
    stems = [Question(f"q#{n}", f"Which of the following is true of the {n}?", ("a", "b")) for n in ("lung", "liver")]
    common = Question("q#3", "Which of the following is true of the heart?", ("It has four chambers", "It has six"))
    topic = Question("q#4", "Type 2 diabetes mellitus", ("Begins in old age only", "Never runs in families"))
    index = Index([*stems, common, topic], 13, 20)
    assert questions_in([f"{FILLER}\n{one.text}\n{FILLER}" for one in (common, topic)], index) == [set(), set()]
    assert questions_in([planted(common), planted(topic)], index) == [{2}, {3}]


VARIANTS = {
    "without accents": lambda text: "".join(
        char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char)
    ),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "entities": lambda text: "".join(char if char.isascii() else f"&#{ord(char)};" for char in text),
    "named entities": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
    "escaped twice": lambda text: "".join(char if char.isascii() else f"&amp;#x{ord(char):x};" for char in text),
    "hyphens": lambda text: re.sub(r"(\w{3})(\w{3})", "\\1-\n\\2", text),
    "soft hyphens": lambda text: re.sub(r"(\w{3})(\w{3})", "\\1\u00ad\\2", text),
    "spaces between characters": lambda text: re.sub("(?<=[぀-鿿])(?=[぀-鿿])", " ", text),
    "joiners": lambda text: re.sub(r"(\w)(\w)", "\\1\u200d\\2", text),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_questions_are_found_however_they_are_written(name: str) -> None:
    index = Index(QUESTIONS, 13, 20)
    found = questions_in([VARIANTS[name](planted(one)) for one in QUESTIONS], index)
    assert [n for n, here in enumerate(found) if n not in here] == []


@pytest.mark.parametrize("name", VARIANTS)
def test_a_hit_is_found_in_the_text_as_it_was(name: str) -> None:
    """What a hit spans begins and ends with the question's first and last words as they are written there."""
    index = Index(QUESTIONS, 13, 20)
    before, after = "Ausführlich – œuvre ½ &eacute;\n", "\nfin… déjà &lt;"
    for number, question in enumerate(QUESTIONS[:1] + QUESTIONS[5:6]):
        written = VARIANTS[name](question.text)
        text = f"{before}{written}{after}"
        hits = find([text], index).to_pylist()
        assert len(hits) == 1 and hits[0]["share"] == 1, number
        assert text[hits[0]["start"] : hits[0]["stop"]] == written.rstrip("?").rstrip()


def test_options_may_stand_before_the_question() -> None:
    index = Index(QUESTIONS, 13, 20)
    scurvy = QUESTIONS[1]
    assert questions_in([f"{FILLER} {' '.join(scurvy.options)} Now then: {scurvy.text} {FILLER}"], index) == [{1}]


def test_a_hit_says_where_it_is() -> None:
    texts = ["ﬁrst ½ " + planted(one) for one in QUESTIONS]
    hits = find(texts, Index(QUESTIONS, 13, 20)).to_pylist()
    for hit in hits:
        if hit["share"] == 1.0 and hit["text"] == hit["question"] and hit["question"] != 2:
            shown = texts[hit["text"]][hit["start"] : hit["stop"]]
            assert shown.startswith(QUESTIONS[hit["question"]].text[:20])


def test_a_short_question_within_a_sentence_needs_its_options() -> None:
    index = Index(QUESTIONS, 13, 20)
    alone = "Nobody asked which vitamin is lacking in scurvy, and nobody knew. " + FILLER
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
    assert len(questions) > 1_000 and index.too_short == 0
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


def test_all_of_a_question_is_masked_however_often_it_stands_there() -> None:
    """Twice, its first half again, and once with a word changed: nothing is found in what is left."""
    index = Index(QUESTIONS, 13, 20)
    for question in (one for one in QUESTIONS if len(one.text) > 15):
        words = question.text.split(" ") if " " in question.text else list(question.text)
        glue = " " if " " in question.text else ""
        half = glue.join(words[: -(-len(words) * 2 // 3)])
        changed = glue.join("nothing" if at == len(words) // 2 else word for at, word in enumerate(words))
        text = f"{planted(question)}\n{question.text}\n{FILLER} {half} {changed} {FILLER}{planted(question)}"
        spans = masks(text, find([text], index).to_pylist(), index)
        masked = edited_text(text, spans)
        assert find([masked], index).num_rows == 0
        assert question.text not in masked and masked.startswith(FILLER * 3)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6), st.sampled_from(["", "…", "ab"])), max_size=6))
def test_a_character_of_an_edited_text_is_mapped_to_where_it_came_from(draws: list[tuple[int, int, str]]) -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))
    spans, end = [], 0
    for gap, length, by in draws:
        if end + gap + length <= len(text):
            spans.append((end + gap, end + gap + length, by))
            end += gap + length
    edited = edited_text(text, spans)
    for at, char in enumerate(edited):
        low, high = original(spans, at)
        assert text[low:high] == char if char in text else (low, high) in [span[:2] for span in spans]


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
    assert {row["id"] for row in told} >= set(chosen) and manifest.contamination.questions == 6
    assert all(row["in_question"] and row["in_document"] and row["benchmark"] == "bench" for row in told)
    hit = {row["id"] for row in told}
    if hits == "drop":
        assert set(before) - set(after) == hit
        assert manifest.funnel[-1].step == "decontaminate"
        assert manifest.funnel[-1].dropped == {"benchmark_question": len(hit)}
    elif hits == "mask":
        for key, text in chosen.items():
            assert text[60:300] not in after[key]["text"] and "…" in after[key]["text"]
            assert after[key]["text"].endswith(text[-20:]) and after[key]["chars"] == len(after[key]["text"])
        assert {key: row["text"] for key, row in after.items() if key not in hit} == {
            key: row["text"] for key, row in before.items() if key not in hit
        }
        assert sum(s.text_bytes for s in manifest.shards) == sum(len(r["text"].encode()) for r in after.values())
    else:
        assert after == before and manifest.digest == read_manifest(str(plain)).digest


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
    assert "similarity" in shown.stdout and "(estimated)" in shown.stdout
    assert all(cell_len(line) <= 180 for line in shown.stdout.splitlines())
    assert len(re.findall("(?m)^cluster", shown.stdout)) == 10 and "more clusters; --limit" in shown.stdout
    chinese = mmedc("duplicates", out, "-n", "2", "-l", "zh").stdout
    assert len(re.findall(r"(?m)^cluster \d+: \d+ documents, zh,", chinese)) == 2
    assert 'has no language "zz"; known: ' in mmedc("duplicates", out, "-l", "zz").stderr
    rows = json.loads(mmedc("duplicates", out, "--json").stdout)
    assert {row["fate"] for row in rows} == {"stays", "goes"} and all(row["locator"] for row in rows)
