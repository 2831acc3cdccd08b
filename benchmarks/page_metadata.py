"""Titles and days of publication beside trafilatura and htmldate: WCXB's pages, and pages of our own in 12 languages.

WCXB's sites are split by their hash: one in four was not looked at while the rules were written. Usage:
python benchmarks/page_metadata.py WCXB.parquet
"""

import hashlib
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from mmedc.steps.extract import tree
from mmedc.steps.extract.metadata import Found, read_metadata

LATEST = "2026-12-01"
WRITTEN = {
    "ar": "نشر في 5 مارس 2024",
    "de": "Veröffentlicht am 5. März 2024",
    "en": "Published March 5, 2024",
    "es": "Publicado el 5 de marzo de 2024",
    "fr": "Publié le 5 mars 2024",
    "hi": "प्रकाशित: 5 मार्च 2024",
    "it": "Pubblicato il 5 marzo 2024",
    "ja": "公開日：2024年3月5日",
    "ko": "게시일 2024년 3월 5일",
    "pt": "Publicado em 5 de março de 2024",
    "ru": "Опубликовано 5 марта 2024 г.",
    "zh": "发布时间：2024年3月5日",
}
TITLES = {
    "ar": "علاج الربو عند الأطفال",
    "de": "Asthma bei Kindern behandeln",
    "en": "Treating asthma in children",
    "es": "Tratamiento del asma infantil",
    "fr": "Traiter l'asthme de l'enfant",
    "hi": "बच्चों में अस्थमा का इलाज",
    "it": "Curare l'asma nei bambini",
    "ja": "子どもの喘息の治療",
    "ko": "어린이 천식의 치료",
    "pt": "Tratamento da asma infantil",
    "ru": "Лечение астмы у детей",
    "zh": "儿童哮喘的治疗",
}
PLACES = (
    '<p class="date">{date}</p>',
    "<div><small>{date}</small></div>",
    '<div class="meta"><span>Ana Ruiz</span> · <span>{date}</span></div>',
    '<time>{date}</time><footer class="footer">© 2021</footer>',
    '<p class="info">{date}</p><aside class="related"><time datetime="2023-01-02">2023</time></aside>',
)
Said = tuple[str | None, str | None]


def ours(html: str, url: str) -> Said:
    said = read_metadata(Found(tree.parse(html)), url, LATEST)
    return said.title, said.date


def theirs(html: str, url: str) -> Said:
    from htmldate import find_date
    from trafilatura import load_html
    from trafilatura.metadata import examine_meta, extract_title

    parsed = load_html(html)
    if parsed is None:
        return None, None
    title = examine_meta(parsed).title or extract_title(parsed)
    return title, find_date(parsed, url=url or None, extensive_search=False, original_date=True, max_date=LATEST)


def form(title: str | None) -> str:
    return re.sub(r"[\W_]+", "", (title or "").casefold())


def held_out(url: str) -> bool:
    site = ".".join((urlsplit(url).hostname or "").split(".")[-2:])
    return int(hashlib.sha256(site.encode()).hexdigest(), 16) % 4 == 0


def wcxb(path: str, held: bool) -> Iterator[tuple[str, str, str, str | None]]:
    for row in pq.read_table(path, columns=["html", "url", "title", "date"]).to_pylist():
        if held_out(row["url"]) == held:
            yield row["html"].decode("utf-8", "replace"), row["url"], row["title"], row["date"]


def own() -> Iterator[tuple[str, str, str, str | None]]:
    for lang, title in TITLES.items():
        for place in PLACES:
            head = f"<title>{title} | Salus</title>"
            body = f"<h1>{title}</h1>{place.format(date=WRITTEN[lang])}<p>{title}.</p>"
            yield f'<html lang="{lang}"><head>{head}</head><body>{body}</body></html>', "", title, "2024-03-05"


def measure(pages: list[tuple[str, str, str, str | None]], read: Callable[[str, str], Said]) -> str:
    seen, began = Counter[str](), time.process_time()
    for html, url, title, date in pages:
        found_title, found_date = read(html, url)
        seen["title"] += form(found_title) == form(title)
        if date:
            seen["dated"] += 1
            seen["right"] += found_date == date
            seen["wrong"] += found_date not in (None, date)
        else:
            seen["extra"] += found_date is not None
    took = (time.process_time() - began) / len(pages) * 1e3
    return (
        f"title {seen['title'] / len(pages):.3f}  date right {seen['right'] / seen['dated']:.3f} "
        f"wrong {seen['wrong'] / seen['dated']:.3f}  given where none is known {seen['extra']}  "
        f"{took:.2f} ms/page with its parse"
    )


def main() -> None:
    warnings.simplefilter("ignore")
    sets = {
        "WCXB, looked at": list(wcxb(sys.argv[1], False)),
        "WCXB, held out": list(wcxb(sys.argv[1], True)),
        "own, 12 languages": list(own()),
    }
    for name, pages in sets.items():
        for maker, read in (("mmedc", ours), ("trafilatura+htmldate", theirs)):
            print(f"{name:18} {len(pages):5} pages  {maker:21} {measure(pages, read)}", flush=True)


if __name__ == "__main__":
    main()
