"""Labels by a language model behind an OpenAI-compatible endpoint.

The prompts are in `filters/prompts/`. Texts are judged a few at a time and answers are written in the order
of the texts, so that an interrupted run resumes where it stopped. A text that can't be judged is kept with the
reason in `error` and counted; its label is never guessed.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmedc.chat import Endpoint
from mmedc.errors import RequestError
from mmedc.filters import open_filters

TEXT_CHARS = 4_000
"""Characters of a text that the model is shown."""
ANSWER_TOKENS = 100
AT_ONCE = 8
"""Requests under way at a time."""
GOOD = 3
"""Points of quality from which a text is labelled good (FineWeb-Edu, Penedo et al. 2024, section 4, uses 3 of 5)."""


@dataclass
class LabelCounts:
    """How many texts were judged, failed, or had their line already."""

    judged: int = 0
    failed: int = 0
    already: int = 0


def label(table: pa.Table, question: str, endpoint: Endpoint, out: Path, overlay: str | None = None) -> LabelCounts:
    """Judge the texts of `table` (text, lang, source) by the prompt `question` and append to the JSON lines `out`.

    Each line has text, lang, source, `label` (true or false; null with `error`), and `answer`. Texts whose
    lines exist already are not judged again.

    Raises: RequestError for an unknown prompt, or an endpoint that refuses the request; WorkError when the
    endpoint can't be reached.
    """
    prompt = open_filters(overlay).prompt(question)
    rows = table.select(["text", "lang", "source"]).to_pylist()
    counts = LabelCounts(already=_lines_in(out))
    if counts.already > len(rows):
        raise RequestError(
            f"{out}: has {counts.already} lines, more than the {len(rows)} texts; it belongs to other input: "
            "choose another --out"
        )
    with ThreadPoolExecutor(AT_ONCE) as pool, out.open("a", encoding="utf-8") as file:
        for at in range(counts.already, len(rows), AT_ONCE):
            batch = rows[at : at + AT_ONCE]
            for row, found in zip(
                batch, pool.map(lambda row: _judge(row, prompt, question, endpoint), batch), strict=True
            ):
                counts.judged += "error" not in found
                counts.failed += "error" in found
                file.write(json.dumps({**row, **found}, ensure_ascii=False) + "\n")
            file.flush()
    return counts


def _judge(row: dict[str, Any], prompt: str, question: str, endpoint: Endpoint) -> dict[str, Any]:
    filled = prompt.replace("{language}", row["lang"]).replace("{text}", row["text"][:TEXT_CHARS])
    answer = endpoint.ask(filled, ANSWER_TOKENS)
    value = _read_answer(answer, question)
    if value is None:
        return {"label": None, "answer": answer[:300], "error": "the answer is not the asked-for JSON"}
    return {"label": value >= GOOD if question == "quality" else bool(value), "answer": value}


def _read_answer(answer: str, question: str) -> Any:
    """Return the value of `question` in the last JSON object of an answer, or None: models like to think aloud."""
    for found in reversed(re.findall(r"\{[^{}]*\}", answer)):
        try:
            value = json.loads(found).get(question)
        except ValueError:
            continue
        if isinstance(value, bool) if question != "quality" else type(value) is int and 0 <= value <= 5:
            return value
    return None


def _lines_in(path: Path) -> int:
    if not path.is_file():
        return 0
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:  # the last line was cut off when the run was interrupted
        path.write_bytes(whole)
    return whole.count(b"\n")
