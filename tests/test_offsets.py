"""The offsets of sections and pages point at the same characters after every step that changes a text."""

import unicodedata
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.corpus.passes import edited
from mmedc.document import DOCUMENT, RAW, edited_offsets, edited_text
from mmedc.policy import read_policy
from mmedc.steps.normalise import Normalise, normalise
from mmedc.steps.offsets import MARK
from mmedc.steps.privacy import Private

PIECES = [
    "Dose ",
    " ",
    "\n",
    "\r\n",
    "e\u0301",
    "\u0301",
    "ﻻ",
    "ｶﾞ",
    "\u200b",
    "\u00ad",
    "\u3000",
    "x",
    "。",
    MARK,
    "\t",
]


def _batch(text: str, sections: list[int], pages: list[int]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {name: [None] for name in RAW.names}
    columns |= {"ordinal": [0], "locator": ["a"], "provenance": ["a"], "text": [text], "pages": [pages or None]}
    columns["sections"] = [[{"offset": at, "title": str(at), "level": 1} for at in sections] or None]
    return pa.RecordBatch.from_pydict(columns, schema=RAW)


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.data())
@settings(max_examples=300)
def test_offsets_do_not_change_what_normalising_gives(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    plain = text.replace(MARK, "") if places else text
    after = Normalise().open()(_batch(text, places, places[:2]))
    assert after["text"][0].as_py() == normalise(pa.array([plain], pa.large_string()))[0].as_py()
    offsets = [section["offset"] for section in after["sections"][0].as_py() or ()]
    assert len(offsets) == len(places)
    assert offsets == sorted(offsets)
    assert all(0 <= at <= len(after["text"][0].as_py()) for at in offsets)


def test_an_offset_stays_at_its_heading() -> None:
    text = "  Intro\r\n\r\n\r\n\r\nﻻ re\u0301sume\u0301\u200b  long \n\n  Dosage\n10\u00a0mg"
    places = [text.index(word) for word in ("Intro", "Dosage")]
    after = Normalise().open()(_batch(text, places, [text.index("10")])).to_pylist()[0]
    starts = [section["offset"] for section in after["sections"]]
    assert [after["text"][at : at + 5] for at in starts] == ["Intro", "Dosag"]
    assert after["text"][after["pages"][0] :] == "10 mg"
    assert unicodedata.is_normalized("NFC", after["text"])


def test_placeholders_move_the_offsets_behind_them() -> None:
    text = "Contact: someone.long@hospital.example or call\nDosage\nTake two."
    batch = _batch(text, [text.index("Dosage")], [text.index("Take")])
    after = (
        Private(read_policy("balanced", ("en",))).open()(batch.append_column("lang", pa.array(["en"]))).to_pylist()[0]
    )
    assert after["private_items"] == 1
    assert after["text"][after["sections"][0]["offset"] :].startswith("Dosage")
    assert after["text"][after["pages"][0] :] == "Take two."


@given(st.text("ab", min_size=1, max_size=12), st.data())
def test_edits_move_offsets_to_the_same_characters(text: str, data: st.DataObject) -> None:
    bounds = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6, unique=True)))
    spans = [
        (low, high, data.draw(st.sampled_from(["", "…", "longer"])))
        for low, high in zip(bounds[::2], bounds[1::2], strict=False)
    ]
    kept = [at for at in range(len(text)) if not any(low <= at < high for low, high, _ in spans)]
    moved = edited_offsets({"pages": kept}, spans)["pages"]
    after = edited_text(text, spans)
    assert [after[at] for at in moved] == [text[at] for at in kept]
    inside = edited_offsets({"pages": [low for low, _, _ in spans]}, spans)["pages"]
    assert [after[at : at + len(by)] for at, (_, _, by) in zip(inside, spans, strict=True)] == [by for *_, by in spans]


def test_removed_lines_move_the_sections_of_a_published_document() -> None:
    text = "Menu\nDosage\nTake two."
    row: dict[str, Any] = {field.name: "x" for field in DOCUMENT if field.type == pa.string()}
    row |= {"text": text, "sections": [{"offset": 5, "title": "Dosage", "level": 2}], "chars": float(len(text))}
    row |= {"authors": None, "identifiers": None}
    table = pa.Table.from_pylist([row], schema=DOCUMENT)
    edits = pa.table({"row": [7], "start": [0], "stop": [5], "by": [""]})
    after = edited(table, pa.array([7]).to_numpy(), edits).to_pylist()[0]
    assert after["text"] == "Dosage\nTake two."
    assert after["sections"] == [{"offset": 0, "title": "Dosage", "level": 2}]
    assert after["removed_chars"] == 5
