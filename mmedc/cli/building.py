"""The commands that build a corpus: `plan` and `run`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mmedc.cli.attended import attend
from mmedc.cli.corpora import show_stats
from mmedc.cli.options import (
    BUILD,
    CorpusArgument,
    Interruption,
    JsonOption,
    OutOption,
    QuietOption,
    RecipeArgument,
    SetOption,
    open_console,
)
from mmedc.errors import OutcomeError, RequestError

FailAboveOption = Annotated[
    str | None,
    typer.Option(
        "--fail-above", help="Fail when more of the records of a source are rejected than this; see `fail_above`."
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        "-a",
        help="The address of a Ray cluster to join; `local` starts Ray on this machine, however little there is to do.",
        callback=attend,
    ),
]
CpusOption = Annotated[int | None, typer.Option(min=1, help="The number of CPUs to use. Default: all.")]
InlineOption = Annotated[
    bool, typer.Option("--inline", "-i", help="Run on this machine without Ray, however much there is to do.")
]
LogOption = Annotated[str | None, typer.Option("--log", help="Append events to this file, as JSON Lines.")]

if TYPE_CHECKING:
    from mmedc.pipeline.build import Build
    from mmedc.report.progress import Bars

app = typer.Typer()


def _prepare(recipe: str, out: str | None, sets: list[str] | None) -> "Build":
    from mmedc.api import prepare, read_recipe

    return prepare(read_recipe(recipe, sets or ()), out)


@app.command(rich_help_panel=BUILD)
def plan(
    recipe: RecipeArgument,
    out: OutOption = None,
    sets: SetOption = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="A file that describes a cluster: show hours, bytes and money there instead."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a build would do: passes, units, bytes, what is done, estimated time. Changes nothing.

    With --cluster: what it would take on a cluster, from measured costs, with every assumption. The file may say what
    would be read, such as a whole dump of Common Crawl; see `cluster/plan/`.
    """
    from mmedc.pipeline.plan import notes_of, plan_rows

    if cluster:
        _plan_at_scale(recipe, out, sets, cluster, as_json)
        return
    build = _prepare(recipe, out, sets)
    rows = plan_rows(build)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from mmedc.report.tables import plan_table

    console = open_console()
    console.print(f"{build.recipe.name} → {build.store.url}, policy {build.policy.name}", highlight=False)
    console.print(plan_table(rows))
    for note in notes_of(build):
        console.print(note, highlight=False, markup=False)


def _plan_at_scale(recipe: str, out: str | None, sets: list[str] | None, file: str, as_json: bool) -> None:
    """Show what a build would take on the cluster that `file` describes."""
    from dataclasses import asdict

    from mmedc.api import read_recipe
    from mmedc.report.planned import estimate_table
    from mmedc.report.tables import human_bytes
    from mmedc.submit.cost import estimate, input_of, read_costs, read_plan

    described = read_plan(file)
    name, given, unknown = read_recipe(recipe, sets or ()).name, described.input, ""
    if given is None:
        build = _prepare(recipe, out, sets)
        formats = {source: config.format for source, config in build.recipe.sources.items()}
        given, unknown = input_of([(formats[unit.spec.source], unit.bytes) for unit in build.ingest.units], file)
    found = estimate(described, given, read_costs(), unknown)
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"hours": found.hours, "exchanged": found.exchanged}))
        return
    console = open_console()
    console.print(
        f"{name}: {human_bytes(given.bytes)} of {given.format} on {described.nodes:,} nodes of {described.cpus} CPUs",
        highlight=False,
    )
    console.print(estimate_table(asdict(found) | {"hours": found.hours, "exchanged": found.exchanged}))


@app.command(rich_help_panel=BUILD)
def run(
    recipe: RecipeArgument,
    out: OutOption = None,
    sets: SetOption = None,
    fail_above: FailAboveOption = None,
    address: AddressOption = None,
    cpus: CpusOption = None,
    inline: InlineOption = False,
    quiet: QuietOption = False,
    log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a corpus. Run the same command again to resume an interrupted build.

    Exit codes: 0, done. 1, the corpus is not complete, or it is not what was asked for: it is empty, a source could
    not be read, or too many of its records were rejected; a table says what failed. 2, the recipe or the command is
    wrong, and nothing was done: correct it. 75, the storage or the cluster failed, or another run is under way in the
    folder: give the same command again later. 130, interrupted: give the same command again.
    """
    _head_start(address)
    sets = [*(sets or []), *([f"fail_above={fail_above}"] if fail_above else [])]
    _run(_prepare(recipe, out, sets), Way(inline, address, cpus, quiet, log, as_json))


@dataclass(frozen=True)
class Way:
    """How a build is run and shown."""

    inline: bool
    address: str | None
    cpus: int | None
    quiet: bool
    log: str | None
    as_json: bool


@app.command(rich_help_panel=BUILD)
def redo(
    corpus: CorpusArgument,
    rejected: Annotated[str, typer.Option("--rejected", help="A reason of rejects, as `mmedc stats` shows it.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="The recipe, where it is not where the last run found it.")
    ] = None,
    sets: SetOption = None,
    address: AddressOption = None,
    cpus: CpusOption = None,
    inline: InlineOption = False,
    quiet: QuietOption = False,
    log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the units again that rejected records for a reason: a limit was raised, a disk or a step was mended.

    All other units stay as they are. The corpus is then the same as if it were built anew. Settings of the last run
    apply, and those of --set on top.
    """
    from contextlib import chdir

    from mmedc.pipeline.folder import Origin, origin_of
    from mmedc.settings import resolved

    _head_start(address)
    out = resolved(corpus)
    origin = Origin(recipe, (), ".") if recipe else origin_of(out)
    with chdir(origin.cwd):
        build = _prepare(origin.recipe, out, [*origin.sets, *(sets or [])])
    _run(build, Way(inline, address, cpus, quiet, log, as_json), rejected)


def _head_start(address: str | None) -> None:
    """Have the parser processes import what they need while this process reads the recipe."""
    if not address:
        from mmedc.engine import nursery

        nursery.begin("mmedc.pipeline.ingest")


def _telling(bars: "Bars") -> Callable[[str], None]:
    """Return what shows a sentence of the runner."""
    return lambda said: None if bars.quiet else bars.console.print(said, style="dim", highlight=False)


def _run(build: "Build", way: Way, again: str = "") -> None:
    """Run a build and show what it left. Raises: OutcomeError when that is not what was asked for."""
    from mmedc.api import runner
    from mmedc.corpus.outcome import counted, problems_of, summary
    from mmedc.engine.journal import Journal
    from mmedc.pipeline.folder import OWNER
    from mmedc.report.log import Log, Watchers
    from mmedc.report.progress import Bars

    if way.inline and way.address:
        raise RequestError("--inline runs in this process and --address on a cluster: give one of them")
    Interruption.said = "interrupted; committed units are kept: give the same command again to resume"
    bars = Bars(open_console(stderr=True), way.quiet or way.as_json)
    with Journal(build.store, build.recipe.name, anchor=OWNER) as journal:
        try:
            with runner(way.inline, way.address, way.cpus, _telling(bars)) as running:
                watcher = Watchers(bars, journal, *([Log(way.log)] if way.log else []))
                manifest = build.run(running, watcher, again)
        finally:
            bars.close()
        show_stats(build.store.url, manifest, way.as_json, seconds=bars.seconds)
        if manifest.contamination and not manifest.contamination.questions:
            typer.echo("warning: decontaminate: its files hold no question, so none was looked for", err=True)
        if problems := problems_of(manifest):
            raise OutcomeError(summary(build.store.url, problems))
    if not manifest.documents:
        typer.echo(f"warning: {build.store.url}: no document was kept; `mmedc stats` shows why", err=True)
    elif not way.as_json:
        typer.echo(f"done: {counted(manifest.documents, 'document')} in {build.store.url}")
