"""The table of all commands: it fits the terminal, breaks no word that has room, and hides nothing silently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mmedc.report.grid import Column, Grid, number, shortened, visible, wrapped
from mmedc.report.published import ITEMS
from mmedc.report.scores import scores_table

FUNNEL = Grid(
    [Column("step"), number("read"), number("rate", rank=1), Column("reasons", wrap=True)],
    [
        ("read", "1,370", "2,740", "http_status 1, rejected bad_encoding 1, rejected too_large 1"),
        ("dedup", "90", "9", ""),
    ],
)


def lines(grid: Grid, width: int) -> list[str]:
    return [line.plain for line in grid.lines(width)]


@given(
    st.lists(st.tuples(st.text(max_size=90), st.text(max_size=9), st.text(max_size=60)), max_size=5),
    st.integers(12, 140),
)
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    grid = Grid([Column("name"), number("documents", rank=1), Column("why", wrap=True)], rows)
    assert all(cell_len(line) <= width for line in lines(grid, width))


def test_columns_of_high_rank_go_first_and_are_named() -> None:
    assert lines(FUNNEL, 120)[1].split() == [
        "read",
        "1,370",
        "2,740",
        *["http_status", "1,", "rejected", "bad_encoding", "1,", "rejected", "too_large", "1"],
    ]
    narrow = lines(FUNNEL, 40)
    assert narrow[0].split() == ["step", "read", "reasons"] and narrow[-1] == "not shown at 40 columns: rate"


def test_text_without_room_beside_stands_below_its_row() -> None:
    assert lines(FUNNEL, 32)[:4] == [
        "step    read",
        "read   1,370",
        "    http_status 1, rejected",
        "    bad_encoding 1, rejected",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_word_is_whole_and_an_address_breaks_after_a_sign(width: int) -> None:
    text = "near_duplicate 23, rejected bad_encoding 1, exact_duplicate 7"
    assert " ".join(wrapped(text, width)) == text
    address = "https://en.health.example/print/kidney-anatomy-and-physiology-of-adults.html?lang=en&page=2"
    broken = wrapped(address, 40)
    assert "".join(broken) == address and all(line[-1] in "/-?&=." for line in broken[:-1])


def test_control_and_invisible_characters_are_pictures() -> None:
    assert visible("a\x1b[2J\tb\x00\u202ec\u200b\x85") == "a␛[2J␉b␀<U+202E>c<U+200B><U+0085>"
    assert lines(Grid([Column("a")], [("x\x1b]0;title\x07",)]), 40)[1] == "x␛]0;title␇"


def test_wide_characters_count_twice() -> None:
    assert wrapped("近い文書がある", 6) == ["近い文", "書があ", "る"]
    assert shortened("近い文書がある", 6) == "近い…" and shortened("abcdefghij", 7, middle=True) == "abc…hij"


def scored(items: dict[str, int]) -> dict[str, object]:
    row = {"accuracy": 0.5, "interval": (0.4, 0.6), "unparsed": 0, "hamming": 0.5}
    languages = {lang: {**row, "items": count} for lang, count in items.items()}
    return {"languages": languages, "average": row, "model": "m", "shots": 0, "protocol": "letters", "normal": "none"}


def test_published_accuracies_stand_only_beside_the_same_questions() -> None:
    same = "\n".join(lines(scores_table(scored(ITEMS), {}), 200))
    assert "MMed-Llama 3 8B" in same and "66.06" in same and "67.75" in same
    some = "\n".join(lines(scores_table(scored({**ITEMS, "en": 10}), {}), 200))
    assert "66.06" not in some and "67.75" not in some and "61.81" in some
    none = "\n".join(lines(scores_table(scored({"en": 10, "de": 1273}), {}), 200))
    assert "MMed-Llama" not in none


def test_a_number_stays_with_its_reason() -> None:
    assert wrapped("http_status 1, near_duplicate 23, not_text 1", 26) == [
        "http_status 1,",
        "near_duplicate 23,",
        "not_text 1",
    ]
