"""Tesseract through tesserocr (MIT, Apache-2.0)."""

import functools
import os
from dataclasses import dataclass
from typing import Any

LEAST_SURE = 1.0
"""The confidence of Tesseract in a script or an orientation below which it is not believed; its own default is 15."""


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
    import tesserocr

    api = _api(folder, model)
    api.SetImage(picture)
    api.SetSourceResolution(dpi)
    api.Recognize()
    found = []
    level = tesserocr.RIL.TEXTLINE
    for line in tesserocr.iterate_level(api.GetIterator(), level):
        text, box = line.GetUTF8Text(level), line.BoundingBox(level)
        if text and text.strip() and box:
            x0, y0, x1, y1 = map(float, box)
            found.append(Read(text.strip(), x0, y0, x1, y1, line.Confidence(level) / 100))
    api.Clear()
    return found
