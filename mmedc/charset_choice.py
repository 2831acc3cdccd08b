"""The choice between charsets for the bytes of a page: what its labels say against what the bytes look like.

Servers send one label for all of their pages, and pages are copied with the labels of others, so a label is a hint.
Each candidate is read, and the reading that looks most like text wins: letters that are frequent in their script,
capitals at the beginning of words, one script within a word. Candidates are the labels and what chardetng, the
detector of Firefox, finds; if none of them reads well, others are tried too.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mmedc.charsets import charset, decoded

SAMPLE_BYTES = 16 << 10
HINT = 0.1  # what a label, or the detector, is worth in the unit of `likeness`
HAN, ALPHABET = 300, 70  # among so many ideographs of a text are more different ones than an alphabet has letters
KANA_SHARE = 0.1  # of the characters beyond ASCII, from which on a text counts as Japanese
POOR = 0.5  # likeness below which other charsets are tried; right readings have more
POOR_BYTES = 4 << 10  # of the sample that are read for it
_TRIED = (
    *("gb18030", "big5", "shift_jis", "euc-jp", "euc-kr", "windows-1256", "iso-8859-6", "macintosh"),
    *("windows-1251", "koi8-r", "ibm866", "iso-8859-5", "x-mac-cyrillic"),
)
"""Charsets that are tried although nothing speaks for them. chardetng finds those of Latin, but for `macintosh`."""
_TAG = re.compile(rb"<[^<>]{0,2000}>")

# Characters that make up most of a text in its script, in small letters: about half of Chinese and Korean text, and
# two thirds of the letters of an alphabet.
_FREQUENT = (
    "оеаинтсрвл" "ايلمنوترب" "αοιετνσρηκπ"
    "éèàáíóúãçêñüöäßùìòõâîô"
    "का े्रीिहनसतमै" "אהויתלמר"
    "のにはをたがでてとしれさるいなからまくこっすもりうだ、。ンーイスルトアリ"
    "이다는에의을를가고하기지사로한자도어은인나시정해대일서부그있리수과아전제보과장여주상유구"
    "的一是不了在人有我他这中大来上个国和也子时道说出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都"
    "這來個國時說於後對著過發裏當學為從們沒還實點與間進種長無開問動經體應關現電業員車見話書東門馬病疾治療患"
)  # fmt: skip
_QUOTES = "«»„“”‘’‚–—…•\xa0、。，：；？！（）「」『』《》，؛؟"
_SIGNS = "°·€©®™№§¿¡ºª\xad±×²³µ　【】・％～〜"
_OTHER, _ASCII_SMALL, _ASCII_CAPITAL, _LATIN_SMALL, _LATIN_CAPITAL = 0, 1, 2, 3, 4
_SMALL, _CAPITAL, _LETTER, _CJK, _SIGN, _ODD, _BAD = 5, 6, 7, 8, 9, 10, 11  # letters of other scripts first


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the class and the worth of each code point below U+10000, and the worth of each pair of classes."""
    classes = np.full(1 << 16, _ODD, np.uint8)
    worth = np.full(1 << 16, -1, np.float32)
    for point in range(1 << 16):
        char = chr(point)
        kind = unicodedata.category(char)
        if point < 128:
            classes[point] = _ASCII_SMALL if char.islower() else _ASCII_CAPITAL if char.isupper() else _OTHER
        elif kind in ("Cc", "Co", "Cn", "Cs") or char == "\ufffd":
            classes[point], worth[point] = _BAD, -3
        elif point >= 0x2E80 and kind[0] in "LM":
            classes[point], worth[point] = _CJK, -0.3
        elif kind[0] in "LM":
            latin, small, capital = point < 0x250 and kind != "Lo", char.islower(), char.isupper()
            pair = (_LATIN_SMALL, _LATIN_CAPITAL) if latin else (_SMALL, _CAPITAL)
            classes[point] = pair[0] if small else pair[1] if capital else _LETTER
            worth[point] = -0.5 if latin else 0.2 if point < 0x700 else 0
    for codec, low, high in (
        ("gb2312", 0xB0, 0xD7),
        ("big5", 0xA4, 0xC6),
        ("euc_jp", 0xB0, 0xCF),
        ("euc_kr", 0xB0, 0xC8),
    ):
        worth[_half(codec, low, high)] = 0.4
    worth[0x3041:0x30FF] = 0.4
    worth[0xFF61:0xFFA0] = -0.3  # half-width Kana, which wrong readings are full of
    for char in _FREQUENT:
        if ord(char) >= 128:
            worth[ord(char)] = 1
            worth[ord(char.upper()[0])] = 0.5 if char.upper() != char else 1
    for signs, value in ((_QUOTES, 0.5), (_SIGNS, 0.1)):
        for char in signs:
            classes[ord(char)], worth[ord(char)] = _SIGN, value
    pairs = np.zeros((12, 12), np.float32)
    pairs[np.ix_([_ASCII_SMALL, _LATIN_SMALL, _SMALL], [_LATIN_CAPITAL, _CAPITAL])] = -1.5
    pairs[_LATIN_SMALL, _ASCII_CAPITAL] = -1
    for here in (_ASCII_SMALL, _ASCII_CAPITAL, _LATIN_SMALL, _LATIN_CAPITAL):  # two scripts within a word
        for there in (_SMALL, _CAPITAL, _LETTER):
            pairs[here, there] = pairs[there, here] = -1.5
    pairs[np.ix_([_LATIN_SMALL, _LATIN_CAPITAL], [_LATIN_SMALL, _LATIN_CAPITAL])] -= 0.7  # accents rarely meet
    letters = [_ASCII_SMALL, _LATIN_SMALL, _SMALL, _LETTER]
    pairs[np.ix_(letters, [_ODD])] = pairs[np.ix_([_ODD], letters)] = -0.5
    return classes, worth, pairs


def _half(codec: str, low: int, high: int) -> list[int]:
    """Return the code points of the more frequent half of a charset of East Asia, in pairs of bytes from `low` on."""
    pairs = (bytes((lead, trail)) for lead in range(low, high + 1) for trail in range(0x40, 0xFF))
    return [ord(char) for pair in pairs if len(char := pair.decode(codec, "ignore")) == 1 and char >= "\u2e80"]


@functools.cache
def _not_japanese() -> npt.NDArray[np.bool_]:
    """Return which code points below U+10000 are ideographs that Japanese rarely uses."""
    rare = np.zeros(1 << 16, bool)
    rare[0x3400:0xA000] = True
    rare[_half("euc_jp", 0xB0, 0xCF)] = False
    return rare


def likeness(text: str) -> float:
    """Return how much the characters beyond ASCII look like text, in the mean: 1 at best, below 0 for a wrong reading.

    A text without such characters has 0.
    """
    classes, worth, pairs = _tables()
    points = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    points = np.where(points < 1 << 16, points, 0x3400)  # characters beyond are rare ideographs
    kinds = classes[points]
    beyond = points[points >= 128]
    if not len(beyond):
        return 0.0
    value = worth[beyond].sum() + pairs[kinds[:-1], kinds[1:]].sum()
    han = beyond[(beyond >= 0x3400) & (beyond < 0xA000)]
    if len(han) >= HAN and len(np.unique(han)) < ALPHABET:  # the letters that charsets of East Asia have too
        value -= len(han)
    kana = (beyond >= 0x3041) & (beyond < 0x30FF)
    if kana.sum() > KANA_SHARE * len(beyond):  # Kana have the same bytes in EUC-JP, GBK and EUC-KR
        value -= _not_japanese()[beyond].sum()
    return float(value) / len(beyond)


def sample_of(data: bytes) -> bytes:
    """Return the lines of a page that have bytes beyond ASCII, without tags, at most `SAMPLE_BYTES`."""
    lines = b"\n".join(line for line in data.split(b"\n") if not line.isascii())
    sample = _TAG.sub(b" ", lines[: 16 * SAMPLE_BYTES])
    if len(sample) > SAMPLE_BYTES:  # the same by words, for pages of few lines
        sample = b" ".join(part for part in sample.split(b" ") if not part.isascii())[:SAMPLE_BYTES]
    return sample


def best(data: bytes, labels: Sequence[str], others: Sequence[str] = ()) -> str:
    """Return the charset of bytes that are not UTF-8: the one in which they read best.

    `labels` are the names of charsets that were declared, `others` those that something else speaks for.
    """
    from chardetng_py.detector import EncodingDetector

    sample = sample_of(data)
    detector = EncodingDetector()
    detector.feed(sample, last=True)
    guess = charset(detector.guess(tld=None, allow_utf8=False)) or "windows-1252"
    hints = Counter([*set(labels), guess])
    if "windows-1251" in hints:  # which has most small letters where that of the Macintosh has them
        hints["x-mac-cyrillic"] = hints["windows-1251"]
    scores = _scores(data, sample, (*hints, *others))
    chosen = max(scores, key=lambda name: scores[name] + HINT * hints[name])
    if scores[chosen] < POOR:
        tried = _scores(data, sample[:POOR_BYTES], _TRIED)
        other = max(tried, key=lambda name: tried[name])
        if tried[other] > max(POOR, scores[chosen] + HINT * (1 + hints[chosen])):
            return other
    return chosen


def _scores(data: bytes, sample: bytes, names: Iterable[str]) -> dict[str, float]:
    """Return the likeness of what each charset reads, in the order of `names`."""
    likenesses: dict[str, float] = {}  # by text: many charsets read the same
    scores = {}
    for name in dict.fromkeys(names):
        whole = name.startswith(("utf-16", "iso-2022"))  # these are not ASCII between the lines
        text = decoded(data[:SAMPLE_BYTES] if whole else sample, name)
        if text not in likenesses:
            likenesses[text] = likeness(text)
        scores[name] = likenesses[text]
    return scores
