"""The rules by which books are read: which parts are left out, and which headings begin them."""

import re
from dataclasses import dataclass
from functools import cached_property

from mmedc.bookparts import PARTS, BookPart
from mmedc.books.ocr.models import OcrRules
from mmedc.folding import plain
from mmedc.models import Model

NAMED: tuple[BookPart, ...] = (
    *("front_matter", "contents", "index", "bibliography", "acknowledgements"),
    *("preface", "glossary", "appendix"),
)
"""The parts that a heading may begin; `filters/books/` has a list of headings for each."""

_NUMBER = re.compile(r"^(?:[\dIVXivx]{1,4}(?:\.\d{1,2}){0,3}[.):]?|[A-Z][.)])\s+(?=\D)")
_ENDS = " \t\n.:;,-–—*#_|"


@dataclass(frozen=True)
class BookRules:
    """What is done with books: which parts are left out, which headings begin them, and whether books are split."""

    dropped: tuple[str, ...] = tuple(part for part, (fate, _) in PARTS.items() if fate == "drop")
    """The parts that are left out."""
    headings: tuple[tuple[str, str], ...] = ()
    """(heading, the part that it begins), as `filters/books/` lists them."""
    chapter_words: tuple[str, ...] = ()
    """Words that begin the headings of chapters in plain text, with `#` for their number: `Chapter #`, `第#章`."""
    textbook_words: tuple[str, ...] = ()
    """Words by which the subject or genre of a book says that it is a textbook, in lower case."""
    keep_reserved: bool = False
    """Whether books are read whose publisher reserves text and data mining."""
    engine: str = "permissive"
    """The engine that reads PDF: `permissive` or `pymupdf`."""
    ocr: OcrRules | None = None
    """How pages are read by OCR; None drops pages that need it."""
    need: Model | None = None
    """The model that tells which pages of PDF need OCR; None is the one that ships."""
    split_tokens: int | None = None
    """Books of more tokens are split at sections; None leaves them whole."""
    tokenizer: str = "qwen"
    """What counts the tokens: `qwen`, or the path of its files."""
    tokenizer_digest: str = ""
    """The digest of its files."""

    def identity(self) -> list[object]:
        """Return what the documents depend on; the tokenizer counts only where books are split."""
        split = [self.split_tokens, self.tokenizer_digest] if self.split_tokens else None
        return [
            sorted(self.dropped),
            [list(pair) for pair in self.headings],
            list(self.chapter_words),
            split,
            list(self.textbook_words),
            self.keep_reserved,
            self.engine,
            self.ocr and self.ocr.identity(),
            self.need and self.need.sha256,
        ]

    def is_textbook(self, subjects: list[str]) -> bool:
        """Return whether subjects or a genre call a book a textbook."""
        folded = " ".join(plain(subject).casefold() for subject in subjects)
        return any(re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", folded) for word in self.textbook_words)

    @cached_property
    def _by_heading(self) -> dict[str, str]:
        return {_folded(heading): part for heading, part in self.headings}

    def part_of(self, heading: str) -> str | None:
        """Return the part that a heading begins, or None for a heading of the text itself."""
        return self._by_heading.get(_folded(heading)) if len(heading) <= 80 else None


def _folded(heading: str) -> str:
    heading = plain(" ".join(heading.split())).strip(_ENDS)
    return _NUMBER.sub("", heading).strip(_ENDS).casefold().replace(" ", "")
