"""The commands that watch and stop a run, wherever it is: `status`, `logs` and `stop`."""

import json
import os
import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from mmedc.cli.options import CLUSTER, JsonOption, open_console
from mmedc.errors import RequestError, TryAgain

if TYPE_CHECKING:
    from mmedc.submit.client import JobServer

FolderArgument = Annotated[
    str, typer.Argument(help="The folder of the corpus or training, or its s3:// URL; or a job by its id.")
]
ServerOption = Annotated[
    str | None,
    typer.Option("--address", "-a", help="The job server, http://HOST:8265, to ask about a job by its id or folder."),
]
RunOption = Annotated[str, typer.Option("--run", help="A run by its id, or its beginning. Default: the newest.")]
WATCH_S = 1.0
STOP_S = 60.0
JOB_ID = re.compile(r"mmedc-.+-[0-9a-f]{8}-\d+")

app = typer.Typer()


def _server(folder: str, address: str | None) -> "JobServer | None":
    """Return the job server to ask about a job; None where the files beside the results answer.

    Raises: RequestError for the id of a job without the address of its server.
    """
    job = not address and JOB_ID.fullmatch(folder) and not os.path.isdir(folder)
    if job and not os.environ.get("RAY_API_SERVER_ADDRESS"):
        raise RequestError(
            f"{folder}: this is a job; give the address of its server too, --address http://HOST:8265, or the folder "
            "of its corpus instead, which needs no cluster"
        )
    if not address and not job:
        return None
    from mmedc.submit.client import JobServer

    return JobServer(address)


@app.command(rich_help_panel=CLUSTER)
def status(
    folder: FolderArgument, run: RunOption = "", address: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Show how far a run is, or how it ended, from the files beside its results; no cluster needs to be there."""
    if server := _server(folder, address):
        from mmedc.report.runs import jobs_table

        job = vars(server.job(folder))
        if as_json:
            typer.echo(json.dumps(job))
        else:
            open_console().print(jobs_table([job]))
        return
    from mmedc.report.runs import find_run, standing, status_tables
    from mmedc.storage import Store

    found = find_run(Store(folder), run)
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json") | {"state": standing(found)}))
    else:
        open_console().print(status_tables(folder, found))


@app.command(rich_help_panel=CLUSTER)
def logs(
    folder: FolderArgument,
    run: RunOption = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
    traces: Annotated[bool, typer.Option("--traces", help="Show the tracebacks instead.")] = False,
    address: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happened in a run: passes, units, failures and their tracebacks, from the files beside its results."""
    if server := _server(folder, address):
        if follow:
            server.follow(folder, lambda text: typer.echo(text, nl=False))
        else:
            typer.echo(server.output(server.job(folder).id), nl=False)
        return
    from mmedc.engine.journal import events_of, traces_of
    from mmedc.report.runs import event_lines, find_run, standing
    from mmedc.storage import Store

    store = Store(folder)
    found = find_run(store, run)
    if traces:
        typer.echo(traces_of(store, found.run) or "no traceback was written")
        return
    shown = 0
    while True:
        ended = not follow or standing(find_run(store, found.run)) != "running"
        events = events_of(store, found.run)
        for event, line in zip(events[shown:], event_lines(events[shown:]), strict=True):
            typer.echo(json.dumps(event) if as_json else line)
        shown = len(events)
        if ended:
            break
        time.sleep(WATCH_S)
    if not as_json and traces_of(store, found.run):
        typer.echo(f"`mmedc logs {folder} --traces` shows the tracebacks")


@app.command(rich_help_panel=CLUSTER)
def stop(folder: FolderArgument, address: ServerOption = None) -> None:
    """Ask the run that writes to a folder to stop, on whatever machine it is, and wait until it has.

    What is committed is kept; the same command resumes the run.
    """
    if server := _server(folder, address):
        job = server.job(folder)
        if job.ended:
            typer.echo(f"{job.id}: does not run: {job.status.lower()}")
            return
        server.stop(job.id)
        ended = server.follow(job.id, lambda _: None)
        resumed = "" if ended.status == "SUCCEEDED" else "; the same submit resumes it"
        typer.echo(f"{job.id}: {ended.status.lower()}{resumed}")
        return
    from mmedc.engine.journal import ask_to_stop
    from mmedc.report.runs import find_run, standing
    from mmedc.storage import Store

    store = Store(folder)
    found = find_run(store)
    if standing(found) != "running":
        typer.echo(f"{folder}: run {found.run} does not run: {standing(found)}")
        return
    ask_to_stop(store, found)
    until = time.monotonic() + STOP_S
    while standing(found) == "running":
        if time.monotonic() > until:
            raise TryAgain(f"{folder}: run {found.run} was asked to stop, and has not within {STOP_S:.0f} s")
        time.sleep(0.2)
        found = find_run(store, found.run)
    typer.echo(f"{folder}: run {found.run}: {standing(found)}")
