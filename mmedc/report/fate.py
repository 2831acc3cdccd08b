"""What a build did to a document, from what its passes left: where and why it was removed, or where it is published."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.history import LEDGER, History
from mmedc.corpus.manifest import Manifest, read_manifest
from mmedc.dedup.clean import AROUND
from mmedc.dedup.records import KNOWN, place_of
from mmedc.dedup.verify import jaccards, shingle_sets
from mmedc.document import MEASURES, document_id
from mmedc.engine.commit import read_rows
from mmedc.engine.unit import DataFile
from mmedc.errors import CorpusError, RequestError
from mmedc.recipe import Recipe
from mmedc.report.explain import Explanation, explain_record, limits_of
from mmedc.report.record import read_again
from mmedc.storage import Store, is_local

ID = re.compile(r"[0-9a-f]{32}")
MOST = 500
"""A file with more documents, such as a crawl, is not told as a whole."""
SHOWN = 5  # documents, questions or lines that are named of each kind
QUOTED = 300  # characters of a removed passage
NOT_ASKED = "not asked for by the recipe"


@dataclass
class Event:
    """What one part of the build did to the document."""

    step: str
    what: str
    removed: bool = False
    quotes: list[tuple[str, str]] = field(default_factory=list)
    """Texts that show it, each with what it is."""


@dataclass
class Fate:
    """What the build did to one document."""

    locator: str
    provenance: str
    id: str
    source: str
    lang: str
    verdict: str
    """`published`, or `dropped at STEP: …` or `rejected at STEP: …`."""
    events: list[Event]
    shard: str = ""
    """The file of the corpus that has the document; empty where none has it."""
    row: int | None = None
    """Its row in the shard, from 0."""
    limits: list[dict[str, Any]] = field(default_factory=list)
    """Each limit of the policy, as in `mmedc.report.explain.Explanation`."""
    text: str = ""
    """The text as published, or else as ingest stored it; empty where no text was stored."""
    again: Explanation | None = None
    """For a document that ingest removed: what its steps say now, where its source can be read again."""


def _fate(document: dict[str, Any], verdict: str, events: list[Event]) -> Fate:
    named: list[str] = [document.get(name) or "" for name in ("locator", "provenance", "id", "source", "lang")]
    locator, provenance, identity, source, lang = named
    return Fate(locator, provenance, identity, source, lang, verdict, events)


def fates(corpus: str, target: str) -> list[Fate]:
    """Return what the build of `corpus` did to each document with the locator, provenance or id `target`.

    `target` may also be a file that a source read, by its name or its path: then these are all documents of the file.

    Raises: RequestError when there is none, or the file has more than MOST; CorpusError where there is no corpus.
    """
    try:
        history = History(corpus)
    except CorpusError as problem:
        return _without_passes(corpus, target, problem)
    found: list[Fate] = []
    for name in _names(target):
        found = [*_ingested(history, name), *_removed_by_ingest(history, name)]
        if found:
            break
    if not found:
        near = _near(history, target)
        hint = (
            f"did you mean {near}?" if near else f"its sources are {', '.join(dict.fromkeys(history.record.sources))}"
        )
        raise RequestError(f"{target}: {corpus} was built from no document with this locator, provenance or id; {hint}")
    return found


def _names(target: str) -> list[str]:
    """Return the names that a document may have: `target`, and where it is a file here, the ends of its path."""
    if not is_local(target) or not os.path.isfile(target):
        return [target]
    parts = os.path.abspath(target).split(os.sep)
    return [target, *("/".join(parts[at:]) for at in range(1, len(parts)))]


def _is_of(target: str, table: pa.Table) -> pa.Array:
    """Return which rows have `target` as locator or provenance, or lie in the file of this name."""
    columns = table["locator"], table["provenance"]
    found = pc.or_(*(pc.equal(column, target) for column in columns))
    if "#" not in target and "://" not in target:
        found = pc.or_(found, pc.or_(*(pc.starts_with(column, f"{target}#") for column in columns)))
    return found


def _near(history: History, target: str) -> str | None:
    """Return the locator of a document whose URL differs from `target` in what people leave out or add."""
    rest = re.sub(r"^https?://(www\.)?", "", target).rstrip("/")
    heads = [f"{scheme}://{www}" for scheme in ("https", "http") for www in ("", "www.")]
    variants = pa.array([f"{head}{rest}{tail}" for head in heads for tail in ("", "/")])
    for documents, _ in history.tables:
        for table in [history.read(documents, ["locator"])] if documents.rows else ():
            if len(found := table["locator"].filter(pc.is_in(table["locator"], variants))):
                return str(found[0].as_py())
    for _, _, ledger in history.ledgers("ingest"):
        locators = history.read(ledger, ["locator"])["locator"]
        if len(found := locators.filter(pc.is_in(locators, variants))):
            return str(found[0].as_py())
    return None


def ids_of(target: str, sources: Iterator[str] | tuple[str, ...]) -> pa.Array:
    """Return the ids that a document may have: `target` itself, or those of a locator in each source."""
    names = dict.fromkeys(sources)
    return pa.array([target] if ID.fullmatch(target) else [document_id(source, target) for source in names])


def _ingested(history: History, target: str) -> list[Fate]:
    """Return the documents that ingest kept."""
    places: list[tuple[int, int]] = []
    for unit, (documents, keys) in enumerate(history.tables):
        if not keys.rows:
            continue
        if ID.fullmatch(target):
            mine = pc.equal(history.read(keys, ["id"])["id"], target)
        else:
            mine = _is_of(target, history.read(documents, ["locator", "provenance"]))
        places += [(unit, int(row)) for row in np.flatnonzero(mine.to_numpy())]
    if len(places) > MOST:
        names = ", ".join(str(_document(history, *place, ["provenance"])["provenance"]) for place in places[:3])
        raise RequestError(f"{target}: {len(places):,} documents of the corpus come from it; name one, such as {names}")
    return [_Story(history, unit, row).told() for unit, row in places]


def _removed_by_ingest(history: History, target: str) -> list[Fate]:
    """Return the documents that ingest removed."""
    found, units = [], history.record.units("ingest")
    for _, unit, ledger in history.ledgers("ingest"):
        table, source = history.read(ledger, LEDGER), history.record.sources[unit]
        if ID.fullmatch(target):
            mine = [document_id(source, locator) == target for locator in table["locator"].to_pylist()]
        else:
            mine = _is_of(target, table)
        for row in table.filter(pa.array(mine) if isinstance(mine, list) else mine).to_pylist():
            again, note = _again(history, units, unit, row)
            detail = f": {row['detail']}" if row["detail"] else ""
            verdict = f"{row['fate']} at {row['step']}: {row['reason']}{detail}"
            events = [Event("ingest", f"{row['fate']} by the step {row['step']}: {row['reason']}{detail}", True)]
            if note:
                events.append(Event("", note))
            elif again and again.stages[-1].step != row["step"]:
                events.append(Event("", f"the steps of now say otherwise: {again.verdict}"))
            row |= {"source": source, "id": document_id(source, row["locator"])}
            found.append(replace(_fate(row, verdict, events), again=again))
    return found


def _again(history: History, units: Sequence[str], number: int, row: dict[str, Any]) -> tuple[Explanation | None, str]:
    """Return what the steps say of a record now, or why that is not known."""
    recipe = history.record.settings()
    try:
        batch = read_again(recipe, units, number, row)
        return (explain_record(recipe, batch), "") if batch is not None else (None, "its source has changed since")
    except RequestError as problem:
        return None, f"its source cannot be read again: {problem}"


class _Story:
    """What the passes after ingest did to the document in a row of what a unit of ingest left."""

    def __init__(self, history: History, unit: int, row: int) -> None:
        self.history, self.unit, self.row = history, unit, row
        self.place = int(place_of(unit, np.array([row]))[0])
        self.document = _document(history, unit, row)

    def told(self) -> Fate:
        document, record = self.document, self.history.record
        language = record.limits.get(document["lang"], {})
        limits = limits_of(language, {name: document[name] for name in language if name in document})
        events = [
            Event("ingest", f"kept: {_measured(document)}"),
            *self._selected(),
            *self._cleaned(),
            *self._trimmed(),
        ]
        removed = next((event for event in events if event.removed), None)
        if removed:
            events = events[: events.index(removed) + 1]
            told = _fate(document, f"dropped at {removed.step}: {removed.what}", events)
            return replace(told, limits=limits, text=document["text"])
        shard, row, text = self._published()
        events.append(Event("publish", f"{shard}, row {row} (the first is 0)"))
        return replace(_fate(document, "published", events), shard=shard, row=row, limits=limits, text=text)

    def _selected(self) -> list[Event]:
        """Return what `select` did: the limits, then deduplication."""
        row = self._ledger_row("select", self.unit, pc.field("ordinal") == self.row)
        if row and row["step"] == "limits":
            return [Event("limits", ": ".join(filter(None, (row["reason"], row["detail"]))), True)]
        return [Event("limits", "met"), self._deduplicated(row)]

    def _deduplicated(self, row: dict[str, Any] | None) -> Event:
        drops = self.history.drops()
        if row is None:
            lost = [int(one) for table in drops for one in _places(table, "survivor", self.place)["place"].to_pylist()]
            quotes = [("removed as alike", self._named(place)) for place in lost[:SHOWN]]
            many = f"; {len(lost)} like it {'was' if len(lost) == 1 else 'were'} removed" if lost else ""
            return Event("dedup", f"stays{many}", quotes=quotes)
        drop = next(found for table in drops for found in _places(table, "place", self.place).to_pylist())
        if row["reason"] == KNOWN:
            known = _known(self.history.record.settings(), self._after_ingest(drop["survivor"]))
            what = f"{row['reason']}: {known} (similarity {drop['jaccard']:.2f}, by signatures)"
            return Event("dedup", what, True)
        survivor = drop["survivor"]
        told = _Story(self.history, survivor >> 32, survivor & 0xFFFFFFFF).told()
        alike = self._similarity(survivor)
        what = f"{row['reason']} of {told.locator} (similarity {alike:.2f}), which stays"
        fate = f"{told.shard}, row {told.row}" if told.shard else told.verdict
        return Event("dedup", what, True, [("the one that stays", f"{told.locator} — {fate}")])

    def _after_ingest(self, place: int) -> tuple[int, int]:
        """Return (number among the published files of keys, row) of a place after those of ingest."""
        return (place >> 32) - len(self.history.record.sources), place & 0xFFFFFFFF

    def _similarity(self, other: int) -> float:
        """Return the true Jaccard similarity of the shingles of this document and the one at place `other`."""
        tables, both = self.history.tables, np.unique(np.array([self.place, other]))
        units = sorted({int(place) >> 32 for place in both})
        sets = shingle_sets(self.history.store, tuple((unit, tables[unit][0]) for unit in units), both)
        return float(jaccards(sets, sets, np.array([self.place]), np.array([other]))[0])

    def _named(self, place: int) -> str:
        document = _document(self.history, place >> 32, place & 0xFFFFFFFF, ["locator"])
        return f"{document['locator']} (similarity {self._similarity(place):.2f})"

    def _cleaned(self) -> list[Event]:
        """Return what decontamination did."""
        results = self.history.left("decontaminate")
        if not results:
            return [Event("decontaminate", NOT_ASKED)]
        hits = self._rows(DataFile(**results[self.unit]["found"]), pc.field("row") == self.row)
        row = self._ledger_row("decontaminate", self.unit, pc.field("ordinal") == self.row)
        quotes = []
        for hit in hits[:SHOWN]:
            quotes.append((f"question {hit['question']}, {hit['words']} words in a row", hit["in_question"]))
            quotes.append((f"in the document, characters {hit['start']:,} to {hit['stop']:,}", self._marked(hit)))
        many = f"{len(hits)} question{'' if len(hits) == 1 else 's'} found"
        if row:
            return [Event("decontaminate", f"{row['reason']}: {many}", True, quotes)]
        hits_are = self.history.record.settings().decontaminate.hits
        done = "masked in the text" if hits_are == "mask" else "reported; the document stays"
        return [Event("decontaminate", f"{many}, {done}" if hits else "no question found", quotes=quotes)]

    def _marked(self, hit: dict[str, Any]) -> str:
        """Return a passage with a question in «», and what stands around it."""
        text, low, high = self.document["text"], hit["start"], hit["stop"]
        return f"{text[max(low - AROUND, 0) : low]}«{text[low:high][:QUOTED]}»{text[high : high + AROUND]}"

    def _trimmed(self) -> list[Event]:
        """Return what the removal of lines did."""
        results = self.history.left("trim")
        if not results:
            return [Event("lines", NOT_ASKED)]
        for number, left in enumerate(results):
            part = next((part for part in left["units"] if part["number"] == self.unit), None)
            if part is None:
                continue
            edits = self._rows(DataFile(**part["edits"]), pc.field("row") == self.row)
            gone = [edit for edit in edits if not edit["by"]]
            chars = sum(edit["stop"] - edit["start"] for edit in gone)
            text = self.document["text"]
            quotes = [("removed", text[edit["start"] : edit["stop"]][:QUOTED]) for edit in gone[:SHOWN]]
            what = (
                f"{chars:,} characters removed in {len(gone)} place{'' if len(gone) == 1 else 's'}"
                if gone
                else "nothing removed"
            )
            same = (pc.field("locator") == self.document["locator"]) & (pc.field("ordinal") == self.row)
            row = self._ledger_row("trim", number, same)
            if row:
                return [Event("lines", f"{row['reason']}: too little is left", True, quotes)]
            return [Event("lines", what, quotes=quotes)]
        return [Event("lines", "nothing removed")]

    def _published(self) -> tuple[str, int, str]:
        """Return (shard, row in it, text) of the document; of several of one id, that of this provenance."""
        found = published(self.history.corpus, self.history.manifest, pa.array([self.document["id"]]))
        mine = [one for one in found if one[2]["provenance"] == self.document["provenance"]]
        if not mine:
            raise CorpusError(
                f"{self.history.corpus}: {self.document['locator']} was kept but is in no shard; run mmedc verify"
            )
        shard, row, document = mine[0]
        return shard, row, document["text"]

    def _ledger_row(self, name: str, unit: int, condition: pc.Expression) -> dict[str, Any] | None:
        rows = (
            self._rows(DataFile(**self.history.left(name)[unit]["removed"]), condition)
            if self.history.left(name)
            else []
        )
        return rows[0] if rows else None

    def _rows(self, file: DataFile, condition: pc.Expression) -> list[dict[str, Any]]:
        if not file.rows:
            return []
        return self.history.read(file, filters=condition).to_pylist()  # type: ignore[no-any-return]


def _document(history: History, unit: int, row: int, columns: list[str] | None = None) -> dict[str, Any]:
    """Return a row of what a unit of ingest left."""
    names = columns or ["id", "text", "lang", "source", "locator", "provenance", *MEASURES, *history.manifest.columns]
    (_, table), *_ = read_rows(history.store, history.tables[unit][0], np.array([row]), names)
    return table.to_pylist()[0]  # type: ignore[no-any-return]


def _measured(document: dict[str, Any]) -> str:
    return f"{document['lang']}, {int(document['chars']):,} characters, {int(document['words']):,} words"


def _places(table: pa.Table, name: str, place: int) -> pa.Table:
    return table.filter(pc.equal(table[name], place))


def published(corpus: str, manifest: Manifest, ids: pa.Array) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield (shard, row, document) of the published documents with one of `ids`."""
    store = Store(corpus)
    for shard in manifest.shards:
        with store.open_input(shard.path) as handle:
            table = pq.read_table(handle, columns=["id"], use_threads=False)
        rows = np.flatnonzero(pc.is_in(table["id"], ids).to_numpy())
        file = DataFile(shard.path, shard.sha256, shard.rows, shard.bytes)
        names = ["id", "text", "lang", "source", "locator", "provenance", *MEASURES, *manifest.columns]
        for at, found in read_rows(store, file, rows, names) if len(rows) else ():
            for row, document in zip(at.tolist(), found.to_pylist(), strict=True):
                yield shard.path, row, document


def _known(recipe: Recipe, where: tuple[int, int]) -> str:
    """Return the document of a published corpus that deduplication found: its corpus, locator, shard and row."""
    number, row = where
    for url in recipe.dedup.against:
        manifest = read_manifest(url)
        files = manifest.keys.files if manifest.keys else ()
        if number < len(files):
            with Store(url).open_input(files[number].path) as handle:
                identity = pq.read_table(handle, columns=["id"], use_threads=False)["id"][row].as_py()
            for shard, at, document in published(url, manifest, pa.array([identity])):
                return f"{document['locator']} in {url}/{shard}, row {at}"
            return f"a document of {url}"
        number -= len(files)
    return "a document of a corpus that the recipe's dedup.against names"


def _without_passes(corpus: str, target: str, problem: CorpusError) -> list[Fate]:
    """Return what the published files alone say of a document. Raises: RequestError where they do not say it."""
    manifest = read_manifest(corpus)
    sources: Any = manifest.recipe.get("sources", {})
    events = [Event("", "what the passes left was deleted, so only the published files were looked at")]
    found = []
    for shard, row, document in published(corpus, manifest, ids_of(target, tuple(sources))):
        shown = [Event("publish", f"{shard}, row {row} (the first is 0)"), *events]
        found.append(replace(_fate(document, "published", shown), shard=shard, row=row, text=document["text"]))
    for name in ("quarantine", "samples"):
        with Store(corpus).open_input(f"rejects/{name}.parquet") as handle:
            table = pq.read_table(handle, columns=LEDGER)
        mine = _is_of(target, table)
        for one in table.filter(mine).to_pylist():
            verdict = f"{one['fate']} at {one['step']}: {one['reason']}"
            detail = Event(one["step"], f"{one['fate']}: {one['reason']} {one['detail']}".rstrip(), True)
            found.append(_fate(one, verdict, [detail, *events]))
    if not found:
        raise RequestError(
            f"{target}: neither published nor among the samples of what was removed. {problem}"
        ) from None
    return found
