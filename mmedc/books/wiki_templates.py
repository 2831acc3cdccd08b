"""Templates of MediaWiki that stand for text within a sentence. All others are boxes, notes and marks: not shown."""

from collections.abc import Callable

from mmedc.raised import lowered, raised

_FIRST = (
    "nowrap nobr small smaller big abbr tooltip val math mvar quote blockquote cquote quotation zitat citation citat "
    "ruby 読み仮名 visible_anchor vanchor not_a_typo ill interlanguage_link link-interwiki 仮リンク le link-en tsl "
    "lien code samp kbd var em strong sic"
)
_SECOND = "lang transl translit 読み langue lengua zh-lang"


def _conversion(given: list[str]) -> str:
    joins = ("-", "–", "to", "and", "by", "x", "×", "±")
    if len(given) > 3 and given[1].strip() in joins:
        return f"{given[0]}{given[1] if len(given[1].strip()) == 1 else f' {given[1].strip()} '}{given[2]} {given[3]}"
    return " ".join(given[:2])


def _power(given: list[str]) -> str:
    return "×10" + raised(given[0], "0") if given else ""


def _chemistry(given: list[str]) -> str:
    return "".join(lowered(part, "x") if part.strip().isdigit() else part for part in given)


def _first(given: list[str]) -> str:
    return given[0] if given else ""


def _second(given: list[str]) -> str:
    return given[1] if len(given) > 1 else ""


SHOWN: dict[str, Callable[[list[str]], str]] = {
    **dict.fromkeys(_FIRST.split(), _first),
    **dict.fromkeys(_SECOND.split(), _second),
    "convert": _conversion,
    "cvt": _conversion,
    "unité": _conversion,
    "e": _power,
    "chem": _chemistry,
    "chem2": _first,
    "sub": lambda given: lowered(_first(given), "x"),
    "sup": lambda given: raised(_first(given), "x"),
    "frac": lambda given: "/".join(given[-2:]),
    "nbsp": lambda given: " ",
    "spaces": lambda given: " ",
    "ndash": lambda given: "–",
    "en dash": lambda given: "–",
    "mdash": lambda given: "—",
    "as of": lambda given: f"As of {'-'.join(given[:3])}",
}
"""By the name of a template, in lower case: a function from its numbered arguments to what it shows."""


def shown_by(name: str, given: list[str]) -> str:
    """Return what template `name` shows of its numbered arguments."""
    name = name.strip().lower().replace("_", " ")
    if name.startswith("lang-"):
        return _first(given)
    function = SHOWN.get(name) or SHOWN.get(name.replace(" ", "_"))
    return function([value.strip() for value in given]) if function else ""
