"""The first page: how much there is of what, and what became of every record that was read."""

from mmedc.corpus.manifest import Total, stats
from mmedc.inspect.charts import share
from mmedc.inspect.looked import Looked, View
from mmedc.inspect.markup import table
from mmedc.inspect.page import figure, human_bytes, page
from mmedc.inspect.question import ALL, DROPPED, PUBLISHED, REMOVED, Question
from mmedc.inspect.selection import fates, total
from mmedc.markup import Child, Html, joined, tag
from mmedc.reasons import meaning


def overview(view: View, looked: Looked) -> Html:
    """Return the page."""
    manifest = view.opened.manifest
    if manifest is None:
        return page("Overview", "/", view, looked, tag("h1", "Overview"), _committed(view))
    found = stats(manifest)
    figures = tag(
        "dl",
        figure("Documents", found.documents),
        figure("Tokens", found.tokens, tag("small", f"by {found.tokenizer}")),
        figure("On disk", human_bytes(found.bytes)),
        figure("Files", found.shards),
        figure("Languages", len(found.languages)),
        class_="figures",
    )
    parts = [
        _totals("language", "lang", found.languages),
        _totals("source", "source", found.sources),
        _totals("kind", "kind", found.kinds),
    ]
    return page(
        "Overview",
        "/",
        view,
        looked,
        tag("h1", "Overview"),
        figures,
        tag("div", parts, class_="columns"),
        _funnel(view),
    )


def _totals(name: str, key: str, found: dict[str, Total]) -> Html:
    """Return the table of one way to divide the corpus; each name leads to its documents."""
    most = max((each.tokens for each in found.values()), default=0)
    rows: list[list[Child]] = [
        [
            tag("a", tag("bdi", part), href=Question().address(**{key: part})),
            each.documents,
            each.tokens,
            share(each.tokens, most),
        ]
        for part, each in sorted(found.items(), key=lambda item: -item[1].tokens)
    ]
    head = [name.capitalize(), "documents", "tokens", tag("span", "tokens, as bars", class_="unseen")]
    return tag("section", tag("h2", f"By {name}"), table(head, rows, (1, 2), f"Documents and tokens by {name}"))


def _funnel(view: View) -> Html:
    """Return what each step kept and removed; a reason leads to what was removed for it."""
    manifest = view.opened.manifest
    assert manifest is not None
    first = manifest.funnel[0].read if manifest.funnel else 0
    rows: list[list[Child]] = []
    cells: list[Child]
    for row in manifest.funnel:
        reasons = []
        for fate, counts in (("dropped", row.dropped), ("rejected", row.rejected_by)):
            for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
                show = REMOVED if _is_early(view, reason, row.step) else DROPPED
                said = meaning(row.step, fate, reason) or ""
                link = tag("a", reason, href=Question(show=show, reason=reason).address(), title=said.replace("`", ""))
                reasons.append(
                    tag("li", link, " ", tag("span", count, class_="count"), " rejected" * (fate == "rejected"))
                )
        lost = row.read - row.kept
        cells = [row.step, row.read, row.kept, share(row.kept, first), lost or "", tag("ul", reasons, class_="plain")]
        rows.append(cells)
    head = ["Step", "read", "kept", tag("span", "kept, as bars", class_="unseen"), "removed", "for these reasons"]
    note = "Every record that was read is either in the corpus or counted here."
    return tag(
        "section",
        tag("h2", "Funnel"),
        tag("p", note, class_="note"),
        table(head, rows, (1, 2, 4), "What each step read, kept and removed", class_="funnel"),
    )


def _is_early(view: View, reason: str, step: str) -> bool:
    """Return whether documents that are dropped at a step have no scores that are stored."""
    return view.opened.history is None or step not in ("limits", "dedup", "decontaminate", "lines")


def _committed(view: View) -> Html:
    """Return what is there of a build that has not published."""
    catalog = view.catalog
    documents, _ = view.kept("total", lambda: total(catalog, Question(show=ALL)))
    rows: list[list[Child]] = []
    for lang in catalog.languages:
        count, _ = total(catalog, Question(lang=lang, show=ALL))
        rows.append([tag("a", lang, href=Question(lang=lang, show=ALL).address()), count, share(count, documents)])
    gone = sum(file.rows for file in view.opened.removed)
    figures = tag("dl", figure("Documents with scores", documents), figure("Removed before", gone), class_="figures")
    head = ["Language", "documents", tag("span", "documents, as bars", class_="unseen")]
    return joined(figures, tag("section", tag("h2", "By language"), table(head, rows, (1,), "Documents by language")))


def reasons_of(view: View) -> dict[str, str]:
    """Return the reasons by which documents can be chosen, and what a list calls them."""
    found = {name: name for name in view.kept("fates", lambda: fates(view.catalog)) if name != PUBLISHED}
    manifest = view.opened.manifest
    for row in manifest.funnel if manifest else ():
        for reason in (*row.dropped, *row.rejected_by):
            found.setdefault(reason, reason)
    return dict(sorted(found.items()))
