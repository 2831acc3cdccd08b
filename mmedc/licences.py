"""Licences as SPDX identifiers, by the address or the short name that states them."""

import re

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
