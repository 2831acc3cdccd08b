"""The commands that build a corpus: `plan` and `run`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mmedc.cli.corpora import show_stats
from mmedc.cli.options import JsonOption, OutOption, QuietOption, RecipeArgument, SetOption, open_console
from mmedc.errors import RequestError

if TYPE_CHECKING:
    from mmedc.pipeline.build import Build

app = typer.Typer()


def _prepare(recipe: str, out: str | None, sets: list[str] | None) -> "Build":
    from mmedc.api import prepare, read_recipe

    return prepare(read_recipe(recipe, sets or ()), out)


@app.command()
def plan(recipe: RecipeArgument, out: OutOption = None, sets: SetOption = None, as_json: JsonOption = False) -> None:
    """Show what a build would do: passes, units, bytes, what is done, estimated time. Changes nothing."""
    from mmedc.pipeline.plan import plan_rows

    build = _prepare(recipe, out, sets)
    rows = plan_rows(build)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from mmedc.report.tables import plan_table

    console = open_console()
    console.print(f"{build.recipe.name} → {build.store.url}, policy {build.policy.name}", highlight=False)
    console.print(plan_table(rows))


@app.command()
def run(
    recipe: RecipeArgument,
    out: OutOption = None,
    sets: SetOption = None,
    address: Annotated[
        str | None, typer.Option(help="The address of a Ray cluster to join, instead of starting Ray on this machine.")
    ] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="The number of CPUs to use. Default: all.")] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Run in this process, without Ray.")] = False,
    quiet: QuietOption = False,
    log: Annotated[str | None, typer.Option("--log", help="Append events to this file, as JSON Lines.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a corpus. Run the same command again to resume an interrupted build."""
    from mmedc.api import runner
    from mmedc.report.log import Log, Watchers
    from mmedc.report.progress import Bars

    if inline and address:
        raise RequestError("--inline runs in this process and --address on a cluster: give one of them")
    build = _prepare(recipe, out, sets)
    console = open_console(stderr=True)
    bars = Bars(console, quiet or as_json)
    watcher = Watchers(bars, *([Log(log)] if log else []))
    try:
        with runner(inline, address, cpus) as running:
            manifest = build.run(running, watcher)
    finally:
        bars.close()
    show_stats(build.store.url, manifest, as_json, seconds=bars.seconds)
    if not manifest.documents:
        typer.echo(
            f"warning: {build.store.url}: no document was kept; `mmedc stats` shows which step removed them and why, "
            "rejects/quarantine.parquet has what broke a step",
            err=True,
        )
