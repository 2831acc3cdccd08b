"""The command `mmedc`. Thin: parse, call, show. Nothing heavy is imported before a command needs it.

Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted (resumable).
"""

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmedc.bench.commands import app as items_app
from mmedc.errors import MmedcError, RequestError
from mmedc.fit.commands import app as fit_app
from mmedc.redact import redact

if TYPE_CHECKING:
    from mmedc.corpus.manifest import Manifest
    from mmedc.pipeline.build import Build
    from mmedc.train.accuracy import MultipleChoice
    from mmedc.train.config import Watch

INTERRUPTED = 130

app = typer.Typer(
    help="Build multilingual medical corpora for language-model pretraining; train and score models on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="Manage the model files that steps need.", no_args_is_help=True)
filters_app = typer.Typer(help="Check the terms and limits in filters/.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(filters_app, name="filters")
app.add_typer(fit_app, name="fit")
app.add_typer(items_app, name="items")

RecipeArgument = Annotated[
    str, typer.Argument(help="A recipe file, or the name of a shipped recipe such as quickstart or web.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a value of the recipe, as key.sub=value. Repeatable.")
]
OutOption = Annotated[str | None, typer.Option("--out", help="Where to write the corpus: a folder or an s3:// URL.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
CorpusArgument = Annotated[str, typer.Argument(help="The folder of a corpus, or its s3:// URL.")]


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    _State.debug = debug


class _State:
    debug = False


def _prepare(recipe: str, out: str | None, sets: list[str] | None) -> "Build":
    from mmedc.api import prepare, read_recipe

    return prepare(read_recipe(recipe, sets or ()), out)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to write to. It is created if needed.")] = Path("."),
) -> None:
    """Copy a starter recipe and the policies into a folder, for you to edit."""
    from mmedc.shipped import shipped

    policies = shipped("filters") / "policies"
    files = {folder / "recipe.yaml": shipped("pipelines") / "web.yaml"}
    files[folder / "recipe.schema.json"] = shipped("pipelines") / "recipe.schema.json"  # its first line names it
    files[folder / "filters" / "policy.schema.json"] = policies.parent / "policy.schema.json"
    files |= {folder / "filters" / "policies" / path.name: path for path in sorted(policies.glob("*.yaml"))}
    taken = [target for target in files if target.exists()]
    if taken:
        raise RequestError(f"{taken[0]}: exists already; choose another folder")
    for target, path in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        if target.name == "recipe.yaml":
            text = text.replace("# filters: filters", "filters: filters")
        target.write_text(text, encoding="utf-8")
        typer.echo(str(target))


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

    console = _console()
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
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
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
    console = _console(stderr=True)
    bars = Bars(console, quiet or as_json)
    watcher = Watchers(bars, *([Log(log)] if log else []))
    try:
        with runner(inline, address, cpus) as running:
            manifest = build.run(running, watcher)
    finally:
        bars.close()
    _show_stats(build.store.url, manifest, as_json, seconds=bars.seconds)
    if not manifest.documents:
        typer.echo(
            f"warning: {build.store.url}: no document was kept; `mmedc stats` shows which step removed them and why, "
            "rejects/quarantine.parquet has what broke a step",
            err=True,
        )


@app.command()
def stats(corpus: CorpusArgument, as_json: JsonOption = False) -> None:
    """Show what a corpus contains, and its funnel: what each step kept and dropped, and why."""
    from mmedc.api import open_corpus

    _show_stats(corpus, open_corpus(corpus).manifest, as_json)


def _show_stats(corpus: str, manifest: "Manifest", as_json: bool, **more: Any) -> None:
    from mmedc.corpus.manifest import stats as stats_of
    from mmedc.corpus.tokens import counts_by_tokenizer

    found, tokenizers = stats_of(manifest), counts_by_tokenizer(corpus)
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json") | {"tokenizers": tokenizers} | more))
    else:
        from mmedc.report.tables import stats_tables

        _console().print(stats_tables(corpus, found, tokenizers))


@app.command()
def verify(corpus: CorpusArgument) -> None:
    """Hash every file and check every count against the manifest. Fails at the first difference."""
    from mmedc.api import Corpus

    manifest = Corpus(corpus).verify()
    typer.echo(f"{corpus}: {len(manifest.shards)} shards, {manifest.documents:,} documents, all as the manifest says")
    typer.echo(manifest.digest)


@app.command()
def explain(
    target: Annotated[str, typer.Argument(help="The file of a page or text, or the URL of a document in the sources.")],
    recipe: Annotated[
        str, typer.Option("--recipe", help="The recipe with the sources, steps and policy.")
    ] = "quickstart",
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one document through every step; show what each step saw, and why the document is kept or removed."""
    from dataclasses import asdict

    from mmedc.recipe import read_recipe
    from mmedc.report.explain import explain as explain_document

    found = explain_document(read_recipe(recipe, sets), target)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
        return
    from mmedc.report.tables import explanation

    _console().print(explanation(found))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe with a `train` part, or a file of training settings.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder of the run, for checkpoints and metrics.")
    ] = None,
    sets: SetOption = None,
    address: Annotated[
        str | None, typer.Option(help="The address of a Ray cluster on which to run the workers of Ray Train.")
    ] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Run the token pass in this process, without Ray.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on published corpora. Run the same command again to resume from the last checkpoint."""
    from mmedc.api import runner
    from mmedc.errors import RecipeError
    from mmedc.report.progress import Bars
    from mmedc.report.training import Table, plot
    from mmedc.train.config import read_train
    from mmedc.train.launch import tokenised, train_on_ray
    from mmedc.train.launch import train as train_here

    settings = read_train(recipe, sets)
    folder = str(out or settings.out)
    if not folder:
        raise RecipeError(f"{recipe}: no `out` in the training, and no --out")
    questions = _questions(settings.watch) if settings.watch.questions else ()
    console = _console(stderr=True)
    bars = Bars(console, quiet or as_json)
    try:
        with runner(inline, address) as running:
            job = tokenised(settings, folder, running, bars, questions)
    finally:
        bars.close()
    with Table(console, job.settings.steps, quiet or as_json) as table:
        last = train_on_ray(job, address, table.report) if address else train_here(job, table.report)
    plot(Path(folder))
    typer.echo(
        json.dumps(last) if as_json else f"{folder}: {job.settings.steps:,} steps; curves in {folder}/curves.svg"
    )


def _questions(watch: "Watch") -> tuple["MultipleChoice", ...]:
    from mmedc.bench.config import Bench
    from mmedc.bench.scoring import comparisons
    from mmedc.train.accuracy import MultipleChoice

    asked = comparisons(Bench(model="", items=watch.questions, limit=watch.questions_limit))
    return tuple(MultipleChoice(*one) for one in asked)


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="The folder of a run (for its newest checkpoint), or of one checkpoint.")
    ],
    folder: Annotated[Path, typer.Argument(help="The Hugging Face folder to write. It must not exist.")],
) -> None:
    """Export a trained model as a Hugging Face folder: safetensors, configuration, tokenizer and card."""
    from mmedc.train.exporting import export as export_model

    typer.echo(str(export_model(checkpoint, folder)))


@app.command()
def contamination(corpus: CorpusArgument, as_json: JsonOption = False) -> None:
    """Show the benchmark questions that were found in documents, with both sides."""
    from mmedc.corpus.manifest import read_reject

    rows = read_reject(corpus, "contamination", "name the questions in the recipe's `decontaminate`")
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    from mmedc.report.duplicates import contamination_tables

    _console().print(contamination_tables(rows))


@app.command()
def duplicates(
    corpus: CorpusArgument,
    lines: Annotated[
        bool, typer.Option("--lines", help="Show the lines that were removed from most documents instead.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the largest clusters of duplicates and the least similar ones: what was kept, what was removed."""
    from mmedc.corpus.manifest import read_reject

    name, hint = "clusters", "it was built by an older version; build it again"
    if lines:
        name, hint = "lines", "put `lines: true` under the recipe's `dedup`"
    rows = read_reject(corpus, name, hint)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    from mmedc.report.duplicates import cluster_tables, line_table

    _console().print(line_table(rows) if lines else cluster_tables(rows))


@app.command()
def bench(
    recipe: Annotated[str, typer.Argument(help="A recipe with a `bench` part, or a file of benchmark settings.")],
    out: Annotated[Path | None, typer.Option("--out", help="The folder for items.jsonl and scores.json.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="The --out folder of an earlier run on the same items, to compare with.")
    ] = None,
    harness: Annotated[
        Path | None, typer.Option(help="Write tasks for lm-evaluation-harness to this folder, and score nothing.")
    ] = None,
    sets: SetOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score a model on multiple-choice questions: accuracy by language, with confidence intervals."""
    from mmedc.bench.config import read_bench
    from mmedc.bench.progress import Counting
    from mmedc.bench.scoring import compare, score, selected
    from mmedc.report.scores import plot, report

    if against and not out:
        raise RequestError("--against needs --out, so that there are two scorings to compare")
    settings = read_bench(recipe, [*(sets or []), *([f"out={out}"] if out else [])])
    if harness is not None:
        from mmedc.bench.harness import export as export_tasks

        items, examples = selected(settings)
        names = export_tasks(items, examples, settings, harness)
        chat = " --apply_chat_template" if settings.chat else ""
        command = f"lm_eval --model_args pretrained={settings.model} --include_path {harness} --tasks mmedc{chat}"
        typer.echo(f"{harness}: {len(names)} tasks; {command}")
        return
    with Counting(_console(stderr=True), quiet or as_json) as counting:
        found = score(settings, counting.update)
    compared = compare(Path(settings.out), against) if against else {}
    if settings.out:
        plot(found, Path(settings.out))
    if as_json:
        typer.echo(json.dumps(found | ({"compared": compared} if compared else {})))
    else:
        _console().print(report(found, compared))


@models_app.command("get")
def models_get(name: Annotated[str, typer.Argument(help="The name of the model: lid.")]) -> None:
    """Download a model file into the cache of this machine, and check its SHA-256."""
    from mmedc.filters import open_filters

    typer.echo(str(open_filters().get_model(name)))


@filters_app.command("check")
def filters_check(
    languages: Annotated[list[str] | None, typer.Argument(help="The languages to check. Default: all.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--filters", help="A folder whose files override the shipped ones.")
    ] = None,
) -> None:
    """Check lexicons and stop words for duplicate terms, wrong scripts, and terms too short or too general."""
    from mmedc.filters import open_filters
    from mmedc.lexicon import problems_of

    filters = open_filters(str(folder) if folder else None)
    problems = []
    for code in languages or filters.languages():
        language = filters.language(code)
        problems += problems_of(language)
        forms = sum(len(term.forms) for term in language.lexicon)
        typer.echo(f"{code}: {len(language.lexicon)} terms, {forms} forms, {len(language.stopwords)} stop words")
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


@app.command()
def schema(
    name: Annotated[str, typer.Argument(help="The kind of file: recipe, train, bench, policy or manifest.")] = "recipe",
) -> None:
    """Print the JSON Schema of a recipe, of training or benchmark settings, of a policy, or of a manifest."""
    from mmedc.report.schema import SCHEMAS
    from mmedc.report.schema import schema as schema_of

    if name not in SCHEMAS:
        raise RequestError(f"{name}: no such schema; known: {', '.join(SCHEMAS)}")
    typer.echo(json.dumps(schema_of(name), indent=1, ensure_ascii=False))


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    console = Console(stderr=stderr)
    # A table in a file or a pipe is not cut at 80 columns.
    return console if console.is_terminal else Console(stderr=stderr, width=180)


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
    # Not by way of SIGINT, which is ignored in what a shell runs in the background.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # bars of loading and saving, below our own
    try:
        code = int(app(standalone_mode=False) or 0)  # what `typer.Exit` carries is returned, not raised
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except MmedcError as problem:
        if _State.debug:
            raise
        typer.echo(f"error: {redact(str(problem))}", err=True)
        code = problem.exit_code
    except Exception as problem:
        if _State.debug:
            raise
        show = getattr(problem, "show", None)  # click's own errors of usage know how they look
        if show is not None:
            show()
            code = getattr(problem, "exit_code", 2)
        else:
            typer.echo(
                f"error: {type(problem).__name__}: {redact(str(problem))}\nThis is a defect; --debug shows where.",
                err=True,
            )
            code = 1
    if code == INTERRUPTED:  # typer turns Ctrl-C into this
        typer.echo("interrupted; committed units are kept: give the same command again to resume", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
