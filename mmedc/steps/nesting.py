"""How deep a page nests and how many tags it has, before a parser sees it: parsers take quadratic time over depth."""

import re
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform

TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30})")
RAW_TEXT = (b"script", b"style", b"textarea", b"title")  # what looks like a tag in them is none
UNNESTED = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "  # void (WHATWG HTML, 13.1.2)
    b"p li dt dd tr td th thead tbody tfoot option optgroup colgroup rt rp html head body".split()  # end left out
)
"""Elements whose start tags need no end tag, so that they say nothing of depth."""


@dataclass(frozen=True)
class Nesting:
    """Rejects pages of more than `html_nodes` tags (`too_many_nodes`), or nested over `html_depth` (`too_deep`).

    After the gate, which parses nothing and drops most pages, and before all that parses.
    """

    html_depth: int = 1_000
    html_nodes: int = 300_000
    name: ClassVar[str] = "nesting"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform."""

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            rejected: list[str | None] = [None] * batch.num_rows
            for index, (ordinal, page) in enumerate(zip(batch.column("ordinal"), batch.column("html"), strict=True)):
                if page.is_valid:
                    slot.mark(ordinal.as_py())
                    rejected[index] = overgrown(page.as_buffer().to_pybytes(), self.html_depth, self.html_nodes)
            return set_column(batch, "rejected_by", pa.array(rejected, pa.string()))

        return transform


def overgrown(page: bytes, depth: int, nodes: int) -> str | None:
    """Return why a page has too many tags or nests too deep, or None; linear in its tags."""
    tags = page.count(b"<")
    if tags > nodes:
        return f"too_many_nodes: {tags:,} tags, at most {nodes:,} are parsed"
    if tags - page.count(b"</") <= depth:  # not even as many start tags
        return None
    lower, level, tag = page.lower(), 0, TAG.search(page)
    while tag:
        name, end = tag.group(2).lower(), tag.end()
        if name in UNNESTED:
            pass
        elif tag.group(1):
            level = max(0, level - 1)
        elif name in RAW_TEXT:
            end = lower.find(b"</" + name, end)
            if end < 0:
                break
            level += 1
        else:
            level += 1
        if level > depth:
            return f"too_deep: elements nest over {depth:,} levels"
        tag = TAG.search(page, end)
    return None
