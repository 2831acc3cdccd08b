"""Repeated lines: what goes is what plain loops find, however the texts are cut into tasks."""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmedc.dedup.lines as lines_module
import mmedc.pipeline.build as build_module
from mmedc.corpus.verify import verify
from mmedc.dedup.lines import FIXED, lines_of, sites, without_gaps
from mmedc.document import edited_text
from mmedc.engine.run import AnyPass, Inline, Progress
from mmedc.filters import open_filters
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.steps.score import scorer
from mmedc.words import TextBatch
from tests.conftest import Notes
from tests.test_cli import mmedc

PLAIN = "rule: boundary\nlimits:\n  all:\n    chars: {min: 40, floor: 1}\n"


def documents(*texts: str, kind: str = "web", lang: str = "en") -> pa.Table:
    columns = {"text": pa.array(texts, pa.large_string()), "lang": [lang] * len(texts), "kind": [kind] * len(texts)}
    return pa.table(columns | {"locator": [f"https://a.example/{n}" for n in range(len(texts))]})


@given(st.lists(st.text(alphabet="ab 你，\n", max_size=20), min_size=1, max_size=6), st.integers(0, 5))
def test_the_hash_of_a_text_is_that_of_its_words(texts: list[str], at: int) -> None:
    def hashes(some: list[str]) -> list[int]:
        return TextBatch(pa.array(some, pa.large_string())).text_hashes.tolist()

    every = hashes(texts)
    assert [hashes([text])[0] for text in texts] == every
    words = [tuple(text.replace("，", " ").replace("你", " 你 ").split()) for text in texts]
    at %= len(texts)
    assert [every[at] == one for one in every] == [words[at] == one for one in words]


def test_lines_are_compared_as_words() -> None:
    long = "Ask your doctor, or a pharmacist, before you take this medicine."
    table = documents(f"{long}\nToo short.\n\n{long.upper().replace(',', ' –')}", f"| a | b |\n {long}")
    found = lines_of(table, 8).to_pylist()
    assert [(row["text"], row["start"], row["key"] == FIXED) for row in found] == [
        (0, 0, False), (0, len(long) + 13, False), (1, 0, True), (1, 10, False)
    ]  # fmt: skip
    texts = table["text"].to_pylist()
    assert texts[0][found[1]["start"] : found[1]["stop"]].startswith("ASK YOUR DOCTOR")
    assert len({row["key"] for row in found}) == 2
    assert lines_of(documents(long, lang="fr"), 8)["key"][0] != found[0]["key"]
    assert set(lines_of(documents(long, kind="qa"), 8)["key"].to_pylist()) == {int(FIXED)}
    # Two characters of Chinese count as a word.
    assert [lines_of(documents("用药前请咨询您的医生或药师"), n).num_rows for n in (6, 7)] == [1, 0]


def test_the_site_is_the_host() -> None:
    same = ["https://www.a.example/x", "http://A.example:80/y?z", "https://me@a.example#b"]
    other = ["https://b.a.example/", "book.pdf#pages=1-2", "part.jsonl#3"]
    hashed = sites(pa.chunked_array([same + other])).tolist()
    assert len(set(hashed[:3])) == 1 and hashed[3] not in (0, hashed[0]) and hashed[4:] == [0, 0]


def test_line_breaks_go_with_their_line() -> None:
    text = "one\n\ntwo\nthree\n\nfour"
    spans = {part: (text.index(part), text.index(part) + len(part), "") for part in ("one", "two", "three", "four")}
    for gone, left in (
        (["two"], "one\nthree\n\nfour"), (["one"], "two\nthree\n\nfour"), (["one", "two"], "three\n\nfour"),
        (["four"], "one\n\ntwo\nthree"), (["one", "two", "three", "four"], ""), (["two", "four"], "one\nthree"),
    ):  # fmt: skip
        assert edited_text(text, without_gaps(text, [spans[part] for part in gone])) == left
    mask = (1, 7, "…")
    assert edited_text(text, without_gaps(text, [spans["two"], mask])) == "o…\nthree\n\nfour"


SAID = "the heart pumps blood through vessels into tissue where cells take oxygen and give waste away"
WORDS = re.findall(r"\w+", SAID)


def corpus(seed: int) -> list[dict[str, str]]:
    """Texts that share lines: three sites with boilerplate, books with editions, lines of chance."""
    draw = random.Random(seed)
    pool = [" ".join(draw.choices(WORDS, k=draw.randrange(4, 14))) + f" {n}." for n in range(60)]
    rows: list[dict[str, str]] = []
    for number in range(60):
        site = draw.randrange(4)
        lines = draw.sample(pool, draw.randrange(2, 9)) + [
            f"Own line {number} of {site} " + " ".join(draw.choices(WORDS, k=9)) for _ in range(3)
        ]
        draw.shuffle(lines)
        if draw.random() < 0.7:
            lines = [f"Welcome to site {site} where we say the same on top of each page", *lines]
        if draw.random() < 0.7:
            lines += [f"Site {site} ends all of its pages with this line that says little", "Short end."]
        if number % 6 == 0:
            start = draw.randrange(40)
            lines[2:2] = pool[start : start + 12]
        url = f"https://{site}.example/{number}" if site else f"book-{number}.txt"
        rows.append({"text": "\n".join(lines), "url": url})
    return rows


def expected(rows: list[dict[str, Any]], site: int, everywhere: int, passage: int, words: int) -> dict[str, str]:
    """Return what is left of each text, by plain loops; `rows` come with the best first."""

    def host(url: str) -> str:
        return url.split("/")[2] if "//" in url else ""

    have: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for line in dict.fromkeys(row["text"].split("\n")):
            if len(line.split()) >= words:
                have[line].append(row["url"])
    left = {}
    for row in rows:
        lines = row["text"].split("\n")
        long = [at for at, line in enumerate(lines) if len(line.split()) >= words]
        gone: set[int] = set()

        def often(at: int, lines: list[str] = lines, row: dict[str, Any] = row) -> bool:
            urls = have[lines[at]]
            mine = [url for url in urls if host(url) == host(row["url"])]
            if len(urls) >= everywhere:
                return urls[0] != row["url"]
            return bool(host(row["url"])) and len(mine) >= site and mine[0] != row["url"]

        for order in (long, long[::-1]):
            for at in order:
                if not often(at):
                    break
                gone.add(at)
        run: list[int] = []
        for at in [*long, -1]:
            if at >= 0 and have[lines[at]][0] != row["url"]:
                run.append(at)
                continue
            if sum(len(lines[one].split()) for one in run) >= passage:
                gone |= set(range(run[0], run[-1] + 1))
            run = []
        left[row["url"]] = "\n".join(line for at, line in enumerate(lines) if at not in gone)
    return left


@pytest.mark.parametrize("seed", [1, 2])
def test_lines_to_remove_is_what_plain_loops_find(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in many groups and ranges, done backwards: the same corpus."""
    rows = corpus(seed)
    (tmp_path / "plain.yaml").write_text(PLAIN)
    for number in range(5):
        lines = "\n".join(map(json.dumps, rows[number * 12 : number * 12 + 12]))
        (tmp_path / f"{number}.jsonl").write_text(lines + "\n")
    (tmp_path / "recipe.yaml").write_text(
        "name: lines\nlanguages: [en]\nsources: {all: {jsonl: '*.jsonl', url: url}}\nmedical: {policy: ./plain.yaml}\n"
        "dedup: {minhash: false, lines: {site: 5, corpus: 16, passage: 60, words: 8}}\n"
    )
    recipe = read_recipe(str(tmp_path / "recipe.yaml"))
    manifest = Build.prepare(recipe, str(tmp_path / "out")).run(Inline(), Notes())
    verify(str(tmp_path / "out"))
    table = pads.dataset(tmp_path / "out" / "data", format="parquet").to_table()
    found = {row["locator"]: row for row in table.to_pylist()}
    chances = scorer(open_filters().model("quality").path)(
        pa.array([row["text"] for row in rows], pa.large_string()), None
    )
    tenths = {row["url"]: int(np.float32(chance) * np.float32(10)) for row, chance in zip(rows, chances, strict=True)}
    ranked = sorted(rows, key=lambda row: (-tenths[row["url"]], -len(row["text"]), document_tail(row["url"])))
    left = expected(ranked, 5, 16, 60, 8)
    assert {url: row["text"] for url, row in found.items()} == {
        url: text for url, text in left.items() if len(text) > 39
    }
    changed = [row for row in rows if left[row["url"]] != row["text"]]
    assert len(changed) > 20 and manifest.lines.documents == len(changed)
    assert min(getattr(manifest.lines, name) for name in ("passages", "boilerplate")) > 3
    assert sum(shard.text_bytes for shard in manifest.shards) == sum(len(row["text"]) for row in found.values())
    texts = {row["url"]: row["text"] for row in rows}
    assert all(row["removed_chars"] == len(texts[url]) - len(row["text"]) for url, row in found.items())
    assert all(row["chars"] == len(row["text"]) for row in found.values())

    class Backwards(Inline):
        def run(self, current: AnyPass, units: list[Any], store: Any) -> Iterator[Progress]:
            yield from super().run(current, units[::-1], store)

    monkeypatch.setattr(lines_module, "GROUP_BYTES", 1)
    monkeypatch.setattr(build_module, "trim_lines", partial(build_module.trim_lines, range_bytes=1000))
    notes = Notes()
    other = Build.prepare(recipe, str(tmp_path / "other")).run(Backwards(), notes)
    assert notes.done["lines"][1] == 5 and notes.done["repeats"][1] > 10
    assert (other.digest, other.lines) == (manifest.digest, manifest.lines)


def document_tail(url: str) -> str:
    from mmedc.document import document_id

    return document_id("all", url)[16:]


SITE = "This site does not replace the advice of a doctor; in an emergency call for help."
SHARED = "It is inherited in a recessive pattern, so that both copies of the gene are changed."


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one site with boilerplate and a sentence that its pages share, and of a textbook in two editions."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "plain.yaml").write_text(PLAIN)
    own = [
        f"Condition {n} begins in the {n}th year of life and is found by its own test of the blood." for n in range(14)
    ]
    pages = [
        {"text": f"Condition {n}\n\n{one}\n{SHARED}\nIn the family of patient {n} nobody else was ill then.\n\n{SITE}",
         "url": f"https://site.example/{n}"} for n, one in enumerate(own)
    ]  # fmt: skip
    pages += [{"text": f"Go back to the page before.\n{SITE}", "url": "https://site.example/empty"}]
    chapter = [f"Paragraph {n} of the chapter says that {' '.join(WORDS)} in turn." for n in range(12)]
    second = [f"The second edition adds paragraph {n}, which speaks of {' '.join(WORDS[::-1])}." for n in range(14)]
    (folder / "pages.jsonl").write_text("\n".join(map(json.dumps, pages)) + "\n")
    for name, lines in (
        ("old", chapter),
        ("new", [*second[:7], "| table | of | the | edition |", *chapter, *second[7:]]),
    ):
        (folder / f"{name}.jsonl").write_text(json.dumps({"text": "\n".join(lines), "url": f"{name}.txt"}) + "\n")
    (folder / "recipe.yaml").write_text(
        "name: lines\nlanguages: [en]\nmedical: {policy: ./plain.yaml}\ndedup: {lines: true}\nsources:\n"
        "  old: {jsonl: old.jsonl, url: url, kind: textbook}\n  new: {jsonl: new.jsonl, url: url, kind: textbook}\n"
        "  pages: {jsonl: pages.jsonl, url: url}\n"
    )
    Build.prepare(read_recipe(str(folder / "recipe.yaml")), str(folder / "out")).run(Inline(), Notes())
    return folder / "out"


def test_boilerplate_goes_and_what_pages_need_stays(built: Path) -> None:
    manifest = verify(str(built))
    rows = pads.dataset(built / "data", format="parquet").to_table().to_pylist()
    pages = [row for row in rows if row["source"] == "pages"]
    assert len(pages) == 14 and sum(SITE in row["text"] for row in pages) == 1
    assert all(SHARED in row["text"] and not row["text"].endswith("\n") for row in pages)
    assert sorted({row["removed_chars"] for row in pages}) == [0, len(SITE) + 2]
    last = manifest.funnel[-1]
    assert (last.step == "lines" and last.dropped == {}) or last.dropped == {"chars_low": 1}
    shown = pq.read_table(built / "rejects" / "lines.parquet").to_pylist()
    assert (shown[0]["line"], shown[0]["why"], shown[0]["documents"]) == (SITE, "boilerplate", 14)


def test_a_passage_stays_in_the_source_that_comes_first(built: Path) -> None:
    rows = {row["source"]: row for row in pads.dataset(built / "data", format="parquet").to_table().to_pylist()}
    assert rows["old"]["text"].count("Paragraph") == 12 and rows["old"]["removed_chars"] == 0
    assert "Paragraph" not in rows["new"]["text"] and rows["new"]["text"].count("second edition") == 14
    assert "| table |" in rows["new"]["text"] and rows["new"]["removed_chars"] > 1000


def test_the_lines_are_shown(built: Path, quickstart: Path) -> None:
    shown = mmedc("duplicates", str(built), "--lines")
    assert shown.returncode == 0 and "boilerplate" in shown.stdout and "passage" in shown.stdout
    assert json.loads(mmedc("duplicates", str(built), "--lines", "--json").stdout)[0]["documents"] == 14
    missing = mmedc("duplicates", str(quickstart), "--lines")
    assert missing.returncode == 2 and "put `lines: true` under the recipe's `dedup`" in missing.stderr


def test_no_line_goes_twice_over(built: Path) -> None:
    """What stays has each line once or less often than asked: done again, nothing would go."""
    rows = pads.dataset(built / "data", format="parquet").to_table(["text", "lang", "kind", "locator"])
    found = lines_of(rows, 8)
    keys, counts = np.unique(found["key"].to_numpy(), return_counts=True)
    often = set(keys[(counts > 1) & (keys != FIXED)].tolist())
    texts = rows["text"].to_pylist()
    said = {texts[row["text"]][row["start"] : row["stop"]] for row in found.to_pylist() if row["key"] in often}
    assert said == {SHARED}
