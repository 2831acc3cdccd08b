"""Answers from an OpenAI-compatible server, several requests at a time; the key comes from the environment only."""

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from mmedc.bench.packing import Request
from mmedc.errors import RecipeError, WorkError
from mmedc.redact import redact

KEY = "OPENAI_API_KEY"
TRIES = 5
ANSWER_S = 600
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}


@dataclass
class Served:
    """A model behind `endpoint` (…/v1), asked for chat completions at temperature 0. Raises: RecipeError."""

    endpoint: str
    model: str
    at_once: int = 8
    seed: int = 0
    pause_s: float = 1.0
    """Before the second try; doubled for each that follows."""
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise RecipeError(f"bench.endpoint is {redact(self.endpoint)}; expected http://HOST:PORT/v1")
        self.endpoint = self.endpoint.rstrip("/")

    @property
    def identity(self) -> str:
        """What answers depend on, besides what is asked."""
        return f"{redact(self.endpoint)} {self.model} {self.seed}"

    def chat(self, prompt: str) -> str:
        """Return `prompt`: the server applies the chat template."""
        return prompt

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Raise: a server gives no log-likelihoods of given texts."""
        raise RecipeError("a server gives answers, not log-likelihoods of given texts; set bench.protocol: generate")

    def generate(self, prompts: list[str], most: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, the answer). Raises: WorkError when the server does not answer."""
        self._stop.clear()
        with ThreadPoolExecutor(max_workers=max(1, self.at_once)) as pool:
            asked = {pool.submit(self._ask, prompt, most): number for number, prompt in enumerate(prompts)}
            try:
                for answer in as_completed(asked):
                    yield asked[answer], answer.result()
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)

    def _ask(self, prompt: str, most: int) -> str:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": most,
            "temperature": 0,
            "seed": self.seed,
        }
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        address = f"{self.endpoint}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        for attempt in range(1, TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=ANSWER_S) as response:
                    return _content(json.load(response))
            except urllib.error.HTTPError as problem:
                said = problem.read(300).decode("utf-8", "replace")
                problem.close()
                if problem.code not in AGAIN or attempt == TRIES:
                    raise self._failed(f"HTTP {problem.code}: {said}", attempt) from None
            except (OSError, ValueError, KeyError, IndexError, TypeError) as problem:
                if attempt == TRIES:
                    raise self._failed(repr(problem), attempt) from None
            if self._stop.wait(self.pause_s * 2 ** (attempt - 1)):
                break
        raise self._failed("stopped", TRIES)

    def _failed(self, what: str, tries: int) -> WorkError:
        hint = f"; the key is taken from {KEY}" if "401" in what or "403" in what else ""
        return WorkError(
            redact(
                f"{self.endpoint}: no answer after {tries} tries ({what}){hint}. "
                "Answers so far are kept: give the same command again."
            )
        )


def _content(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"] or "")
