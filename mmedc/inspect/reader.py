"""One document: its text with the terms in it, where it comes from, its measures, its duplicates, its marks."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit

from mmedc.document import MEASURES
from mmedc.inspect.files import PUBLISHED, SCORED, UNREADABLE, RowFile
from mmedc.inspect.lists import steps
from mmedc.inspect.looked import Hit, Looked, View
from mmedc.inspect.mark_page import mark_form
from mmedc.inspect.marks import identity
from mmedc.inspect.markup import bdi, one_line, table
from mmedc.inspect.neighbours import Member, Piece, cluster, differences
from mmedc.inspect.page import human, missing, page
from mmedc.inspect.question import PAGE, REMOVED, Question
from mmedc.inspect.reading import document
from mmedc.inspect.selection import listed
from mmedc.markup import Child, Html, joined, tag
from mmedc.reasons import meaning

SHOWN = 60_000
"""Characters of a text on one page."""
PAYLOAD = 4_000
FACTS = (
    "locator",
    "provenance",
    "source",
    "kind",
    "lang",
    "date",
    "licence",
    "licence_evidence",
    "authors",
    "identifiers",
    "tokens",
    "removed_chars",
    "bucket",
    "id",
)


def reader(view: View, looked: Looked, name: str, row: int, asked: Question, start: int, image: int) -> Html | None:
    """Return the page of a document from character `start` on, with the picture of a page; None where it is not."""
    opened = view.opened
    values = document(opened, name, row)
    if values is None:
        return None
    file = opened.places[name]
    lang, text = values.get("lang") or "", values.get("text") or ""
    title = one_line(values.get("title") or text or values.get("locator") or "", 160) or "untitled"
    start = start if start < len(text) else 0
    here = f"/documents/{name}/{row}"
    hits = view.hits(lang, text[start : start + SHOWN]) if file.what != REMOVED else None
    marked = looked.marks.known.get(identity(values))
    head = [
        tag("nav", tag("a", "All documents of this list", href=_back(asked)), class_="back", aria_label="Back"),
        tag("h1", bdi(title), lang=lang or None),
        _verdict(view, file, row, values),
    ]
    body: list[Child] = [_text(values, text, start, hits, here, asked)] if text else [_payload(values)]
    side: list[Child] = [
        mark_form(marked, name, row, asked.address(here, start=asked.start)),
        _measures(view, values) if file.what != REMOVED else None,
        _terms(hits),
        _cluster(view, file, row, asked),
        _facts(values),
        _left_out(values),
    ]
    body.append(_picture(view, file, values, image, here, asked, name, row))
    whole = tag("div", tag("article", body), tag("aside", side, aria_label="About this document"), class_="document")
    return page(title, "/documents", view, looked, head, whole, _moves(view, asked), wide=True)


def _back(asked: Question) -> str:
    """Return the address of the page of the list that this document is on."""
    if asked.q or asked.show == REMOVED:
        return asked.address()
    return asked.address(page=max(asked.start - 1, 0) // PAGE + 1)


def _moves(view: View, asked: Question) -> Html | None:
    """Return the links to the documents before and after this one in its list.

    The address has the number of the document there, from 1, if it was opened from a list.
    """
    if asked.q or asked.show == REMOVED or not asked.start:
        return None
    moves = []
    around = listed(view.catalog, asked, max(asked.start - 2, 0), 3)
    for rel, label, wanted in (
        ("prev", "Previous document", asked.start - 1),
        ("next", "Next document", asked.start + 1),
    ):
        for other in around:
            if other.number + 1 == wanted:
                moves.append((rel, label, asked.address(f"/documents/{other.file}/{other.row}", start=wanted)))
    return steps(moves, "Documents of the list")


def _verdict(view: View, file: RowFile, row: int, values: dict[str, Any]) -> Html:
    if file.what == PUBLISHED:
        return tag("p", "Published", ": ", tag("code", file.path), f", row {row:,} (the first is 0).", class_="verdict")
    if file.what == SCORED:
        fate = fate_of(view, file, row)
        said = next(
            (
                found
                for step in ("limits", "dedup", "decontaminate", "lines")
                if (found := meaning(step, "dropped", fate))
            ),
            "",
        )
        return tag("p", tag("b", fate), f": {said.replace('`', '')}" if said else None, class_="verdict lost")
    said = meaning(values["step"], values["fate"], values["reason"]) or ""
    detail = f" {values['detail']}" if values.get("detail") else ""
    return tag(
        "p",
        tag("b", values["reason"]),
        f", {values['fate']} at the step {values['step']}. ",
        said.replace("`", ""),
        detail,
        class_="verdict lost",
    )


def fate_of(view: View, file: RowFile, row: int) -> str:
    """Return what became of a document of ingest."""
    number = next(at for at, other in enumerate(view.opened.files) if other.name == file.name)
    for chunk in view.catalog.rows():
        mine = (chunk.column("file") == number) & (chunk.column("row") == row)
        if mine.any():
            return view.catalog.fates.name(int(chunk.column("fate")[mine][0]))
    return "published" if view.catalog.done.is_set() else "not read yet"


def _text(values: dict[str, Any], text: str, start: int, hits: list[Hit] | None, here: str, asked: Question) -> Html:
    stop = min(start + SHOWN, len(text))
    whole = [each for each in values.get("pages") or [] if isinstance(each, int)]
    first = "#" not in (values.get("provenance") or "#")  # the pages of a section of a book have no known numbers
    base = asked.address(here, start=asked.start)
    glue = "&" if "?" in base else "?"
    inserts = [
        (offset - start, _leaf(number, f"{base}{glue}image={number}#picture"))
        for number, offset in enumerate(whole, 1)
        if first and start <= offset < stop
    ]
    shown = marked_text(text[start:stop], hits or (), inserts)
    part = None
    if len(text) > SHOWN:
        moves = [
            ("", "Earlier part", f"{base}{glue}from={max(start - SHOWN, 0)}" if start else ""),
            ("", "Later part", f"{base}{glue}from={stop}" if stop < len(text) else ""),
        ]
        said = f"Characters {start + 1:,} to {stop:,} of {len(text):,}."
        part = tag("p", said, [tag("a", label, href=address) for _, label, address in moves if address], class_="part")
    lang = values.get("lang") or None
    return joined(part, tag("div", shown, class_="text", lang=lang, dir="auto"), part)


def _leaf(number: int, address: str) -> Html:
    return tag("a", f"page {number}", href=address, class_="leaf", id=f"page-{number}")


def marked_text(text: str, hits: Iterable[Hit], inserts: Iterable[tuple[int, Html]]) -> Html:
    """Return a text with terms marked, and markup inserted at places."""
    pieces: list[Child] = []
    end = 0
    waiting = sorted(inserts, key=lambda item: item[0])
    for hit in [*hits, None]:
        until = hit.start if hit else len(text)
        while waiting and waiting[0][0] <= until:
            place, made = waiting.pop(0)
            pieces += [text[end : max(place, end)], made]
            end = max(place, end)
        pieces.append(text[end:until])
        if hit:
            kind = f"{hit.term} ({hit.category})" if hit.category else hit.term
            pieces.append(tag("mark", text[hit.start : hit.end], title=kind))
            end = hit.end
    pieces += [made for _, made in waiting]
    return joined(*pieces)


def _payload(values: dict[str, Any]) -> Html:
    payload = values.get("payload")
    if not payload:
        return tag("p", "No text of this record is stored.", class_="none")
    head = bytes(payload[:PAYLOAD]).decode("utf-8", "replace")
    said = f"The first {min(len(payload), PAYLOAD):,} of {len(payload):,} stored bytes:"
    return joined(tag("p", said, class_="note"), tag("div", head, class_="text raw"))


def _measures(view: View, values: dict[str, Any]) -> Html:
    limits = view.opened.limits_of(values.get("source") or "").get(values.get("lang") or "", {})
    rows: list[list[Child]] = []
    for name in (*MEASURES, *view.opened.extra):
        value, limit = values.get(name), limits.get(name)
        if value is None and limit is None:
            continue
        asked = (
            []
            if limit is None
            else [f"{word} {human(bound)}" for word, bound in (("≥", limit.min), ("≤", limit.max)) if bound is not None]
        )
        met = limit is None or (
            value is not None
            and (limit.min is None or value >= _single(limit.min))
            and (limit.max is None or value <= _single(limit.max))
        )
        sign = None if limit is None else _met(met)
        rows.append([name, "–" if value is None else human(value), [" ".join(asked), " ", sign]])
    table_ = table(["Measure", "value", "limit"], rows, (1, 2), "Measures and limits")
    return tag("section", tag("h2", "Measures"), table_)


def _met(met: bool) -> Html:
    sign = tag("span", "✓" if met else "✗", aria_hidden="true")
    return tag("span", sign, tag("span", "met" if met else "not met", class_="unseen"), class_="met" if met else "lost")


def _single(value: float) -> float:
    """Return a bound at the precision of scores."""
    import numpy as np

    return float(np.float32(value))


def _terms(hits: list[Hit] | None) -> Html | None:
    if not hits:
        return None
    counts: dict[str, int] = {}
    for hit in hits:
        counts[hit.term] = counts.get(hit.term, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [tag("li", bdi(term), " ", tag("span", count, class_="count")) for term, count in ranked[:40]]
    more = tag("p", f"and {len(ranked) - 40:,} more", class_="note") if len(ranked) > 40 else None
    return tag("section", tag("h2", "Terms of the lexicon"), tag("ul", shown, class_="terms"), more)


def _cluster(view: View, file: RowFile, row: int, asked: Question) -> Html | None:
    title = tag("h2", "Duplicates")
    try:
        members = cluster(view.opened, file, row) if file.what != REMOVED else []
        shown = [_member(view, each, file, row, asked) for each in members]
    except UNREADABLE as problem:  # the document itself is there
        return tag("section", title, tag("p", f"What deduplication left cannot be read: {problem}", class_="note"))
    return tag("section", title, tag("ol", shown, class_="cluster")) if shown else None


def _member(view: View, each: Member, file: RowFile, row: int, asked: Question) -> Html:
    head = view.opened.take(view.opened.places[each.file], [each.row], ["locator", "title"])[each.row]
    name = bdi(one_line(head["locator"] or head["title"] or "", 90))
    similar = f", similarity {each.jaccard:.2f}" if each.jaccard else ""
    said = "stays" if each.stays else f"{each.reason}{similar}"
    if (each.file, each.row) == (file.name, row):
        return tag("li", tag("b", "this one"), ", ", said)
    other = asked.address(f"/documents/{each.file}/{each.row}")
    beside = "/beside?" + urlencode({"left": f"{file.name}/{row}", "right": f"{each.file}/{each.row}"})
    return tag("li", tag("a", name, href=other), tag("br"), said, " · ", tag("a", "side by side", href=beside))


def beside(view: View, looked: Looked, left: str, right: str) -> Html | None:
    """Return two documents side by side with what differs; None where one of them is not there."""
    found = []
    for place in (left, right):
        name, _, row = place.rpartition("/")
        values = document(view.opened, name, int(row)) if row.isascii() and row.isdigit() and len(row) < 12 else None
        if values is None:
            return None
        found.append((place, values))
    pieces = differences(*(values.get("text") or "" for _, values in found))
    differ = any(changed for side in pieces for _, changed in side)
    said = "What only one of them has is marked." if differ else "The texts are equal."
    columns = [
        _side(place, values, side, "del" if at == 0 else "ins")
        for at, ((place, values), side) in enumerate(zip(found, pieces, strict=True))
    ]
    return page(
        "Side by side",
        "/documents",
        view,
        looked,
        tag("h1", "Side by side"),
        tag("p", said, class_="said"),
        tag("div", columns, class_="beside"),
        wide=True,
    )


def _side(place: str, values: dict[str, Any], pieces: list[Piece], name: str) -> Html:
    text = [tag(name, piece) if changed else piece for piece, changed in pieces]
    title = one_line(values.get("title") or values.get("locator") or "untitled", 120)
    return tag(
        "section",
        tag("h2", tag("a", bdi(title), href=f"/documents/{place}")),
        tag("p", bdi(one_line(values.get("locator") or "", 160)), class_="locator"),
        tag("div", text, class_="text", lang=values.get("lang") or None, dir="auto"),
    )


def _facts(values: dict[str, Any]) -> Html:
    rows = []
    for name in FACTS:
        value = values.get(name)
        if value in (None, "", []):
            continue
        if isinstance(value, list):
            value = "; ".join(map(str, value))
        shown: Child = bdi(str(value)) if not isinstance(value, int) else value
        if name == "locator" and (link := _link(str(value))):
            shown = tag("a", shown, href=link, rel="noreferrer noopener nofollow external", target="_blank")
        rows.append([tag("dt", name.replace("_", " ")), tag("dd", shown)])
    return tag("section", tag("h2", "Provenance"), tag("dl", rows, class_="facts-list"))


def _link(locator: str) -> str | None:
    """Return an address of the web as a link; None for anything else, and for what is not plain ASCII."""
    try:
        parts = urlsplit(locator)
    except ValueError:
        return None
    sound = locator.isascii() and locator.isprintable() and not set(locator) & set(" \\\"'<>`")
    return locator if sound and parts.scheme in ("http", "https") and parts.hostname else None


def _left_out(values: dict[str, Any]) -> Html | None:
    parts = values.get("left_out") or []
    rows: list[list[Child]] = [[part["part"], bdi(part["title"] or ""), part["chars"]] for part in parts[:100]]
    if not rows:
        return None
    return tag(
        "section", tag("h2", "Left out of the text"), table(["Part", "heading", "characters"], rows, (2,), "Left out")
    )


def _picture(
    view: View, file: RowFile, values: dict[str, Any], image: int, here: str, asked: Question, name: str, row: int
) -> Html | None:
    path = view.pictures.path(values.get("source") or file.source, values.get("provenance") or "")
    if path is None:
        return None
    known = len(values.get("pages") or [])
    number = min(max(image, 1), max(known, 1)) if known else max(image, 1)
    base = asked.address(here, start=asked.start)
    glue = "&" if "?" in base else "?"
    moves = [
        ("", "Page before", f"{base}{glue}image={number - 1}#picture" if number > 1 else ""),
        ("", "Page after", f"{base}{glue}image={number + 1}#picture" if not known or number < known else ""),
    ]
    picture = tag(
        "img", src=f"/picture/{name}/{row}/{number}.png", alt=f"Page {number} of the PDF as it is drawn", loading="lazy"
    )
    return tag(
        "section",
        tag("h2", f"Page {number} of the PDF"),
        tag("figure", picture),
        steps(moves, "Pages of the PDF"),
        id="picture",
    )


def not_there(view: View, looked: Looked) -> Html:
    """Return the page for a document that is not there."""
    return missing(looked, view, "There is no such document. If the corpus was built again, documents may have moved.")
