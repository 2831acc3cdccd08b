"""The dataset card: what the corpus is, for people and for the Hugging Face hub."""

from collections.abc import Mapping

from mmedc.corpus.contents import OTHER, SCHEMES
from mmedc.corpus.manifest import Manifest, Stats, Total
from mmedc.corpus.outcome import counted
from mmedc.document import OPT_OUT, RESERVED

NAMES = {
    **{scheme: scheme.upper() for scheme in SCHEMES},
    "url": "a canonical URL",
    OTHER: "another identifier",
}
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def card(manifest: Manifest, stats: Stats) -> str:
    """Return README.md of a corpus: front matter with one configuration per language, then tables and the funnel."""
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
    return "\n".join(lines)


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
