"""Several models on Ray, each in an actor, with a GPU of its own where there are GPUs."""

from collections.abc import Callable, Iterator
from typing import Any

from mmedc.bench.config import Bench
from mmedc.bench.packing import Request
from mmedc.errors import RecipeError, WorkError
from mmedc.redact import first_line

AT_ONCE = 64
"""Requests given to an actor at a time, which is what a crash can lose of each actor."""


class Fleet:
    """`settings.workers` models. Requests of similar length go together, the longest first.

    `open_model` opens a model in an actor. Raises: RecipeError where it cannot; WorkError when an actor dies.
    """

    def __init__(self, settings: Bench, open_model: Callable[[Bench], Any]) -> None:
        import ray

        from mmedc.engine.runner import OnRay

        OnRay().start()
        gpus = int(ray.cluster_resources().get("GPU", 0)) if settings.device != "cpu" else 0
        if 0 < gpus < settings.workers:
            raise RecipeError(f"bench.workers is {settings.workers}, but Ray has {gpus} GPUs; ask for at most {gpus}")
        resources = {"num_gpus": 1} if gpus else {"num_cpus": 1}
        worker = ray.remote(**resources)(_Worker)
        alone = settings.model_copy(update={"workers": 1})
        self._workers = [worker.remote(alone, open_model) for _ in range(settings.workers)]
        self.identity: str = self._result(self._workers[0].identity.remote())

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn."""
        return str(self._result(self._workers[0].chat.remote(prompt)))

    def too_long(self, texts: list[str], room: int) -> list[bool]:
        """Return which texts lose their beginning."""
        return list(self._result(self._workers[0].too_long.remote(texts, room)))

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Yield (number of a request, log-likelihood of each continuation)."""
        order = sorted(range(len(requests)), key=lambda number: -len(requests[number].prompt))
        return self._spread(order, lambda worker, part: worker.score.remote([requests[number] for number in part]))

    def generate(self, prompts: list[str], max_tokens: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, its continuation)."""
        order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
        return self._spread(
            order, lambda worker, part: worker.generate.remote([prompts[number] for number in part], max_tokens)
        )

    def _spread(self, order: list[int], ask: Any) -> Iterator[tuple[int, Any]]:
        """Yield (number, answer); each free worker is given the next part of `order`."""
        import ray

        parts = [order[low : low + AT_ONCE] for low in range(0, len(order), AT_ONCE)]
        under_way: dict[Any, tuple[Any, list[int]]] = {}
        free = list(self._workers)
        while parts or under_way:
            while parts and free:
                worker, part = free.pop(), parts.pop(0)
                under_way[ask(worker, part)] = worker, part
            finished, _ = ray.wait(list(under_way))
            for reference in finished:
                worker, part = under_way.pop(reference)
                free.append(worker)
                for at, answer in self._result(reference):
                    yield part[at], answer

    def _result(self, reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as problem:
            raise problem.cause if isinstance(problem.cause, RecipeError) else problem from None
        except ray.exceptions.RayActorError as problem:
            raise WorkError(
                f"a worker of the benchmark died ({first_line(problem)}); the answers so far are kept: "
                "run the same command again, with fewer workers if memory is short"
            ) from None


class _Worker:
    """A model in an actor."""

    def __init__(self, settings: Bench, open_model: Callable[[Bench], Any]) -> None:
        self._model = open_model(settings)

    def identity(self) -> str:
        return str(self._model.identity)

    def chat(self, prompt: str) -> str:
        return str(self._model.chat(prompt))

    def too_long(self, texts: list[str], room: int) -> list[bool]:
        return list(self._model.too_long(texts, room))

    def score(self, requests: list[Request]) -> list[tuple[int, list[float]]]:
        return list(self._model.score(requests))

    def generate(self, prompts: list[str], max_tokens: int) -> list[tuple[int, str]]:
        return list(self._model.generate(prompts, max_tokens))
