"""Blocks as rows of whole numbers: their text, their place in the tree, what is around them, what repeats.

Everything is a whole number (shares are in thousandths, rounded down), so that the result is the same on every machine
and in every batch. No feature depends on a language: lengths are in units (`characters.WIDE_UNITS`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmedc.steps.extract import claims
from mmedc.steps.extract.blocks import Blocks, spans_of
from mmedc.steps.extract.characters import KINDS, WIDE_UNITS, kinds_of
from mmedc.steps.extract.names import FAMILIES, bits_of, shape_of
from mmedc.steps.extract.tree import NAMELESS, Walk

Ints = NDArray[np.int64]

TAGS = {
    name: number
    for number, names in enumerate(
        (
            "div body html center fieldset main section noscript search article hgroup",
            "p",
            "h1",
            "h2",
            "h3",
            "h4 h5 h6",
            "li menu dir ul ol",
            "td th tr tbody thead tfoot table caption",
            "dt dd dl",
            "blockquote",
            "pre",
            "button legend dialog",
            "figcaption figure",
            "summary details",
            "header footer nav aside address form",
        )
    )
    for name in names.split()
}
"""The kind of a block by the tag of its element."""
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
AREAS = ("nav", "header", "footer", "aside", "main", "article", "form", "ul", "ol", "dl", "section", "figure")
_AREA = {name: 1 << number for number, name in enumerate(AREAS)}
_MAIN = _AREA["main"] | _AREA["article"]
ROLES = {"": 0, "question": 1, "answer": 2}
NO_FEATURES = ("shape", "term", "article")
"""Which blocks of the page are of one shape, whether a block is the term of a definition list (`dt`), and whether the
page says that it is an article."""
LONG_UNITS = 100
"""A block from this length on is long."""
LEVELS = 5
"""The number of block elements around a block that are described."""
_FAMILY_NUMBER = {name: number for number, name in enumerate(FAMILIES)}
NEAR = ("comment", "rating", "tab", "consent", "author", "post", "content", "hidden", "description", "caption",
        "related", "signature", "code", "advert")  # fmt: skip
"""Families that are looked for in the names of the three innermost elements around a block."""
PATH = ("footer", "navigation", "overlay", "hero", "tab", "caption", "comment", "shop", "description", "related",
        "header", "hidden", "button", "consent", "post", "rating", "form", "step", "sidebar")  # fmt: skip
"""Families that are looked for in the names of all elements around a block."""
INNER = ("hidden", "advert", "author")
"""Families that are looked for in the names of the inline elements of a block."""


class Places(NamedTuple):
    """The block elements of a page as arrays."""

    parents: Ints
    depths: Ints
    areas: Ints
    """The elements of `AREAS` around each and it itself, as bits."""
    own: Ints
    """The families of its own names, as bits."""
    path: Ints
    """The families of the names of all elements around it (but for `body`) and its own, as bits."""
    shapes: Ints
    """A number that elements share whose tags and classes are equal up to the root."""
    mains: Ints
    """The innermost `main` or `article` around each, or -1."""


def places_of(walk: Walk) -> Places:
    """Return the block elements of a page as arrays; those without text are left as zeros."""
    count = len(walk.tags)
    depths, areas, own, path, shapes, mains = ([0] * count for _ in range(6))
    seen: dict[tuple[int, str], int] = {}
    areas[0] = _AREA.get(walk.tags[0], 0)
    mains[0] = -1
    parents, starts, ends, tags, named = walk.parents, walk.starts, walk.ends, walk.tags, walk.names
    for number in range(1, count):
        if starts[number] == ends[number]:
            continue
        tag, names, parent = tags[number], named[number], parents[number]
        area = _AREA.get(tag, 0)
        if names is NAMELESS:
            path[number] = path[parent]
            shape = tag
        else:
            bits = own[number] = bits_of(names)
            path[number] = path[parent] | bits
            shape = shape_of(tag, names)
        depths[number] = depths[parent] + 1
        areas[number] = areas[parent] | area
        mains[number] = number if area & _MAIN else mains[parent]
        shapes[number] = seen.setdefault((shapes[parent], shape), len(seen) + 1)
    return Places(*(np.array(one, np.int64) for one in (parents, depths, areas, own, path, shapes, mains)))


def features_of(found: Blocks, roles: Sequence[str], said: claims.Claims = claims.NOTHING) -> dict[str, Ints]:
    """Return the features of the blocks of a page by name; a page has at least one block.

    `roles` are those of `kinds.roles_of`, for each block element of the walk, and `said` is what the page says of its
    main content. Those of `NO_FEATURES` serve the choice.
    """
    walk = found.walk
    places = places_of(walk)
    owners = np.array(found.owners, np.int64)
    result = _text(found)
    units, linked = result["units"], result["linked"]
    tags = np.array([TAGS.get(walk.tags[owner], 0) for owner in found.owners], np.int64)
    levels = np.array([HEADINGS.get(walk.tags[owner], 0) for owner in found.owners], np.int64)
    inner = np.array([_inner(walk, run) if walk.inner[run] else 0 for run in found.runs], np.int64)
    parents = np.maximum(places.parents, 0)
    near = (places.own | places.own[parents] | places.own[parents[parents]])[owners]
    path, areas = places.path[owners], places.areas[owners]
    terms = np.array([walk.tags[owner] == "dt" for owner in found.owners], np.int64)
    result |= {"tag": tags, "heading": levels, "depth": places.depths[owners]}
    result |= {"shape": places.shapes[owners], "term": terms}
    result |= {f"near {name}": near >> _FAMILY_NUMBER[name] & 1 for name in NEAR}
    result |= {f"path {name}": path >> _FAMILY_NUMBER[name] & 1 for name in PATH}
    result |= {f"inner {name}": inner >> _FAMILY_NUMBER[name] & 1 for name in INNER}
    result |= {f"in {name}": areas >> number & 1 for number, name in enumerate(AREAS)}
    result |= _containers(found, places, owners, units, linked, result)
    result |= _position(places, owners, units, levels, linked)
    result |= _repetition(found, places, owners, units, linked)
    result |= _neighbours(units, result, tags)
    result |= _posts(walk, roles, owners, units)
    result |= claims.described(found.texts, levels, units, said)
    result["article"] = np.full(len(units), said.is_article, np.int64)
    return result | _page(found, units, linked, tags, result)


def _inner(walk: Walk, run: int) -> int:
    bits = 0
    for names in walk.inner[run]:
        bits |= bits_of(names)
    return bits


def _text(found: Blocks) -> dict[str, Ints]:
    """Return what the text of each block is made of; `units` is its length whatever the script."""
    counts, kinds, starts = kinds_of(found.texts)
    by = dict(zip(KINDS, counts, strict=True))
    lengths = np.fromiter(map(len, found.texts), np.int64, len(found.texts))
    chars = np.maximum(lengths - by["space"], 1)
    linked = np.minimum(np.array(found.linked, np.int64), lengths)
    units = chars + WIDE_UNITS * by["wide"]
    last = kinds[starts + lengths - 1]
    words = by["space"] + 1 + by["wide"] // 2
    return {
        "units": units,
        "linked": units * linked // np.maximum(lengths, 1),
        "link share": 1000 * linked // np.maximum(lengths, 1),
        "links": np.array(found.links, np.int64),
        "images": np.array(found.images, np.int64),
        "words": words,
        "sentences": by["sentence"],
        "commas": by["comma"],
        "upper share": 1000 * by["upper"] // np.maximum(by["letter"], 1),
        "symbol share": 1000 * by["other"] // chars,
        "stop share": 1000 * (by["sentence"] + by["comma"]) // chars,
        "ends sentence": ((last >> 5) & 1).astype(np.int64),
        "lines": np.array([one.count("\n") for one in found.texts], np.int64),
    }


def _sums(values: Ints) -> Ints:
    """Return the sums of all values before each place, with the sum of all at the end."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))


def _containers(
    found: Blocks, places: Places, owners: Ints, units: Ints, linked: Ints, text: dict[str, Ints]
) -> dict[str, Ints]:
    """Return the size and the mixture of the elements around each block, from the inside to the outside."""
    starts, ends = spans_of(found)
    lengths, links, sentences, long = (
        _sums(one) for one in (units, linked, text["sentences"], (units >= LONG_UNITS).astype(np.int64))
    )
    total = max(int(lengths[-1]), 1)
    result: dict[str, Ints] = {}
    at = owners
    for level in range(LEVELS):
        first, last = starts[at], ends[at]
        size = lengths[last] - lengths[first]
        count = last - first
        result[f"container {level} units"] = size
        result[f"container {level} of page"] = 1000 * size // total
        result[f"container {level} link share"] = 1000 * (links[last] - links[first]) // np.maximum(size, 1)
        result[f"container {level} blocks"] = count
        result[f"container {level} mean"] = size // np.maximum(count, 1)
        result[f"container {level} long"] = 1000 * (long[last] - long[first]) // np.maximum(count, 1)
        result[f"container {level} sentences"] = 1000 * (sentences[last] - sentences[first]) // np.maximum(count, 1)
        at = np.maximum(places.parents[at], 0)
    mains = places.mains[owners]
    has = mains >= 0
    at = np.maximum(mains, 0)
    size = lengths[ends[at]] - lengths[starts[at]]
    result["main of page"] = np.where(has, 1000 * size // total, -1)
    result["main link share"] = np.where(has, 1000 * (links[ends[at]] - links[starts[at]]) // np.maximum(size, 1), -1)
    result["place in main"] = np.where(has, 1000 * (lengths[:-1] - lengths[starts[at]]) // np.maximum(size, 1), -1)
    return result


def _position(places: Places, owners: Ints, units: Ints, levels: Ints, linked: Ints) -> dict[str, Ints]:
    """Return where in the page each block is, and what headings are above it."""
    count = len(units)
    order = np.arange(count)
    lengths = _sums(units)
    total = max(int(lengths[-1]), 1)
    ones = np.flatnonzero(levels == 1)
    first = int(ones[0]) if len(ones) else -1
    above = np.maximum.accumulate(np.where(levels > 0, order, -1))
    below = np.minimum.accumulate(np.where(levels > 0, order, count)[::-1])[::-1]
    has = above >= 0
    return {
        "number": order,
        "number from end": count - 1 - order,
        "place": 1000 * order // count,
        "units before": lengths[:-1],
        "share before": 1000 * lengths[:-1] // total,
        "blocks after h1": order - first if first >= 0 else np.full(count, -9999),
        "units after h1": lengths[:-1] - lengths[first] if first >= 0 else np.full(count, -99999),
        "h1s": np.full(count, len(ones)),
        "heading above": np.where(has, levels[np.maximum(above, 0)], 0),
        "blocks since heading": np.where(has, order - above, 99),
        "heading link share": np.where(has, 1000 * linked[above] // np.maximum(units[above], 1), -1),
        "blocks to heading": below - order,
        "heading same parent": np.where(has, places.parents[owners[above]] == places.parents[owners], False).astype(
            np.int64
        ),
        "heading depth": np.where(has, places.depths[owners] - places.depths[owners[above]], 99),
    }


def _repetition(found: Blocks, places: Places, owners: Ints, units: Ints, linked: Ints) -> dict[str, Ints]:
    """Return how often the shape of each block and of the elements around it repeats, and how large it is."""
    result: dict[str, Ints] = {}
    total = max(int(units.sum()), 1)
    counts = np.bincount(places.shapes)
    at = owners
    for level in range(4):
        result[f"shape {level} elements"] = counts[places.shapes[at]]
        at = np.maximum(places.parents[at], 0)
    shapes = places.shapes[owners]
    size = len(counts)
    blocks = np.bincount(shapes, minlength=size)
    lengths = np.bincount(shapes, units, size).astype(np.int64)
    links = np.bincount(shapes, linked, size).astype(np.int64)
    result["shape blocks"] = blocks[shapes]
    result["shape units"] = (lengths // np.maximum(blocks, 1))[shapes]
    result["shape of page"] = (1000 * lengths // total)[shapes]
    result["shape link share"] = (1000 * links // np.maximum(lengths, 1))[shapes]
    seen: dict[str, int] = {}
    again = []
    for text in found.texts:
        again.append(seen.get(text, 0))
        seen[text] = again[-1] + 1
    result["same text"] = np.array([seen[text] for text in found.texts], np.int64)
    result["text again"] = np.minimum(np.array(again, np.int64), 1)
    return result


def _posts(walk: Walk, roles: Sequence[str], owners: Ints, units: Ints) -> dict[str, Ints]:
    """Return which blocks are in posts of a thread (1 the question, 2 an answer), and in which."""
    if not any(roles):
        none = np.zeros(len(owners), np.int64)
        return {"role": none, "post": none - 1, "page posts": none, "page post units": none}
    codes = np.array([ROLES[role] for role in roles], np.int64)
    posts = [-1] * len(roles)
    count = 0
    for number, (role, parent) in enumerate(zip(roles, walk.parents, strict=True)):
        if role and parent >= 0:
            if roles[parent] == role:
                posts[number] = posts[parent]
            else:
                posts[number] = count
                count += 1
    asked = codes[owners]
    total = max(int(units.sum()), 1)
    return {
        "role": asked,
        "post": np.array(posts, np.int64)[owners],
        "page posts": np.full(len(owners), count),
        "page post units": np.full(len(owners), 1000 * int(units[asked > 0].sum()) // total),
    }


def _shifted(values: Ints, by: int) -> Ints:
    """Return the values of the block `by` places later (earlier where negative), or -1 where there is none."""
    padded = np.full(len(values) + 2 * abs(by), -1, np.int64)
    padded[abs(by) : abs(by) + len(values)] = values
    return padded[abs(by) + by :][: len(values)]


def _neighbours(units: Ints, text: dict[str, Ints], tags: Ints) -> dict[str, Ints]:
    """Return what the blocks before and after each block are like."""
    result = {f"tag at {by:+d}": _shifted(tags, by) for by in (-2, -1, 1, 2, 3)}
    result |= {f"{name} at +1": _shifted(text[name], 1) for name in ("units", "link share", "stop share")}
    lengths, links, stops = _sums(units), _sums(text["linked"]), _sums(text["sentences"])
    order = np.arange(len(units))
    for width in (4, 10):
        first, last = np.maximum(order - width, 0), np.minimum(order + width + 1, len(units))
        size = lengths[last] - lengths[first]
        result[f"window {width} units"] = size
        result[f"window {width} link share"] = 1000 * (links[last] - links[first]) // size
        result[f"window {width} sentences"] = 10_000 * (stops[last] - stops[first]) // size
    return result


def _page(found: Blocks, units: Ints, linked: Ints, tags: Ints, text: dict[str, Ints]) -> dict[str, Ints]:
    """Return what the page as a whole is like, the same for all of its blocks."""
    count = len(units)
    total = max(int(units.sum()), 1)
    long = units >= LONG_UNITS
    structured = found.walk.structured
    values = {
        "page blocks": count,
        "page units": total,
        "page link share": 1000 * int(linked.sum()) // total,
        "page long": 1000 * int(long.sum()) // count,
        "page long units": 1000 * int(units[long].sum()) // total,
        "page paragraphs": 1000 * int((tags == 1).sum()) // count,
        "page paragraph units": 1000 * int(units[tags == 1].sum()) // total,
        "page list units": 1000 * int(units[tags == 6].sum()) // total,
        "page images": int(text["images"].sum()),
        "page product": int('"Product"' in structured),
        "page article": int("Article" in structured or "BlogPosting" in structured),
    }
    return {name: np.full(count, value, np.int64) for name, value in values.items()}
