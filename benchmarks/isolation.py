"""What does it cost that parsers run in a process that may be killed? The same units with and without it, in turn.

python benchmarks/isolation.py [--warc FOLDER] [--rounds 5]
"""

import argparse
import glob
import statistics
import tempfile

import psutil

from mmedc.build.gather import gather_pass
from mmedc.engine.run import run_unit
from mmedc.policy import read_policy
from mmedc.recipe import Recipe
from mmedc.shipped import shipped
from mmedc.sources import list_units
from mmedc.storage import Store


def cpu() -> float:
    """Return the CPU seconds of this process and of its parser process: other work on the machine leaves them alone."""
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
    one = gather_pass(recipe, read_policy("balanced", recipe.languages), list_units(recipe))
    times: dict[bool, list[float]] = {True: [], False: []}
    read = 0
    for number in range(given.rounds + 1):
        for isolate in (True, False):
            read = 0
            with tempfile.TemporaryDirectory() as folder:
                begun = cpu()
                for unit in one.units:
                    read += run_unit(one, unit, Store(folder), lambda *_: None, isolate).funnel["read"].read
                if number:  # the first loads models
                    times[isolate].append(cpu() - begun)
    inside, outside = (statistics.median(times[isolate]) for isolate in (False, True))
    print(f"{read:,} documents, {given.rounds} rounds in turn, median CPU seconds")
    print(f"| in the worker itself | in a process that may be killed | cost |\n|--:|--:|--:|\n"
          f"| {inside:.2f} s | {outside:.2f} s | {outside / inside - 1:+.1%} |")  # fmt: skip


if __name__ == "__main__":
    main()
