"""Normalisation: Unicode NFC, one kind of line end, and no invisible characters.

Presentation forms of fonts and old charsets (Arabic presentation forms, Latin ligatures, half-width Kana) become the
letters that they stand for. Forms that an author may intend, such as full-width Latin, are kept; only matching folds
them.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.folding import INVISIBLE, SHAPED, unshaped
from mmedc.steps.offsets import with_marks, without_marks

# `mmedc.folding.INVISIBLE` in the syntax of RE2.
_INVISIBLE = re.sub("[^\\x20-\\x7e]", lambda char: rf"\x{{{ord(char[0]):x}}}", INVISIBLE.pattern)
_ODD_SPACE = r"\t\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"
RULES = (
    (r"\r\n?|[\x{2028}\x{2029}\x0b\x0c\x{85}]", "\n"),
    (_INVISIBLE, ""),
    (rf" *[{_ODD_SPACE}][ {_ODD_SPACE}]*|  +", " "),
    (r" \n ?|\n ", "\n"),
    (r"\n{3,}", "\n\n"),
)
"""Rules, applied in order; the result is a fixed point (tested). Zero-width joiners are kept: some scripts need them.

No rule matches text that it would not change: replacing every space by a space would take half of the time.
"""


def normalise(texts: Any) -> Any:
    """Return texts (an Arrow string array) in their normal form."""
    for pattern, replacement in RULES:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    shaped = pc.match_substring_regex(texts, f"[{SHAPED}]").to_pylist()
    # Python first checks whether there is anything to compose, and is four times as fast as Arrow.
    composed = [
        text and (unshaped(text) if odd else unicodedata.normalize("NFC", text))
        for text, odd in zip(texts.to_pylist(), shaped, strict=True)
    ]
    return pc.utf8_trim(pa.array(composed, texts.type), " \n")


@dataclass(frozen=True)
class Normalise:
    """Normalises `text`. Dropped: `empty`. Adds `chars`."""

    name: ClassVar[str] = "normalise"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform."""

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            marked, given = with_marks(batch)
            batch = without_marks(set_column(marked, "text", normalise(marked.column("text"))), given)
            texts = batch.column("text")
            chars = pc.utf8_length(texts)
            empty = pc.if_else(pc.equal(chars, 0), "empty", pa.scalar(None, pa.string()))
            batch = set_column(batch, "chars", chars.cast(pa.float32()))
            return set_column(batch, "dropped_by", empty)

        return transform
