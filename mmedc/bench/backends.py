"""What answers: a checkpoint here, several on Ray, vLLM, or a server."""

from collections.abc import Iterator
from typing import Protocol

from mmedc.bench.config import Bench
from mmedc.bench.packing import Request
from mmedc.errors import RecipeError


class Backend(Protocol):
    """A model that answers. Answers come in any order, each with the number of what it answers."""

    @property
    def identity(self) -> str:
        """What answers depend on, besides what is asked."""
        ...

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn."""
        ...

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Yield (number of a request, summed log-likelihood of each continuation, natural)."""
        ...

    def generate(self, prompts: list[str], most: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, what follows it, greedily chosen, at most `most` tokens)."""
        ...


def open_backend(how: Bench) -> Backend:
    """Return what answers for a benchmark. Raises: RecipeError where it can't be had."""
    if how.backend == "server":
        from mmedc.bench.served import Served

        return Served(how.endpoint, how.model, how.workers, how.seed)
    if how.backend == "vllm":
        from mmedc.bench.vllm import Vllm

        return Vllm(how.model, how.adapter, how.context, how.seed)
    if how.workers > 1:
        from mmedc.bench.fleet import Fleet

        return Fleet(how)
    return open_local(how)


def open_local(how: Bench) -> Backend:
    """Return the checkpoint of a benchmark in this process. Raises: RecipeError."""
    try:
        from mmedc.bench.local import Local
    except ImportError as problem:
        raise RecipeError(f"bench.backend transformers needs `pip install 'mmedc[train]'` ({problem})") from None
    return Local(how.model, how.adapter, how.device, how.context)
