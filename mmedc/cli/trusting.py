"""The commands for what is done with a finished corpus: `forget` and `mix`."""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmedc.cli.options import BUILD, MODELS, CorpusArgument, JsonOption, open_console
from mmedc.errors import OutcomeError, RequestError

if TYPE_CHECKING:
    from mmedc.mixing import Mixture

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
    from mmedc.forgetting import Kind, domain_key, entry, values_of
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
            [domain_key(value) for kind, value in plain if kind == "domain"],
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


@app.command(rich_help_panel=MODELS)
def mix(
    corpora: Annotated[
        list[str], typer.Argument(help="A corpus, or several as NAME=CORPUS; the names are those of `data.corpora`.")
    ],
    tokens: Annotated[
        str | None, typer.Option("--tokens", help="How much is read in all, such as 10B. Default: each once.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Weigh by tokens to this power: 1, as it is; 0, evenly.")
    ] = None,
    unimax: Annotated[
        bool, typer.Option("--unimax", help="Read evenly, the smallest first, none above --max-epochs (UniMax).")
    ] = False,
    by: Annotated[
        str, typer.Option("--by", help="What is weighed and shown: language, source, kind, bucket, corpus, component.")
    ] = "language",
    share: Annotated[
        list[str] | None,
        typer.Option("--share", help="A fixed share, as PATTERN=0.1, such as */ja=0.2 or general=0.1. Repeatable."),
    ] = None,
    max_epochs: Annotated[float, typer.Option("--max-epochs", help="How often a component may be read.")] = 4.0,
    over: Annotated[
        str, typer.Option("--over", help="Beyond it, `refuse`, or `cap` and read more of the others.")
    ] = "refuse",
    buckets: Annotated[
        str, typer.Option("--buckets", help="Bounds that divide components by quality, such as 0.5,0.8.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the mixture there, for `data.mixture` of a training.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a training would read of each language: tokens, epochs, who is starved or repeated, before you choose.

    Without --temperature, --unimax and --share, several laws are compared. The trainer computes shares by the same
    law, from the counts of its own tokenizer and without the documents that it holds out.
    """
    from mmedc.corpus.manifest import read_manifest
    from mmedc.mixing import allot
    from mmedc.report import mixed
    from mmedc.report.grid import Passage

    given = _named(corpora)
    law, chosen = _law(temperature, unimax, by, share, max_epochs, over, buckets)
    names = mixed.components(given, law.buckets)
    budget = _tokens(tokens) if tokens else float(sum(names.values()))
    found = allot(list(names), list(names.values()), law, budget)
    if out is not None:
        out.write_text(mixed.in_file(law, given, {name: read_manifest(url) for name, url in given.items()}), "utf-8")
    if as_json:
        typer.echo(json.dumps(mixed.as_json(found, law, law.by), ensure_ascii=False))
        return
    console = open_console()
    if chosen:
        console.print(mixed.mixture_screen(found, law, law.by))
    else:
        console.print(mixed.comparison(names, budget, law.by, max_epochs))
    if out is not None:
        console.print(Passage(f"{out}: written; put `data: {{mixture: {out.name}}}` into a training beside it"))


def _named(corpora: list[str]) -> dict[str, str]:
    """Return the corpora by their names; one without a name has that of its folder."""
    found: dict[str, str] = {}
    for given in corpora:
        name, equals, url = given.partition("=")
        if not equals or "/" in name:
            name, url = given.rstrip("/").rpartition("/")[2] or given, given
        if name in found:
            raise RequestError(f"two corpora are named {name}; give them names, as NAME=CORPUS")
        found[name] = url
    return found


def _law(
    temperature: float | None, unimax: bool, by: str, share: Values, max_epochs: float, over: str, buckets: str
) -> "tuple[Mixture, bool]":
    """Return the law that the options ask for, and whether they choose one. Raises: RequestError."""
    from mmedc.mixing import Mixture
    from mmedc.settings import checked
    from mmedc.yamlfile import YamlFile

    values: dict[str, Any] = {"by": by, "max_epochs": max_epochs, "over": over, "unimax": unimax}
    if temperature is not None:
        values["temperature"] = temperature
    try:
        values["buckets"] = [float(bound) for bound in buckets.split(",") if bound.strip()]
        pairs = [one.rpartition("=") for one in share or ()]
        values["shares"] = {pattern: float(value) for pattern, _, value in pairs}
    except ValueError as problem:
        raise RequestError(f"{problem}: --buckets takes numbers such as 0.5,0.8, --share PATTERN=NUMBER") from None
    law = checked(Mixture, YamlFile("the options", values))
    return law, bool(temperature is not None or unimax or share or over == "cap")


def _tokens(text: str) -> float:
    """Return a number of tokens such as 10B. Raises: RequestError."""
    found = re.fullmatch(r"\s*(\d[\d_,]*(?:\.\d+)?)\s*([kKmMbBgGtT]?)\s*", text)
    if not found or not float(found[1].replace(",", "").replace("_", "")):
        raise RequestError(f"--tokens {text}: expected a number such as 500M, 10B or 1T")
    unit = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}[found[2].lower()]
    return float(found[1].replace(",", "").replace("_", "")) * unit


@app.command(rich_help_panel=BUILD)
def publish(
    corpus: CorpusArgument,
    target: Annotated[
        str, typer.Argument(help="hf://datasets/OWNER/NAME[@BRANCH], s3://BUCKET/PREFIX, gs://…, or a folder.")
    ],
    more: Annotated[Values, typer.Option("--with", help="Send also `rejects`, `keys` or `crawl`. Repeatable.")] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Create the repository of the hub as a private one.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be sent.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a corpus on the Hugging Face hub, in an object store or in a folder; only what is missing is sent.

    Give the same command again after a stop, or for a new version. Tokens come from the environment or the profile of
    the machine. Sent are documents, statistics, card and manifest.
    """
    from mmedc.pipeline.push import OPTIONAL, publication
    from mmedc.report.pushed import as_json as json_of
    from mmedc.report.pushed import screen
    from mmedc.yamlfile import nearest

    for name in more or ():
        if name not in OPTIONAL:
            raise RequestError(f"--with {name}: no such part{nearest(name, OPTIONAL)}")
    found = publication(corpus, target, more or (), private)
    if not dry_run:
        with open_console(stderr=True).status("sending") as status:
            found.send(lambda path: status.update(f"sending {path}"))
    if as_json:
        typer.echo(json.dumps(json_of(found, not dry_run)))
    else:
        open_console().print(screen(found, not dry_run))
