"""Pictures of a report, as SVG without text: bars, histograms, and flows from what was read to what became of it.

The words stand beside the pictures in HTML, or in pictures of a fixed width, so that they are as large on a telephone
as on a desk; only what has no words is stretched. Colours are classes of the style sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmedc.markup import Child, Html, joined, tag

SLOT = 22
"""The least height of a node of a flow in pixels, which is that of its words."""
DRAWN = 300
"""The height in pixels of all records of a flow."""
WIDENED = 0.15
"""The share of the drawn width below which the trunk of a funnel is drawn wider."""
ROW = 34


def picture(width: float, height: float, *inside: Child, kind: str, says: str) -> Html:
    """Return an SVG that is stretched to the width of its place."""
    return tag(
        "svg",
        tag("title", says),
        *inside,
        viewBox=f"0 0 {width:g} {height:g}",
        preserveAspectRatio="none",
        class_=kind,
        role="img",
    )


def bar(share: float, kind: str = "kept") -> Html:
    """Return a bar as long as a share, 0 to 1, of its place."""
    inside = tag("rect", x=0, y=0, width=f"{100 * share:.2f}", height=8, class_=kind)
    return picture(100, 8, inside, kind="bar", says=f"{share:.1%}")


def histogram(counts: Sequence[int], says: str) -> Html:
    """Return a histogram of equally wide bins; of the counts, the greatest is as high as the picture."""
    most = max(counts, default=0) or 1
    bars = [
        tag("rect", x=f"{at + 0.06:g}", y=f"{40 - tall:.2f}", width="0.88", height=f"{tall:.2f}", class_="kept")
        for at, count in enumerate(counts)
        if (tall := max(40 * count / most, 0.8 if count else 0))
    ]
    return picture(max(len(counts), 1), 40, bars, kind="histogram", says=says)


@dataclass(frozen=True)
class Stage:
    """A step of a funnel, and what it kept of what it read."""

    read: int
    kept: int
    rejected: int = 0


def funnel(stages: Sequence[Stage]) -> list[tuple[Html, float]]:
    """Return for each stage a piece of the trunk, and how many times wider it is drawn than the first one.

    The pieces join when they stand one below another. What is dropped leaves to the right; its width is to scale where
    it leaves the trunk. Where little is left of the width, the trunk is drawn wider from there on.
    """
    whole, found = max((stage.read for stage in stages), default=1) or 1, []
    base = whole
    for stage in stages:
        widened = 0 < stage.read < WIDENED * base
        base = stage.read if widened else base
        found.append((_piece(stage, base, widened), whole / base))
    return found


def _piece(stage: Stage, base: int, widened: bool) -> Html:
    scale = 78 / base
    before, after = stage.read * scale, stage.kept * scale
    rejected = min(stage.rejected, stage.read) * scale
    trunk = tag("path", d=f"M0 0H{before:.2f}C{before:.2f} 18 {after:.2f} 12 {after:.2f} 30V{ROW}H0Z", class_="kept")
    inside: list[Child] = []
    if before > after:
        dropped = before - rejected
        if dropped > after:
            inside.append(tag("path", d=_branch(after, dropped, 14), class_="dropped"))
        if rejected:
            inside.append(tag("path", d=_branch(max(dropped, after), before, 2), class_="rejected"))
    inside.append(trunk)
    if widened:
        inside.append(tag("path", d=f"M0 0H{before:.2f}V3H0Z", class_="widened"))
    says = f"{stage.kept:,} of {stage.read:,} kept"
    return picture(100, ROW, inside, kind="piece", says=says)


def _branch(low: float, high: float, top: int) -> str:
    bottom = top + 12
    out, back = f"C{high:.2f} {top} 92 {top} 100 {top}", f"C88 {bottom} {low:.2f} {bottom} {low:.2f} 0"
    return f"M{low:.2f} 0H{high:.2f}{out}V{bottom}{back}Z"


@dataclass(frozen=True)
class Node:
    """An end of a flow: its words, the records that pass it, and the class that colours it."""

    name: str
    records: int
    kind: str


def flow(left: Sequence[Node], right: Sequence[Node], between: Sequence[Sequence[int]], says: str) -> Html:
    """Return a picture of how records went: `between[i][j]` of them from `left[i]` to `right[j]`.

    Heights are to scale. A node is at least as high as its words, of which the coloured part is to scale.
    """
    total = sum(node.records for node in left) or 1
    scale = DRAWN / total
    ends = [_places(nodes, scale) for nodes in (left, right)]
    height = max(bottom for places in ends for _, _, bottom in places) if left and right else SLOT
    starts, stops = ([top for top, _, _ in places] for places in ends)
    paths = []
    for at, row in enumerate(between):
        for to, records in enumerate(row):
            if not records:
                continue
            thick = records * scale
            begin, end = starts[at], stops[to]
            starts[at], stops[to] = begin + thick, end + thick
            d = _band(begin, end, thick)
            what = f"{left[at].name} to {right[to].name}: {records:,}"
            paths.append(tag("path", tag("title", what), d=d, class_=f"band {right[to].kind}"))
    middle = tag(
        "svg",
        tag("title", says),
        paths,
        viewBox=f"0 0 100 {height:.0f}",
        height=f"{height:.0f}",
        preserveAspectRatio="none",
        class_="bands",
        role="img",
    )
    return tag(
        "div", _words(left, ends[0], height, "left"), middle, _words(right, ends[1], height, "right"), class_="flow"
    )


def _band(begin: float, end: float, thick: float) -> str:
    """Return the outline of a band from the height `begin` at the left to `end` at the right."""
    there = f"C50 {begin:.2f} 50 {end:.2f} 100 {end:.2f}"
    back = f"C50 {end + thick:.2f} 50 {begin + thick:.2f} 0 {begin + thick:.2f}"
    return f"M0 {begin:.2f}{there}V{end + thick:.2f}{back}Z"


Place = tuple[float, float, float]
"""The top of the coloured part of a node, its bottom, and the bottom of the whole node."""


def _places(nodes: Sequence[Node], scale: float) -> list[Place]:
    places, top = [], 0.0
    for node in nodes:
        tall = node.records * scale
        slot = max(tall, SLOT) + 6
        begin = top + (slot - tall) / 2
        places.append((begin, begin + tall, top + slot))
        top += slot
    return places


def _words(nodes: Sequence[Node], places: Sequence[Place], height: float, side: str) -> Html:
    width, at = (132, 120) if side == "left" else (176, 12)
    inside = [
        joined(
            tag(
                "rect",
                x=126 if side == "left" else 0,
                y=f"{top:.2f}",
                width=6,
                height=f"{max(bottom - top, 0.75):.2f}",
                class_=node.kind,
            ),
            tag(
                "text",
                _fitting(node.name, 12 if side == "left" else 17),
                tag("tspan", f"  {node.records:,}", class_="count"),
                x=at,
                y=f"{(top + bottom) / 2 + 4:.2f}",
                text_anchor="end" if side == "left" else "start",
            ),
        )
        for node, (top, bottom, _) in zip(nodes, places, strict=True)
    ]
    tall = f"{height:.0f}"
    return tag("svg", inside, viewBox=f"0 0 {width} {tall}", class_="words", width=width, height=tall)


def _fitting(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"
