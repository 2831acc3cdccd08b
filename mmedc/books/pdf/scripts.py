"""What the characters of a line tell: scripts without spaces, and scripts from right to left."""

import re

RTL = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
CAPTION = re.compile(
    r"^(?:fig(?:ure|ura|\.)?|tab(?:le|la|elle|leau|ella|ela|\.)?|abb(?:ildung|\.)|quadro|рис(?:\.|унок)|табл(?:\.|ица)"
    r"|图|圖|表|図|그림|표|شكل|جدول|चित्र|तालिका)\s?\d",
    re.IGNORECASE,
)
"""How captions of tables and figures begin."""
LETTER = re.compile(r"[^\W\d_]")


def dense(char: str) -> bool:
    """Return whether no space stands before or after a character: Chinese and Japanese, and their punctuation."""
    return "\u2e80" <= char <= "\ua4cf" or "\uf900" <= char <= "\ufaff" or "\uff00" <= char <= "\uffef"


def is_rtl(text: str) -> bool:
    """Return whether a text is mostly written from right to left."""
    marks = len(RTL.findall(text))
    return marks > 0 and marks * 2 > len(LETTER.findall(text))
