"""Prompts become tokens as in training: begin tokens once, and no control token but those of a chat template."""

from pathlib import Path
from typing import Any

from mmedc.bench.config import Bench
from mmedc.errors import RecipeError
from mmedc.tokenizer import TextEncoder, chat_template, open_encoder, readable

SPARE = 16
"""More tokens than any tokenizer puts before a text."""
THOUGHTS = 512
"""The fewest tokens that are given to a model which thinks before it answers."""


class PromptEncoder:
    """Encodes prompts for the model in `folder`, whose tokenizer `transformers` has opened as `tokenizer`.

    The tokenizer.json is read as in training. Where there is none, the tokenizer that `transformers` made of other
    files is used. `template`: arguments of the chat template. Raises: RecipeError when it made none.
    """

    def __init__(self, folder: str, tokenizer: Any, template: dict[str, Any] | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = template or {}
        self._templated = False
        if (file := Path(folder, "tokenizer.json")).is_file():
            self._encoder = open_encoder(file)
        elif hasattr(tokenizer, "backend_tokenizer"):
            self._encoder = TextEncoder(tokenizer.backend_tokenizer.to_str(), tokenizer.all_special_tokens)
        else:
            raise RecipeError(f"bench.model: {folder} holds no tokenizer.json, and none can be made of its tokenizer")

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn, by the tokenizer's chat template. Raises: RecipeError without one.

        The control tokens of the template are marked, so that those that the prompt spells stay text.
        """
        if not getattr(self._tokenizer, "chat_template", None):
            raise RecipeError("bench.chat: the tokenizer of this model has no chat template")
        self._templated = True
        return self._encoder.render(self._rendered, prompt)

    def encode(self, prompt: str) -> list[int]:
        """Return the tokens of a prompt after the begin tokens, which come once also where a template writes them."""
        if self._templated:
            return self._encoder.encode_marked(prompt)
        return [*self._encoder.begin, *self.encode_text(prompt)]

    def encode_text(self, text: str) -> list[int]:
        """Return the tokens of a text alone."""
        return self._encoder.encode([text])[0]

    def _rendered(self, content: str) -> str:
        turns = [{"role": "user", "content": content}]
        return str(
            self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **self._template)
        )


def check_thoughts(prompt: str, settings: Bench) -> None:
    """Check that a model which thinks before it answers has room to, or is told not to.

    `prompt`: one that the chat template has made. Raises: RecipeError with what to set.
    """
    template = "" if settings.backend == "server" else chat_template(Path(settings.model))
    closed = readable(prompt).rstrip().endswith("</think>")
    if closed or ("enable_thinking" not in template and not opens_thought(prompt)):
        return
    if settings.protocol == "generate" and settings.answer_tokens >= THOUGHTS:
        return
    also = (
        f"set bench.max_tokens to {THOUGHTS:,} or more (now {settings.answer_tokens:,})"
        if settings.protocol == "generate"
        else "set bench.protocol: generate with bench.max_tokens"
    )
    raise RecipeError(
        "bench.chat: the chat template of this model lets it think before it answers, and here it would have no room; "
        f"set bench.template: {{enable_thinking: false}}, if the template has it, or {also}"
    )


def opens_thought(prompt: str) -> bool:
    """Return whether a prompt ends where a model begins to think."""
    return readable(prompt).rstrip().endswith("<think>")
