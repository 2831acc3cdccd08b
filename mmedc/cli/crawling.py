"""The command that shows a crawl: `crawl-status`."""

import json
import time
from contextlib import suppress
from typing import Annotated

import typer

from mmedc.cli.options import LOOK, CorpusArgument, JsonOption, open_console

app = typer.Typer()


@app.command("crawl-status", rich_help_panel=LOOK)
def crawl_status(
    out: CorpusArgument,
    live: Annotated[
        bool, typer.Option("--live", help="Show it again every two seconds, as long as a run is under way.")
    ] = False,
    rows: Annotated[int, typer.Option("--rows", min=1, help="The number of hosts to show.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Show what the crawls of a build have done, by host: fetched, queued, refused, errors, medical share."""
    from mmedc.report.crawled import read_status, status_json, status_tables

    found = read_status(out)
    if as_json:
        typer.echo(json.dumps(status_json(found)))
        return
    console = open_console()
    if not live:
        console.print(status_tables(found, rows))
        return
    from rich.live import Live

    from mmedc.engine.journal import runs_in
    from mmedc.report.runs import standing
    from mmedc.storage import Store

    shown = Live(status_tables(found, rows), console=console, auto_refresh=False)
    with suppress(KeyboardInterrupt), shown:
        while any(standing(run) == "running" for run in runs_in(Store(out))):
            time.sleep(2)
            shown.update(status_tables(read_status(out), rows), refresh=True)
