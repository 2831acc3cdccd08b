"""Replaces what identifies people by placeholders, and counts it.

Found: e-mail addresses; IP addresses; telephone numbers that are valid in the regions of the
language (`phonenumbers`, the port of libphonenumber); national numbers whose checksum is right
(`python-stdnum`); numbers after words such as "medical record number"; names after words such as
"Patient:" at the beginning of a line. A language's regions, numbers and words are in its
`privacy.yaml`. The same kind always becomes the same placeholder.
"""

import importlib
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import ahocorasick_rs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.policy import Policy, Privacy

EMAIL, IP, PHONE, NUMBER, RECORD, NAME = "<EMAIL>", "<IP>", "<PHONE>", "<ID>", "<RECORD>", "<NAME>"
# Lengths are bounded (RFC 5321, section 4.5.3.1), so that no text makes a search quadratic.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_IP = re.compile(r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)")
_NUMBER = re.compile(r"(?<![A-Za-z0-9.,/=&?_-])(?:[A-Z]{1,6}(?=\d))?\d(?:[ .-]?\d|-?[A-Z]){6,18}(?![A-Za-z0-9/_-])")
_DIGITS = r"(?:\p{Nd}[ ().\x{2010}-\x{2015}\x{a0}/-]{0,3}){7}"  # what might be a telephone number
_LIKELY = rf"@|\d\.\d{{1,3}}\.\d|:[0-9A-Fa-f]{{0,4}}:|[A-Z]{{6}}\d\d|{_DIGITS}"
# Grouped thousands, a decimal number, a range: no telephone number is written so.
_FIGURE = re.compile(r"\d{1,2}(?:[ .\u00a0]\d{3})+|\d+\.\d+|\d{3,4} ?[-–—] ?\d{3,4}")
_IN_URL = frozenset("/=&?#%_-.")
_YEARS = re.compile(r"(?:1[89]|20)\d\d\s?[-–—]\s?(?:1[89]|20)\d\d")
_DIGIT_RUN = re.compile(r"[+(]?\d(?:[ ().\u2010-\u2015\u00a0/-]{0,3}\d){6,16}")
AROUND = 8  # characters that the matcher sees before and after a run of digits

Placeholder = Callable[[re.Match[str]], str | None]
"""What to put for a match; None where it is left as it is."""


class Replace(Protocol):
    """Replaces what identifies people and counts it."""

    def __call__(self, text: str, by_shape: bool = True, by_words: bool = True) -> tuple[str, int]:
        """Return (text, placeholders in it); for what is known by its shape, or by the words before it, or both."""


@dataclass(frozen=True)
class Private:
    """Replaces in `text` what identifies people; sets `private_items`, how many there were. Drops nothing."""

    policy: Policy
    name: ClassVar[str] = "privacy"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform."""
        replace = {code: replacer(language.privacy) for code, language in self.policy.languages.items()}
        words = {word for one in self.policy.languages.values() for word in one.privacy.words}
        mention = ahocorasick_rs.AhoCorasick(sorted(word.lower() for word in words))

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals, langs = batch.column("ordinal").to_pylist(), batch.column("lang").to_pylist()
            texts = batch.column("text").to_pylist()
            items = np.zeros(batch.num_rows, np.float32)
            likely = pc.match_substring_regex(batch.column("text"), _LIKELY).to_pylist()
            for row, text in enumerate(texts):
                mentioned = bool(mention.find_matches_as_indexes(text.lower()))
                if likely[row] or mentioned:
                    slot.mark(ordinals[row])
                    texts[row], items[row] = replace[langs[row]](text, likely[row], mentioned)
            if items.any():
                batch = set_column(batch, "text", pa.array(texts, batch.column("text").type))
            return set_column(batch, "private_items", pa.array(items))

        return transform


def replacer(privacy: Privacy) -> Replace:
    """Return the function that replaces what identifies people in texts of one language."""
    valid = [importlib.import_module(f"stdnum.{name}").is_valid for name in privacy.ids]
    rules: list[tuple[bool, re.Pattern[str], Placeholder]] = [
        (False, _EMAIL, lambda _: EMAIL),
        (False, _IP, lambda found: IP if _is_address(found[0]) else None),
        *((True, pattern, placeholder) for pattern, placeholder in _after_words(privacy)),
    ]
    if valid:
        rules.append((False, _NUMBER, lambda found: NUMBER if any(check(found[0]) for check in valid) else None))

    def replace(text: str, by_shape: bool = True, by_words: bool = True) -> tuple[str, int]:
        count = 0
        for after_words, pattern, placeholder in rules:
            if not (by_words if after_words else by_shape):
                continue

            def put(found: re.Match[str], placeholder: Any = placeholder) -> str:
                nonlocal count
                new = placeholder(found)
                count += new is not None
                return found[0] if new is None else new

            text = pattern.sub(put, text)
        text, phones = _without_phones(text, privacy.regions) if by_shape else (text, 0)
        return text, count + phones

    return replace


def _after_words(privacy: Privacy) -> list[tuple[re.Pattern[str], Placeholder]]:
    def one_of(words: tuple[str, ...]) -> str:
        return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))

    rules: list[tuple[re.Pattern[str], Placeholder]] = []
    if privacy.record_words:
        number = r"[A-Z]{0,3}[-/ ]?\d[\d/-]{3,19}(?!\w)"
        before = rf"((?<!\w)(?:{one_of(privacy.record_words)})(?![^\W\d_])\s?(?:n\.?\s?[º°o]|№|#)?\s?[:：]?\s?)"
        rules.append((re.compile(before + number, re.IGNORECASE), lambda found: found[1] + RECORD))
    if privacy.name_words:
        # Two to five words that don't begin in lower case, or one without spaces in the scripts of East Asia.
        word = r"[^\W\d_a-zа-яё][^\s,;:，；：、()（）<>]{0,30}"
        name = rf"(?:{word}(?:[ \t]+{word}){{1,4}}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{{2,8}})"
        before = rf"^([ \t]*(?i:{one_of(privacy.name_words)})[ \t]?[:：][ \t]?)"
        after = r"(?=[ \t]*(?:[,;，、；（(]|$))"
        rules.append((re.compile(before + name + after, re.MULTILINE), lambda found: found[1] + NAME))
    return rules


def _is_address(text: str) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    # A private address names nobody; "::" is punctuation, and a short one may be the number of a section.
    return found.is_global and len(text) >= 10


def _without_phones(text: str, regions: tuple[str, ...]) -> tuple[str, int]:
    """Return `text` with telephone numbers that are valid in `regions` replaced, and how many."""
    import phonenumbers

    spans: list[tuple[int, int]] = []
    for run in _DIGIT_RUN.finditer(text) if regions else ():
        before = text[run.start() - 1 : run.start()]
        if (before and before in _IN_URL) or _FIGURE.fullmatch(run[0]):
            continue
        if _YEARS.search(run[0]) or (spans and run.start() < spans[-1][1]):
            continue
        low, high = max(run.start() - AROUND, 0), run.end() + AROUND
        for region in regions:
            found = list(phonenumbers.PhoneNumberMatcher(text[low:high], region, phonenumbers.Leniency.VALID))
            if found:
                spans += [(low + one.start, low + one.end) for one in found]
                break
    for start, end in reversed(spans):
        text = text[:start] + PHONE + text[end:]
    return text, len(spans)
