"""The scores that order the frontier, for all languages that ship."""

import pytest

from mmedc.crawl.score import Scorer, Sections, read_weights
from mmedc.errors import PolicyError
from mmedc.filters import open_filters

MEDICAL = {
    "en": "Asthma is a lung disease. Symptoms are cough and dyspnoea; it is treated by inhalation.",
    "es": "El asma es una enfermedad de los pulmones. Los síntomas son tos y disnea; el tratamiento son corticoides.",
    "fr": "L'asthme touche les poumons. Symptômes : toux et dyspnée ; le traitement, des corticoïdes.",
    "de": "Asthma bronchiale ist eine Krankheit der Lunge. Symptome sind Husten und Atemnot.",
    "it": "L'asma è una malattia dei polmoni. I sintomi sono tosse e dispnea; la terapia è con corticosteroidi.",
    "pt": "A asma é uma doença dos pulmões. Os sintomas são tosse e dispneia; o tratamento é com corticosteroides.",
    "ru": "Бронхиальная астма — заболевание лёгких. Симптомы: кашель и одышка; лечение — глюкокортикостероиды.",
    "zh": "哮喘是一种肺部疾病。症状有咳嗽和呼吸困难；治疗使用糖皮质激素。",
    "ja": "気管支喘息は肺の疾患である。症状は咳と呼吸困難で、治療には副腎皮質ステロイドを用いる。",
    "ko": "천식은 폐 질환이다. 증상은 기침과 호흡곤란이며 치료에는 스테로이드를 쓴다.",
    "ar": "الربو مرض في الرئة. الأعراض هي السعال وضيق التنفس، والعلاج بالكورتيزون.",
    "hi": "दमा फेफड़ों का रोग है। लक्षण खाँसी और साँस फूलना हैं; उपचार दवा से होता है।",
}
PLAIN = {
    "en": "The team won the match in the second half, and thousands of people went home happily.",
    "ru": "Команда выиграла матч во втором тайме, и тысячи людей радостно пошли домой.",
    "zh": "球队在下半场赢得了比赛，成千上万的人高兴地回家了。",
    "es": "El equipo ganó el partido en la segunda parte y miles de personas volvieron a casa contentas.",
}


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(["en", "es", "ja", "ru", "zh"])


@pytest.mark.parametrize("code", MEDICAL)
def test_a_medical_page_scores_higher_in_every_language(code: str) -> None:
    scorer = Scorer([code])
    plain = PLAIN.get(code, PLAIN["en"])
    assert scorer.page(MEDICAL[code]) > 0.25 > scorer.page(plain) + 0.1


def test_a_page_without_text_scores_nothing(scorer: Scorer) -> None:
    assert scorer.page("") == scorer.page(" \n") == 0.0


def test_what_is_known_of_a_link_counts(scorer: Scorer) -> None:
    bare = scorer.link("https://h.org/2023/x")
    assert scorer.link("https://h.org/2023/x", "Asthma") > bare
    assert scorer.link("https://h.org/asthma-treatment.html") > bare
    assert scorer.link("https://h.org/salud/hipertension-arterial") > bare  # without its accents
    assert scorer.link("https://h.org/wiki/%D0%91%D1%80%D0%BE%D0%BD%D1%85%D0%B8%D1%82") > bare
    assert scorer.link("https://h.org/a?title=%E7%B3%96%E5%B0%BF%E7%97%85") > bare
    assert scorer.link("https://h.org/2023/x", page_score=0.9) > bare
    assert scorer.link("https://h.org/2023/x", host_score=0.9) > bare
    assert scorer.link("https://h.org/2023/x", depth=5) < bare
    assert scorer.link("https://h.org/user/login") < bare
    assert scorer.link("https://h.org/2023/x", "ログイン") < bare


def test_a_language_that_is_not_wished_for_counts_against_a_link() -> None:
    scorer = Scorer(["fr"])
    assert (
        scorer.link("https://h.org/x", lang="ru")
        < scorer.link("https://h.org/x")
        == scorer.link("https://h.org/x", lang="fr-CA")
    )


def test_a_term_inside_a_word_is_none() -> None:
    scorer = Scorer(["en"])
    assert scorer.link("https://h.org/a", "Lunges and kneeling") == scorer.link("https://h.org/b", "Games")


def test_sections_learn_from_their_pages() -> None:
    sections = Sections()
    prior = sections.expected("https://h.org/health/a")
    for number in range(20):
        sections.add(f"https://h.org/health/{number}", 0.9)
        sections.add(f"https://h.org/sport/{number}", 0.0)
    assert sections.expected("https://h.org/health/new") > 0.75
    assert sections.expected("https://h.org/sport/new") < 0.15
    assert sections.expected("https://h.org/other/new") == pytest.approx(0.45, abs=0.05)
    assert sections.expected("https://elsewhere.org/health/a") == prior


def test_weights_are_data(tmp_path) -> None:
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl/scores.yaml").write_text("link: {anchor: 5}\n")
    filters = open_filters(str(tmp_path))
    assert read_weights(filters).link.anchor == 5
    scorer = Scorer(["en"], filters)
    assert scorer.link("https://h.org/x", "asthma and bronchitis") == 5
    (tmp_path / "crawl/scores.yaml").write_text("link: {ancor: 5}\n")
    with pytest.raises(PolicyError, match=r"scores\.yaml.*ancor.*anchor"):
        read_weights(filters)
