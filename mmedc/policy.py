"""What "medical" and "good" mean, read from `filters/`: lexicons, stop words, limits, models.

Code measures; this data decides. A policy is a plain value that travels to the workers whole, so
they never open the folder, and its digest says exactly which of its parts a pass depended on.
"""

import hashlib
import json
import re
import unicodedata
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from mmedc.errors import PolicyError
from mmedc.shipped import shipped
from mmedc.yamlfile import nearest, read_yaml

CATEGORIES = ("symptoms", "diseases", "anatomy", "drugs", "procedures", "specialities", "care")

SCRIPTS = {
    "Latin": r"\u0041-\u024f\u1e00-\u1eff",
    "Cyrillic": r"\u0400-\u052f",
    "Han": r"\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "Kana": r"\u3040-\u30ff\u31f0-\u31ff",
    "Hangul": r"\u1100-\u11ff\uac00-\ud7af",
    "Arabic": r"\u0600-\u06ff\u0750-\u077f",
    "Devanagari": r"\u0900-\u097f",
    "Greek": r"\u0370-\u03ff",
}
"""Character ranges of the scripts that a language file may name."""


@dataclass(frozen=True)
class Term:
    """A lexicon entry: the headword and its other forms, which together count as one term."""

    forms: tuple[str, ...]
    category: str
    line: int


@dataclass(frozen=True)
class Limit:
    """What a measure must be.

    `min` and `max` decide, on columns, in seconds; `floor` and `ceiling` are what gather already
    drops by, so a limit may move between its floor and its ceiling without a new extraction.
    """

    min: float | None = None
    max: float | None = None
    floor: float | None = None
    ceiling: float | None = None

    def bounds(self, loosest: bool) -> tuple[float | None, float | None]:
        """Return (lowest, highest) allowed, the loosest or the deciding ones."""
        return (self.floor, self.ceiling) if loosest else (self.min, self.max)


@dataclass(frozen=True)
class Privacy:
    """What gives people away in a language; see `mmedc.steps.privacy`."""

    regions: tuple[str, ...] = ()
    """Where its speakers telephone: ISO 3166 codes, tried in order."""
    ids: tuple[str, ...] = ()
    """National numbers with a checksum, as modules of `stdnum`: `fr.nir`."""
    record_words: tuple[str, ...] = ()
    """Words before the number of a medical record."""
    name_words: tuple[str, ...] = ()
    """Words that, with a colon at the beginning of a line, stand before a person's name."""

    @property
    def words(self) -> tuple[str, ...]:
        """All words to look for."""
        return self.record_words + self.name_words


@dataclass(frozen=True)
class LanguagePolicy:
    """Everything the project knows about one language."""

    code: str
    name: str
    scripts: tuple[str, ...]
    spaced: bool
    """True where spaces separate words."""
    folds: tuple[str, ...]
    """Codes of the language model that mean this language (`wuu` and `yue` for `zh`)."""
    lexicon: tuple[Term, ...]
    stopwords: tuple[str, ...]
    limits: dict[str, Limit]
    privacy: Privacy = Privacy()


@dataclass(frozen=True)
class Policy:
    """A named policy for the languages of one recipe."""

    name: str
    rule: Literal["boundary", "mmedc"]
    """How lexicon terms are found: see `mmedc.steps.medical`."""
    languages: dict[str, LanguagePolicy]

    def digest(self, part: Literal["gather", "decide"]) -> str:
        """Return a hash of what `part` depends on: gather on words and floors, decide on limits."""
        value: dict[str, Any] = {"rule": self.rule}
        for code, language in sorted(self.languages.items()):
            limits = {name: limit.bounds(part == "gather") for name, limit in sorted(language.limits.items())}
            if part == "gather":
                words = asdict(language)
                words["lexicon"] = [term.forms for term in language.lexicon]
                value[code] = {**words, "limits": limits}
            else:
                value[code] = limits
        return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def read_policy(name: str, languages: tuple[str, ...], overlay: str | None = None) -> Policy:
    """Read policy `name` (a shipped name, or a path) for `languages`; files of `overlay` come first.

    Raises: PolicyError with file and line for what is missing, malformed or unknown.
    """
    folders = filter_folders(overlay)
    file = find_policy(name, overlay)
    yaml = read_yaml(file, PolicyError)
    data = yaml.data if isinstance(yaml.data, dict) else {}
    for key in data:
        if key not in ("rule", "limits"):
            raise PolicyError(f'{yaml.where((key,))}: unknown key "{key}"{nearest(key, ("rule", "limits"))}')
    rule = data.get("rule", "boundary")
    if rule not in ("boundary", "mmedc"):
        raise PolicyError(f"{yaml.where(('rule',))}: rule is {rule!r}; known: boundary, mmedc")
    limits: dict[str, dict[str, Limit]] = {}
    for code, measures in (data.get("limits") or {}).items():
        if not isinstance(measures, dict):
            raise PolicyError(f"{yaml.where(('limits', code))}: expected measures with their limits")
        for measure, bounds in measures.items():
            where = yaml.where(("limits", code, measure))
            limits.setdefault(code, {})[measure] = _limit(bounds, where)
    bare = [code for code in languages if code not in limits and "all" not in limits]
    if limits and bare:
        raise PolicyError(
            f"{file}: no limits for {', '.join(bare)}, so everything would be kept; it has {', '.join(limits)}: "
            "choose policy balanced, or add limits"
        )
    return Policy(file.stem, rule, {code: read_language(code, folders, limits) for code in languages})


def read_language(
    code: str, folders: list[Path] | None = None, limits: dict[str, dict[str, Limit]] | None = None
) -> LanguagePolicy:
    """Read the folder of language `code`, each file from the first of `folders` that has it."""
    folders = folders or [shipped("filters")]

    def find(name: str) -> Path:
        for folder in folders:
            if (folder / code / name).is_file():
                return folder / code / name
        have = {path.parent.name for folder in folders for path in folder.glob("*/language.yaml")}
        raise PolicyError(f"no {code}/{name} in {', '.join(map(str, folders))}; languages there: {sorted(have)}")

    yaml = read_yaml(find("language.yaml"), PolicyError)
    data = yaml.data if isinstance(yaml.data, dict) else {}
    keys = ("name", "scripts", "spaced", "folds")
    for key in data:
        if key not in keys:
            raise PolicyError(f'{yaml.where((key,))}: unknown key "{key}"{nearest(key, keys)}')
    scripts = tuple(data.get("scripts", ("Latin",)))
    for script in scripts:
        if script not in SCRIPTS:
            raise PolicyError(f'{yaml.where(("scripts",))}: unknown script "{script}"{nearest(script, SCRIPTS)}')
    own = {**(limits or {}).get("all", {}), **(limits or {}).get(code, {})}
    return LanguagePolicy(
        code=code,
        name=str(data.get("name", code)),
        scripts=scripts,
        spaced=bool(data.get("spaced", True)),
        folds=tuple(data.get("folds", ())),
        lexicon=read_lexicon(find("lexicon.txt")),
        stopwords=tuple(word for _, word in _lines(find("stopwords.txt"))),
        limits=own,
        privacy=_privacy(code, folders),
    )


def _privacy(code: str, folders: list[Path]) -> Privacy:
    """Read `privacy.yaml` of language `code`; without one nothing of a language is looked for."""
    from importlib.util import find_spec

    file = next(
        (folder / code / "privacy.yaml" for folder in folders if (folder / code / "privacy.yaml").is_file()), None
    )
    if file is None:
        return Privacy()
    yaml = read_yaml(file, PolicyError)
    data = yaml.data if isinstance(yaml.data, dict) else {}
    keys = [one.name for one in fields(Privacy)]
    for key, values in data.items():
        if key not in keys:
            raise PolicyError(f'{yaml.where((key,))}: unknown key "{key}"{nearest(key, keys)}')
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise PolicyError(f"{yaml.where((key,))}: expected a list of words, such as [{key}]")
    for name in data.get("ids", ()):
        if not re.fullmatch(r"[a-z_]+\.[a-z_]+", name) or find_spec(f"stdnum.{name}") is None:
            raise PolicyError(f"{yaml.where(('ids',))}: python-stdnum has no {name}")
    return Privacy(**{key: tuple(values) for key, values in data.items()})


def read_lexicon(path: Path) -> tuple[Term, ...]:
    """Read a lexicon: one term a line, its other forms after commas, `[category]` lines, `#` comments.

    Raises: PolicyError with file and line for an unknown category or an empty form.
    """
    terms, category = [], ""
    for number, line in _lines(path):
        if line.startswith("["):
            category = line.strip("[]")
            if category not in CATEGORIES:
                raise PolicyError(f'{path}:{number}: unknown category "{category}"{nearest(category, CATEGORIES)}')
            continue
        forms = tuple(form.strip() for form in line.split(","))
        if not all(forms):
            raise PolicyError(f"{path}:{number}: an empty form; write `term, form, form`")
        terms.append(Term(forms, category, number))
    return tuple(terms)


def find_policy(name: str, overlay: str | None = None) -> Path:
    """Return the file of policy `name`, a path or a name under `policies/`. Raises: PolicyError for an unknown one."""
    if "/" in name:
        return Path(name)
    folders = filter_folders(overlay)
    known = {path.stem: path for folder in reversed(folders) for path in folder.glob("policies/*.yaml")}
    if name not in known:
        raise PolicyError(f'no policy "{name}" in {", ".join(map(str, folders))}{nearest(name, known)}')
    return known[name]


def read_words(name: str, overlay: str | None = None) -> tuple[str, ...]:
    """Return the lines of word list `name` of `filters/`, such as `block/host_words.txt`; that of `overlay` first."""
    file = next(folder / name for folder in filter_folders(overlay) if (folder / name).is_file())
    return tuple(word for _, word in _lines(file))


def filter_folders(overlay: str | None = None) -> list[Path]:
    """Return the folders that are looked in, first to last: `overlay`, and what ships.

    Raises: PolicyError when `overlay` is no folder.
    """
    if overlay and not Path(overlay).is_dir():
        raise PolicyError(f"{overlay}: no such folder (the recipe's `filters`)")
    return [*([Path(overlay)] if overlay else []), shipped("filters")]


def check_language(code: str, folders: list[Path] | None = None) -> list[str]:
    """Return what is wrong with the words of language `code`, a line each: `file:line: what`.

    Checked: forms that stand twice, letters of another script, forms too short to mean anything,
    text that is not NFC, and terms that are also stop words.
    """
    folders = folders or [shipped("filters")]
    language = read_language(code, folders)
    path = next(folder / code / "lexicon.txt" for folder in folders if (folder / code / "lexicon.txt").is_file())
    allowed = "".join(SCRIPTS[script] for script in (*language.scripts, "Latin", "Greek"))
    foreign = re.compile(rf"[^\W\d_{allowed}]")
    own = re.compile(rf"[{''.join(SCRIPTS[script] for script in language.scripts)}]")
    stop = {word.casefold() for word in language.stopwords}
    seen: dict[str, int] = {}
    problems = []
    for term in language.lexicon:
        where = f"{path}:{term.line}"
        if not term.category:
            problems.append(f'{where}: "{term.forms[0]}" stands before the first [category]')
        for form in term.forms:
            key = form if is_acronym(form) else form.casefold()
            if key in seen:
                problems.append(f'{where}: "{form}" stands already in line {seen[key]}')
            seen.setdefault(key, term.line)
            if not unicodedata.is_normalized("NFC", form):
                problems.append(f'{where}: "{form}" is not in Unicode form NFC')
            if foreign.search(form):
                problems.append(f'{where}: "{form}" has letters outside {", ".join(language.scripts)} and Latin')
            if not own.search(form) and not is_acronym(form):
                problems.append(f'{where}: "{form}" has no letter of {", ".join(language.scripts)}')
            if len(form) < (3 if language.spaced and not is_acronym(form) else 2):
                problems.append(f'{where}: "{form}" is too short to carry meaning')
            if form.casefold() in stop:
                problems.append(f'{where}: "{form}" is a stop word')
    return problems


def is_acronym(form: str) -> bool:
    """Tell whether a form is written wholly in capitals, and so is matched as it is written."""
    letters = [char for char in form if char.isalpha()]
    return len(letters) > 1 and all(char.isupper() for char in letters)


def _limit(bounds: Any, where: str) -> Limit:
    keys = ("min", "max", "floor", "ceiling")
    if not isinstance(bounds, dict) or not bounds:
        raise PolicyError(f"{where}: expected limits such as {{min: 0.5}}; known: {', '.join(keys)}")
    for key, value in bounds.items():
        if key not in keys:
            raise PolicyError(f'{where}: unknown key "{key}"{nearest(key, keys)}')
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PolicyError(f"{where}: {key} is {value!r}; expected a number")
    limit = Limit(**{key: float(value) for key, value in bounds.items()})
    if limit.floor is not None and (limit.min is None or limit.floor > limit.min):
        raise PolicyError(f"{where}: floor {limit.floor} is above min {limit.min}: gather would drop what min keeps")
    if limit.ceiling is not None and (limit.max is None or limit.ceiling < limit.max):
        raise PolicyError(
            f"{where}: ceiling {limit.ceiling} is below max {limit.max}: gather would drop what max keeps"
        )
    return limit


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return (number, text) of the lines of a word list that hold something."""
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
