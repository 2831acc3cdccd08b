"""Answers by vLLM, where it is installed: for large models and long rationales."""

from collections.abc import Iterator
from typing import Any

from mmedc.bench.packing import Request
from mmedc.bench.prompting import SPARE, PromptEncoder
from mmedc.errors import RecipeError
from mmedc.tokenizer import continuation_of

PROMPTS_AT_ONCE = 512
"""Prompts given to the engine at a time, so that finished answers are kept when a run is stopped."""


class Vllm:
    """A model in vLLM, on the GPUs that it sees. Raises: RecipeError where vLLM is not installed."""

    def __init__(self, folder: str, adapter: str, context: int, seed: int, template: dict[str, Any]) -> None:
        try:
            from vllm import LLM
        except ImportError:
            raise RecipeError(
                "bench.backend is vllm, which is not installed here (pip install vllm, on a machine with a GPU); "
                "backend: transformers needs nothing more"
            ) from None
        self._engine: Any = LLM(
            folder, max_model_len=context, seed=seed, enable_lora=bool(adapter), enable_prefix_caching=True
        )
        self._prompts = PromptEncoder(folder, self._engine.get_tokenizer(), template)
        self._adapter = adapter
        self.context = context
        self.identity = f"vllm {folder} {adapter} {context} {seed}"

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn, by the tokenizer's chat template."""
        return self._prompts.chat(prompt)

    def too_long(self, texts: list[str], room: int) -> list[bool]:
        """Return which texts lose their beginning where `room` tokens after them are wanted."""
        most = self.context - room
        # A token has a byte or more, so short texts need not be encoded.
        return [len(text.encode()) + SPARE > most and len(self._prompts.encode(text)) > most for text in texts]

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Yield (number of a request, log-likelihood of each continuation). vLLM caches the shared prefixes."""
        from vllm import SamplingParams

        for low in range(0, len(requests), PROMPTS_AT_ONCE):
            part = requests[low : low + PROMPTS_AT_ONCE]
            pairs = [
                [continuation_of(self._prompts.encode, request.prompt, answer) for answer in request.continuations]
                for request in part
            ]
            inputs = [(prompt + answer)[-self.context + 1 :] for answers in pairs for prompt, answer in answers]
            made = iter(self._run(inputs, SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)))
            for number, answers in enumerate(pairs):
                values = []
                for _, answer in answers:
                    known = next(made).prompt_logprobs[-len(answer) :]
                    values.append(sum(at[token].logprob for at, token in zip(known, answer, strict=True)))
                yield low + number, values

    def generate(self, prompts: list[str], max_tokens: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, the answer, greedily chosen)."""
        from vllm import SamplingParams

        for low in range(0, len(prompts), PROMPTS_AT_ONCE):
            most = max(1, self.context - max_tokens)  # a longer prompt loses its beginning, as on this machine
            inputs = [self._prompts.encode(prompt)[-most:] for prompt in prompts[low : low + PROMPTS_AT_ONCE]]
            made = self._run(inputs, SamplingParams(max_tokens=max_tokens, temperature=0))
            for number, answer in enumerate(made):
                yield low + number, answer.outputs[0].text

    def _run(self, inputs: list[list[int]], parameters: Any) -> list[Any]:
        options = {}
        if self._adapter:
            from vllm.lora.request import LoRARequest

            options["lora_request"] = LoRARequest("adapter", 1, self._adapter)
        prompts = [{"prompt_token_ids": tokens} for tokens in inputs]
        return self._engine.generate(prompts, parameters, use_tqdm=False, **options)  # type: ignore[no-any-return]
