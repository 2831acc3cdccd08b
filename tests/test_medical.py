"""The two medical rules: MMedC's against its description, ours against plain definitions."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.limits import reasons
from mmedc.policy import read_policy
from mmedc.steps.medical import boundary_matcher, mmedc_matcher, term_finder
from tests.conftest import LANGUAGES

THRESHOLDS = {"en": (5, 0.04), "zh": (5, 0.05), "ja": (5, 0.05), "fr": (4, 0.04), "ru": (4, 0.02), "es": (4, 0.04)}
"""Unique terms and density, as MMedC released them."""


def described(text: str, keywords: list[str], spaced: bool) -> tuple[int, float]:
    """MMedC's rule from its description: how many keywords occur, and the share of characters they cover."""
    unique = chars = 0
    if spaced:
        lower, tokens = text.lower(), text.lower().split()
        for keyword in {keyword.lower() for keyword in keywords}:
            is_long = len(keyword) > 10 or (len(keyword) > 5 and len(keyword.split()) > 1)
            times = lower.count(keyword) if is_long else tokens.count(keyword)
            unique += times > 0
            chars += times * len(keyword)
    else:
        for keyword in {keyword.lower() for keyword in keywords}:
            unique += keyword in text
            chars += text.count(keyword) * len(keyword)
    return unique, chars / len(text) if text else 0.0


words = st.sampled_from(
    ["fever", "blood pressure", "gastroenteritis", "itis", "aa", "aaa", "Aspirin", "發熱", "発熱時", "熱時"]
)


@given(
    st.lists(words, min_size=1, max_size=8), st.lists(st.one_of(words, st.text(max_size=4)), max_size=20), st.booleans()
)
@settings(max_examples=300)
def test_mmedc_rule_is_the_described_one(keywords: list[str], parts: list[str], spaced: bool) -> None:
    text = (" " if spaced else "").join(parts)
    found = mmedc_matcher(keywords, spaced)(text)
    expected = described(text, keywords, spaced)
    assert found.terms == expected[0] and found.density == pytest.approx(expected[1])
    assert (found.spread > 0) <= (found.terms > 0)


def labelled(data: Path) -> list[tuple[str, str]]:
    rows = []
    for path in sorted(data.glob("text_*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                lang = row["lang"][:2]
                if lang in LANGUAGES:
                    rows.append((lang, row["text"]))
    return rows


@pytest.mark.data
@pytest.mark.parametrize("lexicon", ["ours", "the paper's"])
def test_policy_mmedc_agrees_on_every_labelled_document(data: Path, lexicon: str) -> None:
    import pyarrow as pa

    policy = read_policy("mmedc", LANGUAGES)
    terms = {code: [form for term in one.lexicon for form in term.forms] for code, one in policy.languages.items()}
    if lexicon != "ours":
        terms = {code: [] for code in LANGUAGES}
        with gzip.open(data / "lexicon_mmedc_keywords" / "all.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                terms[row["lang"]].append(row["term"])
    rules = {code: mmedc_matcher(terms[code], policy.languages[code].spaced) for code in LANGUAGES}
    rows = labelled(data)
    assert len(rows) > 5000
    found = [rules[lang](text) for lang, text in rows]
    table = pa.table(
        {
            "lang": [lang for lang, _ in rows],
            "medical_terms": pa.array([float(one.terms) for one in found], pa.float32()),
            "medical_density": pa.array([one.density for one in found], pa.float32()),
        }
    )
    kept = reasons(table, policy).is_null().to_pylist()
    for (lang, text), ours in zip(rows, kept, strict=True):
        unique, density = described(text, terms[lang], policy.languages[lang].spaced)
        least, share = THRESHOLDS[lang]
        assert ours == (unique >= least and density >= share), (lang, unique, density, text[:80])


def found(terms: list[tuple[str, ...]], text: str) -> list[str]:
    spans, _ = term_finder(terms)(text)
    return [terms[number][0] for number, _, _ in spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fever, cough; (fever)", ["fever", "cough", "fever"]),
        ("feverish coughing", []),
        ("high blood pressure", ["high blood pressure"]),
        ("blood pressure", ["blood pressure"]),
        ("the patients' fevers", ["patient", "fever"]),
        ("ＭＲＩ of the ＦＥＶＥＲ", ["MRI", "fever"]),
        ("an mri scan", []),
        ("hearing AIDS, hearing aids", ["AIDS"]),
        ("fever_chart", ["fever"]),
        ("post-fever", ["fever"]),
        ("fever2", []),
        ("", []),
    ],
)
def test_terms_are_found_at_word_boundaries(text: str, expected: list[str]) -> None:
    terms = [
        ("fever", "fevers"),
        ("cough",),
        ("blood pressure",),
        ("high blood pressure",),
        ("patient", "patients"),
        ("MRI",),
        ("AIDS",),
    ]
    assert found(terms, text) == expected


def test_unspaced_scripts_are_matched_inside_text() -> None:
    terms = [("高血圧",), ("血圧",), ("CT",), ("糖尿病",)]
    assert found(terms, "患者は高血圧と糖尿病で、CT検査と血圧測定を受けた") == ["高血圧", "糖尿病", "CT", "血圧"]
    assert found(terms, "DOCTORという") == []


def test_forms_count_once_and_characters_once() -> None:
    find = boundary_matcher([("fever", "fevers"), ("cough",)])
    assert find("fever fevers cough")[:2] == (2, pytest.approx(16 / 18))
    assert find("") == find("none") == (0, 0.0, 0.0)


@pytest.mark.parametrize("rule", ["boundary", "mmedc"])
def test_spread_tells_an_episode_from_a_subject(rule: str) -> None:
    find = boundary_matcher([("fever",), ("cough",)]) if rule == "boundary" else mmedc_matcher(["fever", "cough"], True)
    filler = "a b c d "
    episode = filler * 10 + "fever cough fever cough " + filler * 20
    subject = (filler * 3 + "fever ") * 5 + (filler * 3 + "cough ") * 5
    assert find(episode).spread < 0.3 and find(subject).spread == 1
    assert find("fever").spread == 0.1  # its middle lies in one tenth


@given(st.text("fever cough ", max_size=60))
def test_spread_is_the_share_of_tenths_that_hold_the_middle_of_a_term(text: str) -> None:
    terms = [("fever",), ("cough",)]
    spans, length = term_finder(terms)(text)
    tenths = {
        tenth
        for _, start, end in spans
        for tenth in range(10)
        if tenth <= 10 * (start + end - 1) / 2 / length < tenth + 1
    }
    assert boundary_matcher(terms)(text).spread == pytest.approx(len(tenths) / 10)


@given(st.lists(st.sampled_from(["ab", "abc", "b c", "c"]), max_size=3, unique=True), st.text("abc ", max_size=20))
def test_spans_do_not_overlap_and_are_the_longest(forms: list[str], text: str) -> None:
    spans, length = term_finder([(form,) for form in forms])(text)
    assert length == len(text)
    ends = 0
    for number, start, end in spans:
        assert start >= ends and text[start:end] == forms[number]
        ends = end
        longer = [f for f in forms if len(f) > end - start and text.startswith(f, start)]
        assert all(text[start + len(f) : start + len(f) + 1].isalnum() for f in longer)
