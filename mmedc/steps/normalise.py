"""One way to write the same text: Unicode NFC, one kind of line end, no invisible characters."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.engine.chain import Transform

# C0 and C1 controls, zero-width and bidirectional controls, BOM, soft hyphen, non-characters
_INVISIBLE = (
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\x{ad}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2069}"
    r"\x{feff}\x{fffe}\x{ffff}]"
)
INVISIBLE = re.compile(re.sub(r"\\x\{(\w+)\}", lambda code: rf"\u{code[1]:0>4}", _INVISIBLE))
"""The characters that `normalise` takes out, for single strings."""
_ODD_SPACE = r"\t\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"
RULES = (
    (r"\r\n?|[\x{2028}\x{2029}\x0b\x0c\x{85}]", "\n"),
    (_INVISIBLE, ""),
    (rf" *[{_ODD_SPACE}][ {_ODD_SPACE}]*|  +", " "),
    (r" \n ?|\n ", "\n"),
    (r"\n{3,}", "\n\n"),
)
"""Applied in order; the result is a fixed point (tested). Zero-width joiners stay: scripts need them.

None matches where there is nothing to change: to put a space for each space would be half of the cost.
"""


def normalise(texts: Any) -> Any:
    """Return texts (an Arrow string array) in their normal form."""
    for pattern, replacement in RULES:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    # Python first looks whether there is anything to compose, and is four times as fast as Arrow.
    composed = [text and unicodedata.normalize("NFC", text) for text in texts.to_pylist()]
    return pc.utf8_trim(pa.array(composed, texts.type), " \n")


@dataclass(frozen=True)
class Normalise:
    """Normalises `text`. Dropped: `empty`. Adds `chars`."""

    name: ClassVar[str] = "normalise"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform."""

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            texts = normalise(pc.fill_null(batch.column("text"), ""))
            chars = pc.utf8_length(texts)
            empty = pc.if_else(pc.equal(chars, 0), "empty", pa.scalar(None, pa.string()))
            batch = set_column(batch, "text", texts)
            batch = set_column(batch, "chars", chars.cast(pa.float32()))
            return set_column(batch, "dropped_by", empty)

        return transform
