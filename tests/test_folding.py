"""One folding for all that compares words, and the prefilter's promise over everything in Unicode that folds."""

import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedc.dedup.signature import signatures
from mmedc.filters import open_filters
from mmedc.folding import alone, composing, folded, plain, plain_forms, unshaped
from mmedc.policy import Limit, Policy, Term, read_language, read_policy
from mmedc.steps.language import identifier
from mmedc.steps.medical import matcher
from mmedc.steps.normalise import normalise
from mmedc.steps.prefilter import source_bound
from mmedc.words import TextBatch, folded_batch

TWELVE = ("en", "zh", "ja", "fr", "ru", "es", "ar", "de", "hi", "it", "ko", "pt")


@pytest.mark.parametrize("end", ["\n", "\n\n", "\r\n", " \n"])
def test_the_prefilter_keeps_spaced_out_lines(end: str) -> None:
    """Joined with the line before, a Korean word would not begin at a border."""
    policy = read_policy("balanced", ("ko", "en"))
    page = end.join(map(" ".join, ["고혈압에서", "당뇨병으로", "심근경색을", "대상포진이"]))
    assert matcher(policy.languages["ko"], "boundary")(in_the_end(page)).terms == 4
    assert source_bound(policy)(page.encode())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("كَــاتِبٌ", "كاتب"),  # tatweel and vowel signs
        ("ﺍﻟﺴﻜﺮﻱ", "السكري"),  # as a font shapes the letters
        ("ﹰﺍ ﱠﹷ", "ا "),  # vowel signs alone
        ("ле́карство, гѐмоглобин, й ё", "лекарство, гемоглобин, й ё"),
        ("क्‍ष می‌شود", "क्ष میشود"),  # joiners
        ("𝐝𝒾𝓪𝕓𝖊𝘁𝚎𝐬 ⓕⓔⓥⓔⓡ 🅵🅔ⓥer", "diabetes fever FEver"),
        ("ｶﾞﾝ ﾊﾟﾆｯｸ", "ガン パニック"),
        ("カﾞン", "ガン"),
        ("ＣＯＶＩＤ－１９", "COVID-19"),
        ("fi­bre o\ufb03ce l’eau", "fibre office l'eau"),
        ("糖 尿 病 患 者 。 高 血 压", "糖尿病患者。高血压"),
        ("당 뇨 병 환 자", "당뇨병환자"),
        ("张三 男 女 老", "张三 男 女 老"),  # spaces that mean something
        ("糖尿病 と 高血圧 の 人", "糖尿病 と 高血圧 の 人"),
        ("e\u0301te\u0301", "été"),
    ],
)
def test_ways_to_write_a_word_fold_to_one(written: str, meant: str) -> None:
    assert plain(written) == meant


def test_only_shapes_change_in_the_published_text() -> None:
    texts = ["ﺍﻟﺴﻜﺮﻱ ﹰ", "ｶﾞﾝ､ ﾊﾟ｡", "e\ufb03cace", "ＣＴ ①", "كَــاتِب", "糖 尿 病 患", "ле́карство", "ﷺ"]
    kept = ["السكري ً", "ガン、 パ。", "efficace", *texts[3:]]
    assert normalise(pa.array(texts, pa.large_string())).to_pylist() == kept


def test_what_folds_alone_is_known_over_all_of_unicode() -> None:
    chars = (chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000)
    assert {char: plain(char) for char in chars if plain(char) != char} == alone()


def test_what_composes_is_known_over_all_of_unicode() -> None:
    made = {
        (chr(int(first, 16)), chr(int(second, 16)))
        for point in range(sys.maxunicode + 1)
        if not (parts := unicodedata.decomposition(chr(point))).startswith("<") and len(parts.split()) == 2
        for first, second in [parts.split()]
        if unicodedata.is_normalized("NFC", chr(point))
    }
    assert {second for _, second in made} <= set(composing())


@given(st.text(st.sampled_from("aé́̀ё糖 尿病.كـَﺍｶﾞ\u200dㅏᄀ①🅰‐\xa0\n"), max_size=30))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert unshaped(unshaped(text)) == unshaped(text)


def bound_of(forms: list[str]) -> tuple[Policy, object]:
    """Return a policy of one language that asks for one of these terms, and its bound."""
    terms = tuple(Term((form,), "diseases", number) for number, form in enumerate(forms))
    language = replace(read_language("en"), lexicon=terms, limits={"medical_terms": Limit(min=1, floor=1)})
    policy = Policy("one", "boundary", {"en": language})
    return policy, source_bound(policy)


def in_the_end(text: str) -> str:
    """Return a text as the measure sees it: normalised first."""
    return str(normalise(pa.array([text], pa.large_string()))[0].as_py())


def test_the_prefilter_keeps_what_is_counted_whatever_folds() -> None:
    """For each character of Unicode that folds: in a word, before it, after it, as itself and as an entity."""
    chars = sorted(alone().items())
    forms = [f"ab{to}cd" for _, to in chars if to.strip() and len(to) == len(to.strip())] + ["abcd", "efgh"]
    policy, enough = bound_of(forms)
    count = matcher(policy.languages["en"], "boundary")
    tried = counted = 0
    for char, _ in chars:
        for text in (f"ab{char}cd", f"{char}efgh", f"efgh{char}", f"ab&#{ord(char)};cd", f"ef{char}\u200dgh"):
            shown = in_the_end(text.replace(f"&#{ord(char)};", char))
            tried += 1
            if count(shown).terms:
                counted += 1
                assert enough(text.encode()), (text, hex(ord(char)))
    assert tried == 5 * len(chars) and counted > 2 * len(chars)


@pytest.mark.parametrize("code", TWELVE)
def test_the_prefilter_keeps_real_terms_in_every_way_to_write_a_letter(code: str) -> None:
    """Each character that folds, in place of what it folds to, in a term of each language that has that."""
    policy = read_policy("balanced", (code,))
    language = replace(policy.languages[code], limits={"medical_terms": Limit(min=0.25, floor=0.25)})
    policy = replace(policy, languages={code: language})
    enough, count = source_bound(policy), matcher(language, "boundary")
    forms = [form for term in language.lexicon for form in term.forms if len(form) > 3]
    with_letter: dict[str, str] = {}
    for form in forms:
        for char in folded(form):
            with_letter.setdefault(char, form)
    counted = 0
    ways = [(char, to) for char, to in alone().items() if to.lower() in with_letter or not to]
    for char, to in ways:
        form = folded(with_letter[to.lower()] if to else forms[0])
        written = form.replace(to.lower(), char) if to else form[:2] + char + form[2:]
        if count(in_the_end(written)).terms:
            counted += 1
            assert enough(f"<p>{written}</p>".encode()), (form, hex(ord(char)))
    assert counted > 300


@pytest.mark.parametrize("code", ["zh", "ja", "ko"])
@pytest.mark.parametrize("between", [" ", "\u3000", "&nbsp;", "  ", "\n "])
def test_the_prefilter_keeps_spaced_out_terms(code: str, between: str) -> None:
    policy = read_policy("balanced", (code,))
    enough, count = source_bound(policy), matcher(policy.languages[code], "boundary")
    forms = [term.forms[0] for term in policy.languages[code].lexicon if len(term.forms[0]) > 2][:200]
    for at in range(0, len(forms), 8):
        page = between.join("、".join(forms[at : at + 8]))
        shown = in_the_end(page.replace("&nbsp;", " "))
        if count(shown).terms >= 3:
            assert enough(page.encode())
    assert "\n" in between or count(in_the_end(" ".join("、".join(forms[:8])))).terms >= 3


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("يُعَدُّ مَــرَضُ السُّكَّرِيِّ مِنَ الأَمْرَاضِ المُزْمِنَةِ", "يعد مرض السكري من الأمراض المزمنة"),
        ("𝐃𝐢𝐚𝐛𝐞𝐭𝐞𝐬 𝐢𝐬 𝐚 𝐜𝐡𝐫𝐨𝐧𝐢𝐜 𝐝𝐢𝐬𝐞𝐚𝐬𝐞 𝐨𝐟 𝐭𝐡𝐞 𝐩𝐚𝐧𝐜𝐫𝐞𝐚𝐬", "Diabetes is a chronic disease of the pancreas"),
        ("糖 尿 病 是 一 种 慢 性 代 谢 疾 病", "糖尿病是一种慢性代谢疾病"),
        ("Са́харный диабе́т — хрони́ческое заболева́ние", "Сахарный диабет — хроническое заболевание"),
    ],
)
def test_lexicon_language_and_signatures_see_the_same(written: str, meant: str) -> None:
    array = pa.array([written, meant], pa.large_string())
    lang, score = identifier(open_filters().model("lid").path, read_policy("balanced", TWELVE))(array)
    assert lang[0] == lang[1] and score[0] == score[1]
    code = lang[0].as_py()
    count = matcher(read_language(code), "boundary")
    assert count(written) == count(meant) and count(meant).terms
    batch: TextBatch = folded_batch(array)
    signed = signatures(batch)
    assert np.array_equal(signed[0], signed[1])


@pytest.mark.parametrize("code", ["en", "es", "fr", "it", "pt", "de", "ru"])
def test_text_in_capitals_has_its_language(code: str) -> None:
    text = {
        "en": "Keep out of reach of children. Do not use this medicine after the date on the package.",
        "es": "Mantener fuera del alcance de los niños. No utilice este medicamento después de la fecha indicada.",
        "fr": "Tenir hors de la portée des enfants. Ne pas utiliser ce médicament après la date indiquée.",
        "it": "Tenere fuori dalla portata dei bambini. Non usare questo medicinale dopo la data indicata.",
        "pt": "Manter fora do alcance das crianças. Não utilize este medicamento após a data indicada.",
        "de": "Für Kinder unzugänglich aufbewahren. Das Arzneimittel nach dem Datum nicht mehr anwenden.",
        "ru": "Хранить в недоступном для детей месте. Не применять после даты, указанной на упаковке.",
    }[code]
    found = identifier(open_filters().model("lid").path, read_policy("balanced", TWELVE))(
        pa.array([text.upper()], pa.large_string())
    )
    assert found[0][0].as_py() == code and found[1][0].as_py() > 0.65


def test_forms_may_be_folded_together() -> None:
    """As lexicons are, because one call for all their forms is many times as fast."""
    forms = [form for code in ("zh", "ru", "fr") for term in read_language(code).lexicon for form in term.forms]
    forms += ["甲 乙 丙 丁", "½，", "́a", "ﬁ\u00ad", "Ѐ", "…"]
    assert plain_forms(forms) == [plain(form) for form in forms] and plain_forms([]) == []
