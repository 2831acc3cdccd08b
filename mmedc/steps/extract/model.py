"""Which blocks of a page are its main content."""

from mmedc.steps.extract.blocks import Blocks

SHORT_CHARS = 40
LINKED = 0.4


def kept(found: Blocks) -> list[bool]:
    """Return for each block whether it is kept: a block of some length with few of its characters in links."""
    lengths = [len(text) for text in found.texts]
    return [
        length >= SHORT_CHARS and linked <= LINKED * length
        for length, linked in zip(lengths, found.linked, strict=True)
    ]
