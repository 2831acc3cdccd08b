"""What identifies people is replaced, and nothing that only looks like it; unwanted hosts are dropped."""

import re
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa
import pytest

from mmedc.errors import PolicyError
from mmedc.national_ids import national_id
from mmedc.policy import Policy, read_language, read_policy
from mmedc.steps.block import blocker
from mmedc.steps.privacy import Private, finder, replacer

MARK = re.compile(r"\{([A-Z]+)\|([^{}]+)\}")


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("en", "Write to jane.doe@clinic.example or call (212) 555-2368.", "Write to <EMAIL> or call <PHONE>."),
        ("en", "MRN: 00482913, admitted from 81.2.69.142", "MRN: <RECORD>, admitted from <IP>"),
        ("en", "Patient: John A. Smith, 54 years", "Patient: <NAME>, 54 years"),
        ("en", "Address 2001:db8:85a3::8a2e:370:7334 and 2a00:1450:4001:81b::200e", None),
        ("en", "SSN 078-05-1120", "SSN <RECORD>"),
        ("zh", "姓名：张三，身份证11010519491231002X，病历号：20231145", "姓名：<NAME>，身份证<ID>，病历号：<RECORD>"),
        ("ja", "氏名：山田太郎\n電話 03-3581-4111", "氏名：<NAME>\n電話 <PHONE>"),
        ("fr", "Nom du patient : Jean Dupont\nNIR 1 84 12 76 451 089 46", None),
        (
            "es",
            "Paciente: María García López, DNI 54362315K, tel. 912 345 678",
            "Paciente: <NAME>, DNI <ID>, tel. <PHONE>",
        ),
        ("ru", "Пациент: Иванов Иван Иванович, тел. +7 495 123-45-67", "Пациент: <NAME>, тел. <PHONE>"),
        ("de", "Patientennummer 4711-0815, Tel. 030 227-32152", "Patientennummer <RECORD>, Tel. <PHONE>"),
        ("it", "Codice fiscale RSSMRA80A01H501U", "Codice fiscale <ID>"),
        ("pt", "Paciente: Ana Souza\nCPF 390.533.447-05", "Paciente: <NAME>\nCPF <ID>"),
        ("ko", "환자명: 김철수\n전화 02-2133-2114", "환자명: <NAME>\n전화 <PHONE>"),
        ("hi", "रोगी का नाम: राम कुमार", "रोगी का नाम: <NAME>"),
        ("ar", "اسم المريض: محمد علي", "اسم المريض: <NAME>"),
    ],
)
def test_what_identifies_people_is_replaced(code: str, text: str, expected: str | None) -> None:
    found, count = replacer(read_language(code).privacy)(text)
    if expected is not None:
        assert found == expected
    assert count == found.count("<") > 0


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "From 1998-2003 we enrolled 1,234,567 people (n = 4567 8901); p < 0.001, 95% CI 1.02-1.38."),
        ("en", "See section 12.3.4.5 and doi 10.1016/j.jacc.2019.01.010; at 12:30:45 he fell."),
        ("en", "The patient: a man of 54 years. Patients: all who came."),
        ("en", "http://www.npr.org/2011/06/09/137057974/x?id=1234567890 and Moderna, mRNA-1273"),
        ("es", "9 192 631 770 de estas vibraciones; 2400000.5 días; a 3000-3500 m"),
        ("zh", "患者：男，54岁，血压120/80mmHg，海拔3000-3500米，2400000.5"),
        ("fr", "De 1990 à 2000, 2 500 000 cas ; posologie : 100 mg 3 fois par jour"),
        ("es", "Paciente: varón de 54 años, 120/80 mmHg"),
        ("ru", "С 2010-2015 гг. 1 234 567 случаев, 120/80"),
        ("de", "ICD-10 E11.9, ISBN 978-3-13-128283-5"),
        ("ja", "平成10年4月1日から2003年3月31日まで"),
    ],
)
def test_figures_of_medicine_stay(code: str, text: str) -> None:
    assert replacer(read_language(code).privacy)(text) == (text, 0)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("zh", "稿件寄editor@journal.example谢谢", "稿件寄<EMAIL>谢谢"),
        ("zh", "邮箱ｌｉ＠ｈｏｓｐｉｔａｌ．ｅｘａｍｐｌｅ，电话０１０－６５１２３４５６", "邮箱<EMAIL>，电话<PHONE>"),
        ("zh", "电话（０２１）６２４８３１８０转", "电话<PHONE>转"),
        ("ja", "電話０３－３５８１－４１１１まで", "電話<PHONE>まで"),
        ("ja", "電話03ー3581ー4111", "電話<PHONE>"),
        ("ko", "주소 81.2.69.142에서 접속", "주소 <IP>에서 접속"),
        ("hi", "सर्वर 81.2.69.142से", "सर्वर <IP>से"),
        ("ar", "رقم الملف ٤٨٢٩١٣ والهاتف ٠١٠٠١٢٣٤٥٦٧", "رقم الملف <RECORD> والهاتف <PHONE>"),
        ("ru", "сервер 81.2.69.142: порт, узел 81.2.69.142:8080", "сервер <IP>: порт, узел <IP>:8080"),
        ("es", "IP:81.2.69.142:443", "IP:<IP>:443"),
        ("es", "DNI 54.362.315-K y NIE X-1234567-L", "DNI <ID> y NIE <ID>"),
        ("zh", "身份证512901196001010010", "身份证<RECORD>"),  # a wrong check digit
        ("zh", "姓名：王小明 男", "姓名：<NAME> 男"),
        ("en", "Patient: SMITH, John", "Patient: <NAME>"),
        ("de", "Patient: Ludwig van der Berg", "Patient: <NAME>"),
        ("en", "mail jane.doe [at] clinic [dot] example", "mail <EMAIL>"),
        ("ru", "иван@почта.рф", "<EMAIL>"),
        ("en", "SIN 046 454 286", "SIN <RECORD>"),  # no valid one, but what else follows the word
        ("es", "Paciente: GARCÍA DE LA VEGA, JUAN", "Paciente: <NAME>"),
        ("en", "Patient: de Souza, Maria", "Patient: <NAME>"),
        ("zh", "门诊号码：A123456", "门诊号码：<RECORD>"),
        (
            "en",
            "Lancet 2020; 395: 497-506, PII S0140-6736(20)30183-5",
            "Lancet 2020; 395: 497-506, PII S0140-6736(20)30183-5",
        ),
    ],
)
def test_neighbours_widths_and_forms(code: str, text: str, expected: str) -> None:
    assert replacer(read_language(code).privacy)(text)[0] == expected


@pytest.mark.parametrize(
    ("code", "before"),
    [
        ("en", "Medical Record Number (MRN): "),
        ("en", "MRN (medical record number): "),
        ("en", "Medical record no. (MRN) "),
        ("es", "Número de historia clínica (NHC): "),
        ("fr", "Identifiant permanent du patient (IPP) : "),
        ("de", "Fallnummer (FN): "),
        ("zh", "住院号（ID）："),
    ],
)
def test_record_numbers_follow_abbreviations_in_brackets(code: str, before: str) -> None:
    assert replacer(read_language(code).privacy)(f"{before}1234567") == (f"{before}<RECORD>", 1)


@pytest.mark.parametrize(
    "text",
    [
        "The National Health Service (NHS) 2019 report",
        "Social security (SSN) 2010-2015",
        "NHS (England) 1990",
        "social security (SS) 65000 people",
    ],
)
def test_years_and_counts_after_brackets_stay(text: str) -> None:
    assert replacer(read_language("en").privacy)(text) == (text, 0)


@pytest.mark.parametrize("code", ["en", "pt", "hi", "de", "ru", "zh"])
@pytest.mark.parametrize(
    "text",
    [
        "Sci Rep 2020;10:12345-12350",
        "J Biol Chem 1998;273:12345-12351",
        "PNAS 2005; 102: 15545-15550",
        "Proc Natl Acad Sci U S A. 2005 Oct 25;102(43):15545–15550.",
        "J Neurosci 2007，27：12345－12353",
        "J Biol Chem 273, 12345-12351",
    ],
)
def test_pages_of_citations_stay(code: str, text: str) -> None:
    assert replacer(read_language(code).privacy)(text) == (text, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail jo\u200bhn\u00ad@clinic\u200d.example now", "Mail <EMAIL> now"),
        ("\ufeffcall 212\u200b-555-\u20602368, asth\u00adma", "\ufeffcall <PHONE>, asth\u00adma"),
        ("MRN\u200b: 123\u200b4567", "MRN\u200b: <RECORD>"),
        ("\U0001d5c3\U0001d5c8\U0001d5c1\U0001d5c7@clinic.example", "<EMAIL>"),
        ("\U0001f150 call \U0001d7d0\U0001d7cf\U0001d7d0-555-2368", "\U0001f150 call <PHONE>"),
        ("John\u200b, 2020\u20112021", "John\u200b, 2020\u20112021"),
    ],
)
def test_invisible_and_mathematical_characters_hide_nothing(text: str, expected: str) -> None:
    assert replacer(read_language("en").privacy)(text)[0] == expected


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("cn.ric", "132821195501010013", "132821195501010014"),  # a place that no list of today has
        ("ru.snils", "112-233-445 95", "112-233-445 96"),
        ("tw.id", "A123456789", "A123456788"),
        ("fr.nir", "1 84 12 76 451 089 46", "1 84 12 76 451 089 47"),
    ],
)
def test_check_digits_decide(name: str, right: str, wrong: str) -> None:
    kind = national_id(name)
    if name == "cn.ric":
        digits = right[:17]
        total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(digits))
        right, wrong = (digits + "10X98765432"[(total + step) % 11] for step in (0, 1))
    assert kind.shape.fullmatch(right) and kind.matches(right, announced=False)
    assert not kind.matches(wrong, announced=True)


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "privacy").glob("*.tsv")), ids=lambda path: path.stem)
def test_the_gold_set_is_found(path: Path) -> None:
    """Precision and recall of what has a form, on the texts of benchmarks/privacy.py."""
    find = finder(read_language(path.stem).privacy)
    hit = missed = false = without = 0
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        parts = MARK.split(line.split("\t")[1])
        text, marked = "", set()
        for plain, kind, value in zip_longest(parts[::3], parts[1::3], parts[2::3], fillvalue=""):
            text += plain
            if kind not in ("", "NAME"):
                marked.add((text_digits(text), value))
            text += value
        found = {
            (text_digits(text[: span.start]), text[span.start : span.stop])
            for span in find(text)
            if span.placeholder != "<NAME>"
        }
        found = {(at, value.strip("() ")) for at, value in found}
        marked = {(at, value.strip("() ")) for at, value in marked}
        hit, missed, false = hit + len(found & marked), missed + len(marked - found), false + len(found - marked)
        without += not marked
    assert hit + missed >= 100 and without >= 100
    assert hit / (hit + missed) >= 0.97 and hit / (hit + false) >= 0.97


def text_digits(text: str) -> int:
    """Where something begins, in letters and digits: signs around a number may be of it or not."""
    return sum(map(str.isalnum, text))


def test_many_finds_take_linear_time() -> None:
    text = "a@b.example " * 20_000
    assert replacer(read_language("en").privacy)(text) == ("<EMAIL> " * 20_000, 20_000)


def test_the_step_counts_and_is_idempotent(policy: Policy) -> None:
    texts = ["Mail a@b.example, b@c.example", "nothing here", "患者 03-3581-4111"]
    batch = pa.RecordBatch.from_pydict(
        {"ordinal": [0, 1, 2], "lang": ["en", "en", "ja"], "text": pa.array(texts, pa.large_string())}
    )
    transform = Private(policy).open()
    once = transform(batch)
    assert once.column("private_items").to_pylist() == [2, 0, 1]
    assert once.column("text").to_pylist() == ["Mail <EMAIL>, <EMAIL>", "nothing here", "患者 <PHONE>"]
    assert transform(once).column("private_items").to_pylist() == [0, 0, 0]


def test_hostile_digits_cost_little() -> None:
    replace = replacer(read_language("en").privacy)
    assert replace("1" * 200_000)[1] == replace("a" * 200_000 + "@")[1] == 0


def test_mistakes_in_privacy_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "privacy.yaml").write_text("regions: [US]\nids: [us.nothing]\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"privacy.yaml:2: .*python-stdnum has no us.nothing"):
        read_policy("balanced", ("en",), str(tmp_path))
    (tmp_path / "en" / "privacy.yaml").write_text("region: [US]\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r'unknown key "region"; did you mean "regions"'):
        read_policy("balanced", ("en",), str(tmp_path))


def test_hosts_are_blocked_by_list_and_by_word(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("# UT1\nbad.example\nEvil.Example\n", encoding="utf-8")
    reason = blocker(("casino",), (str(tmp_path / "domains"),))
    assert reason("https://bad.example/x") == reason("http://www.bad.example:8080/") == "blocked_host"
    assert reason("https://evil.example") == "blocked_host"
    assert reason("https://best-casino24.example/") == "blocked_word"
    for free in ("https://notbad.example/", "https://example/bad.example", "casinos.txt#3", "http://[", ""):
        assert reason(free) is None
    with pytest.raises(PolicyError, match="can't be read"):
        blocker((), (str(tmp_path / "none"),))
