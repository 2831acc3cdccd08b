"""The commands around a cluster: `render` writes the files that start one, `check` asks its nodes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmedc.cli.options import CLUSTER, JsonOption, OutOption, RecipeArgument, SetOption, ThenOption, open_console

if TYPE_CHECKING:
    from mmedc.recipe import Recipe

app = typer.Typer()
render_app = typer.Typer(
    help="Write what runs a recipe on a cluster, to the screen or into a pipe.", no_args_is_help=True
)
app.add_typer(render_app, name="render", rich_help_panel=CLUSTER)

WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="The number of machines with CPUs, at most.")]
WorkerCpusOption = Annotated[
    int, typer.Option("--cpus", min=1, help="CPUs of a worker. Its memory follows from limits.memory of the recipe.")
]
GpusOption = Annotated[
    int | None, typer.Option("--gpus", min=0, help="Machines with a GPU, at most. Default: 1 if the recipe uses one.")
]


def _recipe(recipe: str, sets: list[str] | None) -> "Recipe":
    from mmedc.api import read_recipe

    return read_recipe(recipe, sets or ())


def _stages(recipe: "Recipe", then: str | None) -> tuple[str, ...]:
    from mmedc.submit.stages import named, stages_of

    return stages_of({"train": recipe.train, "bench": recipe.bench}, named(then))


@render_app.command("kuberay")
def kuberay(
    recipe: RecipeArgument,
    out: OutOption = None,
    sets: SetOption = None,
    workers: WorkersOption = 8,
    spot: Annotated[int, typer.Option(min=0, help="The number of spot machines beside them, at most.")] = 0,
    cpus: WorkerCpusOption = 8,
    gpus: GpusOption = None,
    then: ThenOption = None,
    image: Annotated[str, typer.Option(help="The image; machines with a GPU use the one with -gpu at its end.")] = "",
    volume: Annotated[
        str,
        typer.Option(help="CLAIM:/PATH, a volume that all pods mount at this path, for data that is not in a store."),
    ] = "",
    role: Annotated[
        str, typer.Option(help="The role of AWS or account of Google Cloud that lets the pods into the object store.")
    ] = "",
) -> None:
    """Write a RayJob for KubeRay, with its recipe, for `kubectl apply --filename -`."""
    from mmedc import __version__
    from mmedc.submit.portable import parts_of
    from mmedc.submit.render import Kubernetes, Nodes
    from mmedc.submit.render import kuberay as rendered

    site = Kubernetes(image or f"mmedc:{__version__}", volume, role)
    read = _recipe(recipe, sets)
    parts = parts_of(read, recipe, sets or [], _stages(read, then), out or read.out)
    typer.echo(rendered(read, out or "", Nodes(workers, spot, cpus, gpus), site, parts), nl=False)


@render_app.command("slurm")
def slurm(
    recipe: RecipeArgument,
    out: OutOption = None,
    sets: SetOption = None,
    workers: WorkersOption = 4,
    cpus: WorkerCpusOption = 16,
    gpus: GpusOption = None,
    then: ThenOption = None,
) -> None:
    """Write a job for Slurm, for `sbatch`: Ray on all of its nodes, then the recipe."""
    from mmedc.recipe import recipe_file
    from mmedc.submit.render import Nodes
    from mmedc.submit.render import slurm as rendered

    known = recipe if not Path(recipe).suffix else str(recipe_file(recipe).resolve())
    read = _recipe(recipe, sets)
    nodes = Nodes(workers, 0, cpus, gpus)
    typer.echo(rendered(read, known, out or "", sets or [], nodes, _stages(read, then)), nl=False)


@render_app.command("ray")
def ray(
    recipe: RecipeArgument,
    out: OutOption = None,
    sets: SetOption = None,
    workers: WorkersOption = 8,
    cpus: WorkerCpusOption = 8,
    provider: Annotated[Literal["aws", "gcp", "on-premises"], typer.Option(help="Whose machines these are.")] = "aws",
) -> None:
    """Write a file of machines for `ray up`, with the recipe on its head."""
    from mmedc.submit.render import Nodes, ray_up

    typer.echo(ray_up(_recipe(recipe, sets), out or "", Nodes(workers, 0, cpus), provider), nl=False)


@app.command(rich_help_panel=CLUSTER)
def check(
    recipe: RecipeArgument,
    address: Annotated[str, typer.Option("--address", "-a", help="The HOST:PORT of the head of a Ray cluster.")],
    out: OutOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every node of a cluster whether it can run a recipe: versions, token, inputs, models, --out, memory.

    Exit codes: 0, ready. 1, something is wrong; the table says what, where, and what to do. 2, the recipe or the
    address is wrong.
    """
    from mmedc.api import prepare
    from mmedc.engine.cluster import joined
    from mmedc.engine.runner import OnRay, on_each_node
    from mmedc.pipeline.nodes import seen_by
    from mmedc.report import checked

    build = prepare(_recipe(recipe, sets), out)
    with OnRay(address=address) as running:
        running.start()
        probes, seen = seen_by(on_each_node, build.store, build.recipe, build.ingest)
        rows = checked.rows_of(joined(), probes, seen, build.recipe.limits.memory, build.store.url)
    if as_json:
        typer.echo(json.dumps(checked.as_json(rows), ensure_ascii=False))
    else:
        open_console().print(checked.check_table(rows))
    if any(row.state == "wrong" for row in rows):
        raise typer.Exit(1)
