"""What became of the records of each source and of each language: the account of a build, from these two sides."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmedc.corpus.manifest import LanguageShare, SourceShare
from mmedc.corpus.rejects import FAN_IN, Tallied, Tally, add_tally
from mmedc.engine.selection import Selection
from mmedc.engine.unit import Accounted, DataFile, Pass, Unit
from mmedc.pipeline.dedup import Run
from mmedc.sources import InputSplit

TRIMMED = "short_without_repeated_lines"
"""The reason of a source's documents that `trim` dropped; it works on units of several sources at once."""
LISTED = 20
"""The number of names of files that end early."""


@dataclass(frozen=True)
class Shares:
    """What became of the records, by source and by language."""

    by_source: tuple[SourceShare, ...]
    by_language: tuple[LanguageShare, ...]


def shares_of(
    run: Run,
    units: Sequence[Unit[InputSplit]],
    accounts: Sequence[Sequence[Accounted]],
    trims: Sequence[Accounted],
    before: list[Selection],
    after: list[Selection],
    retries: int,
) -> Shares:
    """Return what became of the records of the `units` of ingest; tasks count the ledgers of removed records.

    `accounts` are the results of each pass that has a unit for each of the `units`; `trims` are those of `trim`, whose
    units have records of several sources, and `before` and `after` are what it was given and what it left.
    """
    ledgers = [
        *((unit.spec.source, left.removed) for account in accounts for unit, left in zip(units, account, strict=True)),
        *(("", left.removed) for left in trims),
    ]
    total = _tally(run, ledgers, retries)
    kept: dict[str, int] = {}
    for selection in after:
        _add(kept, {lang: size.rows for lang, size in selection.sizes.items()})
    by_language = tuple(
        LanguageShare(
            name=lang,
            kept=kept.get(lang, 0),
            dropped=total.counts.get(lang, {}).get("dropped", {}),
            rejected=total.counts.get(lang, {}).get("rejected", {}),
        )
        for lang in sorted({*kept, *total.counts})
    )
    return Shares(_by_source(units, accounts, before, after, total.cut), by_language)


def _tally(run: Run, ledgers: list[tuple[str, DataFile]], retries: int) -> Tallied:
    groups = [tuple(ledgers[at : at + FAN_IN]) for at in range(0, len(ledgers), FAN_IN)]
    units = tuple(
        Unit.of(group, f"ledgers {number + 1} of {len(groups)}", sum(file.bytes for _, file in group))
        for number, group in enumerate(groups)
    )
    total = Tallied({}, {})
    for part in run(Pass("tally", Tally(), units, retries)):
        for lang, fates in part.counts.items():
            for fate, reasons in fates.items():
                for reason, number in reasons.items():
                    add_tally(total, lang, fate, reason, number)
        for source, files in part.cut.items():
            total.cut.setdefault(source, []).extend(files)
    return total


@dataclass
class _Source:
    """The counts of one source."""

    files: set[str] = field(default_factory=set)
    kept: int = 0
    trimmed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)


def _by_source(
    units: Sequence[Unit[InputSplit]],
    accounts: Sequence[Sequence[Accounted]],
    before: list[Selection],
    after: list[Selection],
    cut: dict[str, list[str]],
) -> tuple[SourceShare, ...]:
    found: dict[str, _Source] = {}
    for unit in units:
        source = found.setdefault(unit.spec.source, _Source())
        source.files.update(input_file.url for input_file in unit.spec.inputs)
    for account in accounts:
        for unit, left in zip(units, account, strict=True):
            for count in left.funnel.values():
                _add(found[unit.spec.source].dropped, count.dropped)
                _add(found[unit.spec.source].rejected, count.rejected)
    for old, new in zip(before, after, strict=True):
        rows = sum(size.rows for size in new.sizes.values())
        found[new.source].kept += rows
        found[new.source].trimmed += sum(size.rows for size in old.sizes.values()) - rows
    return tuple(
        SourceShare(
            name=name,
            files=len(source.files),
            cut=len(set(cut.get(name, ()))),
            cut_files=tuple(sorted(set(cut.get(name, ())))[:LISTED]),
            kept=source.kept,
            dropped=dict(sorted(source.dropped.items())) | ({TRIMMED: source.trimmed} if source.trimmed else {}),
            rejected=dict(sorted(source.rejected.items())),
        )
        for name, source in found.items()
    )


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
