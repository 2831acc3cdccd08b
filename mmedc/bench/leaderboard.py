"""The files that the leaderboard of MMedBench requires (SubmissionTutorial.md of MAGIC-AI4Med/MMedLM)."""

import csv
from pathlib import Path
from typing import Any

from mmedc.prompts import LANGUAGES
from mmedc.questions import Item

COLUMNS = ("Language", "ModelInput", "ModelOutput", "GT_Answer")
SIMILARITIES = {
    **{f"BLEU-{order}": f"bleu{order}" for order in range(1, 5)},
    "ROUGE-1": "rouge1",
    "ROUGE-2": "rouge2",
    "ROUGE-L": "rougeL",
}


def write(folder: Path, items: list[Item], prompts: list[str], outputs: list[str], result: dict[str, Any]) -> None:
    """Write the results by item (answers, and rationales that a person has checked) and metrics by language, as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    answers, rationales = [], []
    for item, prompt, output in zip(items, prompts, outputs, strict=True):
        row = [LANGUAGES.get(item.lang, item.lang), prompt, output]
        answers.append([*row, ",".join(item.gold)])
        if item.human_checked and item.rationale:
            rationales.append([*row, item.rationale])
    _csv(folder / "multi_choice_results.csv", COLUMNS, answers)
    _csv(folder / "rationale_results.csv", COLUMNS, rationales)
    names = [name for code, name in LANGUAGES.items() if code in result["languages"]]
    codes = [code for code in LANGUAGES if code in result["languages"]]
    accuracies = [f"{100 * result['languages'][code]['accuracy']:.2f}" for code in codes]
    _csv(folder / "accuracy_metric.csv", names, [accuracies])
    found = result.get("rationales", {})
    rows = [
        [name, *(f"{100 * found[code][key]:.2f}" if code in found else "" for code in codes)]
        for name, key in SIMILARITIES.items()
    ]
    if found:
        _csv(folder / "rationale_similarity_metric.csv", ["Metric", *names], rows)


def _csv(path: Path, head: Any, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
