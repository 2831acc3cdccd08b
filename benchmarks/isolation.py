"""What does it cost that parsers run in a process that may be killed? The same units with and without it, in turn.

python benchmarks/isolation.py [--warc FOLDER] [--rounds 5]
"""

import argparse
import glob
import statistics

import psutil

from mmedc.engine.chain import Chain
from mmedc.engine.child import stream
from mmedc.engine.supervisor import supervisor
from mmedc.engine.unit import Streamed, Unit
from mmedc.pipeline.ingest import ingest_pass
from mmedc.policy import read_policy
from mmedc.recipe import Recipe
from mmedc.shipped import shipped
from mmedc.sources import list_units


def cpu() -> float:
    """Return the CPU seconds of this process and of its parser process, whatever else the machine does."""
    me = psutil.Process()
    used = [one.cpu_times() for one in (me, *me.children())]
    return sum(one.user + one.system for one in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", default=str(shipped("pipelines") / "quickstart"))
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    files = sorted(glob.glob(f"{given.warc}/*.warc.gz"))
    recipe = Recipe.model_validate({"name": "isolation", "sources": {"pages": {"warc": files}}})
    one = ingest_pass(recipe, read_policy("balanced", recipe.languages), list_units(recipe))
    assert isinstance(one.work, Streamed)
    work, chain = one.work, Chain(one.work.steps)

    def here(unit: Unit) -> int:
        return sum(next(iter(made.funnel.values())).read for made in stream(work.source, chain, unit, 0, {}, 0))

    def there(unit: Unit) -> int:
        return sum(next(iter(made.funnel.values())).read for made in supervisor().produce(work, unit, lambda *_: None))

    times: dict[str, list[float]] = {"here": [], "there": []}
    read = 0
    for number in range(given.rounds + 1):
        for name, run in (("here", here), ("there", there)):
            begun = cpu()
            read = sum(run(unit) for unit in one.units)
            if number:  # in the first, models are loaded
                times[name].append(cpu() - begun)
    inside, outside = (statistics.median(times[name]) for name in ("here", "there"))
    ratios = sorted(b / a - 1 for a, b in zip(times["here"], times["there"], strict=True))
    print(f"{read:,} documents, {given.rounds} rounds in turn, median CPU seconds", end="; ")
    print(f"from {ratios[0]:+.1%} to {ratios[-1]:+.1%}")
    print("| in the worker itself | in a process that may be killed | cost |\n|--:|--:|--:|")
    print(f"| {inside:.2f} | {outside:.2f} | {outside / inside - 1:+.1%} |")


if __name__ == "__main__":
    main()
