"""Lists of documents with their filters, and the histograms of measures, whose bars are filters."""

import re
from typing import Any

from mmedc.document import MEASURES
from mmedc.inspect.charts import between, histogram
from mmedc.inspect.looked import Looked, View
from mmedc.inspect.markup import bdi, one_line, select
from mmedc.inspect.overview import reasons_of
from mmedc.inspect.page import chips, human, page
from mmedc.inspect.question import PAGE, PLACES, REMOVED, SHOWS, Question, written
from mmedc.inspect.reading import SHOWN_SCORES, Listed, Removed, removed, search, with_heads
from mmedc.inspect.selection import MOST_SORTED, listed, spread, total
from mmedc.markup import Child, Html, joined, tag

TITLE = 120
EXCERPT = 240


def documents(view: View, looked: Looked, asked: Question) -> Html:
    """Return the list that a question asks for."""
    if asked.show == REMOVED:
        result = _removed(view, asked)
    elif asked.q:
        result = _searched(view, asked)
    else:
        result = _listed(view, asked)
    body = tag(
        "div",
        filters(view, asked),
        tag("section", result, class_="results", aria_label="Documents"),
        class_="with-side",
    )
    return page("Documents", "/documents", view, looked, tag("h1", "Documents"), body, wide=True)


def filters(view: View, asked: Question, action: str = "/documents") -> Html:
    """Return the form with the filters."""
    catalog, anything = view.catalog, {"": "any"}
    langs = {name: name for name in _languages(view)}
    sources = {name: name for name in _sources(view)}
    measures = {"": "–", **{name: name for name in catalog.measures}}
    searching = action == "/documents"
    search_part = [
        tag(
            "label",
            tag("span", "Search for"),
            tag("input", type="search", name="q", value=asked.q, id="search", maxlength=500),
        ),
        select("in", "Where", PLACES, asked.where),
    ]
    sorts = {"": "as in the files"}
    for name in catalog.measures:
        sorts |= {name: f"{name}, lowest first", f"-{name}": f"{name}, highest first"}
    score = tag(
        "fieldset",
        tag("legend", "Score"),
        select("measure", "Measure", measures, ""),
        tag("div", _number("low", "from"), _number("high", "below"), class_="pair"),
    )
    kept = [tag("input", type="hidden", name=name, value=value) for name, value in _ranges(asked).items()]
    return tag(
        "form",
        tag("h2", "Filters", class_="unseen"),
        search_part if searching else None,
        select("show", "Show", SHOWS, asked.show),
        select("lang", "Language", {**anything, **langs}, asked.lang),
        select("source", "Source", {**anything, **sources}, asked.source),
        select("kind", "Kind", {**anything, **{name: name for name in sorted(catalog.kinds.known)}}, asked.kind),
        select("reason", "Reason", {**anything, **reasons_of(view)}, asked.reason),
        score,
        select("sort", "Order", sorts, asked.sort) if searching else None,
        kept,
        tag("button", "Show", type="submit"),
        action=action,
        method="get",
        class_="side",
        role="search",
        aria_label="Filters",
    )


def _number(name: str, label: str) -> Html:
    return tag("label", tag("span", label), tag("input", name=name, inputmode="decimal", autocomplete="off"))


def _ranges(asked: Question) -> dict[str, str]:
    return {name: written(bounds) for name, bounds in sorted(asked.ranges.items())}


def _languages(view: View) -> list[str]:
    manifest = view.opened.manifest
    return sorted({*view.catalog.languages, *(shard.lang for shard in (manifest.shards if manifest else ()))})


def _sources(view: View) -> list[str]:
    manifest = view.opened.manifest
    return sorted({*view.catalog.sources.known, *(share.name for share in (manifest.by_source if manifest else ()))})


def in_force(asked: Question, path: str = "/documents") -> Html | None:
    """Return the filters in force, each with the way to remove it."""
    items = []
    for name, label in (("lang", "language"), ("source", "source"), ("kind", "kind"), ("reason", "reason")):
        if value := getattr(asked, name):
            items.append((f"{label}: {value}", asked.address(path, **{name: ""})))
    if asked.q:
        items.append((f"“{one_line(asked.q, 60)}” {PLACES[asked.where]}", asked.address(path, q="")))
    for name, bounds in sorted(asked.ranges.items()):
        items.append((f"{name} {between(*bounds)}", asked.address(path, ranges=asked.without_range(name))))
    return chips(items)


def _listed(view: View, asked: Question) -> Html:
    start = (asked.page - 1) * PAGE
    count, tokens = view.kept(("total", asked.address(sort="")), lambda: total(view.catalog, asked))
    wanted = tuple(dict.fromkeys((*asked.ranges, asked.sort.removeprefix("-") or "quality", *SHOWN_SCORES)))
    rows = with_heads(view.opened, listed(view.catalog, asked, start), wanted) if start < count else []
    last = min(start + len(rows), count)
    said = f"{count:,} document{'' if count == 1 else 's'}, {tokens:,} tokens"
    if rows:
        said += f"; {start + 1:,} to {last:,} are shown"
    reached = MOST_SORTED if asked.sort else count
    moves = [
        ("prev", "Previous", asked.address(page=asked.page - 1) if asked.page > 1 else ""),
        ("next", "Next", asked.address(page=asked.page + 1) if last < min(count, reached) else ""),
    ]
    other = tag("a", "their measures", href=asked.address("/measures", q="", sort=""))
    return joined(tag("p", said, " · ", other, class_="said"), in_force(asked), _items(view, asked, rows), steps(moves))


def steps(moves: list[tuple[str, str, str]], label: str = "More") -> Html | None:
    """Return links to what comes before and after: (rel, label, address)."""
    made = [tag("a", said, href=address, rel=rel or None) for rel, said, address in moves if address]
    return tag("nav", made, class_="steps", aria_label=label) if made else None


def _searched(view: View, asked: Question) -> Html:
    count, _ = view.kept(("total", asked.address(q="", sort="")), lambda: total(view.catalog, asked))
    found = search(view.catalog, asked)
    upto = count if found.after is None else found.after
    many = f"{len(found.found):,} document{'' if len(found.found) == 1 else 's'} found"
    said = f"{many} among documents {min(asked.start + 1, upto):,} to {upto:,} of {count:,}"
    moves = [("next", "Look on", asked.address(start=found.after) if found.after is not None else "")]
    note = "The order is that of the files." if asked.sort else None
    return joined(
        tag("p", said, " ", note, class_="said"), in_force(asked), _items(view, asked, found.found), steps(moves)
    )


def _items(view: View, asked: Question, rows: list[Listed]) -> Html:
    if not rows:
        return tag("p", "No document." if view.catalog.done.is_set() else "No document so far.", class_="none")
    return tag("ol", [_item(view, asked, each) for each in rows], class_="documents")


def _item(view: View, asked: Question, each: Listed) -> Html:
    row = each.row
    name = one_line(each.title or each.locator, TITLE) or "untitled"
    scores = [
        tag("span", f"{label} ", tag("b", human(value))) for label, value in each.scores.items() if value is not None
    ]
    fate = tag("span", row.fate, class_="fate") if row.fate != "published" else None
    facts: list[Child] = [row.lang, row.source, row.kind, f"{row.tokens:,} tokens"]
    return tag(
        "li",
        tag(
            "h3",
            tag(
                "a",
                bdi(name),
                href=asked.address(f"/documents/{row.file}/{row.row}", start=row.number + 1),
                lang=row.lang,
            ),
        ),
        _excerpt(each, asked),
        tag("p", [tag("span", fact) for fact in facts], scores, fate, class_="facts"),
        tag("p", bdi(one_line(each.locator, 140)), class_="locator"),
    )


def _excerpt(each: Listed, asked: Question) -> Html | None:
    """Return the beginning of the text, or what stands around what was searched for, which is marked."""
    text = each.excerpt
    if each.title and text.startswith(each.title):
        text = text[len(each.title) :]
    if not (text := one_line(text, EXCERPT)):
        return None
    searched = asked.q if asked.where == "text" else ""
    parts = re.split(f"({re.escape(searched)})", text, flags=re.I) if searched else [text]
    marked = [tag("mark", part) if at % 2 else part for at, part in enumerate(parts)]
    return tag("p", tag("bdi", marked, dir="auto"), class_="excerpt", lang=each.row.lang, dir="auto")


def _removed(view: View, asked: Question) -> Html:
    rows, after = removed(view.opened, asked, asked.start)
    manifest = view.opened.manifest
    counted: dict[str, int] = {}
    for row in manifest.funnel if manifest else ():
        for reason, count in (*row.dropped.items(), *row.rejected_by.items()):
            counted[reason] = counted.get(reason, 0) + count
    said = f"{len(rows):,} shown"
    if asked.reason in counted and not (asked.lang or asked.source or asked.q):
        said = f"{counted[asked.reason]:,} removed as {asked.reason}; {said}"
    note = "These records were removed before they were scored; of a few of each reason the text is stored."
    items = [
        tag(
            "li",
            tag(
                "h3",
                tag(
                    "a",
                    bdi(one_line(each.values["locator"], 140) or "no address"),
                    href=asked.address(f"/documents/{each.file}/{each.row}"),
                ),
            ),
            tag("p", bdi(one_line(each.values["text"], EXCERPT)), class_="excerpt") if each.values["text"] else None,
            tag("p", [tag("span", fact) for fact in _facts(each)], class_="facts"),
        )
        for each in rows
    ]
    moves = [("next", "Next", asked.address(start=after) if after is not None else "")]
    shown = tag("ol", items, class_="documents") if items else tag("p", "No record.", class_="none")
    return joined(tag("p", said, class_="said"), tag("p", note, class_="note"), in_force(asked), shown, steps(moves))


def _facts(each: Removed) -> list[str]:
    values = each.values
    detail = one_line(values["detail"] or "", 120)
    return [
        f"{values['fate']} at {values['step']}",
        values["reason"],
        *([detail] if detail else []),
        values["lang"] or "",
    ]


def measures(view: View, looked: Looked, asked: Question) -> Html:
    """Return the page with a histogram of each measure."""
    if not view.catalog.scales:
        waiting = tag("p", "Scores are not read yet.")
        return page("Measures", "/measures", view, looked, tag("h1", "Measures"), waiting)
    found = view.kept(("spread", asked.address()), lambda: spread(view.catalog, asked))
    count, _ = view.kept(("total", asked.address(sort="")), lambda: total(view.catalog, asked))
    charts = [_chart(view, asked, name, found[name]) for name in view.catalog.measures]
    said = f"{count:,} document{'' if count == 1 else 's'}"
    link = tag("a", "show them", href=asked.address())
    note = "A bar leads to its documents. A line is a limit of the policy."
    body = [
        tag("p", said, " · ", link, class_="said"),
        in_force(asked, "/measures"),
        tag("p", note, class_="note"),
        tag("div", charts, class_="charts"),
    ]
    return page(
        "Measures",
        "/measures",
        view,
        looked,
        tag("h1", "Measures"),
        tag("div", filters(view, asked, "/measures"), tag("section", body, aria_label="Measures"), class_="with-side"),
        wide=True,
    )


def _chart(view: View, asked: Question, name: str, counts: Any) -> Html:
    bars, none = view.catalog.scales[name].bars(counts), int(counts[-1])
    lines = sorted(
        {
            (bound, value)
            for code, limits in view.opened.limits.items()
            if name in limits and asked.lang in ("", code)
            for bound in ("min", "max")
            if (value := getattr(limits[name], bound)) is not None
        }
    )
    chart: Html
    if bars:
        chart = histogram(name, bars, lambda low, high: asked.address(ranges=asked.with_range(name, low, high)), lines)
    else:
        chart = tag("p", "No document has this score.", class_="none")
    about = MEASURES.get(name, "a measure of the recipe")
    without = f"; {none:,} without" if none and bars else ""
    limits = "; ".join(f"{bound} {human(value)}" for bound, value in lines[:4])
    return tag(
        "section",
        tag("h2", name),
        tag("p", about[0].upper() + about[1:] + without + ".", class_="note"),
        chart,
        tag("p", f"Limits: {limits}", class_="note") if limits else None,
        class_="measure",
    )
