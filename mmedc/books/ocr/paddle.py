"""PP-OCRv6 through rapidocr (Apache-2.0), which carries the models for Chinese, Japanese and Latin script."""

import functools
import logging
from typing import Any

import numpy as np

from mmedc.books.ocr.tesseract import Read


@functools.cache
def _engine() -> Any:
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    return RapidOCR(params={"Global.use_cls": False, "Global.log_level": "critical", **threads})


def read(picture: Any) -> list[Read]:
    """Return the lines of a picture (an image of PIL in shades of grey), in the order of the model."""
    shades = np.asarray(picture)
    result = _engine()(np.repeat(shades[:, :, None], 3, axis=2))
    found = []
    for box, text, score in zip(
        () if result.boxes is None else result.boxes, result.txts or (), result.scores or (), strict=True
    ):
        (x0, y0), (x1, y1) = np.min(box, axis=0), np.max(box, axis=0)
        if text.strip():
            found.append(Read(text.strip(), float(x0), float(y0), float(x1), float(y1), float(score)))
    return found
