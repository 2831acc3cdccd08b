"""What answers the questions: a checkpoint here, several on Ray, vLLM, or a server."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from mmedc.bench.config import Bench
from mmedc.bench.packing import Request
from mmedc.errors import RecipeError


class Backend(Protocol):
    """A model that answers. Answers come in any order, each with the number of its request."""

    @property
    def identity(self) -> str:
        """What answers depend on, besides the prompt."""
        ...

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn."""
        ...

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Yield (number of a request, summed natural log-likelihood of each continuation)."""
        ...

    def generate(self, prompts: list[str], max_tokens: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, its greedy continuation of at most `max_tokens` tokens)."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """A backend that knows how many tokens a text has. A server does not."""

    def too_long(self, texts: list[str], room: int) -> list[bool]:
        """Return which texts lose their beginning where `room` tokens after them are wanted."""
        ...


def open_backend(settings: Bench, spread: bool = False) -> Backend:
    """Return the backend of a benchmark; `spread` opens its model on a cluster. Raises: RecipeError where it can't."""
    if settings.backend == "server":
        from mmedc.bench.served import Served

        return Served(settings.endpoint, settings.model, settings.workers, settings.seed, template=settings.template)
    if settings.backend == "vllm":
        from mmedc.bench.vllm import Vllm

        return Vllm(settings.model, settings.adapter, settings.context, settings.seed, settings.template)
    if settings.workers > 1 or spread:
        from mmedc.bench.fleet import Fleet

        return Fleet(settings, open_local)
    return open_local(settings)


def open_local(settings: Bench) -> Backend:
    """Return the checkpoint of a benchmark, opened in this process. Raises: RecipeError."""
    try:
        from mmedc.bench.local import Local
    except ImportError as problem:
        raise RecipeError(f"bench.backend transformers needs `pip install 'mmedc[train]'` ({problem})") from None
    return Local(settings.model, settings.adapter, settings.device, settings.context, template=settings.template)
