"""The folder `filters/`, opened once: policies, languages, lexicons, models, prompts and word lists.

A recipe's `filters` names an overlay: a folder of the same shape whose files are used instead of the shipped
ones. That rule is applied here and nowhere else.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, ValidationError

from mmedc.document import MEASURES
from mmedc.errors import ModelMissing, PolicyError
from mmedc.inflection import Inflection
from mmedc.lexicon import GENERAL_WEIGHT, LEAST_STOPWORDS, LEAST_TERMS, problems_of, read_lexicon, read_lines
from mmedc.models import Model, PinnedModel, fetch, given_model, pinned_model, read_pins
from mmedc.policy import (
    NO_PRIVACY,
    SCRIPTS,
    LanguagePolicy,
    Lexicon,
    Limit,
    LimitsByLanguage,
    PartialLimit,
    Policy,
    Privacy,
)
from mmedc.settings import Part, checked
from mmedc.shipped import shipped
from mmedc.sitelists import problems_of as problems_of_sites
from mmedc.wording import sentence
from mmedc.yamlfile import YamlFile, dotted, nearest, read_yaml

COUNTRIES = {"jp": "ja", "cn": "zh", "kr": "ko"}
"""Codes of countries that are written for their languages."""

ALL = "all"
"""The key of limits for every language that has none of its own on a measure."""


def _script(name: str) -> str:
    if name not in SCRIPTS:
        raise ValueError(f'unknown script "{name}"{nearest(name, SCRIPTS)}')
    return name


class Fitting(Part):
    """What `mmedc fit` does differently in a language."""

    medical_terms: int | None = None
    """Fewest terms from which the model decides, where a fitted policy asks for more elsewhere."""


class QuestionWords(Part):
    """What exam questions call their parts in a language, for the prompts of benchmarks."""

    question: str = "Question"
    answer: str = "Answer"


class LanguageFile(Part):
    """`language.yaml`."""

    name: str = ""
    """English name; by default the code."""
    scripts: tuple[Annotated[str, AfterValidator(_script)], ...] = ("Latin",)
    """The scripts that it is written in."""
    spaced: bool = True
    """Whether spaces separate words."""
    folds: tuple[str, ...] = ()
    """Codes of the identification model that mean this language."""
    limits: dict[str, Limit] = {}
    """Limits by measure, in place of what a policy has for all languages. What it has for this language comes first."""
    fit: Fitting = Fitting()
    inflection: Inflection = Inflection()
    """How its words change: the forms of a term of its lexicon that ends with `~`."""
    questions: QuestionWords = QuestionWords()

    @property
    def letters(self) -> str:
        """The letters of its scripts, as ranges inside a regular expression."""
        return "".join(SCRIPTS[script] for script in self.scripts)


class PolicyFile(Part):
    """`policies/NAME.yaml`."""

    rule: Literal["boundary", "mmedc"] = "boundary"
    """How lexicon terms are found."""
    limits: dict[str, dict[str, Limit]] = {}
    """By language, or `all`, and measure."""


File = TypeVar("File", bound=Part)


@dataclass(frozen=True)
class Filters:
    """The opened folder; reads a file when it is asked for it. Every method raises PolicyError with file and line."""

    folders: tuple[Path, ...]
    """Where a file is looked for, in this order: the overlay, what ships."""

    def find(self, name: str) -> Path | None:
        """Return the file `name`, such as `fr/lexicon.txt`, of the first folder that has it."""
        return next(iter(self._all(name)), None)

    def _all(self, name: str) -> list[Path]:
        return [folder / name for folder in self.folders if (folder / name).is_file()]

    def state(self, names: Iterable[str]) -> tuple[tuple[Path, int, int, int], ...]:
        """Return a value that is another one when a file of these names is: path, time, size and number of each."""
        found = [(path, path.stat()) for name in names for path in self._all(name)]
        return tuple((path, state.st_mtime_ns, state.st_size, state.st_ino) for path, state in found)

    def _stems(self, pattern: str) -> dict[str, Path]:
        return {path.stem: path for folder in reversed(self.folders) for path in sorted(folder.glob(pattern))}

    def _places(self) -> str:
        return ", ".join(map(str, self.folders))

    def words(self, name: str) -> tuple[str, ...]:
        """Return the lines of word list `name`, such as `block/host_words.txt`."""
        file = self.find(name)
        if file is None:
            raise PolicyError(f"no word list {name} in {self._places()}")
        return tuple(word for _, word in read_lines(file))

    def prompt(self, name: str) -> str:
        """Return prompt `name` of `prompts/`, with `{text}` where the text to be judged stands."""
        known = self._stems("prompts/*.txt")
        if name not in known:
            raise PolicyError(f'no prompt "{name}" in {self._places()}{nearest(name, known)}')
        text = known[name].read_text(encoding="utf-8")
        if "{text}" not in text:
            raise PolicyError(f"{known[name]}: has no {{text}}, which stands for the text to be judged")
        return text

    def models(self) -> tuple[str, ...]:
        """Return the names of the models that some `models.yaml` pins."""
        return tuple(sorted({name for folder in self.folders for name in read_pins(folder)}))

    def model(self, name: str, given: str | None = None) -> Model:
        """Return model `name`: the file `given`, or the one that `models.yaml` pins.

        Raises: ModelMissing, saying how to get it; PolicyError for a file that is not the pinned one.
        """
        if given is not None:
            return given_model(name, given, self._pin(name)[0] if name in self.models() else None)
        pin, folder = self._pin(name)
        return pinned_model(name, pin, folder)

    def get_model(self, name: str) -> Path:
        """Fetch model `name` into the cache of this machine and return its path; at once when it is there already.

        Raises: ModelMissing for an unknown name; RequestError for a model that ships; WorkError when it can't be
        fetched, or when what came is not the pinned file.
        """
        return fetch(name, self._pin(name)[0])

    def _pin(self, name: str) -> tuple[PinnedModel, Path]:
        for folder in self.folders:
            pin = read_pins(folder).get(name)
            if pin is not None:
                return pin, folder
        raise ModelMissing(f'no model "{name}" in {self._places()}{nearest(name, self.models())}')

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the languages that have a folder."""
        return tuple(sorted({path.parent.name for folder in self.folders for path in folder.glob("*/language.yaml")}))

    def require(self, code: str) -> None:
        """Check that language `code` has a folder. Raises: PolicyError with the nearest code."""
        if code not in self.languages():
            raise PolicyError(
                f'no language "{code}" in {self._places()}'
                + (self.language_like(code) or nearest(code, self.languages()))
                + f"; `mmedc filters new {code}` begins a language"
            )

    def language_like(self, given: str) -> str:
        """Return `; did you mean "es" (Spanish)?` for a name, its beginning or a code with a region; "" for others."""
        word = re.split("[-_]", given.strip().lower())[0]
        word = COUNTRIES.get(word, word)
        names = {code: self.facts(code).name for code in self.languages()}
        code = word if word in names else ""
        if not code and len(word) > 1:
            like = [known for known, name in names.items() if name.lower().startswith(word)]
            close = get_close_matches(word, [name.lower() for name in names.values()], 1, 0.75)
            like += [known for known, name in names.items() if name.lower() in close]
            code = like[0] if len(set(like)) == 1 else ""
        return f'; did you mean "{code}" ({names[code]})?' if code else ""

    def language(self, code: str) -> LanguagePolicy:
        """Return language `code`, each of its files from the first folder that has it; without limits."""
        self.require(code)
        file = self.facts(code)
        return LanguagePolicy(
            code=code,
            name=file.name or code,
            scripts=file.scripts,
            spaced=file.spaced,
            folds=file.folds,
            lexicon=self.lexicon(code),
            stopwords=self.words(f"{code}/stopwords.txt"),
            limits={},
            privacy=self._privacy(code),
        )

    def lexicon(self, code: str) -> Lexicon:
        """Return the terms of language `code`; an overlay's lexicon of `+` and `-` lines edits the shipped one."""
        files = self._all(f"{code}/lexicon.txt")
        if not files:
            raise PolicyError(f"no {code}/lexicon.txt in {self._places()}")
        terms = read_lexicon(files[0], files[1] if len(files) > 1 else None, self.facts(code).inflection)
        general = self._general(code)
        return Lexicon(replace(term, weight=GENERAL_WEIGHT) if term.forms[0] in general else term for term in terms)

    def _general(self, code: str) -> set[str]:
        """Return the terms of language `code` that general text has, too."""
        name = f"{code}/general.txt"
        return set(self.words(name)) if self.find(name) else set()

    def facts(self, code: str) -> LanguageFile:
        """Return `language.yaml` of language `code`; its defaults for a language that has no folder."""
        file = self.find(f"{code}/language.yaml")
        if file is None:
            return LanguageFile()
        state = file.stat()
        key = file, state.st_mtime_ns, state.st_size, state.st_ino
        if key not in self._facts:
            self._facts[key] = _read(LanguageFile, read_yaml(file, PolicyError, keep=True))
        return self._facts[key]

    def check(self, code: str) -> list[str]:
        """Return what is wrong with the files of language `code`, or missing, a line each: `file:line: what`."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                language = self.language(code)
            except PolicyError as problem:
                return str(problem).splitlines()
        facts, problems = self.find(f"{code}/language.yaml"), [str(warning.message) for warning in warned]
        if not self.facts(code).name:
            problems.append(f"{facts}: no name; expected the English name of the language, such as `name: Dutch`")
        problems += self._unknown_limits(code, MEASURES)
        if sites := self.find(f"{code}/sites.txt"):
            problems += problems_of_sites(sites)
        general, lexicon = self.find(f"{code}/general.txt"), self.find(f"{code}/lexicon.txt")
        if general and lexicon and general.parent == lexicon.parent:  # terms that an overlay removes stay in the list
            unknown = self._general(code) - {term.forms[0] for term in language.lexicon}
            problems += [
                f'{general}: "{term}" is no headword of the lexicon; delete the line' for term in sorted(unknown)
            ]
        if len(language.lexicon) < LEAST_TERMS:
            problems.append(
                f"{self.find(f'{code}/lexicon.txt')}: {len(language.lexicon)} terms; expected at least {LEAST_TERMS}, "
                "and 400 to find nearly every medical page"
            )
        if len(language.stopwords) < LEAST_STOPWORDS:
            problems.append(
                f"{self.find(f'{code}/stopwords.txt')}: {len(language.stopwords)} words; expected at least "
                f"{LEAST_STOPWORDS} of the most common words"
            )
        return problems + problems_of(language)

    def _unknown_limits(self, code: str, known: Iterable[str]) -> list[str]:
        """Return what is wrong with the measures that `language.yaml` limits."""
        where = f"{self.find(f'{code}/language.yaml')}: limits"
        unknown = [measure for measure in self.facts(code).limits if measure not in known]
        return [f'{where}: unknown measure "{measure}"{nearest(measure, known)}' for measure in unknown]

    def own_limits(self, policy: str, code: str) -> dict[str, Limit]:
        """Return the limits that `policy` or `language.yaml` has for language `code` alone."""
        content = _read(PolicyFile, read_yaml(self.policy_file(policy), PolicyError, keep=True))
        return {**self.facts(code).limits, **content.limits.get(code, {})}

    def policies(self) -> tuple[str, ...]:
        """Return the names of the policies."""
        return tuple(sorted(self._stems("policies/*.yaml")))

    def policy_file(self, name: str, besides: tuple[str, ...] = ()) -> Path:
        """Return the file of policy `name`: a name below `policies/`, or a path (with a `/` or a suffix in it).

        `besides` are other names that would be right, for the error. Raises: PolicyError.
        """
        if "/" in name or Path(name).suffix:
            return Path(name)
        known = self._stems("policies/*.yaml")
        if name not in known:
            raise PolicyError(f'no policy "{name}" in {self._places()}{nearest(name, [*besides, *known])}')
        return known[name]

    def policy(
        self,
        name: str,
        languages: Iterable[str],
        measures: Iterable[str] = (),
        limits: LimitsByLanguage | None = None,
        subject: Callable[[tuple[str, ...]], str] = lambda keys: f"policy.{dotted(keys)}",
        known_languages: Mapping[str, LanguagePolicy] | None = None,
    ) -> Policy:
        """Return policy `name` for `languages`; see `policy_file` for the name.

        A limit may be on a measure of a document or on one of `measures`, which a recipe declares. `limits` are
        bounds that replace those of the file, one by one (the recipe's `policy`); `subject` says where the limit of a
        language and measure was given. `known_languages` are not read again.

        Raises: PolicyError with file and line for what is missing, malformed or unknown.
        """
        file, codes = self.policy_file(name), tuple(languages)
        yaml = read_yaml(file, PolicyError, keep=True)
        content = _read(PolicyFile, yaml)
        known = {*MEASURES, *measures}
        self._check_limits(content.limits, known, lambda keys: yaml.subject(("limits", *keys)))
        bare = [code for code in codes if code not in content.limits and ALL not in content.limits]
        if content.limits and bare:
            raise PolicyError(
                f"{file}: no limits for {', '.join(bare)}, so everything would be kept; it has "
                f"{', '.join(content.limits)}: choose policy balanced, or add limits"
            )
        self._check_limits(limits or {}, known, subject)
        if wrong := [problem for code in codes for problem in self._unknown_limits(code, known)]:
            raise PolicyError("\n".join(wrong))
        stated = content.limits | {code: self.facts(code).limits | content.limits.get(code, {}) for code in codes}
        merged = _merged(stated, limits or {}, subject)
        own = {code: {**merged.get(ALL, {}), **merged.get(code, {})} for code in codes}
        read = known_languages or {code: self.language(code) for code in codes}
        found = {code: replace(read[code], limits=own[code]) for code in codes}
        for code, language in found.items():
            if not language.lexicon and language.limits.get("medical_terms", PartialLimit()).min:
                raise PolicyError(
                    f"{self.find(f'{code}/lexicon.txt')}: has no terms, so every document would be dropped; "
                    f"`mmedc filters check {code} --filters FOLDER` says what the language needs"
                )
        return Policy(file.stem, content.rule, found)

    def _check_limits(
        self, limits: LimitsByLanguage, measures: Iterable[str], subject: Callable[[tuple[str, ...]], str]
    ) -> None:
        languages = (ALL, *self.languages())
        for code, by_measure in limits.items():
            if code not in languages:
                raise PolicyError(f'{subject((code,))}: unknown language "{code}"{nearest(code, languages)}')
            for measure in by_measure:
                if measure not in measures:
                    raise PolicyError(
                        f'{subject((code, measure))}: unknown measure "{measure}"{nearest(measure, measures)}'
                    )

    def _privacy(self, code: str) -> Privacy:
        """Return what `privacy.yaml` of a language asks for; without that file nothing of a language is looked for."""
        file = self.find(f"{code}/privacy.yaml")
        if file is None:
            return NO_PRIVACY
        own, shared = _read(Privacy, read_yaml(file, PolicyError, keep=True)), self._shared_privacy
        return Privacy(**{key: getattr(own, key) + getattr(shared, key) for key in Privacy.model_fields})

    @cached_property
    def _facts(self) -> dict[tuple[Path, int, int, int], LanguageFile]:
        """The files of languages that were read, by path and state."""
        return {}

    @cached_property
    def _shared_privacy(self) -> Privacy:
        """What `privacy.yaml` of all languages asks for."""
        file = self.find(f"{ALL}/privacy.yaml")
        return _read(Privacy, read_yaml(file, PolicyError, keep=True)) if file else NO_PRIVACY


def open_filters(overlay: str | None = None) -> Filters:
    """Open the shipped `filters/`, with the files of the folder `overlay` instead of those that it has too.

    Raises: PolicyError when `overlay` is no folder.
    """
    if overlay and not Path(overlay).is_dir():
        raise PolicyError(
            f"filters: {overlay}: no such folder; expected one like the shipped filters/ "
            "(`mmedc init` makes one to begin with)"
        )
    return Filters((*([Path(overlay)] if overlay else []), shipped("filters")))


def _read(model: type[File], yaml: YamlFile) -> File:
    """Return a file as a `model`; an empty file has the defaults."""
    return checked(model, replace(yaml, data={}) if yaml.data is None else yaml, PolicyError)


def _merged(
    limits: dict[str, dict[str, Limit]], over: LimitsByLanguage, subject: Callable[[tuple[str, ...]], str]
) -> dict[str, dict[str, Limit]]:
    """Return `limits` with the bounds of `over` in place of theirs; a language begins from what `all` has."""
    merged = {code: dict(by_measure) for code, by_measure in limits.items()}
    for code in sorted(over, key=lambda code: code != ALL):
        for measure, bounds in over[code].items():
            old: PartialLimit = merged.get(code, {}).get(measure) or merged.get(ALL, {}).get(measure) or PartialLimit()
            both = {**old.model_dump(exclude_unset=True), **bounds.model_dump(exclude_unset=True)}
            try:
                merged.setdefault(code, {})[measure] = Limit.model_validate(both)
            except ValidationError as problem:
                raise PolicyError(f"{subject((code, measure))}: {sentence(problem.errors())}") from None
    return merged
