"""The identifiers of publications, as they are found in texts."""

import re

ISBN = re.compile(r"(?:97[89])?\d{9}[\dXx]")
"""An ISBN of 10 or 13 digits, without hyphens."""
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>{}|\\^`\[\]]{1,200}")


def doi_in(text: str) -> str | None:
    """Return the first DOI in a text, in small letters (a DOI has no case), without what ends a sentence around it."""
    match = _DOI.search(text)
    if match is None:
        return None
    found = match[0].lower().rstrip(".,;:'”’»。，；")
    while found.endswith(")") and found.count(")") > found.count("("):
        found = found[:-1].rstrip(".,;:")
    return found
