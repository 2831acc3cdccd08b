"""What a build shows while it runs: counts that are right at the end, at 80 columns and in a pipe."""

import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from mmedc.engine.run import Inline
from mmedc.pipeline.build import Build
from mmedc.pipeline.plan import passes_of, plan_rows
from mmedc.recipe import read_recipe
from mmedc.report.progress import Bars, clock, fitting
from mmedc.report.tables import plan_table
from mmedc.shipped import shipped


def shown(out: Path, recipe: str = "quickstart", **options: object) -> tuple[str, Build]:
    build = Build.prepare(read_recipe(recipe), str(out))
    console = Console(file=io.StringIO(), **options)  # type: ignore[arg-type]
    bars = Bars(console)
    build.run(Inline(), bars)
    bars.close()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue(), build


def test_a_log_has_plain_lines_the_passes_of_the_plan_and_exact_totals(tmp_path: Path) -> None:
    text, build = shown(tmp_path / "c", width=180)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]|  ", text)
    last = {line.partition(":")[0]: line for line in text.splitlines()}  # a pass of more than 10 s has several lines
    assert list(last) == passes_of(build)
    read = build.done()[2][1]
    assert f", {sum(next(iter(one.left.funnel.values())).read for one in read.values())} documents, " in last["ingest"]
    assert re.fullmatch(r"exchange: 1 of 1 unit, in \d+\.\d s", last["exchange"])


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_counts_and_one_time_at_the_end(tmp_path: Path, width: int) -> None:
    text, _ = shown(tmp_path / "c", width=width, force_terminal=True)
    last = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)) if "ingest" in line][-1]
    assert re.search(r"\d s, \d of \d units, \d+ documents, \d+\.\d% kept", last), last
    assert "left" not in last and len(last.rstrip()) <= width


def test_books_show_their_pdf_files_and_pages_only_if_there_are_any(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "soup.html").write_text("<html><body><p>Radish soup with rice.</p></body></html>")
    (tmp_path / "r.yaml").write_text("name: t\nsources: {shelf: {books: shelf}}\nmedical: {policy: balanced}\n")
    plain, build = shown(tmp_path / "a", str(tmp_path / "r.yaml"), width=180)
    assert plain.startswith("ingest: ") and passes_of(build)[:3] == ["covers", "pages", "ingest"]
    shutil.copy(shipped("pipelines") / "quickstart" / "books" / "handbook.pdf", tmp_path / "shelf")
    build = Build.prepare(read_recipe(str(tmp_path / "r.yaml")), str(tmp_path / "b"))
    first = [(row["pass"], row["units"]) for row in plan_rows(build)][:3]
    assert first == [("covers", 1), ("pages", None), ("ingest", 1)]
    lines = shown(tmp_path / "b", str(tmp_path / "r.yaml"), width=180)[0].splitlines()
    assert re.fullmatch(r"covers: 1 of 1 unit, 1 PDF file, [\d,]+/s, in .* s", lines[0])
    assert re.fullmatch(r"pages: 1 of 1 unit, 6 pages, [\d,]+/s, in .* s", lines[1])
    assert [line.partition(":")[0] for line in lines][:3] == ["covers", "pages", "ingest"]


def test_a_plan_folds_the_passes_that_are_not_known_yet(tmp_path: Path) -> None:
    rows = plan_rows(Build.prepare(read_recipe("quickstart"), str(tmp_path / "c")))
    console = Console(file=io.StringIO(), width=80)
    console.print(plan_table(rows))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 4 and lines[2].startswith("ingest") and f"… {len(rows) - 2} more passes" in lines[3]


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    assert fitting(["7 s", "3 of 4 units", "1,200 documents"], 20) == "7 s, 3 of 4 units"
    assert fitting(["7 s", "3 of 4 units"], 2) == "7 s"
    assert [clock(each) for each in (0.4, 59.6, 125, 11_220)] == ["0 s", "1:00 min", "2:05 min", "3:07 h"]
