"""Licences as SPDX identifiers, by the address, the short name or the words that state them; which are published."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import pyarrow as pa

UNKNOWN = "unknown"
"""The licence of a document for which none is stated."""

CREATIVE_COMMONS = re.compile(
    r"creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)(?:/([1-4]\.\d))?(?:/([a-z]{2,3})(?![a-z]))?",
    re.IGNORECASE,
)
WRITTEN = re.compile(r"\bCC[ -]?(BY(?:[ -](?:NC|SA|ND)){0,2}|0|ZERO)(?:[ -]v?([1-4]\.\d))?", re.IGNORECASE)
OPEN_GOVERNMENT = re.compile(r"nationalarchives\.gov\.uk/doc/open-government-licence/(?:version/)?([123])")
APACHE = re.compile(r"apache\.org/licenses/LICENSE-2\.0|^Apache[ -](?:License )?2\.0$", re.IGNORECASE)
KINDS = frozenset(("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd"))
_PORTED = (
    "BY-2.5-AU BY-3.0-AT BY-3.0-AU BY-3.0-DE BY-3.0-IGO BY-3.0-NL BY-3.0-US BY-NC-3.0-DE BY-NC-ND-3.0-DE "
    "BY-NC-ND-3.0-IGO BY-NC-SA-2.0-DE BY-NC-SA-2.0-FR BY-NC-SA-2.0-UK BY-NC-SA-3.0-DE BY-NC-SA-3.0-IGO "
    "BY-ND-3.0-DE BY-SA-2.0-UK BY-SA-2.1-JP BY-SA-3.0-AT BY-SA-3.0-DE BY-SA-3.0-IGO"
)
PORTED = frozenset(_PORTED.split())
"""The licences of single countries that SPDX lists; the others get the identifier of the general licence."""
UNVERSIONED = "LicenseRef-"
"""What the name of a licence begins with whose version is not stated, as in `LicenseRef-CC-BY` (SPDX 2.3, annex D)."""
_VERSIONS = dict.fromkeys(KINDS, ("1.0", "2.0", "2.5", "3.0", "4.0"))
_OTHERS = (
    "Apache-2.0 BSD-2-Clause BSD-3-Clause CC-PDM-1.0 CC0-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 DL-DE-BY-2.0 "
    "DL-DE-ZERO-2.0 etalab-2.0 GFDL-1.1 GFDL-1.2 GFDL-1.3 GFDL-1.3-or-later GPL-2.0-only GPL-3.0-only MIT NLOD-2.0 "
    "ODbL-1.0 ODC-By-1.0 OGL-Canada-2.0 OGL-UK-1.0 OGL-UK-2.0 OGL-UK-3.0 PDDL-1.0 Unlicense"
)
KNOWN = frozenset(
    [
        *(f"CC-{kind.upper()}-{version}" for kind, versions in _VERSIONS.items() for version in versions),
        *(f"CC-{name}" for name in PORTED),
        *(f"{UNVERSIONED}CC-{kind.upper()}" for kind in KINDS),
        *_OTHERS.split(),
    ]
)
"""The identifiers that a recipe may name: those of SPDX for texts and data, and those without a version."""
_WORDS = re.compile(
    r"(?:Creative\s+Commons|\bCC)\s*[-\u2010-\u2014,:(]*\s*(?P<by>Attribution|Atribui[cç][aã]o|Atribuci[oó]n|Paternit[eé])"
    r"(?P<nc>[\s\u2010-\u2014,/-]*(?:N(?:on|[aã]o|o)[\s\u2010-\u2014-]*(?:Co?mm?erci[ae]l|Utilisation\s+Commerciale)))?"
    r"(?P<more>[\s\u2010-\u2014,/-]*(?:Share[\s-]*Alike|Compartir\s*Igual|Compartilha\s*Igual|No[\s-]*Deriv(?:ative|ate|ado|ada)?s?"
    r"(?:\s+Works?)?|Sin[\s-]*Deriva(?:r|das)|Sem[\s-]*Deriva(?:ções|ç[oõ]es|dos)))?"
    r"(?P<rest>[^.;\n]{0,40}?\b(?P<version>[1-4]\.\d)\b|)",
    re.IGNORECASE,
)
"""A Creative Commons licence by its full name: English, and as SciELO prints it in Portuguese and Spanish."""
_PRINTED = re.compile(
    r"^(?P<before>.*?)(?:^|\s)CC[ -](?P<kind>BY(?:[ -](?:NC|SA|ND)){0,2})(?:[ -]v?(?P<version>[1-4]\.\d))?[ .]*$",
    re.MULTILINE,
)
"""The short name at the end of a line, as journals print it beside the DOI."""
_LOGO = re.compile(
    r"^(?P<before>)CC\n[^\n]{0,120}?(?<![A-Z])(?P<kind>BY(?:[ -](?:NC|SA|ND)){0,2})(?P<version>)(?=https?:|[ ]*$)",
    re.MULTILINE,
)
"""The same as a logo: CC in a line of its own, and BY in the next, where it may touch the address beside it."""
_OF_A_PART = re.compile(
    r"photo|image|picture|figure|\bfig\b|credit|illustration|source|foto|imag[ei]|figura|fuente|fonte|abbildung|bild|\bvia\b",
    re.IGNORECASE,
)
_NON_COMMERCIAL = re.compile(r"non?[\s-]?commercial|n[aã]o[\s-]?comercial|no[\s-]?comercial", re.IGNORECASE)
_BOTH = re.compile(r"commercial (?:and|or) non|both commercial", re.IGNORECASE)


def named(text: str) -> str | None:
    """Return the licence that the words of a statement name, or None where they name none, or several.

    Without a version the name is `LicenseRef-CC-BY` and the like: SPDX has no identifier for it, and a version is not
    guessed. A statement that names a free licence, and restricts it to non-commercial use in other words, names none.
    """
    found: set[str] = set()
    for match in _WORDS.finditer(text[:4_000]):
        more = (match["more"] or "").lower()
        kind = "by" + ("-nc" if match["nc"] else "")
        if more:
            kind += "-sa" if re.search(r"alike|igual", more) else "-nd"
        found.add(_creative_commons(kind, match["version"], "") or f"{UNVERSIONED}CC-{kind.upper()}")
    versioned = {each for each in found if not each.startswith(UNVERSIONED)}
    found = {
        each
        for each in found
        if not (
            each.startswith(UNVERSIONED) and any(v.startswith(f"{each.removeprefix(UNVERSIONED)}-") for v in versioned)
        )
    }
    if len(found) != 1:
        return None
    (one,) = found
    restricted = "-NC" not in one and _NON_COMMERCIAL.search(text) and not _BOTH.search(text)
    return None if restricted else one


def printed(text: str) -> str | None:
    """Return the licence that stands as a short name or logo at the end of lines of a page; None for several.

    Lines about a picture are left out; without a version it is named as by `named`.
    """
    found = set()
    for match in (*_PRINTED.finditer(text), *_LOGO.finditer(text)):
        if not _OF_A_PART.search(match["before"]):
            kind = match["kind"].lower().replace(" ", "-").replace("by-nd-nc", "by-nc-nd")
            found.add(
                _creative_commons(kind, match["version"], "")
                or (f"{UNVERSIONED}CC-{kind.upper()}" if kind in KINDS else "")
            )
    return found.pop() or None if len(found) == 1 else None


@dataclass(frozen=True)
class Rule:
    """Which licences are published."""

    allowed: tuple[str, ...] = ()
    """SPDX identifiers; `CC-BY-*` stands for all versions of CC-BY and never for CC-BY-NC. Empty allows all."""
    unknown: Literal["drop", "keep"] = "keep"
    """What becomes of documents for which no licence is stated."""

    @property
    def said(self) -> str:
        """The rule as a sentence without its end."""
        these = f"only documents with the licence {' or '.join(self.allowed)} are published" if self.allowed else ""
        if self.unknown == "drop":
            return these or "documents without a stated licence are not published"
        return f"{these}, and those without a stated licence"

    def allows(self, licence: str) -> bool:
        """Return whether documents of a licence are published."""
        if licence == UNKNOWN:
            return self.unknown == "keep"
        return not self.allowed or any(fits(licence, name) for name in self.allowed)

    def reasons(self, licences: pa.ChunkedArray | pa.Array) -> pa.Array:
        """Return for each licence why its document is dropped: `licence_unknown`, `licence`, or null."""
        if isinstance(licences, pa.ChunkedArray):
            licences = licences.combine_chunks()
        coded = licences.dictionary_encode()
        said = [
            None if self.allows(name) else "licence_unknown" if name == UNKNOWN else "licence"
            for name in coded.dictionary.to_pylist()
        ]
        return pa.array(said, pa.string()).take(coded.indices)


def fits(licence: str, name: str) -> bool:
    """Return whether a licence is `name`, or a version of it where that ends with `-*`."""
    if not name.endswith("-*"):
        return licence == name
    return re.fullmatch(re.escape(name[:-1]) + r"\d+(?:\.\d+)*(?:-[A-Za-z-]+)?", licence) is not None


def unknown_name(name: str, stated: Iterable[str] = ()) -> str:
    """Return what is wrong with the name of a licence, with the nearest name that a recipe may have."""
    if is_name(versions := f"{name.upper()}-*", stated):
        return f'"{name}" states no version; for all of its versions, write "{versions}"'
    near = get_close_matches(name, [*KNOWN, UNKNOWN, *stated], n=1, cutoff=0.5) or get_close_matches(
        name.upper(), KNOWN, n=1, cutoff=0.5
    )
    if near == [UNKNOWN]:
        return f'"{name}" is no licence; documents without one are kept with `publish: {{unknown: keep}}`'
    if "*" in name:
        example = "CC-BY-*"
        return f'"{name}": `*` stands for a version, at the end of the name of a licence: {example}'
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f'unknown licence "{name}"{hint or "; expected an SPDX identifier, or what a source states in `licence`"}'


def is_name(name: str, stated: Iterable[str] = ()) -> bool:
    """Return whether a recipe may name a licence so: one that is KNOWN or `stated`, or versions of such."""
    known = {*KNOWN, *stated} - {UNKNOWN}
    return name in known or (name.endswith("-*") and any(fits(each, name) for each in known))


def spdx(value: str) -> str | None:
    """Return the SPDX identifier of a licence that is given by its address or its short name, or None.

    A Creative Commons licence without a version has none.
    """
    value = value[:500]
    if found := CREATIVE_COMMONS.search(value):
        section, kind, version, port = found.groups()
        kind = kind.lower().replace("by-nd-nc", "by-nc-nd")
        if section.lower() == "publicdomain":
            return {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}.get(kind)
        return _creative_commons(kind, version, port or "")
    if found := OPEN_GOVERNMENT.search(value):
        return f"OGL-UK-{found[1]}.0"
    if APACHE.search(value):
        return "Apache-2.0"
    if found := WRITTEN.search(value):
        if found[1].upper() in ("0", "ZERO"):
            return "CC0-1.0"
        return _creative_commons(found[1].lower().replace(" ", "-"), found[2], "")
    return None


def _creative_commons(kind: str, version: str | None, port: str) -> str | None:
    if kind not in KINDS or not version:
        return None
    general = f"{kind.upper()}-{version}"
    ported = f"{general}-{port.upper()}"
    return f"CC-{ported if ported in PORTED else general}"
