"""Tesseract through tesserocr (MIT, Apache-2.0)."""

import csv
import functools
import io
import os
from dataclasses import dataclass
from typing import Any

LEAST_SURE = 1.0
"""The confidence of Tesseract in a script or an orientation below which it is not believed; its own default is 15."""
WORD = "5"
"""The level of a word in Tesseract's table; a row has COLUMNS: level, page, block, paragraph, line, word, box, …"""
COLUMNS = 12


@dataclass(frozen=True, slots=True)
class Read:
    """A line of a picture, in pixels, and how sure the model is of it, 0 to 1."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    confidence: float


@functools.lru_cache(maxsize=4)
def _api(folder: str, model: str) -> Any:
    # Its threads cost more than they gain, and the workers use all cores already.
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")
    import tesserocr

    mode = tesserocr.PSM.OSD_ONLY if model == "osd" else tesserocr.PSM.AUTO
    return tesserocr.PyTessBaseAPI(path=folder, lang=model, psm=mode)


def look(picture: Any, dpi: int, folder: str) -> tuple[str | None, int]:
    """Return (the script of a picture or None, by how many degrees it is to be turned clockwise: 0, 90, 180 or 270)."""
    api = _api(folder, "osd")
    api.SetImage(picture)
    api.SetSourceResolution(dpi)
    seen = api.DetectOrientationScript()
    api.Clear()
    if not seen:
        return None, 0
    sure = seen["orient_conf"] >= LEAST_SURE
    script = seen["script_name"] if seen["script_conf"] >= LEAST_SURE else None
    return script, int(seen["orient_deg"]) if sure else 0


def read(picture: Any, dpi: int, folder: str, model: str) -> list[Read]:
    """Return the lines of a picture, in Tesseract's order."""
    api = _api(folder, model)
    api.SetImage(picture)
    api.SetSourceResolution(dpi)
    # Not by its iterator, which gives the words of a line from right to left letter by letter backwards.
    table = api.GetTSVText(0)
    api.Clear()
    lines: dict[tuple[str, ...], list[list[str]]] = {}
    for row in csv.reader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        if len(row) == COLUMNS and row[0] == WORD and row[-1].strip():
            lines.setdefault(tuple(row[1:5]), []).append(row)
    return [_line(words) for words in lines.values()]


def _line(words: list[list[str]]) -> Read:
    """Return the line of the rows of its words."""
    boxes = [[float(value) for value in word[6:10]] for word in words]  # left, top, width, height
    chars = [len(word[-1]) for word in words]
    sure = sum(float(word[10]) * count for word, count in zip(words, chars, strict=True)) / sum(chars)
    return Read(
        " ".join(word[-1].strip() for word in words),
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[0] + box[2] for box in boxes),
        max(box[1] + box[3] for box in boxes),
        sure / 100,
    )
