"""The chain from sources to a scored model: build, train, export, bench, each resumed where it stopped.

A stage takes what the stage before it left: the training reads the corpus that was built, and the scoring reads the
model that was trained. On a cluster all stages use one session of Ray; training and scoring ask it for GPUs.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mmedc.bench.config import Bench, read_bench
from mmedc.corpus.manifest import Manifest
from mmedc.corpus.outcome import problems_of, summary
from mmedc.engine.journal import Journal
from mmedc.engine.run import Runner, Watcher
from mmedc.errors import OutcomeError, RecipeError, RequestError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.settings import resolved
from mmedc.storage import is_local
from mmedc.submit.portable import below, check_folder, reading
from mmedc.train.config import Train, Watch, read_train

if TYPE_CHECKING:
    from mmedc.train.accuracy import MultipleChoice

LATER = ("train", "bench")
"""The stages after the corpus, in their order; parts of a recipe have the same names."""


class Screen(Protocol):
    """Shows the user how the stages go."""

    @property
    def watcher(self) -> Watcher:
        """What is told of passes."""
        ...

    def training(self, steps: int) -> AbstractContextManager[Callable[[int, dict[str, float]], None]]:
        """Open what is told of a training: the step, and its values."""
        ...

    def scoring(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """Open what is told of a scoring: the answers that are there, and all of them."""
        ...


@dataclass
class Results:
    """What the stages left."""

    manifest: Manifest
    trained: dict[str, float] | None = None
    scores: dict[str, Any] | None = None
    scored_in: str = ""
    """The folder of the scores."""


@dataclass(frozen=True)
class Stages:
    """The stages of a recipe, checked before anything runs."""

    build: Build
    train: Train | None
    bench: Bench | None
    folder: str
    """The folder of the training; scores are in it too, where the recipe names no other."""

    @classmethod
    def prepare(cls, path: str, out: str | None, sets: list[str], then: tuple[str, ...] | None) -> "Stages":
        """Read a recipe and check all its stages; `then` are those after the build, by default those that it has.

        Raises: RequestError of some kind for what is wrong with any of them.
        """
        recipe = read_recipe(path, sets)
        place = resolved(out) if out else recipe.out
        if not place:
            raise RecipeError(f"{recipe.name}: no `out` in the recipe, and no --out")
        wanted = stages_of({"train": recipe.train, "bench": recipe.bench}, then)
        train = read_train(path, below("train", sets)) if "train" in wanted else None
        bench = read_bench(path, below("bench", sets)) if "bench" in wanted else None
        folder = (train.out if train else "") or ("" if not is_local(place) else f"{place.rstrip('/')}-model")
        if (train or bench) and not find_spec("torch"):  # a package that lacks would be noticed after the build
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        if train:
            check_folder(train, place)
            train = reading(train, recipe.out, place)
        if bench and not train and is_local(bench.model) and not os.path.isdir(bench.model):
            raise RecipeError(
                f"bench.model {bench.model}: is no folder; name a model, or have one trained: --then train,bench"
            )
        return cls(Build.prepare(recipe, place), train, bench, folder)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stages, in their order."""
        return ("build", *(["train"] if self.train else []), *(["bench"] if self.bench else []))

    def run(self, runner: Runner, address: str | None, journal: Journal, screen: Screen) -> Results:
        """Run the stages; what earlier runs finished is not done again.

        Raises: what a stage raises, and OutcomeError when the corpus is not what was asked for, before it is used.
        """
        results = Results(self.build.run(runner, screen.watcher))
        if problems := problems_of(results.manifest):
            raise OutcomeError(summary(self.build.store.url, problems))
        if self.train is not None:
            journal.begin_stage("train")
            results.trained = self._train(self.train, runner, address, journal, screen)
        if self.bench is not None:
            journal.begin_stage("bench")
            results.scored_in = self.bench.out or os.path.join(self.folder or self.build.store.url, "scores")
            settings = self.bench.model_copy(update={"out": results.scored_in})
            results.scores = self._bench(settings, address, journal, screen)
        return results

    def _train(
        self, settings: Train, runner: Runner, address: str | None, journal: Journal, screen: Screen
    ) -> dict[str, float]:
        from mmedc.train.launch import tokenised, train, train_on_ray

        job = tokenised(settings, self.folder, runner, screen.watcher, questions_of(settings.watch))
        with screen.training(job.settings.steps) as show:

            def report(step: int, values: dict[str, float]) -> None:
                journal.note({"step": step + 1, **values})
                show(step, values)

            return train_on_ray(job, address, report) if address else train(job, report)

    def _bench(self, settings: Bench, address: str | None, journal: Journal, screen: Screen) -> dict[str, Any]:
        from mmedc.bench.scoring import score

        model = export_newest(Path(self.folder)) if self.train else Path(settings.model)
        settings = settings.model_copy(update={"model": str(model)})
        with screen.scoring() as show:

            def report(done: int, total: int) -> None:
                journal.note({"answers": done, "of": total})
                show(done, total)

            return score(settings, report, spread=address is not None)


def stages_of(parts: dict[str, Any], then: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the stages after the build: `then`, or those of which the recipe has a part. Raises: RequestError."""
    if then is None:
        return tuple(name for name in LATER if parts[name])
    for name in then:
        if name not in LATER:
            raise RequestError(f"--then {','.join(then)}: expected train, bench or train,bench")
        if not parts[name]:
            raise RequestError(f"--then {name}: the recipe has no part `{name}`; docs/reference explains its keys")
    return tuple(name for name in LATER if name in then)


def named(then: str | None) -> tuple[str, ...] | None:
    """Return the stages that the option `--then` names; None where it is not given."""
    return None if then is None else tuple(filter(None, (name.strip() for name in then.split(","))))


def questions_of(watch: Watch) -> tuple["MultipleChoice", ...]:
    """Return the questions that a training is watched by."""
    from mmedc.bench.scoring import comparisons
    from mmedc.train.accuracy import MultipleChoice

    if not watch.questions:
        return ()
    asked = comparisons(Bench(model="", items=watch.questions, limit=watch.questions_limit))
    return tuple(MultipleChoice(*one) for one in asked)


def export_newest(run: Path) -> Path:
    """Export the newest checkpoint of a run to a folder in it, named by its step and digest, unless it is there.

    Raises: RequestError when there is no intact checkpoint.
    """
    from mmedc.train.checkpoint import FILES
    from mmedc.train.exporting import export, newest

    found = newest(run)
    digest = hashlib.sha256((found / FILES).read_bytes()).hexdigest()[:8]
    folder = run / "models" / f"{found.name}-{digest}"
    if not folder.exists():
        part = run / "models" / ".part"
        shutil.rmtree(part, ignore_errors=True)
        export(found, part / folder.name).rename(folder)
    return folder
