"""Answers from an OpenAI-compatible server, several requests at a time."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from mmedc.bench.packing import Request
from mmedc.chat import Endpoint
from mmedc.errors import RecipeError, RequestError, WorkError
from mmedc.redact import redact

ANSWER_S = 600
"""Seconds that an answer with its rationale may take."""


@dataclass
class Served:
    """The model of a server, asked at temperature 0. Raises: RecipeError for an endpoint that is not a URL."""

    endpoint: str
    """For example `http://localhost:8000/v1`."""
    model: str
    at_once: int = 8
    """Requests under way at a time."""
    seed: int = 0
    pause_s: float = 1.0
    """Seconds before the second try; doubled for each try that follows."""
    template: dict[str, Any] = field(default_factory=dict)
    """Arguments of the server's chat template."""
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise RecipeError(f"bench.endpoint is {redact(self.endpoint)}; expected http://HOST:PORT/v1")
        self.endpoint = self.endpoint.rstrip("/")

    @property
    def identity(self) -> str:
        """What answers depend on, besides the prompt."""
        return f"{redact(self.endpoint)} {self.model} {self.seed}" + (f" {self.template}" if self.template else "")

    def chat(self, prompt: str) -> str:
        """Return `prompt` as it is, because the server applies the chat template."""
        return prompt

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Raise a RecipeError: a server does not give the log-likelihoods of given texts."""
        raise RecipeError("a server gives answers, not log-likelihoods of given texts; set bench.protocol: generate")

    def generate(self, prompts: list[str], max_tokens: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, its answer). Raises: WorkError when the server refuses or does not answer."""
        self._stop.clear()
        server = Endpoint(
            self.endpoint, self.model, timeout_s=ANSWER_S, pause_s=self.pause_s, seed=self.seed, template=self.template
        )
        with ThreadPoolExecutor(max_workers=max(1, self.at_once)) as pool:
            numbers = {
                pool.submit(server.ask, prompt, max_tokens, self._stop): number for number, prompt in enumerate(prompts)
            }
            try:
                for answer in as_completed(numbers):
                    yield numbers[answer], answer.result()
            except RequestError as problem:
                raise WorkError(f"{problem}. The answers so far are kept.") from None
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
