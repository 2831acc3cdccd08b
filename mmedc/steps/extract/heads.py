"""The title of a page as the first line of its main text, where the page shows it above the text as a heading.

Readers of a thread miss its question without it, and readers of a text with sections the heading of them all. The gold
text of WCXB has few titles: on every page with such a heading, articles lose .0021 of F1 on each twelfth page (.0019 on
all), and .0018 (.0013) with the rule of `asks_for_title`.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from mmedc.steps.extract.blocks import Blocks
from mmedc.steps.extract.names import shape_of
from mmedc.steps.extract.titles import form
from mmedc.steps.extract.tree import NAMELESS, Walk

LEAST_CHARS = 4
"""The length of the form of a heading from which on it can agree with the title of the page."""

LEAST_POSTS = 3
"""The number of posts side by side that make a thread."""


def asks_for_title(walk: Walk, kind: str | None, levels: NDArray[np.int64], kept: NDArray[np.bool_]) -> bool:
    """Return whether the text of a page is worse without its title: a thread, or a text with headings of its own."""
    return kind == "qa" or int((levels[kept] > 0).sum()) > 1 or _has_posts(walk)


def _has_posts(walk: Walk) -> bool:
    """Return whether a page has elements side by side of one shape that are called posts."""
    posts = Counter(
        (parent, shape_of(tag, names))
        for tag, parent, names in zip(walk.tags, walk.parents, walk.names, strict=True)
        if names is not NAMELESS and "post" in names[0].lower().split()
    )
    return max(posts.values(), default=0) >= LEAST_POSTS


def with_title(found: Blocks, kept: NDArray[np.bool_], levels: NDArray[np.int64], title: str) -> NDArray[np.bool_]:
    """Return `kept` with the nearest heading above the first block that is kept, where it agrees with the page's title.

    `levels` are those of the headings among the blocks, 0 for the others. Nothing changes where the text has the
    heading already.
    """
    wanted = form(title)
    if len(wanted) < LEAST_CHARS or not kept.any():
        return kept
    first = int(np.argmax(kept))
    for block in np.flatnonzero(levels[:first])[::-1]:
        shape = form(found.texts[block])
        shorter, longer = sorted((shape, wanted), key=len)
        if len(shape) >= LEAST_CHARS and shorter in longer and 2 * len(shorter) >= len(longer):
            if any(form(found.texts[other]) == shape for other in np.flatnonzero(kept)):
                return kept
            kept = kept.copy()
            kept[block] = True
            return kept
    return kept
