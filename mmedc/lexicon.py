"""Word lists of `filters/`: lexicons, stop words and other lists, read and checked.

Plain UTF-8 text, one entry a line; `#` begins a comment.
"""

import functools
import re
import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmedc.compiled import compiled
from mmedc.errors import PolicyError
from mmedc.inflection import MARK, Inflection
from mmedc.policy import CATEGORIES, SCRIPTS, TOPICS, LanguagePolicy, Term, is_acronym
from mmedc.yamlfile import nearest

LEAST_TERMS, LEAST_STOPWORDS = 100, 20
"""Fewest terms and stop words of a language. With 100 terms drawn at random from a shipped lexicon, three of them are
in 28 to 76% of the medical pages of the sample, by language; with 200 in 63 to 99%, with 400 in 98 to 100%."""

GENERAL_WEIGHT = 0.25
"""How much of a term one counts as that general text has, too: a power of two, so that sums are exact.

Measured in `docs/explanation/cascade.md`.
"""

UNINFLECTED = Inflection()
_CODE = (__name__, "mmedc.inflection", "mmedc.policy")

Line = tuple[int, str]
"""Line number from 1, and the text without its comment."""


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a word list that are not empty.

    Raises: PolicyError when the file can't be read as UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise PolicyError(f"{path}: can't be read as UTF-8 ({problem})") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line:
            found.append((number, line))
    return found


def read_lexicon(path: Path, below: Path | None = None, inflection: Inflection = UNINFLECTED) -> tuple[Term, ...]:
    """Return the terms of a lexicon: one term a line, its other forms after commas, `[category]` lines.

    A form that ends with `~` stands for all forms that `inflection` makes of it.

    A file whose lines all begin with `+` or `-`, or that has no lines, edits the lexicon `below` it; any other file
    replaces that. A `-` line that finds nothing is a warning, because a later version may have removed the term.

    Raises: PolicyError with file and line for an unknown category, an empty form, or edits of nothing.
    """
    lines = read_lines(path)
    entries = [line for _, line in lines if not line.startswith("[")]
    edits = sum(line[0] in "+-" for line in entries)
    if not edits and (entries or below is None):
        return _whole(str(path), tuple(lines), inflection.model_dump_json())
    if edits < len(entries):
        number = next(number for number, line in lines if line[0] not in "+-[")
        raise PolicyError(
            f"{path}:{number}: this line begins with neither + nor -, but {edits} of {len(entries)} lines do; "
            "a lexicon either edits the one below it by + and - on every line, or replaces it"
        )
    if below is None:
        raise PolicyError(f"{path}: edits a lexicon by + and -, but there is none below it; write the terms without +")
    return _edited(path, lines, read_lexicon(below, inflection=inflection), inflection)


@functools.lru_cache(maxsize=24)
def _whole(path: str, lines: tuple[Line, ...], rules: str) -> tuple[Term, ...]:
    """Return the terms of a lexicon that edits none. `rules` is the inflection as JSON."""

    def compile_() -> list[Any]:
        terms = _terms(Path(path), lines, Inflection.model_validate_json(rules))
        return [
            [term.category, term.topic, term.line, len(term.forms) - len(term.inflected), *term.forms] for term in terms
        ]

    # Each term with the number of its forms that stand in the file, which come first.
    rows = compiled("lexicon", _CODE, [repr(lines).encode(), rules.encode()], compile_)
    return tuple(
        Term(tuple(forms), category, line, path, topic, inflected=frozenset(forms[stated:]))
        for category, topic, line, stated, *forms in rows
    )


def _terms(path: Path, lines: Iterable[Line], inflection: Inflection) -> Iterable[Term]:
    category, topic = "", TOPICS[0]
    for number, line in lines:
        if line.startswith("["):
            category, topic = _heading(line, f"{path}:{number}")
            continue
        stated = [form.strip() for form in line.split(",")]
        forms = [form.removesuffix(MARK) for form in stated]
        if not all(forms):
            raise PolicyError(f"{path}:{number}: an empty form; write `term, form, form`")
        made = [one for form in stated if form.endswith(MARK) for one in inflection.forms_of(form.removesuffix(MARK))]
        inflected = frozenset(made).difference(forms)
        yield Term(tuple(dict.fromkeys([*forms, *made])), category, number, str(path), topic, inflected=inflected)


def _heading(line: str, where: str) -> tuple[str, str]:
    """Return the category and the topic of a line `[category topic]`, in which the topic may be left out."""
    category, _, topic = line.strip("[] ").partition(" ")
    if category not in CATEGORIES:
        raise PolicyError(f'{where}: unknown category "{category}"{nearest(category, CATEGORIES)}')
    if topic and topic not in TOPICS:
        raise PolicyError(f'{where}: unknown topic "{topic}"{nearest(topic, TOPICS)}')
    return category, topic or TOPICS[0]


def _edited(path: Path, lines: list[Line], terms: tuple[Term, ...], inflection: Inflection) -> tuple[Term, ...]:
    """Return `terms` after the edits of `lines`, in their order."""
    found = {term.forms[0]: term for term in terms}
    signs = {number: line[0] for number, line in lines}
    for term in _terms(path, [(number, line.lstrip("+-").strip()) for number, line in lines], inflection):
        head = term.forms[0]
        if signs[term.line] == "+":
            old = found.get(head)
            new = tuple(form for form in term.forms if old is None or form not in old.forms)
            found[head] = replace(old, forms=old.forms + new, inflected=old.inflected | term.inflected) if old else term
        else:
            _remove(found, term)
    return tuple(found.values())


def _remove(terms: dict[str, Term], edit: Term) -> None:
    """Remove from `terms`, by headword, what an edit names: terms by their headword, other forms one by one."""
    forms = set(edit.forms)
    removed = [terms.pop(form) for form in edit.forms if form in terms]
    forms -= {form for term in removed for form in term.forms}
    for head, term in list(terms.items()):
        if forms & set(term.forms):
            terms[head] = replace(term, forms=tuple(form for form in term.forms if form not in forms))
            forms -= set(term.forms)
    for form in sorted(forms):
        known = [form for term in terms.values() for form in term.forms]
        warnings.warn(
            f"{edit.file}:{edit.line}: -{form}: the shipped lexicon has no such term{_close(form, known)}; "
            "delete the line if a later version removed the term",
            stacklevel=2,
        )


def _close(form: str, known: Iterable[str]) -> str:
    close = nearest(form, known)
    return close if "did you mean" in close else ""


def problems_of(language: LanguagePolicy) -> list[str]:
    """Return what is wrong with the words of a language, a line each: `file:line: what`.

    Checked: forms that stand there twice, letters of another script, forms too short to carry meaning,
    text that is not in Unicode form NFC, and terms that are also stop words.
    """
    allowed = "".join(SCRIPTS[script] for script in (*language.scripts, "Latin", "Greek"))
    foreign = re.compile(rf"[^\W\d_{allowed}]")
    own = re.compile(rf"[{''.join(SCRIPTS[script] for script in language.scripts)}]")
    stop = {word.casefold() for word in language.stopwords}
    scripts = ", ".join(language.scripts)
    seen: dict[str, Term] = {}
    problems = []
    for term in language.lexicon:
        where = f"{term.file}:{term.line}"
        if not term.category:
            problems.append(
                f'{where}: "{term.forms[0]}" stands before the first [category]; write one above it, such as [symptoms]'
            )
        for form in term.forms:
            key = form if is_acronym(form) else form.casefold()
            if key in seen and form not in term.inflected and key not in seen[key].inflected:
                first = seen[key]
                at = f"in line {first.line}" if first.file == term.file else f"at {first.file}:{first.line}"
                problems.append(f'{where}: "{form}" occurs already {at}')
            seen.setdefault(key, term)
            if not unicodedata.is_normalized("NFC", form):
                problems.append(f'{where}: "{form}" is not in Unicode form NFC')
            if foreign.search(form):
                problems.append(f'{where}: "{form}" has letters outside {scripts} and Latin')
            if not own.search(form) and not is_acronym(form):
                problems.append(f'{where}: "{form}" has no letter of {scripts}')
            if len(form) < (3 if language.spaced and not is_acronym(form) else 2):
                problems.append(f'{where}: "{form}" is too short to carry meaning')
            if form.casefold() in stop:
                problems.append(f'{where}: "{form}" is a stop word')
    return problems
