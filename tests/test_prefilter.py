"""The cascade's promise: what the cheap looks drop, the full chain would not have kept."""

import html
import random
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.filters import open_filters
from mmedc.policy import PartialLimit, Policy, read_policy
from mmedc.steps.medical import matcher
from mmedc.steps.normalise import normalise
from mmedc.steps.prefilter import Prefilter, shown_bytes, source_bound
from mmedc.steps.preview import Preview
from tests.conftest import LANGUAGES

POLICIES = {name: read_policy(name, LANGUAGES) for name in ("balanced", "mmedc")}
BOUNDS = {name: source_bound(policy) for name, policy in POLICIES.items()}
MORE = {"all": {"medical_terms": PartialLimit(min=2.25, floor=2.25)}}
STRICT = source_bound(open_filters().policy("balanced", LANGUAGES, limits=MORE))
MARKUP = (
    "",
    "<br/>",
    " 5 < 6 > 4 ",
    '<a title="x > y" href=/z>',
    '<img alt="a <b" src=z>',
    "<!-- a > b -->",
    "<!-- <p>c</p> -->",
    "<?php x > y ?>",
    "<![if IE]>",
    "</ p>",
    "<p <i>",
    "<script>if (a < b) { c('<style>') }</script>",
    "<style>a > b {}</style>",
)
FILLER = {"en": "and then they said", "fr": "et puis ils ont dit", "es": "y luego dijeron", "ru": "и потом сказали"}


def written(term: str, choice: random.Random) -> str:
    """Return a term as a page may write it: case, widths, entities, line breaks and tags between its words."""
    mixed = "".join(choice.choice([char, char.upper()]) if len(char.upper()) == 1 else char for char in term)
    cased = choice.choice([term, term, term.upper(), term.capitalize(), term.title(), mixed])
    between = choice.choice([" ", "\n   ", "&nbsp;", " <b>", '</i>\n<a href="/x?y=1&amp;z=2" class="wide link">'])
    encode = choice.choice(["plain", "plain", "decimal", "hex", "nfd", "named"])
    parts = []
    for word in cased.split():
        if encode == "decimal":
            word = "".join(char if char.isascii() else f"&#{ord(char)};" for char in word)
        elif encode == "hex":
            word = "".join(f"&#x{ord(char):X};" for char in word)
        elif encode == "nfd":
            word = unicodedata.normalize("NFD", word)
        elif encode == "named":
            word = "".join(
                f"&{html.entities.codepoint2name[ord(char)]};" if ord(char) in html.entities.codepoint2name else char
                for char in word
            )
        else:
            word = html.escape(word)
        parts.append(word)
    return between.join(parts)


@pytest.mark.parametrize("name", POLICIES)
@given(st.sampled_from(LANGUAGES), st.integers(0, 2**32))
@settings(max_examples=300)
def test_the_gate_bounds_the_terms_of_the_text(name: str, lang: str, seed: int) -> None:
    """Whatever the page, when the text that shows has enough terms the prefilter lets it pass."""
    policy, choice = POLICIES[name], random.Random(seed)
    forms = [form for term in policy.languages[lang].lexicon for form in term.forms]
    filler = f" {FILLER[lang]} " if lang in FILLER else "、"
    shown = [written(choice.choice(forms), choice) + choice.choice(MARKUP) for _ in range(choice.randint(2, 9))]
    page = f"<html><body><p>{filler.join(shown)}</p></body></html>"
    from resiliparse.extract.html2text import extract_plain_text

    text = normalise(pa.array([extract_plain_text(page)], pa.large_string()))[0].as_py()
    terms, _, _ = matcher(policy.languages[lang], policy.rule)(text)
    floor = policy.languages[lang].limits["medical_terms"].floor or 0
    assert BOUNDS[name](page.encode()) or terms < floor


@pytest.mark.parametrize(
    ("page", "passes"),
    [
        ("<p>fever, cough and chest pain</p>", True),
        ("<p>f&eacute;ver, c&#111;ugh and chest pain</p>", False),  # no English word `féver`
        ("<p>FIÈVRE, TOUX et DOULEUR THORACIQUE, asthme</p>", True),
        ("<p>fi&egrave;vre, toux, asthme</p>", True),
        ("<p>糖尿病と高血圧、喘息</p>", True),
        ("<p>лихорадка, кашель, астма</p>", True),
        ("<p>feverish coughing asthmatics of the pain-free</p>", False),
        ("<p>chest" + " x" * 600 + " pain, fever, cough</p>", False),  # the words of a term too far apart
        ("", False),
    ],
)
def test_the_gate_by_example(page: str, passes: bool) -> None:
    assert STRICT(page.encode()) is passes


def test_terms_that_general_text_has_count_a_quarter(policy: Policy) -> None:
    weights = {term.forms[0]: term.weight for term in policy.languages["en"].lexicon}
    assert (weights["fever"], weights["virus"], weights["asthma"]) == (0.25, 0.25, 1.0)
    find = matcher(policy.languages["en"], "boundary")
    assert find("A fever and a virus.").terms == 0.5 and find("A fever, a virus and asthma.").terms == 1.5
    assert not BOUNDS["balanced"](b"a fever and a virus") and BOUNDS["balanced"](b"a fever and asthma")


def batch(pages: list[str | None], texts: list[str | None]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "ordinal": list(range(len(pages))),
            "html": pa.array(pages, pa.large_string()),
            "text": pa.array(texts, pa.large_string()),
        }
    )


def test_text_without_a_page_is_gated_too(policy: Policy) -> None:
    texts = ["Fever, cough and asthma.", "The weather was fine.", None]
    pages = [None, None, "<p>fever, cough, asthma</p>"]
    assert Prefilter(policy).open()(batch(pages, texts)).column("dropped_by").to_pylist() == [None, "prefilter", None]


def test_a_glance_judges_a_large_page_by_its_main_text(policy: Policy) -> None:
    def article(sentence: str, times: int) -> str:
        body = "".join(f"<p>{number}. {sentence}</p>" for number in range(times))
        menu = "".join(f'<li><a href="/{number}">Page {number}</a></li>' for number in range(500))
        return f"<html><body><nav><ul>{menu}</ul></nav><main><article>{body}</article></main></body></html>"

    plain = "The committee met again on Thursday and talked about the new roads of the town."
    medical = "Patients with asthma or diabetes were given insulin, and fever was common in the clinic."
    german = "Der Ausschuss traf sich am Donnerstag und sprach über die neuen Straßen der Stadt und den Verkehr."
    pages = [
        article(plain, 300),
        article(plain, 300).replace("</article>", "<p>Asthma, fever, diabetes.</p></article>"),
        article(medical, 300),
        article(german, 300).replace("</article>", "<p>Asthma, diabetes, insulin, virus.</p></article>"),
        "<p>Asthma, fever, diabetes.</p>",
    ]
    dropped = Preview(open_filters().model("lid"), policy).open()(batch(list(pages), [None] * 5)).column("dropped_by")
    assert dropped.to_pylist() == ["few_terms", "low_density", None, "other_language", None]


@pytest.mark.parametrize(
    ("page", "left"),
    [
        ("a<script src=x>fever</script>b", "a b"),
        ("a<style>fever</style>b<style media=print>cough</style>c", "a b c"),
        ('<script type="application/ld+json">{"articleBody": "fever"}</script>b', '{"articleBody": "fever"} b'),
        ("a<script>fever", "a fever"),  # without its end it is all left
        ("a</script>fever", "a fever"),
        ("<!-- <script> -->fever<script>cough</script>b", "-->fever b"),
        ("a<script>b('<style>')</script>c<style>d</style>e", "a c e"),
        ("<style-guide>fever</style-guide></style>b", "fever b"),
        ("<SCRIPT>fever</SCRIPT>", "fever"),  # rare, and a bound all the same
        ('<a title="fever" href=/cough>a</a>', "a"),
        ('<a title="x > fever">a', 'fever">a'),
        ("p <0.05 < fever > cough <= 3", "p <0.05 < fever > cough <= 3"),
        ("a <b c", "a <b c"),  # no tag without its end
        ("", ""),
    ],
)
def test_only_what_a_page_may_show_is_looked_at(page: str, left: str) -> None:
    assert " ".join(shown_bytes(page.encode()).decode().split()) == left


def test_tags_without_end_take_linear_time() -> None:
    page = b"<a" * 500_000
    assert shown_bytes(page) == page
    assert len(shown_bytes(page + b">" + page)) == len(page) + 1


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("left " * 900 + "fever, cough, chest pain", True),
        ("chest " * 900 + "fever, cough, " + "x " * 900 + "pain", False),
        ("pain " * 900 + "fever, cough and a chest", True),
        ("Patienten: обструктивная " + "x " * 100 + "болезнь лёгких, кашель, астма", True),
    ],
)
def test_the_words_of_a_term_stand_near_one_another(text: str, passes: bool) -> None:
    assert STRICT(text.encode()) is passes


@pytest.mark.parametrize("word", ["пНЕВМОНИЯ", "ПНевмония", "пневмонИЯ", "ПнЕвМоНиЯ"])
def test_words_of_mixed_case_are_found(word: str) -> None:
    assert not STRICT("бронхит, инсулин".encode())
    assert STRICT(f"бронхит, инсулин, {word}".encode())
