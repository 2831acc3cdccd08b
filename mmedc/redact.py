"""Removal of secrets from everything that is shown or written: messages, logs, manifests.

A secret is recognised by its value (that of an environment variable with a telling name) or by its form (RFC 3986
user information with a password, a signed URL, an authorization header, a key id of a cloud).
"""

import os
import re

HIDDEN = "…secret…"
SHORTEST = 6  # characters; a shorter value would occur in too many places by chance

_NAME = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY", re.IGNORECASE)
_NO_SECRET = re.compile(r"_(PATH|FILE|DIR|URL|MODE|TYPE)$", re.IGNORECASE)
_FORMS = (
    (re.compile(r"(://[^\s/:@]*):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(
            r"(?i)([?&;](?:x-amz-[a-z-]*|x-goog-[a-z-]*|sig|signature|token|key|password|access_token)=)[^\s&;\"']+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[\w+/=.~-]{8,}"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)((?:secret|passw(?:or)?d|api_?key|access_?key|auth_?token)\w*[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]{6,}"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\btoken=)[\w+/.~-]{8,}"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\b(?:hf|ghp|glpat|sk)[_-][A-Za-z0-9_-]{16,}"), HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
)


def first_line(problem: BaseException) -> str:
    """Return the first line of the message of an error, without secrets."""
    lines = str(problem).strip().splitlines()
    return redact(lines[0]) if lines else "no message"


def redact(text: str) -> str:
    """Return `text` with every secret that is known or recognised replaced by `…secret…`."""
    for value in sorted(_known(), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for form, put in _FORMS:
        text = form.sub(put, text)
    return text


def holds_secret(text: str) -> bool:
    """Return whether `redact` would change `text`."""
    return redact(text) != text


def _known() -> set[str]:
    names = [name for name in os.environ if _NAME.search(name) and not _NO_SECRET.search(name)]
    return {value for name in names if len(value := os.environ[name]) >= SHORTEST}
