"""The command `inspect`: a local web page for looking at a corpus."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmedc.cli.options import LOOK, CorpusArgument

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def inspect(
    corpus: CorpusArgument,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port. 0: any that is free.")] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on. Other than loopback needs a token.")
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="A further name by which browsers reach this server, such as that of a proxy. Repeatable."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", help="What browsers must enter. Others on this machine can see it; prefer --token-file."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", help="A file that has the token. So does the environment variable MMEDC_INSPECT_TOKEN."
        ),
    ] = None,
    marks: Annotated[
        Path | None, typer.Option("--marks", help="The file of marks. Default: CORPUS.marks.jsonl beside the corpus.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
) -> None:
    """Look at a corpus in a browser: documents kept and removed, measures, limits to move, marks for what is wrong.

    Prints the address, and serves it until Ctrl-C. Works while the corpus is being built. Changes nothing in it.
    """
    from mmedc.inspect.serve import read_token, serve

    def say(address: str) -> None:
        typer.echo(address)
        if sys.stderr.isatty():
            typer.echo("Open this address in a browser. Ctrl-C ends the server.", err=True)

    serve(corpus, host, port, read_token(token, token_file), name or (), marks, browser, say)
