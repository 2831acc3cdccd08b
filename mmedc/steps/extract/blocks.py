"""The blocks of a page in the order of the document, and the text of those that are kept."""

from typing import NamedTuple

from mmedc.steps.extract.tree import Walk


class Blocks(NamedTuple):
    """The runs of a walk, each with the block element that it belongs to."""

    walk: Walk
    texts: list[str]


def blocks_of(walk: Walk) -> Blocks:
    """Return the blocks of a page."""
    return Blocks(walk, walk.texts)


def text_of(found: Blocks, kept: list[bool]) -> str:
    """Return the text of the blocks that are kept, a line each."""
    return "\n".join([text for text, stays in zip(found.texts, kept, strict=True) if stays])
