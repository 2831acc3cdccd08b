"""The `bench` part of a recipe."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmedc.recipe import Paths, read_part
from mmedc.settings import Part

Protocol = Literal["letters", "options", "generate"]
Normal = Literal["sum", "characters", "bytes"]
Count = Annotated[int, Field(ge=0)]


class Bench(Part):
    """The `bench` part of a recipe. Paths are relative to the current folder."""

    model: str
    """A Hugging Face folder; the name of a model where `endpoint` is named."""
    items: Paths
    """Files or folders of questions."""
    out: str = ""
    protocol: Protocol = "letters"
    """`letters`, `options`: log-likelihoods of letters or of texts are compared; `generate`: an answer is parsed."""
    prompt: Literal["short", "plain", "paper"] = "short"
    """`short`: question, options, the word for answer; `paper`: the paper's; `plain`: the same less one sentence."""
    reasoned: bool = False
    """The rationale is asked for, before the answer (`paper`, `plain`)."""
    normal: Normal = "sum"
    """What a log-likelihood is divided by: nothing, characters, or UTF-8 bytes of the continuation."""
    shots: Count = 0
    """Solved examples before each question, from `examples`, of its language, in their order."""
    examples: tuple[str, ...] = ()
    chat: bool = False
    """The prompt is a user's turn, by the tokenizer's chat template."""
    permute: Count = 0
    """How often each question is asked once more with its options in another order."""
    seed: int = 0
    limit: Count = 0
    """At most so many items of a language, the first ones; 0: all."""
    backend: Literal["transformers", "vllm", "server"] = "transformers"
    endpoint: str = ""
    """Of an OpenAI-compatible server, such as http://localhost:8000/v1; its key: environment, OPENAI_API_KEY."""
    adapter: str = ""
    """A folder of LoRA adapters over the model."""
    context: Annotated[int, Field(gt=8)] = 2048
    max_tokens: Count = 0
    """Of a generated answer; 0: 32, or 1,000 with its rationale."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Annotated[int, Field(ge=1)] = 1
    """Ray actors, each with a model and, where there are GPUs, one of them."""

    corpora: tuple[str, ...] = ()
    """Corpora that the model was trained on; without them those that an exported model names."""
    texts: tuple[str, ...] = ()
    """Held-out text (JSON lines or Parquet with `text` and `lang`) for perplexity by language."""
    encoder: str = ""
    """A Hugging Face folder, for BERTScore of rationales."""
    encoder_layer: int = -1

    @model_validator(mode="after")
    def _fits(self) -> "Bench":
        if self.protocol == "options" and self.prompt != "short":
            raise ValueError("protocol options scores texts that the prompt does not list; it goes with prompt: short")
        if self.reasoned and (self.prompt == "short" or self.protocol != "generate"):
            raise ValueError("reasoned goes with protocol: generate and prompt: paper or plain")
        if (self.backend == "server") != bool(self.endpoint):
            raise ValueError("backend: server and endpoint go together")
        if self.backend == "server" and self.protocol != "generate":
            raise ValueError("a server gives answers, not log-likelihoods of given texts; set protocol: generate")
        if self.normal != "sum" and self.protocol == "generate":
            raise ValueError("normal divides log-likelihoods; protocol generate has none")
        return self

    @property
    def most(self) -> int:
        """Tokens that an answer may have."""
        return self.max_tokens or (1_000 if self.reasoned else 32)


def read_bench(path: str, sets: list[str] | None = None) -> Bench:
    """Read the benchmark of the recipe `path`: its `bench` part, or the whole file. Raises: RecipeError."""
    return read_part(path, "bench", Bench, sets, "docs/scoring.md")
