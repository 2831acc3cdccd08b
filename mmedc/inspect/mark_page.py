"""Marks: the form on a document, the list of all of them, and how they become labels."""

from mmedc.inspect.looked import Looked, View
from mmedc.inspect.marks import KINDS, LABELS, NONE, NOTE_CHARS, Mark
from mmedc.inspect.markup import bdi, one_line, table
from mmedc.inspect.page import page
from mmedc.markup import Html, tag


def mark_form(mark: Mark | None, file: str, row: int, back: str) -> Html:
    """Return the form that marks a document."""
    choices = [
        tag(
            "label",
            tag(
                "input", type="radio", name="kind", value=kind, checked=bool(mark and mark.kind == kind), required=True
            ),
            tag("span", label),
        )
        for kind, label in KINDS.items()
    ]
    place = [
        tag("input", type="hidden", name=name, value=value)
        for name, value in (("file", file), ("row", row), ("back", back))
    ]
    said = tag("p", f"Marked as {KINDS[mark.kind]}.", class_="marked", role="status") if mark else None
    note = tag("textarea", mark.note if mark else "", name="note", rows=2, maxlength=NOTE_CHARS)
    form = tag(
        "form",
        place,
        tag("fieldset", tag("legend", "This document is", class_="unseen"), choices, class_="kinds"),
        tag("label", tag("span", "Note"), note),
        tag("button", "Mark", type="submit"),
        method="post",
        action="/marks",
    )
    return tag("section", tag("h2", "Mark"), said, form, _take_back(place) if mark else None, class_="mark-form")


def _take_back(place: list[Html]) -> Html:
    return tag(
        "form",
        place,
        tag("input", type="hidden", name="kind", value=NONE),
        tag("button", "Take the mark back", type="submit", class_="quiet"),
        method="post",
        action="/marks",
    )


def mark_page(view: View, looked: Looked) -> Html:
    """Return the list of marks."""
    marks = looked.marks
    rows = [
        [
            tag("a", bdi(one_line(mark.locator, 90) or mark.id), href=f"/documents/{mark.file}/{mark.row}"),
            KINDS[mark.kind],
            one_line(mark.note, 200),
            mark.lang,
            mark.at.replace("T", " ").removesuffix("+00:00"),
        ]
        for mark in reversed(marks.known.values())
    ]
    exports = [
        tag(
            "li",
            tag("a", f"Labels for “{question}”", href=f"/labels.jsonl?question={question}", download=True),
            tag("span", f": {_counted(looked, question)}"),
        )
        for question in LABELS
    ]
    damaged = f" {marks.unreadable:,} of its lines are not marks and are left as they are." if marks.unreadable else ""
    about = tag("p", "Marks are lines of ", tag("code", str(marks.path)), ".", damaged, class_="note")
    head = ["Document", "marked as", "note", "language", "at (UTC)"]
    listed = (
        table(head, rows, (), "Marked documents")
        if rows
        else tag(
            "p", "No document is marked. Open one and say what is wrong with it, or that it is right.", class_="none"
        )
    )
    how = tag(
        "p",
        "Labels are JSON lines as ",
        tag("code", "mmedc fit"),
        " reads them. A mark that says nothing about the question has the label null.",
        class_="note",
    )
    return page(
        "Marks",
        "/marks",
        view,
        looked,
        tag("h1", "Marks"),
        about,
        listed,
        tag("section", tag("h2", "Export"), tag("ul", exports), how),
    )


def _counted(looked: Looked, question: str) -> str:
    says = [LABELS[question].get(mark.kind) for mark in looked.marks.known.values()]
    return f"{says.count(True):,} yes, {says.count(False):,} no, {says.count(None):,} without an answer"
