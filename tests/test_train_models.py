"""Models under training: which families packed documents fit, and what attention does with what a model asks of it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")

import torch

from mmedc.train import attention
from mmedc.train.config import ModelSettings
from mmedc.train.loader import make_batch
from mmedc.train.model import build
from tests.test_train import TINY, Fixed

ROOT = Path(__file__).parent.parent


def benchmark(name: str) -> ModuleType:
    """The script `benchmarks/NAME.py` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def families() -> ModuleType:
    return benchmark("families")


@pytest.mark.parametrize(
    "row",
    ["llama", "gpt2", "deepseek_v3", "cohere", "gemma2", "lfm2", "mamba", "bloom", "falcon", "nemotron", "phi",
     "gemma3_text, window 16", "llama4_text, chunks of 16", "phi3, longrope", "granite, scaled logits"],
)  # fmt: skip
def test_the_table_of_families_is_what_is_found(row: str, families: ModuleType) -> None:
    table = (ROOT / "docs" / "reference" / "families.md").read_text(encoding="utf-8").splitlines()
    assert families.line(row) in table


def test_the_table_has_every_row(families: ModuleType) -> None:
    table = (ROOT / "docs" / "reference" / "families.md").read_text(encoding="utf-8").splitlines()
    named = [line.split(" | ")[0].removeprefix("| ").replace("`", "") for line in table if line.startswith("| `")]
    assert named == sorted(families.FAMILIES)
    assert len({name.split(",")[0] for name in named}) > 80


def test_a_models_own_scale_of_logits_is_learnt_and_not_only_checked(families: ModuleType) -> None:
    config = {"model_type": "granite", **families.FAMILIES["granite, scaled logits"]}
    model = build(ModelSettings(config=config), families.TOKENIZER, 64, 1)
    batch = make_batch(Fixed([list(range(20))]), [0])
    loss, _ = model(batch)
    model.base.set_attn_implementation("eager")
    own = model.lm(input_ids=batch.tokens[None], use_cache=False).logits[0].log_softmax(-1)
    expected = -own[:-1].gather(1, batch.targets[:-1, None]).sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def heads(dtype: torch.dtype = torch.float32, size: int = 8, count: int = 4, tokens: int = 12) -> Any:
    generator = torch.Generator().manual_seed(count + size)
    return torch.randn(1, count, tokens, size, generator=generator).to(dtype)


def test_attention_drops_what_the_model_asks_for() -> None:
    """GPT-2's configuration drops a tenth; that was ignored."""
    given = {"bounds": torch.tensor([0, 5, 12], dtype=torch.int32), "longest": 12}
    states = heads(), heads(count=2), heads(count=2)
    plain, _ = attention.attend(None, *states, None, **given)
    again, _ = attention.attend(None, *states, None, dropout=0.0, **given)
    dropped, _ = attention.attend(None, *states, None, dropout=0.9, **given)
    assert torch.equal(plain, again) and not torch.allclose(plain, dropped)
    assert plain.is_contiguous()


def test_attention_computes_in_one_type() -> None:
    """Norms of queries and keys give float32 where the rest is in bfloat16, with and without autocast."""
    given = {"bounds": torch.tensor([0, 5, 12], dtype=torch.int32), "longest": 12}
    query, key, value = heads(), heads(count=2), heads(torch.bfloat16, count=2)
    exact, _ = attention.attend(None, query, key, value.float(), None, **given)
    found, _ = attention.attend(None, query, key, value, None, **given)
    with torch.autocast("cpu", torch.bfloat16):
        cast, _ = attention.attend(None, query, key, value.float(), None, **given)
    assert found.dtype == cast.dtype == torch.bfloat16
    assert torch.allclose(found.float(), exact, atol=0.05) and torch.equal(found, cast)


@pytest.mark.skipif(attention.varlen_kernel() is None, reason="this version of torch has no such kernel")
@pytest.mark.parametrize(
    ("query", "value", "dropout", "said"),
    [
        (heads(torch.bfloat16, 64), heads(torch.bfloat16, 64), 0.0, ""),
        (heads(torch.float32, 64), heads(torch.float32, 64), 0.0, "compute in float32"),
        (heads(torch.bfloat16, 192), heads(torch.bfloat16, 128), 0.0, "192 and 128"),
        (heads(torch.bfloat16, 512), heads(torch.bfloat16, 512), 0.0, "up to 256"),
        (heads(torch.bfloat16, 60), heads(torch.bfloat16, 60), 0.0, "multiple of 8"),
        (heads(torch.bfloat16, 64), heads(torch.bfloat16, 64), 0.1, "no dropout"),
    ],
)
def test_the_kernel_is_used_for_what_it_computes(query: Any, value: Any, dropout: float, said: str) -> None:
    lacks = attention.kernel_lacks(query, value, dropout)
    assert said in lacks and bool(lacks) == bool(said)


def test_layers_are_found_in_every_family(families: ModuleType) -> None:
    for name in ("gpt2", "llama4_text", "mixtral"):
        model = build(ModelSettings(config={"model_type": name, **families.FAMILIES[name]}), families.TOKENIZER, 64, 1)
        assert len(model.layers) == 2 and all(
            "attn" in dir(layer) or "self_attn" in dir(layer) for layer in model.layers
        )
    assert len(build(ModelSettings(config=TINY), families.TOKENIZER, 64, 1).layers) == 2


def test_the_benchmark_for_a_gpu_runs_at_toy_size(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--toy", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert not [part for part, values in found.items() if {"failed", "skipped"} & set(values)], found
    assert found["kernel"]["right"] and found["resume"]["equal"]
    assert found["agree"]["eager"] < 0.02 and found["agree"]["last"] < found["agree"]["first"]
    assert {"1b", "8b", "trainer 1b", "loss", "profile"} <= set(found)
    assert (tmp_path / "profile.txt").read_text().count("\n") == 40
