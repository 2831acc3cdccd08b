"""The commands around a recipe: `init`, `schema`, and those for the folder filters/ and the models."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mmedc.errors import RequestError

app = typer.Typer()
models_app = typer.Typer(help="Manage the model files that steps need.", no_args_is_help=True)
filters_app = typer.Typer(help="Check the terms and limits in filters/.", no_args_is_help=True)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to write to. It is created if needed.")] = Path("."),
) -> None:
    """Copy a starter recipe and the policies into a folder, for you to edit."""
    from mmedc.shipped import shipped

    policies = shipped("filters") / "policies"
    files = {folder / "recipe.yaml": shipped("pipelines") / "web.yaml"}
    files[folder / "recipe.schema.json"] = shipped("pipelines") / "recipe.schema.json"  # its first line names it
    files[folder / "filters" / "policy.schema.json"] = policies.parent / "policy.schema.json"
    files |= {folder / "filters" / "policies" / path.name: path for path in sorted(policies.glob("*.yaml"))}
    taken = [target for target in files if target.exists()]
    if taken:
        raise RequestError(f"{taken[0]}: exists already; choose another folder")
    for target, path in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        if target.name == "recipe.yaml":
            text = text.replace("# filters: filters", "filters: filters")
        target.write_text(text, encoding="utf-8")
        typer.echo(str(target))


@models_app.command("get")
def models_get(name: Annotated[str, typer.Argument(help="The name of the model: lid.")]) -> None:
    """Download a model file into the cache of this machine, and check its SHA-256."""
    from mmedc.filters import open_filters

    typer.echo(str(open_filters().get_model(name)))


@filters_app.command("check")
def filters_check(
    languages: Annotated[list[str] | None, typer.Argument(help="The languages to check. Default: all.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--filters", help="A folder whose files override the shipped ones.")
    ] = None,
) -> None:
    """Check lexicons and stop words for duplicate terms, wrong scripts, and terms too short or too general."""
    from mmedc.filters import open_filters
    from mmedc.lexicon import problems_of

    filters = open_filters(str(folder) if folder else None)
    problems = []
    for code in languages or filters.languages():
        language = filters.language(code)
        problems += problems_of(language)
        forms = sum(len(term.forms) for term in language.lexicon)
        typer.echo(f"{code}: {len(language.lexicon)} terms, {forms} forms, {len(language.stopwords)} stop words")
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


@app.command()
def schema(
    name: Annotated[str, typer.Argument(help="The kind of file: recipe, train, bench, policy or manifest.")] = "recipe",
) -> None:
    """Print the JSON Schema of a recipe, of training or benchmark settings, of a policy, or of a manifest."""
    from mmedc.report.schema import SCHEMAS
    from mmedc.report.schema import schema as schema_of

    if name not in SCHEMAS:
        raise RequestError(f"{name}: no such schema; known: {', '.join(SCHEMAS)}")
    typer.echo(json.dumps(schema_of(name), indent=1, ensure_ascii=False))
