"""The `bench` part of a recipe."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mmedc.recipe import read_part
from mmedc.recipe_parts import Files
from mmedc.settings import InputPath, InputPaths, NotAPath, OutputPath, Part

Protocol = Literal["letters", "options", "generate"]
Normal = Literal["sum", "characters", "bytes"]
Count = Annotated[int, Field(ge=0)]


class Bench(Part):
    """The `bench` part of a recipe."""

    model: InputPath
    """A Hugging Face folder; with `backend: server`, the name of the model there."""
    items: Files
    """Files or folders of questions; `shipped:questions` are eighteen easy ones to try."""
    out: OutputPath = ""
    """The folder for the answers and scores. `--out` overrides it."""
    protocol: Protocol = "letters"
    """`letters` and `options` compare log-likelihoods, of letters or of option texts; `generate` parses an answer."""
    prompt: Literal["short", "plain", "paper"] = "short"
    """`short`: question, options and the word for answer. `paper`: the paper's prompt. `plain`: less one sentence."""
    reasoned: bool = False
    """Whether to ask for a rationale before the answer (prompts `paper` and `plain`)."""
    normal: Normal = "sum"
    """What a log-likelihood is divided by: nothing, or the characters or UTF-8 bytes of the continuation."""
    shots: Count = 0
    """The number of solved examples before each question, from `examples`, in its language and in their order."""
    examples: InputPaths = ()
    """Files of solved examples, in the form of items."""
    chat: bool = False
    """Whether to put the prompt into the tokenizer's chat template, as a user's turn."""
    template: dict[str, Any] = Field(default={})
    """Arguments of the chat template, such as `enable_thinking: false`; a server gets `chat_template_kwargs`."""
    permute: Count = 0
    """How often each question is asked again with its options in another order."""
    seed: int = 0
    """The seed of these orders and of generation by vLLM or a server."""
    limit: Count = 0
    """Use at most this many items per language, drawn by the hashes of their ids, and as many `texts`; 0 uses all."""
    backend: Literal["transformers", "vllm", "server"] = "transformers"
    """What runs the model; `server` is an OpenAI-compatible endpoint."""
    endpoint: str = ""
    """The URL of an OpenAI-compatible server, such as `http://localhost:8000/v1`. OPENAI_API_KEY holds its key."""
    adapter: InputPath = ""
    """A folder of LoRA adapters for the model."""
    context: Annotated[int, Field(gt=8)] = 2048
    """The number of tokens that prompt and answer may have together."""
    max_tokens: Count = 0
    """The number of tokens of a generated answer, with its thoughts; 0 means 32, or 1,000 with a rationale."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """The device; `auto` is CUDA where it is available."""
    workers: Annotated[int, Field(ge=1)] = 1
    """The number of models, as Ray actors with a GPU each where there are any; for a server, of requests at once."""
    corpora: InputPaths = ()
    """Folders of corpora that the model was trained on. By default, those that an exported model names."""
    texts: InputPaths = ()
    """Files of held-out text (JSON Lines or Parquet with `text` and `lang`) for perplexity by language."""
    encoder: InputPath = ""
    """The Hugging Face folder of an encoder, for the BERTScore of rationales."""
    encoder_layer: int = -1
    """The layer of the encoder whose states are compared."""

    @model_validator(mode="before")
    @classmethod
    def _name_on_a_server(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("backend") == "server" and isinstance(value.get("model"), str):
            return {**value, "model": NotAPath(value["model"])}
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Bench":
        if self.protocol == "options" and self.prompt != "short":
            raise ValueError("protocol: options scores texts that the prompt must not list; set prompt: short")
        if self.reasoned and (self.prompt == "short" or self.protocol != "generate"):
            raise ValueError("reasoned needs protocol: generate, and prompt: paper or plain")
        if (self.backend == "server") != bool(self.endpoint):
            raise ValueError("backend: server and endpoint go together")
        if self.backend == "server" and self.protocol != "generate":
            raise ValueError("a server gives answers, not log-likelihoods of given texts; set protocol: generate")
        if self.template and not self.chat and self.backend != "server":
            raise ValueError("template holds arguments of the chat template; set chat: true")
        if self.normal != "sum" and self.protocol == "generate":
            raise ValueError("normal divides log-likelihoods; protocol generate has none")
        return self

    @property
    def answer_tokens(self) -> int:
        """Tokens that an answer may have."""
        return self.max_tokens or (1_000 if self.reasoned else 32)


def read_bench(path: str, sets: list[str] | None = None) -> Bench:
    """Read the benchmark of the recipe `path`: its `bench` part, or the whole file. Raises: RecipeError."""
    return read_part(path, "bench", Bench, sets, "docs/how-to/scoring.md")
