"""Before a build runs on a cluster: which files its nodes must see as this machine does, and whether they do."""

import os
import sys
from collections.abc import Iterator

from mmedc import modules
from mmedc.engine.preflight import OnEachNode, Probe, Seen, Spread, check_nodes, examine, probes_of
from mmedc.engine.run import Runner
from mmedc.engine.unit import Pass, Streamed
from mmedc.models import Model
from mmedc.pipeline.ingest import Ingested
from mmedc.recipe import Recipe
from mmedc.sources import InputSplit
from mmedc.storage import Store

PROBED = 64
"""The number of inputs that every node is asked for, besides the first of each source."""


def guard(runner: Runner, store: Store, recipe: Recipe, ingest: Pass[InputSplit, Ingested]) -> None:
    """Have a runner that uses other nodes check what these see before it runs the first unit."""
    if isinstance(runner, Spread):
        runner.guard(lambda on_each_node: check_nodes(on_each_node, store, probes_of(files_read(recipe, ingest))))


def seen_by(
    on_each_node: OnEachNode, store: Store, recipe: Recipe, ingest: Pass[InputSplit, Ingested]
) -> tuple[tuple[Probe, ...], list[Seen]]:
    """Return the files that every node was asked for, and what each node sees."""
    probes = probes_of(files_read(recipe, ingest))
    return probes, examine(on_each_node, store, probes)


def files_read(recipe: Recipe, ingest: Pass[InputSplit, Ingested]) -> Iterator[tuple[str, str]]:
    """Yield (what it is for, URL) of files that units read: models, lists, modules, and some of the inputs."""
    for step in ingest.work.steps if isinstance(ingest.work, Streamed) else ():
        model = getattr(step, "model", None)
        if isinstance(model, Model):
            yield f"the model of {step.name}", model.path
    yield from (("block", path) for path in recipe.block)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if os.path.dirname(file) in modules.folders():
            yield "a module of the recipe", file
    inputs = [
        (unit.spec.source, each.url)
        for unit in ingest.units
        if unit.spec.config.format != "crawl"
        for each in unit.spec.inputs
    ]
    first = dict(reversed(inputs))
    for source, url in dict.fromkeys([*first.items(), *inputs[:: max(1, len(inputs) // PROBED)]]):
        if not url.startswith("hf://"):
            yield f"source {source}", url
