"""The charsets of the web as browsers read them (WHATWG Encoding): what a label means, and what bytes mean in it.

Python has a codec for each of them, but with other tables in places. `decoded` gives what a browser shows: a label
means the larger charset that pages of this label are in (`shift_jis` is cp932, `euc-kr` cp949, `iso-8859-1`
windows-1252), Big5 has the rows of HKSCS and ETEN, EUC-JP and ISO-2022-JP those of NEC and IBM. It was compared with
the decoder of Firefox (encoding_rs) over all sequences of one, two and three bytes. Two signs of Big5 differ (A241 and
A242, which `mmedc.folding` folds to the same).
"""

import codecs
import re
from collections.abc import Container

import webencodings

REPLACEMENT = "replacement"
"""The name for all charsets that browsers refuse to read."""
_CODECS = {
    **{f"windows-{page}": f"cp{page}" for page in range(1250, 1259)},
    **{"windows-874": "cp874", "ibm866": "cp866", "macintosh": "mac_roman", "x-mac-cyrillic": "mac_cyrillic"},
    **{"big5": "big5hkscs", "shift_jis": "cp932", "euc-kr": "cp949", "iso-8859-8-i": "iso-8859-8"},
    **{"utf-16le": "utf-16-le", "utf-16be": "utf-16-be"},
}
"""The codecs of Python for the names of charsets, where these differ."""
_CHANGED = {
    "gb18030": dict(zip(
        "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
        "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
        "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f"
        "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
        strict=True,
    )),
    "big5": dict(zip("•､‾∼♁☉¥¢£", "‧﹑¯～⊕⊙￥￠￡", strict=True)),
    "euc-jp": dict(zip("〜‖−¢£¬", "～∥－￠￡￢", strict=True)),
    "shift_jis": dict.fromkeys("\uf8f0\uf8f1\uf8f2\uf8f3", "\ufffd"),
    "koi8-u": {"╝": "ў", "╬": "Ў"},
}  # fmt: skip
"""Characters of Python's codecs, and what browsers read in their place."""
_TABLES = {name: str.maketrans(pairs) for name, pairs in _CHANGED.items()}
_CHANGES = {name: re.compile(f"[{''.join(pairs)}]") for name, pairs in _CHANGED.items()}

_HKSCS = """
87a1𥣞㫵竼龗𤅡𨤍𣇪𠪊𣉞䌊蒄龖鐯䤰蘓墖靊鈘秐稲晠権袝瑌篅枂稬剏遆㓦珄𥶹瓆鿇垳䤯呌䄱𣚎堘穲𧭥讏䚮𦺈䆁
87cf𥶙箮𢒼鿈𢓁𢓉𢓌鿉蔄𣖻䂴鿊䓡𪷿拁灮鿋
877a㡵𡵓𣚞𦀡㻬 8e69箸 8e6f簆 8e7e糎 8eab緒 8eb4縝 8ecd者 8ed0耨 8f57菁 8f69蒨 8f6e萏 8fcb覦覩 8ffe起 906d都 907a銹
90dc靜 90f1響 91bf鼖 9244蔃 92af兙兛兝兞 92c8鍮 92d1瑹 9447浧 94ca禛 95d9邗 9644靝 96ed瀞 96fc嬨 9b76爁 9b78矗
9b7b纇 9bc6駖 9bde釔 9bec惞 9bf6澶 9c42輶 9c53侻 9c62營 9c68鄄 9c6b鷰 9c77菏 9cbc尐秣 9cd0婧 9d57輋 9d5a筑
9dc4拐 9ea9恢 9eef痹 9efd汊 9f60鬮 9f66鼗 9fcb僭 9fd8弌 a063蠏 a077拎 a0d5瑨 a0df煢 a0e4牐 c6cf廴 c6d3无 c6d5癶
c6d7隶 c6de〃仝 fa5f倩 fa66偽 fabd包 fac5卄 fad5卿 fb48嘅 fbb8婷 fbf3幵 fbf9廐 fc4f彘 fc6c悤 fcb9撐 fce2晴
fcf1杞 fdb7沜渝 fdbb港 fdf1煮 fe52猪 fe6f瑜 feaa瓩 fedd砉
"""
"""Characters of Big5 that Python's codec lacks: HKSCS of 2008, and twins of others; a run begins with its code."""
_BIG5 = {
    (int(code, 16) + step).to_bytes(2, "big"): char
    for code, run in re.findall("([0-9a-f]{4})(\\S+)", _HKSCS)
    for step, char in enumerate(run)
}
_BIG5 |= {bytes((0xA3, 0xC0 + step)): chr(0x2400 + step) for step in range(32)}  # pictures of the controls
_BIG5 |= {b"\xa3\xe0": "\u2421", b"\xa3\xe1": "€"}

_LEADS: dict[str, Container[int]] = {name: range(0x81, 0xFF) for name in ("cp949", "big5hkscs", "gb18030", "cp932")}
_LEADS["euc_jp"] = (0x8E, 0x8F, *range(0xA1, 0xFF))
"""The bytes with which a pair may begin."""
_SHIFT = re.compile(rb"\x1b(\([BJI]|\$[@B])")
_HIGH = bytes(byte | 0x80 if 0x20 < byte < 0x7F else byte for byte in range(256))


def charset(label: str | None) -> str | None:
    """Return the name of the charset that a label means to browsers (WHATWG Encoding, 4.2); None if it means none."""
    known = webencodings.lookup(label) if label else None
    name = str(known.name) if known else None
    return "gb18030" if name == "gbk" else name  # the larger of the two, which browsers read alike


def decoded(data: bytes, name: str) -> str:
    """Return what bytes mean in a charset, named as `charset` does; U+FFFD stands for bytes that mean nothing."""
    if name == "iso-2022-jp":
        return _of_iso_2022_jp(data)
    if name == "x-user-defined":
        return data.decode("latin-1").translate({byte: 0xF700 + byte for byte in range(0x80, 0x100)})
    if name == "euc-jp":
        data = data.replace(b"\x8f\xa2\xb7", b"\xa1\xc1")  # both are a full-width tilde
    text = data.decode(_CODECS.get(name, name), "replace" if name.startswith("utf-") else "mmedc-browser")
    if name in _CHANGES and _CHANGES[name].search(text):
        return text.translate(_TABLES[name])
    return text


def _of_iso_2022_jp(data: bytes) -> str:
    """Return the characters of ISO-2022-JP, in which escapes switch between four charsets."""
    first, *parts = _SHIFT.split(data)
    out = [first.decode("ascii", "replace")]
    for escape, part in zip(parts[::2], parts[1::2], strict=True):
        if escape[:1] == b"$":
            out.append(decoded(part.translate(_HIGH), "euc-jp"))
        elif escape == b"(I":
            out.append(part.translate(_HIGH).decode("cp932", "replace"))
        else:
            text = part.decode("ascii", "replace")
            out.append(text.replace("\\", "¥").replace("~", "‾") if escape == b"(J" else text)
    return "".join(out)


def _as_browsers(problem: UnicodeError) -> tuple[str, int]:
    """Return what browsers read where a codec of Python reads nothing, and where reading goes on."""
    if not isinstance(problem, UnicodeDecodeError):
        raise problem
    at, codec = problem.start, problem.encoding
    lead, pair = problem.object[at], problem.object[at : at + 2]
    if codec == "charmap":  # what the windows charsets leave undefined in 80-9F are controls
        return chr(lead) if lead < 0xA0 else "\ufffd", at + 1
    if codec == "gb18030" and lead == 0x80:
        return "€", at + 1
    if codec == "big5hkscs" and pair in _BIG5:
        return _BIG5[pair], at + 2
    if codec == "euc_jp" and (read := _row_of_windows(pair)):
        return read, at + 2
    # Of a pair that means nothing, an ASCII byte is read on its own, so that no tag is lost.
    paired = len(pair) == 2 and pair[1] >= 0x80 and lead in _LEADS.get(codec, ())
    return "\ufffd", at + 1 + paired


def _row_of_windows(pair: bytes) -> str:
    """Return the character of a pair of EUC-JP that only the Japanese charset of Windows has; "" without one."""
    if len(pair) < 2 or not all(0xA1 <= byte <= 0xFE for byte in pair):
        return ""
    row, cell = pair[0] - 0xA1, pair[1] - 0xA1
    lead, trail = row // 2 + (0x81 if row < 62 else 0xC1), cell + (0x9F if row % 2 else 0x40 if cell < 63 else 0x41)
    read = bytes((lead, trail)).decode("cp932", "replace")
    return read if len(read) == 1 and read != "\ufffd" else ""


codecs.register_error("mmedc-browser", _as_browsers)
