"""Our own extractor: main content in several languages and kinds of pages, the same in every batch."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.errors import PolicyError, RequestError
from mmedc.fit.alignment import words_in
from mmedc.fit.extractor import fit_extractor, site_of, word_f1
from mmedc.steps.extract import model, read_page, shipped_trees, tree
from mmedc.steps.extract.blocks import blocks_of
from mmedc.steps.extract.characters import KINDS, kinds_of
from mmedc.steps.extract.claims import claims_of
from mmedc.steps.extract.features import features_of
from mmedc.steps.extract.heads import with_title
from mmedc.steps.extract.kinds import roles_of
from mmedc.steps.extract.metadata import Found
from tests.extractor_pages import LABELS, PARAGRAPHS, SAMPLES, Sample, framed

FLOORS = {"article": 0.97, "thread": 0.85, "leaflet": 0.9, "questions": 0.9}
"""The least F1 of pairs of characters, by the first word of a page's name; never to be lowered."""


def pairs(text: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise("".join(text.split()).replace("|", "")))


def pair_f1(found: str, gold: str) -> float:
    mine, wanted = pairs(found), pairs(gold)
    return 2 * (mine & wanted).total() / max(mine.total() + wanted.total(), 1)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.name} {sample.lang}")
def test_main_content_is_kept_and_the_frame_left_out(sample: Sample) -> None:
    text = read_page(sample.html).text
    assert pair_f1(text, sample.gold) >= FLOORS[sample.name.split()[0]], text
    _, _, cookies, related, teaser, _, rights, _ = LABELS[sample.lang]
    assert not [frame for frame in (cookies, related, teaser, rights) if frame in text]


def test_posts_are_apart_by_a_blank_line() -> None:
    sample = next(sample for sample in SAMPLES if sample.name.startswith("thread") and sample.lang == "ru")
    assert len([post for post in read_page(sample.html).text.split("\n\n") if len(post) > 60]) == 3


def described(html: str) -> dict[str, np.ndarray]:
    found = blocks_of(tree.walk(tree.parse(html)))
    return features_of(found, roles_of(found.walk))


def test_features_are_whole_numbers_of_every_block() -> None:
    for html in ("<p>a", "<h1>a</h1><p>b", SAMPLES[0].html):
        values = described(html)
        assert {len(row) for row in values.values()} == {len(values["units"])}
        assert all(row.dtype.kind == "i" for row in values.values())
    assert set(shipped_trees().features) <= set(values)


def test_the_length_of_a_text_does_not_depend_on_its_script() -> None:
    units = [described(sample.html)["page units"][0] for sample in SAMPLES if sample.name == "article"]
    assert max(units) < 2 * min(units)


def test_scores_are_those_of_each_question_asked_in_turn_in_any_batch() -> None:
    trees, values = shipped_trees(), described(SAMPLES[0].html)
    scores = trees.scores(values)
    for block in range(0, len(scores), 7):
        total = trees.base
        for asked, over, leaves in zip(trees.asked, trees.over, trees.leaves, strict=True):
            answers = [values[trees.features[f]][block] > t for f, t in zip(asked, over, strict=True)]
            total += leaves[sum(int(yes) << bit for bit, yes in enumerate(answers))]
        assert scores[block] == min(max(total, 0), model.SCALE)
    many = {name: np.tile(row, 60) for name, row in values.items()}  # more than one chunk
    assert trees.scores(many).tolist() == scores.tolist() * 60


def chosen(
    scores: list[int], sizes: list[int], shapes: list[int], headings: list[int], terms: list[int] | None = None
) -> list[bool]:
    described = {"words": np.array(sizes), "shape": np.array(shapes), "heading": np.array(headings)}
    described |= {"term": np.array(terms or [0] * len(sizes)), "article": np.ones(len(sizes), np.int64)}
    described["path comment"] = np.zeros(len(sizes), np.int64)
    return list(model.chosen(np.array(scores, np.int64), described, one_element(len(sizes))).tolist())


def one_element(blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spans of a page whose blocks all stand in its body."""
    return np.array([0]), np.array([blocks])


@given(st.lists(st.tuples(st.integers(0, model.SCALE), st.integers(1, 50)), min_size=1, max_size=30))
@settings(max_examples=200)
def test_the_choice_depends_on_the_page_and_not_on_the_order_of_its_blocks(blocks: list[tuple[int, int]]) -> None:
    scores, sizes = (list(one) for one in zip(*blocks, strict=True))
    shapes, none = list(range(len(blocks))), [0] * len(blocks)
    kept = chosen(scores, sizes, shapes, none)
    least = min((score for score, stays in zip(scores, kept, strict=True) if stays), default=model.SCALE + 1)
    assert any(kept) or not any(scores)
    assert all(score < least for score, stays in zip(scores, kept, strict=True) if not stays)
    assert chosen(scores[::-1], sizes[::-1], shapes, none) == kept[::-1]


def test_middling_blocks_stay_only_where_there_are_no_better_ones() -> None:
    sizes, apart, none = [100, 100, 30], [1, 2, 3], [0, 0, 0]
    assert chosen([60_000, 58_000, 30_000], sizes, apart, none) == [True, True, False]
    assert chosen([33_000, 31_000, 30_000], sizes, apart, none) == [True, True, True]
    assert chosen([60_000, 58_000, 30_000], sizes, [1, 1, 1], none) == [True, True, True]  # one text
    assert chosen([10_000, 60_000, 10_000], sizes, apart, [2, 0, 2]) == [True, True, False]  # headings
    assert chosen([10_000, 60_000, 10_000], sizes, apart, none, [1, 0, 1]) == [True, True, False]  # terms


def test_kinds_of_characters_are_counted_in_every_script() -> None:
    counts, _, _ = kinds_of(["Ab 1.", "糖尿病。", "حمى، ألم؟", "𝄞"])
    by = dict(zip(KINDS, counts.tolist(), strict=True))
    assert by["letter"] == [2, 3, 6, 1]
    assert by["wide"] == [0, 3, 0, 1]
    assert by["upper"] == [1, 0, 0, 0]
    assert by["sentence"] == [1, 1, 1, 0]
    assert by["comma"] == [0, 0, 1, 0]
    assert by["space"] == [1, 0, 1, 0]


def test_words_of_the_frame_that_the_gold_text_has_too_are_not_aligned() -> None:
    gold = "Contact your doctor at once. About half of all patients feel better after a week."
    found, words = words_in(["Contact", "About", "Contact your doctor at once.", "Buy now", gold[29:]], gold)
    assert found.tolist() == [0, 0, 5, 0, 10]
    assert words.tolist() == [1, 1, 5, 2, 10]
    moved, _ = words_in([gold[29:], "Contact your doctor at once."], gold)
    assert moved.tolist() == [10, 5]


def test_a_page_without_text_has_none() -> None:
    for html in ("", "<html></html>", "<body><img src=a></body>", "<frameset><frame></frameset>"):
        assert read_page(html).text == ""


def test_a_model_of_another_version_is_refused(tmp_path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no model")
    with pytest.raises(PolicyError, match=r"a\.npz: expected an extractor of `mmedc fit extractor`"):
        model.read_trees(str(tmp_path / "a.npz"))
    with pytest.raises(PolicyError, match="asks for"):
        shipped_trees().scores({"units": np.ones(1, np.int64)})


def test_a_model_is_fitted_on_pages_and_tested_on_other_sites(tmp_path) -> None:
    pytest.importorskip("catboost")
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"url": f"https://www.site{number}.example/{number}", "html": sample.html, "text": sample.gold}
        for number, sample in enumerate(SAMPLES)
    ]
    path = tmp_path / "pages.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    card = fit_extractor([str(path)], tmp_path / "filters", lambda done, total: None)
    assert "| F1 |" in card
    trees = model.read_trees(str(tmp_path / "filters/models/extractor.npz"))
    page = framed("en", SAMPLES[0].html.partition("<main>")[2])
    assert "keeps the swelling down" in read_page(page, trees=trees).text
    with pytest.raises(RequestError, match="no such file"):
        fit_extractor([str(tmp_path / "none.parquet")], tmp_path, lambda done, total: None)


def test_a_character_of_a_script_without_spaces_is_a_word() -> None:
    assert word_f1("喘息は気道の病気", "喘息は気道の炎症") == pytest.approx(6 / 8)
    assert word_f1("asthma is common", "asthma is rare") == pytest.approx(2 / 3)


def test_sites() -> None:
    assert site_of("https://www.a.example.co.uk/x") == "example.co.uk"
    assert site_of("http://blog.example.org/") == "example.org"
    assert site_of("") == ""


THREAD = (
    "<html><head><title>Inhaler not helping at night - Asthma forum</title></head><body>"
    '<nav><a href="/">Asthma forum</a> <a href="/new">New posts</a></nav><h1>Asthma forum</h1>'
    '<div class="top"><h1>Inhaler not helping at night</h1><div class="tools"><a href="#">Reply</a> <a href="#">Follow'
    '</a></div></div>{posts}<footer><a href="/terms">Terms</a></footer></body></html>'
)


def test_a_text_begins_with_the_title_that_the_page_shows_above_it() -> None:
    paragraphs = PARAGRAPHS["en"]
    posts = "".join(f'<article class="post"><p>{paragraph}</p></article>' for paragraph in paragraphs)
    page = read_page(THREAD.format(posts=posts))
    assert page.text.startswith("Inhaler not helping at night\n")
    assert page.sections == [{"offset": 0, "title": "Inhaler not helping at night", "level": 1}]
    assert not read_page(THREAD.format(posts=posts).replace("Inhaler not", "Nothing", 1)).text.startswith(
        "Asthma forum"
    )


def test_a_title_that_the_text_has_is_not_added_again() -> None:
    found = blocks_of(tree.walk(tree.parse("<h1>Asthma</h1><p>teaser<h2>Asthma</h2><p>text")))
    levels, kept = np.array([1, 0, 2, 0]), np.array([False, False, True, True])
    assert with_title(found, kept, levels, "Asthma").tolist() == kept.tolist()
    kept[2] = False
    assert with_title(found, kept, levels, "Asthma").tolist() == [False, False, True, True]


def stating(article: str, body: str) -> str:
    said = {"@type": "NewsArticle", "articleBody": article}
    return f'<head><script type="application/ld+json">{json.dumps(said)}</script></head><body>{body}</body>'


def test_an_article_that_a_page_states_and_does_not_show_is_its_text() -> None:
    article = "<p>Asthma is a disease of the airways &amp; lungs.</p><p>It often begins in childhood.</p>" * 6
    text = read_page(stating(article, "<p>Please switch JavaScript on.</p>")).text
    assert text.splitlines()[:2] == ["Asthma is a disease of the airways & lungs.", "It often begins in childhood."]
    plain = "Asthma is a disease of the airways.\n\n" * 15
    assert read_page(stating(plain, "")).text == "\n".join(["Asthma is a disease of the airways."] * 15)
    shown = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS["en"])
    assert "Please" not in read_page(stating(article[:300], f"<main>{shown}</main>")).text


def test_the_block_that_a_description_was_taken_from_is_found_in_any_script() -> None:
    for lang, paragraphs in PARAGRAPHS.items():
        head = f'<head><meta name="description" content="{paragraphs[0][:60]} …"></head>'
        parsed = tree.parse(f"{head}<body><h1>1</h1><p>{paragraphs[1]}</p><p>{paragraphs[0]}</p></body>")
        claimed = claims_of(Found(parsed), "")
        found = blocks_of(tree.walk(parsed))
        assert features_of(found, roles_of(found.walk), claimed)["described"].tolist() == [0, 0, 1], lang


def test_teasers_outside_the_element_of_an_article_need_a_better_score() -> None:
    names = ("heading", "term", "path comment")
    described = {name: np.zeros(4, np.int64) for name in names} | {"shape": np.arange(4), "words": np.full(4, 60)}
    scores = np.array([60_000, 60_000, 60_000, 48_000], np.int64)
    spans = np.array([0, 0, 3]), np.array([4, 3, 4])  # the body, the article, a box below it
    for article, kept in ((1, [True, True, True, False]), (0, [True] * 4)):
        described["article"] = np.full(4, article)
        assert model.chosen(scores, described, spans).tolist() == kept
    described["article"], scores[3] = np.ones(4, np.int64), 58_000
    assert model.chosen(scores, described, spans).all()


def test_comments_below_an_article_are_left_out() -> None:
    described = {name: np.zeros(3, np.int64) for name in ("heading", "term")} | {"shape": np.arange(3)}
    described |= {"words": np.array([60, 90, 10]), "path comment": np.array([0, 1, 0])}
    scores = np.array([60_000, 60_000, 60_000], np.int64)
    for article, kept in ((1, [True, False, True]), (0, [True, True, True])):
        described["article"] = np.full(3, article)
        assert model.chosen(scores, described, one_element(3)).tolist() == kept
    described["article"], described["words"] = np.ones(3, np.int64), np.array([5, 200, 5])
    assert model.chosen(scores, described, one_element(3)).tolist() == [True, True, True]  # the name says nothing here
