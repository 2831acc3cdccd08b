"""Files to begin with: a first recipe with its sample, the skeleton of a language, and copies of files that ship."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from mmedc.errors import RequestError
from mmedc.filters import Filters, open_filters
from mmedc.lexicon import LEAST_STOPWORDS, LEAST_TERMS
from mmedc.policy import CATEGORIES, LANGUAGE_CODE, LanguagePolicy, Privacy
from mmedc.recipe import Recipe
from mmedc.shipped import shipped
from mmedc.yamlfile import nearest

POLICY = "balanced"
"""The policy from which a skeleton takes the limits of the language that it begins from."""


def write_first_recipe(folder: Path) -> list[Path]:
    """Write a recipe that runs, its sample, its JSON Schema and empty edits of every lexicon; return the files.

    Raises: RequestError when one of them is there already.
    """
    pipelines = shipped("pipelines")
    copies = {
        folder / "recipe.yaml": pipelines / "starter" / "recipe.yaml",
        folder / "recipe.schema.json": pipelines / "recipe.schema.json",  # the first line of the recipe names it
        folder / "sample" / "pages.warc.gz": pipelines / "quickstart" / "pages.warc.gz",
    }
    template = (pipelines / "starter" / "lexicon.txt").read_text(encoding="utf-8")
    filters = open_filters()
    edits = {
        folder / "filters" / code / "lexicon.txt": template.format(code=code, language=filters.facts(code).name)
        for code in Recipe.model_fields["languages"].default
    }
    _refuse_existing([*copies, *edits])
    for target, source in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for target, text in edits.items():
        _write(target, text)
    return [*copies, *edits]


def copy_shipped(names: list[str], folder: Path) -> list[Path]:
    """Copy files of the shipped `filters/`, such as `policies/balanced.yaml`, to the same places below `folder`.

    Raises: RequestError for a name that does not ship, with the nearest, or for a file that is there already.
    """
    filters = shipped("filters")
    known = [path.relative_to(filters).as_posix() for path in filters.rglob("*") if path.is_file()]
    for name in names:
        if name not in known:
            raise RequestError(f"{name}: no such file in the filters that ship{nearest(name, known)}")
    targets = {folder / name: filters / name for name in names}
    _refuse_existing(list(targets))
    schema = folder / "policy.schema.json"  # the first line of a policy names it
    if any(name.startswith("policies/") for name in names) and not schema.exists():
        targets[schema] = filters / schema.name
    for target, source in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return list(targets)


def write_language(code: str, name: str, model: str, folder: Path) -> list[Path]:
    """Write the skeleton of language `code` into `folder/CODE/`, begun from language `model`; return the files.

    The words of `model` are comments, so that each can be replaced by its translation. Its scripts and limits are taken
    over. `mmedc filters check` then says what is missing.

    Raises: RequestError when the language ships or has a folder already, or for a `model` that does not ship.
    """
    filters = open_filters()
    check_code(code)
    if model not in filters.languages():
        raise RequestError(f"--from {model}: no language that ships{nearest(model, filters.languages())}")
    if code in filters.languages():
        raise RequestError(
            f"{code}: this language ships with mmedc; edit its terms by + and - lines in {folder / code}/lexicon.txt"
        )
    words = filters.language(model)
    files = {
        "language.yaml": _language_file(filters, code, name, words),
        "stopwords.txt": _stopwords(name or code, words),
        "lexicon.txt": _lexicon(name or code, words),
        "privacy.yaml": _privacy(name or code),
    }
    _refuse_existing([folder / code / file for file in files])
    for file, text in files.items():
        _write(folder / code / file, text)
    return [folder / code / file for file in files]


def check_code(code: str) -> None:
    """Check the form of the code of a language. Raises: RequestError."""
    try:
        LANGUAGE_CODE.check(code)
    except ValueError as problem:
        raise RequestError(f"{code}: {problem}") from None


def _language_file(filters: Filters, code: str, name: str, model: LanguagePolicy) -> str:
    own = filters.own_limits(POLICY, model.code)
    lines = [
        f"# {name or code}, begun from {model.name}. filters/README.md explains the keys.",
        f"name: {name}" if name else 'name: "" # the English name of the language: fill in',
        f"scripts: [{', '.join(model.scripts)}]",
        f"spaced: {str(model.spaced).lower()} # whether spaces separate words",
        "# folds: [] # other codes of the language in the identification model; see `mmedc filters check`",
    ]
    if own:
        lines.append(f"limits: # those of {model.name} in the policy {POLICY}; see docs/reference/measures.md")
    for measure, limit in own.items():
        bounds = ", ".join(f"{key}: {value:g}" for key, value in limit.model_dump(exclude_none=True).items())
        lines.append(f"  {measure}: {{{bounds}}}")
    return "\n".join(lines) + "\n"


def _stopwords(name: str, model: LanguagePolicy) -> str:
    return "\n".join(
        [
            f"# The most common words of {name}, such as pronouns, one a line, at least {LEAST_STOPWORDS}.",
            f"# The words of {model.name} are here as comments: write the {name} word in place of each, without #, or",
            "# delete the line.",
            *(f"# {word}" for word in model.stopwords),
            "",
        ]
    )


def _lexicon(name: str, model: LanguagePolicy) -> str:
    return "\n".join(
        [
            f"# Medical terms of {name}, one a line with their other forms after commas, at least {LEAST_TERMS}.",
            f"# The terms of {model.name} are here as comments: write the {name} term in place of each, without #, or",
            "# delete the line. Terms of general use, such as a word for pain that also means grief, do harm.",
            *_terms_by_category(model),
            "",
        ]
    )


def _terms_by_category(model: LanguagePolicy) -> Iterator[str]:
    for category in CATEGORIES:
        yield from ("", f"[{category}]")
        yield from (f"# {term.forms[0]}" for term in model.lexicon if term.category == category)


PRIVATE = {
    "regions": "countries whose telephone numbers are found, such as [NL, BE]",
    "ids": "national numbers with check digits, as modules of python-stdnum, such as [nl.bsn]",
    "id_words": "words before a national number",
    "record_words": "words before the number of a patient or a medical record",
    "phone_words": "words before a telephone number; * stands for more letters",
    "name_words": "words that stand before a name and a colon, such as Patient",
}


def _privacy(name: str) -> str:
    assert set(PRIVATE) <= set(Privacy.model_fields)
    return "\n".join(
        [
            f"# What identifies people in {name}. While a list is empty, nothing of its kind is replaced; e-mail and",
            "# IP addresses always are. filters/README.md explains these keys and further ones.",
            *(f"{key}: [] # {meaning}" for key, meaning in PRIVATE.items()),
            "",
        ]
    )


def _refuse_existing(targets: list[Path]) -> None:
    for target in targets:
        if target.exists():
            raise RequestError(f"{target}: exists already and may have been edited; choose another folder")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
