"""Several models on Ray, each in an actor, with a GPU of its own where there are GPUs."""

from collections.abc import Iterator
from typing import Any

from mmedc.bench.backends import open_local
from mmedc.bench.config import Bench
from mmedc.bench.packing import Request
from mmedc.errors import RecipeError, WorkError
from mmedc.redact import first_line

PART = 64
"""Requests given to an actor at a time: what a crash can lose of each."""


class Fleet:
    """`how.workers` models; requests of like length go together, the longest first.

    Raises: RecipeError where the model can't be opened; WorkError when an actor dies.
    """

    def __init__(self, how: Bench) -> None:
        import ray

        from mmedc.engine.runner import OnRay

        OnRay().start()
        gpus = int(ray.cluster_resources().get("GPU", 0)) if how.device != "cpu" else 0
        if 0 < gpus < how.workers:
            raise RecipeError(f"bench.workers is {how.workers}, Ray has {gpus} GPUs; ask for as many at most")
        needs = {"num_gpus": 1} if gpus else {"num_cpus": 1}
        worker = ray.remote(**needs)(_Worker)
        alone = how.model_copy(update={"workers": 1})
        self._workers = [worker.remote(alone) for _ in range(how.workers)]
        self.identity: str = self._got(self._workers[0].identity.remote())

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn."""
        return str(self._got(self._workers[0].chat.remote(prompt)))

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Yield (number of a request, log-likelihood of each continuation)."""
        order = sorted(range(len(requests)), key=lambda number: -len(requests[number].prompt))
        return self._spread(order, lambda worker, part: worker.score.remote([requests[one] for one in part]))

    def generate(self, prompts: list[str], most: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, what follows it)."""
        order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
        return self._spread(order, lambda worker, part: worker.generate.remote([prompts[one] for one in part], most))

    def _spread(self, order: list[int], ask: Any) -> Iterator[tuple[int, Any]]:
        """Yield (number, answer), parts of `order` going to whoever is free."""
        import ray

        parts = [order[low : low + PART] for low in range(0, len(order), PART)]
        at_work: dict[Any, tuple[Any, list[int]]] = {}
        free = list(self._workers)
        while parts or at_work:
            while parts and free:
                worker, part = free.pop(), parts.pop(0)
                at_work[ask(worker, part)] = worker, part
            ready, _ = ray.wait(list(at_work))
            for one in ready:
                worker, part = at_work.pop(one)
                free.append(worker)
                for at, answer in self._got(one):
                    yield part[at], answer

    def _got(self, reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as problem:
            raise problem.cause if isinstance(problem.cause, RecipeError) else problem from None
        except ray.exceptions.RayActorError as problem:
            raise WorkError(
                f"a worker of the benchmark died ({first_line(problem)}); answers so far are kept: "
                "give the same command again, with fewer workers if memory is short"
            ) from None


class _Worker:
    """A model in an actor."""

    def __init__(self, how: Bench) -> None:
        self._model = open_local(how)

    def identity(self) -> str:
        return self._model.identity

    def chat(self, prompt: str) -> str:
        return self._model.chat(prompt)

    def score(self, requests: list[Request]) -> list[tuple[int, list[float]]]:
        return list(self._model.score(requests))

    def generate(self, prompts: list[str], most: int) -> list[tuple[int, str]]:
        return list(self._model.generate(prompts, most))
