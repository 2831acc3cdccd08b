"""The commands that run all stages of a recipe: `pipeline` here or from a node, `submit` and `jobs` on a cluster."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmedc.cli.building import AddressOption, CpusOption, InlineOption
from mmedc.cli.corpora import show_stats
from mmedc.cli.options import (
    CLUSTER,
    Interruption,
    JsonOption,
    OutOption,
    QuietOption,
    RecipeArgument,
    SetOption,
    ThenOption,
    open_console,
)
from mmedc.errors import RequestError

if TYPE_CHECKING:
    from mmedc.engine.journal import Journal

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--address", "-a", help="The job server, http://HOST:8265. Default: the environment's RAY_API_SERVER_ADDRESS."
    ),
]

app = typer.Typer()


@app.command(rich_help_panel=CLUSTER)
def pipeline(
    recipe: RecipeArgument,
    then: ThenOption = None,
    out: OutOption = None,
    sets: SetOption = None,
    address: AddressOption = None,
    cpus: CpusOption = None,
    inline: InlineOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go from sources to a scored model: build the corpus, train on it, score the model. Resumes at every stage.

    The training reads the corpus that was built, and the scoring the model that was trained. Exit codes are those of
    `mmedc run`.
    """
    from mmedc.api import runner
    from mmedc.engine.journal import Journal
    from mmedc.pipeline.folder import OWNER
    from mmedc.submit.stages import Stages, named

    if inline and address:
        raise RequestError("--inline runs in this process and --address on a cluster: give one of them")
    stages = Stages.prepare(recipe, out, sets or [], named(then))
    build = stages.build
    Interruption.said = "interrupted; what is done is kept: give the same command again to resume"
    with Journal(build.store, build.recipe.name, stages.names, OWNER) as journal:
        screen = _Screen(journal, quiet or as_json)
        try:
            with runner(inline, address, cpus) as running:
                results = stages.run(running, address, journal, screen)
        finally:
            screen.close()
    if as_json:
        found = {"corpus": build.store.url, "digest": results.manifest.digest, "documents": results.manifest.documents}
        typer.echo(json.dumps({**found, "train": results.trained, "bench": results.scores}))
        return
    show_stats(build.store.url, results.manifest, False, seconds=screen.bars.seconds)
    if results.scores:
        from mmedc.report.scores import plot, report

        plot(results.scores, Path(results.scored_in))
        open_console().print("", report(results.scores, {}), sep="\n")
    where = f"; training in {stages.folder}" if stages.train else ""
    typer.echo(f"done: {', '.join(stages.names)}; corpus in {build.store.url}{where}")


class _Screen:
    """Shows the stages; see `mmedc.submit.stages.Screen`."""

    def __init__(self, journal: "Journal", quiet: bool) -> None:
        from mmedc.report.log import Watchers
        from mmedc.report.progress import Bars

        self.quiet, self.console = quiet, open_console(stderr=True)
        self.bars = Bars(self.console, quiet)
        self.watcher = Watchers(self.bars, journal)

    @contextlib.contextmanager
    def training(self, steps: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
        """Show a training."""
        from mmedc.report.training import Table

        self.close()
        with Table(self.console, steps, self.quiet) as table:
            yield table.report

    @contextlib.contextmanager
    def scoring(self) -> Iterator[Callable[[int, int], None]]:
        """Show a scoring."""
        from mmedc.counting import Counting

        with Counting(self.console, self.quiet) as counting:
            yield counting.update

    def close(self) -> None:
        """Restore the terminal."""
        self.bars.close()


@app.command(rich_help_panel=CLUSTER)
def submit(
    recipe: RecipeArgument,
    address: ServerOption = None,
    then: ThenOption = None,
    out: OutOption = None,
    sets: SetOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show what the run prints until it ends, and exit as it does.")
    ] = False,
    ship_code: Annotated[
        bool, typer.Option("--ship-code", help="Take this mmedc along, for nodes that do not have it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run all stages of a recipe on a Ray cluster, as `mmedc pipeline` does there.

    Only the recipe and small files that it names are uploaded; sources and --out must be where all nodes see them. A
    second submit of the same run attaches to it, or resumes it when it has ended. Nothing is retried: exit code 75 of
    --follow says that the same submit may succeed later, 2 that it will not.
    """
    from mmedc.api import read_recipe
    from mmedc.report.grid import visible
    from mmedc.settings import resolved
    from mmedc.submit.client import JobServer, check_place
    from mmedc.submit.stages import named, stages_of

    found = read_recipe(recipe, sets or ())
    place = str(resolved(out)) if out else found.out
    check_place(place)
    after = stages_of({"train": found.train, "bench": found.bench}, named(then))
    server = JobServer(address)
    job, attached = server.submit(found, recipe, place, sets or [], after, ship_code)
    if as_json and not follow:
        typer.echo(json.dumps({"job": job.id, "attached": attached, "status": job.status, "out": place}))
        return
    there = f" --address {server.address}" if address else ""
    typer.echo(f"{job.id}: {'attached to the job that runs' if attached else 'submitted'}; corpus in {place}", err=True)
    if not follow:
        typer.echo(f"what it prints:  mmedc logs {job.id}{there} --follow\nhow far it is:   mmedc status {place}")
        return
    Interruption.said = f"not followed any more; the job goes on: mmedc stop {job.id}{there} stops it"
    ended = server.follow(job.id, lambda text: typer.echo(text, nl=False))
    said = {75: "; the same submit resumes it", 2: "; correct it: the same submit would fail again"}
    code = ended.exit_code
    why = f" ({visible(ended.message)})" if ended.code is None and ended.message and code else ""
    typer.echo(f"{job.id}: {ended.status.lower()}{why}, exit code {code}{said.get(code, '')}", err=True)
    raise typer.Exit(code)


@app.command(rich_help_panel=CLUSTER)
def jobs(address: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show the runs of mmedc on a Ray cluster: state, exit code, recipe and folder."""
    from mmedc.report.runs import jobs_table
    from mmedc.submit.client import JobServer

    found = JobServer(address).jobs()
    rows: list[dict[str, Any]] = [vars(job) for job in found]
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        open_console().print(jobs_table(rows))
