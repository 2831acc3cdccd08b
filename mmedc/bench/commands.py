"""The commands `mmedc items …`: questions made and converted. Thin; nothing heavy is imported before it is needed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmedc.bench.backends import Backend
    from mmedc.counting import Counting

app = typer.Typer(help="Convert, explain, review and classify benchmark questions.", no_args_is_help=True)

OutOption = Annotated[Path, typer.Option("--out", "-o", help="The file of items to write (JSON Lines).")]


@app.command()
def convert(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help="The format: medqa-usmle, igakuqa, headqa …")],
    paths: Annotated[list[str], typer.Argument(help="Files, folders or patterns: local, s3:// or hf://.")],
    out: OutOption,
) -> None:
    """Convert a question set from its maker's format into items. Rows that cannot be items are counted."""
    from mmedc.bench.formats import convert as converted
    from mmedc.questions import write_items

    found = converted(name, paths)
    write_items(found.items, out)
    several = sum(len(item.gold) > 1 for item in found.items)
    typer.echo(f"{out}: {len(found.items):,} items, {several:,} with several right answers")
    for reason, (count, first) in sorted(found.rejects.items(), key=lambda reject: -reject[1][0]):
        typer.echo(f"left out {count:,}: {reason} (first: {first})", err=True)
    if not found.items:
        raise typer.Exit(1)


ItemsArgument = Annotated[list[str], typer.Argument(help="Files or folders of items.")]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A Hugging Face folder, or the name of a model at --endpoint.")
]
EndpointOption = Annotated[
    str, typer.Option("--endpoint", help="The URL of an OpenAI-compatible server: http://HOST:PORT/v1.")
]
AtOnceOption = Annotated[
    int, typer.Option("--at-once", min=1, help="The number of simultaneous requests to the server.")
]


def _backend(model: str, endpoint: str, at_once: int) -> "Backend":
    """Return the model that answers. Raises: RecipeError."""
    from mmedc.bench.backends import open_backend
    from mmedc.bench.config import Bench

    settings: dict[str, object] = {"model": model, "items": ["-"], "protocol": "generate", "context": 4096}
    if endpoint:
        settings |= {"backend": "server", "endpoint": endpoint, "workers": at_once}
    return open_backend(Bench.model_validate(settings))


def _progress(what: str) -> "Counting":
    from rich.console import Console

    from mmedc.counting import Counting

    return Counting(Console(stderr=True), what=what)


@app.command()
def rationales(
    items: ItemsArgument, model: ModelOption, out: OutOption, endpoint: EndpointOption = "", at_once: AtOnceOption = 8
) -> None:
    """Have a language model explain the right answers in the language of each item; keep what passes the checks."""
    from collections import Counter

    from mmedc.bench.builder import with_rationales
    from mmedc.bench.cache import Cache
    from mmedc.questions import read_items, write_items

    read = read_items(tuple(items))
    with Cache(f"{out}.answers") as cache, _progress("answers") as counting:
        found, wrong = with_rationales(read, _backend(model, endpoint, at_once), cache, counting.update)
    write_items(found, out)
    typer.echo(f"{out}: {sum(bool(item.rationale) for item in found):,} of {len(found):,} items have a rationale")
    for problem, count in Counter(wrong.values()).most_common():
        typer.echo(f"left out {count:,}: {problem}", err=True)


@app.command()
def topics(
    items: ItemsArgument,
    model: ModelOption,
    out: OutOption,
    endpoint: EndpointOption = "",
    at_once: AtOnceOption = 8,
    fields: Annotated[
        Path | None, typer.Option(help="A file of topics, one per line. Default: pipelines/topics.txt.")
    ] = None,
) -> None:
    """Have a language model assign a topic to each item."""
    from mmedc.bench.builder import read_topics, with_topics
    from mmedc.bench.cache import Cache
    from mmedc.questions import read_items, write_items
    from mmedc.shipped import shipped

    read, known = read_items(tuple(items)), read_topics(fields or shipped("pipelines") / "topics.txt")
    with Cache(f"{out}.answers") as cache, _progress("answers") as counting:
        found, without = with_topics(read, known, _backend(model, endpoint, at_once), cache, counting.update)
    write_items(found, out)
    typer.echo(f"{out}: {len(found):,} items, {without:,} without a topic, {len(known)} topics")


@app.command()
def review(
    items: ItemsArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The review sheet (CSV) to write.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="The share of the rationales of each language.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The seed of the random draw.")] = 0,
) -> None:
    """Write a sheet on which people mark the rationales that pass."""
    from mmedc.bench.builder import write_sheet
    from mmedc.questions import read_items

    count = write_sheet(read_items(tuple(items)), out, share, seed)
    typer.echo(f'{out}: {count:,} rationales; fill "passed" with yes or no, edit what you like')


@app.command()
def reviewed(
    items: ItemsArgument,
    sheet: Annotated[Path, typer.Option(help="The review sheet, filled in.", exists=True, dir_okay=False)],
    out: OutOption,
) -> None:
    """Apply a filled-in review sheet to the items."""
    from mmedc.bench.builder import read_sheet
    from mmedc.questions import read_items, write_items

    found, count = read_sheet(read_items(tuple(items)), sheet)
    write_items(found, out)
    typer.echo(f"{out}: {', '.join(f'{number:,} {what}' for what, number in count.items())}")


@app.command()
def judge(
    runs: Annotated[
        list[Path], typer.Argument(help="Two or more --out folders of `mmedc bench` runs with rationales.")
    ],
    items: Annotated[list[str], typer.Option("--items", help="The items that were scored. Repeatable.")],
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file of points (CSV) to write.")],
    endpoint: EndpointOption = "",
    at_once: AtOnceOption = 8,
    people: Annotated[
        Path | None, typer.Option(help="Points that people gave (CSV: id, run, points).", exists=True)
    ] = None,
) -> None:
    """Have a language model rank the rationales of several models, and compare its ranking with that of people."""
    from mmedc.bench.cache import Cache
    from mmedc.bench.judge import agreement, outputs_of, rank, read_points, write_points
    from mmedc.questions import read_items

    if len(runs) < 2:
        raise typer.BadParameter("name two runs or more")
    rationales = {run.name: outputs_of(run) for run in runs}
    with Cache(f"{out}.answers") as cache, _progress("rankings") as counting:
        found = rank(
            read_items(tuple(items)), rationales, _backend(model, endpoint, at_once), cache, on_progress=counting.update
        )
    write_points(found.points, out)
    typer.echo(f"{out}: {len(found.points):,} items ranked, {found.unranked:,} not")
    for name in rationales:
        own = [points[name] for points in found.points.values()]
        mean = f"{sum(own) / len(own):.3f} points of {len(rationales)}" if own else "no points"
        typer.echo(f"{name}: {mean}")
    if people:
        tau, count = agreement(found.points, read_points(people))
        typer.echo(f"Kendall's tau-b with people: {tau:.3f} over {count:,} items")
