"""`mmedc diff --html`: how one corpus differs from another, and why, as one page that loads nothing."""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from mmedc.corpus.manifest import read_manifest
from mmedc.markup import Child, Html, joined, tag
from mmedc.reasons import meaning
from mmedc.report.difference import Difference
from mmedc.report.drawing import bar
from mmedc.report.elements import figures_of, page, table

GROUPS = ("in_a", "in_b", "lost", "gained", "changed")


def difference_page(found: Difference) -> str:
    """Return the page. Raises: CorpusError where a corpus has gone meanwhile."""
    head = tag(
        "header",
        tag("h1", "What changed between two corpora"),
        tag("p", "A: ", tag("code", found.a), tag("br"), "B: ", tag("code", found.b)),
        figures_of(
            [
                ("the same", f"{found.same:,}"),
                ("changed", f"{found.changed:,}"),
                ("lost", f"{found.lost:,}"),
                ("gained", f"{found.gained:,}"),
            ]
        ),
    )
    sections = [
        ("made", "How they were made", _made(found)),
        ("lost", "Why B has not what it lost", _reasons(found.lost_by)),
        ("gained", "Why A had not what B gained", _reasons(found.gained_by)),
        ("languages", "By language", _groups("language", found.languages)),
        ("sources", "By source", _groups("source", found.sources)),
        ("samples", "Samples", joined(_samples(found))),
    ]
    made = [(name, title, body) for name, title, body in sections if body]
    links = tag("nav", tag("ul", [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in made]))
    body = [tag("section", tag("h2", title), content, id=name) for name, title, content in made]
    return page("What changed between two corpora", head, links, tag("main", body))


def _made(found: Difference) -> Html:
    """Return what differs in recipe, policy and versions, beside the digests."""
    one, two = read_manifest(found.a), read_manifest(found.b)
    rows: list[tuple[Child, ...]] = [
        (name, tag("code", before), tag("code", after))
        for name, before, after in _differing(_settings(one), _settings(two))
    ]
    said = "" if rows else "Recipe, policy and versions are the same in what the manifests record."
    digests = [("A", tag("code", one.digest)), ("B", tag("code", two.digest))]
    return joined(
        table(("setting", "in A", "in B"), rows, text=(0,), cut=(1, 2)) if rows else tag("p", said),
        table(("corpus", "digest"), digests, text=(0,), cut=(1,)),
    )


def _settings(manifest: Any) -> dict[str, str]:
    """Return what a manifest says of how it was made, flat: `policy.all.chars.min` and its value."""
    named = {"recipe": manifest.recipe, "policy": manifest.policy, "versions": manifest.versions}
    return {name.removeprefix("recipe."): value for name, value in _flat("", named)}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), value[key])
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _differing(one: Mapping[str, str], two: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted(one.keys() | two.keys()):
        if one.get(name) != two.get(name):
            yield name, one.get(name, "(not set)"), two.get(name, "(not set)")


def _reasons(counts: Mapping[str, int]) -> Html | None:
    if not counts:
        return None
    most = max(counts.values())
    rows = [(why, count, bar(count / most), _meaning(why)) for why, count in counts.items()]
    return table(("step and reason", "documents", "", "what it means"), rows, text=(0,), bars=(2,), cut=(3,))


def _meaning(why: str) -> str:
    """Return what `STEP: REASON` means, where that is declared."""
    step, _, reason = why.partition(": ")
    if not reason:  # no step removed it
        return ""
    found = meaning(step, "dropped", reason) or meaning(step, "rejected", reason) or ""
    return found.replace("`", "")


def _groups(title: str, groups: Mapping[str, Mapping[str, int]]) -> Html | None:
    if not groups:
        return None
    most = max([max(counts["in_a"], counts["in_b"]) for counts in groups.values()]) or 1
    rows: list[tuple[Child, ...]] = [
        (name, *(counts[each] for each in GROUPS), bar(counts["in_a"] / most), bar(counts["in_b"] / most))
        for name, counts in groups.items()
    ]
    return table((title, "in A", "in B", *GROUPS[2:], "A", "B"), rows, bars=(6, 7))


def _samples(found: Difference) -> Iterator[Html]:
    for (what, reason), some in groupby(found.samples, key=lambda each: (each["what"], each["reason"])):
        rows = [(each["locator"], each["lang"], each["source"]) for each in some]
        yield tag("h3", f"{what}, {reason}")
        yield table(("document", "language", "source"), rows, text=(1, 2), cut=(0,))
