"""The steps of ingest in this process, with and without the cascade: what each costs, what each keeps."""

import time
from pathlib import Path

from mmedc.engine.chain import Chain, Funnel, add_funnel
from mmedc.engine.child import stream
from mmedc.pipeline.ingest import ingest_pass
from mmedc.policy import read_policy
from mmedc.recipe import Recipe
from mmedc.sources import list_units

CASCADE = ("prefilter", "preview")


def recipe_of(warc: str) -> Recipe:
    """Return the recipe of a web corpus from the WARC files of a folder."""
    path = str(Path(warc).resolve() / "*.warc.gz")
    return Recipe.model_validate({"name": "benchmark", "sources": {"pages": {"warc": path}}})


def ingest(recipe: Recipe, without: tuple[str, ...] = ()) -> tuple[Funnel, list[str], float]:
    """Run ingest but for the steps named in `without`; return (funnel, locators kept, seconds)."""
    policy = read_policy(recipe.medical.policy, recipe.languages, recipe.filters)
    units = list_units(recipe)
    work = ingest_pass(recipe, policy, units).work
    chain = Chain(tuple(step for step in work.steps if step.name not in without))
    source = work.source
    funnel: Funnel = {}
    kept: list[str] = []
    begun = time.perf_counter()
    for unit in units:
        for produced in stream(source, chain, unit, 0, {}, 0):
            add_funnel(funnel, produced.funnel)
            if produced.kept is not None:
                kept += produced.kept.column("locator").to_pylist()
    return funnel, kept, time.perf_counter() - begun


def table(funnel: Funnel) -> str:
    """Return the funnel with its costs as Markdown."""
    lines = ["| step | read | kept | seconds | ms a document |", "|---|--:|--:|--:|--:|"]
    for step, count in funnel.items():
        each = 1000 * count.seconds / max(count.read, 1)
        lines.append(f"| {step} | {count.read:,} | {count.kept:,} | {count.seconds:.2f} | {each:.2f} |")
    return "\n".join(lines)
