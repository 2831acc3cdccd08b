"""Books and articles for tests, made from a few values: EPUB, JATS, DOCX, dumps of MediaWiki."""

import html
import io
import zipfile
from collections.abc import Mapping

CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
XHTML = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" ' + (
    'xmlns:epub="http://www.idpf.org/2007/ops"{lang}><head><title>{title}</title></head>{body}</html>'
)


def zipped(members: Mapping[str, str | bytes], stored: tuple[str, ...] = ("mimetype",)) -> bytes:
    """Return a ZIP archive; its dates are fixed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


def page(body: str, title: str = "", lang: str = "") -> str:
    """Return a page in XHTML; `body` may be a whole `body` element."""
    body = body if body.startswith("<body") else f"<body>{body}</body>"
    return XHTML.format(title=title, body=body, lang=f' xml:lang="{lang}"' if lang else "")


def epub_members(
    chapters: Mapping[str, str], metadata: str = "", nav: str = "", ncx: str = "", guide: str = "", spine: str = ""
) -> dict[str, str | bytes]:
    """Return the members of an EPUB whose spine is `chapters` (file name → page) in their order."""
    items = "".join(
        f'<item id="c{number}" href="{name}" media-type="application/xhtml+xml"/>'
        for number, name in enumerate(chapters)
    )
    refs = spine or "".join(f'<itemref idref="c{number}"/>' for number in range(len(chapters)))
    if nav:
        items += '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    if ncx:
        items += '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
    opf = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">{metadata}</metadata>'
        f"<manifest>{items}</manifest><spine>{refs}</spine>{guide}</package>"
    )
    members: dict[str, str | bytes] = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER}
    members["OEBPS/book.opf"] = opf
    if nav:
        members["OEBPS/nav.xhtml"] = page(f'<nav epub:type="toc"><ol>{nav}</ol></nav>')
    if ncx:
        members["OEBPS/toc.ncx"] = f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{ncx}</navMap></ncx>'
    return members | {f"OEBPS/{name}": text for name, text in chapters.items()}


def epub(chapters: Mapping[str, str], **parts: str) -> bytes:
    """Return an EPUB; see `epub_members`."""
    return zipped(epub_members(chapters, **parts))


def jats(
    body: str, meta: str = "", back: str = "", after: str = "", lang: str = "en", kind: str = "research-article"
) -> bytes:
    """Return a JATS article."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS v1.1//EN" "JATS.dtd">'
        '<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML" '
        f'xmlns:ali="http://www.niso.org/schemas/ali/1.0/" article-type="{kind}" xml:lang="{lang}"><front><article-meta>'
        f"{meta}</article-meta></front><body>{body}</body><back>{back}</back>{after}</article>"
    ).encode()


def wiki_page(title: str, text: str, space: int = 0, more: str = "") -> bytes:
    """Return a page of a dump of MediaWiki."""
    return (
        f"  <page><title>{title}</title><ns>{space}</ns><id>1</id>{more}<revision><timestamp>2026-01-01T00:00:00Z</timestamp>"
        f"<model>wikitext</model><text>{html.escape(text, quote=False)}</text></revision></page>\n"
    ).encode()


def wiki_dump(*pages: bytes) -> bytes:
    """Return a dump of MediaWiki."""
    head = (
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en"><siteinfo>'
        "<base>https://en.wiki.example/wiki/Main_Page</base></siteinfo>\n"
    )
    return head.encode() + b"".join(pages) + b"</mediawiki>\n"


WORD = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
)


def word_run(text: str, properties: str = "") -> str:
    """Return a run of a DOCX."""
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def word_paragraph(runs: str, style: str = "") -> str:
    """Return a paragraph of a DOCX."""
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>{runs}</w:p>'


def docx(body: str, **parts: str) -> bytes:
    """Return a DOCX; `parts` are further members: `styles`, `footnotes`, `core`, each without its root."""
    members: dict[str, str | bytes] = {"[Content_Types].xml": "<Types/>"}
    members["word/document.xml"] = f"<w:document {WORD}><w:body>{body}</w:body></w:document>"
    for name in ("styles", "footnotes"):
        if name in parts:
            members[f"word/{name}.xml"] = f"<w:{name} {WORD}>{parts[name]}</w:{name}>"
    if "core" in parts:
        members["docProps/core.xml"] = f'<core xmlns:dc="http://purl.org/dc/elements/1.1/">{parts["core"]}</core>'
    return zipped(members, ())
