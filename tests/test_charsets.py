"""Bytes are read as browsers read them, whatever a server and a page say that they are."""

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mmedc.charset_choice import likeness
from mmedc.charsets import charset, decoded
from mmedc.decoding import decode_page

TEXTS: dict[str, str] = YAML(typ="safe").load((Path(__file__).parent / "charset_texts.yaml").read_text("utf-8"))
CODECS = {
    "utf-8": "utf-8",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "ibm866": "cp866",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "windows-874": "cp874",
    **{f"windows-{page}": f"cp{page}" for page in range(1250, 1259)},
    **{f"iso-8859-{part}": f"iso-8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "euc-jp": "euc-jp",
    "iso-2022-jp": "iso2022-jp",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
}
"""Every charset of the standard, but for `replacement` and `x-user-defined`, and Python's codec that writes it."""
TYPED = str.maketrans({"’": "'", "“": '"', "”": '"', "—": "-", "œ": "oe"})
SHORT, LONG = 500, 4_000  # bytes
WRONG = ("iso-8859-1", "utf-8", "windows-1251", "gbk", "shift_jis", "iso-8859-2")
LOST = [
    # Russian in the letters that Chinese and Japanese charsets have too: its bytes mean ideographs in Big5, which the
    # labels name, and a short text has few different ones anyway.
    *(("ru", "gb18030", SHORT, "big5", "big5"), ("ru", "gb18030", SHORT, "koi8-r", "big5")),
    *(("ru", "euc-jp", SHORT, "big5", "big5"), ("ru", "euc-jp", SHORT, "big5", "euc-kr")),
    # Italian in Big5: its few accented letters are pairs of accented letters in the charset of the Macintosh.
    *(("it", "big5", SHORT, "macintosh", "macintosh"), ("it", "big5", LONG, "ibm866", "macintosh")),
]
"""What cannot be won, with why: language, charset, bytes, the label of the server and that of the page."""


def page(lang: str, name: str, size: int) -> str | None:
    """Return a page of about `size` bytes in the charset `name`; None if the charset lacks letters of the language."""
    text = TEXTS[lang] if name.startswith(("utf", "windows", "gb")) else TEXTS[lang].translate(TYPED)
    codec, used = CODECS[name], ""
    try:
        while len(used.encode(codec)) < size:
            used += text
        while len(used.encode(codec)) > size:
            used = used[: -max((len(used.encode(codec)) - size) // 4, 1)]
    except UnicodeEncodeError:
        return None
    lines = "".join(f"<p>{line}</p>\n" for line in used.split("\n"))
    return f"<html><head><title>1</title></head>\n<body>\n{lines}</body></html>\n" if not used.isascii() else None


def labelled(text: str, name: str | None) -> str:
    return text.replace("<title>", f'<meta charset="{name}"><title>') if name else text


def declarations(name: str) -> list[tuple[str, str | None, str | None]]:
    """Return the ways to declare a charset: what it is, what the server says, and what the page says."""
    others = [label for label in WRONG if charset(label) != name]
    ways = [("right", name, name), ("server", name, None), ("page", None, name), ("nothing", None, None)]
    ways += [(f"server {other}, page right", other, name) for other in others]
    ways += [(f"page {other}, server right", name, other) for other in others]
    ways += [(f"both {other}", other, other) for other in others]
    return ways + [(f"server {one}, page {two}", one, two) for one, two in pairwise(others)]


@pytest.mark.parametrize("lang", TEXTS)
def test_the_matrix_of_charsets_and_declarations(lang: str) -> None:
    lost, number = [], 0
    for name, codec in CODECS.items():
        for size in (SHORT, LONG):
            if (text := page(lang, name, size)) is None:
                continue
            for how, server, within in declarations(name):
                written = labelled(text, within)
                read, _ = decode_page(written.encode(codec), server)
                number += 1
                if read != written:
                    lost.append(f"{lang} {name} {size}: {how}")
    assert number >= 200
    assert lost == []


@pytest.mark.parametrize(("lang", "name", "size", "server", "within"), LOST)
def test_what_cannot_be_won_is_known(lang: str, name: str, size: int, server: str, within: str) -> None:
    text = page(lang, name, size)
    assert text is not None
    assert decode_page(labelled(text, within).encode(CODECS[name]), server)[0] != labelled(text, within)
    assert decode_page(text.encode(CODECS[name]), None)[0] == text  # without a lie it is read


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *(("latin1", "windows-1252"), (" ASCII\n", "windows-1252"), ("iso-8859-9", "windows-1254")),
        *(("tis-620", "windows-874"), ("gb2312", "gb18030"), ("x-sjis", "shift_jis"), ("ks_c_5601-1987", "euc-kr")),
        *(("big5-hkscs", "big5"), ("unicode", "utf-16le"), ("utf8", "utf-8"), ("hz-gb-2312", "replacement")),
        *(("iso-2022-kr", "replacement"), ("nonsense", None), ("", None), (None, None)),
    ],
)
def test_labels_mean_what_browsers_take_them_for(label: str | None, name: str | None) -> None:
    assert charset(label) == name


READ = [
    ("shift_jis", "8740 fa68 ed40 8160 815f", "①丨纊～＼"),
    ("shift_jis", "81 3c fd", "\ufffd<\ufffd"),
    ("euc-jp", "ada1 f9a1 fcf7 a1c1 8fa2b7 8ea7 8fb0a1", "①纊ⅶ～～ｧ丂"),
    ("euc-jp", "a13c ffa4a2", "\ufffd<\ufffdあ"),
    ("iso-2022-jp", "1b2442 2d21 2422 1b2842 61 1b284a 5c7e 1b2849 31 1b2842", "①あa¥‾ｱ"),
    ("euc-kr", "8141 c8fe b0a1", "갂힝가"),
    ("euc-kr", "c83c", "\ufffd<"),
    ("big5", "f9d8 fb48 87a1 a3e1 c8fe 8ecd", "裏嘅𥣞€ɪ者"),
    ("gb18030", "80 a6d9 fe59 8139ef30 a3a0", "€︐龴㐁\u3000"),
    ("windows-1252", "80 81 93", "€\x81“"),
    ("windows-1253", "aa d2", "\ufffd\ufffd"),
    ("koi8-u", "ae be", "ўЎ"),
    ("utf-8", "e28094 ff 61", "—\ufffda"),
    ("x-user-defined", "41 80 ff", "A\uf780\uf7ff"),
]
"""What a browser shows for some bytes where Python's codec of that name shows something else, or nothing."""


@pytest.mark.parametrize(("name", "given", "read"), READ)
def test_bytes_mean_what_browsers_read(name: str, given: str, read: str) -> None:
    assert decoded(bytes.fromhex(given), name) == read


def test_the_tables_of_pairs_are_those_that_were_compared_with_a_browser() -> None:
    """A Python with other codecs fails here; the digest was taken where `decoded` equalled encoding_rs."""
    digest = hashlib.sha256()
    for name in ("gb18030", "big5", "euc-jp", "shift_jis", "euc-kr"):
        for lead in range(0x80, 0x100):
            digest.update("\n".join(decoded(bytes((lead, trail)), name) for trail in range(0x40, 0x100)).encode())
    assert digest.hexdigest() == "948cd6f4dee56c8675494253e7ee26cc1f4e598513df7190c3e1634a46c79ec5"


RU = TEXTS["ru"].split("\n")[0]


@pytest.mark.parametrize(
    ("payload", "label", "read"),
    [
        (
            "Доза — 5 мг. ".encode() * 3 + b"\xe9 " + "Доза — 5 мг.".encode(),
            None,
            "Доза — 5 мг. " * 3 + "\ufffd Доза — 5 мг.",
        ),
        (TEXTS["zh"].encode()[:-2], "gbk", TEXTS["zh"][:-2] + "\ufffd"),  # cut within a character
        (RU.encode("cp1251").replace(b"-", b"\x98"), "windows-1251", RU),
        (TEXTS["ko"].encode("cp949") + b"\xff\xff", "euc-kr", TEXTS["ko"] + "\ufffd\ufffd"),
    ],
    ids=["UTF-8 that is not declared", "UTF-8 that is cut", "windows-1251", "EUC-KR"],
)
def test_a_few_bad_bytes_do_not_make_a_page_one_of_another_charset(
    payload: bytes, label: str | None, read: str
) -> None:
    assert decode_page(payload, label)[0] == read


@pytest.mark.parametrize("label", ["unicode", "utf-16", "utf-16be", "ISO-10646-UCS-2"])
def test_a_page_of_single_bytes_is_not_utf_16_whatever_it_is_called(label: str) -> None:
    for within in (None, label):
        text = labelled(f"<html><head><title>1</title></head><p>{RU}</p></html>", within)
        assert decode_page(text.encode("cp1251"), label)[0] == text
        assert decode_page(text.replace(RU, "Take with food.").encode("ascii"), label)[0] is not None


def test_utf_16_needs_neither_a_mark_nor_a_label() -> None:
    for codec in ("utf-16-le", "utf-16-be"):
        assert decode_page(f"<p>{RU}</p>".encode(codec), None)[0] == f"<p>{RU}</p>"
        assert decode_page(TEXTS["zh"].encode(codec), "utf-16" if codec.endswith("le") else codec)[0] == TEXTS["zh"]


def test_an_xml_declaration_names_a_charset_too() -> None:
    text = '<?xml version="1.0" encoding="koi8-r"?><html><p>да</p></html>'
    assert decode_page(text.encode("koi8-r"), None) == (text, "koi8-r")


@pytest.mark.parametrize("codec", ["hz", "iso2022_kr"])
def test_charsets_that_browsers_refuse_are_rejected_by_name(codec: str) -> None:
    text = "<p>" + (TEXTS["zh"] if codec == "hz" else TEXTS["ko"]) + "</p>"
    read, why = decode_page(text.encode(codec, "ignore"), {"hz": "hz-gb-2312", "iso2022_kr": "iso-2022-kr"}[codec])
    assert read is None and why.startswith("undecodable: ")
    assert decode_page(text.encode(), "hz-gb-2312")[0] == text  # it only says so


def test_signs_alone_do_not_speak_for_another_charset() -> None:
    text = "<p>Don’t stop the “tablets” — ask the patient’s doctor…</p>"
    for label in (None, "iso-8859-1", "utf-8", "windows-1252"):
        assert decode_page(text.encode("cp1252"), label)[0] == text


def test_a_wrong_reading_looks_less_like_text() -> None:
    for lang, other in (
        ("ru", "koi8-r"),
        ("ru", "macintosh"),
        ("fr", "cp1251"),
        ("de", "gb18030"),
        ("es", "mac-roman"),
    ):
        text = TEXTS[lang].translate(TYPED)
        written = text.encode("cp1251" if lang == "ru" else "cp1252")
        assert likeness(text) > 0.5 > likeness(written.decode(other, "replace"))
    assert likeness("plain") == likeness("") == 0
