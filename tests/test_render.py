"""What a page shows is in its text once and in order: marks, tables, formulas, hidden elements, sections."""

import random
import re
import unicodedata

import pytest

from mmedc.spans import MAX_COLUMNS
from mmedc.steps.extract import blocks, render, tree


def lines(body: str) -> list[str]:
    return rendered(body)[0].split("\n")


def rendered(body: str) -> tuple[str, list[render.Section]]:
    found = blocks.blocks_of(tree.walk(tree.parse(f"<body>{body}</body>")))
    return render.page(found, [True] * len(found.texts))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("13.8×10<sup>9</sup>/L", "13.8×10⁹/L"),
        ("10<sup>-3</sup> 10<sup>−3</sup>", "10⁻³ 10⁻³"),
        ("m<sup>2</sup> x<sup>n</sup> <sup>131</sup>I Ca<sup>2+</sup>", "m² xⁿ ¹³¹I Ca²⁺"),
        ("H<sub>2</sub>O HCO<sub>3</sub><sup>-</sup>", "H₂O HCO₃⁻"),
        ("x<sub>i+1</sub> HbA<sub>1c</sub> C<sub>max</sub> IC<sub>50</sub>", "xᵢ₊₁ HbA1c Cmax IC₅₀"),
        ("e<sup>-kt</sup> a<sup>x/2</sup> x<sub>q,r</sub>", "e^(-kt) a^(x/2) x_(q,r)"),
        ("1<sup>st</sup> 2<sup>ème</sup> n<sup>o</sup> M<sup>me</sup>", "1st 2ème nº Mme"),
        ("Acme<sup>®</sup> Acme<sup>TM</sup> p<sup>*</sup>", "Acme® Acme™ p*"),
        ("shown.<sup>[1]</sup> so.<sup>[2]</sup><sup>[3]</sup>", "shown. so."),
        ('shown.<sup><a href="#cite-1">1</a></sup> so<a href="/p#fn2"><sup>2</sup></a>', "shown. so"),
        ("<sup>1</sup> A note<sup>[3]</sup>.", "¹ A note."),
        ("<b><sup>[2]</sup></b> Another<sup>[3]</sup>.", "[2] Another."),
        ('<a href="#back"><sup>a</sup></a> Below.', "ᵃ Below."),
        ('5 × 10<sup><a href="#x">9</a></sup> 10<sup><a href="#x">9</a></sup>/L', "5 × 10⁹ 10⁹/L"),
        ('in 10<sup><a href="#x">9</a></sup> cases', "in 10 cases"),
        ('shown<sup class="reference">3,4</sup> it<sup>5</sup>', "shown it⁵"),
        ("in patients.<sup>6</sup> In therapy<sup>7,8</sup> 患者<sup>9</sup>", "in patients. In therapy 患者"),
        ("10 square metres<sup>2</sup> (a+b)<sup>2</sup> mm<sup>3</sup>", "10 square metres² (a+b)² mm³"),
        ("<ruby>糖尿病<rp>(</rp><rt>とうにょうびょう</rt><rp>)</rp></ruby>の患者", "糖尿病の患者"),
        ("糖尿病は\n   慢性の病気", "糖尿病は慢性の病気"),
        ("diabetes is\n  a disease", "diabetes is a disease"),
        ("a<b>b</b><span>c</span> <i>d</i>e", "abc de"),
        ('a<span style="display: inline-block">b</span>c', "a b c"),
        ('<a href="/a">News</a><a href="/b">Videos</a><span>More</span>', "News Videos More"),
        (
            "<b>Price</b>Free of charge.<a>More</a> anti<i>HER2</i> A<b>sthma</b>",
            "Price Free of charge. More antiHER2 Asthma",
        ),
        ("<span>A</span><span>sthma</span> <span>糖尿病</span><span>の患者</span>", "Asthma 糖尿病の患者"),
        ("para<wbr>cetamol &lt;5&nbsp;mg &#x3bc;g", "paracetamol <5 mg μg"),
        ('<img class="tex" alt="\\(E=mc^2\\)"> <img alt="A doctor">', "$E=mc^2$"),
        ('good <img class="emoji" alt="👍">', "good 👍"),
        ("<math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac></math>", "a/(b + 1)"),
        ("<math><msqrt><msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup></msqrt></math>", "√(x₁²)"),
        (
            '<math><semantics><mi>y</mi><annotation encoding="application/x-tex">{\\displaystyle x^{2}}</annotation>'
            "</semantics></math>",
            "$x^{2}$",
        ),
        ('<span class="material-icons">home</span>Start', "Start"),
    ],
)
def test_a_line_is_written_as_browsers_show_it(body: str, text: str) -> None:
    assert lines(f"<p>{body}</p>") == [text]


def test_the_readings_of_ruby_can_be_kept() -> None:
    page = (
        "<p><ruby>糖尿病<rp>（</rp><rt>とうにょうびょう</rt><rp>）</rp></ruby>の"
        "<ruby>患<rt>かん</rt>者<rt>じゃ</rt></ruby></p>"
    )
    assert tree.walk(tree.parse(page), readings=True).texts == ["糖尿病(とうにょうびょう)の患(かん)者(じゃ)"]
    assert tree.walk(tree.parse(page)).texts == ["糖尿病の患者"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("text<div>text</div>text", ["text", "text", "text"]),
        ("<p>one<br>two<p>three", ["one", "two", "three"]),
        ("a<button>b</button>c", ["a", "b", "c"]),
        ("<dl><dt>Dose<dd>5 mg<dt>Route<dd>oral</dl>", ["Dose", "5 mg", "Route", "oral"]),
        ("<details><summary>More</summary>text</details>", ["More", "text"]),
        ("<pre>a\n  b  c\n</pre>", ["a", "  b  c"]),
        ("<script>1</script><style>p{}</style><template>t</template><p>Asthma<noscript>n</noscript>", ["Asthma"]),
    ],
)
def test_blocks_are_lines(body: str, expected: list[str]) -> None:
    assert lines(body) == expected


@pytest.mark.parametrize(
    "hidden",
    [
        "<div hidden>no</div>",
        '<p aria-hidden="true">no</p>',
        '<p style="color: red; display: none">no</p>',
        '<span style="display:none">no</span>',
        '<div class="modal tab" hidden>no</div>',
        "<dialog>no</dialog>",
    ],
)
def test_what_is_hidden_is_left_out(hidden: str) -> None:
    assert lines(f"<p>Asthma is a disease.</p>{hidden}") == ["Asthma is a disease."]


@pytest.mark.parametrize(
    "shown",
    [
        '<div class="accordion-panel" hidden>yes</div>',
        '<div role="tabpanel" style="display:none">yes</div>',
        '<div hidden id="S:1">yes</div>',
        '<div hidden="until-found">yes</div>',
        '<p style="opacity:0">yes</p>',
        '<p style="visibility:hidden">yes</p>',
        "<dialog open>yes</dialog>",
    ],
)
def test_what_scripts_and_readers_open_is_shown(shown: str) -> None:
    assert lines(f"<p>Asthma is a disease.</p>{shown}") == ["Asthma is a disease.", "yes"]


def test_a_page_that_hides_itself_until_its_script_runs_is_shown() -> None:
    assert (
        lines('<div style="display:none"><p>Asthma is a disease.</p></div><p>Loading</p>')[0] == "Asthma is a disease."
    )
    assert lines("<noscript><p>Asthma is a disease.</p></noscript><p>Loading</p>")[0] == "Asthma is a disease."


def test_cells_are_aligned_and_what_spans_is_repeated() -> None:
    table = (
        "<table><caption>Reactions</caption><tr><th rowspan=2>Drug<th colspan=2>Share</tr><tr><th>A<th>B</tr>"
        "<tr><td>x|y<td><ul><li>nausea<li>rash</ul><td><section>10<sup>9</sup></section></tr>"
        "<tr><td colspan=3>Heart</tr><tr><td>z</table>"
    )
    assert lines(table) == [
        "Reactions",
        "| Drug | Share | Share |",
        "| Drug | A | B |",
        "| x\\|y | nausea; rash | 10⁹ |",
        "| Heart |  |  |",
        "| z |  |  |",
    ]


def test_a_cell_that_spans_zero_rows_reaches_to_the_end_of_its_group() -> None:
    table = "<table><tr><th>A<th>B<tr><td rowspan=0>1<td>x<tr><td>y<tbody><tr><td>3<td>4</table>"
    assert lines(table) == ["| A | B |", "| 1 | x |", "| 1 | y |", "| 3 | 4 |"]


def test_a_table_within_a_cell_of_a_small_table_is_text_of_the_cell() -> None:
    inner = "<table><tr><td>one tablet<td>daily<tr><td>half<td>at night</table>"
    table = f"<table><tr><th>Age<th>Dose<tr><td>Adults<td>Oral: {inner}<tr><td>Children<td>none</table>"
    assert lines(table) == [
        "| Age | Dose |",
        "| Adults | Oral: one tablet daily half at night |",
        "| Children | none |",
    ]


def test_a_table_that_lays_out_a_page_is_no_table() -> None:
    cells = "<tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr>"
    assert lines(f'<table role="presentation">{cells}</table>') == ["a", "b", "c", "d"]
    assert lines(f"<table><tr><td>{'long text ' * 90}</td><td>b</td></tr>{cells}</table>")[1:] == [
        "b",
        "a",
        "b",
        "c",
        "d",
    ]
    assert lines("<table><tr><td>a</td></tr><tr><td>b</td></tr><tr><td>c</td></tr><tr><td>d</td></tr></table>") == list(
        "abcd"
    )


def test_bombs_of_spans_are_bounded() -> None:
    cells = "".join(f"<td colspan=1000 rowspan=1000>{'x' * 100}" for _ in range(3))
    text, _ = rendered(f"<table>{f'<tr>{cells}' * 50}</table>")
    assert text.count("x") < 4 * 15_000 + 4_000
    assert {line.count("|") for line in text.split("\n")} == {text.split("\n")[0].count("|")}
    assert text.split("\n")[0].count("|") <= MAX_COLUMNS + 4


def test_a_sparse_table_is_no_table() -> None:
    text, _ = rendered(f"<table><tr>{'<td>a' * 500}{'<tr><td>b' * 500}</table>")
    assert text.split("\n") == ["a"] * 500 + ["b"] * 500


def test_headings_are_sections_with_offsets_and_levels() -> None:
    text, sections = rendered(
        "<h1>Asthma</h1><p>A disease.</p><h3><a>Signs<br>of it</a></h3><p>Cough 😀.</p><h3><span>Drugs</span></h3>"
    )
    assert [(text[at:].split("\n")[0], title, level) for at, title, level in sections] == [
        ("Asthma", "Asthma", 1),
        ("Signs of it", "Signs of it", 2),
        ("Drugs", "Drugs", 2),
    ]


WRAPPERS = (
    "<div>{}</div>",
    "<p>{}</p>",
    "<section><h2>{}</h2></section>",
    "<ul><li>{}</li></ul>",
    "<blockquote>{}</blockquote>",
    "<b>{}</b>",
    "<span>{}</span>",
    '<a href="/x">{}</a>',
    "<article>{}</article>",
    "<details>{}</details>",
    "<dl><dd>{}</dd></dl>",
    "<custom-element>{}</custom-element>",
    "<font><i>{}</i></font>",
    "<pre>{}</pre>",
    "<table><tr><td>{}</td><td>u</td></tr><tr><td>v</td><td>w</td></tr></table>",
)
HIDDEN = (
    "<div hidden>HIDDEN</div>",
    '<span style="display:none">HIDDEN</span>',
    "<script>HIDDEN</script>",
    "<!-- HIDDEN -->",
)


def random_page(seed: int) -> str:
    """Return a page of random elements with a numbered word each, so that each place is told from the others."""
    draw, words = random.Random(seed), iter(f"w{number}." for number in range(1_000))
    body = ""
    for _ in range(draw.randint(1, 30)):
        piece = next(words)
        for _ in range(draw.randint(0, 6)):
            piece = draw.choice(WRAPPERS).format(
                draw.choice((piece, f"{next(words)} {piece}", f"{piece} {next(words)}"))
            )
            if draw.random() < 0.1:
                piece += draw.choice(HIDDEN)
        body += piece + draw.choice(("", " ", "\n", "<br>", "text"))
    return body


@pytest.mark.parametrize("seed", range(150))
def test_every_visible_word_is_in_the_text_once_and_in_order(seed: int) -> None:
    body = random_page(seed)
    parsed = tree.parse(f"<body>{body}</body>")
    for gone in parsed.css("script, [hidden], [style]"):
        gone.decompose()
    shown = re.findall(r"w\d+\.", parsed.body.text(separator=" "))
    text, _ = rendered(body)
    assert re.findall(r"w\d+\.", text) == shown
    assert "HIDDEN" not in text
    assert unicodedata.is_normalized("NFC", text)


@pytest.mark.parametrize("seed", range(40))
def test_rows_of_any_table_have_equal_numbers_of_cells(seed: int) -> None:
    draw = random.Random(seed)
    rows = ""
    for row in range(draw.randint(2, 8)):
        rows += "<tr>"
        for cell in range(draw.randint(1, 6)):
            spans = f"colspan={draw.choice(('1', '2', '3', '0', '-1', 'x', '99999'))} rowspan={draw.choice('1230')}"
            rows += f"<t{draw.choice('hd')} {spans}>r{row}c{cell}"
    text, _ = rendered(f"<table>{rows}</table>")
    if text.startswith("|"):
        assert len({line.count("|") for line in text.split("\n")}) == 1
    for place in re.findall(r"r\d+c\d+", rows):
        assert place in text
