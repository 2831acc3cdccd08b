"""A corpus of books beside pages: kinds by document, precedence, identifiers, what happened to the pieces of a book."""

import json
from pathlib import Path

import pyarrow.dataset as pads
import pytest

from mmedc.corpus.manifest import read_manifest, stats
from mmedc.corpus.verify import verify
from mmedc.engine.run import Inline
from mmedc.errors import RequestError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.fate import fates
from mmedc.train.mixture import components_of
from mmedc.train.tokens import open_tokenizer, tokenise
from tests import bookfiles
from tests.build_sample import read_pages
from tests.conftest import Notes

PAGES = [page for page in read_pages("en") if page["label"] == "medical"]
META = """<title-group><article-title>Asthma in brief</article-title></title-group>
<article-id pub-id-type="doi">10.5555/asthma.1</article-id><article-id pub-id-type="pmid">123456</article-id>"""


def prose(page: dict[str, str]) -> str:
    return "".join(f"<p>{part}</p>" for part in page["text"].split("\n") if part.strip())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Web pages first, then a shelf: a textbook with a chapter like one of them, an article, and a page that fails."""
    folder = tmp_path_factory.mktemp("books")
    (folder / "web").mkdir()
    (folder / "web" / "kidneys.html").write_text(f"<html><body><h1>Kidneys</h1>{prose(PAGES[3])}</body></html>")
    shelf = folder / "shelf"
    shelf.mkdir()
    chapters = {
        f"{n}.xhtml": bookfiles.page(f"<h1>{page['title'].partition(':')[0]}</h1>{prose(page)}")
        for n, page in enumerate(PAGES[2:6])
    }
    metadata = "<dc:title>T</dc:title><dc:creator>A B</dc:creator><dc:identifier>9780306406157</dc:identifier>"
    metadata += '<dc:type>textbook</dc:type><meta name="tdm:reservation" content="1"/>'
    (shelf / "care.epub").write_bytes(bookfiles.epub(chapters, metadata=metadata))
    (shelf / "asthma.xml").write_bytes(bookfiles.jats(f"<sec><title>A</title>{prose(PAGES[0])}</sec>", META))
    (shelf / "empty.xml").write_bytes(bookfiles.jats("", META))
    recipe = folder / "r.yaml"
    recipe.write_text(
        "name: b\nlanguages: [en]\nsources:\n  web: {files: web}\n  shelf: {books: shelf}\nfail_above: 100%\n"
        "books: {reserved: keep}\npublish: {split: section, tokens: 512}\n"
    )
    Build.prepare(read_recipe(str(recipe)), str(folder / "c")).run(Inline(), Notes())
    return folder / "c"


def test_documents_are_counted_by_their_own_kind(corpus: Path) -> None:
    rows = pads.dataset(corpus / "data", format="parquet").to_table().to_pylist()
    found = stats(read_manifest(str(corpus)))
    assert {row["source"] for row in rows} == {"shelf"} and set(found.kinds) == {"article", "textbook"}
    for kind, total in found.kinds.items():
        mine = [row for row in rows if row["kind"] == kind]
        assert (total.documents, total.tokens) == (len(mine), sum(row["tokens"] for row in mine))
    assert sum(total.bytes for total in found.kinds.values()) == found.bytes
    verify(str(corpus))


def test_a_textbook_stays_and_a_page_like_it_does_not(corpus: Path) -> None:
    (page,) = fates(str(corpus), "kidneys.html")
    assert page.verdict.startswith("dropped at dedup: ") and "care.epub#section=2" in page.verdict


def test_the_card_says_what_is_known_of_the_documents(corpus: Path) -> None:
    found, card = stats(read_manifest(str(corpus))), (corpus / "README.md").read_text(encoding="utf-8")
    pieces = found.kinds["textbook"].documents
    assert pieces == 4 and found.licences == {"unknown": 5} and found.authored == found.reserved == pieces
    assert found.identified == {"isbn": pieces, "doi": 1, "pmid": 1}
    assert "| textbook | 4 |" in card and "4 with ISBN, 1 with DOI, 1 with PMID" in card
    assert "The publishers of 4 documents reserve text and data mining" in card


def test_a_component_of_training_has_one_kind(corpus: Path, tmp_path: Path) -> None:
    manifest = read_manifest(str(corpus))
    left = tokenise(str(corpus), manifest, open_tokenizer("qwen"), Inline(), Notes())
    found = components_of({"m": (str(corpus), manifest, left)}, 0.0, tmp_path)
    assert [component.name for component in found] == ["m/en/shelf/article", "m/en/shelf/textbook"]
    rows = pads.dataset(corpus / "data", format="parquet").to_table().to_pylist()
    for component in found:
        texts = [row["text"] for row in rows if row["kind"] == component.name.split("/")[-1]]
        read = [component.read(row, 0, int(length) - 1) for row, length in enumerate(component.lengths)]
        assert [tokens.tolist() for tokens in read] == open_tokenizer("qwen").encode(texts)
    assert sum(int(component.text_bytes.sum()) for component in found) == sum(len(row["text"].encode()) for row in rows)


def test_a_book_is_known_by_its_file_although_it_is_in_pieces(corpus: Path) -> None:
    found = fates(str(corpus), "care.epub")
    assert [one.locator for one in found] == [f"care.epub#section={n}" for n in (1, 2, 3, 4)]
    assert {one.verdict for one in found} == {"published"}
    assert [one.id for one in fates(str(corpus), str(corpus.parent / "shelf" / "care.epub"))] == [
        one.id for one in found
    ]
    (one,) = fates(str(corpus), "care.epub#section=2")
    assert one.locator == "care.epub#section=2"
    with pytest.raises(RequestError, match="built from no document"):
        fates(str(corpus), "care")


def test_a_document_that_is_not_there_does_not_hide_the_others(corpus: Path) -> None:
    from tests.test_build import mmedc

    done = mmedc("explain", "-c", str(corpus), "nothing.epub", "asthma.xml", "empty.xml", "--json")
    assert [json.loads(line)["verdict"][:9] for line in done.stdout.splitlines()] == ["published", "dropped a"]
    assert done.returncode == 2 and "nothing.epub" in done.stderr and "asthma" not in done.stderr
