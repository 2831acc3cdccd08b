"""The dataset card: what the corpus is, for people and for the Hugging Face hub."""

from mmedc.corpus.manifest import Manifest, Stats

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
        f"with policy `{manifest.policy}`.",
        f"Digest: `{stats.digest}`. Two builds of one recipe over the same inputs have the same digest.",
        "",
        "| language | documents | tokens |",
        "|---|--:|--:|",
        *(f"| {lang} | {row.documents:,} | {row.tokens:,} |" for lang, row in stats.languages.items()),
        "",
        "| source | documents | tokens |",
        "|---|--:|--:|",
        *(f"| {name} | {row.documents:,} | {row.tokens:,} |" for name, row in stats.sources.items()),
        "",
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
    lines += [
        "",
        "`rejects/samples.parquet` has examples of every reason, `rejects/quarantine.parquet` the broken records.",
        "",
        "## Licence",
        "",
        "Each document carries its licence in the column `licence` (SPDX, or `unknown`). Check it before use.",
        "",
    ]
    return "\n".join(lines)
