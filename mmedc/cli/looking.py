"""The commands that ask about a build (`rejects`, `what-if`, `diff`, `clean`), or about this machine (`doctor`)."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mmedc.cli.corpora import write_page
from mmedc.cli.options import LOOK, SETUP, CorpusArgument, JsonOption, open_console

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def rejects(
    corpus: CorpusArgument,
    reason: Annotated[str | None, typer.Option("--reason", help="Show only what was removed for this reason.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Show only documents of this source.")] = None,
    language: Annotated[str | None, typer.Option("--lang", "-l", help="Show only documents in this language.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The number of samples of each reason.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Show why documents were removed: the reasons with their counts, then samples of each."""
    from mmedc.report.rejected import rejected, rejects_tables

    found = rejected(corpus, reason, source, language, limit)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        open_console().print(rejects_tables(found))


@app.command("what-if", rich_help_panel=LOOK)
def what_if(
    corpus: CorpusArgument,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", help="A limit, as policy.all.medical_model.min=0.8, or medical.policy=NAME. Repeatable."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many documents other limits would keep, from the stored scores. Builds and changes nothing."""
    from mmedc.report.what_if import what_if as answer
    from mmedc.report.what_if import what_if_tables

    found = answer(corpus, sets or ())
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        open_console().print(what_if_tables(found))


@app.command(rich_help_panel=LOOK)
def diff(
    a: Annotated[str, typer.Argument(help="The folder of a corpus, or its s3:// URL.")],
    b: Annotated[str, typer.Argument(help="The corpus to compare with it.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The number of samples of each reason.")] = 3,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write it to this file, as one page that opens offline.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two corpora: the documents that B lost, gained and changed, by reason, language and source."""
    from mmedc.report.difference import difference, difference_tables

    found = difference(a, b, limit)
    if html:
        from mmedc.report.difference_page import difference_page

        write_page(html, difference_page(found))
    elif as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        open_console().print(difference_tables(found))


@app.command(rich_help_panel=LOOK)
def clean(
    corpus: CorpusArgument,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete. Without it, only say what would be deleted.")
    ] = False,
    abandoned: Annotated[
        bool, typer.Option("--abandoned", help="Delete also what an unfinished build left that will not be resumed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete what earlier builds left in .work/ and the published corpus does not need.

    The corpus is not touched, and its build can be continued as before. While a build runs, nothing is deleted.
    """
    from mmedc.corpus.leftovers import leftovers, remove
    from mmedc.report.tables import human_bytes, leftovers_table

    found = remove(corpus, abandoned) if yes else leftovers(corpus, abandoned)
    freed, files = sum(each.freed for each in found), sum(len(each.files) for each in found)
    if as_json:
        passes = [{"folder": each.folder, "files": len(each.files), "freed": each.freed} for each in found]
        typer.echo(json.dumps({"deleted": yes, "files": files, "freed": freed, "passes": passes}))
        return
    if not found:
        typer.echo(f"{corpus}: nothing to delete; the corpus needs all that is in .work/")
        return
    open_console().print(leftovers_table(found))
    done = "deleted" if yes else "would be deleted; --yes deletes them"
    typer.echo(f"{files:,} files, {human_bytes(freed)} {'freed' if yes else 'to be freed'}: {done}")


@app.command(rich_help_panel=SETUP)
def doctor(
    address: Annotated[
        str | None,
        typer.Option("--address", "-a", help="The HOST:PORT of a Ray cluster, to see whether it answers."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check this machine: versions, models, Ray, memory, disks, optional packages, and how to get what is missing.

    Exits with 1 if something is missing that every build needs.
    """
    from mmedc.report import doctor as checks

    rows = checks.examine(address)
    if as_json:
        typer.echo(json.dumps(checks.as_json(rows), ensure_ascii=False))
    else:
        open_console().print(checks.doctor_tables(rows))
    if any(row.state == "missing" for row in rows):
        raise typer.Exit(1)
