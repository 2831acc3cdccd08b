"""The licence of a page as an SPDX identifier, with what states it.

The licence of one image, of a comment or of the code does not license the page.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

CREATIVE_COMMONS = re.compile(
    r"creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)(?:/([1-4]\.\d))?(?:/([a-z]{2,3})(?![a-z]))?",
    re.IGNORECASE,
)
WRITTEN = re.compile(r"\bCC[ -]?(BY(?:[ -](?:NC|SA|ND)){0,2}|0|ZERO)(?:[ -]v?([1-4]\.\d))?", re.IGNORECASE)
OPEN_GOVERNMENT = re.compile(r"nationalarchives\.gov\.uk/doc/open-government-licence/(?:version/)?([123])")
KINDS = frozenset(("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd"))
_PORTED = (
    "BY-2.5-AU BY-3.0-AT BY-3.0-AU BY-3.0-DE BY-3.0-IGO BY-3.0-NL BY-3.0-US BY-NC-3.0-DE BY-NC-ND-3.0-DE "
    "BY-NC-ND-3.0-IGO BY-NC-SA-2.0-DE BY-NC-SA-2.0-FR BY-NC-SA-2.0-UK BY-NC-SA-3.0-DE BY-NC-SA-3.0-IGO BY-ND-3.0-DE "
    "BY-SA-2.0-UK BY-SA-2.1-JP BY-SA-3.0-AT BY-SA-3.0-DE BY-SA-3.0-IGO"
)
PORTED = frozenset(_PORTED.split())
"""The licences of single countries that SPDX lists; the others get the identifier of the general licence."""

OF_A_PART = re.compile(
    r"caption|credit|gallery|thumb|image|photo|picture|avatar|video|slide|comment|signature|\bpost-?content|message|quote",
    re.IGNORECASE,
)
"""Names of elements that hold an image, a comment or a quotation with a licence of its own."""

AT_THE_END = re.compile(r"footer|copyright|licen[sc]e|rights|legal|colophon", re.IGNORECASE)
PART_WORDS = re.compile(
    r"\b(?:photo|image|picture|figure|icon|illustration|font|logo|code|software|video|music|audio|abbildung|bild|grafik|"
    r"foto|imagen|imagem|immagin|icon|ilustra|illustra)|фото|изображ|рисун|иллюстр|图片|图像|照片|圖片|画像|写真|イラスト|사진|이미지|صور|चित्र|फोटो",
    re.IGNORECASE,
)
WHOLE_WORDS = re.compile(
    r"\b(?:text|content|article|page|site|website|work|wiki|book|publication|inhalt|seite|werk|artikel|contenu|œuvre|oeuvre|"
    r"contenido|obra|sitio|art[ií]culo|conte[úu]do|contenut|opera|document)|текст|материал|содержан|статья|произведен|内容|文本|文章|"
    r"作品|本文|文書|コンテンツ|サイト|記事|본문|콘텐츠|저작물|문서|نص|محتو|عمل|مقال|सामग्री|लेख|पाठ|कार्य",
    re.IGNORECASE,
)
LICENSED = re.compile(
    r"licen[scçz]|lizen[zs]|лиценз|许可|許可|授权|授權|协议|"
    r"ライセンス|라이선스|허락|رخص|ترخيص|लाइसेंस|लाइसेन्स|creative commons",
    re.IGNORECASE,
)
_BLOCKS = "p div li td section footer article main aside body dd figure figcaption center blockquote"
BLOCKS = frozenset(_BLOCKS.split())
MAX_LEVELS = 8
STATEMENT_CHARS = 600
MAX_LINKS = 30


class Licence(NamedTuple):
    """An SPDX identifier and what states it: `link`, `json-ld`, `meta`, `rel=license` or `sentence`."""

    spdx: str
    stated_by: str


def spdx(value: str) -> str | None:
    """Return the SPDX identifier of a licence that is given by its address or its short name, or None.

    A Creative Commons licence without a version has none.
    """
    value = value[:500]
    if found := CREATIVE_COMMONS.search(value):
        section, kind, version, port = found.groups()
        kind = kind.lower().replace("by-nd-nc", "by-nc-nd")
        if section.lower() == "publicdomain":
            return {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}.get(kind)
        return _creative_commons(kind, version, port or "")
    if found := OPEN_GOVERNMENT.search(value):
        return f"OGL-UK-{found[1]}.0"
    if found := WRITTEN.search(value):
        if found[1].upper() in ("0", "ZERO"):
            return "CC0-1.0"
        return _creative_commons(found[1].lower().replace(" ", "-"), found[2], "")
    return None


def _creative_commons(kind: str, version: str | None, port: str) -> str | None:
    if kind not in KINDS or not version:
        return None
    general = f"{kind.upper()}-{version}"
    ported = f"{general}-{port.upper()}"
    return f"CC-{ported if ported in PORTED else general}"


def choose_licence(
    links: Iterable[str], stated: Iterable[str], metas: Iterable[str], anchors: Iterable[Any]
) -> Licence | None:
    """Return the licence of a page, or None where nothing, or too much, states one.

    `links` are the addresses of `link rel=license`, `stated` the values of JSON-LD, `metas` those of `meta` elements,
    `anchors` the elements `a` that lead to a licence. The surest kind that names a licence decides; if it names two
    different ones, the page has parts with licences of their own, and none is returned.
    """
    by_kind: dict[str, set[str]] = {}
    for kind, values in (("link", links), ("json-ld", stated), ("meta", metas)):
        by_kind[kind] = {found for value in values if (found := spdx(value))}
    for kind, found in _of_anchors(anchors):
        by_kind.setdefault(kind, set()).add(found)
    for kind in ("link", "json-ld", "meta", "rel=license", "sentence"):
        if named := by_kind.get(kind):
            return Licence(named.pop(), kind) if len(named) == 1 else None
    return None


def _of_anchors(anchors: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield (what states it, identifier) for each link that licenses the page."""
    for at, anchor in enumerate(anchors):
        if at >= MAX_LINKS:
            return
        attributes = anchor.attributes
        found = spdx(attributes.get("href") or "")
        if not found:
            continue
        names, statement = _place(anchor)
        if OF_A_PART.search(names):
            continue
        whole = WHOLE_WORDS.search(statement)
        if PART_WORDS.search(statement) and not whole:
            continue
        if "license" in (attributes.get("rel") or "").lower().split():
            yield "rel=license", found
        elif AT_THE_END.search(names) or (whole and LICENSED.search(statement)):
            yield "sentence", found


def _place(anchor: Any) -> tuple[str, str]:
    """Return the names of the elements around a link, inwards from the page's content, and the text of its block."""
    names, statement = [], None
    node = anchor.parent
    for _ in range(MAX_LEVELS):
        if node is None or node.tag in ("body", "main", "article", "html"):
            break
        attributes = node.attributes
        names.append(f"{node.tag} {attributes.get('class') or ''} {attributes.get('id') or ''}")
        if statement is None and node.tag in BLOCKS:
            statement = node.text()[:STATEMENT_CHARS]
        node = node.parent
    text = "figcaption thumb" if any(name.startswith(("figure", "pre ", "code ")) for name in names) else ""
    return " ".join([*names, text]), statement or (anchor.text() or "")[:STATEMENT_CHARS]
