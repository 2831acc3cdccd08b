"""What a page shows: elements that say they are hidden are left out, unless they fold or hold much of the page."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmedc.steps.extract.tree import Walk

BELIEVED_SHARE = 0.3
"""The share of a page's text from which on a hidden element is shown by a script after all.

On WCXB, elements with `hidden` that hold more have .92 of their text in the gold text, those that hold less .48; for
`display: none` it is .26 and .18. Opacity and visibility are not believed at all: .80 and .77 are in the gold text.
"""

FOLDED = re.compile(
    r"accordion|collaps|\btab(?!le|ular)|tab-?panel|panel|faq|expand|toggle|drawer|\bregion\b", re.IGNORECASE
)
OVERLAID = re.compile(r"modal|dialog|menu|\bnav|popup|dropdown|cookie|tooltip|share|search", re.IGNORECASE)
"""Names of hidden elements: `FOLDED` ones open where they stand when a reader asks, as `details` does, and are shown;
.7 of their text is in the gold text of WCXB. Of `OVERLAID` ones .01 is, and .1 of those with other names."""

STREAMED = re.compile(r"S:\w+")
"""The ids of elements that React sends hidden and then shows."""

LINED_UP = re.compile(r"display:\s*(?:inline-)?(?:block|flex|grid|table|list-item)", re.IGNORECASE)
"""The style of an inline element that browsers set apart from the text around it."""

ICON = "material-"
"""The beginning of the classes of elements whose text is the name of an icon: `material-icons`, `material-symbols`."""

TELLING = frozenset(("hidden", "aria-hidden", "style"))
"""The attributes that can set an inline element apart or hide it."""

IN_LINE, APART, HIDDEN = range(3)
NEVER_SHOWN = frozenset(("noscript", "dialog"))
"""Elements that browsers do not show, unless their attributes say so."""


def is_hidden(attributes: dict[str, str | None]) -> bool:
    """Return whether an element with these attributes says that it is not shown."""
    if "hidden" in attributes:
        said = attributes["hidden"] != "until-found" and not STREAMED.fullmatch(attributes.get("id") or "")
    elif attributes.get("aria-hidden") == "true":
        said = True
    else:
        said = "display:none" in (attributes.get("style") or "").replace(" ", "").lower()
    if not said:
        return False
    named = f"{attributes.get('class')} {attributes.get('id')} {attributes.get('role')}"
    return not FOLDED.search(named) or bool(OVERLAID.search(named))


def set_apart(attributes: dict[str, str | None]) -> int:
    """Return whether an inline element with these attributes is part of the line, set apart from it, or hidden."""
    if is_hidden(attributes) or ICON in (attributes.get("class") or ""):
        return HIDDEN
    style = attributes.get("style")
    return APART if style and LINED_UP.search(style) else IN_LINE


def without_hidden(walk: "Walk") -> None:
    """Take the runs of hidden elements out of a walk."""
    hidden = [number for number, says in enumerate(walk.hidden) if says]
    if not hidden:
        return
    total = sum(map(len, walk.texts))
    gone = [False] * len(walk.texts)
    for number in hidden:
        start, end = walk.starts[number], walk.ends[number]
        if start == end or gone[start]:
            continue
        if sum(map(len, walk.texts[start:end])) < BELIEVED_SHARE * total:
            gone[start:end] = [True] * (end - start)
    if not any(gone):
        return
    place = [0]
    for leaves in gone:
        place.append(place[-1] + (not leaves))
    walk.starts = [place[start] for start in walk.starts]
    walk.ends = [place[end] for end in walk.ends]
    of_runs: tuple[list[Any], ...] = (walk.texts, walk.owners, walk.linked, walk.links, walk.images, walk.inner)
    for runs in of_runs:
        runs[:] = [run for run, leaves in zip(runs, gone, strict=True) if not leaves]
