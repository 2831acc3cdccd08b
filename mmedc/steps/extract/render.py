"""The text of what a page shows: of a run of inline pieces, and of the page as a whole, with its sections."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from mmedc.steps.extract.formulas import formula
from mmedc.steps.extract.marks import subscript, superscript

if TYPE_CHECKING:
    from mmedc.steps.extract.blocks import Blocks


def reading(node: Any, _: str) -> str:
    """Return the reading of a ruby in brackets."""
    text = " ".join(node.text().split())
    return f"({text})" if text else ""


INLINE: dict[str, Callable[[Any, str], str]] = {
    "sup": superscript,
    "sub": subscript,
    "math": formula,
    "rt": reading,
}
"""Inline elements that are written as a whole: from the node and the text before it to its text."""

BREAK = "\0"
"""A line break of the page among the pieces of a run. No parsed page contains this character."""

SEAM, BORDER = "\x01", "\x02"
"""The place where an inline element follows another without a space, and any other border of one within a run."""

_LETTER = r"[^\W\u2e80-\u9fff\uf900-\uffef]"
_SMALL, _CAPITAL = "[a-zß-öø-ÿа-яё]", "[A-ZÀ-ÖØ-ÞА-ЯЁ]"
_APART = (
    rf"{SEAM}(?<={_LETTER}{{3}}.)(?={_LETTER}{{3}}|\d)",
    rf"{SEAM}(?<=\d.)(?={_LETTER}{{3}})",
    rf"{SEAM}(?<={_SMALL}{{2}}.)(?={_CAPITAL})",
    rf"{BORDER}(?<={_SMALL}{{2}}.)(?={_CAPITAL}{_SMALL})",
    rf"[{SEAM}{BORDER}](?<={_SMALL}{{2}}[.!?;:,)].)(?={_CAPITAL})",
)
APART = re.compile("|".join(_APART))
"""Borders between two words, which most pages set apart by a style.

In the gold text of WCXB, words of four letters or more in two neighbouring elements are separate 896 times and one word
17 times, because a word in two elements mostly has a shorter part, such as the initial of a chapter. A text and an
element beside it are separate 68 times of 68 where a capital letter follows a small one or the end of a sentence.
"""

_BREAKS = re.compile(f" ?(?:{BREAK} ?)+")
_UNSPACED = "\u2e80-\u303f\u3041-\u3096\u30a1-\u30ff\u3105-\u312f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
WRAPPED = re.compile(rf"(?<=[{_UNSPACED}])[ \t]*[\r\n]\s*(?=[{_UNSPACED}])")
"""A line end of the source between characters of scripts without spaces, which is no space (CSS Text 3, 4.1.2)."""

HEADINGS = {f"h{level}": level for level in range(1, 7)}
MAX_CLIMB = 4
"""How many elements may lie between a heading and its text."""


class Section(NamedTuple):
    """A section: the offset of its heading in characters, the heading, and its level, from 1 for the highest."""

    offset: int
    title: str
    level: int


def tail(pieces: list[str]) -> str:
    """Return the end of the line so far, from its last piece with a visible character on; empty at its beginning."""
    end = ""
    for piece in reversed(pieces):
        if piece == BREAK:
            break
        if piece not in (BORDER, SEAM):
            end = piece + end
            if not piece.isspace() and piece:
                break
    return end


def text(pieces: list[str]) -> str:
    """Return the text of a run: white space as one space, as browsers show it, and breaks as line feeds."""
    joined = "".join(pieces)
    if BORDER in joined or SEAM in joined:
        joined = APART.sub(" ", joined).replace(SEAM, "").replace(BORDER, "")
    if "\n" in joined and not joined.isascii():
        joined = WRAPPED.sub("", joined)
    joined = " ".join(joined.split())
    return _BREAKS.sub("\n", joined).strip() if BREAK in joined else joined


def preformatted(pieces: list[str]) -> str:
    """Return the text of a run within `pre`, with its lines and its indents."""
    return "".join(pieces).replace(SEAM, "").replace(BORDER, "").replace(BREAK, "\n").strip("\n").rstrip()


def page(found: "Blocks", kept: list[bool], posts: list[int] | None = None) -> tuple[str, list[Section]]:
    """Return the text of the blocks that are kept, a line each, and its sections; a heading is one line.

    `posts` says which post of a thread each block belongs to (-1: none); a blank line is between posts.
    """
    walk = found.walk
    lines: list[str] = []
    headings: list[tuple[int, int]] = []  # the line and the level of each
    last = before = -1
    for block, owner, stays, post in zip(found.texts, found.owners, kept, posts or [-1] * len(kept), strict=True):
        if not stays:
            continue
        if post != before and lines:
            lines.append("")
        before = post
        heading = _heading(walk, owner)
        if heading >= 0:
            block = block.replace("\n", " ")
            if heading == last:
                lines[-1] += " " + block
                continue
            headings.append((len(lines), HEADINGS[walk.tags[heading]]))
        last = heading
        lines.append(block)
    ranks = {level: rank for rank, level in enumerate(sorted({level for _, level in headings}), start=1)}
    sections, offset, at = [], 0, 0
    for line, level in headings:
        offset += sum(map(len, lines[at:line])) + line - at
        sections.append(Section(offset, lines[line], ranks[level]))
        at = line
    return "\n".join(lines), sections


def _heading(walk: Any, owner: int) -> int:
    """Return the heading that element `owner` is or lies in, or -1."""
    for _ in range(MAX_CLIMB):
        if owner < 0 or walk.tags[owner] in HEADINGS:
            return owner
        owner = walk.parents[owner]
    return -1
