"""The law of a mixture: which share of what is read each component of the corpora has, from its tokens.

A component is all documents of one corpus, language, source and kind (and of one range of quality, where `buckets`
asks for it). The trainer and `mmedc mix` compute shares here and nowhere else.
"""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, model_validator

from mmedc.errors import RecipeError
from mmedc.settings import Part, checked
from mmedc.yamlfile import read_yaml

F64 = npt.NDArray[np.float64]
LEVELS = ("corpus", "language", "source", "kind", "bucket")
"""The pieces of the name of a component, in their order."""
By = Literal["component", "corpus", "language", "source", "kind", "bucket"]
Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


def _pattern(value: str) -> str:
    if value.count("/") >= len(LEVELS) or not value:
        raise ValueError("expected corpus/language/source/kind with * where any will do, for example */es/* or general")
    return value


def _rising(value: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(value)):
        raise ValueError("expected rising bounds of quality, such as [0.5, 0.8]")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class Mixture(Part):
    """In which proportions the components of corpora are read."""

    temperature: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Components (corpus, language, source, kind) are read in proportion to their tokens to this power (1: as is)."""
    unimax: bool = False
    """Instead of a temperature: as evenly as `max_epochs` allows, the smallest first (UniMax, arXiv 2304.09151)."""
    by: By = "component"
    """What the temperature or UniMax weighs: every component, or all those of a `language`, `source`, `kind`, `corpus`
    or `bucket` together; within it, components are read in proportion to their tokens."""
    shares: dict[Pattern, Share] = {}
    """Fixed shares of all tokens by pattern of components, such as `general: 0.1` for replay; others share the rest."""
    max_epochs: Positive = 4.0
    """How often a component may be read. Up to about 4 repetitions are nearly as good as new tokens (arXiv 2305.16264,
    section 6)."""
    over: Literal["refuse", "cap"] = "refuse"
    """What happens where a component would be read more often: `refuse` the mixture, or `cap` it and read more of the
    others."""
    buckets: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], AfterValidator(_rising)] = ()
    """Bounds of `quality` that divide each component, such as `[0.5, 0.8]`; the names then end with `q0`,
    `q1`, …, or `q` for documents without a quality."""

    @model_validator(mode="after")
    def _one_law(self) -> "Mixture":
        if self.unimax and self.temperature != 1:
            raise ValueError("a mixture has a temperature or unimax, not both")
        if self.by == "bucket" and not self.buckets:
            raise ValueError("by bucket needs buckets, such as [0.5, 0.8]")
        return self


def read_mixture(path: str) -> Mixture:
    """Return the mixture of a file that `mmedc mix` wrote. Raises: RecipeError with file and line."""
    return checked(Mixture, read_yaml(Path(path), RecipeError))


@dataclass(frozen=True)
class Allotment:
    """What a law gives to components."""

    names: tuple[str, ...]
    tokens: F64
    """(N,) of one epoch."""
    budget: float
    """The tokens that are read in all."""
    read: F64
    """(N,) the tokens that are read of each component. They sum to the budget unless `max_epochs` leaves too few."""

    @property
    def epochs(self) -> F64:
        """(N,) how often each component is read."""
        return self.read / np.maximum(self.tokens, 1)

    @property
    def missing(self) -> float:
        """The tokens of the budget that no component may give."""
        return max(0.0, self.budget - float(self.read.sum()))


def allot(names: Sequence[str], tokens: npt.ArrayLike, law: Mixture, budget: float) -> Allotment:
    """Return how much of each component is read when `budget` tokens are read in all; of one without tokens nothing.

    Raises: RecipeError for a pattern that fits no component, and for fixed shares that sum to 1 or more.
    """
    sizes = np.asarray(tokens, float)
    free = sizes > 0
    if not free.any():
        raise RecipeError("data.corpora: there are no tokens to train on")
    read = np.zeros(len(sizes))
    natural = np.where(free, sizes, 1.0) ** law.temperature * free
    for pattern, share in law.shares.items():
        fitting = np.array([fits(name, pattern) for name in names]) & free
        if not fitting.any():
            raise RecipeError(
                f'data.shares: "{pattern}" fits no component that an earlier pattern left; '
                f"the components are {', '.join(names)}"
            )
        read[fitting] = budget * share * natural[fitting] / natural[fitting].sum()
        free &= ~fitting
    rest = 1 - sum(law.shares.values())
    if rest <= 0 or (not free.any() and rest > 1e-9):
        raise RecipeError(
            f"data.shares: they sum to {1 - rest:g}; leave a share for the other components, or name every component"
        )
    if free.any():
        read[free] = _weighed(names, sizes, free, law, rest * budget)
    if law.over == "cap":
        read = _capped(read, sizes * law.max_epochs)
    return Allotment(tuple(names), sizes, budget, read)


def _weighed(names: Sequence[str], sizes: F64, free: npt.NDArray[np.bool_], law: Mixture, budget: float) -> F64:
    """Return the tokens that are read of the `free` components."""
    groups = np.array([group_of(name, law.by) for name, is_free in zip(names, free, strict=True) if is_free])
    mine = sizes[free]
    known, which = np.unique(groups, return_inverse=True)
    totals = np.bincount(which, mine, minlength=len(known)).astype(float)
    if law.unimax:
        allotted = unimax(totals, budget, law.max_epochs)
    else:
        weights = totals**law.temperature
        allotted = budget * weights / weights.sum()
    found: F64 = allotted[which] * mine / totals[which]
    return found


def unimax(sizes: F64, budget: float, max_epochs: float) -> F64:
    """Return how much is read of parts of the given sizes: evenly, but none more than `max_epochs` times.

    Algorithm 1 of Chung et al. 2023, "UniMax: Fairer and More Effective Language Sampling for Large-Scale Multilingual
    Pretraining" (arXiv 2304.09151): from the smallest part to the largest, each gets an even share of what is left of
    the budget, or `max_epochs` of itself if that is less.
    """
    out, left = np.zeros(len(sizes)), budget
    for done, at in enumerate(np.argsort(sizes, kind="stable").tolist()):
        out[at] = min(left / (len(sizes) - done), max_epochs * sizes[at])
        left -= out[at]
    return out


def _capped(read: F64, most: F64) -> F64:
    """Return `read` with what exceeds `most` given to the others, in proportion, as far as they may take it."""
    total = read.sum()
    for _ in range(len(read)):
        over = read > most * (1 + 1e-12)
        if not over.any():
            return read
        open_ = read < most
        read = np.where(over, most, read)
        room = read * open_
        if not room.sum():
            return read
        read = read + room * (total - read.sum()) / room.sum()
    return np.minimum(read, most)


def group_of(name: str, by: By) -> str:
    """Return the group of a component: a piece of its name, or all of it."""
    if by == "component":
        return name
    parts = name.split("/")
    return parts[LEVELS.index(by)] if len(parts) > LEVELS.index(by) else ""


def fits(name: str, pattern: str) -> bool:
    """Return whether `corpus/language/source/kind` fits a pattern, which may omit the last parts."""
    parts = pattern.split("/")
    return all(fnmatch.fnmatchcase(have, want) for have, want in zip(name.split("/"), parts, strict=False))


def bucket_of(quality: npt.NDArray[np.float32], bounds: tuple[float, ...]) -> npt.NDArray[np.str_]:
    """Return the name of the range of quality of each document, from `q0` up; `q` where it is not a number."""
    names = np.array([f"q{number}" for number in range(len(bounds) + 1)])[
        np.digitize(quality, np.array(bounds, np.float32))
    ]
    return np.where(np.isnan(quality), "q", names)
