"""The values that say what "medical" and "good" mean: a policy, its languages, their terms and limits.

Code measures; these values decide. `mmedc.filters` reads them from `filters/`. A policy travels to the
workers whole, so they never open the folder, and its digest says exactly which of its parts a pass depends on.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from mmedc.licences import Rule
from mmedc.national_ids import is_known
from mmedc.settings import Part, Shape

CATEGORIES = (
    *("symptoms", "diseases", "anatomy", "drugs", "procedures", "specialities", "care"),
    *("physiology", "laboratory", "pathogens"),
)
"""What the terms of a lexicon name."""
TOPICS = (
    *("clinical", "basic", "pharmacy", "public_health", "mental_health", "dental", "nursing", "veterinary"),
    "traditional",
)
"""The fields that the terms of a lexicon belong to; `basic` are the basic sciences of medicine."""

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
"""Character ranges (inside a regular expression) of the scripts that a language file may name."""


@dataclass(frozen=True)
class Term:
    """A lexicon entry: the headword and its other forms, which together count as one term."""

    forms: tuple[str, ...]
    category: str
    line: int
    """Where it stands in `file`, from 1."""
    file: str = ""
    topic: str = "clinical"
    weight: float = 1.0
    """How much of a term it counts as: less where it is in `general.txt`."""
    inflected: frozenset[str] = frozenset()
    """Those of its forms that do not stand in the file: rules made them (`mmedc.inflection`)."""

    def identity(self) -> list[Any]:
        """Return its forms and weight: results depend neither on its category and topic nor on where it stands."""
        return [*self.forms, *([] if self.weight == 1 else [self.weight])]


class Lexicon(tuple[Term, ...]):
    """The terms of a language. Many policies share one, so its digest is computed once and travels with it."""

    @cached_property
    def digest(self) -> str:
        """16 hex digits of SHA-256 over the identities of its terms, in whatever order they stand."""
        lines = sorted(repr(term.identity()) for term in self)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


LANGUAGE_CODE = Shape("[a-z]{2,3}", "the code of a language, two or three small letters such as de")
"""The form of the code of a language."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class PartialLimit(Part):
    """Some bounds of a measure; see `Limit`."""

    min: Number | None = None
    """Documents with less are dropped."""
    max: Number | None = None
    """Documents with more are dropped."""
    floor: Number | None = None
    """Documents with less are dropped by ingest already; at most `min`."""
    ceiling: Number | None = None
    """Documents with more are dropped by ingest already; at least `max`."""


class Limit(PartialLimit):
    """The bounds that a measure must meet.

    `min` and `max` decide, on columns, in seconds; `floor` and `ceiling` are what ingest already
    drops by, so a limit may move between its floor and its ceiling without a new extraction.
    """

    @model_validator(mode="after")
    def _consistent(self) -> "Limit":
        if not self.model_fields_set:
            raise ValueError("expected bounds such as {min: 0.5}; known: min, max, floor, ceiling")
        if self.floor is not None and (self.min is None or self.floor > self.min):
            raise ValueError(
                f"floor {self.floor:g} is above min {_shown(self.min)}: ingest would drop what min keeps; "
                "lower the floor or raise min"
            )
        if self.ceiling is not None and (self.max is None or self.ceiling < self.max):
            raise ValueError(
                f"ceiling {self.ceiling:g} is below max {_shown(self.max)}: ingest would drop what max keeps; "
                "raise the ceiling or lower max"
            )
        return self

    def bounds(self, loosest: bool) -> tuple[float | None, float | None]:
        """Return (lowest, highest) allowed, the loosest or the deciding ones."""
        return (self.floor, self.ceiling) if loosest else (self.min, self.max)


def _shown(bound: float | None) -> str:
    return "(none)" if bound is None else f"{bound:g}"


LimitsByLanguage = Mapping[str, Mapping[str, PartialLimit]]
"""Language code, or `all`, → measure → bounds."""


def _number_format(name: str) -> str:
    if not is_known(name):
        raise ValueError(f"python-stdnum has no {name}")
    return name


class Privacy(Part):
    """`privacy.yaml`: what identifies people in a language; see `mmedc.steps.privacy`."""

    regions: tuple[str, ...] = ()
    """Countries whose telephone numbers its speakers write: ISO 3166 codes, tried in order."""
    ids: tuple[Annotated[str, AfterValidator(_number_format)], ...] = ()
    """National identity numbers with check digits, by the names of `mmedc.national_ids`: `fr.nir`."""
    id_words: tuple[str, ...] = ()
    """Words that introduce a national number."""
    record_words: tuple[str, ...] = ()
    """Words that introduce the number of a medical record."""
    phone_words: tuple[str, ...] = ()
    """Words that introduce a telephone number."""
    address_words: tuple[str, ...] = ()
    """Words that introduce an IP address."""
    other_words: tuple[str, ...] = ()
    """Words that introduce a number that identifies no person, such as `ISBN`."""
    linking_words: tuple[str, ...] = ()
    """Words that may stand between any of these and its number, such as `is`."""
    units: tuple[str, ...] = ()
    """What follows a quantity."""
    name_words: tuple[str, ...] = ()
    """Words that introduce a person's name when they begin a line and a colon follows."""
    not_names: tuple[str, ...] = ()
    """Words that follow such a colon and begin no name, such as `male`."""

    @property
    def words(self) -> tuple[str, ...]:
        """All words to look for."""
        return self.record_words + self.name_words


NO_PRIVACY = Privacy()
"""Looks for nothing of a language."""


@dataclass(frozen=True)
class LanguagePolicy:
    """Everything the project knows about one language."""

    code: str
    name: str
    scripts: tuple[str, ...]
    spaced: bool
    """True where spaces separate words."""
    folds: tuple[str, ...]
    """Codes of the identification model that mean this language (`wuu` for `zh`)."""
    lexicon: Lexicon
    stopwords: tuple[str, ...]
    limits: dict[str, Limit]
    privacy: Privacy = NO_PRIVACY

    def identity(self) -> dict[str, Any]:
        """Return everything but the order and categories of words."""
        return {
            **vars(self),
            "lexicon": self.lexicon.digest,
            "stopwords": sorted(self.stopwords),
            "privacy": vars(self.privacy),
            "limits": {name: limit.bounds(False) for name, limit in sorted(self.limits.items())},
        }


KEEP = "keep"
"""The policy of a source that is medical by its origin: the recipe's, without limits on `MEDICAL` measures."""
MEDICAL = ("medical_terms", "medical_density", "medical_spread", "medical_model")
"""The measures of how medical a text is."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Policy:
    """A named policy for the languages of one recipe."""

    name: str
    rule: Literal["boundary", "mmedc"]
    """How lexicon terms are found: see `mmedc.steps.medical`."""
    languages: dict[str, LanguagePolicy]
    licences: Rule | None = None
    """Which licences are published: `publish.licences` of the recipe; None for all."""
    of_sources: "Mapping[str, Policy]" = field(default_factory=dict)
    """The policies of the sources that have one of their own; they differ in rule and limits only."""
    units_tell: bool = False
    """Whether a unit says by what policy its source is judged, so that the others need not be read again for it."""

    def of(self, source: str | None) -> "Policy":
        """Return the policy of a source."""
        return self.of_sources.get(source or "", self)

    @property
    def every(self) -> "tuple[Policy, ...]":
        """The policy itself and those of sources."""
        return self, *self.of_sources.values()

    @property
    def keeps(self) -> bool:
        """Whether no limit asks how medical a text is."""
        return not any(name in MEDICAL for language in self.languages.values() for name in language.limits)

    def keeping(self) -> "Policy":
        """Return this policy as `KEEP`: without limits on how medical a text is."""
        languages = {
            code: replace(
                language, limits={name: limit for name, limit in language.limits.items() if name not in MEDICAL}
            )
            for code, language in self.languages.items()
        }
        return replace(self, name=KEEP, languages=languages)

    def made(self, make: "Callable[[Policy], Made]", by: "Callable[[Policy], Any]") -> "Callable[[str | None], Made]":
        """Return a function from a source to what `make` makes of its policy; policies of equal `by` share it."""
        known: dict[str, Made] = {}
        for policy in self.every:
            key = str(by(policy))
            if key not in known:
                known[key] = make(policy)
        return lambda source: known[str(by(self.of(source)))]

    def for_ingest(self) -> "Policy":
        """Return what ingest may depend on: the words, and floors and ceilings as the only limits.

        A limit that has neither drops nothing there, so adding one costs no second extraction.
        """
        languages = {}
        for code, language in self.languages.items():
            bounds = {name: limit.bounds(loosest=True) for name, limit in language.limits.items()}
            limits = {
                name: Limit(min=low, max=high, floor=low, ceiling=high)
                for name, (low, high) in bounds.items()
                if (low, high) != (None, None)
            }
            languages[code] = replace(language, limits=limits)
        own = {source: policy.for_ingest() for source, policy in self.of_sources.items()}
        return replace(self, languages=languages, licences=None, of_sources=own, units_tell=True)

    def for_limits(self) -> "Policy":
        """Return what decisions on columns may depend on: the limits, without the words."""
        languages = {
            code: replace(language, lexicon=Lexicon(), stopwords=(), privacy=NO_PRIVACY)
            for code, language in self.languages.items()
        }
        own = {source: policy.for_limits() for source, policy in self.of_sources.items()}
        return replace(self, languages=languages, of_sources=own)

    def identity(self) -> Any:
        """Return everything but its name and the order and categories of words."""
        told = self.of_sources and not self.units_tell
        return {
            "rule": self.rule,
            **({"licences": vars(self.licences)} if self.licences else {}),
            **({"sources": {name: each.identity() for name, each in self.of_sources.items()}} if told else {}),
            **{code: language.identity() for code, language in sorted(self.languages.items())},
        }


def read_policy(
    name: str, languages: tuple[str, ...], overlay: str | None = None, measures: tuple[str, ...] = ()
) -> Policy:
    """Return policy `name` for `languages`; see `mmedc.filters.Filters.policy`."""
    from mmedc.filters import open_filters

    return open_filters(overlay).policy(name, languages, measures)


def read_language(code: str, overlay: str | None = None) -> LanguagePolicy:
    """Return language `code` without limits; see `mmedc.filters.Filters.language`."""
    from mmedc.filters import open_filters

    return open_filters(overlay).language(code)


def is_acronym(form: str) -> bool:
    """Return whether a form is written wholly in capitals; such a form is matched as it is written."""
    if not form.isupper():
        return False
    letters = [char for char in form if char.isalpha()]
    return len(letters) > 1 and all(char.isupper() for char in letters)
