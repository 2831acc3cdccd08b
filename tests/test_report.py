"""The report of a corpus: one page that loads nothing, has the figures of the corpus, and is changed by no document."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mmedc.corpus.manifest import read_manifest, stats
from mmedc.corpus.record import begin
from mmedc.engine.journal import Journal
from mmedc.engine.run import Inline, Progress
from mmedc.errors import CorpusError
from mmedc.markup import Html, document, shown, tag
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.corpus_report import report
from mmedc.report.drawing import Node, Stage, flow, funnel
from mmedc.report.facts import facts_of, quantile
from mmedc.report.log import Watchers
from mmedc.storage import Store
from tests.conftest import Notes
from tests.test_cli import mmedc

ATTRIBUTES = {"src", "srcset", "action", "formaction", "data", "poster", "background", "style", "ping"}


class Page(HTMLParser):
    """Collects what a page says and what it would load, and checks that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.loads, self.tags, self.words, self.open = (
            text,
            list[str](),
            set[str](),
            list[str](),
            list[str](),
        )
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(name)
        self.loads += [value or "" for key, value in attributes if key in ATTRIBUTES or key.startswith("on")]
        self.loads += [value or "" for key, value in attributes if key == "href" and not (value or "").startswith("#")]
        if name not in ("meta", "br", "hr", "col"):
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def says(self) -> str:
        return " ".join(" ".join(self.words).split())


def check(text: str) -> Page:
    """Check that a page loads nothing and runs nothing, and that its policy allows its one style sheet."""
    page = Page(text)
    assert not page.loads and not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert "url(" not in style and "@import" not in style and "<" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy.replace("&#x27;", "'").startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert all(char not in text for char in "\x00\x1b\u202e\u200f")
    return page


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose addresses and texts try to be more than text, in four scripts."""
    folder = tmp_path_factory.mktemp("hostile")
    care = (
        "The doctor treats asthma, hypertension and diabetes with medicine; the patient has symptoms and a diagnosis. "
    )
    texts = {
        "a": "<script>alert(1)</script> \u202egnp.exe\x1b[31m " + care * 12,
        "b": "</style><img src=x onerror=alert(1)> हृदय العربية 医学 Медицина " + care * 13,
        "c": "nothing of the kind, a song about the sea and the hills, again and again until the evening comes. " * 8,
    }
    rows = [
        {"url": f"https://x.example/{name}\u202e\x1b[31m?<b>\"'&amp;", "text": text} for name, text in texts.items()
    ]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "r.yaml").write_text(
        "name: hostile\nlanguages: [en]\nsources: {s: {jsonl: in.jsonl, url: url}}\n"
        "policy: {all: {medical_model: {min: 0, floor: 0}, quality: {min: 0}}}\n"
    )
    Build.prepare(read_recipe(str(folder / "r.yaml")), str(folder / "out")).run(Inline(), Notes())
    return folder / "out"


def test_the_report_says_what_the_corpus_has_and_loads_nothing(quickstart: Path) -> None:
    page = check(report(facts_of(str(quickstart))))
    manifest = read_manifest(str(quickstart))
    for lang, total in stats(manifest).languages.items():
        assert f"{lang} {total.documents} {total.tokens:,}" in page.says
    assert "10.56" in page.says and "25.49" in page.says and "Nature Communications 15:8384" in page.says
    for row in manifest.funnel:
        assert f" {row.step} " in page.says and all(f"{name} {n}" in page.says for name, n in row.dropped.items())
    assert manifest.digest in page.says and "es.health.example" in page.says and "Apache-2.0" in page.says
    assert "Длительность" not in page.says and "長時間の座位を契機に" in page.says and 'lang="ja"' in page.text
    removed = sum(count for row in manifest.funnel if row.step == "dedup" for count in row.dropped.values())
    assert sum(gone for _, _, gone in facts_of(str(quickstart)).cluster_sizes) == removed > 0
    assert "Sizes of all clusters of duplicates" in page.says
    for reason in ("near_duplicate", "prefilter", "medical_model_low"):
        assert f": {reason}" in page.says
    assert page.text == report(facts_of(str(quickstart)))


def test_no_document_changes_the_report(hostile: Path) -> None:
    page = check(report(facts_of(str(hostile))))
    assert "<script>alert(1)</script>" in page.says and "U+202E" in page.says and "␛" in page.says
    assert "हृदय العربية 医学 Медицина" in page.says and page.says.startswith("hostile")


def test_the_command_writes_the_page_and_says_where(quickstart: Path, tmp_path: Path) -> None:
    done = mmedc("report", str(quickstart), "--out", str(tmp_path / "r.html"))
    assert done.returncode == 0 and re.search(r"r\.html: [\d.]+ kB; open it in a browser", done.stdout)
    check((tmp_path / "r.html").read_text(encoding="utf-8"))
    done = mmedc("report", str(quickstart), "--out", str(tmp_path / "none" / "r.html"))
    assert done.returncode == 2 and "can't be written" in done.stderr
    assert mmedc("report", str(tmp_path), "--out", str(tmp_path / "r.html")).returncode == 2


def test_a_build_under_way_shows_what_is_committed(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(CorpusError):
        facts_of(out)
    build = Build.prepare(read_recipe("quickstart"), out)
    journal = Journal(build.store, "quickstart")

    class Stops(Notes):
        def update(self, progress: Progress) -> None:
            if progress.done and "ingest" in self.done:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), journal:
        build.run(Inline(), Watchers(journal, Stops()))
    facts = facts_of(out)
    assert facts.units == (1, 3) and facts.funnel[0].step == "read" and facts.funnel[0].read
    assert sum(facts.scored.values()) == facts.funnel[-1].kept and {source for _, source in facts.scored} < {
        "pages",
        "books",
    }
    page = check(report(facts))
    assert "Languages and sources so far" in page.says
    assert (
        "was stopped" in page.says
        and "1 of 3 units of ingest" in page.says
        and "What became of the records" in page.says
    )


def test_a_published_corpus_that_is_built_again_says_so(quickstart: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(quickstart, tmp_path / "copy"))
    begin(Store(str(copy)), "quickstart")
    with Journal(Store(str(copy)), "quickstart") as journal:
        journal.begin_stage("build")
    page = check(report(facts_of(str(copy))))
    assert "has not published" in page.says and "was published before" in page.says and "35,593" in page.says


def test_a_corpus_of_an_older_version_has_a_report(quickstart: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(quickstart, tmp_path / "copy", ignore=shutil.ignore_patterns(".work", "statistics")))
    manifest = json.loads((copy / "manifest.json").read_text())
    for key in ("statistics", "by_source", "by_language", "rejects"):
        del manifest[key]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    page = check(report(facts_of(str(copy))))
    assert "An older version built this corpus" in page.says and "35,593" in page.says


def test_the_widths_of_a_funnel_are_to_scale_and_grow_where_little_is_left() -> None:
    pieces = funnel([Stage(1000, 500), Stage(500, 10, 90), Stage(10, 10)])
    assert [times for _, times in pieces] == [1, 1, 100]
    widths = [float(re.search(r'H([\d.]+)C[^"]*" class="kept"', piece)[1]) for piece, _ in pieces]  # type: ignore[index]
    assert widths == [78, 39, 78] and 'class="rejected"' in pieces[1][0] and 'class="rejected"' not in pieces[0][0]


def test_a_flow_draws_every_record_once() -> None:
    left, right = [Node("en", 60, "quiet"), Node("", 40, "quiet")], [Node("kept", 50, "kept"), Node("x", 50, "dropped")]
    drawn = flow(left, right, [[50, 10], [0, 40]], "records")
    heights = [float(h) for h in re.findall(r'width="6" height="([\d.]+)"', drawn)]
    assert heights == [180, 120, 150, 150] and drawn.count('class="band ') == 3


def test_markup_escapes_and_shows() -> None:
    assert tag("p", "a<b>", Html("<b>x</b>"), 1234, None, [1, "&"], class_="q", title='"<\u202e') == (
        '<p class="q" title="&quot;&lt;U+202E">a&lt;b&gt;<b>x</b>1,2341&amp;</p>'
    )
    assert (
        shown("a\u202eb\x00\tc\n") == 'a<span class="sign" title="U+202E right-to-left override">U+202E</span>b'
        '<span class="sign" title="U+0000 null">␀</span>\tc\n'
    )
    assert "क्‍ष" in shown("क्‍ष")
    assert document("</title><script>", "b{}").count("<script") == 0


def test_a_quantile_of_bins() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({(0.0, 1.0): 5, (1.0, 2.0): 5}, 0.5) == 1.0 and quantile({(2.0, 4.0): 4}, 0.25) == 2.5
