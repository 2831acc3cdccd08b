"""The characters of bytes in a charset that nobody states reliably; see `mmedc.charset_choice` for the choice."""

import codecs
import re

from mmedc.charset_choice import SAMPLE_BYTES, best
from mmedc.charsets import REPLACEMENT, charset, decoded

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
META = re.compile(
    rb"<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,200}?encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.()-]{2,40})", re.IGNORECASE
)
META_BYTES = 4096  # HTML demands the first 1,024 (WHATWG HTML 13.2.3.2), but many pages declare it later
JIS = re.compile(rb"\x1b\$[@B]|\x1b\([IJ]")  # what switches charsets in ISO-2022-JP, which has only ASCII bytes
HZ = b"hz-gb"  # a label of HZ, whose switches are too frequent elsewhere to be looked for in every page
REFUSED = re.compile(rb"~\{|\x1b\$\)|\x1b\$A")  # the same in HZ and in the ISO-2022 of Korea and China
BROKEN = re.compile("[\ufffd\x01-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f]")  # controls are no text either
MAX_BROKEN = 0.02  # share of the characters that may be broken
MAX_NUL = 0.1  # share of NUL bytes above which a page is not a text


def decode_page(payload: bytes, label: str | None) -> tuple[str | None, str]:
    """Return (the characters of a page, its charset), or (None, the reason for the failure).

    `label` is the charset that the server declares; that of the page itself is looked up here.
    """
    for bom, name in BOMS:
        if payload.startswith(bom):
            return payload[len(bom) :].decode(name, "replace").replace("\0", ""), name
    nul = payload.count(b"\0")
    meta = META.search(payload[:META_BYTES])
    within = charset(meta.group(1).decode("ascii")) if meta else None
    if within and within.startswith("utf-16"):
        within = "utf-8"  # what could be read as ASCII is not UTF-16 (WHATWG HTML, 13.2.3.2)
    labels = [name for name in (charset(label), within) if name]
    found = _charset_of(payload, labels, nul)
    if found is None:
        return None, f"binary: {nul:,} NUL bytes in {len(payload):,}"
    if found == REPLACEMENT:
        return None, "undecodable: it is in a charset that browsers refuse to read"
    text = decoded(payload, found).replace("\0", "")
    broken = text.count("\ufffd") if found == "utf-8" else len(BROKEN.findall(text))
    if broken > max(2, len(text) * MAX_BROKEN):
        return None, f"undecodable: {broken:,} broken characters in {len(text):,} as {found}"
    return text, found


def _charset_of(payload: bytes, labels: list[str], nul: int) -> str | None:
    """Return the charset of a payload without a byte-order mark; None if it is not a text."""
    if nul > len(payload) * MAX_NUL:
        half = payload[:4096]
        name = "utf-16le" if half[1::2].count(0) > half[::2].count(0) else "utf-16be"
        text = decoded(payload[: SAMPLE_BYTES & ~1], name)
        return name if text.count("\0") + text.count("\ufffd") <= len(text) * MAX_NUL else None
    if payload.isascii():
        if REPLACEMENT in labels and REFUSED.search(payload):
            return REPLACEMENT
        return "iso-2022-jp" if JIS.search(payload) else "utf-8"
    text = payload.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    sound = len(text) - len(text.encode("ascii", "ignore")) - broken  # characters beyond ASCII
    if sound >= broken:
        return "utf-8"
    others = ["utf-16le", "utf-16be"] if nul else []
    others += ["iso-2022-jp"] if JIS.search(payload) else []
    return best(payload, [name for name in labels if name not in ("utf-8", REPLACEMENT, "x-user-defined")], others)
