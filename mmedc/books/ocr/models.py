"""Which models read the languages of a recipe. They are chosen by the recipe alone, and their files are hashed."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mmedc.errors import RequestError

SCRIPTS: dict[str, tuple[str, ...]] = {
    "Latin": ("en", "fr", "es", "de", "it", "pt"),
    "Cyrillic": ("ru",),
    "Arabic": ("ar",),
    "Devanagari": ("hi",),
    "Korean": ("ko",),
    "Han": ("zh", "ja"),
}
"""The languages of each script, as Tesseract names the script of a page; Han stands for Japanese and Chinese too."""

TESSERACT = {
    "en": "eng", "fr": "fra", "es": "spa", "de": "deu", "it": "ita", "pt": "por", "ru": "rus", "ar": "ara",
    "hi": "hin", "ko": "kor", "zh": "chi_sim", "ja": "jpn",
}  # fmt: skip
"""Tesseract's names of the languages."""

PADDLE = frozenset(("Han", "Latin"))
"""The scripts that PP-OCRv6 reads."""

FOLDERS = ("/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tessdata", "/usr/local/share/tessdata")
INSTALL = "pip install 'mmedc[ocr]'"


@dataclass(frozen=True)
class OcrRules:
    """How pages are read by OCR."""

    scripts: tuple[tuple[str, str], ...]
    """(script, the model that reads it): `paddle`, or languages of Tesseract joined by `+`."""
    detect: bool
    """Whether Tesseract's model `osd` tells the script and orientation of each page."""
    folder: str
    """The folder of Tesseract's models; their digests count, not where they are."""
    digests: tuple[tuple[str, str], ...]
    """(file or package, SHA-256 or version) of all models."""
    dpi: int = 200
    confidence: float = 0.6
    """Pages whose mean confidence is lower are dropped."""

    def identity(self) -> list[object]:
        """Return what the text of a page depends on."""
        models = [list(pair) for pair in (*self.scripts, *self.digests)]
        return [models, self.detect, self.dpi, self.confidence]


def ocr_rules(engine: str, languages: tuple[str, ...], folder: str | None, dpi: int, confidence: float) -> OcrRules:
    """Return the rules for languages. `engine`: `tesseract`, `paddle`, or `auto`, which measured best for each script.

    Raises: RequestError, with the command that installs it, for a package or a model that is missing.
    """
    wanted = {script: [code for code in codes if code in languages] for script, codes in SCRIPTS.items()}
    wanted = {script: codes for script, codes in wanted.items() if codes}
    if unread := [code for code in languages if not any(code in codes for codes in wanted.values())]:
        listed = ", ".join(unread)
        raise RequestError(f"books.ocr: no model reads {listed}; name those of the pages: ocr: {{languages: …}}")
    chosen: list[tuple[str, str]] = []
    for script, codes in wanted.items():
        if engine == "paddle" and script not in PADDLE:
            raise RequestError(f"books.ocr: paddle does not read {', '.join(codes)} ({script}); use `engine: auto`")
        if engine == "paddle" or (engine == "auto" and script == "Han"):
            chosen.append((script, "paddle"))
        else:
            # Terms in Latin letters stand in texts of every language: with English, Russian has half of the errors.
            own = [TESSERACT[code] for code in codes]
            chosen.append((script, "+".join(own if "eng" in own else [*own, "eng"])))
    names = sorted({name for _, model in chosen if model != "paddle" for name in model.split("+")})
    detect = len(chosen) > 1 and bool(names)
    digests = [("rapidocr", _version("rapidocr"))] if any(model == "paddle" for _, model in chosen) else []
    digests += [("tesserocr", _version("tesserocr"))] if names else []
    names += ["osd"] if detect else []
    found = _folder(folder, names) if names else ""
    digests += [(name, _digest(Path(found, f"{name}.traineddata"))) for name in names]
    return OcrRules(tuple(chosen), detect, found, tuple(digests), dpi, confidence)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise RequestError(f"books.ocr: {package} is not installed: {INSTALL}") from None


def _folder(given: str | None, names: list[str]) -> str:
    """Return the first folder that has all models. Raises: RequestError."""
    lacking: list[str] = names
    places = list(_places(given))
    for place in places:
        missing = [name for name in names if not Path(place, f"{name}.traineddata").is_file()]
        if not missing:
            return place
        lacking = min(lacking, missing, key=len)
    packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in lacking)
    raise RequestError(
        f"books.ocr: Tesseract's models {', '.join(lacking)} are not in {' or '.join(places)}; on Debian: "
        f"apt-get install {packages}; elsewhere name the folder of the .traineddata files: ocr: {{tessdata: FOLDER}}"
    )


def _places(given: str | None) -> Iterator[str]:
    if given:
        yield given
        return
    if prefix := os.environ.get("TESSDATA_PREFIX"):
        yield prefix
    yield from FOLDERS


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
