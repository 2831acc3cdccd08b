"""Modules of the user's own: found beside the recipe or installed, and what is said when they are not there.

The folder of a recipe comes last in the module path, so that a file in it hides no package. Workers and parser
processes get the same folders (`folders`), before they unpickle what refers to such a module.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmedc.errors import RecipeError
from mmedc.redact import first_line
from mmedc.yamlfile import nearest

_asked: list[str] = []
_appended: list[str] = []


def search_in(folders: Iterable[str]) -> None:
    """Append folders to the module path of this process, unless they are in it; the last one given is asked first."""
    for folder in folders:
        if folder in _asked:
            _asked.remove(folder)
        _asked.append(folder)
        if folder in _appended:
            _appended.remove(folder)
            sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.insert(len(sys.path) - len(_appended), folder)
            _appended.insert(0, folder)


def folders() -> tuple[str, ...]:
    """Return the folders that were asked for, for `search_in` in another process."""
    return tuple(_asked)


def load(target: str, folder: str = "") -> Any:
    """Return what `package.module:name` names; its module may be in `folder`, that of the recipe.

    Raises: RecipeError when there is no such module or name, or when the module fails.
    """
    name, _, attribute = target.partition(":")
    if folder:
        folder = os.path.abspath(folder)
        search_in([folder])
        _forget_other(name, folder)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not (name == problem.name or name.startswith(f"{problem.name}.")):
            raise _failed(name, problem) from None
        raise RecipeError(f"{target}: {_missing(problem.name, folder)}") from None
    except Exception as problem:
        raise _failed(name, problem) from None
    try:
        return getattr(module, attribute)
    except AttributeError:
        names = [each for each, value in vars(module).items() if getattr(value, "__module__", None) == name]
        where = getattr(module, "__file__", None) or name
        raise RecipeError(f'{target}: there is no "{attribute}" in {where}{nearest(attribute, names)}') from None


def _missing(name: str, folder: str) -> str:
    """Return what is said of a module that is neither beside the recipe nor installed."""
    if not folder:
        return f'no module "{name}" is installed'
    files = [path for path in Path(folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    close = nearest(name, [path.stem for path in files]) if files else ""
    return f'there is no module "{name}" beside the recipe, in {folder}, and none is installed{close}'


def _failed(name: str, problem: Exception) -> RecipeError:
    """Return the error for a module that was found but fails: the deepest place of it that is not Python's own."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return RecipeError(f"{problem.filename}:{problem.lineno}: {problem.msg}")
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if os.path.isabs(frame.filename)]
    own = [frame for frame in frames if frame.filename != __file__ and "/importlib/" not in frame.filename]
    where = f"{own[-1].filename}:{own[-1].lineno}: " if own else f"{name}: "
    return RecipeError(f"{where}{type(problem).__name__}: {first_line(problem)}")


def _forget_other(name: str, folder: str) -> None:
    """Forget a module of the same name that came from the folder of another recipe."""
    top = name.partition(".")[0]
    loaded = os.path.dirname(getattr(sys.modules.get(top), "__file__", None) or "")
    if loaded != folder and loaded in _asked and os.path.exists(os.path.join(folder, f"{top}.py")):
        for known in [each for each in sys.modules if each.partition(".")[0] == top]:
            del sys.modules[known]
