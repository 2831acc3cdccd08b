"""The commands for what may be published: `forget`."""

import json
import os
from typing import Annotated

import typer

from mmedc.cli.options import BUILD, CorpusArgument, JsonOption, open_console
from mmedc.errors import OutcomeError, RequestError

app = typer.Typer()

Values = list[str] | None


@app.command(rich_help_panel=BUILD)
def forget(
    corpus: CorpusArgument,
    url: Annotated[Values, typer.Option("--url", help="The URL or locator of a document, or a file of such.")] = None,
    domain: Annotated[Values, typer.Option("--domain", help="A domain with all below it, or a file of such.")] = None,
    doi: Annotated[Values, typer.Option("--doi", help="The DOI of a document, or a file of such.")] = None,
    id_: Annotated[Values, typer.Option("--id", help="The id of a document, or a file of such.")] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Write the new version there, and leave this one as it is.")
    ] = None,
    neighbours: Annotated[
        bool, typer.Option("--with-neighbours", help="Forget documents that are nearly the same too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be forgotten.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a version of a corpus in which nothing is left of certain documents, and scan it for what is.

    Shards, keys, rejects, samples, statistics, card and the WARC files of a crawl are written anew; what the build
    left in .work/ is deleted. The manifest keeps hashes of what was asked for, and `mmedc run` refuses to bring it
    back. Give the same command again after a stop. Exit code 1: something is left.
    """
    from mmedc.forgetting import Kind, entry, values_of
    from mmedc.pipeline.forget import forget as forget_in
    from mmedc.report import forgot

    given: list[tuple[Kind, Values]] = [("url", url), ("domain", domain), ("doi", doi), ("id", id_)]
    asked: list[tuple[Kind, str]] = []
    for kind, values in given:
        for value in values or ():
            asked += [(kind, one) for one in (values_of(kind, value) if os.path.isfile(value) else [value])]
    if not asked:
        raise RequestError("nothing to forget is given; give --url, --domain, --doi or --id")
    if out and os.path.abspath(out) == os.path.abspath(corpus):
        raise RequestError(f"--out {out}: is the corpus itself; leave --out out to replace it")
    entries = tuple(sorted({entry(kind, value) for kind, value in asked}))
    plain = [(kind, value) for kind, value in asked if not value.startswith("sha256:")]
    with open_console(stderr=True).status("looking") as status:
        outcome = forget_in(
            corpus,
            entries,
            [value for kind, value in plain if kind == "url"],
            [value.lower() for kind, value in plain if kind == "domain"],
            out or "",
            neighbours,
            dry_run,
            lambda name: status.update(f"scanning {name}"),
        )
    unmatched = forgot.unmatched(outcome, asked)
    if as_json:
        typer.echo(json.dumps(forgot.as_json(outcome, unmatched), ensure_ascii=False))
    else:
        open_console().print(forgot.screen(outcome, unmatched))
    if outcome.traces:
        raise OutcomeError(f"{outcome.corpus}: {forgot.left_over(outcome.traces)}")
