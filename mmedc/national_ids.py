"""National numbers of people: how each is written, and whether its check digits are right.

The check digits are those of `python-stdnum`, but for three: the Chinese identity number, whose table of places
there lacks most of those before 1982, the Taiwanese one and the Russian SNILS, which it does not have. A number whose
check is weak (one in ten passes by chance) and whose grouping is that of other numbers counts only after a word that
announces it.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec

_END = r"(?![0-9A-Za-z])(?![ .-]?[0-9])"
_BEGIN = r"(?<![0-9A-Za-z])(?<![0-9][ ./-])"


@dataclass(frozen=True)
class NationalId:
    """One kind of number."""

    shape: re.Pattern[str]
    """How it is written; full-width forms are folded before."""
    is_valid: Callable[[str], bool]
    alone: re.Pattern[str] | None
    """The ways to write it that count without a word before it; None: all."""

    def matches(self, text: str, announced: bool) -> bool:
        """Return whether a match of `shape` is such a number; `announced` by a word before it."""
        if not announced and self.alone is not None and not self.alone.fullmatch(text):
            return False
        return self.is_valid(re.sub(r"[ .]", "", text).upper())


def _cn(number: str) -> bool:
    """GB 11643-1999: a date of birth, and the check character of ISO 7064 MOD 11-2."""
    if not _is_date(number[6:14]):
        return False
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


def _is_date(digits: str) -> bool:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).year >= 1880
    except ValueError:
        return False


def _snils(number: str) -> bool:
    """Return whether the last two digits are the weighted sum of the first nine, modulo 101 (resolution of the PFR)."""
    digits = [int(char) for char in number if char.isdigit()]
    total = sum((9 - place) * digit for place, digit in enumerate(digits[:9]))
    return total % 101 % 100 == digits[9] * 10 + digits[10]


_TAIWAN = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # in the order of their values, 10 to 35


def _tw(number: str) -> bool:
    """Return whether the weighted sum of the letter's value and the digits is a multiple of ten."""
    letter = _TAIWAN.index(number[0]) + 10
    digits = [letter // 10, letter % 10, *map(int, number[1:])]
    return (
        sum(digit * weight for digit, weight in zip(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True)) % 10 == 0
    )


_OWN: dict[str, Callable[[str], bool]] = {"cn.ric": _cn, "ru.snils": _snils, "tw.id": _tw}
_NEVER = "(?!)"
# By module: the shape, and the ways to write it that need no word before it ("": all).
_SHAPES: dict[str, tuple[str, str]] = {
    "ar.cuit": (r"\d{2}-?\d{8}-?\d", _NEVER),
    "at.vnr": (r"\d{4} ?\d{6}", _NEVER),
    "be.nn": (r"\d{2}\.?\d{2}\.?\d{2}-?\d{3}\.?\d{2}", r".*\..*-.*"),
    "br.cpf": (r"\d{3}\.?\d{3}\.?\d{3}[ -]?\d{2}", ""),
    "ca.sin": (r"\d{3}([ -]?)\d{3}\1\d{3}", r".*-.*"),
    "ch.ssn": (r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}", r".*\..*"),
    "cl.rut": (r"\d{1,2}\.?\d{3}\.?\d{3}-?[0-9Kk]", r".*\..*-.*"),
    "cn.ric": (r"\d{6} ?\d{4} ?\d{4} ?\d{3}[0-9Xx]", ""),
    "de.idnr": (r"\d{2} ?\d{3} ?\d{3} ?\d{3}", _NEVER),
    "es.dni": (r"\d{1,2}\.?\d{3}\.?\d{3}[ -]?[A-Za-z]", r".*[A-Z]"),
    "es.nie": (r"[XYZxyz][ -]?\d\.?\d{3}\.?\d{3}[ -]?[A-Za-z]", ""),
    "fr.nir": (r"[1-478][ .]?\d{2}[ .]?\d{2}[ .]?(?:\d{2}|2[ABab])[ .]?\d{3}[ .]?\d{3}[ .]?\d{2}", ""),
    "gb.nhs": (r"\d{3}[ -]?\d{3}[ -]?\d{4}", _NEVER),
    "in_.aadhaar": (r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", r".*[ -].*"),
    "in_.pan": (r"[A-Za-z]{3}[A-Za-z][A-Za-z]\d{4}[A-Za-z]", r"[A-Z]{3}P.*"),
    "it.codicefiscale": (
        r"[A-Za-z]{3} ?[A-Za-z]{3} ?[0-9L-Vl-v]{2}[A-Ta-t] ?[0-9L-Vl-v]{2} ?[A-Za-z][0-9L-Vl-v]{3} ?[A-Za-z]",
        "",
    ),
    "jp.in_": (r"\d{4}([ -]?)\d{4}\1\d{4}", r".*[ -].*"),
    "kr.rrn": (r"\d{6} ?-? ?[1-8]\d{6}", r".*-.*"),
    "mx.curp": (r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d", ""),
    "pt.cc": (r"\d{8} ?\d ?[A-Z0-9]{2}\d", r".*[A-Z].*"),
    "pt.nif": (r"\d{3} ?\d{3} ?\d{3}", _NEVER),
    "ru.inn": (r"\d{12}|\d{10}", _NEVER),
    "ru.snils": (r"\d{3}[- ]?\d{3}[- ]?\d{3}[- ]?\d{2}", r"\d{3}-\d{3}-\d{3}[- ]\d{2}"),
    "tw.id": (r"[A-Z][12]\d{8}", ""),
    "us.ssn": (r"\d{3}([ -]?)\d{2}\1\d{4}", r".*-.*"),
}
_ANY = r"[A-Z]{0,6}\d(?:[ .-]?[0-9A-Z]){6,18}"  # of a module that has no shape here


def is_known(name: str) -> bool:
    """Return whether there is a check for numbers of this name, such as `fr.nir`."""
    return name in _OWN or bool(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) and find_spec(f"stdnum.{name}"))


def national_id(name: str) -> NationalId:
    """Return the kind of number that a module of `stdnum`, or an own check, is about."""
    shape, alone = _SHAPES.get(name, (_ANY, ""))
    check = _OWN.get(name) or importlib.import_module(f"stdnum.{name}").is_valid
    return NationalId(re.compile(f"{_BEGIN}(?:{shape}){_END}"), check, re.compile(alone) if alone else None)
