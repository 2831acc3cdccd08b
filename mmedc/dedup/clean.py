"""The pass that removes benchmark questions from the selected documents, and reports each one."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from mmedc.dedup.contamination import find, standing
from mmedc.dedup.question_index import Index, index_of
from mmedc.dedup.questions import Questions, name_of, quoted
from mmedc.dedup.records import I64
from mmedc.dedup.texts import Span, joined, removed_row, text_slices
from mmedc.document import edited_text
from mmedc.engine.chain import REMOVED, SAMPLES, Count
from mmedc.engine.commit import read_table
from mmedc.engine.selection import EDIT, Selection, Sizes, sizes_by_language
from mmedc.engine.unit import Accounted, DataFile, Unit, UnitFiles

AROUND = 80  # characters of a document that are quoted before and after a hit
MASK = "…"
REASON = "benchmark_question"

FOUND = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("lang", pa.string()),
        ("locator", pa.string()),
        ("benchmark", pa.string()),  # the file's name without suffixes
        ("question", pa.string()),  # `file#line`
        ("words", pa.int64()),  # in a row, the same on both sides
        ("share", pa.float32()),  # of the question's words
        ("start", pa.int64()),  # of the document's characters
        ("stop", pa.int64()),
        ("in_question", pa.string()),
        ("in_document", pa.string()),
    ]
)
"""A question that was found in a document, with both sides."""


@dataclass(frozen=True, kw_only=True)
class Decontaminated(Accounted):
    """What `Decontaminate` leaves of a unit: a new selection, and the questions that were found (FOUND)."""

    keep: DataFile
    edits: DataFile
    found: DataFile
    sizes: Sizes


@dataclass(frozen=True)
class Decontaminate:
    """Finds questions in the rows that stay, and removes, masks or reports them. Unit spec: Selection."""

    questions: Questions
    hits: Literal["drop", "mask", "report"]
    version: ClassVar[int] = 3

    def run(self, unit: Unit[Selection], out: UnitFiles) -> Decontaminated:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec, store = unit.spec, out.store
        keep = read_table(store, spec.keep)
        rows = keep["row"].to_numpy()
        found: list[dict[str, Any]] = []
        removed: list[dict[str, Any]] = []
        edits: list[dict[str, Any]] = []
        sizes = keep["bytes"].to_numpy().copy()
        for at, table in text_slices(store, spec.documents, rows):
            texts = table["text"].to_pylist()
            hits = self._found(at, table, texts)
            found += hits
            for number in sorted({hit["number"] for hit in hits}):
                here = [hit for hit in hits if hit["number"] == number]
                if self.hits == "drop":
                    more = f" and {len(here) - 1} more" if len(here) > 1 else ""
                    detail = f"{here[0]['question']}, {here[0]['words']} words{more}"
                    row = table.slice(number, 1).to_pylist()[0]
                    sample = len(removed) < SAMPLES
                    removed.append(removed_row(row, int(at[number]), "decontaminate", REASON, detail, sample))
                elif self.hits == "mask":
                    spans = masks(texts[number], [row["hit"] for row in here], index_of(self.questions))
                    edits += [{"row": at[number], "start": low, "stop": high, "by": by} for low, high, by in spans]
                    sizes[np.searchsorted(rows, at[number])] = len(edited_text(texts[number], spans).encode())
        dropped = np.isin(rows, [row["ordinal"] for row in removed])
        keep = keep.set_column(2, "bytes", pa.array(sizes)).filter(pa.array(~dropped))
        count = Count(len(rows), len(rows) - len(removed), {REASON: len(removed)} if removed else {})
        return Decontaminated(
            keep=out.write("keep", keep),
            edits=out.write("edits", pa.Table.from_pylist(edits, schema=EDIT)),
            found=out.write("found", pa.Table.from_pylist(found, schema=FOUND)),
            sizes=sizes_by_language(keep),
            funnel={"decontaminate": count},
            removed=out.write("removed", pa.Table.from_pylist(removed, schema=REMOVED)),
        )

    def _found(self, at: I64, table: pa.Table, texts: list[str]) -> list[dict[str, Any]]:
        """Return FOUND rows of a slice of rows, with the `number` of each text in it."""
        index = index_of(self.questions)
        out = []
        for hit in find(texts, index).to_pylist():
            number, start, stop = hit["text"], hit["start"], hit["stop"]
            question = index.questions[hit["question"]]
            around = texts[number][max(start - AROUND, 0) : stop + AROUND]
            out.append(
                {
                    "number": number,
                    "hit": hit,
                    "row": int(at[number]),
                    **{name: table[name][number].as_py() for name in ("id", "lang", "locator")},
                    "benchmark": name_of(question.place),
                    "question": question.place,
                    **{name: hit[name] for name in ("words", "share", "start", "stop")},
                    "in_question": quoted(question.text),
                    "in_document": quoted(around, 500),
                }
            )
        return out


def masks(text: str, hits: list[dict[str, Any]], index: Index) -> list[Span]:
    """Return the spans of `text` to mask so that no question is found in what is left.

    `hits` are rows of HIT that `find` returned for it. A question that stands there twice, or of which more than one
    run stands there, is found again when the longest run is masked; so the masked text is searched until nothing is.
    Of a question that was found all places are masked at which it stands whole, even where nothing else shows there
    that it is more than a sentence.
    """
    questions = {hit["question"] for hit in hits}
    spans = joined([(hit["start"], hit["stop"], MASK) for hit in hits])
    while True:
        masked = edited_text(text, spans)
        found = find([masked], index).to_pylist()
        questions |= {hit["question"] for hit in found}
        more = [(hit["start"], hit["stop"]) for hit in found] + standing(masked, questions, index)
        if not more:
            return spans
        spans = joined([*spans, *((original(spans, low)[0], original(spans, high - 1)[1], MASK) for low, high in more)])


def original(spans: list[Span], at: int) -> tuple[int, int]:
    """Return which characters of a text the one at `at` stands for, once `spans` of the text are replaced."""
    shift = 0
    for start, stop, by in spans:
        if at < start - shift:
            break
        if at < start - shift + len(by):
            return start, stop
        shift += stop - start - len(by)
    return at + shift, at + shift + 1
