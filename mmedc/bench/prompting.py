"""Prompts become tokens as in training: begin tokens once, and no control token but those of a chat template."""

from pathlib import Path
from typing import Any

from mmedc.errors import RecipeError
from mmedc.tokenizer import TextEncoder, open_encoder


class PromptEncoder:
    """Encodes prompts for the model in `folder`, whose tokenizer `transformers` has opened as `tokenizer`.

    The tokenizer.json is read as in training. Where there is none, the tokenizer that `transformers` made of other
    files is used. Raises: RecipeError when it made none.
    """

    def __init__(self, folder: str, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
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
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
