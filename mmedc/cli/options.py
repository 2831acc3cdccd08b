"""Options that several commands have, and the console on which they show."""

import os
from typing import Annotated, Any

import typer

BUILD, CLUSTER, LOOK, MODELS, SETUP = (
    "Build a corpus",
    "Run on a cluster, watch and stop runs",
    "Look at a corpus or a build",
    "Train and score models",
    "Recipes, filters, this machine",
)
"""The headings of the commands in the help."""

RecipeArgument = Annotated[
    str, typer.Argument(help="A recipe file, or the name of a shipped recipe such as quickstart or web.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="Override a value of the recipe, as key.sub=value. Repeatable.")
]
OutOption = Annotated[
    str | None, typer.Option("--out", "-o", help="Where to write the corpus: a folder or an s3:// URL.")
]
JsonOption = Annotated[bool, typer.Option("--json", "-j", help="Print JSON instead of tables.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
CorpusArgument = Annotated[str, typer.Argument(help="The folder of a corpus, or its s3:// URL.")]


WIDTH = 180
"""Columns of a table in a file or a pipe, where the environment variable COLUMNS does not say another number."""
ThenOption = Annotated[
    str | None,
    typer.Option("--then", help="The stages after the corpus: train, or train,bench. Default: those of the recipe."),
]


def open_console(stderr: bool = False) -> Any:
    """Return a console as wide as the terminal, or as COLUMNS says, or of WIDTH columns."""
    from rich.console import Console

    found = Console(stderr=stderr)
    stated = os.environ.get("COLUMNS", "").isdigit()
    return found if found.is_terminal or stated else Console(stderr=stderr, width=WIDTH)


class Interruption:
    """What is said when a command is interrupted; one that can be resumed puts more."""

    said = "interrupted; nothing of it is kept"
