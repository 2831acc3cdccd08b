"""The licence of a page as an SPDX identifier, with what states it.

The licence of one image, of a comment or of the code does not license the page.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mmedc.licences import spdx

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
