"""Question sets in their makers' formats, each with a few questions written for this test."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mmedc.bench.formats import FORMATS, convert
from mmedc.bench.items import read_items, write_items
from mmedc.cli import app
from mmedc.errors import RecipeError

ORGANS = {"A": "Heart", "B": "Lung", "C": "Skin", "D": "Bone"}
EXAM = {"name": "Examen de prueba", "year": "2020", "category": "nursery", "data": [
    {"qid": "1", "qtext": "¿Qué órgano bombea la sangre?", "ra": "2", "image": "",
     "answers": [{"aid": 2, "atext": "El corazón"}, {"aid": 1, "atext": "La piel"}]},
    {"qid": "2", "qtext": "¿Qué se ve en la imagen?", "ra": "1", "image": "x.png",
     "answers": [{"aid": 1, "atext": "Una fractura"}, {"aid": 2, "atext": "Nada"}]},
    {"qid": "3", "qtext": "¿Anulada?", "ra": "0", "answers": [{"aid": 1, "atext": "Sí"}, {"aid": 2, "atext": "No"}]},
]}  # fmt: skip
MCQ = {
    "opa": "Iron",
    "opb": "Zinc",
    "opc": "Copper",
    "opd": "Lead",
    "exp": "It is in haem.",
    "subject_name": "Biochemistry",
}
FILES: dict[str, list[tuple[str, Any]]] = {
    "medqa-usmle": [("t.jsonl", [
        {"question": "Which organ pumps blood?", "options": ORGANS, "answer": "Heart", "answer_idx": "A", "meta_info": "step1"},
        {"question": "Which organ takes up oxygen?", "options": [{"key": k, "value": v} for k, v in ORGANS.items()],
         "answer": "Lung", "answer_idx": "B"},
        {"question": "Which?", "options": ORGANS, "answer_idx": "E"},
        {"question": " ", "options": ORGANS, "answer_idx": "A"},
        {"no": "question"},
    ])],
    "medqa-mcmle": [("t.jsonl", [{"question": "哪个器官泵血？", "options": {"A": "心", "B": "肺"}, "answer_idx": "A"}])],
    "igakuqa": [("118-A.jsonl", [
        {"problem_id": "118A1", "problem_text": "血液を送り出す臓器はどれか。", "choices": ["心臓", "肺", "皮膚"],
         "text_only": True, "answer": ["a"], "points": "1"},
        {"problem_id": "118A2", "problem_text": "一対の臓器はどれか。2つ選べ。", "choices": ["腎", "肺", "肝"], "text_only": True,
         "answer": ["a", "b"]},
        {"problem_id": "118A3", "problem_text": "写真を示す。", "choices": ["a", "b"], "text_only": False, "answer": ["a"]},
        {"problem_id": "118A4", "problem_text": "何mLか。", "choices": ["1", "2"], "answer": ["12"]},
    ])],
    "frenchmedmcqa": [("dev.json", [
        {"id": "f1", "question": "Quels organes sont pairs ?", "answers": {"a": "Reins", "b": "Poumons", "c": "Foie"},
         "correct_answers": ["b", "a"], "nbr_correct_answers": 2},
        {"id": "f2", "question": "Lequel bat ?", "answers": {"a": "Cœur", "b": "Os"}, "correct_answers": [0]},
    ])],
    "rumeddanet": [("dev.jsonl", [
        {"pairID": "r1", "context": "Сердце качает кровь.", "question": "Сердце качает кровь?", "answer": "да"},
        {"pairID": "r2", "context": "Лёгкие дышат.", "question": "Лёгкие качают кровь?", "answer": "нет"},
        {"pairID": "r3", "context": "Кость.", "question": "Без ответа?"},
    ])],
    "headqa": [("test_HEAD.json", {"version": 1, "language": "es", "exams": {"e": EXAM}})],
    "mmedbench": [
        ("French.jsonl", [{"question": "Pairs ?", "options": {"A": "Reins", "B": "Foie", "C": "Poumons"}, "answer_idx": "A,C",
                           "rationale": "Deux reins.", "human_checked": True, "human_check_passed": True}]),
        ("Russian.jsonl", [{"question": "Бьётся?", "options": {"A": "да", "B": "нет"}, "answer_idx": "A", "rationale": "Да.",
                            "human_checked": True, "human_check_passed": False}]),
    ],
    "medmcqa": [("dev.json", [
        {"id": "m1", "question": "Which metal carries oxygen?", "cop": 1, **MCQ},
        {"id": "m2", "question": "Which metal is a poison?", "cop": 4, **MCQ, "exp": None},
        {"id": "m2", "question": "The same id once more?", "cop": 4, **MCQ},
    ])],
    "pubmedqa": [("ori.json", {
        "1": {"QUESTION": "Does rest help?", "CONTEXTS": ["We asked.", "They slept."], "final_decision": "maybe", "LONG_ANSWER": "Perhaps."},
        "2": {"QUESTION": "Undecided?", "CONTEXTS": ["Nothing."]},
    })],
    "mmlu": [
        ("anatomy_test.csv", [["Which bone, of the skull, moves?", "Mandible", "Vomer", "Frontal", "Parietal", "A"]]),
        ("astronomy_test.csv", [["Which planet?", "Mars", "Moon", "Sun", "Io", "A"]]),
    ],
    "kormedmcqa": [("doctor-test.csv", [
        ["subject", "year", "period", "q_number", "question", "A", "B", "C", "D", "E", "answer"],
        ["doctor", "2022", "1", "1", "피를 보내는 기관은?", "심장", "폐", "간", "뼈", "피부", "1"],
        ["doctor", "2022", "1", "2", "숨을 쉬는 기관은?", "심장", "폐", "간", "뼈", "피부", "2"],
    ])],
    "cmmlu": [
        ("anatomy.csv", [["", "Question", "A", "B", "C", "D", "Answer"], ["0", "哪个器官泵血？", "心", "肺", "肝", "骨", "A"]]),
        ("astronomy.csv", [["", "Question", "A", "B", "C", "D", "Answer"], ["0", "哪颗行星？", "火", "水", "木", "土", "A"]]),
    ],
    "cmb": [("val.json", [
        {"id": 1, "exam_subject": "内科", "question": "成对的器官是？", "answer": "AB", "option": {"A": "肾", "B": "肺", "C": "肝"}},
        {"id": 2, "exam_subject": "内科", "question": "未公布？", "option": {"A": "肾", "B": "肺"}},
    ])],
    "medexpqa": [("test.es.jsonl", [
        {"id": 7, "year": 2020, "type": "CARDIOLOGÍA", "full_question": "¿Qué órgano bombea sangre?", "correct_option": 3,
         "options": {"1": "La piel", "2": "El pulmón", "3": "El corazón", "4": "El hueso", "5": None}, "full_answer": "Late."},
    ])],
    "medxpertqa": [("test.jsonl", [
        {"id": "Text-1", "question": "Which pumps?\nAnswer Choices: (A) Skin (B) Heart", "label": "B",
         "options": {"A": "Skin", "B": "Heart"}, "body_system": "Cardiovascular"},
        {"id": "MM-1", "question": "What is seen?", "label": "A", "options": {"A": "a", "B": "b"}, "images": ["x.png"]},
        {"id": "Text-2", "question": "Which breathes?", "label": "A",
         "options": [{"letter": "A", "content": "Lung"}, {"letter": "B", "content": "Skin"}]},
    ])],
    "global-mmlu": [("fr/test.jsonl", [
        {"sample_id": "anatomy/test/0", "subject": "anatomy", "question": "Lequel bat ?", "option_a": "Os",
         "option_b": "Cœur", "option_c": "Peau", "option_d": "Foie", "answer": "B"},
        {"sample_id": "astronomy/test/0", "subject": "astronomy", "question": "?", "answer": "B"},
    ])],
    "mmlu-prox": [("de/test.jsonl", [
        {"question_id": 5, "category": "health", "question": "Welches Organ pumpt?", "option_0": "Haut", "option_1": "Lunge",
         "option_2": "Herz", "option_3": None, "answer": "C"},
        {"question_id": 6, "category": "law", "question": "?", "answer": "A"},
    ])],
    "afrimedqa": [("afri.csv", [
        ["sample_id", "question_type", "question", "answer_options", "correct_answer", "specialty"],
        ["a1", "mcq", "Which pumps?", '{"option1": "Skin", "option2": "Heart", "option3": ""}', "option2", "Cardiology"],
        ["a2", "mcq", "Which are pairs?", '{"option1": "Kidney", "option2": "Liver", "option3": "Lung"}',
         "option1,option3", "Anatomy"],
        ["a3", "saq", "Why?", "", "", "Anatomy"],
        ["a4", "mcq", "Which is right?", '{"option1": "Heart", "option2": "Lung", "option3": "n/a"}', "option1", ""],
    ])],
    "kokushimd": [("train_ja.jsonl", [
        {"year": "2023", "section": "A", "index": "1", "question": "血液を送る臓器はどれか。", "a": "心臓", "b": "肺", "c": "肝臓",
         "answer": "a", "text_only": True},
        {"year": "2023", "section": "A", "index": "2", "question": "対になる臓器はどれか。2つ選べ。", "1": "腎臓", "2": "心臓", "3": "肺",
         "answer": "13", "text_only": True},
        {"index": "3", "question": "写真を示す。", "a": "右", "b": "左", "answer": "a", "text_only": False},
        {"index": "4", "question": "何回か。", "answer": "12", "text_only": True},
    ])],
    "apollomoe": [("ApolloMoEBench.json", [
        {"question": "Hvilket organ pumper?", "options": "(A) Hud\n(B) Hjerte\n(C) Lunge\n(D) Lever", "answer": "(B)",
         "language": "da", "source": "MMLU", "class": "minor"},
        {"question": "Uden svar?", "options": "(A) Ja\n(B) Nej", "answer": "", "language": "da"},
    ])],
    "medarabiq": [("questions.csv", [
        ["Question", "Answer", "Category"],
        ["أي عضو يضخ الدم:\nأ. الرئة\nب. القلب\nج. الكبد\nهـ. الجلد", "ب. القلب\n", "Physiology"],
        ["أي عضو يتنفس:\nا. الرئة\nب. القلب", "أ. الرئة", "Physiology"],
        ["سؤال بلا خيارات", "القلب", "Physiology"],
        ["أي عضو:\nأ. الرئة\nب. القلب", "د. الكبد", "Physiology"],
    ])],
    "rumednli": [("dev_v1.jsonl", [
        {"pairID": "p1", "ru_sentence1": "Сердце бьётся.", "ru_sentence2": "Сердце стоит.", "gold_label": "contradiction"},
        {"pairID": "p2", "ru_sentence1": "Сердце бьётся.", "ru_sentence2": "Пульс есть.", "gold_label": "entailment"},
        {"pairID": "p3", "ru_sentence1": "Сердце бьётся.", "ru_sentence2": "Ему сорок лет."},
    ])],
    "rumedtest": [("test.jsonl", [
        {"idx": "t1", "question": "Кровь качает", "1": "кожа", "2": "лёгкое", "3": "сердце", "4": "кость", "answer": "3"},
        {"idx": "t2", "question": "Без ответа", "1": "кожа", "2": "лёгкое", "3": "сердце", "4": "кость"},
    ])],
    "europemedqa": [("ssm.json", [
        {"id": "IT0001", "question": "Quale organo pompa?", "options": [{"letter": "A", "text": "Pelle"},
         {"letter": "B", "text": "Cuore"}], "correct_answer": {"letter": "B", "index": 1}, "specialty": "Cardiology",
         "has_image": False, "metadata": {"nullified": False}},
        {"id": "IT0002", "question": "Che cosa si vede?", "options": [], "has_image": True},
        {"id": "PT0003", "question": "Anulada?", "options": [], "metadata": {"nullified": True}},
    ])],
}  # fmt: skip
EXPECTED = {
    "medqa-usmle": (["A", "B"], {"an answer that is not among the options": 1, "no question": 1, "not a row": 1}),
    "medqa-mcmle": (["A"], {}),
    "igakuqa": (["A", "A,B"], {"a question about a picture": 1, "an answer that is a number": 1}),
    "frenchmedmcqa": (["A,B", "A"], {}),
    "rumeddanet": (["A", "B"], {"no answer": 1}),
    "headqa": (["B"], {"a question about a picture": 1, "no answer": 1}),
    "mmedbench": (["A,C", "A"], {}),
    "medmcqa": (["A", "D"], {"an id that came before": 1}),
    "pubmedqa": (["C"], {"no answer": 1}),
    "mmlu": (["A"], {"a subject that is not medical": 1}),
    "kormedmcqa": (["A", "B"], {}),
    "cmmlu": (["A"], {"a subject that is not medical": 1}),
    "cmb": (["A,B"], {"no answer": 1}),
    "medexpqa": (["C"], {}),
    "medxpertqa": (["B", "A"], {"a question about a picture": 1}),
    "global-mmlu": (["B"], {"a subject that is not medical": 1}),
    "mmlu-prox": (["C"], {"a subject that is not medical": 1}),
    "afrimedqa": (["B", "A,C", "A"], {"a question without options": 1}),
    "kokushimd": (["A", "A,C"], {"a question about a picture": 1, "a question without options": 1}),
    "apollomoe": (["B"], {"no answer": 1}),
    "medarabiq": (["B", "A"], {"a question without options": 1, "an answer that is not among the options": 1}),
    "rumednli": (["B", "A"], {"no answer": 1}),
    "rumedtest": (["C"], {"no answer": 1}),
    "europemedqa": (["B"], {"a question about a picture": 1, "a question that was withdrawn": 1}),
}  # fmt: skip


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".csv":
        lines = io.StringIO()
        csv.writer(lines).writerows(content)
        path.write_text(lines.getvalue(), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
    else:
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_a_question_set_becomes_items(name: str, tmp_path: Path) -> None:
    for file, content in FILES[name]:
        write(tmp_path / file, content)
    found = convert(name, [str(tmp_path)])
    gold, rejects = EXPECTED[name]
    assert [",".join(item.gold) for item in found.items] == gold
    assert {reason.split(" of ")[0]: count for reason, (count, _) in found.rejects.items()} == rejects
    for item in found.items:
        assert item.source == FORMATS[name].source and item.licence == FORMATS[name].licence and item.lang
    write_items(found.items, tmp_path / "out" / "items.jsonl")
    if name != "mmedbench":  # whose two files are of two languages: what has several answers is said by file
        assert read_items((str(tmp_path / "out" / "items.jsonl"),)) == found.items


def test_what_a_set_says_is_kept(tmp_path: Path) -> None:
    for name, files in FILES.items():
        (tmp_path / name).mkdir()
        for file, content in files:
            write(tmp_path / name / file, content)
    found = {name: convert(name, [str(tmp_path / name)]).items for name in FILES}
    assert found["headqa"][0].options == {"A": "La piel", "B": "El corazón"} and found["headqa"][0].topic == "nursery"
    assert found["rumeddanet"][1].context == "Лёгкие дышат."
    french, russian = found["mmedbench"]
    assert (french.lang, french.multiple, french.human_checked) == ("fr", True, True)
    assert (russian.lang, russian.multiple, russian.human_checked) == ("ru", False, False)
    assert found["medmcqa"][0].rationale == "It is in haem." and found["mmlu"][0].topic == "anatomy"
    assert found["pubmedqa"][0].context == "We asked. They slept." and found["igakuqa"][0].multiple


def test_the_hub_has_other_shapes(tmp_path: Path) -> None:
    rows = {
        "medmcqa": [{"id": "x", "question": "First?", "cop": 0, **MCQ}, {"id": "y", "question": "?", "cop": -1, **MCQ}],
        "mmlu": [{"question": "Bone?", "subject": "anatomy", "choices": ["Vomer", "Liver"], "answer": 1}],
        "pubmedqa": [{"pubid": 7, "question": "So?", "context": {"contexts": ["Yes."]}, "final_decision": "yes"}],
        "headqa": [
            {"name": "e", "qid": 1, "qtext": "¿?", "ra": 1, "category": "c", "answers": EXAM["data"][0]["answers"]}
        ],
    }
    expected = {"medmcqa": "A", "mmlu": "B", "pubmedqa": "A", "headqa": "A"}
    for name, content in rows.items():
        pq.write_table(pa.Table.from_pylist(content), tmp_path / f"{name}.parquet")
        (item,) = convert(name, [str(tmp_path / f"{name}.parquet")]).items
        assert ",".join(item.gold) == expected[name]


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="known are medqa-usmle"):
        convert("medqa", [str(tmp_path)])
    with pytest.raises(RecipeError, match="there are no files"):
        convert("mmlu", [str(tmp_path)])
    (tmp_path / "a.jsonl").write_text('{"question": 1}\n{')
    with pytest.raises(RecipeError, match=r"a\.jsonl:2: not JSON"):
        convert("medqa-usmle", [str(tmp_path)])
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-4])
    with pytest.raises(RecipeError, match="can't be read"):
        convert("medqa-usmle", [str(tmp_path)])
    write(tmp_path / "c.json", [{"id": "m", "question": "?", "cop": 2, **MCQ}])
    with pytest.raises(RecipeError, match="neither 0 nor 4"):
        convert("medmcqa", [str(tmp_path / "c.json")])


def test_the_command_counts_what_it_leaves_out(tmp_path: Path) -> None:
    for file, content in FILES["medqa-usmle"]:
        write(tmp_path / file, content)
    arguments = ["items", "convert", "medqa-usmle", str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "out.jsonl")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "2 items, 0 with several right answers" in done.output
    assert "left out 1: no question (first: t.jsonl#4)" in done.output


class Hub(BaseHTTPRequestHandler):
    """What `hf://` asks of the hub: the data set `owner/set`, with its files in two folders."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        url, api = urlparse(self.path), "/api/datasets/owner/set"
        if url.path in (api, f"{api}/revision/main"):
            self._json({"id": "owner/set", "sha": "0" * 40, "siblings": []})
        elif url.path.startswith(f"{api}/tree/main"):
            self._json(self._tree(unquote(url.path[len(api) + 10 :]).strip("/"), "recursive=true" in url.query))
        elif (name := unquote(url.path.removeprefix("/datasets/owner/set/resolve/main/"))) in self.files:
            low, _, high = self.headers["Range"].removeprefix("bytes=").partition("-")
            self._send(206, self.files[name][int(low) : int(high) + 1], {"ETag": '"x"'})
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _tree(self, base: str, recursive: bool) -> list[dict[str, Any]]:
        prefix, found = f"{base}/" if base else "", {}
        for name, data in self.files.items():
            if name.startswith(prefix):
                inner, deeper = name[len(prefix) :].split("/", 1)[0], "/" in name[len(prefix) :]
                if deeper:
                    found[prefix + inner] = {"type": "directory", "oid": "2" * 40, "path": prefix + inner}
                if recursive or not deeper:
                    found[name] = {"type": "file", "oid": "1" * 40, "size": len(data), "path": name}
        return list(found.values())

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def convert_from(endpoint: str, url: str, out: Path) -> subprocess.CompletedProcess[str]:
    """Run `mmedc items convert` with the hub at `endpoint`, as a user would."""
    command = [sys.executable, "-m", "mmedc.cli", "items", "convert", "igakuqa", url, "--out", str(out)]
    environment = os.environ | {"HF_ENDPOINT": endpoint, "NO_PROXY": "*", "no_proxy": "*", "HF_HUB_OFFLINE": "0"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_data_sets_of_the_hub_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = FILES["igakuqa"][0][1]
    parts = {"118-A.jsonl": rows[:1], "more/118-B.jsonl": rows[1:]}
    monkeypatch.setattr(Hub, "files", {name: "\n".join(map(json.dumps, part)).encode() for name, part in parts.items()})
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        for url, count in (("118-A.jsonl", 1), ("", 2), ("more", 1), ("**/*.jsonl", 2)):
            done = convert_from(endpoint, f"hf://datasets/owner/set/{url}".rstrip("/"), tmp_path / "items.jsonl")
            assert done.returncode == 0, done.stderr
            assert len(read_items((str(tmp_path / "items.jsonl"),))) == count
        done = convert_from(endpoint, "hf://datasets/owner/none", tmp_path / "none.jsonl")
        assert done.returncode == 2 and "there are no files" in done.stderr
        server.shutdown()
    done = convert_from(endpoint, "hf://datasets/owner/set", tmp_path / "none.jsonl")
    assert done.returncode == 75 and "the hub does not answer" in done.stderr and "defect" not in done.stderr


def test_question_sets_of_six_languages_are_read(data: Path) -> None:
    found = {folder.name: Counter(item.lang for item in read_items((str(folder),))) for folder in data.glob("bench_*")}
    assert found["bench_frenchmedmcqa"] == {"fr": 2482}  # of 2,483 rows one stands there twice
    assert found["bench_casimedicos"] == {"en": 436, "es": 436, "fr": 436, "it": 435}
    assert {lang for counts in found.values() for lang in counts} == {"en", "zh", "ja", "fr", "ru", "es", "it"}
    assert sum(sum(counts.values()) for counts in found.values()) == 11_053
