"""A check of the nesting depth and the number of tags of a page: the time of parsers is quadratic in the depth."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from mmedc.document import set_column, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform

TAG = re.compile(rb"<(/?[a-zA-Z][a-zA-Z0-9:-]{0,30})")
RAW_TEXT = re.compile(rb"<(script|style|textarea|title)(?![a-z0-9:-])")  # elements whose content has no tags
UNNESTED = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "  # void (WHATWG HTML, 13.1.2)
    b"p li dt dd tr td th thead tbody tfoot option optgroup colgroup rt rp html head body".split()  # end left out
)
"""Elements whose start tags need no end tag, so that they do not count as depth."""


@dataclass(frozen=True)
class Nesting:
    """Rejects pages of more than `html_nodes` tags (`too_many_nodes`), or nested over `html_depth` (`too_deep`).

    It runs after the prefilter, which drops most pages without parsing, and before every step that parses.
    """

    html_depth: int = 1_000
    html_nodes: int = 300_000
    name: ClassVar[str] = "nesting"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform."""

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            rejected: list[str | None] = [None] * batch.num_rows
            ordinals = batch.column("ordinal").to_pylist()
            for index, (ordinal, page) in enumerate(zip(ordinals, views(batch.column("html")), strict=True)):
                if page is not None:
                    slot.mark(ordinal)
                    rejected[index] = overgrown(bytes(page), self.html_depth, self.html_nodes)
            return set_column(batch, "rejected_by", pa.array(rejected, pa.string()))

        return transform


def overgrown(page: bytes, depth: int, nodes: int) -> str | None:
    """Return why a page has too many tags or nests too deep, or None; linear in its tags."""
    tags = page.count(b"<")
    if tags > nodes:
        return f"too_many_nodes: {tags:,} tags, at most {nodes:,} are parsed"
    if tags <= depth or tags - page.count(b"</") <= depth:  # there are too few start tags to nest so deep
        return None
    names: list[bytes] = TAG.findall(_without_raw_text(page))
    steps = {name: _step(name.lower()) for name in set(names)}
    levels = np.fromiter(map(steps.__getitem__, names), np.int64, len(names)).cumsum()
    levels -= np.minimum.accumulate(np.minimum(levels, 0))  # an end tag without a start tag has no effect
    if levels.max(initial=0) > depth:
        return f"too_deep: elements nest over {depth:,} levels"
    return None


def _without_raw_text(page: bytes) -> bytes:
    """Return a page without the content of `RAW_TEXT` elements, in which a `<` does not begin a tag."""
    parts, at, lower = [], 0, page.lower()
    while raw := RAW_TEXT.search(lower, at):
        parts.append(page[at : raw.end()])
        at = lower.find(b"</" + raw[1], raw.end())
        if at < 0:
            return b"".join(parts)
    return b"".join((*parts, page[at:]))


def _step(name: bytes) -> int:
    """Return by how many levels a tag (in lower case, an end tag with `/` before its name) changes the depth."""
    return 0 if name.lstrip(b"/") in UNNESTED else -1 if name.startswith(b"/") else 1
