"""JATS, the XML of journal articles (PubMed Central, SciELO), and BITS, the same for books (NCBI Bookshelf)."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from mmedc.books.book import ARTICLE, BOOK, Book
from mmedc.books.jats_front import Front, describe, stated_language
from mmedc.books.manuscript import Manuscript
from mmedc.books.markup import Walker
from mmedc.books.mathml import tex
from mmedc.books.rules import BookRules
from mmedc.books.xmlfile import local, parse, text_of

ABSTRACT = {
    "en": "Abstract",
    "es": "Resumen",
    "fr": "Résumé",
    "pt": "Resumo",
    "it": "Riassunto",
    "de": "Zusammenfassung",
    "ru": "Аннотация",
    "zh": "摘要",
    "ja": "要旨",
    "ko": "초록",
    "ar": "الملخص",
    "hi": "सारांश",
}
"""The heading of an abstract that has none, as journals print it, by the language of the article."""
_ITEMS = frozenset(("list-item",))
_SKIPPED = (
    "front front-stub book-meta book-part-meta collection-meta object-id label title-group journal-meta article-meta "
    "graphic inline-graphic media alt-text permissions email contrib-group aff author-notes kwd-group "
    "supplementary-material processing-meta sec-meta rt rp pub-date history"
)
_BLOCKS = (
    "p disp-quote verse-group verse-line attrib speech boxed-text statement title subtitle back body book-body "
    "book-back floats-group app-group disp-formula-group fig-group table-wrap-group list-item def-item question answer"
)


def read(data: bytes, rules: BookRules) -> Iterator[Book]:
    """Yield the documents of a file: an article, its translations, or a book. Raises: Unreadable."""
    root = parse(data, "the article")
    roots = [root] if local(root) in ("article", "book", "book-part-wrapper") else list(root.iter("{*}article"))
    for number, node in enumerate(roots, 1):
        place = f"article={number}" if len(roots) > 1 else ""
        if local(node) == "article":
            yield from _articles(node, rules, place)
        else:
            yield _book(node, rules)


def _articles(node: Any, rules: BookRules, place: str) -> Iterator[Book]:
    front = describe(_child(node, "front"))
    yield _article(node, rules, front, place)
    number = 0
    for sub in node.findall("{*}sub-article"):
        if sub.get("article-type") == "translation":
            number += 1
            mine = describe(_child(sub, "front-stub", "front")).or_else(front)
            where = f"translation={stated_language(sub) or number}"
            yield _article(sub, rules, mine, f"{place}&{where}" if place else where)


def _article(node: Any, rules: BookRules, front: Front, place: str) -> Book:
    out = Manuscript(rules)
    walker = JatsWalker(out, node)
    head = _child(node, "front", "front-stub")
    out.heading(front.title or "", 1)
    lang = stated_language(node)
    for abstract in head.iter("{*}abstract", "{*}trans-abstract") if head is not None else ():
        foreign = local(abstract) == "trans-abstract" and stated_language(abstract) != lang
        with out.part("translations" if foreign else None, text_of(_child(abstract, "title"))):
            if _child(abstract, "title") is None and not abstract.get("abstract-type") and text_of(abstract):
                out.heading(ABSTRACT.get(stated_language(abstract) or lang or "en", ""), 2)
            walker.section(abstract)
            out.end_headed()
    for child in node:
        name = local(child)
        if name in ("body", "back", "floats-group"):
            walker.walk(child)
        elif name in ("sub-article", "response") and child.get("article-type") != "translation":
            with out.part("reviews", describe(_child(child, "front-stub", "front")).title or ""):
                for inner in child:
                    if local(inner) in ("body", "back"):
                        walker.walk(inner)
        walker.flush()
        out.end_headed()
    return out.into(front.fill(Book("", place, kind=ARTICLE)))


def _book(node: Any, rules: BookRules) -> Book:
    out = Manuscript(rules)
    meta = _child(node, "book-meta", "front")
    front = describe(node if meta is None else meta)
    walker = JatsWalker(out, node)
    if node.find(".//{*}book-body") is not None or local(node) != "book":
        out.heading(front.title or "", 1)
    for child in node:
        if local(child) not in ("book-meta", "collection-meta", "processing-meta"):
            walker.walk(child)
            walker.flush()
            out.end_headed()
    book = Book("", kind=BOOK, subjects=[*front.subjects, node.get("book-type") or ""])
    return out.into(front.fill(book))


def _child(node: Any | None, *names: str) -> Any | None:
    return next((child for child in node if local(child) in names), None) if node is not None else None


class JatsWalker(Walker):
    """Writes the sections of an article."""

    skipped = frozenset(_SKIPPED.split())

    def __init__(self, out: Manuscript, root: Any) -> None:
        super().__init__(out)
        self.depth = 1
        self.by_id = {node.get("id"): node for node in root.iter("{*}fn")}
        self.shown: set[Any] = set()
        self.article = local(root) not in ("book", "book-part-wrapper")

    def section(self, node: Any) -> None:
        """Take in a section: its title is a heading of the depth of the section."""
        self.flush()
        self.depth += 1
        children = list(node)
        label, title = _child(node, "label"), _child(node, "title")
        if title is None and (meta := _child(node, "book-part-meta", "sec-meta")) is not None:
            title = next(meta.iter("{*}title"), None)
            label = label if label is not None else next(meta.iter("{*}label"), None)
        if title is not None:
            number = text_of(label)
            self.out.heading(f"{number} {self.line(title)}".strip(), self.depth)
        for child in children:
            if child is not title:
                self.walk(child)
                self.flush()
        self.depth -= 1

    def of_part(self, part: str, node: Any) -> None:
        """Take in an element that is a part of the book by its name."""
        with self.out.part(part, text_of(_child(node, "title"))):
            self.section(node)

    def title(self, node: Any) -> None:
        """Take in a title that is not that of a section."""
        self.block(node)

    def figure(self, node: Any) -> None:
        """Take in a figure or a table: its label and caption, then the rows and notes of a table."""
        self.flush()
        label, caption = text_of(_child(node, "label")), _child(node, "caption")
        with self.out.part("captions", label):
            lines = " ".join(self.line(child) for child in caption) if caption is not None else ""
            separator = "" if not label or label.endswith((".", ":")) or not lines else "."
            self.write(f"{label}{separator} {lines}".strip()) if label or lines else None
        for child in node:
            if local(child) not in ("label", "caption"):
                self.walk(child)
        self.flush()

    def notes_of_table(self, node: Any) -> None:
        """Take in the notes under a table."""
        self.flush()
        with self.out.part("tables"):
            for child in node:
                if text := self.line(child):
                    mark = text_of(_child(child, "label"))
                    self.write(f"{mark} {text}".strip())

    def note(self, node: Any) -> None:
        """Take in a footnote where it stands, unless it stood after the paragraph that refers to it."""
        if node not in self.shown:
            self.flush()
            self.shown.add(node)
            text, mark = self.line(node), text_of(_child(node, "label"))
            self.write(f"{mark} {text}".strip()) if text else None

    def notes_of_article(self, node: Any) -> None:
        """Take in a group of notes: footnotes where it has any, otherwise statements of the authors."""
        notes = list(node.iter("{*}fn"))
        declared = any(fn.get("fn-type") in _STATEMENTS for fn in notes) or not any(fn in self.shown for fn in notes)
        with self.out.part("acknowledgements" if declared else "footnotes", text_of(_child(node, "title"))):
            title = _child(node, "title")
            if title is not None and any(fn not in self.shown for fn in node.iter("{*}fn")):
                self.out.heading(self.line(title), self.depth + 1)
            for child in node:
                if child is not title:
                    self.walk(child)
            self.flush()

    def reference(self, node: Any) -> None:
        """Take in a cross-reference: numbers of the bibliography in brackets, and the note that it leads to."""
        kind = node.get("ref-type")
        if kind in ("aff", "corresp", "author-notes"):
            return
        target = self.by_id.get(node.get("rid"))
        if kind == "fn" and target is not None:
            if target in self.shown:
                self.superscript(node)
                return
            self.shown.add(target)
            mark = f"[{text_of(node) or text_of(_child(target, 'label')) or '*'}]"
            self.run.append(mark)
            self.notes.append((mark, self.line(target)))
        elif kind == "bibr" and len(node) == 1 and local(node[0]) == "sup" and not (node.text or "").strip():
            self.run.append(f"[{text_of(node)}]")
        else:
            self.content(node)

    def raised(self, node: Any) -> None:
        """Take in a superscript; one of references is written in brackets."""
        kinds = [child.get("ref-type") for child in node.iter("{*}xref")]
        if "bibr" in kinds:
            self.run.append(f"[{text_of(node)}]")
        elif kinds:
            self.content(node)
        else:
            self.superscript(node)

    def items(self, node: Any) -> None:
        """Take in a list."""
        title = _child(node, "title")
        if title is not None:
            self.block(title)
        ordered = (node.get("list-type") or "").startswith(("order", "arabic", "alpha", "roman"))
        self.listed(node, (lambda number: f"{number}. ") if ordered else (lambda number: "- "), _ITEMS)

    def definition(self, node: Any) -> None:
        """Take in a term and its definition on one line."""
        self.flush()
        term, *rest = [text for child in node if local(child) != "label" and (text := self.line(child))] or [""]
        self.write(f"{term}: {' '.join(rest)}" if rest else term) if term else None

    def alternatives(self, node: Any) -> None:
        """Take in the best of several forms of the same: TeX, then MathML, then a table, then what has text."""
        order = ("tex-math", "math", "table", "textual-form")
        forms = sorted((child for child in node if local(child) in order), key=lambda child: order.index(local(child)))
        if forms:
            self.walk(forms[0])

    def tex_math(self, node: Any) -> None:
        """Take in a formula in TeX."""
        self.run.append(tex("".join(node.itertext())))

    def displayed(self, node: Any) -> None:
        """Take in a formula on a line of its own, with its number."""
        self.flush()
        self.content(node)
        if label := text_of(_child(node, "label")):
            self.run.append(f" {label}")
        self.flush()

    def ruby(self, node: Any) -> None:
        """Take in ruby text without its readings."""
        self.content(node)

    def statement(self, node: Any) -> None:
        """Take in acknowledgements, or a section that is one by its type."""
        self.of_part("acknowledgements", node)

    handlers: ClassVar[dict[str, Callable[[Any, Any], None]]] = {}


_STATEMENTS = frozenset(
    (
        "con",
        "conflict",
        "financial-disclosure",
        "edited-by",
        "COI-statement",
        "supported-by",
        "equal",
        "data-availability",
    )
)


def _part(name: str) -> Callable[[Any, Any], None]:
    return lambda walker, node: walker.of_part(name, node)


JatsWalker.handlers = {
    **dict.fromkeys(("sec", "app", "book-part", "notes", "bio", "named-book-part-body"), JatsWalker.section),
    **dict.fromkeys(_BLOCKS.split(), Walker.block),
    "ack": JatsWalker.statement,
    "ref-list": _part("bibliography"),
    "glossary": _part("glossary"),
    "index": _part("index"),
    "toc": _part("contents"),
    "toc-group": _part("contents"),
    "front-matter": Walker.block,
    "front-matter-part": _part("front_matter"),
    "dedication": _part("front_matter"),
    "foreword": _part("preface"),
    "preface": _part("preface"),
    "app-group": Walker.block,
    **dict.fromkeys(("fig", "table-wrap", "boxed-text-figure", "chem-struct-wrap"), JatsWalker.figure),
    "table-wrap-foot": JatsWalker.notes_of_table,
    "table": Walker.table,
    "fn-group": JatsWalker.notes_of_article,
    "fn": JatsWalker.note,
    "xref": JatsWalker.reference,
    "sup": JatsWalker.raised,
    "sub": Walker.subscript,
    "break": Walker.line_break,
    "list": JatsWalker.items,
    "def-list": Walker.block,
    "def-item": JatsWalker.definition,
    "alternatives": JatsWalker.alternatives,
    "math": Walker.formula,
    "tex-math": JatsWalker.tex_math,
    "disp-formula": JatsWalker.displayed,
    "ruby": JatsWalker.ruby,
}
