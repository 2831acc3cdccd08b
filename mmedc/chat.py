"""Language models behind an OpenAI-compatible endpoint (`POST …/chat/completions`)."""

import json
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from mmedc.errors import RequestError, WorkError
from mmedc.redact import HIDDEN, redact

KEY = "OPENAI_API_KEY"
TRIES = 5
TRANSIENT = {408, 409, 425, 429, 500, 502, 503, 504, 529}


@dataclass(frozen=True)
class Endpoint:
    """A model on a server. Its key is read from an environment variable and shown nowhere."""

    url: str
    """For example `http://localhost:8000/v1`."""
    model: str
    key_variable: str = KEY
    timeout_s: float = 120.0
    """Seconds that one answer may take."""
    pause_s: float = 1.0
    """Seconds before the second try; doubled for each try that follows."""
    seed: int = 0
    template: dict[str, Any] = field(default_factory=dict)
    """Arguments of the server's chat template, such as `enable_thinking` (`chat_template_kwargs`)."""

    def ask(self, prompt: str, max_tokens: int, stop: threading.Event | None = None) -> str:
        """Return the answer to `prompt` at temperature 0. `stop`: gives up between tries when it is set.

        Raises: RequestError when the server refuses the request; WorkError when it does not answer.
        """
        if not self.url.startswith(("http://", "https://")):
            raise RequestError(f"{redact(self.url)}: not the URL of a server; expected http://HOST:PORT/v1")
        url = f"{self.url.rstrip('/')}/chat/completions"
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": self.seed,
        }
        body |= {"chat_template_kwargs": self.template} if self.template else {}
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.key_variable, "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        waiting = stop or threading.Event()
        found = "stopped"
        for attempt in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                    return str(json.load(response)["choices"][0]["message"]["content"] or "")
            except urllib.error.HTTPError as problem:
                body_text = problem.read(300).decode("utf-8", "replace")
                problem.close()
                found = f"answered {problem.code} ({body_text.replace(key, HIDDEN) if key else body_text})"
                if problem.code not in TRANSIENT:
                    hint = f"; the key is taken from {self.key_variable}" if problem.code in (401, 403) else ""
                    raise RequestError(redact(f"{url}: {found}{hint}")) from None
            except OSError as problem:
                found = repr(problem)
            except (ValueError, KeyError, IndexError, TypeError) as problem:
                found = f"not the answer of an OpenAI-compatible endpoint, {problem!r}"
            if attempt + 1 < TRIES and waiting.wait(self.pause_s * 2**attempt):
                break
        raise WorkError(redact(f"{url}: no answer after {TRIES} tries ({found}); run the same command again to resume"))
