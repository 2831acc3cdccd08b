"""Articles of MediaWiki: the pages of a dump, and their wikitext as text with sections."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from mmedc.books.book import ENCYCLOPEDIA, Book
from mmedc.books.manuscript import Manuscript
from mmedc.books.markup import BREAK, folded
from mmedc.books.mathml import tex
from mmedc.books.rules import BookRules
from mmedc.books.wiki_templates import shown_by
from mmedc.books.xmlfile import local, parse, text_of
from mmedc.raised import lowered, raised

MARKUP = "text/x-wiki"
_BASE = re.compile(rb"<base>\s*(https?://[^<\s]+/)[^/<\s]*\s*</base>")
_FILE_NAMES = (
    "file image media fichier image archivo imagen файл изображение ファイル 画像 文件 檔案 图像 圖像 datei bild "
    "ficheiro imagem arquivo immagine 파일 그림 ملف صورة चित्र"
)
FILES = frozenset(_FILE_NAMES.split())
"""The names of the namespace of pictures, in lower case."""
_CATEGORY_NAMES = "category catégorie categoría категория カテゴリ 分类 分類 kategorie categoria 분류 تصنيف श्रेणी"
CATEGORIES = frozenset(_CATEGORY_NAMES.split())
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,8})?")
_SKIPPED_TAGS = frozenset(
    ("ref", "references", "gallery", "timeline", "imagemap", "score", "style", "script", "templatestyles")
)
_BLOCK_TAGS = frozenset(("p", "div", "blockquote", "center", "poem", "section"))
_OPTION = re.compile(
    r"(?:thumb|thumbnail|frame|frameless|border|left|right|center|none|\d*x?\d+ ?px|upright(?:=.*)?|[a-z]+=.*)$", re.I
)
_MAGIC = re.compile(r"__[A-Z]{3,20}__")


class Page(NamedTuple):
    """A page of a dump."""

    title: str
    text: str
    date: str | None
    problem: str = ""
    """Why it is no article, as a reason to drop it; empty for an article."""


def base_of(head: bytes) -> str:
    """Return the address below which the pages of a dump are, by its beginning; "" where it does not state it."""
    found = _BASE.search(head)
    return found[1].decode("utf-8", "replace") if found else ""


def address(base: str, title: str) -> str:
    """Return the address of a page."""
    return base + quote(title.replace(" ", "_"), safe="/:@!$&'()*+,;=~")


def read_page(data: bytes) -> Page:
    """Return a page from its element in the dump. Raises: Unreadable."""
    root = parse(data, "the page")
    revision = next((node for node in reversed(root) if local(node) == "revision"), None)
    title = text_of(next((node for node in root if local(node) == "title"), None))
    space = text_of(next((node for node in root if local(node) == "ns"), None))
    values = {local(node): node.text or "" for node in revision} if revision is not None else {}
    problem = ""
    if any(local(node) == "redirect" for node in root):
        problem = "not_article: a redirect"
    elif space not in ("", "0"):
        problem = f"not_article: a page of namespace {space[:10]}"
    elif values.get("model", "wikitext").strip() not in ("", "wikitext"):
        problem = "not_article: not wikitext"
    return Page(title, values.get("text", ""), values.get("timestamp", "").strip() or None, problem)


def article(data: bytes, base: str) -> list[Book]:
    """Return the page of a dump as a document whose text is still wikitext. Raises: Unreadable."""
    page = read_page(data)
    where = address(base, page.title) if base and page.title else None
    return [
        Book(
            page.text,
            locator=where,
            title=page.title or None,
            date=page.date,
            kind=ENCYCLOPEDIA,
            identifiers=[f"url:{where}"] if where else [],
            markup=MARKUP,
            unwanted=page.problem,
        )
    ]


def render(wikitext: str, rules: BookRules) -> Book:
    """Return the text and the sections of an article."""
    import mwparserfromhell

    out = Manuscript(rules)
    code = mwparserfromhell.parse(wikitext, skip_style_tags=True)
    _Writer(out).write(code)
    return out.into(Book("", kind=ENCYCLOPEDIA))


class _Writer:
    """Writes the nodes of an article to a manuscript."""

    def __init__(self, out: Manuscript) -> None:
        self.out = out
        self.run: list[str] = []
        self.prefix = ""
        self.number = 0
        self.in_list = False

    def write(self, code: Any) -> None:
        """Write an article."""
        for node in code.nodes:
            self.node(node)
        self.flush()

    def flush(self) -> None:
        """End the paragraph or the item."""
        text = folded(_MAGIC.sub("", "".join(self.run).replace("'''", "").replace("''", "")))
        self.run = []
        if text:
            self.out.block(self.prefix + text, close=bool(self.prefix) and self.in_list)
            self.in_list = bool(self.prefix)
        self.prefix = ""

    def node(self, node: Any) -> None:
        """Take in a node."""
        kind = type(node).__name__
        if kind == "Text":
            self.text(str(node))
        elif kind == "Heading":
            self.flush()
            self.number, self.in_list = 0, False
            self.out.heading(folded(self.inline(node.title)), max(node.level - 1, 1))
        elif kind == "Wikilink":
            self.link(node)
        elif kind == "Tag":
            self.tag(node)
        elif kind == "Template":
            self.template(node)
        elif kind == "ExternalLink":
            self.run.append(self.inline(node.title) if node.title is not None else "")
        elif kind == "HTMLEntity":
            self.run.append(node.normalize() or "")

    def text(self, text: str) -> None:
        """Take in text; an empty line ends a paragraph, and every line an item."""
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if number and (self.prefix or not line.strip()):
                self.flush()
                if not line.strip() and number + 1 < len(lines):
                    self.number = 0
            elif number:
                self.run.append(" ")
            self.run.append(line)

    def inline(self, code: Any) -> str:
        """Return the text of nodes within a line."""
        before, self.run = self.run, []
        prefix, self.prefix = self.prefix, ""
        for node in code.nodes:
            if type(node).__name__ == "Text":
                self.run.append(str(node).replace("\n", " "))
            else:
                self.node(node)
        text, self.run, self.prefix = "".join(self.run), before, prefix
        return text

    def link(self, node: Any) -> None:
        """Take in a link: its text; the caption of a picture; nothing of a category or another language."""
        target = str(node.title).strip()
        space, colon, _ = target.lstrip(":").partition(":")
        space = space.strip().lower()
        if colon and space in FILES and not target.startswith(":"):
            self.picture(node)
        elif (
            colon
            and not target.startswith(":")
            and (space in CATEGORIES or (_LANGUAGE.fullmatch(space) and node.text is None))
        ):
            return
        else:
            self.run.append(self.inline(node.text) if node.text is not None else target.lstrip(":").partition("#")[0])

    def picture(self, node: Any) -> None:
        """Take in the caption of a picture, as a block of its own."""
        if node.text is None:
            return
        text = self.inline(node.text)
        caption = next((part for part in reversed(text.split("|")) if not _OPTION.match(part.strip())), "")
        before, prefix = self.run, self.prefix
        self.run, self.prefix = [caption], ""
        with self.out.part("captions"):
            self.flush()
        self.run, self.prefix = before, prefix

    def tag(self, node: Any) -> None:
        """Take in an element, of HTML or of wikitext."""
        name = str(node.tag).strip().lower()
        if name in _SKIPPED_TAGS:
            return
        if name in ("li", "dt", "dd") and node.wiki_markup:
            mark = str(node.wiki_markup)
            if not self.run and self.prefix:  # a deeper level of the same item
                self.prefix = {"#": self.prefix, "*": "- "}.get(mark, self.prefix)
                return
            self.flush()
            self.number = self.number + 1 if mark == "#" else 0
            self.prefix = {"*": "- ", "#": f"{self.number}. "}.get(mark, "")
        elif name == "table":
            self.table(node)
        elif name in ("br", "hr"):
            self.run.append(BREAK if name == "br" else "")
        elif node.contents is None:
            return
        elif name in ("sup", "sub"):
            before = next((piece[-1] for piece in reversed(self.run) if piece), "")
            text = " ".join(self.inline(node.contents).split())
            self.run.append(raised(text, before) if name == "sup" else lowered(text, before))
        elif name in ("math", "chem", "ce"):
            self.run.append(tex(str(node.contents)))
        elif name in ("rt", "rp"):
            return
        elif name == "nowiki":
            self.run.append(str(node.contents))
        elif name in _BLOCK_TAGS:
            self.flush()
            for inner in node.contents.nodes:
                self.node(inner)
            self.flush()
        else:
            for inner in node.contents.nodes:
                self.node(inner)

    def template(self, node: Any) -> None:
        """Take in a template: of those that show an argument as text, that argument."""
        self.run.append(
            shown_by(str(node.name), [self.inline(param.value) for param in node.params if not param.showkey])
        )

    def cell(self, node: Any) -> str:
        """Return the text of a cell."""
        return folded(self.inline(node.contents)).replace("\n", "; ").replace("|", "\\|")

    def table(self, node: Any) -> None:
        """Take in a table."""
        self.flush()
        cells = [[self.cell(cell) for cell in row] for row in _rows(node)]
        if cells and cells[0] and cells[0][0].startswith("+"):  # the parser takes the caption for a cell
            with self.out.part("captions"):
                self.out.block(cells[0].pop(0).lstrip("+ "))
        cells = [row for row in cells if any(row)]
        if cells:
            width = max(map(len, cells))
            lines = [f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in cells]
            with self.out.part("tables"):
                self.out.block("\n".join(lines))


def _rows(table: Any) -> Iterator[list[Any]]:
    """Yield the cells of each row; those before the first mark of a row belong to a row too."""
    first: list[Any] = []
    for node in table.contents.nodes if table.contents is not None else ():
        if type(node).__name__ != "Tag":
            continue
        name = str(node.tag).strip().lower()
        if name in ("td", "th"):
            first.append(node)
        elif name == "tr" and node.contents is not None:
            if first:
                yield first
                first = []
            yield [
                cell
                for cell in node.contents.nodes
                if type(cell).__name__ == "Tag"
                and str(cell.tag).strip().lower() in ("td", "th")
                and cell.contents is not None
            ]
        elif name in ("tbody", "thead"):
            yield from _rows(node)
    if first:
        yield first
