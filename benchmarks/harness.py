"""mmedc bench beside lm-evaluation-harness: choices item by item, and speed, on the same items and model, in turn.

    python benchmarks/harness.py --data FOLDER... [--limit 100] [--model FOLDER] [--only letters]

A FOLDER holds questions as mmedc reads them (*.jsonl, *.jsonl.gz). The model is a Llama of random
weights unless one is named: `--size tiny` has the words of a small tokenizer learnt from the questions, `qwen`
the 151,643 of Qwen. Every protocol that both have is run: letters, sets of letters where a benchmark has them,
texts of options by sum, characters and bytes, solved examples before the question, the paper's prompt, a chat template,
generation. Wall time is that of whole processes, start-up included, and of the scoring alone; on a machine that others
use too the CPU seconds of one thread are what compares (OMP_NUM_THREADS=1). The harness runs in an environment of its
own, which is made at the first call (`.venv-lm-eval`).
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from side_by_side import environment

from mmedc.bench.config import Bench
from mmedc.bench.harness import export
from mmedc.bench.items import Item, read_items, write_items
from mmedc.bench.scoring import selected

LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")

PROTOCOLS = {
    "letters": {},
    "letters, 3 shots": {"shots": 3},
    "letters, paper's prompt": {"prompt": "paper"},
    "letters, chat": {"chat": True},
    "options": {"protocol": "options"},
    "options, 3 shots": {"protocol": "options", "shots": 3},
    "generate": {"protocol": "generate", "max_tokens": 8},
    "generate, 3 shots": {"protocol": "generate", "max_tokens": 8, "shots": 3},
    "generate, 64 tokens": {"protocol": "generate", "max_tokens": 64},
}
NORMALS = {"sum": "acc", "characters": "acc_norm", "bytes": "acc_bytes"}
CHAT = "{% for turn in messages %}<|{{ turn.role }}|>\n{{ turn.content }}\n{% endfor %}<|assistant|>\n"
SIZES = {"tiny": (8_192, 192, 4), "small": (16_384, 512, 8), "qwen": (152_064, 192, 4)}
"""Words, width and layers."""
TIMED = """
import sys, time
from mmedc.bench import scoring
from mmedc.bench.config import read_bench

plain = scoring.open_backend

def opened(*how):
    global begun
    found = plain(*how)
    begun = time.perf_counter(), time.process_time()
    return found

scoring.open_backend = opened
scoring.score(read_bench(sys.argv[1]))
print("scoring", time.perf_counter() - begun[0], time.process_time() - begun[1])
"""
"""Scores what a recipe says, and tells the seconds, wall and CPU, after the model was there."""
HEAD = (
    "protocol | items | equal | largest difference | mmedc, items/s | harness | "
    "ratio (each round) | … of CPU seconds | with start-up"
)


def make_model(folder: Path, texts: list[str], size: str) -> None:
    """Write a Llama of random weights and a tokenizer to `folder`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words, width, layers = SIZES[size]
    if size == "qwen":
        from mmedc.tokenizer import hub_tokenizer

        made = hub_tokenizer("qwen")
        end = "<|endoftext|>"
    else:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        made, end = Tokenizer(models.BPE()), "</s>"
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        learnt = trainers.BpeTrainer(vocab_size=words, special_tokens=[end], initial_alphabet=alphabet)
        made.train_from_iterator(texts, learnt)
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end, "pad_token": end, "chat_template": CHAT}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=words, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=width // 32, num_key_value_heads=width // 32, max_position_embeddings=4096,
        initializer_range=0.05, bos_token_id=None, eos_token_id=made.token_to_id(end), pad_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)


def written(path: Path, items: list[Item]) -> Path:
    """Write items as mmedc reads them and return the file."""
    write_items(items, path)
    return path


Times = tuple[float, float, float]
"""Wall seconds of a process; wall and CPU seconds of the scoring alone."""


def clocked(command: list[str]) -> Times:
    """Run a command that tells the seconds of its scoring."""
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    wall, cpu = re.findall(r"scoring ([\d.]+) ([\d.]+)", done.stdout + done.stderr)[-1]
    return time.perf_counter() - begun, float(wall), float(cpu)


def ours(model: Path, items: list[Path], examples: list[Path], settings: dict, out: Path) -> Times:
    """Score with mmedc."""
    given = {"model": str(model), "items": [str(path) for path in items], "out": str(out), "device": "cpu", **settings}
    given |= {"context": 4096}
    if given.get("shots"):
        given["examples"] = [str(path) for path in examples]
    recipe = out.with_suffix(".yaml")
    recipe.write_text(json.dumps(given))
    return clocked([sys.executable, "-c", TIMED, str(recipe)])


def theirs(python: str, model: Path, tasks: Path, settings: dict, out: Path, batch: int) -> Times:
    """Score with the harness."""
    arguments = f"pretrained={model},dtype=float32,max_length=4096"
    command = [
        python,
        str(Path(__file__).with_name("harness_peer.py")),
        "run",
        "--model",
        "hf",
        "--model_args",
        arguments,
    ]
    command += ["--tasks", "mmedc", "--include_path", str(tasks), "--device", "cpu", "--batch_size", str(batch)]
    command += ["--log_samples", "--output_path", str(out)]
    if settings.get("chat"):
        command += ["--apply_chat_template"]
    return clocked(command)


def compared(mine: Path, other: Path, settings: dict) -> dict[str, tuple[int, int, float]]:
    """Return by language: items, equal choices, the largest difference of log-likelihoods (or 0)."""
    normal = settings.get("normal", "sum")
    records = {row["id"]: row for row in map(json.loads, (mine / "items.jsonl").open(encoding="utf-8"))}
    found: dict[str, list[tuple[bool, float]]] = {}
    for path in sorted(other.rglob("samples_mmedc_*.jsonl")):
        for sample in map(json.loads, path.open(encoding="utf-8")):
            row = records[sample["doc"]["id"]]
            if settings.get("protocol") == "generate":
                output = sample["resps"][0][0]
                same = row["output"].strip() == output.strip() and row["right"] == bool(sample["exact_set"])
                found.setdefault(row["lang"], []).append((same, 0.0))
                continue
            values = [float(one[0][0]) for one in sample["resps"]]
            gap = float(np.abs(np.array(values) - row["likelihoods"]).max())
            size = {"sum": lambda one: 1, "characters": len, "bytes": lambda one: len(one.encode())}[normal]
            sizes = np.array([size(one) for one in sample["doc"]["choices"]])
            same = int(np.argmax(np.array(values) / sizes)) == int(np.argmax(np.array(row["likelihoods"]) / sizes))
            right = int(np.argmax(np.array(row["likelihoods"]) / sizes)) == sample["doc"]["gold"]
            same = same and right == bool(sample[NORMALS[normal]])
            found.setdefault(row["lang"], []).append((same, gap))
    return {
        lang: (len(rows), sum(same for same, _ in rows), max(gap for _, gap in rows)) for lang, rows in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--limit", type=int, default=100, help="items of a file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--batch", type=int, default=16, help="of the harness")
    parser.add_argument("--only", choices=PROTOCOLS, nargs="*", default=list(PROTOCOLS))
    given = parser.parse_args()
    python = environment("lm-eval")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        files, solved = [], []
        paths = [path for folder in given.data for path in sorted(Path(folder).glob("*.jsonl*"))]
        for path in paths:
            items = [item for item in read_items((str(path),)) if item.lang in LANGUAGES]
            if len(items) > 3:
                name = f"{path.parent.name}-{path.name.split('.')[0]}.jsonl"
                files.append(written(work / "items" / name, items[: given.limit]))
                solved.append(written(work / "examples" / name, items[-3:]))
        texts = [item.question for item in read_items(tuple(map(str, files)))]
        model = Path(given.model) if given.model else work / "model"
        if not given.model:
            make_model(model, texts, given.size)
        count = len(texts)
        print(
            f"{count} items of {len(files)} files, {os.cpu_count()} cores, {given.rounds} rounds, batch {given.batch}"
        )
        print(f"\n| {HEAD} |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
        for name in given.only:
            settings, times = PROTOCOLS[name], []
            tasks = work / f"tasks-{re.sub(r'[^a-z0-9]+', '-', name)}"
            how = {"model": str(model), "items": [str(path) for path in files], **settings}
            if settings.get("shots"):
                how["examples"] = [str(path) for path in solved]
            manner = Bench.model_validate(how)
            export(*selected(manner), manner, tasks)
            for number in range(given.rounds):
                mine, other = tasks / f"mine{number}", tasks / f"other{number}"
                of_mine = ours(model, files, solved, settings, mine)
                times.append((of_mine, theirs(python, model, tasks, settings, other, given.batch)))
            for normal in NORMALS if settings.get("protocol") == "options" else ("sum",):
                equal = compared(mine, other, {**settings, "normal": normal})
                items, same = sum(one[0] for one in equal.values()), sum(one[1] for one in equal.values())
                gap = max(one[2] for one in equal.values())
                ratios = sorted(b[1] / a[1] for a, b in times)
                processor = statistics.median(b[2] / a[2] for a, b in times)
                walls = statistics.median(b[0] / a[0] for a, b in times)
                rates = [count / statistics.median(pair[side][1] for pair in times) for side in (0, 1)]
                spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
                speed = (
                    f"{rates[0]:.1f} | {rates[1]:.1f} | {spread} | {processor:.1f} | {walls:.1f}"
                    if normal == "sum"
                    else "| | | | "
                )
                print(
                    f"| {name}{'' if normal == 'sum' else ', by ' + normal} | {items} | {same} | {gap:.1e} | {speed} |",
                    flush=True,
                )
                if same < items:
                    print(f"  by language: { {lang: f'{one[1]}/{one[0]}' for lang, one in equal.items()} }")


if __name__ == "__main__":
    main()
