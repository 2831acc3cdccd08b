"""Imports go down the floors, and Ray stays in its rooms."""

import ast
from pathlib import Path

import mmedc

PACKAGE = Path(mmedc.__file__).parent
FLOORS = {"__main__": 8, "cli": 7, "__init__": 7, "api": 6, "report": 5, "interop": 5, "submit": 5,
          "inspect": 5,
          "train": 4, "bench": 4, "fit": 4,
          "pipeline": 3, "sources": 2, "steps": 2, "dedup": 2, "corpus": 2, "crawl": 2,
          "engine": 1, "books": 1}  # fmt: skip
HEAVY = {
    "ray": {
        "engine/runner.py",
        "engine/flight.py",
        "submit/client.py",
        "engine/cluster.py",
        "engine/meters.py",
        "train/workers.py",
        "bench/fleet.py",
    },
    "trafilatura": {"steps/extract/engines.py"},
    "fasttext": {"steps/language.py", "steps/score.py"},
    "resiliparse": {"steps/extract/engines.py", "steps/preview.py"},
    "chardetng_py": {"charset_choice.py"},
    "catboost": {"fit/extractor.py"},
    "selectolax": {"steps/extract/tree.py"},
    "mwparserfromhell": {"books/wiki.py"},
    "pymupdf": {"books/pdf/mupdf.py", "books/pdf/engines.py"},
    "pypdfium2": {"books/pdf/glyphs.py", "books/pdf/hidden.py"},
    "pdf_inspector": {"books/pdf/inspector.py"},
    "lxml": {"books/xmlfile.py", "crawl/sitemaps.py"},
    "isal": {"unpack.py", "crawl/archive.py"},
    "lz4": {"frames.py"},
    "brotli": {"codings.py"},
    "ada_url": {"crawl/address.py", "forgetting.py"},
    "aiohttp": {"crawl/fetch.py"},
    "protego": {"crawl/robots.py"},
    "tldextract": {"crawl/address.py"},
    "scipy": {"dedup/groups.py", "fit/model.py", "bench/statistics.py"},
    "typer": {"cli/", "fit/commands.py", "bench/commands.py"},
    "phonenumbers": {"steps/private_phones.py"},
    "datatrove": {"steps/foreign.py", "interop/datatrove.py"},
    "loguru": {"steps/foreign.py"},
    "datasketch": {"interop/datasketch.py"},
    "starlette": {"inspect/app.py", "inspect/guard.py"},
    "uvicorn": {"inspect/serve.py"},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def room(module: str) -> str:
    return [*module.split("."), "", ""][1]


def test_imports_go_down() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        mine = path.relative_to(PACKAGE).with_suffix("").parts[0]
        floor = FLOORS.get(mine, 0)
        for module in imports(path):
            if module.startswith("mmedc."):
                other = room(module)
                theirs = FLOORS.get(other, 0)
                if other != mine and (theirs > floor or (theirs == floor and theirs > 0)):
                    wrong.append(f"{path.relative_to(PACKAGE)} (floor {floor}) imports {module} (floor {theirs})")
    assert not wrong


def test_heavy_packages_stay_in_their_rooms() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for module in imports(path):
            top = module.split(".")[0]
            if top in HEAVY and not name.startswith(tuple(HEAVY[top])):
                wrong.append(f"{name} imports {top}")
    assert not wrong


def test_no_module_is_a_drawer() -> None:
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "common", "base", "helpers", "misc"}
