"""Training: exact resume, no leaks between documents, the loss without logits, export."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")

import safetensors.torch
import torch

from mmedc.bench.config import Bench
from mmedc.bench.scoring import score
from mmedc.corpus.tokens import counts_by_tokenizer
from mmedc.engine.run import Inline
from mmedc.errors import CorpusError, RecipeError, RequestError
from mmedc.forgetting import entry
from mmedc.pipeline.forget import forget
from mmedc.train import checkpoint, loss
from mmedc.train.config import Checkpoints, Examples, ModelSettings, Optimizer, read_train
from mmedc.train.examples import ExampleStream, read_examples
from mmedc.train.exporting import export, load_weights, newest
from mmedc.train.families import check_packing
from mmedc.train.launch import Job, tokenised
from mmedc.train.launch import train as train_here
from mmedc.train.loader import Batch, make_batch
from mmedc.train.loss import linear_cross_entropy
from mmedc.train.measure import HeldOut, read_lines
from mmedc.train.mixture import shares
from mmedc.train.model import Trained, build, cast_parameters, flops, matrix_parameters, save
from mmedc.train.optimizer import SpikeGuard, lr_at
from mmedc.train.stream import IGNORE, Sequence
from mmedc.train.tokens import Tokenizer, open_tokenizer
from mmedc.train.windows import Evaluation
from tests.conftest import Notes
from tests.test_cluster import scene

TINY = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip
torch.set_num_threads(1)  # passes this small only wait for threads, ten times as long on a busy machine
QUIET = type("Quiet", (), {"begin": lambda *_: None, "update": lambda *_: None, "end": lambda *_: None})()


@pytest.fixture(scope="module")
def tokenizer_file(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer of 400 tokens, learnt from the quickstart corpus, that begins every text with `<s>`."""
    import pyarrow.dataset as ds
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    texts = ds.dataset(quickstart / "data", format="parquet").to_table(columns=["text"])["text"].to_pylist()
    learnt = trainers.BpeTrainer(vocab_size=400, special_tokens=["</s>", "<s>"], show_progress=False)
    made.train_from_iterator(sorted(texts), learnt)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture(scope="module")
def recipe(quickstart: Path, tokenizer_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus = shutil.copytree(quickstart, tmp_path_factory.mktemp("corpora") / "quickstart")
    settings = {
        "name": "tiny",
        "model": {"config": TINY},
        "data": {"corpora": {"m": str(corpus)}, "tokenizer": str(tokenizer_file), "context": 64,
                 "held_out": 0.1, "max_epochs": 100},
        "steps": 24, "batch": 8, "micro_batch": 2, "seed": 5,
        "optimizer": {"lr": 0.01, "warmup": 0.1},
        "checkpoints": {"every": 8, "keep": 3},
        "watch": {"log_every": 1, "evaluate_every": 12, "tensorboard": False},
    }  # fmt: skip
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(json.dumps(settings))
    return path


def start(recipe: Path, out: Path, *sets: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "mmedc", "train", str(recipe), "--out", str(out), "--inline", "--quiet"]
    for one in sets:
        command += ["--set", one]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def workers(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes of a training that is under way, by rank."""
    assert process.poll() is None, process.communicate()
    found = psutil.Process(process.pid).children()
    return sorted(
        (one for one in found if any("spawn_main" in part for part in one.cmdline())), key=lambda one: one.pid
    )


def finish(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def run_here(recipe: Path, out: Path, *sets: str) -> None:
    """Train in one process, this one: a new one would take seconds to import what is imported here."""
    train_here(tokenised(read_train(str(recipe), list(sets)), str(out), Inline(), QUIET), lambda step, values: None)


def losses(run: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_lines(run / "metrics.jsonl") if "loss" in line}


@pytest.fixture(scope="module")
def calm(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing disturbs."""
    out = tmp_path_factory.mktemp("calm") / "run"
    finish(start(recipe, out, "processes=2"))
    return out


def test_the_loss_falls_in_two_processes(calm: Path) -> None:
    found = losses(calm)
    assert sorted(found) == list(range(24))
    assert np.mean([found[step] for step in range(20, 24)]) < found[0] - 0.9
    lines = read_lines(calm / "metrics.jsonl")
    held = [line["bits_per_byte/all"] for line in lines if "bits_per_byte/all" in line]
    assert len(held) == 2 and held[1] < held[0]
    assert {"loss/en", "loss/zh", "loss/kind/web"} <= {name for line in lines for name in line}
    assert (calm / "curves.svg").read_text().startswith("<?xml")


def test_killed_and_resumed_is_bit_equal(recipe: Path, calm: Path, tmp_path: Path) -> None:
    """One process of two is killed; the other one, which waits for it, ends too."""
    out = tmp_path / "run"
    process = start(recipe, out, "processes=2")
    while process.poll() is None and max(losses(out), default=0) < 12:
        time.sleep(0.02)
    workers(process)[1].kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and max(losses(out)) < 23
    assert said.startswith("error: process 1 of 2 was killed (SIGKILL)") and "Traceback" not in said
    finish(start(recipe, out, "processes=2"))
    assert losses(out) == losses(calm)


@pytest.mark.ray
def test_workers_of_ray_train_give_the_same_losses_though_one_is_killed(
    recipe: Path, calm: Path, tmp_path: Path
) -> None:
    shutil.copy(recipe, tmp_path / "recipe.yaml")
    found = scene("a_training", tmp_path)
    assert found["told"] == [23] and found["killed"] == 1
    assert found["said"].startswith("the cluster has 2 CPUs and the training asks for 4 processes")
    assert losses(tmp_path / "run") == losses(calm)


def test_fewer_processes_see_the_same_tokens(recipe: Path, calm: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(calm, out)
    shutil.rmtree(out / "checkpoints" / "step-00000024")
    run_here(recipe, out, "processes=1")
    before, after = losses(calm), losses(out)
    assert sorted(after) == sorted(before)
    assert [after[step] for step in range(16, 24)] == pytest.approx([before[step] for step in range(16, 24)], abs=1e-4)


def test_a_damaged_checkpoint_is_passed_over(calm: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(calm, out)
    assert newest(out).name == "step-00000024"
    file = next((out / "checkpoints" / "step-00000024").glob("*.distcp"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert "not what files.json says" in checkpoint.damage(file.parent)
    assert newest(out).name == "step-00000016"
    shutil.rmtree(out / "checkpoints")
    with pytest.raises(RequestError, match="no intact checkpoint"):
        newest(out)


def test_other_data_are_refused_with_what_differs(recipe: Path, calm: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(calm, out)
    settings = read_train(str(recipe), ["seed=6", "data.shares={'*/en': 0.5}"])
    job = tokenised(settings, str(out), Inline(), QUIET)
    with pytest.raises(CorpusError, match=r"(?s)data\.seed: 5 → 6.*m/en/books.* → 0\.2252.*m/en/pages.* → 0\.2747"):
        train_here(job, lambda step, values: None)


def test_a_run_on_what_a_corpus_has_forgotten_is_refused_in_one_line(
    quickstart: Path, recipe: Path, calm: Path, tmp_path: Path
) -> None:
    corpus, out = shutil.copytree(quickstart, tmp_path / "corpus"), shutil.copytree(calm, tmp_path / "run")
    forget(str(corpus), (entry("url", "https://mirror1.example/en/vertigo"),))
    settings = read_train(str(recipe), ["seed=5", f"data.corpora={{m: {corpus}}}"])
    job = tokenised(settings, str(out), Inline(), Notes())
    with pytest.raises(CorpusError, match=r'was started on corpus "m" sha256:.*: documents were forgotten') as problem:
        train_here(job, lambda step, values: None)
    assert "\n" not in str(problem.value)


def test_a_mixture_of_its_own_file_is_what_is_trained_on(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("temperature: 0\nby: language\nbuckets: [0.99]\nmax_epochs: 1000000\n")
    given = json.loads(recipe.read_text())
    del given["data"]["max_epochs"]
    given["data"]["mixture"] = "mix.yaml"
    (tmp_path / "train.yaml").write_text(json.dumps(given))
    settings = read_train(str(tmp_path / "train.yaml"))
    job = tokenised(settings, str(tmp_path / "run"), Inline(), Notes())
    parts = job.components()
    assert {part.name.rpartition("/")[2] for part in parts} == {"q0", "q1"}
    table = shares(parts, settings.data, 100)
    for lang in ("en", "ja"):
        assert sum(table[at] for at, part in enumerate(parts) if part.lang == lang) == pytest.approx(1 / 6)
    with pytest.raises(RecipeError, match=r"data\.temperature is one of them"):
        read_train(str(tmp_path / "train.yaml"), ["data.temperature=0.5"])


def test_checkpoints_are_pruned(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    keeper = checkpoint.Keeper(tmp_path, Checkpoints(keep=2, every_kept=20))
    for step in (10, 20, 30, 40, 50):
        keeper.save(step, model, optimizer, {})
    keeper.wait()
    assert [path.name[-2:] for path in sorted(tmp_path.iterdir())] == ["20", "40", "50"]


@pytest.fixture(scope="module")
def small(tokenizer_file: Path) -> tuple[Trained, Tokenizer]:
    tokenizer = open_tokenizer(str(tokenizer_file))
    return build(ModelSettings(config=TINY), tokenizer, 64, 1), tokenizer


class Fixed:
    """A stream of given documents, one sequence of all of them."""

    def __init__(self, documents: list[list[int]]) -> None:
        self.documents = documents

    def sequence(self, number: int) -> Sequence:
        tokens = np.concatenate(self.documents)
        targets = np.concatenate([[*one[1:], IGNORE] for one in self.documents])
        return Sequence(tokens, targets, np.array([len(one) for one in self.documents]), 0)


def test_a_model_without_weights_reads_no_checkpoint(small: tuple[Trained, Tokenizer], tmp_path: Path) -> None:
    """So it is built in every process but the first; buffers, such as RoPE's frequencies, have their values."""
    model, tokenizer = small
    save(tmp_path / "hub", model.base, tokenizer, "", {})
    (tmp_path / "hub" / "model.safetensors").write_bytes(b"not to be read")
    empty = build(ModelSettings(path=str(tmp_path / "hub")), tokenizer, 64, 1, empty=True)
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert [(name, one.shape) for name, one in empty.named_parameters()] == [
        (name, one.shape) for name, one in model.named_parameters()
    ]
    buffers = dict(model.named_buffers())
    assert buffers and all(torch.equal(one, buffers[name]) for name, one in empty.named_buffers())
    model.base.set_attn_implementation("mmedc_documents")


def test_documents_do_not_see_one_another(small: tuple[Trained, Tokenizer]) -> None:
    model, _ = small
    rng = np.random.default_rng(0)
    a, other, b = (rng.integers(0, 400, size).tolist() for size in (11, 11, 20))
    with torch.no_grad():
        first = model(make_batch(Fixed([a, b]), [0]))[1][11:]
        second = model(make_batch(Fixed([other, b]), [0]))[1][11:]
        alone = model(make_batch(Fixed([b]), [0]))[1]
    assert torch.equal(first, second)
    assert torch.allclose(first, alone, atol=1e-6)
    # The trap: without the masks, positions alone change nothing and documents leak.
    batch = make_batch(Fixed([a, b]), [0])
    leaky = make_batch(Fixed([a + b]), [0])
    leaky.positions, leaky.targets = batch.positions, batch.targets
    with torch.no_grad():
        assert not torch.allclose(model(leaky)[1][11:], alone, atol=1e-3)


def test_the_models_own_masks_agree(small: tuple[Trained, Tokenizer]) -> None:
    """Our attention gives what `transformers` gives, where it masks by positions (with `use_cache=False`)."""
    model, _ = small
    batch = make_batch(Fixed([list(range(9)), list(range(30, 43)), [7, 8]]), [0])
    with torch.no_grad():
        ours = model.hidden(batch)
        model.base.set_attn_implementation("eager")
        theirs = model.body(input_ids=batch.tokens[None], position_ids=batch.positions[None], use_cache=False)
        model.base.set_attn_implementation("mmedc_documents")
    assert torch.allclose(ours, theirs.last_hidden_state[0], atol=1e-5)


@pytest.mark.parametrize("z_loss", [0.0, 0.01])
def test_the_loss_without_logits_is_the_loss(z_loss: float) -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(37, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(0, 50, (37,))
    targets[::5] = IGNORE
    total, each = linear_cross_entropy(hidden, weight, targets, z_loss, rows=10)
    (total * 3).backward()
    found = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    logits = hidden @ weight.t()
    plain = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none")
    penalty = z_loss * (logits.logsumexp(-1).square() * (targets != IGNORE)).sum()
    ((plain.sum() + penalty) * 3).backward()
    assert torch.allclose(each, plain, atol=1e-5)
    assert torch.allclose(total, plain.sum() + penalty, atol=1e-4)
    assert torch.allclose(found[0], hidden.grad, atol=1e-4) and torch.allclose(found[1], weight.grad, atol=1e-4)
    given = logits.detach(), targets.clamp_min(0), targets != IGNORE, z_loss
    for plainly, fused in zip(loss._plain(*given), loss._fusible(*given), strict=True):  # what CUDA compiles
        assert torch.allclose(plainly[targets != IGNORE], fused[targets != IGNORE], atol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_export_reloads_with_equal_logits(recipe: Path, tied: bool, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sets = ["steps=2", "checkpoints.every=2", f"model.config.tie_word_embeddings={str(tied).lower()}"]
    settings = read_train(str(recipe), sets)
    out = tmp_path / "run"
    train_here(tokenised(settings, str(out), Inline(), QUIET), lambda step, values: None)
    counted = counts_by_tokenizer(settings.data.corpora["m"])
    assert [one["tokenizer"] for one in counted] == [settings.tokenizer]
    assert sum(row["documents"] for row in counted[0]["languages"].values()) == 63
    folder = export(out, tmp_path / "hub")
    tokenizer = open_tokenizer(settings.tokenizer)
    model = build(settings.model, tokenizer, 64, 999)
    load_weights(newest(out), model)
    text = "El paciente presenta fiebre y tos. 患者は発熱"
    ids = [*tokenizer.begin, *tokenizer.encode([text])[0]]
    assert tokenizer.begin == (1,) and AutoTokenizer.from_pretrained(folder)(text)["input_ids"] == ids
    read = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        theirs = read(torch.tensor([ids])).logits[0]
        ours = model.hidden(make_batch(Fixed([ids]), [0])) @ model.head.weight.t()
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert (read.lm_head.weight is read.model.embed_tokens.weight) is tied
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is tied
    with pytest.raises(RequestError, match="exists already"):
        export(out, folder)


def test_questions_and_prompts_on_the_way(recipe: Path, tmp_path: Path) -> None:
    sets = [
        "steps=4", "checkpoints.every=4", "watch.evaluate_every=2", "data.context=96",
        "watch.questions=[shipped:questions]", "watch.prompts={en: [The heart, Fever is], es: [La fiebre]}",
        "watch.prompt_tokens=5",
    ]  # fmt: skip
    out = tmp_path / "run"
    finish(start(recipe, out, "processes=2", *sets))
    written = [json.loads(line) for line in (out / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    prompts = [("en", "The heart"), ("en", "Fever is"), ("es", "La fiebre")]
    assert [(one["step"], one["lang"], one["prompt"]) for one in written] == [
        (n, *one) for n in (1, 3) for one in prompts
    ]
    assert any(one["text"] for one in written)
    found = [line for line in read_lines(out / "metrics.jsonl") if "accuracy/mean" in line]
    assert [line["step"] for line in found] == [1, 3]
    model = export(out, tmp_path / "hub")
    scored = score(Bench(model=str(model), items="shipped:questions", context=96, device="cpu"))
    expected = {f"accuracy/{lang}": row["accuracy"] for lang, row in scored["languages"].items()}
    assert len(expected) == 6
    assert {name: found[-1][name] for name in expected} == pytest.approx(expected)
    assert found[-1]["accuracy/mean"] == pytest.approx(scored["average"]["accuracy"])
    assert "questions answered rightly" in (out / "curves.svg").read_text()


def test_a_model_under_training_is_in_training_mode_but_for_evaluation(
    recipe: Path, tokenizer_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of `transformers` is read in evaluation mode, in which dropout would do nothing."""
    seen: list[tuple[bool, bool]] = []
    plain = Trained.forward

    def forward(self: Trained, batch: Batch) -> Any:
        seen.append((self.lm.training, torch.is_grad_enabled()))
        return plain(self, batch)

    monkeypatch.setattr(Trained, "forward", forward)
    tokenizer = open_tokenizer(str(tokenizer_file))
    save(tmp_path / "hub", build(ModelSettings(config=TINY), tokenizer, 64, 1).base, tokenizer, "", {})
    text = json.loads(recipe.read_text())
    text |= {"model": {"path": str(tmp_path / "hub")}, "steps": 2, "checkpoints": {"every": 2}}
    text["watch"] = text["watch"] | {"evaluate_every": 1}
    path = tmp_path / "from_path.yaml"
    path.write_text(json.dumps(text))
    settings = read_train(str(path))
    train_here(tokenised(settings, str(tmp_path / "run"), Inline(), QUIET), lambda step, values: None)
    assert set(seen) == {(True, True), (False, False)}


def test_adapters_train_and_merge(recipe: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    sets, out = ("steps=3", "checkpoints.every=3", "model.lora.rank=4"), tmp_path / "run"
    settings = read_train(str(recipe), list(sets))
    run_here(recipe, out, *sets)
    base = build(settings.model.model_copy(update={"lora": None}), open_tokenizer(settings.tokenizer), 64, 5)
    read = AutoModelForCausalLM.from_pretrained(export(out, tmp_path / "hub"))
    layer = "model.layers.0.self_attn.q_proj.weight"
    merged = read.state_dict()[layer]
    assert not torch.equal(merged, base.lm.state_dict()[layer])
    assert torch.equal(read.state_dict()["model.norm.weight"], base.lm.state_dict()["model.norm.weight"])
    adapted = build(settings.model, open_tokenizer(settings.tokenizer), 64, 5)
    load_weights(newest(out), adapted)
    ids = list(range(40))
    with torch.no_grad():
        ours = adapted.hidden(make_batch(Fixed([ids]), [0])) @ adapted.head.weight.t()
        assert torch.allclose(read(torch.tensor([ids])).logits[0], ours, atol=1e-5)
    alone = export(out, tmp_path / "adapter", adapter=True)
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= {path.name for path in alone.iterdir()}
    assert not (alone / "model.safetensors").exists()
    base.base.set_attn_implementation("sdpa")
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(base.lm, alone)(torch.tensor([ids])).logits[0]
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_adapters_in_two_processes_are_those_of_one(recipe: Path, tmp_path: Path) -> None:
    """Frozen weights and adapters in the same shards."""
    sets = ["steps=4", "checkpoints.every=2", "model.lora.rank=4"]
    run_here(recipe, tmp_path / "run-1", *sets)
    finish(start(recipe, tmp_path / "run-2", "processes=2", *sets))
    one, two = (losses(tmp_path / f"run-{processes}") for processes in (1, 2))
    assert len(one) == 4 and [two[step] for step in sorted(two)] == pytest.approx([one[step] for step in sorted(one)])
    merged = [export(tmp_path / f"run-{processes}", tmp_path / f"hub-{processes}") for processes in (1, 2)]
    read = [safetensors.torch.load_file(folder / "model.safetensors") for folder in merged]
    assert read[0].keys() == read[1].keys()
    assert all(torch.allclose(read[0][name], read[1][name], atol=1e-4) for name in read[0])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"model_type": "mistral", "sliding_window": 16}, "a sliding window of 16 tokens"),
        ({"model_type": "gemma2", "head_dim": 8}, "soft cap|sliding window"),
        ({"model_type": "granite", "logits_scaling": 4.0}, ""),
        ({"model_type": "nanochat"}, "its logits differ"),
        ({"model_type": "mistral", "sliding_window": 64}, ""),
        ({"model_type": "qwen3", "head_dim": 8}, ""),
    ],
)
def test_a_model_that_packing_changes_is_refused(more: Any, said: str, small: tuple[Trained, Tokenizer]) -> None:
    model = build(ModelSettings(config=TINY | more), small[1], 64, 1)
    if not said:
        check_packing(model, 64)
        return
    with pytest.raises(RecipeError, match=said):
        check_packing(model, 64)


def test_a_model_in_bfloat16_keeps_its_frequencies(small: tuple[Trained, Tokenizer]) -> None:
    _, tokenizer = small
    model, exact = (build(ModelSettings(config=TINY), tokenizer, 64, 1) for _ in range(2))
    cast_parameters(model, torch.bfloat16)
    buffers = dict(model.named_buffers())
    assert any(name.endswith("inv_freq") for name in buffers)
    assert all(torch.equal(buffers[name], was) and was.dtype == torch.float32 for name, was in exact.named_buffers())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    tied = build(ModelSettings(config=TINY | {"tie_word_embeddings": True}), tokenizer, 64, 1)
    cast_parameters(tied, torch.bfloat16)
    assert tied.head.weight is tied.base.get_input_embeddings().weight


@pytest.mark.parametrize("states", ["bfloat16", "8bit"])
def test_small_states_train_and_resume(recipe: Path, tmp_path: Path, states: str) -> None:
    pytest.importorskip("torchao", reason="the extra mmedc[low-memory] is not installed")
    sets = [f"optimizer.states={states}", "steps=12", "checkpoints.every=6"]
    run_here(recipe, tmp_path / "whole", *sets)
    whole = losses(tmp_path / "whole")
    assert np.mean([whole[step] for step in range(8, 12)]) < whole[0] - 0.5
    shutil.rmtree(tmp_path / "whole" / "checkpoints" / "step-00000012")
    run_here(recipe, tmp_path / "whole", *sets)
    again = losses(tmp_path / "whole")
    assert sorted(again) == list(range(12)) and again[6] == pytest.approx(whole[6], abs=1e-3)


def test_flops_are_those_that_torch_counts(small: tuple[Trained, Tokenizer]) -> None:
    """Forward matrices are a third of 6·N; attention counts half of the full square, since it is causal."""
    from torch.utils.flop_counter import FlopCounterMode

    model, _ = small
    batch = make_batch(Fixed([list(range(32))]), [0])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        hidden = model.hidden(batch)
        _ = hidden @ model.head.weight.t()
    counted = counter.get_total_flops()
    n, width = matrix_parameters(model), 32
    attention = 4 * TINY["num_hidden_layers"] * width * 32 * 32
    assert counted in (2 * n * 32, 2 * n * 32 + attention)  # some versions do not see the attention
    assert flops(n, 2, width, batch.lengths) == 3 * (2 * n * 32 + attention / 2)


def test_spikes_are_skipped_and_forgotten() -> None:
    guard = SpikeGuard(12.0)
    rng = np.random.default_rng(1)
    for _ in range(100):
        assert not guard.spike(2 + 0.05 * rng.standard_normal(), 1 + 0.1 * rng.standard_normal())
    assert guard.spike(9.0, 1.0) and guard.spike(2.0, 40.0) and guard.spike(float("nan"), 1.0)
    assert not guard.spike(2.1, 1.1)
    again = SpikeGuard(12.0)
    again.load(guard.state())
    assert again.losses == guard.losses and again.spike(9.0, 1.0)


def test_schedules() -> None:
    cosine = Optimizer(lr=1.0, warmup=0.1, min_lr_ratio=0.1)
    assert [round(lr_at(step, 100, cosine), 3) for step in (0, 9, 10, 55, 99)] == [0.1, 1.0, 1.0, 0.55, 0.1]
    wsd = Optimizer(lr=1.0, warmup=0.1, schedule="wsd", decay=0.2, min_lr_ratio=0.0)
    assert [round(lr_at(step, 100, wsd), 3) for step in (4, 50, 79, 90, 99)] == [0.5, 1.0, 1.0, 0.5, 0.05]


def test_wrong_settings_are_told(recipe: Path, tmp_path: Path) -> None:
    text = json.loads(recipe.read_text())
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps(text | {"stepz": 3}))
    with pytest.raises(RecipeError, match=r'wrong.yaml:1: unknown key "stepz"; did you mean "steps"'):
        read_train(str(path))
    with pytest.raises(RecipeError, match=r"multiple of micro_batch times processes \(3 x 1\)"):
        read_train(str(recipe), ["micro_batch=3"])
    with pytest.raises(RecipeError, match="exactly one of path and config"):
        read_train(str(recipe), ["model.path=x"])
    settings: Any = read_train(str(recipe), ["model.config.vocab_size=300"])
    with pytest.raises(RecipeError, match="the model knows 300 tokens"):
        build(settings.model, open_tokenizer(settings.tokenizer), 64, 1)
    with pytest.raises(RecipeError, match=r"holds no config\.json"):
        build(ModelSettings(path=str(tmp_path)), open_tokenizer(settings.tokenizer), 64, 1)
    with pytest.raises(CorpusError, match=r"there is no manifest\.json"):
        tokenised(read_train(str(recipe), [f"data.corpora.m={tmp_path}"]), "x", Inline(), QUIET)


def test_held_out_documents_are_packed_and_measured_as_each_alone(
    recipe: Path, small: tuple[Trained, Tokenizer], tmp_path: Path
) -> None:
    model, _ = small
    job = tokenised(read_train(str(recipe)), str(tmp_path / "run"), Inline(), QUIET)
    components = job.components()
    held_out = HeldOut(components, 64, 64)
    evaluation = Evaluation(model.eval(), contextlib.nullcontext, torch.device("cpu"), 2, 0, 1)
    found = held_out.evaluate(evaluation)
    total, tokens, count = 0.0, 0, 0
    for component in components:
        for row in np.flatnonzero(component.held_out).tolist():
            ids = component.read(row, 0, int(component.lengths[row])).astype(np.int64).tolist()
            for at in range(0, len(ids) - 1, 64):
                with torch.no_grad():
                    total += float(model(make_batch(Fixed([ids[at : at + 65]]), [0]))[0])
                tokens += len(ids[at : at + 65]) - 1
                count += 1
    assert found["held_out/loss"] == pytest.approx(total / tokens, rel=1e-5)
    assert tokens / 64 <= len(held_out) < count


def test_adapters_do_less_work_than_weights(tokenizer_file: Path) -> None:
    tokenizer = open_tokenizer(str(tokenizer_file))
    whole, adapted = (
        build(ModelSettings.model_validate({"config": TINY, **lora}), tokenizer, 64, 1)
        for lora in ({}, {"lora": {"rank": 1}})
    )
    assert 2 / 3 < matrix_parameters(adapted) / matrix_parameters(whole) < 0.75


def test_a_job_can_be_sent(recipe: Path, tmp_path: Path) -> None:
    import pickle

    job = tokenised(read_train(str(recipe)), str(tmp_path / "run"), Inline(), QUIET)
    sent: Job = pickle.loads(pickle.dumps(job))
    assert sent.prepare().stream.record() == job.prepare().stream.record()


ITEMS = [
    {"question": f"Which drug lowers fever number {n}?", "options": {"A": "paracetamol", "B": "insulin"},
     "answer_idx": "A" if n % 2 else ["A", "B"], "rationale": f"Because {n} it acts on the brain." * (n % 3)}
    for n in range(40)
]  # fmt: skip


def items_file(folder: Path) -> Path:
    (folder / "English.jsonl").write_text("\n".join(map(json.dumps, ITEMS)) + "\n")
    (folder / "French.jsonl").write_text("\n".join(map(json.dumps, ITEMS[:9])) + "\n")
    return folder


def test_examples_are_asked_as_the_paper_asks(tmp_path: Path) -> None:
    found = read_examples(Examples(path=str(items_file(tmp_path))))
    reasoned = sum(bool(item["rationale"]) for item in ITEMS) + sum(bool(item["rationale"]) for item in ITEMS[:9])
    assert len(found) == len(ITEMS) + 9 + reasoned
    assert len(read_examples(Examples(path=str(tmp_path), rationale="without"))) == len(ITEMS) + 9
    french = [one for one in found if one.lang == "fr"]
    assert all("You're a French doctor" in one.prompt and one.prompt.endswith("### Response:") for one in french)
    assert {one.answer for one in found if "Rationale" not in one.answer} == {
        "###Answer: OPTION A IS CORRECT.", "###Answer: OPTION A,B IS CORRECT.",
    }  # fmt: skip
    (tmp_path / "English.jsonl").write_text('{"question": 1}\n')
    with pytest.raises(RecipeError, match=r"English\.jsonl:1: neither prompt and answer"):
        read_examples(Examples(path=str(tmp_path)))


def test_examples_are_packed_whole_with_loss_on_answers(tokenizer_file: Path, tmp_path: Path) -> None:
    tokenizer = open_tokenizer(str(tokenizer_file))
    examples = read_examples(Examples(path=str(items_file(tmp_path))))
    stream = ExampleStream(examples, tokenizer, 1024, 0)
    seen = []
    for number in range(stream.sequences(1)):
        got = stream.sequence(number)
        assert got.lengths.sum() == 1024 == len(got.tokens)
        for part, first in zip(stream.provenance(number), np.cumsum([0, *got.lengths]), strict=False):
            one = examples[part["example"]]
            seen.append(part["example"])
            answer = tokenizer.encode([one.answer])[0]
            prompt = [*tokenizer.begin, *tokenizer.encode([one.prompt])[0]]
            last = first + len(prompt) + len(answer)
            learnt = got.targets[first:last]
            assert learnt[learnt != IGNORE].tolist() == [*answer, tokenizer.eos]
            assert got.tokens[first:last].tolist() == [*prompt, *answer]
    assert sorted(seen) == list(range(len(examples)))
    assert stream.sequences(2) > stream.sequences(1.5) > stream.sequences(1)
    short = ExampleStream(examples, tokenizer, 64, 0)
    assert all((short.sequence(n).targets != IGNORE).any() for n in range(short.sequences(1)))


def test_fine_tuning_learns_the_answers(recipe: Path, tokenizer_file: Path, tmp_path: Path) -> None:
    sets = [f"examples.path={items_file(tmp_path)}", "data.corpora={}", "steps=0", "epochs=2", "data.context=512",
            "batch=2", "optimizer.lr=0.02", "examples.rationale=without"]  # fmt: skip
    out = tmp_path / "run"
    job = tokenised(read_train(str(recipe), sets), str(out), Inline(), QUIET)
    train_here(job, lambda step, values: None)
    found = losses(out)
    assert len(found) == job.settings.steps >= 8
    assert found[max(found)] < 0.5 * found[0]
