"""What to train, on which corpus, how: the `train` part of a recipe, or a file of its own."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mmedc.errors import RecipeError
from mmedc.mixing import Mixture, read_mixture
from mmedc.prompts import Style
from mmedc.recipe import read_part
from mmedc.settings import InputPath, InputPaths, OutputPath, Part, TokenizerPath

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class Data(Mixture):
    """Which documents are read, in which proportions, and how they are packed."""

    corpora: dict[str, InputPath] = {}
    """Published corpora by names of your choice: folders or `s3://` URLs."""
    tokenizer: TokenizerPath = ""
    """`qwen`, the path of a `tokenizer.json`, or a Hugging Face folder that contains one. The default is the model's
    own tokenizer, or `qwen` for a model with random weights."""
    context: Annotated[int, Field(ge=8)] = 2048
    """The number of tokens in a sequence."""
    mixture: InputPath | None = None
    """A file that `mmedc mix` wrote, instead of the keys from `temperature` to `buckets`."""
    held_out: Annotated[float, Field(ge=0, lt=0.5)] = 0.005
    """The share of documents, by hash of their id, that are held out for evaluation and never trained on."""
    cache: OutputPath = ""
    """A folder for this machine's flat token files. The default is `tokens` beside the run's folder."""


class Examples(Part):
    """Fine-tuning on questions with answers. The loss is computed on the answer only."""

    path: InputPath
    """A JSON Lines file or a folder of them, with `prompt` and `answer`, or with MMedBench's items as released."""
    rationale: Literal["both", "with", "without"] = "both"
    """Which forms of an item with a rationale are trained on. The paper uses both."""
    prompt: Style = "paper"
    """`paper`: the released prompt, word for word. `plain`: the same without its sentence about the best treatment."""


class Lora(Part):
    """Low-rank adapters (arXiv 2106.09685) on all linear layers, instead of full weights."""

    rank: Count = 16
    """The rank of the adapters. The paper uses 16."""
    alpha: Positive = 32.0
    """The scale of the adapters, before it is divided by the rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The dropout before the adapters."""


class ModelSettings(Part):
    """The causal language model: a local checkpoint, or a configuration with random weights."""

    path: InputPath | None = None
    """A Hugging Face folder with `config.json` and safetensors."""
    config: dict[str, Any] | None = None
    """A `transformers` configuration with its `model_type`, for random weights. The tokenizer sets the vocabulary."""
    lora: Lora | None = None
    """Train low-rank adapters instead of full weights."""
    attention: Literal["auto", "varlen", "sdpa"] = "auto"
    """`varlen`: one kernel over packed documents (CUDA). `sdpa`: one call per document. `auto`: what the device has."""
    recompute: Literal["none", "full"] = "none"
    """`full`: recompute activations in the backward pass, layer by layer. It saves memory for a third more work."""
    compile: bool = False
    """Whether to apply `torch.compile`, layer by layer."""
    reshard: bool = True
    """Whether FSDP gives up the weights of a layer after its forward pass. `false` keeps them until the backward pass:
    more memory, and a third less traffic between devices."""

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelSettings":
        if (self.path is None) == (self.config is None):
            raise ValueError("a model has exactly one of path and config")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError("config needs a model_type, for example llama or qwen3")
        return self


class Optimizer(Part):
    """AdamW (arXiv 1711.05101) and its schedule."""

    lr: Positive = 2e-5
    """The highest learning rate. The paper uses 2e-5."""
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The final learning rate, as a share of `lr`."""
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    """`wsd` is warm-up, stable, then a linear decay over the last `decay` of the steps (arXiv 2404.06395)."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """The share of the steps that warm up."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """The share of the steps, at the end, that decay (`wsd`)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """The weight decay of matrices. Vectors do not decay."""
    betas: tuple[float, float] = (0.9, 0.95)
    """The decay rates of the two moments."""
    clip: Positive = 1.0
    """The norm to which the gradient is clipped."""
    z_loss: Annotated[float, Field(ge=0)] = 0.0
    """The weight of the squared log-partition term (arXiv 2204.02311, section 5)."""
    states: Literal["float32", "bfloat16", "8bit"] = "float32"
    """`float32`: weights, gradients and both moments take 16 bytes per parameter. `bfloat16`: all four in bfloat16 with
    stochastic rounding, 8 bytes. `8bit`: the same with 8-bit moments, about 6 bytes. The latter two need torchao."""
    spike: Annotated[float, Field(gt=0)] = 12.0
    """Skip and report a step whose gradient norm or loss exceeds the median of the last 128 by this many median
    absolute deviations."""


class Checkpoints(Part):
    """When the state is saved, and what is kept."""

    every: Count = 500
    """The number of steps between checkpoints."""
    minutes: Positive | None = None
    """Save after so many minutes too, counted from the last checkpoint."""
    last: bool = True
    """Whether to save the last step. A run that is asked to stop (SIGTERM, Ctrl-C) saves the step it has reached."""
    keep: Count = 2
    """How many of the newest checkpoints are kept. Older ones are deleted once a newer one is complete."""
    every_kept: Count | None = None
    """Checkpoints of every so many steps, for example 5000, are always kept."""


class Watch(Part):
    """What is measured during training."""

    log_every: Count = 10
    """The number of steps between log lines."""
    evaluate_every: Count = 500
    """The number of steps between evaluations on the held-out documents."""
    evaluate_documents: Count = 64
    """The number of held-out documents per component."""
    questions: InputPaths = ()
    """Files of questions, as for `bench.items`. Their accuracy is measured together with the held-out loss."""
    questions_limit: Annotated[int, Field(ge=0)] = 50
    """Use at most this many questions per language, drawn by the hashes of their ids; 0 uses all."""
    prompts: dict[str, tuple[str, ...]] = {}
    """Texts by language, such as `{fr: ["Le traitement de l'asthme"]}`. What the model writes after each is appended to
    `samples.jsonl` at every evaluation."""
    prompt_tokens: Count = 64
    """The most tokens that are written after a prompt."""
    trackers: tuple[Literal["trackio", "wandb"], ...] = ()
    """Send what is logged to Trackio or Weights & Biases too (`pip install 'mmedc[trackers]'`)."""
    tensorboard: bool = True
    """Whether to write TensorBoard event files into the run's folder."""
    plugins: tuple[str, ...] = ()
    """Custom loggers, as `package.module:Class`: objects with `log(step, values)` and `close()`."""
    peak_tflops: Positive | None = None
    """The matrix rate of a device in TFLOP/s, for MFU. By default it is measured at the start, on CUDA only."""


class InitFrom(Part):
    """The checkpoint of another training that a run begins with, with data and a schedule of its own."""

    checkpoint: InputPath
    """The folder of a run (its newest intact checkpoint), or of one of its checkpoints."""
    optimizer: bool = False
    """Whether to read the state of the optimizer too, as for annealing; by default it begins empty."""


class Train(Part):
    """A whole training."""

    name: str = "train"
    """The name of the training."""
    out: OutputPath = ""
    """The folder of the run. `--out` overrides it."""
    model: ModelSettings
    """The model to train: exactly one of `path` and `config`."""
    init_from: InitFrom | None = None
    """Begin with the weights of a checkpoint of another run of this model."""
    data: Data = Data()
    """Which documents are read, in which proportions, and how they are packed."""
    examples: Examples | None = None
    """Fine-tune on examples instead of corpora."""
    steps: Annotated[int, Field(ge=0)] = 0
    """The number of updates of the weights. A run that is done goes on when it is given more."""
    epochs: Annotated[float, Field(ge=0)] = 0.0
    """How often all examples are read, instead of `steps`. The paper uses 5 for full weights, 3 for adapters."""
    batch: Count = 512
    """The number of sequences per step, over all devices. The paper uses 512 of 2,048 tokens."""
    micro_batch: Count = 1
    """The number of sequences that a device processes at once."""
    seed: int = 0
    """The seed of the order of documents, of random weights and of dropout."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """The device; `auto` is CUDA where it is available."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """The precision of the computation; `auto` is bfloat16 on CUDA and float32 on the CPU."""
    processes: Count = 1
    """The number of processes, one per device. On a Ray cluster these are workers of Ray Train."""
    wait_minutes: Positive = 30.0
    """How long a process waits for the others, and a training on a cluster for its devices, before the run fails."""
    max_failures: Annotated[int, Field(ge=0)] = 3
    """How often workers of Ray Train are started again, from the last checkpoint, after one of them was lost."""
    optimizer: Optimizer = Optimizer()
    """AdamW and its schedule."""
    checkpoints: Checkpoints = Checkpoints()
    """When the state is saved, and which checkpoints are kept."""
    watch: Watch = Watch()
    """What is measured during training."""

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

    `sets` are as for `read_recipe`, below `train`.

    Raises: RecipeError with file, line and key.
    """
    found = read_part(path, "train", Train, sets, "docs/how-to/training.md")
    if found.data.mixture is None:
        return found
    if both := sorted(set(Mixture.model_fields) & found.data.model_fields_set):
        raise RecipeError(f"{path}: data.mixture names a file with these keys, and data.{both[0]} is one of them")
    law = read_mixture(found.data.mixture)
    data = found.data.model_copy(update={name: getattr(law, name) for name in Mixture.model_fields})
    return found.model_copy(update={"data": data})
