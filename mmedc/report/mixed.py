"""`mmedc mix`: what a law of mixture reads of each component of corpora, before a training is begun with it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Group
from rich.text import Text

from mmedc.corpus.manifest import KindTotal, Manifest, Shard, read_manifest
from mmedc.mixing import Allotment, By, Mixture, allot, bucket_of, group_of
from mmedc.report.grid import Column, Grid, Passage, number
from mmedc.storage import Store

BAR = 16
"""The columns of a bar."""
LAWS = (
    ("as it is", Mixture()),
    ("temperature .7", Mixture(temperature=0.7)),
    ("temperature .3", Mixture(temperature=0.3)),
    ("UniMax", Mixture(unimax=True)),
)
"""The laws that are compared where none is chosen."""
STARVED = 0.5
"""A group is starved when its share of what is read is less than this part of its share of the tokens."""


@dataclass(frozen=True)
class Row:
    """A group of components in a mixture."""

    name: str
    tokens: float
    read: float
    share: float
    """Of what is read, 0 to 1."""
    natural: float
    """The share of its tokens among all, 0 to 1."""
    epochs: float
    """How often its tokens are read, on average."""
    most_epochs: float
    """How often its most repeated component is read."""
    note: str
    """`starved`, `repeated`, `capped`, `too often`, or empty."""


def components(corpora: dict[str, str], buckets: tuple[float, ...] = ()) -> dict[str, int]:
    """Return the tokens of each component of published corpora, by the tokenizer of their manifests."""
    found: dict[str, int] = {}
    for name, url in corpora.items():
        for shard in read_manifest(url).shards:
            for kind, tokens in _of_shard(url, shard, buckets):
                key = f"{name}/{shard.lang}/{shard.source}/{kind}"
                found[key] = found.get(key, 0) + tokens
    return dict(sorted(found.items()))


def _of_shard(url: str, shard: Shard, buckets: tuple[float, ...]) -> Iterator[tuple[str, int]]:
    if not buckets:
        whole = KindTotal(rows=shard.rows, tokens=shard.tokens, text_bytes=shard.text_bytes)
        yield from ((kind, total.tokens) for kind, total in (shard.kinds or {shard.kind: whole}).items())
        return
    with Store(url).open_input(shard.path) as handle:
        table = pq.read_table(handle, columns=["kind", "quality", "tokens"], use_threads=False)
    quality = np.asarray(table["quality"].to_numpy(zero_copy_only=False), np.float32)
    kinds = np.array(table["kind"].to_pylist(), np.str_)
    names, which = np.unique(np.char.add(np.char.add(kinds, "/"), bucket_of(quality, buckets)), return_inverse=True)
    tokens = np.bincount(which, table["tokens"].to_numpy(), minlength=len(names))
    yield from ((str(name), int(count)) for name, count in zip(names, tokens, strict=True))


def rows_of(found: Allotment, law: Mixture, by: By) -> list[Row]:
    """Return the groups of a mixture, the most tokens first."""
    groups: dict[str, list[int]] = {}
    for at, name in enumerate(found.names):
        groups.setdefault(group_of(name, by), []).append(at)
    total, read = found.tokens.sum(), found.read.sum() or 1.0
    rows = []
    for name, places in groups.items():
        mine, got = found.tokens[places].sum(), found.read[places].sum()
        most = float(found.epochs[places].max())
        share, natural, epochs = float(got / read), float(mine / total), float(got / max(mine, 1))
        rows.append(Row(name, float(mine), float(got), share, natural, epochs, most, _note(law, share, natural, most)))
    return sorted(rows, key=lambda row: (-row.tokens, row.name))


def _note(law: Mixture, share: float, natural: float, most: float) -> str:
    if most > law.max_epochs * (1 + 1e-9):
        return "too often"
    if most > law.max_epochs * (1 - 1e-9):
        return "capped"
    if share < STARVED * natural:
        return "starved"
    return "repeated" if most > 1 + 1e-9 else ""


def bar(share: float, natural: float, most: float) -> str:
    """Return a bar for a share, with a mark where its share of the tokens is; the bar of `most` is the longest."""
    filled, mark = (round(BAR * value / most) if most else 0 for value in (share, natural))
    cells = ["█"] * filled + ["·"] * (BAR - filled)
    cells[min(max(mark - 1, 0), BAR - 1)] = "┃"
    return "".join(cells)


def mixture_screen(found: Allotment, law: Mixture, by: By) -> Group:
    """Return what a mixture reads, as a table and a plot."""
    rows = rows_of(found, law, by)
    most = max((max(row.share, row.natural) for row in rows), default=0.0)
    title = "component" if by == "component" else by
    columns = [Column(title), number("tokens"), number("read"), number("share"), number("epochs")]
    columns += [Column("what is read", rank=1), Column("")]
    cells = [
        (
            row.name,
            human(row.tokens),
            human(row.read),
            f"{row.share:.1%}",
            f"{row.epochs:.2f}",
            bar(row.share, row.natural, most),
            Text(row.note, "red" if row.note == "too often" else "yellow"),
        )
        for row in rows
    ]
    cells.append(("all", human(found.tokens.sum()), human(found.read.sum()), "100.0%", _epochs(found), "", Text("")))
    legend = Text("█ share of what is read   ┃ share of the tokens", "dim")
    return Group(Grid(columns, cells), legend, "", *_told(found, rows, law))


def _epochs(found: Allotment) -> str:
    return f"{found.read.sum() / found.tokens.sum():.2f}"


def _told(found: Allotment, rows: list[Row], law: Mixture) -> list[Any]:
    parts: list[Any] = []
    if found.missing > 1e-6 * found.budget:
        parts.append(
            Passage(
                f"Too few tokens: {human(found.budget)} are to be read, and at most {law.max_epochs:g} epochs of "
                f"everything are {human(found.read.sum())}. `mmedc train` refuses this."
            )
        )
    if too_often := [row.name for row in rows if row.note == "too often"]:
        parts.append(
            Passage(
                f"Read more than {law.max_epochs:g} times: {', '.join(too_often)}. `mmedc train` refuses this; "
                "--over cap reads more of the others instead."
            )
        )
    notes = {"starved": "Read less than half of their share of the tokens", "capped": "Read as often as allowed"}
    for note, said in notes.items():
        if mine := [row.name for row in rows if row.note == note]:
            parts.append(Passage(f"{said}: {', '.join(mine)}."))
    return parts


def comparison(names: dict[str, int], budget: float, by: By, max_epochs: float) -> Group:
    """Return how often each group is read under several laws."""
    columns, laws = [Column(by), number("tokens")], []
    for title, law in LAWS:
        law = law.model_copy(update={"max_epochs": max_epochs, "by": by})
        laws.append(rows_of(allot(list(names), list(names.values()), law, budget), law, by))
        columns.append(number(title))
    cells = []
    for row in laws[0]:
        others = [next(other for other in rows if other.name == row.name) for rows in laws]
        cells.append((row.name, human(row.tokens), *(_compared(other) for other in others)))
    cells.append(("all", human(sum(names.values())), *([human(budget)] * len(laws))))
    said = (
        f"Epochs of each {by} when {human(budget)} tokens are read; ↓ starved (less than half of its share), ! more "
        f"often than {max_epochs:g} times. Choose one with --temperature or --unimax."
    )
    return Group(Grid(columns, cells), "", Passage(said))


def _compared(row: Row) -> str:
    sign = {"starved": "↓", "too often": "!"}.get(row.note, "")
    return f"{sign}{row.epochs:.2f}"


def as_json(found: Allotment, law: Mixture, by: By) -> dict[str, Any]:
    """Return a mixture as JSON values."""
    parts = zip(found.names, found.tokens.tolist(), found.read.tolist(), found.epochs.tolist(), strict=True)
    return {
        "budget": found.budget,
        "missing": found.missing,
        "law": law.model_dump(mode="json"),
        "groups": [vars(row) for row in rows_of(found, law, by)],
        "components": [dict(zip(("name", "tokens", "read", "epochs"), part, strict=True)) for part in parts],
    }


def human(tokens: float) -> str:
    """Return a number of tokens in readable form, such as 1.2B."""
    for unit in ("", "k", "M", "B"):
        if tokens < 999.5:
            return f"{tokens:.0f}" if not unit else f"{tokens:.3g}{unit}"
        tokens /= 1000
    return f"{tokens:,.3g}T"


def in_file(law: Mixture, corpora: dict[str, str], manifests: dict[str, Manifest]) -> str:
    """Return the content of a mixture file, which `data.mixture` of a training names."""
    lines = ["# Written by `mmedc mix`; `data: {mixture: FILE}` of a training reads it."]
    lines += [f"# {name}: {url}, {manifests[name].digest}" for name, url in corpora.items()]
    for key, value in law.model_dump(mode="json", exclude_defaults=True).items():
        lines.append(f"{key}: {json.dumps(value)}")
    if len(lines) == 1 + len(corpora):
        lines.append(f"temperature: {law.temperature:g}")
    return "\n".join(lines) + "\n"
