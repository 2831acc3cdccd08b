"""The dataset card: what the corpus is, for people and for the Hugging Face hub."""

from collections.abc import Mapping

from mmedc.corpus.contents import OTHER, SCHEMES
from mmedc.corpus.manifest import Manifest, Stats, Total
from mmedc.corpus.outcome import counted
from mmedc.document import OPT_OUT, RESERVED
from mmedc.licences import UNKNOWN

NAMES = {
    **{scheme: scheme.upper() for scheme in SCHEMES},
    "url": "a canonical URL",
    OTHER: "another identifier",
}
LEFT_OUT = ("reserved", "opted_out")
"""The drop reasons for what publishers do not want to be mined or trained on."""
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def card(manifest: Manifest, stats: Stats, private: Mapping[str, int] | None = None) -> str:
    """Return README.md of a corpus: front matter with one configuration per language, then tables and the funnel.

    `private` are the numbers of placeholders for personal data by language, where they are known.
    """
    langs = list(stats.languages)
    size = next((name for limit, name in SIZES if stats.documents < limit), "n>10M")
    front = ["---", "language:", *(f"- {lang}" for lang in langs), f"pretty_name: {manifest.name}"]
    front += ["size_categories:", f"- {size}", "task_categories:", "- text-generation", "tags:", "- medical"]
    front += ["configs:", "- config_name: default", "  default: true", "  data_files: data/*/*.parquet"]
    for lang in langs:
        front += [f'- config_name: "{lang}"', f"  data_files: data/{lang}/*.parquet"]
    lines = [
        *front,
        "---",
        f"# {manifest.name}",
        "",
        f"{stats.documents:,} medical documents, {stats.tokens:,} tokens "
        f"(tokenizer: {manifest.tokenizer}), built by mmedc {manifest.versions['mmedc']} "
        f"with policy `{manifest.policy}`{_own_policies(manifest)}.",
        f"Digest: `{stats.digest}`. Two builds of one recipe over the same inputs have the same digest.",
        "",
        *_table("language", stats.languages),
        *_table("source", stats.sources),
        *(_table("kind", stats.kinds) if len(stats.kinds) > 1 else ()),
        "## How it was made",
        "",
        "Every record that was read is accounted for: kept, dropped for a reason, or rejected as broken.",
        "",
        "| step | read | kept | dropped | rejected |",
        "|---|--:|--:|---|--:|",
    ]
    for row in manifest.funnel:
        why = ", ".join(f"{reason} {number:,}" for reason, number in row.dropped.items()) or "0"
        lines.append(f"| {row.step} | {row.read:,} | {row.kept:,} | {why} | {row.rejected:,} |")
    if manifest.rejects:
        lines += [
            "",
            "`rejects/samples.parquet` has examples of every reason, `rejects/quarantine.parquet` the broken records.",
        ]
    lines += [
        "",
        "## Licence",
        "",
        "Each document carries its licence in the column `licence` (SPDX, or `unknown`), and where it was found in "
        "`licence_evidence`. Check it before use.",
        "",
    ]
    if stats.licences:
        lines += ["| licence | documents |", "|---|--:|"]
        lines += [*(f"| {name} | {number:,} |" for name, number in stats.licences.items()), ""]
    if said := described(stats):
        lines += [f"{said} (columns `authors` and `identifiers`).", ""]
    if stats.reserved:
        lines += [
            f"The publishers of {counted(stats.reserved, 'document')} reserve text and data mining, or ask not to "
            f"be used to train models (`{RESERVED}`, `{OPT_OUT.strip()}` in `licence_evidence`); the recipe keeps "
            "them all the same.",
            "",
        ]
    lines += [*_people(stats, private), *_limits(manifest, stats), *_again(manifest)]
    return "\n".join(lines)


def _people(stats: Stats, private: Mapping[str, int] | None) -> list[str]:
    """Return what is said of personal data and of opt-outs."""
    said = "E-mail addresses, telephone numbers, national numbers and the like are replaced by placeholders"
    counts = ", ".join(f"{lang} {number:,}" for lang, number in (private or {}).items())
    lines = ["## Privacy and opt-outs", "", f"{said}; their number is the column `private_items`."]
    lines[-1] += f" Placeholders by language: {counts}." if counts else ""
    out = {reason: n for row in stats.funnel for reason, n in row.dropped.items() if reason in LEFT_OUT}
    if out:
        lines.append(
            f"Left out because their publishers reserve text and data mining or opt out: {sum(out.values()):,} records."
        )
    return [*lines, ""]


def _limits(manifest: Manifest, stats: Stats) -> list[str]:
    return ["## Known limits", "", *(f"- {said}" for said in limits_of(manifest, stats)), ""]


def limits_of(manifest: Manifest, stats: Stats) -> tuple[str, ...]:
    """Return what a user of the corpus should know of its limits, in sentences."""
    found = [
        "Documents were chosen by models and word lists: some are not medical, and some that are were lost.",
        "The texts are as their authors wrote them: they may be wrong, dated or biased, and are no medical advice.",
    ]
    if stats.tokens:
        lang, most = max(stats.languages.items(), key=lambda item: item[1].tokens)
        found.append(
            f"Languages are not represented equally: {most.tokens / stats.tokens:.0%} of the tokens are {lang}."
        )
    if unknown := stats.licences.get(UNKNOWN):
        found.append(f"The licence of {counted(unknown, 'document')} is not known.")
    if manifest.contamination is None:
        found.append("No benchmark questions were looked for, so scores on benchmarks may be too high.")
    found.append("Near duplicates are found by estimates of similarity; texts that are less alike than its limit stay.")
    found.append("Names of people may remain, and case reports describe the health of persons.")
    return tuple(found)


def _again(manifest: Manifest) -> list[str]:
    """Return how the corpus is built and checked again."""
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    return [
        "## How to build it again",
        "",
        "`manifest.json` has the recipe and the SHA-256 of every file. `mmedc verify` checks a copy, and a build of "
        f"the recipe over the same inputs has the digest `{manifest.digest}`.",
        f"Versions: {versions}.",
        *(
            ["`statistics/` has histograms of every measure, hosts, and the extremes of every row group."]
            if manifest.statistics
            else []
        ),
        "",
    ]


def described(stats: Stats) -> str:
    """Return how many documents name their authors and have identifiers; empty where none does."""
    parts = [f"{stats.authored:,} with authors"] if stats.authored else []
    parts += [f"{number:,} with {NAMES.get(scheme, scheme)}" for scheme, number in stats.identified.items()]
    return f"Of {counted(stats.documents, 'document')}: {', '.join(parts)}" if parts else ""


def _table(what: str, totals: Mapping[str, Total]) -> list[str]:
    rows = (f"| {name} | {row.documents:,} | {row.tokens:,} |" for name, row in totals.items())
    return [f"| {what} | documents | tokens |", "|---|--:|--:|", *rows, ""]


def _own_policies(manifest: Manifest) -> str:
    """Return which sources have a policy of their own, as the end of a sentence."""
    return "".join(f", source `{source}` with `{policy}`" for source, policy in manifest.policies.items())
