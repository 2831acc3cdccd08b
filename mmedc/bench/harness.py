"""Tasks for lm-evaluation-harness with the same items, prompts and choices, as YAML and JSON lines."""

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import TaggedScalar

from mmedc.bench import parsing
from mmedc.bench.config import Bench
from mmedc.bench.protocols import END, answer_of, choices_of, delimiter, question_of
from mmedc.questions import Item

GROUP = "mmedc"
NONE = -100
"""The index that the harness takes for a gold answer that is not among the choices, and hence never right."""

_PROCESS = '''"""Reads a generated answer with the parser beside this file."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from mmedc_parsing import parse  # noqa: E402


def process(doc, results):
    found = parse(results[0], json.loads(doc["options"]), doc["multiple"])
    right = found is not None and ",".join(found) == doc["gold"]
    return {"exact_set": float(right), "parsed": float(found is not None)}
'''


def export(items: list[Item], examples: dict[str, list[Item]], settings: Bench, folder: Path) -> list[str]:
    """Write one task for each language, and their group, to `folder`, and return the names of the tasks.

    `lm_eval --model_args pretrained=MODEL --include_path FOLDER --tasks mmedc` runs them. Solved examples become its
    few-shot examples, in their order. Where `chat` is set, lm_eval needs `--apply_chat_template`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    languages = sorted({item.lang for item in items})
    names = [f"{GROUP}_{lang}" for lang in languages]
    generated = settings.protocol == "generate"
    for lang, name in zip(languages, names, strict=True):
        files = {"test": folder / f"{name}.jsonl"}
        docs = [_doc(item, settings) for item in items if item.lang == lang]
        # The harness tries out the first item, which therefore needs a gold answer.
        _write(files["test"], sorted(docs, key=lambda doc: doc.get("gold") == NONE))
        if settings.shots:
            files["validation"] = folder / f"{name}_examples.jsonl"
            _write(files["validation"], [_doc(item, settings, example=True) for item in examples[lang]])
        task: dict[str, Any] = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {split: str(path.resolve()) for split, path in files.items()}},
            "test_split": "test",
            "output_type": "generate_until" if generated else "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_target": "answer" if generated else "gold",
            "target_delimiter": delimiter(settings),
            "num_fewshot": settings.shots,
            "metadata": {"version": 1, "licences": sorted({item.licence for item in items if item.lang == lang})},
        }
        if settings.shots:
            task |= {
                "fewshot_split": "validation",
                "fewshot_delimiter": "\n\n",
                "fewshot_config": {"sampler": "first_n"},
            }
        if generated:
            task["generation_kwargs"] = {"until": [], "max_gen_toks": settings.answer_tokens, "do_sample": False}
            task["process_results"] = TaggedScalar("utils.process", tag="!function")
            task["metric_list"] = _metrics("exact_set", "parsed")
        else:
            task["doc_to_choice"] = "choices"
            task["metric_list"] = _metrics("acc", "acc_norm", "acc_bytes")
        _yaml(folder / f"{name}.yaml", task)
    if generated:
        (folder / "utils.py").write_text(_PROCESS, encoding="utf-8")
        (folder / "mmedc_parsing.py").write_text(Path(parsing.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    first = "exact_set" if generated else "acc"
    means = [{"metric": first, "aggregation": "mean", "weight_by_size": False}]
    _yaml(folder / f"{GROUP}.yaml", {"group": GROUP, "task": names, "aggregate_metric_list": means})
    return names


def _doc(item: Item, settings: Bench, example: bool = False) -> dict[str, Any]:
    doc: dict[str, Any] = {"id": item.id, "prompt": question_of(item, settings)}
    if settings.protocol == "generate":
        more = {"options": json.dumps(item.options, ensure_ascii=False), "multiple": item.multiple}
        return doc | {"answer": answer_of(item.gold, item, settings), "gold": ",".join(item.gold), **more}
    choices = choices_of(item, settings)
    sets = [letters for letters, _ in choices]
    right = item.gold[:1] if example and settings.protocol == "options" else item.gold  # as in `answer_of`
    gold = sets.index(right) if right in sets else NONE
    # The delimiter of examples ends a solved one already.
    return doc | {"choices": [text.removesuffix(END) if example else text for _, text in choices], "gold": gold}


def _metrics(*names: str) -> list[dict[str, Any]]:
    return [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in names]


def _write(path: Path, docs: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs), encoding="utf-8")


def _yaml(path: Path, task: dict[str, Any]) -> None:
    writer = YAML()
    writer.width = 10_000
    with path.open("w", encoding="utf-8") as file:
        writer.dump(task, file)
