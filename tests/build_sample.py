"""Builds the sample that ships with the project: `pipelines/quickstart/*.warc.gz` from `tests/sample/*.yaml`.

    python -m tests.build_sample

Per language the pages as written, three near duplicates, one exact copy and one page in a legacy
charset; and a second file of what the web sends besides: errors, images, lies, bombs, damage.
The result is the same on every run.
"""

import gzip
import html
import random
from pathlib import Path

from ruamel.yaml import YAML

from tests.warcs import http, packed, page, record

HERE = Path(__file__).parent
OUT = HERE.parent / "pipelines" / "quickstart"
LEGACY = {
    "en": "windows-1252",
    "fr": "iso-8859-15",
    "es": "windows-1252",
    "ru": "windows-1251",
    "zh": "gb18030",
    "ja": "shift_jis",
}
MENU = {
    "en": ("Home", "Topics", "About us", "Contact", "Share this page", "Terms of use and privacy"),
    "fr": ("Accueil", "Thèmes", "Qui sommes-nous", "Contact", "Partager cette page", "Mentions légales"),
    "es": ("Inicio", "Temas", "Quiénes somos", "Contacto", "Compartir esta página", "Aviso legal"),
    "ru": ("Главная", "Темы", "О нас", "Контакты", "Поделиться страницей", "Условия использования"),
    "zh": ("首页", "专题", "关于我们", "联系我们", "分享本页", "使用条款与隐私"),
    "ja": ("ホーム", "トピックス", "私たちについて", "お問い合わせ", "このページを共有", "利用規約とプライバシー"),
}


def read_pages(lang: str) -> list[dict[str, str]]:
    """Return the pages of a language as they were written."""
    pages: list[dict[str, str]] = YAML(typ="safe").load((HERE / "sample" / f"{lang}.yaml").read_text(encoding="utf-8"))
    return pages


def lay_out(lang: str, title: str, text: str, charset: str, style: int) -> str:
    """Return a page in one of three layouts, with the menu, the side matter and the footer of a web site."""
    menu = MENU[lang]
    links = "".join(f'<li><a href="/{lang}/{n}">{entry}</a></li>' for n, entry in enumerate(menu[:4]))
    paragraphs = [html.escape(part.strip(), quote=False) for part in text.strip().split("\n\n")]
    head = f'<head><meta charset="{charset}"><title>{html.escape(title)}</title><style>p{{margin:1em}}</style></head>'
    if style == 0:
        body = "".join(f"<p>{part}</p>\n" for part in paragraphs)
        main = f"<main><article><h1>{html.escape(title)}</h1>\n{body}</article></main>"
    elif style == 1:
        body = "".join(f'<div class="paragraph"><p>{part}</p></div>' for part in paragraphs)
        main = f'<div id="content"><h2>{html.escape(title)}</h2>{body}<div class="share">{menu[4]}</div></div>'
    else:
        body = "<br><br>\n".join(paragraphs)
        main = f'<table><tr><td class="text"><h1>{html.escape(title)}</h1><p>{body}</p></td></tr></table>'
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}">{head}<body><header><nav><ul>{links}</ul></nav></header>\n{main}\n'
        f"<footer><p>© 2026 {menu[5]}</p></footer><script>var visits = 1;</script></body></html>"
    )


def changed(text: str, lang: str, draw: random.Random) -> str:
    """Return `text` with a few words (in zh and ja: characters) swapped, as a mirror or a new edition has it."""
    parts = list(text) if lang in ("zh", "ja") else text.split(" ")
    for _ in range(max(1, len(parts) // 150)):
        a = draw.randrange(len(parts) - 1)
        if "\n" not in parts[a] + parts[a + 1]:
            parts[a], parts[a + 1] = parts[a + 1], parts[a]
    return ("" if lang in ("zh", "ja") else " ").join(parts)


def pages_of(lang: str) -> list[bytes]:
    """Return the WARC records of a language."""
    draw = random.Random(f"mmedc {lang}")
    pages = read_pages(lang)
    host, records = f"https://{lang}.health.example", []
    for number, one in enumerate(pages):
        url = f"{host}/{one['path']}.html"
        records.append(page(url, lay_out(lang, one["title"], one["text"], "utf-8", number % 3)))
    medical = [one for one in pages if one["label"] == "medical"]
    for number, one in enumerate(medical[:3]):
        text = changed(one["text"], lang, draw)
        url = f"https://mirror{number}.example/{lang}/{one['path']}"
        records.append(page(url, lay_out(lang, one["title"], text, "utf-8", (number + 1) % 3)))
    one = medical[3]
    records.append(page(f"{host}/print/{one['path']}.html", lay_out(lang, one["title"], one["text"], "utf-8", 0)))
    one, charset = medical[4], LEGACY[lang]
    url = f"https://old.example/{lang}/{one['path']}.htm"
    records.append(page(url, lay_out(lang, one["title"], changed(one["text"], lang, draw), charset, 2), charset))
    draw.shuffle(records)
    return records


def broken() -> bytes:
    """Return the file of broken records; its last member is cut off."""
    site = "https://broken.example"
    german = (
        "Die Bremer Stadtmusikanten sind ein bekanntes Märchen, in dem vier alte Tiere ihr Zuhause verlassen und "
        "gemeinsam in ein Räuberhaus einziehen. Auf ihrem Weg erleben sie allerlei Abenteuer und halten zusammen. "
    )
    bomb = gzip.compress(b"<p>" + b" " * (24 << 20), 9, mtime=0)
    deep = "<div>" * 3000 + "<p>fever, cough and asthma, nested</p>" + "</div>" * 3000
    records = [
        record(f"{site}/missing", http(b"<html><body>Not found</body></html>", status=404)),
        record(f"{site}/logo.png", http(b"\x89PNG\r\n\x1a\n" + bytes(64), "image/png")),
        record(f"{site}/not-http", b"this is no HTTP response at all"),
        record(f"{site}/lie", http(b"\x1f\x8b\x08 but not gzip", Content_Encoding="gzip")),
        record(f"{site}/bomb", http(bomb, Content_Encoding="gzip")),
        record(f"{site}/binary", http(bytes(range(256)) * 3 + bytes(4000))),
        record(f"{site}/empty", http(b"")),
        record(f"{site}/menu-only", http(b"<html><body><nav><a href='/'>Home</a></nav></body></html>")),
        page(f"{site}/deep", f"<html><body>{deep}</body></html>"),
        page("https://de.example/maerchen", f"<html><body><article><p>{german * 4}</p></article></body></html>"),
    ]
    return packed(*records) + packed(page(f"{site}/cut", "<p>" + german * 20 + "</p>"))[:-200]


def build(out: Path) -> None:
    """Write the two files of the sample to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    records = [one for lang in LEGACY for one in pages_of(lang)]
    random.Random("mmedc sample").shuffle(records)
    (out / "pages.warc.gz").write_bytes(packed(*records))
    (out / "broken.warc.gz").write_bytes(broken())


if __name__ == "__main__":
    build(OUT)
