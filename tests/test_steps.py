"""Steps measure what they say, on hostile input too."""

import codecs
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.decoding import decode_page
from mmedc.filters import open_filters
from mmedc.folding import folded_texts
from mmedc.limits import reasons
from mmedc.policy import Policy
from mmedc.steps.extract import read_page
from mmedc.steps.language import identifier
from mmedc.steps.normalise import normalise
from mmedc.steps.rules import measure
from mmedc.words import hash_words
from tests.warcs import html

SAMPLES = {
    "utf-8": "Пациент, 患者, el niño",
    "windows-1251": "Пациент жалуется на кашель",
    "koi8-r": "Пациент жалуется на кашель",
    "gb18030": "患者出现发热和咳嗽",
    "big5": "患者出現發熱和咳嗽",
    "shift_jis": "患者は発熱と咳を訴えた",
    "euc_jp": "患者は発熱と咳を訴えた",
    "iso2022_jp": "患者は発熱と咳を訴えた",
    "iso-8859-15": "Où est le cœur ? 5 €",
    "utf-16": "患者は発熱と咳を訴えた",
}


@pytest.mark.parametrize("charset", SAMPLES)
@pytest.mark.parametrize("said", ["by the server", "by the page", "wrongly"])
def test_charsets(charset: str, said: str) -> None:
    text = SAMPLES[charset]
    body = f"<html><head><title>x</title></head><body><p>{text}</p></body></html>"
    if said == "by the page":
        body = body.replace("<head>", f'<head><meta charset="{charset}">')
    payload = body.encode(charset)
    # A lie is harmless where the bytes give it away: UTF-8, a byte-order mark, the escapes of ISO-2022.
    if said == "wrongly" and charset not in ("utf-8", "utf-16", "iso2022_jp"):
        return
    decoded, used = decode_page(payload, {"by the server": charset, "by the page": None, "wrongly": "iso-8859-1"}[said])
    assert decoded is not None and text in decoded, used


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "gbk", "nonsense", "utf-16", "x" * 500]))
def test_any_bytes_decode_to_storable_text_or_a_reason(payload: bytes, charset: str | None) -> None:
    decoded, said = decode_page(payload, charset)
    if decoded is None:
        assert said.split(":")[0] in ("binary", "undecodable")
    else:
        decoded.encode("utf-8")
        assert "\0" not in decoded


def test_nul_bytes() -> None:
    assert decode_page(b"<p>a\0b</p>" * 30, "utf-8")[0] == "<p>ab</p>" * 30
    assert decode_page(bytes(1000) + b"\xff\xfe\xfd", None)[1].startswith("binary")
    assert decode_page(codecs.BOM_UTF16_LE + "añ".encode("utf-16-le"), "utf-8")[0] == "añ"


def one(text: str) -> Any:
    return pa.array([text], pa.large_string())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
@settings(max_examples=300)
def test_normalising_is_a_fixed_point(text: str) -> None:
    once = normalise(one(text))
    assert normalise(once) == once


def test_normal_form() -> None:
    text = "Cafe\u0301\r\n\r\n\r\n\r\nx\u200b\u202ey \u00a0\u3000 z \n a\x00\x07\ufeff"
    assert normalise(one(text))[0].as_py() == "Caf\u00e9\n\nxy z\na"


@pytest.mark.parametrize("engine", ["mmedc", "trafilatura", "resiliparse"])
def test_extraction_leaves_the_menu_out(engine: str) -> None:
    body = ["Asthma is a chronic disease of the airways that makes breathing difficult. " * 3] * 3
    text = read_page(html("Asthma", body), engine).text
    assert "chronic disease" in text
    assert "Privacy" not in text and "Contact" not in text


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("患者出现发热咳嗽", "zh"),
        ("高血壓是常見的慢性病", "zh"),
        ("糖尿病の患者は血糖値を測定します", "ja"),
        ("The patient was admitted to hospital with chest pain.", "en"),
        ("Le patient se plaint de douleurs abdominales depuis trois jours.", "fr"),
        ("El paciente presenta fiebre y dolor de cabeza desde ayer.", "es"),
        ("Больной жалуется на головную боль и тошноту.", "ru"),
        ("Der Patient klagt über starke Kopfschmerzen und Übelkeit.", "de"),
        ("환자는 두통과 메스꺼움을 호소합니다 (頭痛)", "ko"),
    ],
)
def test_languages(policy: Policy, text: str, lang: str) -> None:
    langs, scores = identifier(open_filters().model("lid").path, policy)(one(text))
    assert langs[0].as_py() == lang
    assert 0 < scores[0].as_py() <= 1


def test_the_language_of_a_page_is_that_of_its_text_and_not_of_its_menu(policy: Policy) -> None:
    menu = "Home | About us | Contact | Search this site | Terms of use and privacy | Sign in | Site map\n" * 3
    text = "Больной жалуется на головную боль и тошноту в течение трёх дней после приёма лекарства. " * 20
    langs, scores = identifier(open_filters().model("lid").path, policy)(one(menu + text))
    assert langs[0].as_py() == "ru" and scores[0].as_py() > 0.8


@pytest.mark.parametrize(
    ("english", "spanish", "lang", "share"), [(5, 1, "en", 0.8), (1, 5, "es", 0.8), (3, 2, "en", 0.6)]
)
def test_a_page_in_two_languages_is_judged_by_its_lines(
    policy: Policy, english: int, spanish: int, lang: str, share: float
) -> None:
    """Lines of both in turn: the language is that of most of the text, its score about its share."""
    lines = ["The patient was admitted to hospital with chest pain."] * english
    lines += ["El paciente presenta fiebre y dolor de cabeza desde ayer."] * spanish
    langs, scores = identifier(open_filters().model("lid").path, policy)(one("\n".join(lines * 6)))
    assert langs[0].as_py() == lang
    assert scores[0].as_py() == pytest.approx(share, abs=0.15)


def test_language_does_not_depend_on_neighbours(policy: Policy) -> None:
    identify = identifier(open_filters().model("lid").path, policy)
    several = ["", "Больной\nжалуется", "患者", "x" * 5000, "12 34"]
    together = identify(pa.array(several, pa.large_string()))
    for index, text in enumerate(several):
        alone = identify(one(text))
        assert alone[0][0] == together[0][index] and alone[1][0] == together[1][index]


def measured(text: str, stop: tuple[str, ...] = ("the", "of")) -> dict[str, float]:
    found = measure(one(text), np.array(["en"]), {"en": hash_words(stop)})
    return {name: float(values[0]) for name, values in found.items()}


def test_measures_of_prose() -> None:
    found = measured("The heart of the matter.\nThe heart of the matter.\nshort\n#### |||| ")
    assert found["words"] == 11
    assert found["stopword_ratio"] == pytest.approx(6 / 11)
    assert found["duplicate_line_ratio"] == pytest.approx(25 / 66)
    assert found["sentence_end_ratio"] == 1.0
    assert found["symbol_ratio"] == pytest.approx(8 / 53)
    assert found["letter_ratio"] == pytest.approx(43 / 53)
    assert found["mean_word_chars"] == pytest.approx(43 / 11)
    assert found["top_trigram_ratio"] == pytest.approx(2 * 3 / 11)
    assert measured("no full stop here at all\nbut here there is one indeed.")["sentence_end_ratio"] == 0.5
    chinese = measured("糖尿病是慢性病。")
    assert (chinese["words"], chinese["mean_word_chars"]) == (7, 1)


@given(st.lists(st.text("abc the.\n#", max_size=50), min_size=1, max_size=5))
@settings(max_examples=60)
def test_measures_do_not_depend_on_neighbours(texts: list[str]) -> None:
    stop = {"en": hash_words(("the",))}
    together = measure(pa.array(texts, pa.large_string()), np.array(["en"] * len(texts)), stop)
    for index, text in enumerate(texts):
        alone = measure(one(text), np.array(["en"]), stop)
        for name, values in alone.items():
            assert values[0] == together[name][index], name


def test_limits_name_the_first_that_is_missed(policy: Policy) -> None:
    columns: dict[str, Any] = {"lang": ["en", "en", "en", "zh"]}
    from mmedc.document import MEASURES

    columns |= {name: pa.array([1.0] * 4, pa.float32()) for name in MEASURES}
    columns |= {
        "chars": [500.0] * 4,
        "words": [100.0] * 4,
        "symbol_ratio": [0.0] * 4,
        "duplicate_line_ratio": [0.0] * 4,
    }
    columns |= {"top_trigram_ratio": [0.0] * 4, "mean_word_chars": [5.0, 5.0, 5.0, 1.0]}
    columns |= {"medical_terms": [9.0, 0.0, None, 9.0], "letter_ratio": [0.9, 0.9, 0.9, 0.1]}
    table = pa.table({name: pa.array(v, pa.float32()) if name != "lang" else v for name, v in columns.items()})
    assert reasons(table, policy).to_pylist() == [None, "medical_terms_low", "medical_terms_low", "letter_ratio_low"]


def test_folding() -> None:
    assert folded_texts(one("ＣＴ ﬁbre ÉTÉ"))[0].as_py() == "ct fibre été"
