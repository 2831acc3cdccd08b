"""Whether a corpus is what was asked for: what failed, by source, and what to do about it.

A build can be complete and still be of no use: nothing is left, a source could not be read, too many of its records
are broken, or its files end early. Such a run ends with exit code 1.
"""

from dataclasses import dataclass

from mmedc.corpus.manifest import Manifest, SourceShare

FAIL_ABOVE = 0.01
"""The share of the records of a source that may be rejected, and of its files that may end early, by default."""
FREE = 10
"""The number of rejected records that never fail a source, unless the recipe states a share."""
NAMED = 3
DECLINED = ("ambiguous_column",)
"""Reasons for which a reader declines a whole file that is sound."""

CURES = {
    "bad_json": "each line must be a JSON object: look at the lines in rejects/quarantine.parquet",
    "no_text": "name the key or column of the text in the source's `text`",
    "no_column": "name the columns that the files have in `text`, `url`, `title` and `date`",
    "damaged": "fetch the files again",
    "truncated": "fetch the files again",
    "empty_file": "fetch the files again, or take them out of the source",
    "unreadable": "take the links and devices out of the source",
    "bomb": "raise limits.ratio, if the files are sound",
    "rest_unread": "see the reason in rejects/quarantine.parquet",
    "too_large": "raise limits.document, if the documents are wanted",
    "too_deep": "raise limits.html_depth, if the pages are wanted",
    "too_many_nodes": "raise limits.html_nodes, if the pages are wanted",
    "timeout": "raise limits.document_seconds",
    "memory": "raise limits.document_memory and limits.memory",
    "error": "mend the step, whose error rejects/quarantine.parquet shows",
    "killed": "find what kills the parser processes; often the machine has too little memory",
}
"""What to do about a reason of rejects."""


@dataclass(frozen=True)
class Problem:
    """A reason why a corpus is not what was asked for."""

    source: str
    """The source; empty for the corpus as a whole."""
    found: str
    """What is wrong, as a sentence without its end."""
    cure: str
    """What to do."""


def problems_of(manifest: Manifest) -> list[Problem]:
    """Return why a corpus is not what its recipe asks for; an empty list if it is."""
    given = manifest.recipe.get("fail_above")
    most = given if isinstance(given, int | float) else FAIL_ABOVE
    free = 0 if isinstance(given, int | float) else FREE
    found = [problem for source in manifest.by_source for problem in _of_source(source, most, free)]
    if not manifest.documents and not is_as_stated(manifest):
        found.insert(0, _nothing(manifest))
    return found


def summary(corpus: str, problems: list[Problem]) -> str:
    """Return `problems` in one line."""
    listed = "; ".join(f"source {each.source}: {each.found}" if each.source else each.found for each in problems)
    return f"{corpus}: {listed}. The corpus is written, but it is not what was asked for"


def _of_source(source: SourceShare, most: float, free: int) -> list[Problem]:
    found, rejected = [], sum(source.rejected.values())
    if not source.read:
        what = f"its {counted(source.files, 'file')} {'holds' if source.files == 1 else 'hold'} no record"
        found.append(Problem(source.name, what, "look into the files, or take the source out of the recipe"))
    elif rejected == source.read and not _is_declined(source):
        what = f"none of its {source.read:,} records could be read" if rejected > 1 else "nothing in it could be read"
        found.append(Problem(source.name, f"{what}: {commonest(source.rejected)}", _cure(source.rejected)))
    elif rejected > most * source.read and rejected > free:
        what = (
            f"{rejected:,} of {source.read:,} records were rejected ({rejected / source.read:.1%}; at most {most:.1%})"
        )
        found.append(Problem(source.name, f"{what}: {commonest(source.rejected)}", _cure(source.rejected)))
    if source.cut > most * source.files:
        names = ", ".join(source.cut_files[:NAMED]) + (" …" if source.cut > NAMED else "")
        what = (
            f"{source.cut:,} of {counted(source.files, 'file')} {'ends' if source.cut == 1 else 'end'} early: {names}"
        )
        found.append(Problem(source.name, what, CURES["damaged"]))
    return found


def counted(number: int, noun: str) -> str:
    """Return a number and what is counted, such as `1 file` and `1,200 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def commonest(reasons: dict[str, int], most: int = NAMED) -> str:
    """Return the commonest reasons, `most` of them, with their numbers, such as `bad_json 12, no_text 3`."""
    best = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {number:,}" for reason, number in best[:most]) + (" …" if len(best) > most else "")


def what_removed(dropped: dict[str, int], rejected: dict[str, int], most: int = NAMED) -> str:
    """Return the commonest reasons, as `near_duplicate 23; rejected: bad_json 12, no_text 3`."""
    parts = [commonest(dropped, most), f"rejected: {commonest(rejected, most)}" if rejected else ""]
    return "; ".join(filter(None, parts))


def _cure(rejected: dict[str, int]) -> str:
    reason = max(rejected, key=lambda name: (rejected[name], name))
    cure = CURES.get(reason.split()[0], "see rejects/quarantine.parquet")
    return f"{cure}; then `mmedc redo CORPUS --rejected {reason.split()[0]}`, if the files stay as they are"


def _nothing(manifest: Manifest) -> Problem:
    """Return the problem of an empty corpus."""
    total: dict[str, int] = {}
    for share in manifest.by_source:
        for reason, number in (*share.dropped.items(), *share.rejected.items()):
            total[reason] = total.get(reason, 0) + number
    why = f"; the records were removed by {commonest(total)}" if total else ""
    cure = "`mmedc explain FILE --recipe RECIPE` shows why, for one document"
    return Problem("", f"no document was kept{why}", cure)


def is_as_stated(manifest: Manifest) -> bool:
    """Return whether an empty corpus is what its inputs and its recipe say.

    Published corpora (`dedup.against`) may have all of its documents already; or its files are all declined.
    """
    return any(share.dropped.get("already_published") for share in manifest.by_source) or all(
        map(_is_declined, manifest.by_source)
    )


def _is_declined(source: SourceShare) -> bool:
    """Return whether all its files are sound but declined, each with its reason, because of what they hold."""
    return bool(source.read) and source.read == sum(source.rejected.get(reason, 0) for reason in DECLINED)
