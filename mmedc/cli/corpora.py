"""The commands that look at a corpus: `stats`, `verify`, `explain`, `contamination` and `duplicates`."""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmedc.cli.options import LOOK, CorpusArgument, JsonOption, SetOption, open_console
from mmedc.errors import CorpusError, RequestError

if TYPE_CHECKING:
    from rich.console import Console

    from mmedc.corpus.manifest import Manifest
    from mmedc.recipe import Recipe
    from mmedc.report.explain import Explanation

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def stats(
    corpus: CorpusArgument,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="Show instead what became of the records by `source` or `language`; or what is there by `licence`.",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what a corpus contains, and its funnel: what each step kept and dropped, and why."""
    from mmedc.api import open_corpus

    manifest = open_corpus(corpus).manifest
    if by == "licence":
        _show_licences(corpus, as_json)
    elif by:
        _show_shares(corpus, manifest, by, as_json)
    else:
        show_stats(corpus, manifest, as_json)


def show_stats(corpus: str, manifest: "Manifest", as_json: bool, **more: Any) -> None:
    """Print what a corpus contains, and why it is not what was asked for; `more` are further keys of the JSON."""
    from dataclasses import asdict

    from mmedc.corpus.manifest import stats as stats_of
    from mmedc.corpus.outcome import problems_of
    from mmedc.corpus.tokens import counts_by_tokenizer
    from mmedc.report.crawled import crawled_json, crawled_tables, read_crawled, read_optouts

    crawled = read_crawled(corpus, manifest)
    optouts = read_optouts(corpus, manifest) if crawled else []
    found, tokenizers, problems = stats_of(manifest), counts_by_tokenizer(corpus), problems_of(manifest)
    if as_json:
        more |= {"tokenizers": tokenizers, "problems": [asdict(problem) for problem in problems]}
        more |= {"policies": manifest.policies} if manifest.policies else {}
        more |= {"crawl": crawled_json(crawled, optouts)} if crawled else {}
        typer.echo(json.dumps(found.model_dump(mode="json") | more))
        return
    from mmedc.report.shares import problems_table, shares_table
    from mmedc.report.tables import stats_tables

    console = open_console()
    if problems and not manifest.documents:
        console.print(problems_table(problems), "", sep="\n")
    console.print(stats_tables(corpus, found, tokenizers))
    if len(manifest.by_source) > 1:
        console.print("", shares_table(manifest.by_source, "source"), sep="\n")
    if manifest.policies:
        own = ", ".join(f"{source} by {policy}" for source, policy in manifest.policies.items())
        console.print("", f"Judged by a policy of its own: {own}; all other sources by {manifest.policy}.", sep="\n")
    if crawled:
        console.print("", crawled_tables(crawled, optouts), sep="\n")
    if problems and manifest.documents:
        console.print("", problems_table(problems), sep="\n")


def _show_shares(corpus: str, manifest: "Manifest", by: str, as_json: bool) -> None:
    shares = {"source": manifest.by_source, "language": manifest.by_language}
    if by not in shares:
        near = "".join(f'; did you mean "{one}"?' for one in get_close_matches(by, [*shares, "licence"], 1))
        raise RequestError(f"--by {by}: expected source, language or licence{near}")
    if not shares[by]:
        raise CorpusError(f"{corpus}: it was built by an older version, without these counts; run its recipe again")
    if as_json:
        typer.echo(json.dumps([share.model_dump(mode="json") | {"read": share.read} for share in shares[by]]))
        return
    from mmedc.report.shares import shares_table

    open_console().print(shares_table(shares[by], by))


def _show_licences(corpus: str, as_json: bool) -> None:
    from dataclasses import asdict

    from mmedc.api import open_corpus
    from mmedc.report.licences import COLUMNS, licence_tables, licences_of

    opened = open_corpus(corpus)
    found = licences_of(opened.manifest, opened.documents(columns=COLUMNS, batch_rows=50_000))
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        open_console().print(licence_tables(found))


@app.command(rich_help_panel=LOOK)
def report(
    corpus: CorpusArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("report.html"),
) -> None:
    """Write what a corpus contains, and how it was made, as one page that opens offline and prints.

    While a build is under way, the page shows what is committed.
    """
    from mmedc.report.corpus_report import report as page
    from mmedc.report.facts import facts_of

    write_page(out, page(facts_of(corpus)))


def write_page(out: Path, page: str) -> None:
    """Write a page and say where. Raises: RequestError where it can't be written."""
    from mmedc.report.tables import human_bytes

    try:
        out.write_text(page, encoding="utf-8")
    except OSError as problem:
        raise RequestError(
            f"--out {out}: can't be written ({problem.strerror or problem}); name another file"
        ) from None
    typer.echo(f"{out}: {human_bytes(len(page.encode()))}; open it in a browser")


@app.command(rich_help_panel=LOOK)
def verify(corpus: CorpusArgument, as_json: JsonOption = False) -> None:
    """Hash every file and check every count against the manifest. Fails at the first difference."""
    from mmedc.api import Corpus
    from mmedc.corpus.outcome import counted
    from mmedc.errors import VerifyError

    try:
        manifest = Corpus(corpus).verify()
    except VerifyError as problem:
        if as_json:
            typer.echo(json.dumps({"corpus": corpus, "sound": False, "problem": str(problem)}))
        raise
    if as_json:
        counts = {"shards": len(manifest.shards), "files": len(manifest.files), "documents": manifest.documents}
        typer.echo(json.dumps({"corpus": corpus, "sound": True, **counts, "digest": manifest.digest}))
        return
    found = f"{counted(len(manifest.shards), 'shard')}, {counted(manifest.documents, 'document')}"
    typer.echo(f"{corpus}: {found}, all as the manifest says")
    typer.echo(manifest.digest)


@app.command(rich_help_panel=LOOK)
def explain(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="The file of a page or text; a record of a file: FILE#line=3; or the URL, locator or id of a document."
        ),
    ],
    corpus: Annotated[
        str | None,
        typer.Option("--corpus", "-c", help="Say what happened to the documents in the build of this corpus."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="The recipe with the sources, steps and policy. [quickstart]")
    ] = None,
    sets: SetOption = None,
    pages: Annotated[
        str | None, typer.Option("--pages", help="Say page by page how a PDF is read: `3-9,12`, or `all`.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write the pages of a PDF, each picture beside its text, to this file."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each step saw in a document, and why the document is kept or removed.

    Without --corpus, ingest and the limits are applied. Deduplication, decontamination and the removal of lines compare
    documents with others; with --corpus, the command says what they did in a build. JSON: one object a line.
    """
    from dataclasses import asdict

    from rich.console import Group

    from mmedc.recipe import read_recipe
    from mmedc.report.explain import explain as explain_document
    from mmedc.report.explained import ALONE, documents, explanation, fate
    from mmedc.report.fate import Fate, fates
    from mmedc.report.record import SeveralRecords

    if corpus and (recipe or sets):
        raise RequestError("--corpus tells of a build with the recipe that it had: leave --recipe and --set out")
    if pages or html:
        _explain_pages(targets, recipe, sets, pages, html, as_json)
        return
    settings = None if corpus else read_recipe(recipe or "quickstart", sets)
    console, problems = open_console(), []
    for number, target in enumerate(targets):
        found: list[Explanation] | list[Fate]
        paged = settings is not None and _show_pages(settings, target, console, as_json)
        try:
            found = [explain_document(settings, target)] if settings else fates(corpus or "", target)
        except SeveralRecords as several:
            if paged:
                console.print(f"It {str(several).partition(': ')[2]}", markup=False, highlight=False)
            else:
                problems.append(str(several))
            continue
        except RequestError as problem:  # costs no other answer
            problems.append(str(problem))
            continue
        if as_json:
            for one in found:
                typer.echo(json.dumps(asdict(one), ensure_ascii=False))
        else:
            told = [fate(one) if isinstance(one, Fate) else explanation(one) for one in found]
            console.print(*([""] if number else []), documents(target, found) if len(found) > ALONE else Group(*told))
    if problems:
        raise RequestError("\n".join(problems))


def _show_pages(settings: "Recipe", target: str, console: "Console", as_json: bool) -> bool:
    """Show how the pages of a target are read if it is a PDF; return whether they were shown."""
    from mmedc.report import pages as report

    if as_json or not report.is_pdf(target):
        return False
    try:
        found = report.explain_pages(target, settings, most=report.FIRST_PAGES)
    except RequestError:  # a PDF that cannot be opened: its record says why
        return False
    console.print(report.overview(found), "")
    return True


def _explain_pages(
    targets: list[str], recipe: str | None, sets: list[str] | None, pages: str | None, html: Path | None, as_json: bool
) -> None:
    """Say page by page how PDF files are read."""
    from mmedc.recipe import read_recipe
    from mmedc.report import pages as report

    settings = read_recipe(recipe or "quickstart", sets)
    for target in targets:
        found = report.explain_pages(target, settings, "" if pages in (None, "all") else str(pages))
        if html:
            html.write_text(report.html(found), encoding="utf-8")
        if as_json:
            typer.echo(json.dumps(report.as_json(found), ensure_ascii=False))
        else:
            open_console().print(report.screen(found))
            if html:
                typer.echo(f"written: {html}")


@app.command(rich_help_panel=LOOK)
def contamination(corpus: CorpusArgument, as_json: JsonOption = False) -> None:
    """Show the benchmark questions that were found in documents, with both sides."""
    from mmedc.corpus.manifest import read_reject

    rows = read_reject(corpus, "contamination", "name the questions in the recipe's `decontaminate`")
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    from mmedc.report.duplicates import contamination_tables

    open_console().print(contamination_tables(rows))


@app.command(rich_help_panel=LOOK)
def duplicates(
    corpus: CorpusArgument,
    lines: Annotated[
        bool, typer.Option("--lines", help="Show the lines that were removed from most documents instead.")
    ] = False,
    language: Annotated[
        str | None, typer.Option("--lang", "-l", help="Show only clusters, or lines, in this language.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, help="The number of clusters, or lines; JSON has all.")
    ] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the largest clusters of duplicates and the least similar ones: what was kept, what was removed."""
    from mmedc.corpus.manifest import read_manifest, read_reject

    name, hint = "clusters", "it was built by an older version; build it again"
    if lines:
        name, hint = "lines", "put `lines: true` under the recipe's `dedup`"
    from mmedc.report.duplicates import cluster_tables, in_language, line_table
    from mmedc.yamlfile import nearest

    rows = read_reject(corpus, name, hint)
    if language:
        known = {*read_manifest(corpus).languages, *(row["lang"] for row in rows)} - {""}
        if language not in known:
            raise RequestError(f'{corpus}: has no language "{language}"{nearest(language, sorted(known))}')
        rows = in_language(rows, language, "lang" if lines else "cluster")
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    open_console().print(line_table(rows, limit) if lines else cluster_tables(rows, limit))
