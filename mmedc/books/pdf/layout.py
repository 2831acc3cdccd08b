"""Reading order of a page: columns, rows of tables, vertical text, and where paragraphs begin.

The same code for every engine: it sees lines with their places only. Columns are found by the white strip that many
pairs of neighbours leave between them; lines that cross the strip part the page into bands, which are read one after
another, each of them column by column.
"""

import re
from dataclasses import dataclass
from itertools import groupby, pairwise

from mmedc.books.pdf.model import ASCENT, Line, PageText
from mmedc.books.pdf.scripts import RTL, dense, is_rtl
from mmedc.books.pdf.wrapped import unwrapped

MERGE = 1.0  # of the size: runs on a baseline that are further apart are different cells or columns
SPACE = 0.14  # of the size: runs that are further apart are different words
GUTTER = 0.7  # of the size: the narrowest white strip between columns
EDGE = 0.13  # of the height of a page: where headers and footers may be
EDGE_ROWS = 3
APART = 1.9  # of the size: a wider step between rows parts headers and footers from the text
KANA = re.compile("[\u3041-\u30ff\\s]+")
BULLET = re.compile(r"^(?:[•·●○◦▪■□–—*‣➢✓-]|\(?\d{1,3}[.):]|\(?[a-zA-Z][.)]|\d+(?:\.\d+)+\.?|[¹²³⁴-⁹]+|\d{1,3})$")
ITEM = re.compile(r"^(?:[•●○◦▪■□‣➢✓]|[–—-] )")
LEADERS = re.compile(r"(?:\.\s?){4,}|…{2,}|(?:·\s?){4,}")
ENDS = (".", "!", "?", "。", "！", "？", "।", "؟", ":", "：", "”", "»", "」", ")", "…")

SIGNS = r"[\u0900-\u0903\u093a-\u094c\u0981-\u0983\u09be-\u09cc]"
DOUBLED = re.compile(rf"({SIGNS}{{1,3}})\1+")
"""Vowel signs that stand twice: no word has them, but engines give them where a glyph stands for several."""
STRAY = re.compile(rf"(?:{SIGNS}|[\u064b-\u0652])")
STRAY_SHARE = 0.45  # of a line's characters: more signs than letters are no text, but what engines could not place

CONTINUES, BEGINS, OPEN = 0, 1, 2
"""How a line relates to the one before it; OPEN: it is the first of a column or page, so the text has to tell."""


@dataclass(slots=True)
class Placed:
    """A line in its place in the reading order of a page."""

    text: str
    x0: float
    x1: float
    base: float
    size: float
    bold: bool
    start: int
    kind: str = ""
    """`row` for a row of a table, `turned` for text that is rotated against its page, else empty."""
    edge: int = 0
    """-1 in the zone of headers, 1 in the zone of footers, twice that where the line stands apart; else 0."""
    indented: bool = False
    full: bool = False
    """Whether it reaches the far edge of its column."""


def layout(page: PageText) -> list[Placed]:
    """Return the lines of a page in the order in which they are read."""
    lines = [line for line in page.lines if line.text and not line.text.isspace() and line.size > 0]
    level = [line for line in lines if not line.turned]
    upright = [line for line in level if not line.end]
    standing = [line for line in level if line.end]
    turned = [line for line in lines if line.turned]
    if len(turned) > 2 * len(level):
        turned, upright = [], [_flat(line) for line in turned]
    placed: list[Placed] = []
    if standing:
        placed = _vertical(page, standing)
        rest = _placed_lines(page, merged(upright))
        tops = [line for line in rest if line.edge < 0]
        placed = [*tops, *placed, *(line for line in rest if line.edge >= 0)]
    else:
        placed = _placed_lines(page, merged(upright))
    for line in turned:
        text = line.text.strip()
        placed.append(Placed(text, line.x0, line.x1, line.base, line.size, line.bold, BEGINS, "turned"))
    return placed


def _flat(line: Line) -> Line:
    """Return a line of a page whose text is turned as a whole, as if it were level."""
    return Line(line.x0, line.x1, line.base, line.size, line.text, line.bold)


def _vertical(page: PageText, standing: list[Line]) -> list[Placed]:
    """Return vertical columns in their order; they are laid out like lines of a page that is turned."""
    flat = [
        Line(line.base, line.end, page.width - (line.x0 + line.x1) / 2, line.size, line.text, line.bold)
        for line in standing
    ]
    turned = PageText(page.height, page.width, flat, page.engine)
    placed = _placed_lines(turned, merged(flat))
    for line in placed:
        line.edge = 0
    return placed


def merged(lines: list[Line]) -> list[Line]:
    """Return runs joined where they continue each other on a baseline; signs that are raised or lowered join too."""
    out: list[Line] = []
    has_rtl = any(RTL.search(line.text) for line in lines)
    for row in _by_baseline(lines):
        backwards = has_rtl and any(RTL.search(line.text) for line in row)
        row.sort(key=lambda line: -line.x1 if backwards else line.x0)
        run = _copy(row[0])
        for line in row[1:]:
            size = max(run.size, line.size)
            gap = run.x0 - line.x1 if backwards else line.x0 - run.x1
            over = gap < -0.6 * size
            if gap > MERGE * size or (over and abs(line.x0 - run.x0) < 0.3 * size and line.text != run.text):
                out.append(run)
                run = _copy(line)
            elif (
                over
                and line.text.strip() in run.text
                and run.x0 - 0.3 * size <= line.x0 <= line.x1 <= run.x1 + 0.3 * size
            ):
                continue  # printed twice, to look bold
            else:
                _append(run, line, gap, size)
        out.append(run)
    for line in out:
        if "\u0900" <= line.text[-1] <= "\u0dff" or "\u0900" <= line.text[len(line.text) // 2] <= "\u0dff":
            line.text = DOUBLED.sub(r"\1", line.text)
    return [line for line in out if not line.text.isspace() and not _is_stray(line.text)]


def _is_stray(text: str) -> bool:
    signs = len(STRAY.findall(text))
    return signs > 1 and signs > STRAY_SHARE * (len(text) - text.count(" "))


def _copy(line: Line) -> Line:
    return Line(line.x0, line.x1, line.base, line.size, line.text.replace("\u00ad", ""), line.bold)


def _append(run: Line, line: Line, gap: float, size: float) -> None:
    if not run.text.endswith(" ") and not line.text.startswith(" ") and _spaced(run.text, line.text, gap, size):
        run.text += " "
    if line.size > run.size:
        run.base, run.size = line.base, line.size
    run.bold = run.bold and line.bold
    run.text += line.text.replace("\u00ad", "")
    run.x0, run.x1 = min(run.x0, line.x0), max(run.x1, line.x1)


def _spaced(before: str, after: str, gap: float, size: float) -> bool:
    a, b = before[-1], after[0]
    wide = 0.55 if dense(a) and dense(b) else 0.3 if "\u0900" <= a <= "\u0dff" and "\u0900" <= b <= "\u0dff" else SPACE
    return gap > wide * size


def _by_baseline(lines: list[Line], part: float = 0.3) -> list[list[Line]]:
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.base):
        if rows:
            first = rows[-1][0]
            large, small = (first.size, line.size) if first.size > line.size else (line.size, first.size)
            if line.base - first.base <= (0.5 if small < 0.8 * large else part) * large:
                rows[-1].append(line)
                continue
        rows.append([line])
    return rows


def _placed_lines(page: PageText, lines: list[Line]) -> list[Placed]:
    if not lines:
        return []
    letters = "".join(line.text for line in lines)
    rtl = is_rtl(letters)
    lines = _without_ruby(lines)
    edges = _edges(page, lines)
    out: list[Placed] = []
    for column in _ordered(lines, rtl):
        out += _paragraphs(_rows(column, rtl, edges), rtl, edges)
    return out


def _without_ruby(lines: list[Line]) -> list[Line]:
    """Return the lines without readings: small Kana right above a line of Chinese characters."""
    small = [line for line in lines if _kana(line.text)]
    if not small:
        return lines
    gone = set()
    for line in small:
        for below in lines:
            distance = below.base - line.base
            if (
                line.size <= 0.62 * below.size
                and 0 < distance < 2 * below.size
                and line.x0 < below.x1
                and line.x1 > below.x0
            ):
                gone.add(id(line))
                break
    return [line for line in lines if id(line) not in gone]


def _kana(text: str) -> bool:
    return KANA.fullmatch(text) is not None


def _edges(page: PageText, lines: list[Line]) -> dict[int, int]:
    """Return which lines are in the zones of headers (-1) and footers (1), by their identity; 2 where they stand apart.

    These are the outermost rows up to the last wide gap among the first of them, or the outermost row alone.
    """
    found: dict[int, int] = {}
    rows = _by_baseline(lines)
    for side in (-1, 1):
        part = rows[: EDGE_ROWS + 1] if side < 0 else rows[-EDGE_ROWS - 1 :][::-1]
        apart = 0
        for at in range(len(part) - 1):
            size = max(part[at + 1][0].size, part[at][0].size)
            if abs(part[at + 1][0].base - part[at][0].base) > APART * size:
                apart = at + 1
        for row in part[: max(apart, 1)]:
            for line in row:
                if line.base < EDGE * page.height if side < 0 else line.base > (1 - EDGE) * page.height:
                    found[id(line)] = side * (2 if apart else 1)
    return found


# Columns


def _ordered(lines: list[Line], rtl: bool, depth: int = 0) -> list[list[Line]]:
    """Return the columns of a region in their order; a band without columns is one."""
    gutter = _gutter(lines) if depth < 4 and len(lines) > 3 else None
    if gutter is None:
        return [lines]
    out: list[list[Line]] = []
    held: list[Line] = []  # lines across the whole region
    for crossing, band in _bands(lines, gutter):
        left = [line for line in band if line.x0 + line.x1 < 2 * gutter]
        right = [line for line in band if line.x0 + line.x1 >= 2 * gutter]
        if crossing or not (left and right) or not _are_columns(left, right, gutter):
            held += band
            continue
        if held:
            out += _ordered(held, rtl, depth + 1) if len(held) < len(lines) else [held]
            held = []
        for side in (right, left) if rtl else (left, right):
            out += _ordered(side, rtl, depth + 1)
    if held:
        out += _ordered(held, rtl, depth + 1) if len(held) < len(lines) else [held]
    return out


def _bands(lines: list[Line], gutter: float) -> list[tuple[bool, list[Line]]]:
    """Return runs of lines, from top to bottom, that do or do not cross the gutter."""

    def crosses(line: Line) -> bool:
        return line.x0 < gutter - line.size and line.x1 > gutter + line.size

    rows = sorted(lines, key=lambda line: line.base)
    return [(crossing, list(part)) for crossing, part in groupby(rows, crosses)]


def _gutter(lines: list[Line]) -> float | None:
    """Return the place of a white strip between columns, or None."""
    boxes = sorted((line.y0, line.y1, line.x0, line.x1, line.size) for line in lines)
    events: list[tuple[float, int]] = []
    for at, (y0, y1, _, x1, size) in enumerate(boxes):
        low, high, nearest = y0 + 0.2 * size, y1 - 0.1 * size, 1e9
        for _, end, begin, _, _ in boxes[max(at - 11, 0) : at]:
            if end > low and x1 < begin < nearest:
                nearest = begin
        for top, _, begin, _, _ in boxes[at + 1 : at + 12]:
            if top >= high:
                break
            if x1 < begin < nearest:
                nearest = begin
        if nearest < 1e9 and nearest - x1 > GUTTER * size:
            events += [(x1, 1), (nearest, -1)]
    if len(events) < 4:
        return None
    events.sort()
    depths, depth = [], 0
    for x, step in events:
        depth += step
        depths.append((depth, x))
    best = max(depths)[0]
    if best < max(2, 0.08 * len(lines)):
        return None
    widest, place = 0.0, 0.0
    since: float | None = None
    for depth, x in depths:  # the widest strip that nearly as many pairs leave as leave the best one
        if depth >= 0.85 * best:
            since = x if since is None else since
        elif since is not None:
            if x - since > widest:
                widest, place = x - since, (x + since) / 2
            since = None
    return place


def _inked(row: list[Line]) -> float:
    """Return the width of a row without gaps; the gaps of a line that was drawn out to fill its column count."""
    if len(row) > 1 and _drawn_out(sorted(row, key=lambda line: line.x0)):
        return max(line.x1 for line in row) - min(line.x0 for line in row)
    return sum(line.x1 - line.x0 for line in row)


def _drawn_out(row: list[Line]) -> bool:
    """Return whether a row, from left to right, is a line of single words with equal wide spaces."""
    gaps = [b.x0 - a.x1 for a, b in pairwise(row)]
    single = all(" " not in line.text.strip() for line in row)
    return single and max(gaps) < 4 * row[0].size and max(gaps) - min(gaps) < 0.25 * max(gaps) + 0.5


def _are_columns(left: list[Line], right: list[Line], gutter: float) -> bool:
    """Return whether the lines on both sides of a gutter are prose, and not the cells of a table."""
    sides = []
    for side in (left, right):
        rows = _by_baseline(side, 0.4)
        x0, x1 = min(line.x0 for line in side), max(line.x1 for line in side)
        width = max(x1 - x0, 1.0)
        widths = sorted(_inked(row) for row in rows)
        chars = sorted(sum(len(line.text) * (2 if dense(line.text[0]) else 1) for line in row) for row in rows)
        full = widths[len(widths) // 2] / width
        sides.append((width, full, chars[len(chars) // 2], len(rows)))
    (w1, f1, c1, n1), (w2, f2, c2, n2) = sides
    if min(n1, n2) < 2 and not (max(n1, n2) > 4 and min(c1, c2) > 15):
        return min(c1, c2) >= 25 and min(f1, f2) > 0.5
    if min(c1, c2) >= 22:
        return True
    balanced = min(w1, w2) / max(w1, w2) > 0.55
    if balanced and min(f1, f2) >= 0.6 and min(c1, c2) >= 14 and min(n1, n2) >= 5:
        return True
    return min(n1, n2) >= 12 and balanced and min(c1, c2) >= 10  # an index


# Rows and paragraphs


def _rows(lines: list[Line], rtl: bool, edges: dict[int, int]) -> list[Placed]:
    """Return the rows of a column: lines side by side are the cells of a table, or parts of one line."""
    rows = [sorted(row, key=lambda line: line.x0, reverse=rtl) for row in _by_baseline(lines, 0.4)]
    several = [len(row) > 1 and not any(id(line) in edges for line in row) and _cells(row) for row in rows]
    if not rtl and sum(several) > 1 and (tables := unwrapped(rows, several, edges)) != rows:
        rows = tables
        several = [len(row) > 1 and not any(id(line) in edges for line in row) and _cells(row) for row in rows]
    out: list[Placed] = []
    for at, row in enumerate(rows):
        table = several[at] and ((at > 0 and several[at - 1]) or (at + 1 < len(rows) and several[at + 1]))
        if table:
            text = "| " + " | ".join(line.text.strip() for line in row) + " |"
            x0, x1 = min(line.x0 for line in row), max(line.x1 for line in row)
            size = max(line.size for line in row)
            bold = all(line.bold for line in row)
            out.append(Placed(text, x0, x1, row[0].base, size, bold, BEGINS, "row"))
        elif any(id(line) in edges for line in row):
            for line in row:
                edge = edges.get(id(line), 0)
                out.append(Placed(line.text, line.x0, line.x1, line.base, line.size, line.bold, 0, "", edge))
        else:
            first = row[0]
            text = " ".join(line.text.strip() for line in row) if len(row) > 1 else first.text
            x0, x1 = min(line.x0 for line in row), max(line.x1 for line in row)
            base, size = max(((line.base, line.size) for line in row), key=lambda pair: pair[1])
            out.append(Placed(text, x0, x1, base, size, all(line.bold for line in row), 0))
    return out


def _cells(row: list[Line]) -> bool:
    if len(row) == 2 and BULLET.match(row[0].text.strip()):
        return False
    if _drawn_out(sorted(row, key=lambda line: line.x0)):
        return False
    return not any(LEADERS.search(line.text) for line in row)


def _paragraphs(rows: list[Placed], rtl: bool, edges: dict[int, int]) -> list[Placed]:
    """Mark which rows of a column begin paragraphs."""
    body = [row for row in rows if not row.edge and row.kind != "row"] or rows
    far = sorted(row.x0 if rtl else row.x1 for row in body)
    right = far[len(far) // 10] if rtl else far[-1 - len(far) // 10]
    near = sorted((row.x1 if rtl else row.x0 for row in body), reverse=rtl)
    left = near[len(near) // 10]
    gaps = sorted(
        (b.base - a.base) / max(b.size, 1.0)
        for a, b in pairwise(body)
        if abs(a.size - b.size) < 0.1 * b.size and 0.7 < (b.base - a.base) / max(b.size, 1.0) < 3.5
    )
    leading = gaps[len(gaps) // 3] if gaps else 1.3
    sign = -1.0 if rtl else 1.0

    def inset(row: Placed) -> float:
        return sign * ((row.x1 if rtl else row.x0) - left) / row.size

    def short(row: Placed) -> float:
        return sign * (right - (row.x0 if rtl else row.x1)) / row.size

    justified = sum(short(row) < 0.6 for row in body) >= 0.55 * len(body)
    before: Placed | None = None
    for row in rows:
        row.indented = inset(row) > 0.7
        row.full = short(row) < 1.5
        if row.start == BEGINS:
            before = row
            continue
        if before is None:
            row.start = OPEN
        elif before.kind == "row" or _begins(before, row, leading, inset, short, justified):
            row.start = BEGINS
        before = row
    return rows


def _begins(before: Placed, row: Placed, leading: float, inset: object, short: object, justified: bool) -> bool:
    """Return whether `row` begins a paragraph, seen from the row above it in the same column."""
    step = (row.base - before.base) / max(row.size, 1.0)
    if bool(before.edge) != bool(row.edge) and step > 1.25 * leading:
        return True
    if step <= 0.2:
        return bool(before.edge)
    if step > 1.28 * leading or step < 0:
        return True
    if abs(row.size - before.size) > 0.08 * before.size or row.bold != before.bold:
        return True
    if ITEM.match(row.text):
        return True
    now, then, lacking = inset(row), inset(before), short(before)  # type: ignore[operator]
    if now > 0.7 and now - then > 0.5 and then < 0.7:
        return True
    if then - now > 0.8 and now < 0.4 and lacking > 3 and then > 1.2 and before.start == CONTINUES:
        return True
    ended = before.text.rstrip().endswith(ENDS)
    return (justified and lacking > 2.5 and ended) or (justified and lacking > 8) or (lacking > 12 and ended)


def y0(line: Placed) -> float:
    """Return the upper edge of a line."""
    return line.base - ASCENT * line.size
