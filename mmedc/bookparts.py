"""The parts of a book that are not its text: their names, and what is done with them unless a recipe says otherwise."""

from typing import Literal

BookPart = Literal[
    "front_matter",
    "contents",
    "index",
    "bibliography",
    "acknowledgements",
    "translations",
    "reviews",
    "preface",
    "glossary",
    "appendix",
    "footnotes",
    "captions",
    "tables",
]
"""The parts that are recognised."""

Fate = Literal["keep", "drop"]

PARTS: dict[BookPart, tuple[Fate, str]] = {
    "front_matter": ("drop", "cover, title page, imprint, dedication, advertisements"),
    "contents": ("drop", "table of contents, lists of figures and tables, list of pages"),
    "index": ("drop", "the index of words at the end"),
    "bibliography": ("drop", "references, further reading"),
    "acknowledgements": ("drop", "thanks, funding, contributions of authors, competing interests"),
    "translations": ("drop", "abstracts of an article in other languages than its own"),
    "reviews": ("drop", "reports of reviewers, letters of editors and replies that are printed with an article"),
    "preface": ("keep", "foreword, preface, introduction before the chapters"),
    "glossary": ("keep", "glossary, list of abbreviations"),
    "appendix": ("keep", "appendices"),
    "footnotes": ("keep", "footnotes and endnotes; each stands after the paragraph that refers to it"),
    "captions": ("keep", "captions of figures and tables"),
    "tables": ("keep", "tables, as rows of Markdown"),
}
"""For each part whether it is kept or dropped by default, and what it is."""
