"""The screen of `mmedc publish`: what is sent, and what is to be known before."""

from typing import Any

from rich.console import Group
from rich.text import Text

from mmedc.corpus.manifest import stats
from mmedc.corpus.outcome import counted
from mmedc.licences import UNKNOWN
from mmedc.pipeline.push import Publication
from mmedc.report.grid import Column, Grid, Passage, number
from mmedc.report.tables import human_bytes


def as_json(found: Publication, done: bool) -> dict[str, Any]:
    """Return a publication as JSON values."""
    return {
        "corpus": found.corpus,
        "target": found.url,
        "digest": found.manifest.digest,
        "published": done,
        "files": len(found.items) + len(found.last),
        "missing": [item.path for item in found.missing],
        "missing_bytes": sum(item.size for item in found.missing),
        "stale": list(found.there.stale),
        "complete": found.there.complete,
    }


def screen(found: Publication, done: bool) -> Group:
    """Return the screen."""
    parts: dict[str, list[int]] = {}
    missing = {item.path for item in found.missing}
    for item in (*found.items, *found.last):
        part = parts.setdefault(item.path.partition("/")[0], [0, 0, 0, 0])
        part[0] += 1
        part[1] += item.size
        if item.path in missing or (item in found.last and not found.there.complete):
            part[2] += 1
            part[3] += item.size
    columns = [
        Column("part"),
        number("files"),
        number("bytes"),
        number("sent" if done else "to send"),
        number("bytes "),
    ]
    rows = [
        (name, f"{files:,}", human_bytes(size), f"{new:,}", human_bytes(new_size))
        for name, (files, size, new, new_size) in parts.items()
    ]
    shown: list[Any] = [Grid(columns, rows), ""]
    if found.there.stale:
        what = "deleted" if done else "would be deleted"
        shown.append(Text(f"{counted(len(found.there.stale), 'file')} of an earlier version {what}"))
    shown += _warnings(found)
    if found.there.complete:
        shown.append(Text(f"{found.url}: has this version already; nothing {'was' if done else 'would be'} sent"))
    elif done:
        shown.append(Text(f"{found.url}: published, {counted(found.manifest.documents, 'document')}"))
    else:
        shown.append(Text("Nothing was sent."))
    return Group(*shown, Text(found.manifest.digest))


def _warnings(found: Publication) -> list[Any]:
    """Return what should be known before a corpus is made public."""
    shown = []
    totals = stats(found.manifest)
    if unknown := totals.licences.get(UNKNOWN, 0):
        shown.append(
            Passage(
                f"No licence is stated for {counted(unknown, 'document')}; `publish: {{unknown: drop}}` in the recipe "
                "leaves them out."
            )
        )
    if totals.reserved:
        who = counted(totals.reserved, "document")
        shown.append(Passage(f"The publishers of {who} reserve text and data mining, or ask not to be used so."))
    return shown
