"""The account of a corpus after documents were taken out of it."""

from collections import Counter

from mmedc.corpus.manifest import FunnelRow, LanguageShare, Manifest, SourceShare
from mmedc.pipeline.forgotten import Forgettable
from mmedc.steps.forgotten import REASON

STEP = "forget"


def without(manifest: Manifest, what: Forgettable) -> Manifest:
    """Return a manifest in which the documents are counted as forgotten; its files are still the old ones."""
    number = len(what.documents)
    by_source = Counter(one.source for one in what.documents)
    by_language = Counter(one.lang for one in what.documents)
    return manifest.model_copy(
        update={
            "funnel": _funnel(manifest.funnel, number),
            "by_source": tuple(_source(share, by_source[share.name]) for share in manifest.by_source),
            "by_language": tuple(_language(share, by_language[share.name]) for share in manifest.by_language),
            "forgotten": tuple(sorted({*manifest.forgotten, *map(str, what.entries)})),
        }
    )


def _funnel(rows: tuple[FunnelRow, ...], number: int) -> tuple[FunnelRow, ...]:
    last = rows[-1]
    if last.step != STEP:
        empty = FunnelRow(step=STEP, read=last.kept, kept=last.kept, dropped={}, rejected=0, rejected_by={}, seconds=0)
        rows, last = (*rows, empty), empty
    dropped = _more(last.dropped, number)
    return (*rows[:-1], last.model_copy(update={"kept": last.kept - number, "dropped": dropped}))


def _more(dropped: dict[str, int], number: int) -> dict[str, int]:
    return {**dropped, REASON: dropped.get(REASON, 0) + number} if number else dropped


def _source(share: SourceShare, number: int) -> SourceShare:
    return share.model_copy(update={"kept": share.kept - number, "dropped": _more(share.dropped, number)})


def _language(share: LanguageShare, number: int) -> LanguageShare:
    return share.model_copy(update={"kept": share.kept - number, "dropped": _more(share.dropped, number)})
