"""The commands `mmedc fit …`: policy made from labelled texts. Nothing heavy is imported before a command needs it."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make policies from labelled texts: terms, models, thresholds, labels.", no_args_is_help=True)

LabelledArgument = Annotated[
    list[str],
    typer.Argument(help="Labelled texts: JSON Lines (text, lang, label, source), plain or .gz. Patterns are allowed."),
]
FolderOption = Annotated[
    Path, typer.Option("--out", "-o", help="The folder to write, of the shape of filters/, for a recipe's `filters`.")
]
LanguagesOption = Annotated[list[str] | None, typer.Option("--lang", "-l", help="Use only this language. Repeatable.")]
OverlayOption = Annotated[
    str | None, typer.Option("--filters", "-f", help="A folder whose files override those of the shipped filters/.")
]


@app.command()
def lexicon(
    language: Annotated[str, typer.Argument(help="The code of the language.")],
    labelled: LabelledArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file for the proposals. Default: the terminal.")
    ] = None,
    least: Annotated[int, typer.Option(min=1, help="The number of medical texts that must contain a phrase.")] = 5,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The largest number of proposals.")] = 300,
    judge: Annotated[bool, typer.Option("--judge", help="Show the precision of every existing term instead.")] = False,
    filters: OverlayOption = None,
) -> None:
    """Propose terms that set medical texts apart, in the form of a lexicon, for you to review."""
    from mmedc.filters import open_filters
    from mmedc.fit.labelled import read_labelled
    from mmedc.fit.lexicon import judge as judged_terms
    from mmedc.fit.lexicon import propose

    words = open_filters(filters).language(language)
    table = read_labelled(labelled, languages=(language,))
    if judge:
        lines = ["# precision, medical texts and other texts with the term, its line, the term"]
        lines += [
            f"{term.precision:.3f}\t{term.medical}\t{term.other}\t{term.line}\t{term.term}"
            for term in judged_terms(table, words)
        ]
    else:
        found = propose(table, words, least, limit)
        lines = [f"# {len(found)} proposals of `mmedc fit lexicon`: keep those that are terms, under their [category]"]
        lines += [
            f"{proposal.phrase}  # z {proposal.z:.1f}, in {proposal.medical} medical texts and {proposal.other} others"
            for proposal in found
        ]
    text = "\n".join(lines)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
    typer.echo(f"{out}: {len(lines) - 1} lines" if out else text)


@app.command()
def model(
    labelled: LabelledArgument,
    out: FolderOption,
    name: Annotated[str, typer.Option(help="The model to train: medical or quality.")] = "medical",
    positive: Annotated[str, typer.Option(help="The label that means yes. `true` always does.")] = "medical",
    languages: LanguagesOption = None,
    filters: OverlayOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Train a small linear model, and evaluate it on origins that it did not see.

    Texts without a label are labelled by the lexicon where it is certain.
    """
    from rich.console import Console

    from mmedc.counting import Counting
    from mmedc.errors import RequestError
    from mmedc.fit.model import fit_model

    if name not in ("medical", "quality"):
        raise RequestError(f"--name {name}: expected medical or quality")
    with Counting(Console(stderr=True), quiet, "models tried on origins held out") as counting:
        card = fit_model(labelled, out, name, positive, tuple(languages or ()), filters, counting.update)
    typer.echo(card)


@app.command()
def extractor(
    pages: Annotated[
        list[str],
        typer.Argument(help="Parquet files: url, html, text (the gold text), maybe page_type. Patterns are allowed."),
    ],
    out: FolderOption,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Fit the trees that tell the main content of a page from its frame, and evaluate them on sites not seen."""
    from rich.console import Console

    from mmedc.counting import Counting
    from mmedc.fit.extractor import fit_extractor

    with Counting(Console(stderr=True), quiet, "folds of sites held out") as counting:
        card = fit_extractor(pages, out, counting.update)
    typer.echo(card)


@app.command()
def pages(
    known: Annotated[
        list[str],
        typer.Argument(help="Pages: JSON Lines (text, images, need, lang, kind), plain or .gz. Patterns are allowed."),
    ],
    texts: Annotated[
        list[str],
        typer.Option("--texts", help="Sound texts in which letters are counted: JSON Lines (text, lang). Repeatable."),
    ],
    out: FolderOption,
) -> None:
    """Fit the model that tells which pages of PDF need OCR, and try it on languages and faults that it did not see."""
    from mmedc.fit.pages import fit_pages

    typer.echo(fit_pages(known, texts, out))


@app.command()
def thresholds(
    labelled: LabelledArgument,
    out: FolderOption,
    policy: Annotated[str, typer.Option(help="The policy whose other limits are kept.")] = "balanced",
    languages: LanguagesOption = None,
    each: Annotated[
        bool, typer.Option("--each", help="Fit each language on its own. Needs many origins per language.")
    ] = False,
    filters: OverlayOption = None,
) -> None:
    """Choose the limits of the policies precise, balanced and recall from the precision-recall curve of labelled texts.

    Use the held-out.parquet that `mmedc fit model` writes, so that the model's scores are of texts it did not see.
    """
    from mmedc.fit.thresholds import fit_thresholds

    chosen = fit_thresholds(labelled, out, policy, tuple(languages or ()), filters, each)
    for code, choices in chosen.items():
        for name, choice in choices.items():
            found = choice.quality
            typer.echo(
                f"{code} {name}: terms ≥ {choice.terms}, density ≥ {choice.density:g}, model ≥ {choice.model:g}: "
                f"precision {found.precision:.3f}, recall {found.recall:.3f}, F1 {found.f1:.3f}"
            )


@app.command()
def labels(
    texts: LabelledArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSON Lines file to write. An interrupted run resumes.")],
    url: Annotated[
        str, typer.Option(help="The URL of an OpenAI-compatible endpoint, such as http://localhost:8000/v1.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="The name of the model at the endpoint.")],
    question: Annotated[str, typer.Option(help="A prompt of filters/prompts: medical or quality.")] = "quality",
    key: Annotated[str, typer.Option(help="The environment variable with the key.")] = "OPENAI_API_KEY",
    filters: OverlayOption = None,
) -> None:
    """Have a language model label texts, as training data for `mmedc fit model`."""
    from mmedc.chat import Endpoint
    from mmedc.fit.labelled import read_labelled
    from mmedc.fit.labels import label

    counts = label(read_labelled(texts), question, Endpoint(url, model, key), out, filters)
    typer.echo(
        f"{out}: {counts.judged} judged, {counts.failed} without a usable answer, {counts.already} judged earlier"
    )


@app.command()
def kenlm(
    language: Annotated[str, typer.Argument(help="The code of the language.")],
    texts: LabelledArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder to write, for a recipe's `models: {kenlm: FOLDER}`.")
    ],
    pieces: Annotated[int, typer.Option(min=100, help="The size of the vocabulary of pieces.")] = 16_000,
    tools: Annotated[
        str | None, typer.Option(help="The folder with lmplz and build_binary. Default: the PATH.")
    ] = None,
) -> None:
    """Train a KenLM model on clean text, for perplexity and the buckets head, middle and tail."""
    from mmedc.fit.kenlm import fit_kenlm
    from mmedc.fit.labelled import read_labelled

    made = fit_kenlm(read_labelled(texts, languages=(language,)), language, out, pieces, tools)
    typer.echo(f"{out}/{language}.bin: {made['texts']} texts, {made['pieces']} pieces, cutoffs {made['cutoffs']}")


@app.command()
def language(
    code: Annotated[str, typer.Argument(help="The code of the language, ISO 639-1.")],
    out: FolderOption,
    labelled: Annotated[
        list[str] | None,
        typer.Argument(
            help="Seed texts: JSON Lines (text, lang, label, source), plain or .gz; 30 or more of each label."
        ),
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option(help="A list of terms, one a line with its forms after commas, beside or instead of texts."),
    ] = None,
    name: Annotated[str, typer.Option(help="The English name of the language.")] = "",
    script: Annotated[
        list[str] | None, typer.Option(help="A script of the language. Repeatable. Default: Latin.")
    ] = None,
    unspaced: Annotated[
        bool, typer.Option("--unspaced", help="The language does not separate words with spaces.")
    ] = False,
) -> None:
    """Begin a language from labelled seed texts or a list of terms: write its folder; judge it on held-out sources."""
    from mmedc.fit.language import fit_language

    begun = fit_language(labelled or [], code, name or code, script or ["Latin"], not unspaced, out, terms)
    typer.echo(f"{begun.folder}: {begun.terms} terms, {begun.stop_words} stop words")
    if begun.quality:
        found = begun.quality
        typer.echo(
            f"balanced on {found.positives} medical and {found.negatives} other texts of sources held out: "
            f"precision {found.precision:.3f}, recall {found.recall:.3f}, F1 {found.f1:.3f}"
        )
    else:
        typer.echo("without seed texts there is nothing to judge it by, and the stop words are for you to fill in")
    typer.echo(f"next: sort the terms under their categories; mmedc filters check {code} --filters {out}")
