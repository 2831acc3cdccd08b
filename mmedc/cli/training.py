"""The commands about models: `train`, `export` and `bench`."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mmedc.cli.attended import attend
from mmedc.cli.options import MODELS, Interruption, JsonOption, QuietOption, SetOption, open_console
from mmedc.errors import RequestError

app = typer.Typer()


@app.command(rich_help_panel=MODELS)
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe with a `train` part, or a file of training settings.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder of the run, for checkpoints and metrics.")
    ] = None,
    sets: SetOption = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            "-a",
            help="The address of a Ray cluster on which to run the workers of Ray Train.",
            callback=attend,
        ),
    ] = None,
    inline: Annotated[
        bool, typer.Option("--inline", "-i", help="Run the token pass in this process, without Ray.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on published corpora. Run the same command again to resume from the last checkpoint."""
    from mmedc.api import runner
    from mmedc.engine.journal import Journal
    from mmedc.errors import RecipeError
    from mmedc.report.log import Watchers
    from mmedc.report.progress import Bars
    from mmedc.report.training import Table, plot
    from mmedc.storage import Store
    from mmedc.submit.stages import questions_of
    from mmedc.train.config import read_train
    from mmedc.train.launch import tokenised, train_on_ray
    from mmedc.train.launch import train as train_here

    settings = read_train(recipe, sets)
    folder = str(out or settings.out)
    if not folder:
        raise RecipeError(f"{recipe}: no `out` in the training, and no --out")
    questions = questions_of(settings.watch)
    console = open_console(stderr=True)
    bars = Bars(console, quiet or as_json)
    Interruption.said = "interrupted while texts became tokens; that part is kept: give the same command again"
    with Journal(Store(folder), settings.name, ("train",)) as journal:
        try:
            with runner(inline, address) as running:
                job = tokenised(settings, folder, running, Watchers(bars, journal), questions)
        finally:
            bars.close()
        journal.begin_stage("train")
        Interruption.said = "interrupted; no checkpoint was written yet: the same command begins again at step 0"
        with Table(console, job.settings.steps, quiet or as_json) as table, _told_what_is_kept(Path(folder)):

            def report(step: int, values: dict[str, float]) -> None:
                journal.note({"step": step + 1, **values})
                table.report(step, values)

            last = train_on_ray(job, address, report) if address else train_here(job, report)
        plot(Path(folder))
    typer.echo(
        json.dumps(last) if as_json else f"{folder}: {job.settings.steps:,} steps; curves in {folder}/curves.svg"
    )


@contextlib.contextmanager
def _told_what_is_kept(folder: Path) -> Iterator[None]:
    """Say, when the training is interrupted, from which checkpoint it would go on."""
    from mmedc.train.checkpoint import newest

    try:
        yield
    except KeyboardInterrupt:
        if found := newest(folder / "checkpoints"):
            Interruption.said = f"interrupted; {found[0]} is kept: give the same command again to go on from it"
        raise


@app.command(rich_help_panel=MODELS)
def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="The folder of a run (for its newest checkpoint), or of one checkpoint.")
    ],
    folder: Annotated[Path, typer.Argument(help="The Hugging Face folder to write. It must not exist.")],
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Write the adapters alone, not merged (model.lora).")
    ] = False,
) -> None:
    """Export a trained model as a Hugging Face folder: safetensors, configuration, tokenizer and card."""
    from mmedc.train.exporting import export as export_model

    typer.echo(str(export_model(checkpoint, folder, adapter)))


@app.command(rich_help_panel=MODELS)
def bench(
    recipe: Annotated[str, typer.Argument(help="A recipe with a `bench` part, or a file of benchmark settings.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder for items.jsonl and scores.json.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="The --out folder of an earlier run on the same items, to compare with.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A Hugging Face folder, instead of the recipe's. Repeatable: several are compared in a table.",
        ),
    ] = None,
    harness: Annotated[
        Path | None, typer.Option(help="Write tasks for lm-evaluation-harness to this folder, and score nothing.")
    ] = None,
    sets: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a model on multiple-choice questions: accuracy by language, with confidence intervals."""
    from mmedc.bench.config import read_bench
    from mmedc.bench.scoring import compare, score, selected
    from mmedc.counting import Counting
    from mmedc.report.scores import plot, report

    if against and not out:
        raise RequestError("--against needs --out, so that there are two scorings to compare")
    if models and len(models) > 1:
        _bench_several(recipe, models, out, sets or [], quiet, as_json, bool(against or harness))
        return
    sets = [*(sets or []), *(f"model={model}" for model in models or [])]
    settings = read_bench(recipe, [*(sets or []), *([f"out={out}"] if out else [])])
    if harness is not None:
        from mmedc.bench.harness import export as export_tasks

        items, examples = selected(settings)
        names = export_tasks(items, examples, settings, harness)
        chat = " --apply_chat_template" if settings.chat else ""
        command = f"lm_eval --model_args pretrained={settings.model} --include_path {harness} --tasks mmedc{chat}"
        typer.echo(f"{harness}: {len(names)} tasks; {command}")
        return
    with Counting(open_console(stderr=True), quiet or as_json) as counting:
        found = score(settings, counting.update)
    compared = compare(Path(settings.out), against) if against else {}
    if settings.out:
        plot(found, Path(settings.out))
    if as_json:
        typer.echo(json.dumps(found | ({"compared": compared} if compared else {})))
    else:
        open_console().print(report(found, compared))


def _bench_several(
    recipe: str, models: list[str], out: Path | None, sets: list[str], quiet: bool, as_json: bool, more: bool
) -> None:
    """Score several models on the same items, each into a folder of its own, and print one table of them."""
    from mmedc.bench.config import read_bench
    from mmedc.bench.scoring import compare_with_first, score
    from mmedc.counting import Counting
    from mmedc.report.scores import plot, side_by_side

    named = {Path(model).name: model for model in models}
    if out is None or more:
        raise RequestError("several --model need --out, and go without --against and --harness")
    if len(named) < len(models):
        raise RequestError(f"two of {', '.join(models)} have the same last name, which names their folders in {out}")
    found = {}
    for name, model in named.items():
        settings = read_bench(recipe, [*sets, f"model={model}", f"out={out / name}"])
        with Counting(open_console(stderr=True), quiet or as_json, what=f"answers of {name}") as counting:
            found[name] = score(settings, counting.update)
        plot(found[name], out / name)
    compared = compare_with_first([out / name for name in named])
    if as_json:
        typer.echo(json.dumps({"models": found, "compared": compared}))
    else:
        open_console().print(side_by_side(found, compared))
