"""Answers by vLLM, where it is installed: for large models and long rationales."""

from collections.abc import Iterator
from typing import Any

from mmedc.bench.packing import Request, pair
from mmedc.errors import RecipeError

PART = 512
"""Prompts given at a time, so that what is done is kept."""


class Vllm:
    """A model in vLLM, on the GPUs that it sees. Raises: RecipeError where vLLM is not installed."""

    def __init__(self, folder: str, adapter: str, context: int, seed: int) -> None:
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
        self._adapter = adapter
        self.context = context
        self.identity = f"vllm {folder} {adapter} {context} {seed}"

    def chat(self, prompt: str) -> str:
        """Return a prompt as a user's turn, by the tokenizer's chat template."""
        turns = [{"role": "user", "content": prompt}]
        return str(self._engine.get_tokenizer().apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Yield (number of a request, log-likelihood of each continuation); prefixes are cached by vLLM."""
        from vllm import SamplingParams

        encode = self._engine.get_tokenizer().encode
        for low in range(0, len(requests), PART):
            part = requests[low : low + PART]
            pairs = [[pair(encode, one.prompt, said) for said in one.continuations] for one in part]
            whole = [(*prompt, *said)[-self.context + 1 :] for found in pairs for prompt, said in found]
            inputs = [{"prompt_token_ids": list(tokens)} for tokens in whole]
            made = iter(self._run(inputs, SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)))
            for number, found in enumerate(pairs):
                values = []
                for _, said in found:
                    known = next(made).prompt_logprobs[-len(said) :]
                    values.append(sum(at[token].logprob for at, token in zip(known, said, strict=True)))
                yield low + number, values

    def generate(self, prompts: list[str], most: int) -> Iterator[tuple[int, str]]:
        """Yield (number of a prompt, the answer, greedily chosen)."""
        from vllm import SamplingParams

        for low in range(0, len(prompts), PART):
            made = self._run(prompts[low : low + PART], SamplingParams(max_tokens=most, temperature=0))
            for number, one in enumerate(made):
                yield low + number, one.outputs[0].text

    def _run(self, inputs: list[Any], how: Any) -> list[Any]:
        options = {}
        if self._adapter:
            from vllm.lora.request import LoRARequest

            options["lora_request"] = LoRARequest("adapter", 1, self._adapter)
        return self._engine.generate(inputs, how, use_tqdm=False, **options)  # type: ignore[no-any-return]
