"""Close relatives of the languages that ship are other languages, in texts of a few lines written for these tests."""

from typing import Any

import pyarrow as pa
import pytest

from mmedc.filters import open_filters
from mmedc.policy import read_policy
from mmedc.steps.language import identifier
from mmedc.steps.relatives import of_han, told_apart

TWELVE = ("en", "zh", "ja", "fr", "ru", "es", "ar", "de", "hi", "it", "ko", "pt")
OTHERS = {
    "uk": "Лікарка щодня вимірює тиск і радить менше солити їжу. Якщо за три дні гарячка не мине, "
    "треба їхати до лікарні.",
    "bg": "Лекарката измерва кръвното налягане всеки ден и съветва да се яде по-малко сол. Ако "
    "температурата не спадне, отидете в болницата.",
    "gl": "A médica mide a tensión todos os días e aconsella comer con pouco sal. Se a febre non "
    "baixa en tres días, hai que levar o neno ao hospital.",
    "ca": "La metgessa mesura la tensió cada dia i aconsella menjar amb poca sal. Si la febre no "
    "baixa en tres dies, cal portar el nen a l'hospital.",
    "fa": "پزشک هر روز فشار خون را اندازه می‌گیرد و توصیه می‌کند نمک کمتری بخورید. اگر تب پس از سه "
    "روز پایین نیامد، کودک را به بیمارستان ببرید.",
    "ur": "ڈاکٹر روزانہ بلڈ پریشر ناپتی ہے اور کم نمک کھانے کا مشورہ دیتی ہے۔ اگر تین دن میں بخار نہ "
    "اترے تو بچے کو ہسپتال لے جائیں۔",
    "mr": "डॉक्टर दररोज रक्तदाब मोजतात आणि मीठ कमी खाण्याचा सल्ला देतात. तीन दिवसांत ताप उतरला नाही तर मुलाला रुग्णालयात न्यावे.",
    "ne": "डाक्टरले हरेक दिन रक्तचाप नाप्छन् र नुन कम खान सल्लाह दिन्छन्। तीन दिनमा ज्वरो घटेन भने बच्चालाई अस्पताल लैजानुपर्छ।",
    "yue": "醫生每日都會量血壓，叫佢哋食少啲鹽。如果發燒三日都冇退，就要帶個細路去醫院睇下，唔好再等。",
    "lzh": "醫者日候其脈，戒人以節鹹。若身熱三日而不退者，當就醫而診之。夫病之初起也，其勢未盛，治之則易矣。",
}
OURS = {
    "pt": "A médica mede a tensão todos os dias e aconselha comer com pouco sal. Se a febre não "
    "baixar, leve a criança ao hospital.",
    "es": "La médica mide la tensión todos los días y aconseja comer con poca sal. Si la fiebre no "
    "baja, hay que ir al hospital.",
    "hi": "डॉक्टर रोज रक्तचाप नापती हैं और नमक कम खाने की सलाह देती हैं। तीन दिन में बुखार न उतरे तो बच्चे को अस्पताल ले जाएं।",
    "zh": "醫生每天量血壓，並建議少吃鹽。如果三天以後還沒有退燒，就應該帶孩子去醫院。",
    "ja": "毎日血圧を測り、塩分をひかえましょう。三日たっても熱が下がらなければ病院へ行ってください。",
}


@pytest.fixture(scope="module")
def identify() -> Any:
    policy = read_policy("balanced", TWELVE)
    identified = identifier(open_filters().model("lid").path, policy)
    return lambda *texts: identified(pa.array(texts, pa.large_string()))[0].to_pylist()


def test_close_relatives_are_other_languages(identify: Any) -> None:
    found = dict(zip(OTHERS, identify(*OTHERS.values()), strict=True))
    # The shipped policy counts classical Chinese as Chinese (`folds`), because old books of medicine are in it.
    assert found == {code: code for code in OTHERS} | {"lzh": "zh"}


@pytest.mark.parametrize("change", [str, str.upper], ids=["as written", "in capitals"])
def test_the_languages_themselves_are_found(identify: Any, change: Any) -> None:
    assert dict(zip(OURS, identify(*map(change, OURS.values())), strict=True)) == {code: code for code in OURS}


def test_words_tell_members_of_a_family_apart() -> None:
    for family in (("pt", "es", "gl", "ca"), ("hi", "mr", "ne")):
        for code in family:
            first, lead = told_apart({**OTHERS, **OURS}[code], family)
            assert (first, lead >= 1) == (code, True)
    assert told_apart("", ("pt", "es"))[1] == 0


def test_what_ideographs_alone_say() -> None:
    assert of_han("患者男性，45岁，因咳嗽3天入院。既往无高血压病史，体温38度。") == "zh"
    assert of_han("唔，我不知道。唔，你呢？") == "zh"  # an interjection of Mandarin, too
    assert of_han("胸部検査、心電図、薬剤治療、発熱、経過観察") == "ja"
    assert (of_han(OTHERS["lzh"]), of_han(OTHERS["yue"]), of_han("")) == ("lzh", "yue", "zh")
