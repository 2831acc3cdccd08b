"""The commands `mmedc items …`: questions made and converted. Thin; nothing heavy is imported before it is needed."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Benchmark questions: convert, explain, check, file by topic.", no_args_is_help=True)

OutOption = Annotated[Path, typer.Option("--out", help="The file of items to write (JSON lines).")]


@app.command()
def convert(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help="medqa-usmle, igakuqa, headqa …; docs/scoring.md.")],
    paths: Annotated[list[str], typer.Argument(help="Files, folders or patterns; local, s3:// or hf://.")],
    out: OutOption,
) -> None:
    """Turn a question set in its maker's format into items; what can't be one is counted."""
    from mmedc.bench.formats import convert as converted
    from mmedc.bench.items import write_items

    found = converted(name, paths)
    write_items(found.items, out)
    several = sum(len(item.gold) > 1 for item in found.items)
    typer.echo(f"{out}: {len(found.items):,} items, {several:,} with several right answers")
    for reason, (count, first) in sorted(found.rejects.items(), key=lambda one: -one[1][0]):
        typer.echo(f"left out {count:,}: {reason} (first: {first})", err=True)
    if not found.items:
        raise typer.Exit(1)
