"""The command `mmedc`. Thin: parse, call, show. Nothing heavy is imported before a command needs it.

Exit codes: 0 done, 1 the work failed, 2 the request was wrong (do not try again), 75 storage, cluster or folder was not
to be had (try again later), 130 interrupted (resumable).
"""

import inspect
import os
import shutil
import signal
import sys
import textwrap
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mmedc.bench.commands import app as items_app
from mmedc.cli import (
    attended,
    building,
    clusters,
    corpora,
    crawling,
    inspecting,
    looking,
    running,
    starting,
    submitting,
    training,
    trusting,
)
from mmedc.cli.options import MODELS, SETUP, Interruption
from mmedc.errors import MmedcError
from mmedc.extras import how_to_install
from mmedc.fit.commands import app as fit_app
from mmedc.redact import redact
from mmedc.shipped import shipped_file

INTERRUPTED = 130


class _Commands(TyperGroup):
    """The commands; a recipe given in place of one is run by `mmedc run`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except Exception as problem:
            if shipped_file(f"{args[0]}.yaml").is_file():
                problem.message = f"No such command '{args[0]}'. It is a recipe: mmedc run {args[0]}"  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    cls=_Commands,
    help="Build multilingual medical corpora for language-model pretraining; train and score models on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
GROUPS = (
    building,
    trusting,
    submitting,
    running,
    clusters,
    corpora,
    inspecting,
    crawling,
    looking,
    training,
    starting,
)  # as in the help
for group in GROUPS:
    app.add_typer(group.app)
app.add_typer(starting.models_app, name="models", rich_help_panel=SETUP)
app.add_typer(starting.filters_app, name="filters", rich_help_panel=SETUP)
app.add_typer(fit_app, name="fit", rich_help_panel=SETUP)
app.add_typer(items_app, name="items", rich_help_panel=MODELS)


def _unwrap(group: typer.Typer) -> None:
    """Make each paragraph of the help one line, which terminals wrap; Typer keeps line ends of all but the first."""
    for command in group.registered_commands:
        text = inspect.getdoc(command.callback) if command.callback else None
        command.help = "\n\n".join(part.replace("\n", " ") for part in text.split("\n\n")) if text else None
    for below in group.registered_groups:
        if below.typer_instance:
            _unwrap(below.typer_instance)


_unwrap(app)


def _version(wanted: bool) -> None:
    if wanted:
        from mmedc import __version__

        typer.echo(f"mmedc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    _State.debug = debug


class _State:
    debug = False


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.showwarning = lambda message, *_: _say(f"warning: {message}")
    # Not by way of SIGINT, which is ignored in what a shell runs in the background.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    attended.want()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # bars of loading and saving, below our own
    try:
        code = int(app(standalone_mode=False) or 0)  # what `typer.Exit` carries is returned, not raised
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except MmedcError as problem:
        if _State.debug:
            raise
        _say(f"error: {redact(str(problem))}")
        code = problem.exit_code
    except Exception as problem:
        if _State.debug:
            raise
        install = how_to_install(problem) if isinstance(problem, ModuleNotFoundError) else None
        show = getattr(problem, "show", None)  # click's own errors of usage know how they look
        if show is not None:
            if getattr(problem, "option_name", "") == "--dry-run":
                problem.message += ". `mmedc plan` shows what a build would do, and changes nothing"  # type: ignore[attr-defined]
            show()
            code = getattr(problem, "exit_code", 2)
        elif install is not None:
            _say(f"error: {install}")
            code = 2
        else:
            _say(f"error: {type(problem).__name__}: {redact(str(problem))}\nThis is a defect; --debug shows where.")
            code = 1
    if code == INTERRUPTED:  # which typer too makes of Ctrl-C
        typer.echo(Interruption.said, err=True)
    attended.end(code)
    sys.exit(code)


def _say(text: str) -> None:
    """Write to standard error; on a terminal, lines break between words, and what is continued is indented."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(
            textwrap.fill(
                line,
                width,
                subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2),
                break_long_words=False,
                break_on_hyphens=False,
                replace_whitespace=False,
                drop_whitespace=True,
            )
            for line in text.splitlines()
        )
    typer.echo(text, err=True)
