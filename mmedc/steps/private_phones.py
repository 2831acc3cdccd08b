"""Telephone numbers: runs of digits that are valid in a region, unless words, units or grouping say otherwise.

`phonenumbers` takes any digits that a region may give out. So a run without separators counts only after a word such
as "tel.", with a plus, or in the shape of the mobile and trunk numbers of the regions; none counts before a unit, nor
after a word such as ISBN.
"""

import re
from collections.abc import Callable, Iterator

from mmedc.policy import Privacy
from mmedc.steps.private_words import ID, OTHER, PHONE, RECORD, Context, Hit

AROUND = 8  # characters that the matcher sees before and after a run of digits
NEAR = 12  # characters between a word such as "phone" and a number that needs no other proof
_RUN = re.compile(r"[+(]{0,2}\d(?:(?:[ ./-]{0,3}|[ ./-]?\((?=\d{1,4}\))|\)[ ./-]{0,2})\d){6,16}")
_IN_URL = frozenset("/=&?#%_-")
# Grouped thousands, decimal numbers, ranges and dates: telephone numbers are not written like that.
_FIGURE = re.compile(
    r"(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})|\d{1,3}(?:[ .]\d{3})+|\d+\.\d+|\d{3,4} ?- ?\d{3,4}"
    r"|(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}.*"
)
_YEARS = re.compile(r"(?:1[89]|20)\d\d ?[-/] ?(?:1[89]|20)\d\d")
# "2020;10:" or "2020; 10(3): " of a citation; pages follow.
_VOLUME = re.compile(r"(?<!\d)(?:1[89]|20)\d\d[^;,:()\n]{0,12}[;,] ?\d{1,4} ?(?:\([^()\n]{1,16}\) ?)?: ?$")
_VOLUME_CHARS = 48  # more than the characters of the longest match
_PAGES = re.compile(r"\d+(?: ?- ?\d+)?")
_RANGE = re.compile(r"(\d{5,6}) ?- ?(\d{5,6})")
_LENGTH = 100  # an article has fewer; the halves of a telephone number seldom differ by less
# Labels before a number: a word with a colon or a sign, a word for "number", or an opening bracket.
_LABELLED = re.compile(
    r"[^\W\d_][.)]? ?[:=#№] ?$|(?:n ?\.? ?[º°o]|n\.|nos?\.?|nr\.?|№|#|nummer|number|numéro|número|numero|номер|код|code"
    r"|codigo|código|codice|番号|編號|编号|番號|号|번호|संख्या|क्रमांक|नंबर|رقم|كود)[.:]? ?[:(]? ?$|[(,] ?$"
)
_WORD_BEFORE = re.compile(
    r"(?<![^\W\d_])[A-Za-zÀ-ɏА-яё]+ $"
)  # of scripts with capitals: of a name the last begins with one
_MONEY = "$€£¥₽₹₩¢"
# Numbers without separators that count although no word announces them: mobile numbers, and those with a trunk zero.
_BARE = {
    "AE": r"05\d{8}", "AT": r"0[1-9]\d{7,10}", "AU": r"0[2-478]\d{8}", "BE": r"0\d{8,9}", "BR": r"[1-9]\d9\d{8}",
    "CH": r"0[2-9]\d{8}", "CN": r"1[3-9]\d{9}|0\d{10,11}", "DE": r"0[1-9]\d{7,10}", "DZ": r"0[5-7]\d{8}",
    "EG": r"01[0125]\d{8}", "ES": r"[67]\d{8}", "FR": r"0[1-9]\d{8}", "GB": r"0[127]\d{9}", "HK": r"(?!)",
    "IN": r"[6-9]\d{9}|0[6-9]\d{9}", "IT": r"3\d{9}", "JP": r"0[1-9]\d{8,9}", "KR": r"01[016-9]\d{7,8}",
    "MA": r"0[5-7]\d{8}", "PT": r"9[1236]\d{7}", "RU": r"[78]9\d{9}", "SA": r"05\d{8}", "TW": r"09\d{8}",
}  # fmt: skip

Finder = Callable[[str, str, list[Hit]], Iterator[tuple[int, int]]]
"""A function from a searchable text, the same in lower case, and the words found in it to the spans of numbers."""


def phone_finder(privacy: Privacy, context: Context) -> Finder:
    """Return the function that finds the telephone numbers of a language's regions."""
    regions = privacy.regions
    bare = re.compile("|".join(["00[1-9][0-9]{8,13}", *(_BARE[region] for region in regions if region in _BARE)]))

    def find(seen: str, low: str, hits: list[Hit]) -> Iterator[tuple[int, int]]:
        at = 0
        while regions and (run := _RUN.search(seen, at)):
            start, stop = run.span()
            at = stop
            before = context.before(low, hits, start, run[0].isdigit())
            kind = before.kind if before else None
            near = before is not None and kind == PHONE and start - before.end <= NEAR
            if not near and _is_other(seen, low, run, context, kind == PHONE):
                continue
            plain = run[0].isdigit()
            if kind == OTHER and not (run[0][0] == "+" and before and start - before.end > 3):
                continue
            if kind in (ID, RECORD) and plain:
                continue
            if plain and kind != PHONE and (not bare.fullmatch(run[0]) or _is_labelled(seen, low, start)):
                continue
            found = [place for place in _valid(seen, start, stop, regions) if place[1] > start]
            if not found and near and _may_be(run[0]):
                found = [(start, stop)]
            for place in found:
                yield place
                at = place[1]  # the run may hold another

    return find


def _is_labelled(seen: str, low: str, start: int) -> bool:
    """Return whether the text before `start` labels the number as something else, or makes it a count of something."""
    line = seen.rfind("\n", 0, start) + 1
    word = _WORD_BEFORE.search(seen, max(start - 24, line), start)
    if word and (word[0][0].islower() or word.start() == line):
        return True
    return _LABELLED.search(low, max(start - 24, line), start) is not None


def _may_be(text: str) -> bool:
    """Return whether digits after a word such as "phone" may be a telephone number although no region assigns it."""
    digits = sum(map(str.isdigit, text))
    return 8 <= digits <= 15 and text.count("(") == text.count(")") and not (_FIGURE.fullmatch(text) or "/" in text)


def _is_other(seen: str, low: str, run: re.Match[str], context: Context, announced: bool) -> bool:
    """Return whether the characters next to a run of digits, or its grouping, rule out a telephone number."""
    start, stop = run.span()
    before, after = seen[start - 1 : start], seen[stop : stop + 1]
    if _PAGES.fullmatch(run[0]) and _VOLUME.search(seen, max(start - _VOLUME_CHARS, 0), start):
        return True
    if before and (before in _IN_URL or before in _MONEY or before == "." or (before.isascii() and before.isalnum())):
        return True
    if after and (after in "%‰_=" or after in _MONEY or (after.isascii() and after.isalnum())):
        return True
    if context.unit.match(low, stop) or (seen[max(start - 2, 0) : start].strip() in _MONEY and before.strip() != ""):
        return True
    figure = _FIGURE.fullmatch(run[0].strip("()")) or _is_page_range(run[0])
    return bool((figure and not announced) or _YEARS.search(run[0]))


def _is_page_range(text: str) -> bool:
    """Return whether a text is two numbers of pages that one article may have, such as 12345-12350."""
    ends = _RANGE.fullmatch(text)
    return ends is not None and 0 < int(ends[2]) - int(ends[1]) < _LENGTH


def _valid(seen: str, start: int, stop: int, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    import phonenumbers

    low, high = max(start - AROUND, 0), stop + AROUND
    window = seen[low:high]
    # The matcher takes letters of other scripts for a word that continues into the number.
    window = "".join(char if char.isascii() else "、" for char in window)
    for region in regions:
        found = list(phonenumbers.PhoneNumberMatcher(window, region, phonenumbers.Leniency.VALID))
        if found:
            yield from ((low + match.start, low + match.end) for match in found)
            return
