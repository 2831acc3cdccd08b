"""Renders pages whose text is known: our own HTML, printed by headless Chromium, for `benchmarks/books.py`.

    python benchmarks/rendered.py --texts FOLDER --fonts FOLDER --out OUT [--part tune|test] [--langs en ja]

`--texts` has `LANG.jsonl.gz` with a key `text`, such as those of a parallel corpus in twelve languages; the font
families that FACES names are below `--fonts` or installed. Each PDF has a `.json` beside it: the paragraphs in reading
order, and what stands in headers and footers. The parts differ in texts, fonts, sizes, paper and places of the headers;
`test` is not looked at while rules are written.
"""

import argparse
import gzip
import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

FACES = {
    "tune": {"": "Liberation Serif", "ar": "Noto Naskh Arabic", "hi": "Noto Serif Devanagari",
             "zh": "Noto Serif CJK SC", "ja": "Noto Serif CJK JP", "ko": "Noto Serif CJK KR", "ru": "DejaVu Serif"},
    "test": {"": "EB Garamond", "de": "Carlito", "fr": "Carlito", "pt": "Noto Sans", "ar": "Amiri",
             "hi": "Lohit Devanagari", "zh": "WenQuanYi Zen Hei", "ja": "IPAMincho", "ko": "NanumMyeongjo",
             "ru": "PT Sans"},
}  # fmt: skip
LANGS = ("en", "zh", "ja", "fr", "ru", "es", "de", "it", "pt", "ko", "ar", "hi")
DENSE = {"zh": 0.36, "ja": 0.42, "ko": 0.5, "ar": 0.85, "hi": 0.9}
"""Characters that say as much as one of a European text."""
SYLLABLE = re.compile(r"(?<=[aeiouyáéíóúàèäöüаеиоуыэюя][bcdfghjklmnprstvzбвгджзклмнпрст])(?=\w{3})")


@dataclass
class Page:
    """A document to be rendered: its HTML, and what a reader should find."""

    body: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)

    def add(self, tag: str, text: str, html: str = "", style: str = "") -> None:
        """Add an element whose text is `text`; `html` is what is printed where that differs."""
        self.body.append(f"<{tag}{style}>{html or escape(text)}</{tag}>")
        self.paragraphs.append(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--fonts", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--part", default="tune", choices=("tune", "test"))
    parser.add_argument("--langs", nargs="*", default=LANGS)
    given = parser.parse_args()
    out = Path(given.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    known_fonts = out / "fonts.conf"
    folders = "".join(f"<dir>{path}</dir>" for path in (Path(given.fonts).resolve(), "/usr/share/fonts"))
    known_fonts.write_text(f"<fontconfig>{folders}<cachedir>{out}/cache</cachedir></fontconfig>")
    for lang in given.langs:
        texts = texts_of(Path(given.texts), lang, given.part)
        faces = FACES[given.part]
        face = faces.get(lang, faces[""])
        for name, make in templates(lang).items():
            page = make(lang, texts)
            head, foot = f"Handbuch № 47 · {lang.upper()}", f"mmedc press {2026 if given.part == 'tune' else 1998}"
            html = document(lang, name, page, face, given.part, head, foot)
            target = out / f"{lang}-{name}.pdf"
            render(html, target, known_fonts)
            known = {"lang": lang, "template": name, "paragraphs": page.paragraphs, "furniture": [head, foot]}
            target.with_suffix(".json").write_text(json.dumps(known, ensure_ascii=False, indent=1))
            print(target)


def texts_of(folder: Path, lang: str, part: str) -> list[str]:
    """Return the texts of a part: every second one."""
    with gzip.open(folder / f"{lang}.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [" ".join(json.loads(line)["text"].split()) for line in file]
    return texts[0::2] if part == "tune" else texts[1::2]


def templates(lang: str) -> dict:
    """Return the templates for a language by name."""
    chosen = {"plain": plain, "columns": columns, "notes": notes, "tables": tables}
    if lang in ("en", "de", "es", "ru"):
        chosen["three"] = columns
    if lang == "ja":
        chosen |= {"ruby": ruby, "vertical": plain_paragraphs}
    return chosen


def soft(text: str, lang: str) -> str:
    """Return HTML with places at which a word may be hyphenated."""
    if lang in DENSE:
        return escape(text)
    return " ".join(SYLLABLE.sub("&shy;", escape(word)) if word.isalpha() else escape(word) for word in text.split(" "))


def heading(texts: list[str], number: int, lang: str) -> str:
    """Return the beginning of a text as a heading."""
    words = texts[number % len(texts)].split(" ")
    return f"{number + 1} " + (texts[number][:12] if lang in ("zh", "ja") else " ".join(words[:5]).strip(".,;:"))


def plain_paragraphs(lang: str, texts: list[str]) -> Page:
    page = Page()
    for text in texts[:12]:
        page.add("p", text, soft(text, lang))
    return page


def plain(lang: str, texts: list[str]) -> Page:
    page = Page()
    for number, text in enumerate(texts[:36]):
        if number % 6 == 0:
            title = heading(texts, number, lang)
            page.add("h1" if number % 18 == 0 else "h2", title)
        page.add("p", text, soft(text, lang))
    return page


def columns(lang: str, texts: list[str]) -> Page:
    page = Page()
    page.add("h1", heading(texts, 0, lang), style=" class=span")
    for number, text in enumerate(texts[:48]):
        if number % 7 == 3:
            page.add("h2", heading(texts, number, lang))
        page.add("p", text, soft(text, lang))
    return page


def notes(lang: str, texts: list[str]) -> Page:
    """Pages of fixed size with footnotes at their ends; a note follows the paragraph that refers to it."""
    page, at = Page(), 0
    size = int(1500 * DENSE.get(lang, 1.0))
    for sheet in range(6):
        held, used, body, notes_html = [], 0, [], []
        while used < size and at + 1 < len(texts):
            held.append(texts[at])
            used += len(texts[at])
            at += 1
        for number, text in enumerate(held):
            if number == len(held) // 2 and at + 1 < len(texts):
                note = texts[at][: 90 if lang not in DENSE else 40].rsplit(" ", 1)[0]
                at += 1
                mark = sheet + 1
                body.append(f"<p>{soft(text, lang)}<sup>{mark}</sup></p>")
                notes_html.append(f"<div class=note><sup>{mark}</sup> {escape(note)}</div>")
                page.paragraphs += [f"{text}{mark}", f"{mark} {note}"]
            else:
                body.append(f"<p>{soft(text, lang)}</p>")
                page.paragraphs.append(text)
        page.body.append(f"<section><div>{''.join(body)}</div><footer>{''.join(notes_html)}</footer></section>")
    return page


def tables(lang: str, texts: list[str]) -> Page:
    page = Page()
    for number, text in enumerate(texts[:24]):
        page.add("p", text, soft(text, lang))
        if number % 4 == 1:
            words = [part for part in re.split(r"[ ,.、。，]", texts[number + 1]) if 2 <= len(part) <= 14] * 6
            rows = [
                [words[5 * row], f"{row * 7 + number}.{row}", words[5 * row + 1], f"{row + 12} %"] for row in range(5)
            ]
            cells = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
            caption = f"{'Tab.'} {number}: {words[3]} {words[4]}"
            page.body.append(f"<table><caption>{escape(caption)}</caption>{cells}</table>")
            page.paragraphs += [caption, *(" ".join(row) for row in rows)]
    return page


def ruby(lang: str, texts: list[str]) -> Page:
    page = Page()
    for text in texts[:12]:
        html = re.sub(r"([一-龠]{2})(?![一-龠])", r"<ruby>\1<rt>かんじ</rt></ruby>", escape(text))
        page.add("p", text, html)
    return page


def document(lang: str, name: str, page: Page, face: str, part: str, head: str, foot: str) -> str:
    """Return the whole HTML of a document."""
    tune = part == "tune"
    size = {"zh": 10.5, "ja": 10, "hi": 12}.get(lang, 11 if tune else 10)
    count = {"columns": 2, "three": 3, "tables": 1 if tune else 2}.get(name, 1)
    paper = "A4" if tune or name == "notes" else "170mm 240mm"
    top = (
        f"@top-center {{content: '{head}'}} @bottom-center {{content: counter(page)}} "
        f"@bottom-left {{content: '{foot}'}}"
    )
    if not tune:
        top = (f"@top-left {{content: '{head}'}} @top-right {{content: counter(page)}} "
               f"@bottom-right {{content: '{foot}'}}")  # fmt: skip
    vertical = "writing-mode: vertical-rl;" if name == "vertical" else ""
    indent = "text-indent: 1.2em; margin: 0" if tune else "margin: 0 0 .6em 0"
    return f"""<!doctype html><html lang={lang} dir={"rtl" if lang == "ar" else "ltr"}><meta charset=utf-8>
<title>{name} {lang}</title><style>
@page {{size: {paper}; margin: 22mm 20mm; {top}}}
body {{font: {size / (1.25 if name == "three" else 1)}pt/1.35 '{face}'; text-align: justify; {vertical} margin: 0;
  {f"columns: {count}; column-gap: 7mm;" if count > 1 else ""}}}
p {{{indent}; widows: 1; orphans: 1}} h1 {{font-size: 1.6em}} h2 {{font-size: 1.25em}}
h1, h2 {{text-align: start; break-after: avoid}} .span {{column-span: all}}
table {{border-collapse: collapse; margin: 1em 0; break-inside: avoid; width: 100%; font-size: .92em}}
td {{border: 1px solid; padding: 2px 5px; text-align: start}} caption {{caption-side: top; font-size: .92em}}
section {{height: 250mm; display: flex; flex-direction: column; break-after: page}} section > div {{flex: 1}}
footer {{border-top: 1px solid; font-size: .8em; padding-top: 4px}} sup {{font-size: .65em; line-height: 0}}
rt {{font-size: .5em}}
</style><body>{"".join(page.body)}</body></html>"""


def render(html: str, target: Path, fonts: Path) -> None:
    """Print a page as PDF. Raises: CalledProcessError if Chromium fails."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(html, encoding="utf-8")
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/p",
        ]
        command = ["chromium", *options, f"--print-to-pdf={target}", f"file://{source}"]
        environment = os.environ | {"FONTCONFIG_FILE": str(fonts)}
        subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment)


if __name__ == "__main__":
    main()
