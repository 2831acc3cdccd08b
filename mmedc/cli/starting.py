"""The commands around a recipe: `init`, `schema`, and those for the folder filters/ and the models."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mmedc.cli.options import SETUP
from mmedc.errors import RequestError

app = typer.Typer()
models_app = typer.Typer(help="Manage the model files that steps need.", no_args_is_help=True)
filters_app = typer.Typer(
    help="Begin, copy and check what means medical and good: the folder filters/.", no_args_is_help=True
)


@app.command(rich_help_panel=SETUP)
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to write to. It is created if needed.")] = Path("."),
) -> None:
    """Write a recipe that runs at once on a small sample, with files for your own terms, for you to edit."""
    from mmedc.starter import write_first_recipe

    for path in write_first_recipe(folder):
        typer.echo(str(path))
    recipe = folder / "recipe.yaml"
    typer.echo(f"\nThis builds {folder / 'corpus'} from the sample:  mmedc run {recipe}")
    typer.echo(f"Comments in {recipe} explain the next three edits.")


@models_app.command("get")
def models_get(name: Annotated[str, typer.Argument(help="The name of the model: lid.")]) -> None:
    """Download a model file into the cache of this machine, and check its SHA-256."""
    from mmedc.filters import open_filters

    typer.echo(str(open_filters().get_model(name)))


@filters_app.command("check")
def filters_check(
    languages: Annotated[list[str] | None, typer.Argument(help="The languages to check. Default: all.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--filters", "-f", help="A folder whose files override the shipped ones.")
    ] = None,
) -> None:
    """Check the files of languages: what is missing, duplicate terms, wrong scripts, terms too short or too general."""
    from mmedc.filters import open_filters
    from mmedc.steps.language import unidentified

    filters = open_filters(str(folder) if folder else None)
    problems = []
    for code in languages or filters.languages():
        found = [*filters.check(code), *unidentified(filters, code)]
        if not found:
            language = filters.language(code)
            forms = sum(len(term.forms) for term in language.lexicon)
            typer.echo(
                f"{code}: {len(language.lexicon):,} terms, {forms:,} forms, {len(language.stopwords)} stop words"
            )
        problems += found
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


@filters_app.command("forms")
def filters_forms(
    code: Annotated[str, typer.Argument(help="The code of the language.")],
    terms: Annotated[list[str], typer.Argument(help='Terms in their basic form, such as: adenoma "heart attack".')],
    folder: Annotated[
        Path | None, typer.Option("--filters", "-f", help="A folder whose files override the shipped ones.")
    ] = None,
) -> None:
    """Show which forms a term of a lexicon stands for when `~` is written after it."""
    from mmedc.filters import open_filters

    filters = open_filters(str(folder) if folder else None)
    filters.require(code)
    inflection = filters.facts(code).inflection
    for term in terms:
        typer.echo(", ".join(inflection.forms_of(term.removesuffix("~"))))


@filters_app.command("new")
def filters_new(
    code: Annotated[str, typer.Argument(help="The code of the language, ISO 639-1, such as nl.")],
    model: Annotated[
        str,
        typer.Option("--from", help="The shipped language that is most like it: its words are shown for translation."),
    ] = "en",
    name: Annotated[str, typer.Option(help="The English name of the language.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to, for a recipe's `filters`.")] = Path(
        "filters"
    ),
) -> None:
    """Begin a language: write its files for you to fill in, with the words of a similar language as comments."""
    from mmedc.lexicon import LEAST_STOPWORDS, LEAST_TERMS
    from mmedc.starter import write_language

    first = "check" if name else "the English name, as --name gives it; check"
    for path in write_language(code, name, model, out):
        typer.echo(str(path))
    typer.echo(
        f"""
Fill in, in this order:
  language.yaml  {first} the script, and the limit on the length of words
  stopwords.txt  {LEAST_STOPWORDS} or more of the most common words
  lexicon.txt    {LEAST_TERMS} or more medical terms with their forms; 400 find nearly every page
  privacy.yaml   words before telephone numbers and names; lists may stay empty
Then: mmedc filters check {code} --filters {out}
Then, in a recipe beside the folder {out.name}/:
filters: {out.name}
languages: [{code}]"""
    )


@filters_app.command("copy")
def filters_copy(
    names: Annotated[list[str], typer.Argument(help="Files of filters/, such as policies/balanced.yaml or README.md.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to, for a recipe's `filters`.")] = Path(
        "filters"
    ),
) -> None:
    """Copy files that ship with mmedc, for you to edit: those in a recipe's `filters` are used instead."""
    from mmedc.starter import copy_shipped

    for path in copy_shipped(names, out):
        typer.echo(str(path))


@app.command(rich_help_panel=SETUP)
def schema(
    name: Annotated[str, typer.Argument(help="The kind of file: recipe, train, bench, policy or manifest.")] = "recipe",
) -> None:
    """Print the JSON Schema of a recipe, of training or benchmark settings, of a policy, or of a manifest."""
    from mmedc.report.schema import SCHEMAS
    from mmedc.report.schema import schema as schema_of

    if name not in SCHEMAS:
        raise RequestError(f"{name}: no such schema; known: {', '.join(SCHEMAS)}")
    typer.echo(json.dumps(schema_of(name), indent=1, ensure_ascii=False))
