"""The languages that ship: their words pass the check, mean what they should, and build a corpus."""

from pathlib import Path

import pyarrow.dataset as pads
import pytest

from mmedc.corpus.manifest import read_manifest
from mmedc.engine.run import AnyPass, Inline, Progress
from mmedc.filters import open_filters
from mmedc.pipeline.build import Build
from mmedc.policy import CATEGORIES, read_language, read_policy
from mmedc.recipe import read_recipe
from mmedc.steps.medical import term_finder
from tests.conftest import LANGUAGES
from tests.warcs import html, packed, page

OTHERS = ("ar", "de", "hi", "it", "ko", "pt")


def test_these_languages_ship() -> None:
    assert set(open_filters().languages()) == {*LANGUAGES, *OTHERS}


@pytest.mark.parametrize("code", [*LANGUAGES, *OTHERS])
def test_the_words_of_every_language_are_in_order(code: str) -> None:
    assert open_filters().check(code) == []
    language = read_language(code)
    assert len(language.lexicon) >= (500 if code in LANGUAGES else 300)
    assert len(language.stopwords) >= 60
    for category in CATEGORIES:
        assert sum(term.category == category for term in language.lexicon) >= 15, category


def test_policy_balanced_decides_in_every_language() -> None:
    for code, language in read_policy("balanced", (*LANGUAGES, *OTHERS)).languages.items():
        assert language.limits["medical_terms"].min and language.limits["medical_density"].min, code
        assert "mean_word_chars" in language.limits, code


def found(code: str, text: str) -> list[str]:
    terms = [term.forms for term in read_language(code).lexicon]
    return [terms[number][0] for number, _, _ in term_finder(terms)(text)[0]]


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("de", "Zwei Patientinnen mit Entzündungen der Schilddrüse", ["Patient", "Entzündung", "Schilddrüse"]),
        ("it", "pazienti con malattie croniche del fegato", ["paziente", "malattia cronica", "fegato"]),
        ("pt", "infeções bacterianas nos pacientes diabéticos", ["infecção", "bactéria", "paciente", "diabético"]),
        ("ar", "للمرضى وبالأدوية واللقاح", ["مريض", "دواء", "لقاح"]),
        ("hi", "रोगियों की दवाइयां और टीकों की खुराक", ["रोगी", "दवा", "वैक्सीन", "खुराक"]),
        ("ko", "환자에게 백신을 접종하고 혈압을 재는 간호사들이", ["환자", "백신", "예방접종", "혈압", "간호사"]),
        ("ru", "бессимптомных больных с лёгочной гипоксией", ["бессимптомный", "больной", "лёгочный", "гипоксия"]),
        ("zh", "水煎服甘草", ["煎服", "甘草"]),
    ],
)
def test_inflected_forms_are_found(code: str, text: str, expected: list[str]) -> None:
    assert found(code, text) == expected


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "a stroke of luck, the life expectancy of a phone, public health and health care budgets, WHO said so"),
        ("zh", "每人参加国内经济会议，应当归还，已明白术语，政治法律，第三焦点"),
        ("ja", "これは対処方法と外来語、学生検索、がんばる電気道具、海外科学、和食道場"),
        ("ru", "президент РАН и варёные раки"),
        ("es", "el ángulo de incidencia, de todo corazón"),
        ("de", "die angeborenen Rechte, ein Schwindel, der Magen des Marktes"),
        ("ko", "출마 의사를 밝혔다, 세금 증세, 악성 댓글, 문화 유산"),
        ("hi", "उन देशों पर कब्जा और अपराध, गोलार्ध"),
        ("ar", "أيضًا في كلية الهندسة"),
        ("it", "sotto l'influenza della depressione economica, una vena di follia"),
    ],
)
def test_words_that_once_misfired_are_silent(code: str, text: str) -> None:
    assert found(code, text) == []


@pytest.mark.parametrize("code", [*LANGUAGES, *OTHERS])
def test_no_stop_word_is_taken_for_a_term(code: str) -> None:
    assert found(code, "; ".join(read_language(code).stopwords)) == []


PAGES = {
    "de": {
        "bluthochdruck": (
            "Bluthochdruck",
            "Bluthochdruck verursacht lange keine Beschwerden. Bleibt er unbehandelt, steigt das Risiko für einen "
            "Herzinfarkt, einen Schlaganfall und eine Niereninsuffizienz. Der Arzt misst den Blutdruck bei jeder "
            "Untersuchung und lässt die Patienten auch zu Hause messen.",
            "Zur Behandlung gehören Bewegung, weniger Salz und, wenn das nicht reicht, Medikamente: ACE-Hemmer, "
            "Diuretika oder Betablocker. Nebenwirkungen wie Husten oder Schwindelgefühl soll man in der Apotheke oder "
            "beim Hausarzt melden.",
        ),
        "fahrrad": (
            "Das Fahrrad im Winter",
            "Wer im Winter mit dem Fahrrad fährt, braucht gute Reifen, ein helles Licht und warme Handschuhe. Die "
            "Kette wird nach jeder Fahrt durch den Matsch trocken gewischt und dann mit etwas Öl gepflegt.",
            "Auf nassem Laub bremst man früh und nicht in der Kurve. Viele Städte räumen die Radwege inzwischen vor "
            "den Straßen, sodass der Weg zur Arbeit auch bei Schnee gelingt.",
        ),
    },
    "ko": {
        "dangnyo": (
            "당뇨병 환자를 위한 안내",
            "당뇨병은 인슐린이 부족하거나 제대로 작용하지 않아 혈당이 높아지는 만성질환이다. 환자는 갈증과 체중 감소, "
            "피로감 같은 증상을 느끼며, 오래 방치하면 신부전이나 망막의 합병증이 생길 수 있다.",
            "의사들은 혈액검사로 진단을 내리고 메트포르민이나 인슐린을 처방한다. 약물을 복용하면서 저혈당의 증상이 "
            "나타나면 곧바로 병원에 연락해야 하며, 혈압과 콜레스테롤도 함께 관리하는 것이 좋다.",
        ),
        "gicha": (
            "기차 여행의 즐거움",
            "완행열차를 타고 남쪽으로 내려가면 창밖으로 논과 바다가 번갈아 나타난다. 작은 역에 내려 시장을 구경하고 "
            "따뜻한 국수를 한 그릇 먹는 것도 여행의 즐거움이다.",
            "표는 미리 사 두는 편이 좋고, 주말에는 자리가 빨리 없어진다. 돌아오는 길에는 해가 지는 바닷가를 볼 수 있는 "
            "쪽의 자리를 고르면 더욱 좋다.",
        ),
    },
    "hi": {
        "malaria": (
            "मलेरिया की रोकथाम",
            "मलेरिया मच्छर के काटने से फैलने वाला एक संक्रामक रोग है। इसके लक्षणों में तेज बुखार, सिरदर्द, उल्टी और थकान शामिल हैं। "
            "समय पर उपचार न मिलने पर रोगी को एनीमिया हो सकता है और मस्तिष्क तथा गुर्दे पर असर पड़ सकता है।",
            "डॉक्टर रक्त परीक्षण से रोग की पहचान करते हैं और दवा की पूरी खुराक लेने की सलाह देते हैं। गर्भवती महिलाओं और बच्चों को "
            "संक्रमण का खतरा अधिक होता है, इसलिए उन्हें मच्छरदानी में सोना चाहिए।",
        ),
        "bageecha": (
            "घर की छत पर बगीचा",
            "छत पर बगीचा लगाने के लिए पहले यह देखें कि धूप कितनी देर रहती है। गमलों में नीचे छेद होना चाहिए ताकि पानी न रुके, और मिट्टी "
            "में थोड़ी रेत और गोबर की खाद मिला लेनी चाहिए।",
            "टमाटर, धनिया और पुदीना आसानी से उग जाते हैं। गर्मियों में सुबह और शाम दोनों समय पानी दें, और बारिश के मौसम में गमलों को "
            "ऐसी जगह रखें जहां हवा आती हो।",
        ),
    },
}
"""Pages of our own: per language one that is medical and one that is not."""


class Quiet:
    """Watches a build and says nothing."""

    def begin(self, current: AnyPass, done: int) -> None: ...
    def update(self, progress: Progress) -> None: ...
    def end(self, current: AnyPass, seconds: float) -> None: ...


def test_a_recipe_of_other_languages_runs(tmp_path: Path) -> None:
    records = [
        page(f"https://{code}.example/{name}", html(title, list(text), code))
        for code, pages in PAGES.items()
        for name, (title, *text) in pages.items()
    ]
    (tmp_path / "pages.warc.gz").write_bytes(packed(*records))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: other\nlanguages: [de, ko, hi]\nsources:\n  pages: {warc: pages.warc.gz}\n", encoding="utf-8"
    )
    out = tmp_path / "corpus"
    Build.prepare(read_recipe(str(recipe)), str(out)).run(Inline(False), Quiet())
    table = pads.dataset(out / "data", format="parquet").to_table(["lang", "locator"]).to_pylist()
    assert sorted((row["lang"], row["locator"]) for row in table) == [
        ("de", "https://de.example/bluthochdruck"),
        ("hi", "https://hi.example/malaria"),
        ("ko", "https://ko.example/dangnyo"),
    ]
    dropped = {reason for row in read_manifest(str(out)).funnel for reason in row.dropped}
    assert dropped <= {"prefilter", "few_terms"}


def test_korean_particles_and_arabic_clitics_make_no_second_term() -> None:
    for code, text in (("ko", "환자 환자는 환자를 환자들에게"), ("ar", "مريض والمريض للمريض بالمريض")):
        assert len(set(found(code, text))) == 1
