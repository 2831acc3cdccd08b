"""Replaces what identifies people by placeholders, and counts it.

Found: e-mail addresses; IP addresses; telephone numbers that are valid in the regions of the language
(`phonenumbers`, the port of libphonenumber); national numbers whose check digits are right
(`mmedc.national_ids`); numbers after words such as "medical record number"; names after words such as "Patient:" at
the beginning of a line. The same kind always becomes the same placeholder.

A number alone says little: what a run of digits is, the words before it and the unit after it decide
(`mmedc.steps.private_words`). A language's regions, numbers and words are in its `privacy.yaml`; what all languages
share is in `all/privacy.yaml`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import ahocorasick_rs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import edited_offsets, edited_text, offset_columns, set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.national_ids import NationalId, national_id
from mmedc.policy import Policy, Privacy
from mmedc.steps import private_words
from mmedc.steps.private_names import name_finder
from mmedc.steps.private_phones import phone_finder
from mmedc.steps.private_words import Context, Hit, lower, searchable, shown

EMAIL, IP, PHONE, NUMBER, RECORD, NAME = "<EMAIL>", "<IP>", "<PHONE>", "<ID>", "<RECORD>", "<NAME>"
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
# Lengths are bounded (RFC 5321, section 4.5.3.1), so that no text makes a search quadratic.
_EMAIL = re.compile(
    rf"(?<![{_LATIN}0-9_])[{_LATIN}0-9_][{_LATIN}0-9_.%+'-]{{0,63}}@(?:[{_LATIN}0-9-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}}"
    r"(?![A-Za-z0-9-])|(?<![а-яё0-9_])[а-яё0-9_][а-яё0-9_.-]{0,63}@(?:[а-яё0-9-]{1,63}\.){1,4}(?:рф|рус|бел|қаз)(?![а-яё])",
    re.IGNORECASE,
)
_AT, _DOT = r" ?[\[({] ?(?:at|@|arroba|собака) ?[\])}] ?", r" ?[\[({] ?(?:dot|punto|ponto|point|punkt|точка) ?[\])}] ?"
_DISGUISED = re.compile(
    rf"(?<![{_LATIN}0-9_])[{_LATIN}0-9_][{_LATIN}0-9_.+-]{{0,63}}{_AT}(?:[{_LATIN}0-9-]{{1,63}}(?:\.|{_DOT})){{1,5}}"
    r"[A-Za-z]{2,24}(?![A-Za-z0-9-])",
    re.IGNORECASE,
)
_AT_SIGN, _AT_WORD = re.compile("@"), re.compile(_AT, re.IGNORECASE)
LOCAL_CHARS, DOMAIN_CHARS = 65, 255  # of an address, and one before it
_DOTS, _COLONS = re.compile(r"\.\d{1,3}\.\d{1,3}\.\d"), re.compile(":[0-9A-Fa-f]{0,4}:")  # what every address has
_IPV4 = re.compile(r"(?<![0-9A-Za-z_])(?<![0-9]\.)(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z_]|\.\d)")
_IPV6 = re.compile(
    r"(?:(?<![0-9A-Za-z_:.])|(?<=[Ii][Pp][Vv]6:)|(?<=[Ii][Pp]:))[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Za-z_:])"
)
_ACRONYM = 4
_LONG = 15  # characters of a national number from which no other number is taken for it
_SHORT = 10  # characters of an address below which a word must announce it: it may be the number of a section
_WIDE = r"\x{ff10}-\x{ff19}\x{ff21}-\x{ff3a}"
_DIGITS = r"(?:\p{Nd}[ ().\x{2010}-\x{2015}\x{2212}\x{ff0d}\x{ff08}\x{ff09}\x{ff0e}\x{30fc}\x{a0}\x{3000}/-]{0,3}){7}"
_LIKELY = (
    rf"[@\x{{ff20}}\x{{fe6b}}]|[(\[] ?(?:at|arroba) ?[)\]]|\p{{Nd}}[.\x{{ff0e}}]\p{{Nd}}{{1,3}}[.\x{{ff0e}}]\p{{Nd}}"
    rf"|[:\x{{ff1a}}][0-9A-Fa-f]{{0,4}}[:\x{{ff1a}}]|[A-Z{_WIDE}]{{5,6}} ?[\d\x{{ff10}}-\x{{ff19}}]{{2}}|{_DIGITS}"
)
"""What a text has that may identify people by its shape, in RE2."""
_RECORD = re.compile(
    r"(?:[A-Za-z]{1,4}[-/]?|[A-Z]{1,3} )?\d(?:[./-]?\d|[./-]?[A-Za-z](?=[-/]?\d)){3,18}(?:[-/]?[A-Za-z](?![A-Za-z]))?"
    r"(?: \d{3,4}(?!\d)){0,3}(?![0-9A-Za-z]|[./-]\d)"
)
# The end of "(MRN)" where it comes before a number; a year or a small count after it is no record number.
_CLOSED = r"\)(?= ?[:=#№]|[^\d\n]{0,8}\d{6})"
_ABBREVIATION = rf"(?-i:\( ?[A-ZÀ-ÖØ-ÞА-ЯЁ][A-ZÀ-ÖØ-ÞА-ЯЁa-z.]{{0,6}} ?){_CLOSED}"
_GROUPED = re.compile(r"(?:[A-Za-z]{1,4}[-/ ]?)?\d(?:[ ./-]?[0-9A-Za-z]?\d){5,17}[A-Za-z]?(?![0-9A-Za-z]|[./-]\d)")


_FAST = ahocorasick_rs.Implementation.DFA


class Span(NamedTuple):
    """What identifies people, in characters of a text, and the placeholder that replaces it."""

    start: int
    stop: int
    placeholder: str


class Replace(Protocol):
    """Replaces what identifies people and counts it."""

    def __call__(self, text: str, by_shape: bool = True, by_words: bool = True) -> tuple[str, int]:
        """Return (text, placeholders in it); for what is known by its shape, or by the words before it, or both."""


@dataclass(frozen=True)
class Private:
    """Replaces in `text` what identifies people; sets `private_items`, how many there were. Drops nothing."""

    policy: Policy
    name: ClassVar[str] = "privacy"
    version: ClassVar[int] = 4

    def open(self) -> Transform:
        """Return the transform."""
        find = {code: finder(language.privacy) for code, language in self.policy.languages.items()}
        words = _mentions(language.privacy for language in self.policy.languages.values())
        mention = ahocorasick_rs.BytesAhoCorasick([word.encode() for word in words], implementation=_FAST)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            ordinals, langs = batch.column("ordinal").to_pylist(), batch.column("lang").to_pylist()
            texts = batch.column("text").to_pylist()
            items = np.zeros(batch.num_rows, np.float32)
            offsets = {name: batch.column(name).to_pylist() for name in offset_columns(batch)}
            likely = pc.match_substring_regex(batch.column("text"), _LIKELY).to_pylist()
            for row, text in enumerate(texts):
                mentioned = bool(mention.find_matches_as_indexes(f"\n{text.lower()}".encode()))
                if likely[row] or mentioned:
                    slot.mark(ordinals[row])
                    spans = find[langs[row]](text, likely[row], mentioned)
                    texts[row], items[row] = edited_text(text, spans), len(spans)
                    edited = edited_offsets({name: values[row] for name, values in offsets.items()}, spans)
                    for name, values in offsets.items():
                        values[row] = edited[name]
            if items.any():
                for name, values in {"text": texts, **offsets}.items():
                    batch = set_column(batch, name, pa.array(values, batch.schema.field(name).type))
            return set_column(batch, "private_items", pa.array(items))

        return transform


def _mentions(languages: Iterable[Privacy]) -> list[str]:
    """Return what a text must hold, in lower case, to be looked through for names and records."""
    found: set[str] = set()
    for privacy in languages:
        found.update(word + end for word in privacy.name_words for end in (":", "：", " :", " ："))
        for word in privacy.record_words:
            if word.isascii() and len(word) <= _ACRONYM:  # stands within other words too
                found.update(before + word + after for before in " \n(,;/" for after in " :.#)")
            else:
                found.add(word)
    return sorted(map(str.lower, found))


def replacer(privacy: Privacy) -> Replace:
    """Return the function that replaces what identifies people in texts of one language."""
    find = finder(privacy)

    def replace(text: str, by_shape: bool = True, by_words: bool = True) -> tuple[str, int]:
        spans = find(text, by_shape, by_words)
        return edited_text(text, spans), len(spans)

    return replace


def finder(privacy: Privacy) -> Callable[[str, bool, bool], list[Span]]:
    """Return the function that finds what identifies people in texts of one language, in order, without overlaps."""
    context = Context(privacy)
    ids = [national_id(name) for name in privacy.ids]
    phones = phone_finder(privacy, context)
    link = _linking(privacy.linking_words)
    names = name_finder(privacy)

    def found(text: str, by_shape: bool, by_words: bool) -> Iterator[Span]:
        """Yield spans, those first that win where some overlap."""
        seen = searchable(text)
        low = lower(seen)
        hits = context.find(low)
        if by_shape:
            yield from _addresses(seen, low, context, hits)
        if by_words:
            yield from (Span(start, stop, NAME) for start, stop in names(text, hits))
        yield from _records(seen, hits, link, ids)
        if by_shape:
            for kind in ids:
                for match in kind.shape.finditer(seen):
                    before = context.before(low, hits, match.start())
                    of_other = before is not None and before.kind in (private_words.OTHER, private_words.PHONE)
                    if of_other and (kind.alone is not None or match[0].isdigit()) and len(match[0]) < _LONG:
                        continue
                    if kind.matches(match[0], before is not None and before.kind == private_words.ID):
                        yield Span(*match.span(), NUMBER)
            yield from (Span(start, stop, PHONE) for start, stop in phones(seen, low, hits))

    def find(text: str, by_shape: bool = True, by_words: bool = True) -> list[Span]:
        spans: list[Span] = []
        text, places = shown(text)
        taken = bytearray(len(text))
        for span in found(text, by_shape, by_words):
            if not any(taken[span.start : span.stop]):
                taken[span.start : span.stop] = b"\1" * (span.stop - span.start)
                spans.append(span)
        if places is not None:
            spans = [Span(places[start], places[stop - 1] + 1, placeholder) for start, stop, placeholder in spans]
        return sorted(spans)

    return find


def _addresses(seen: str, low: str, context: Context, hits: list[Hit]) -> Iterator[Span]:
    for sign, pattern in ((_AT_SIGN, _EMAIL), (_AT_WORD, _DISGUISED)):
        last = 0
        for at in sign.finditer(seen):
            match = pattern.search(seen, max(at.start() - LOCAL_CHARS, last), at.end() + DOMAIN_CHARS)
            if match and match.start() < at.start() < match.end():
                last = match.end()
                yield Span(*match.span(), EMAIL)
    for sign, pattern in ((_DOTS, _IPV4), (_COLONS, _IPV6)):
        for match in pattern.finditer(seen) if sign.search(seen) else ():
            before = context.before(low, hits, match.start())
            kind = before.kind if before else None
            if _is_address(match[0], kind == private_words.ADDRESS) and kind != private_words.OTHER:
                yield Span(*match.span(), IP)


def _is_address(text: str, announced: bool) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    if found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast:
        return False
    # A private address names nobody; those of documentation stand for any.
    example = not found.is_global and any(found in network for network in _EXAMPLES if network.version == found.version)
    return (found.is_global or example) and (announced or len(text) >= _SHORT)


_EXAMPLES = [
    ipaddress.ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def _linking(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of what may stand between a word such as "patient ID" and its number."""
    said = "|".join(sorted(map(re.escape, map(lower, words)), key=len, reverse=True)) or "(?!)"
    sign = r"(?:n ?\.? ?[º°o]\.?|nos?\.|nr\.?|№|#)?"
    return re.compile(
        rf"(?:{_CLOSED})?[ .]{{0,2}}{sign} ?(?:{_ABBREVIATION} ?)?"
        rf"(?:(?:{said})(?![a-zà-ɏа-яё]) ?){{0,2}} ?[:=(]? ?(?:№|#)? ?",
        re.IGNORECASE,
    )


def _records(seen: str, hits: list[Hit], link: re.Pattern[str], ids: list[NationalId]) -> Iterator[Span]:
    for hit in hits:
        if hit.kind not in (private_words.RECORD, private_words.ID):
            continue
        between = link.match(seen, hit.end)
        at = between.end() if between else hit.end
        if hit.kind == private_words.ID:
            match = next(
                (match for kind in ids if (match := kind.shape.match(seen, at)) and kind.matches(match[0], True)), None
            )
            if match:
                yield Span(*match.span(), NUMBER)
                continue
        match = (_GROUPED.match(seen, at) if hit.kind == private_words.ID else None) or _RECORD.match(seen, at)
        if match and sum(map(str.isdigit, match[0])) >= 4:
            yield Span(*match.span(), RECORD)
