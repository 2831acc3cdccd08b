"""Names of people after a word and a colon, such as "Patient: Anna de la Cruz" or "姓名：王小明".

There is no list of names: the text after the colon must look like a name. In scripts with capitals, that is two to
five capitalised words with particles between them, or a surname, a comma and given names; in East Asian scripts, two
to six characters.
"""

import re
from collections.abc import Callable, Iterator

from mmedc.policy import Privacy
from mmedc.steps.private_words import NAME, Hit

_PARTICLES = (
    "(?:de|del|de la|de las|de los|la|y|e|i|da|das|do|dos|di|della|van|von|der|den|ter|ten|zu|zum|zur|und|bin|ibn|bint"
    r"|al|el|du|des|le|af|av|san|med\.|dent\.|h\.c\.)"
)
_LETTERS = r"[^\s\d.,;:|،؛，；：、。()（）<>]"
# A word begins with a capital, or with a letter of a script without capitals; a full stop ends an initial or a title.
_WORD = rf"[^\W\d_a-zа-яё](?:{_LETTERS}{{0,5}}\.(?=[ \t])|{_LETTERS}{{0,30}})"
_CASED = "(?=[A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĪĮİŁŃŇŌŐŒŘŚŞŠŤŪŮŰŲŹŻŽА-ЯЁ])"
_PART = rf"(?:{_PARTICLES}[ \t]+)*{_WORD}"
_WORDS = rf"{_PART}(?:[ \t]+{_PART}){{1,4}}"
_SURNAME_FIRST = (
    rf"(?:{_PARTICLES}[ \t]+)*{_CASED}{_WORD}(?:[ \t]+{_PART}){{0,4}},[ \t]?{_CASED}{_WORD}(?:[ \t]+{_WORD}){{0,2}}"
)
_AFTER = r"(?=[ \t\u3000]*(?:[,;.|،؛，、；。()（）\-–]|$)|[ \t\u3000]+\S{1,16}[ \t]?[:：])"
_HAN, _KANA, _HANGUL = "\u3005\u3400-\u9fff", "\u3040-\u30ff", "\uac00-\ud7af"
_EAST = (
    rf"(?:[{_HAN}]{{2,4}}(?:·[{_HAN}]{{1,8}}){{0,3}}|[{_HAN}{_KANA}]{{1,6}}[ \u3000][{_HAN}{_KANA}]{{1,6}}"
    rf"|[{_HAN}{_KANA}]{{2,6}}|[{_KANA}・]{{2,12}}|[{_HANGUL}]{{2,5}}|[{_HANGUL}]{{1,2}} [{_HANGUL}]{{1,3}})"
)
_EAST_AFTER = r"(?=[ \t\u3000]*(?:[,;|，、；。()（）]|$)|[ \t\u3000]+(?:[男女남여]|\d|\S{1,8}[:：]))"
_SEX = r"[男女남여](?:$|[ ,，、。;；])"
_LINE_START = re.compile(rf"(?:^|[|;；。，,、\t]|[ \u3000]{{2}}|[\u3000 ](?=[{_KANA}{_HAN}{_HANGUL}]))[ \t\u3000*•-]*$")
_BEFORE = 40  # characters before a word within which its line, or a part of the line, must begin


def name_finder(privacy: Privacy) -> Callable[[str, list[Hit]], Iterator[tuple[int, int]]]:
    """Return the function from a text and the words found in it to the spans of the names of people."""
    not_names = "|".join(map(re.escape, privacy.not_names)) or "(?!)"
    no_name = rf"(?!(?i:{not_names})(?![A-Za-zÀ-ɏА-яё{_HANGUL}.])|{_SEX})"
    pattern = re.compile(
        rf"[ \t\u3000]?[:：][ \t\u3000]?({no_name}(?:{_EAST}{_EAST_AFTER}|(?:{_SURNAME_FIRST}|{_WORDS}){_AFTER}))",
        re.MULTILINE,
    )

    def find(text: str, hits: list[Hit]) -> Iterator[tuple[int, int]]:
        for hit in hits:
            if hit.kind == NAME:
                line = text.rfind("\n", max(hit.start - _BEFORE, 0), hit.start) + 1
                before = text[max(line, hit.start - _BEFORE) : hit.start]
                match = pattern.match(text, hit.end) if _LINE_START.search(before) else None
                if match:
                    yield match.span(1)

    return find
