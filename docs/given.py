"""Finds the reasons that the steps give, in their syntax trees, so that none is missing from `mmedc/reasons.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mmedc import reasons

PACKAGE = Path(reasons.__file__).parent
ROOMS = ("sources", "steps")
"""The packages whose modules name reasons as plain text."""

_REASON = re.compile(r"[a-z]+(_[a-z]+)*(: .*)?")
_DETAILED = re.compile(r"([a-z]+(?:_[a-z]+)*): ")


def given() -> set[str]:
    """Return the names of all reasons that modules of ROOMS, and the decoder below them, give."""
    steps = [path for room in ROOMS for form in ("*.py", "*/__init__.py") for path in (PACKAGE / room).glob(form)]
    steps.append(PACKAGE / "decoding.py")
    found = {reason for path in steps for reason in given_by(path)}
    return found | {reason for path in (PACKAGE / "books").rglob("*.py") for reason in raised_by(path)}


def raised_by(path: Path) -> Iterator[str]:
    """Yield the reasons with which a module of `books` raises `Unreadable`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Unreadable":
            said = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(said, ast.Constant) and (found := _DETAILED.match(str(said.value))):
                yield found[1]


def given_by(path: Path) -> Iterator[str]:
    """Yield the reasons that a module gives: where it sets, returns or chooses one, or begins a text with `name: `."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for value in _places(node):
            for part in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
                if isinstance(part, ast.Constant) and _REASON.fullmatch(str(part.value)):
                    yield str(part.value).partition(": ")[0]
        first = node.values[0] if isinstance(node, ast.JoinedStr) else None
        if isinstance(first, ast.Constant) and (found := _DETAILED.match(str(first.value))):
            yield found[1]


def _places(node: ast.AST) -> list[ast.expr | None]:
    """Return the expressions of a node that may be a reason."""
    columns = ("dropped_by", "rejected_by")
    if isinstance(node, ast.Dict):
        named = zip(node.keys, node.values, strict=True)
        return [value for key, value in named if isinstance(key, ast.Constant) and key.value in columns]
    if isinstance(node, ast.Return) or (isinstance(node, ast.keyword) and node.arg in columns):
        return [node.value]
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return [node.value]
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "if_else":
        return list(node.args)
    return []


def declared() -> set[str]:
    """Return the names of all reasons that `mmedc/reasons.py` declares."""
    tables = [*reasons.DROPPED.values(), *reasons.REJECTED.values(), reasons.REJECTED_ANYWHERE]
    return {reason for table in tables for reason in table}
