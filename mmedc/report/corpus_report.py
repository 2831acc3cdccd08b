"""`mmedc report`: a corpus, or a build under way, as one page that loads nothing and needs no script."""

import json
from collections.abc import Iterable, Sequence

import pyarrow.compute as pc

from mmedc.corpus.card import LEFT_OUT
from mmedc.corpus.manifest import FunnelRow, Manifest, Share, Total
from mmedc.corpus.outcome import counted
from mmedc.corpus.statistics import bins_between
from mmedc.document import MEASURES
from mmedc.markup import Child, Html, joined, tag
from mmedc.reasons import meaning
from mmedc.report.drawing import Node, Stage, bar, flow, funnel, histogram
from mmedc.report.elements import figures_of, key, page, table
from mmedc.report.facts import Facts, Sample, by_kind, quantile
from mmedc.report.published import MMEDC, MMEDC_KINDS, PAPER
from mmedc.report.runs import silence
from mmedc.report.tables import human_bytes

ENDS = 10
"""The number of languages, sources and reasons that a flow names; the others are one."""
SHOWN = 20
DRAWN = {
    "chars": "Length in characters",
    "quality": "Quality score",
    "medical_model": "Score of the medical model",
    "perplexity": "Perplexity",
    "lang_score": "Confidence of the language",
}
"""The measures whose histograms are drawn."""
FEWEST_BINS = 8


def report(facts: Facts) -> str:
    """Return the page."""
    manifest = facts.manifest
    sections = [
        ("contents", "Languages and kinds", _contents(facts) if manifest else None),
        ("scored", "Languages and sources so far", _scored(facts) if facts.scored else None),
        ("funnel", "What became of the records", _funnel(facts) if facts.funnel else None),
        ("flows", "By language and by source", _flows(manifest) if manifest else None),
        ("measures", "Measures", _measures(facts) if manifest else None),
        ("origins", "Hosts and licences", _origins(facts) if manifest else None),
        ("copies", "Duplicates and benchmark questions", _copies(facts) if manifest else None),
        ("people", "Privacy and opt-outs", _people(facts) if manifest else None),
        ("samples", "Samples", _samples(facts) if facts.kept or facts.removed else None),
        ("again", "How to build it again", _again(manifest) if manifest else None),
    ]
    made = [(name, title, body) for name, title, body in sections if body]
    links = tag("nav", tag("ul", [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in made]))
    body = [tag("section", tag("h2", title), content, id=name) for name, title, content in made]
    return page(f"{facts.name}: report of the corpus", _head(facts), links, tag("main", body))


def _head(facts: Facts) -> Html:
    parts: list[Child] = [tag("h1", facts.name)]
    if facts.manifest and facts.totals:
        manifest, totals = facts.manifest, facts.totals
        said = f"A corpus built by mmedc {manifest.versions.get('mmedc', '')} with the policy {manifest.policy}. "
        parts.append(tag("p", said, "Tokens are those of the tokenizer ", tag("code", manifest.tokenizer), "."))
        figures = [("documents", f"{totals.documents:,}"), ("tokens", f"{totals.tokens:,}")]
        figures += [("languages", f"{len(totals.languages):,}"), ("sources", f"{len(totals.sources):,}")]
        figures += [("size", human_bytes(totals.bytes)), ("shards", f"{totals.shards:,}")]
        if facts.funnel and facts.funnel[0].read:
            figures.insert(2, ("kept of the records", f"{totals.documents / facts.funnel[0].read:.1%}"))
        parts.append(figures_of(figures))
    if facts.run:
        parts += _under_way(facts)
    for problem in facts.problems:
        where = f"Source {problem.source}: " if problem.source else ""
        parts.append(tag("p", f"{where}{problem.found}. {problem.cure}.", class_="notice"))
    return tag("header", parts)


def _under_way(facts: Facts) -> Iterable[Html]:
    run = facts.run
    assert run
    state = {"running": "is under way", "stopped": "was stopped", "failed": "failed", "lost": "ended without a word"}
    how = state.get(facts.standing, "has not published")
    shows = (
        "This report shows the corpus that was published before."
        if facts.manifest
        else f"This report shows what is committed: {facts.units[0]:,} of {counted(facts.units[1], 'unit')} of ingest. "
        "What later passes remove (limits, duplicates, benchmark questions) is not in it."
    )
    said = (
        f"A build that began at {run.began} (UTC) {how}; last sign of life {max(silence(run), 0):,.0f} s ago. {shows}"
    )
    yield tag("p", said, class_="notice")
    if run.passes and not facts.manifest:
        rows = [
            (
                each.name,
                each.units,
                each.before + each.done,
                each.failed,
                bar((each.before + each.done) / (each.units or 1)),
            )
            for each in run.passes[-SHOWN:]
        ]
        yield table(("pass", "units", "done", "failed", ""), rows, bars=(4,))


def _scored(facts: Facts) -> Html:
    """Return what ingest has left so far, by language and source."""
    most = max(facts.scored.values())
    rows = [(lang, source, count, bar(count / most)) for (lang, source), count in sorted(facts.scored.items())]
    foot = ("all", "", sum(facts.scored.values()), "")
    said = "Documents that are committed, before limits, duplicates and benchmark questions."
    return joined(tag("p", said), table(("language", "source", "documents", ""), rows, foot, bars=(3,), text=(0, 1)))


def _contents(facts: Facts) -> Html:
    assert facts.manifest and facts.totals
    tokens, whole = by_kind(facts.manifest), facts.totals
    kinds = sorted({kind for mine in tokens.values() for kind in mine})
    kinds = kinds if len(kinds) > 1 else []
    most = max((total.tokens for total in whole.languages.values()), default=0) or 1
    rows: list[list[Child]] = [
        [lang, total.documents, total.tokens, bar(total.tokens / most)] for lang, total in whole.languages.items()
    ]
    for row, lang in zip(rows, whole.languages, strict=True):
        row += [tokens[lang].get(kind) for kind in kinds]
    foot: list[Child] = [
        "all",
        whole.documents,
        whole.tokens,
        "",
        *(sum(each.get(kind, 0) for each in tokens.values()) for kind in kinds),
    ]
    return joined(
        tag("p", "Documents and tokens of each language, and the tokens by kind of document."),
        table(("language", "documents", "tokens", "", *kinds), rows, foot, bars=(3,)),
        tag("h3", "Beside MMedC, in billions of tokens"),
        _mmedc(whole.languages),
    )


def _mmedc(totals: dict[str, Total]) -> Html:
    """Return the published table of MMedC, and beside it the share of each language in this corpus."""
    added = [sum(row[at] for row in MMEDC.values()) for at in range(len(MMEDC_KINDS) + 1)]
    rows = [
        (lang, *(f"{value:.2f}" if value else "" for value in row), f"{row[-1] / added[-1]:.1%}", _share(totals, lang))
        for lang, row in MMEDC.items()
    ]
    head = ("language", *MMEDC_KINDS, "all", "share in MMedC", "share here")
    said = (
        f"As published by {PAPER}, and on the card of the data set; the 4.00 of English textbooks are counted there, "
        "but not released. Tokens there are those of another tokenizer, so sizes compare only roughly."
    )
    foot = ("all", *(f"{value:.2f}" for value in added), "", "")
    return joined(tag("p", said, class_="soft"), table(head, rows, foot))


def _share(totals: dict[str, Total], lang: str) -> str:
    whole = sum(total.tokens for total in totals.values()) or 1
    return f"{totals[lang].tokens / whole:.1%}" if lang in totals else ""


def _funnel(facts: Facts) -> Html:
    rows = [row for row in facts.funnel if row.read or row.seconds]
    pieces = funnel([Stage(row.read, row.kept, row.rejected) for row in rows])
    whole = sum(row.seconds for row in rows) or 1
    items = [
        tag("li", tag("span", "step", class_="step"), tag("span", class_="piece"), tag("span", "kept", class_="number"),
            tag("span", "%", class_="number"), tag("span", "time of a core", class_="cost"),
            tag("span", "removed, by reason", class_="why"), class_="head")
    ]  # fmt: skip
    last = 1.0
    for row, (piece, times) in zip(rows, pieces, strict=True):
        step: list[Child] = [row.step]
        if times > last:
            step.append(tag("span", f" drawn {times:,.0f}× wider", class_="soft"))
        last = times
        items.append(
            tag("li", tag("span", step, class_="step"), piece, tag("span", row.kept, class_="number"),
                tag("span", f"{row.kept / row.read:.1%}" if row.read else "", class_="number"),
                tag("span", _cost(row, whole), class_="cost soft"), tag("span", _reasons(row), class_="why soft"))
        )  # fmt: skip
    first = rows[0].read if rows else 0
    said = f"{counted(first, 'record')} were read. Every one is kept, dropped for a reason, or rejected as broken. "
    return joined(
        tag("p", said, "The width of the trunk is the number that a step keeps; % is the share of what it read. "
            "Time is that of one core over all documents; for read, the time in which the input was read."),
        key(("kept", "kept"), ("dropped", "dropped"), ("rejected", "rejected")),
        tag("ol", items, class_="funnel"),
    )  # fmt: skip


def _cost(row: FunnelRow, whole: float) -> str:
    if row.seconds <= 0:
        return ""
    each = row.seconds / row.read if row.read else 0
    unit = f"{each * 1e3:,.2f} ms" if each >= 1e-5 else f"{each * 1e6:,.1f} µs"
    return f"{row.seconds:,.1f} s ({row.seconds / whole:.0%}), {unit} each"


def _reasons(row: FunnelRow) -> Html:
    removed = [("dropped", reason, count) for reason, count in row.dropped.items()]
    removed += [("rejected", reason, count) for reason, count in row.rejected_by.items()]
    return joined(
        [
            joined(", " if at else "", tag("span", reason, title=meaning(row.step, fate, reason) or ""), f" {count:,}")
            for at, (fate, reason, count) in enumerate(sorted(removed, key=lambda each: -each[2]))
        ]
    )


def _flows(manifest: Manifest) -> Html | None:
    parts: list[Child] = []
    for what, shares in (("language", manifest.by_language), ("source", manifest.by_source)):
        if shares:
            parts.append(tag("h3", f"By {what}"))
            parts.append(_shares(what, shares))
    if not parts:
        return None
    said = (
        "Where the records of each language and source went. "
        "The language of a record that was removed early is not known."
    )
    return joined(tag("p", said), key(("kept", "kept"), ("dropped", "dropped"), ("rejected", "rejected")), parts)


def _shares(what: str, shares: Sequence[Share]) -> Html:
    ranked = sorted(shares, key=lambda share: (-share.read, share.name))
    shown, rest = ranked[:ENDS], ranked[ENDS:]
    reasons: dict[tuple[str, str], int] = {}
    for share in shares:
        for kind, counts in (("dropped", share.dropped), ("rejected", share.rejected)):
            for reason, count in counts.items():
                reasons[kind, reason] = reasons.get((kind, reason), 0) + count
    common = sorted(reasons, key=lambda key: (-reasons[key], key))[:ENDS]
    others = sum(count for key, count in reasons.items() if key not in common)
    left = [Node(share.name or "not known", share.read, "quiet") for share in shown]
    groups: list[Sequence[Share]] = [[share] for share in shown]
    if rest:
        left.append(Node(f"{len(rest)} others", sum(share.read for share in rest), "quiet"))
        groups.append(rest)
    right = [Node("kept", sum(share.kept for share in shares), "kept")]
    right += [Node(reason, reasons[kind, reason], kind) for kind, reason in common]
    if others:
        right.append(Node("other reasons", others, "other"))
    between = []
    for group in groups:
        mine = [sum(share.kept for share in group)]
        mine += [sum(getattr(share, kind).get(reason, 0) for share in group) for kind, reason in common]
        between.append([*mine, sum(share.read for share in group) - sum(mine)] if others else mine)
    return flow(left, right, between, f"records by {what}: kept and removed")


def _measures(facts: Facts) -> Html:
    assert facts.totals
    if facts.histograms is None:
        return tag("p", "An older version built this corpus, without statistics; its `mmedc run` makes them.")
    parts: list[Child] = []
    for measure, title in DRAWN.items():
        every = facts.bins(measure)
        if not every:
            continue
        edges = _common(measure, list(every))
        charts = [
            _chart(lang, facts.bins(measure, lang), edges)
            for lang in facts.totals.languages
            if facts.bins(measure, lang)
        ]
        parts += [tag("h3", title), tag("p", f"{MEASURES[measure][0].upper()}{MEASURES[measure][1:]}.", class_="soft"),
                  tag("div", charts, class_="charts")]  # fmt: skip
    said = "Documents of each language by the value of a measure, in bins of the same width for all languages. "
    return joined(tag("p", said, "Lengths and perplexities are on a logarithmic scale."), parts)


def _common(measure: str, edges: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Return the bins of a picture: from the lowest to the highest that has documents, with those between them."""
    above = [edge for edge in edges if edge[0] > 0] or list(edges)
    found = bins_between(measure, min(above)[0], max(above)[1], FEWEST_BINS)
    zero = [edge for edge in edges if edge[0] <= 0 and edge not in found]
    return [*zero, *((low, high) for low, high in found if low is not None and high is not None)]


def _chart(lang: str, bins: dict[tuple[float, float], int], edges: Sequence[tuple[float, float]]) -> Html:
    middle = quantile(bins, 0.5)
    counts = [bins.get(edge, 0) for edge in edges]
    total = sum(bins.values())
    says = f"{lang}: {counted(total, 'document')}, half of them below {_short(middle)}"
    ends = tag("div", tag("span", _short(edges[0][0])), tag("span", _short(edges[-1][1])), class_="ends")
    return tag("figure", tag("figcaption", tag("b", lang), f"  median {_short(middle)}"), histogram(counts, says), ends)


def _short(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 1e6:
        return f"{value / 1e6:,.3g}M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _origins(facts: Facts) -> Html:
    assert facts.totals
    licences = list(facts.totals.licences.items())
    most = max((count for _, count in licences), default=1)
    right = [(name, count, bar(count / most)) for name, count in licences[:SHOWN]]
    more = f"… and {len(licences) - SHOWN:,} more" if len(licences) > SHOWN else ""
    hosts = [(row["host"], row["documents"], row["tokens"]) for row in facts.hosts]
    found = f"{counted(facts.all_hosts, 'host')} in all." if facts.all_hosts > len(hosts) else ""
    return tag(
        "div",
        tag(
            "div",
            tag("h3", "Hosts"),
            table(("host", "documents", "tokens"), hosts, cut=(0,)),
            tag("p", found, class_="soft"),
        )
        if hosts
        else None,
        tag(
            "div",
            tag("h3", "Licences"),
            table(("licence", "documents", ""), right, bars=(2,)),
            tag("p", more, class_="soft"),
        ),
        class_="columns",
    )


def _copies(facts: Facts) -> Html:
    assert facts.manifest
    pairs = facts.manifest.dedup
    parts: list[Child] = [
        tag("p", f"Deduplication compared {counted(pairs.compared, 'pair')} by their sketches; {pairs.edges:,} are "
            f"certainly alike, and the texts of {pairs.verified:,} were compared.")
    ]  # fmt: skip
    if facts.cluster_sizes:
        whole = max(clusters for _, clusters, _ in facts.cluster_sizes)
        sizes = [(size, clusters, bar(clusters / whole), gone) for size, clusters, gone in facts.cluster_sizes]
        parts += [tag("h3", "Sizes of all clusters of duplicates"),
                  table(("documents in it", "clusters", "", "documents removed"), sizes, bars=(2,))]  # fmt: skip
    if facts.clusters:
        most = facts.clusters[0].documents
        rows = [
            (
                each.documents,
                bar(each.documents / most),
                "" if each.similarity is None else f"{each.similarity:.2f}",
                each.stays,
            )
            for each in facts.clusters[:SHOWN]
        ]
        parts += [tag("h3", "Largest clusters of duplicates"),
                  table(("documents", "", "least similarity", "what stays"), rows, bars=(1,), cut=(3,))]  # fmt: skip
    if facts.manifest.lines:
        lines = facts.manifest.lines
        parts.append(tag("p", f"Repeated lines were removed from {counted(lines.documents, 'document')}: "
                         f"{lines.characters:,} characters."))  # fmt: skip
    parts.append(tag("h3", "Benchmark questions"))
    found = facts.manifest.contamination
    if found is None:
        parts.append(
            tag(
                "p",
                "The recipe names no benchmark questions (",
                tag("code", "decontaminate"),
                "), so none were looked for.",
            )
        )
    else:
        parts.append(tag("p", f"{counted(found.questions, 'question')} were looked for, {found.too_short:,} of them "
                         f"too short; {counted(found.hits, 'hit')} were found and removed."))  # fmt: skip
    if facts.contaminated:
        rows = [(row["benchmark"], row["hits"], row["questions"], row["documents"]) for row in facts.contaminated]
        parts.append(table(("benchmark", "hits", "questions", "documents"), rows))
    return joined(parts)


def _people(facts: Facts) -> Html:
    assert facts.manifest and facts.totals
    parts: list[Child] = []
    if facts.extremes is not None and facts.histograms is not None:
        rows = private_counts(facts)
        said = "A placeholder stands for an e-mail address, a telephone number, a national number or the like."
        head = ("language", "documents with any", "%", "placeholders")
        parts += [tag("h3", "Placeholders for personal data"), tag("p", said), table(head, rows)]
    parts.append(tag("h3", "Opt-outs"))
    reserved = facts.totals.reserved
    kept = f"{counted(reserved, 'document')} kept although the publisher reserves text and data mining."
    parts.append(tag("p", kept if reserved else "No document is kept whose publisher reserves text and data mining."))
    if facts.optouts:
        names = ("source", "signal", "pages", "hosts", "kept")
        parts.append(table(names, [[row[name] for name in names] for row in facts.optouts], text=(0, 1)))
    counts = [(row.step, reason, count) for row in facts.funnel for reason, count in row.dropped.items()]
    dropped = [count for count in counts if count[1] in LEFT_OUT]
    if dropped:
        parts.append(table(("step", "reason", "records"), dropped, text=(0, 1)))
    return joined(parts)


def private_counts(facts: Facts) -> list[tuple[str, int, str, int]]:
    """Return by language the documents with placeholders, their share, and the placeholders."""
    assert facts.extremes is not None and facts.totals
    sums = facts.extremes.filter(pc.field("measure") == "private_items").group_by("lang").aggregate([("sum", "sum")])
    items = dict(zip(sums["lang"].to_pylist(), sums["sum_sum"].to_pylist(), strict=True))
    rows = []
    for lang, total in facts.totals.languages.items():
        some = sum(count for (low, _), count in facts.bins("private_items", lang).items() if low >= 1)
        rows.append((lang, some, f"{some / total.documents:.1%}" if total.documents else "", int(items.get(lang, 0))))
    return rows


def _samples(facts: Facts) -> Html:
    parts: list[Child] = []
    if facts.kept:
        parts += [tag("h3", "Kept"), [_sample(each, "kept") for each in facts.kept]]
    if facts.removed:
        parts.append(tag("h3", "Dropped"))
    last = ("", "")
    for each in facts.removed:
        if (each.step, each.reason) != last:
            said = (meaning(each.step, "dropped", each.reason) or "").replace("`", "")
            parts.append(tag("p", tag("b", f"{each.step}: {each.reason}"), f"  {said}" if said else ""))
            last = each.step, each.reason
        parts.append(_sample(each, "dropped"))
    return joined(
        tag("p", "The beginnings of texts. Characters that hide or turn the direction are shown as marks."), parts
    )


def _sample(sample: Sample, kind: str) -> Html:
    text = sample.text if len(sample.text) < 400 else sample.text.rstrip() + " …"
    lang = sample.lang or None
    head = tag("p", tag("code", sample.locator), f"  {sample.lang}", class_="soft")
    begins = tag("p", text, class_="text", lang=lang, dir="auto") if text else None
    return tag("div", head, begins, class_=f"sample {kind}")


def _again(manifest: Manifest) -> Html:
    versions = [(name, version) for name, version in manifest.versions.items()]
    written = json.dumps(manifest.recipe, indent=2, ensure_ascii=False)
    return joined(
        tag("p", "Two builds of this recipe over the same inputs have the same digest: ", tag("code", manifest.digest)),
        tag("h3", "Recipe"),
        tag("pre", written),
        tag("h3", "Versions"),
        table(("package", "version"), versions, text=(0, 1)),
    )
