"""What to train, on which corpus, how: the `train` part of a recipe, or a file of its own."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from mmedc.prompts import Style
from mmedc.recipe import read_part
from mmedc.settings import Part

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


def _pattern(value: str) -> str:
    if value.count("/") > 3 or not value:
        raise ValueError("expected corpus/language/source/kind with * where any will do, for example */es/* or general")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class Data(Part):
    """Which documents are read, in which shares, and how they are packed."""

    corpora: dict[str, str] = {}
    """Published corpora by a name of your own: folders or s3:// URLs."""
    tokenizer: str = ""
    """`qwen`, the path of a tokenizer.json, or a Hugging Face folder that holds one; default: the model's own, or
    `qwen` for a model of random weights."""
    context: Annotated[int, Field(ge=8)] = 2048
    """Tokens of a sequence."""
    temperature: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Cells (corpus, language, source, kind) are read in proportion to tokens to this power; 1 = as they are."""
    shares: dict[Pattern, Share] = {}
    """Fixed shares of all tokens for cells by pattern, such as `general: 0.1` for replay; the others share the rest."""
    max_epochs: Positive = 4.0
    """More repetitions of a cell than this are refused; up to about 4 repeated tokens are nearly as good as new ones
    (arXiv 2305.16264, section 6)."""
    held_out: Annotated[float, Field(ge=0, lt=0.5)] = 0.005
    """Share of documents, by hash of their id, that are never trained on but measured."""
    cache: str = ""
    """Folder for flat token files of this machine; default: a folder `tokens` beside the run's output."""


class Examples(Part):
    """Fine-tuning on questions with answers; the loss is on the answer only."""

    path: str
    """A file of JSON lines or a folder of `.jsonl`: `prompt` and `answer`, or MMedBench's items as released."""
    rationale: Literal["both", "with", "without"] = "both"
    """Which forms of an item with a rationale are trained on; the paper's: both."""
    prompt: Style = "paper"
    """`paper`: word for word as released; `plain`: without its sentence about the best treatment."""


class Lora(Part):
    """Low-rank adapters (arXiv 2106.09685) on all linear layers, instead of full weights."""

    rank: Count = 16
    """Width of the adapters; the paper's: 16."""
    alpha: Positive = 32.0
    """Their scale, divided by the rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Before the adapters."""


class Model(Part):
    """The causal language model: a local checkpoint, or a configuration with random weights."""

    path: str | None = None
    """A Hugging Face folder with config.json and safetensors."""
    config: dict[str, Any] | None = None
    """A `transformers` configuration with its `model_type`; the vocabulary is the tokenizer's."""
    lora: Lora | None = None
    attention: Literal["auto", "varlen", "sdpa"] = "auto"
    """`varlen`: one kernel over packed documents (CUDA); `sdpa`: a call a document; auto: what the device has."""
    recompute: Literal["none", "full"] = "none"
    """`full`: activations are computed again in the backward pass, layer by layer: less memory, a third more work."""
    compile: bool = False
    """`torch.compile`, layer by layer."""

    @model_validator(mode="after")
    def _one_origin(self) -> "Model":
        if (self.path is None) == (self.config is None):
            raise ValueError("a model has exactly one of path and config")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError("config needs a model_type, for example llama or qwen3")
        return self


class Optimizer(Part):
    """AdamW (arXiv 1711.05101) and its schedule."""

    lr: Positive = 2e-5
    """Highest learning rate; the paper's: 2e-5."""
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The last learning rate, as a share of `lr`."""
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    """wsd: warm-up, stable, then a linear decay over the last `decay` of the steps (arXiv 2404.06395)."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Share of the steps."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the steps at the end (wsd)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """Of matrices; vectors do not decay."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the two moments."""
    clip: Positive = 1.0
    """Largest norm of the gradient."""
    z_loss: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the squared log-partition (arXiv 2204.02311, section 5)."""
    states: Literal["float32", "bfloat16", "8bit"] = "float32"
    """float32: weights, gradients and both moments, 16 bytes a parameter. bfloat16: all four in bfloat16, updates by
    stochastic rounding, 8 bytes. 8bit: the same with moments of 8 bits, about 6 bytes. The latter two by torchao."""
    spike: Annotated[float, Field(gt=0)] = 12.0
    """A step whose gradient norm or loss exceeds the median of the last 128 by this many median absolute deviations is
    skipped and told."""


class Checkpoints(Part):
    """When the state is saved, and what is kept."""

    every: Count = 500
    """Steps from one to the next; the last step is always saved."""
    keep: Count = 2
    """Newest ones that stay; others go when a newer one is whole."""
    every_kept: Count | None = None
    """Steps whose checkpoints always stay, for example 5000."""


class Watch(Part):
    """What is measured on the way."""

    log_every: Count = 10
    """Steps from one report to the next."""
    evaluate_every: Count = 500
    """Steps from one look at the held-out documents to the next."""
    evaluate_documents: Count = 64
    """Held-out documents a cell."""
    questions: tuple[str, ...] = ()
    """Files of questions as `bench.items` reads them; the share answered rightly is measured with the held-out loss."""
    questions_limit: Annotated[int, Field(ge=0)] = 50
    """At most so many questions of a language, the first ones; 0: all."""
    tensorboard: bool = True
    """Event files in the run's folder."""
    plugins: tuple[str, ...] = ()
    """`package.module:Class` of loggers of your own; an object with `log(step, values)` and `close()`."""
    peak_tflops: Positive | None = None
    """Measured matrix rate of a device, for MFU; default: measured at the start on CUDA, none on CPU."""


class Train(Part):
    """A whole training."""

    name: str = "train"
    out: str = ""
    """Folder of the run; `--out` comes before it."""
    model: Model
    data: Data = Data()
    examples: Examples | None = None
    steps: Annotated[int, Field(ge=0)] = 0
    """Updates of the weights."""
    epochs: Annotated[float, Field(ge=0)] = 0.0
    """Instead of steps: times that all examples are read; the paper's: 5 for all weights, 3 for adapters."""
    batch: Count = 512
    """Sequences of a step, over all devices (the paper's: 512 of 2,048 tokens)."""
    micro_batch: Count = 1
    """Sequences that a device works on at once."""
    seed: int = 0
    """Of the order of documents, random weights and dropout."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is some."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of the computation; auto: bfloat16 on CUDA, float32 on the CPU."""
    processes: Count = 1
    """One a device. With a Ray cluster, workers of Ray Train."""
    optimizer: Optimizer = Optimizer()
    checkpoints: Checkpoints = Checkpoints()
    watch: Watch = Watch()

    @property
    def tokenizer(self) -> str:
        """The tokenizer's name or path."""
        return self.data.tokenizer or self.model.path or "qwen"

    @model_validator(mode="after")
    def _adds_up(self) -> "Train":
        if self.batch % (self.micro_batch * self.processes):
            raise ValueError(
                f"batch ({self.batch}) must be a multiple of micro_batch times processes "
                f"({self.micro_batch} x {self.processes})"
            )
        if not self.data.corpora and self.examples is None:
            raise ValueError("there is nothing to train on: name data.corpora, or examples")
        if self.data.corpora and self.examples is not None:
            raise ValueError("a training has data.corpora or examples, not both")
        if (self.steps == 0) == (self.epochs == 0):
            raise ValueError("a training has exactly one of steps and epochs")
        if self.epochs and self.examples is None:
            raise ValueError("epochs are counted of examples; a corpus is read for a number of steps")
        return self


def read_train(path: str, sets: list[str] | None = None) -> Train:
    """Read the training of the recipe `path`: its `train` part, or the whole file where it has no such part.

    Paths in it are relative to the current folder, as corpora are; `sets` are as for `read_recipe`, below `train`.

    Raises: RecipeError with file, line and key.
    """
    return read_part(path, "train", Train, sets, "docs/training.md")
