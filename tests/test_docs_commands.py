"""Runs every command that the documentation shows, page by page, against the sample that ships.

A block of `sh` that can't be run here (it needs a cluster, a server, data sets) follows `<!-- not run: REASON -->`. Of
such blocks, and of commands within sentences, the names and options are checked. `mmedc run` gets `--inline`, and
trainings are cut to a few steps.
"""

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.main import get_command

from docs.generate import walk
from mmedc.cli import app
from mmedc.policy import read_language
from mmedc.shipped import shipped
from tests.build_sample import read_pages
from tests.conftest import LANGUAGES
from tests.test_docs import PAGES, ROOT

FENCE = re.compile(r"(?:^<!-- not run: ([^\n]+) -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
TRAINED = ("runs/small", "models/small")  # what a page may need from the tutorial
SHIM = """#!{python}
import sys
arguments = sys.argv[1:]
if arguments[:1] in (["run"], ["train"]):
    arguments += ["--inline", "--quiet"]
if arguments[:1] == ["train"]:
    for short in ("steps=1", "checkpoints.every=1", "watch.evaluate_documents=1", "watch.questions=[]"):
        arguments += ["--set", short]
sys.argv[1:] = arguments
from mmedc.cli import main
main()
"""


NOT_RUN = {
    ("docs/how-to/inspect.md", "pip install"): "serves until it is interrupted",
    ("docs/how-to/inspect.md", "mmedc inspect"): "serves until it is interrupted",
    (
        "docs/how-to/laptop-to-cluster.md",
        "mmedc pipeline mmedc-small",
    ): "trains a model; the tutorial does it step by step",
    ("docs/how-to/laptop-to-cluster.md", "export RAY_AUTH_MODE=token"): "starts a cluster",
    ("docs/how-to/laptop-to-cluster.md", "mmedc submit recipe.yaml"): "needs a cluster",
    ("README.md", "make quickstart"): "creates an environment; the suite runs inside one",
    (
        "README.md",
        "python3 -m venv env",
    ): "creates an environment; tests/test_installation.py builds and runs the wheel",
    ("benchmarks/README.md", "make bench"): "needs crawls, data sets and the peers",
    ("benchmarks/README.md", "python benchmarks/chaos.py"): "takes minutes to hours",
    ("benchmarks/README.md", "python benchmarks/train.py"): "needs a corpus and a model",
    ("cluster/README.md", "pip install 'mmedc[metrics]'"): "needs a cluster",
    ("docs/how-to/publish.md", "mmedc publish corpus/quickstart hf://"): "needs a repository of yours",
    ("docs/how-to/forget.md", "mmedc forget corpus/mine"): "the page is one of yours",
    ("docs/how-to/crawl.md", "python -m http.server"): "starts a server that does not end",
    ("docs/how-to/crawl.md", "mmedc plan crawl.yaml"): "fetches from the web",
    ("docs/how-to/kubernetes.md", "docker build"): "needs Docker",
    ("docs/how-to/kubernetes.md", "kubectl apply"): "needs a cluster",
    ("docs/how-to/ray-up.md", "ray get-auth-token"): "needs a cloud",
    ("docs/how-to/slurm.md", "sbatch build.sbatch"): "needs Slurm",
    ("docs/how-to/slurm.md", "mmedc render slurm quickstart --out /shared/quickstart --workers 1"): "needs Slurm",
    ("docs/explanation/cascade.md", "python benchmarks/cascade_recall.py"): "needs the crawl of the benchmark",
    ("docs/explanation/extraction.md", "pip install 'mmedc[extractor]'"): "takes minutes",
    ("docs/how-to/books.md", "mmedc explain book.pdf"): "needs a book of yours",
    ("docs/explanation/scale.md", "python benchmarks/dedup_scale.py"): "takes an hour",
    ("docs/explanation/scale.md", "mmedc plan web --cluster"): "the files lie in a checkout",
    (
        "docs/how-to/fitting.md",
        "mmedc filters check nl",
    ): "ends with exit code 1, because the files are still to be filled in",
    ("docs/how-to/fitting.md", "python benchmarks/medical_filter.py"): "needs the data sets of the benchmark",
    ("docs/how-to/fitting.md", "python benchmarks/quality_texts.py"): "needs the data sets of the benchmark",
    ("docs/how-to/fitting.md", "mmedc fit labels"): "needs a server",
    ("docs/how-to/fitting.md", "pip download --no-deps --no-binary kenlm"): "builds KenLM from source",
    ("docs/how-to/scoring.md", "mmedc bench mmedc-small"): "needs models and MMedBench",
    ("docs/how-to/scoring.md", "mmedc items convert headqa"): "needs a server",
    ("docs/how-to/training.md", "mmedc run mmedc-small"): "the tutorial on training runs these commands",
    ("docs/how-to/training.md", "mmedc train finetune"): "needs a model and MMedBench",
    ("docs/tutorial/train-and-score.md", "pip install 'mmedc[train]'"): "installs packages",
}
"""(Page, how the block begins) → why it is not run; the page says the same above the block. Everything else is run."""

PYTHON_RUN_BY = {
    "docs/how-to/python.md": "test_python_that_a_page_shows_works",
    "docs/reference/corpus.md": "test_python_that_a_page_shows_works",
    "docs/how-to/sql.md": "test_python_that_a_page_shows_works",
    "docs/tutorial/first-corpus.md": "test_what_a_page_shows_works",
    "docs/how-to/datatrove.md": "test_what_a_page_shows_works",
    "docs/how-to/extending.md": "test_docs.py: test_the_measure_of_the_documentation_works and the one after it",
}
"""Page → the test that runs its Python."""


class Block(NamedTuple):
    """A block of code of a page; `reason` says why it is not run, or is empty."""

    page: Path
    language: str
    code: str
    reason: str


def blocks(page: Path) -> list[Block]:
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(page, language, code, reason) for reason, language, code in found if language in ("sh", "python")]


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if not block.reason]


COMMANDS = {names[1:]: command for names, command in walk(get_command(app), ("mmedc",))}


GLOBAL = {option for parameter in get_command(app).params for option in parameter.opts} | {"--help"}


def problem(line: str) -> str:
    """Return what is wrong with a line that begins with `mmedc`, or nothing: an unknown command or option."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: next((at for at, word in enumerate(words) if word in ("&&", "|", ">", ";")), len(words))]
    while words and words[0] in GLOBAL:
        words = words[1:]
    names = next((names for names in (tuple(words[:2]), tuple(words[:1])) if names in COMMANDS), None)
    if names is None:
        groups = {known[0] for known in COMMANDS}
        return "" if not words or words[0] in groups or words[0].isupper() else f"no command {words[0]}"
    known = {option for parameter in COMMANDS[names].params for option in parameter.opts} | {"--help"}
    given = [word.partition("=")[0] for word in words if re.match(r"--\w|-[a-z]$", word)]
    wrong = [option for option in given if option not in known]
    return f"mmedc {' '.join(names)} has no {', '.join(wrong)}" if wrong else ""


def shown_lines(code: str, program: str) -> Iterator[str]:
    """Yield the lines of a block that call `program`, continued lines joined."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            if part.strip().startswith(f"{program} "):
                yield part.strip()


def test_commands_and_options_that_are_shown_exist() -> None:
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in blocks(page) for line in shown_lines(block.code, "mmedc")]
        lines += [line for line in re.findall(r"`(mmedc [^`\n]+)`", text) if "|" not in line and "…" not in line]
        wrong += [f"{page.relative_to(ROOT)}: {line}: {what}" for line in lines if (what := problem(line))]
    for path in shipped("pipelines").glob("*.yaml"):
        comments = path.read_text(encoding="utf-8").replace("\\\n#", " ")
        lines = [part for line in re.findall(r"^#\s+(mmedc .*)$", comments, re.M) for part in line.split(" && ")]
        wrong += [f"{path.name}: {line}: {what}" for line in lines if (what := problem(line))]
    assert not wrong


def test_what_is_not_run_is_in_the_table_with_its_reason() -> None:
    skipped = [block for page in PAGES for block in blocks(page) if block.reason]
    found = {}
    for block in skipped:
        name = block.page.relative_to(ROOT).as_posix()
        key = next((key for key in NOT_RUN if key[0] == name and block.code.startswith(key[1])), None)
        assert key, f"{name}: this block is not run, and NOT_RUN does not have it:\n{block.code}"
        found[key] = block.reason
    assert found == NOT_RUN
    with_python = {page for page in PAGES if any(block.language == "python" for block in runnable(page))}
    assert {page.relative_to(ROOT).as_posix() for page in with_python} == set(PYTHON_RUN_BY)


def test_short_options_are_those_of_the_reference_in_all_commands() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    short = {long: short for short, long in re.findall(r"^\| `(-\w)` \| `(--[\w-]+)` \|", text, re.M)}
    assert len(short) == len(set(short.values())) > 10
    every = [(names, parameter.opts) for names, command in COMMANDS.items() for parameter in command.params]
    options = [(names, opts) for names, opts in every if opts[0].startswith("--") and opts != ["--help"]]
    assert not [(names, opts) for names, opts in options if opts[1:] != [short[o] for o in opts[:1] if o in short]]
    assert set(short) <= {opts[0] for _, opts in options}


def test_an_unknown_command_or_option_is_noticed() -> None:
    assert problem("mmedc run quickstart -x") == "mmedc run has no -x"
    assert problem("mmedc runn quickstart") == "no command runn"
    assert problem("mmedc run quickstart --otu x") == "mmedc run has no --otu"
    assert problem("mmedc items convert headqa X --out y") == ""


def test_scripts_and_targets_that_are_shown_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for block in blocks(page):
            for line in shown_lines(block.code, "python"):
                script, *words = shlex.split(line, comments=True)[1:]
                source = (ROOT / script).read_text(encoding="utf-8") if script.endswith(".py") else "--"
                missing = [word for word in words if word.startswith("--") and f'"{word}"' not in source]
                assert not missing, f"{page}: {line}"
            for line in shown_lines(block.code, "make"):
                assert re.search(rf"^{line.split()[1]}:", makefile, re.M), f"{page}: {line}"


def test_commands_stand_in_blocks_that_are_run_or_say_why_not() -> None:
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        assert not re.findall(r"^ {4}(?:mmedc|python|make) .*$", text, re.M), f"{page}: use a block of sh"
        bare = [
            code for _, language, code in FENCE.findall(page.read_text(encoding="utf-8")) if language in ("", "bash")
        ]
        assert not [code for code in bare if re.search(r"^(mmedc|python|make) ", code, re.M)], page


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, quickstart: Path) -> Path:
    """A folder with everything that the pages name: a crawl, questions, labelled texts, a page, a corpus."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(shipped("pipelines") / "quickstart", folder / "crawl", ignore=shutil.ignore_patterns("broken*"))
    shutil.copytree(shipped("pipelines") / "questions", folder / "questions")
    shutil.copytree(quickstart, folder / "corpus" / "quickstart")
    labelled = [
        {"text": text, "lang": lang, "label": page["label"], "source": f"half{number % 2} {page['path']}"}
        for lang in LANGUAGES
        for number, page in enumerate(read_pages(lang))
        for text in page["text"].split("\n\n")
    ]
    # The Spanish texts stand for a language that is not there yet; four times, because a term must be in three texts.
    seeds = 4 * [{**row, "lang": "pt"} for row in labelled if row["lang"] == "es"]
    for name, rows in (("labelled", labelled), ("seeds", seeds)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    terms = [", ".join(term.forms) for term in read_language("de").lexicon]
    (folder / "terms.txt").write_text("\n".join(terms), encoding="utf-8")
    options = {"A": "Liver", "B": "Pancreas"}
    item = {"id": "1", "lang": "en", "question": "Which organ produces insulin?", "options": options, "answer": "B"}
    (folder / "filed.jsonl").write_text(json.dumps({**item, "rationale": "Islets of the pancreas do. B"}) + "\n")
    answers = [{"aid": number, "atext": text} for number, text in enumerate(("Hígado", "Páncreas"), 1)]
    question = {"qid": "1", "qtext": "¿Qué órgano produce la insulina?", "ra": "2", "image": "", "answers": answers}
    exam = {"name": "e", "year": "2013", "category": "medicine", "data": [question]}
    (folder / "HEAD").mkdir()
    whole = {"version": 1, "language": "es", "exams": {"e": exam}}
    (folder / "HEAD" / "test_ES_HEAD.json").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    (folder / "page.html").write_text("<html><body><p>Radish and chicken, simmered for an hour.</p></body></html>")
    return folder


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose `mmedc` is this checkout's, without Ray and with short trainings."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "mmedc").write_text(SHIM.format(python=sys.executable))
    (folder / "mmedc").chmod(0o755)
    python = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": python, "COLUMNS": "120"}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, program: dict[str, str]) -> Path:
    """What the tutorial on training leaves, for the pages that go on from it."""
    folder = tmp_path_factory.mktemp("trained")
    for block in runnable(ROOT / "docs" / "tutorial" / "train-and-score.md"):
        run(block, folder, program)
    return folder


def run(block: Block, folder: Path, program: dict[str, str]) -> None:
    shell = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-W", "error", "-c"]
    done = subprocess.run([*shell, block.code], cwd=folder, env=program, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{block.page}:\n{block.code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _needs_training(page: Path) -> bool:
    return any(name in block.code for block in runnable(page) for name in TRAINED)


SHOWN = [page for page in PAGES if any(block.language == "sh" for block in runnable(page))]


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_shows_works(
    page: Path, sample: Path, program: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if page.name == "train-and-score.md":
        assert (request.getfixturevalue("trained") / "models" / "small" / "config.json").is_file()
        return
    folder = tmp_path / "here"
    shutil.copytree(sample, folder)
    if _needs_training(page):
        shutil.copytree(request.getfixturevalue("trained"), folder, dirs_exist_ok=True)
    if "mmedc run quickstart --out corpus/quickstart\n" in page.read_text(encoding="utf-8"):
        shutil.rmtree(folder / "corpus")
    for block in runnable(page):
        run(block, folder, program)


@pytest.mark.parametrize("page", ["docs/reference/corpus.md", "docs/how-to/python.md", "docs/how-to/sql.md"])
def test_python_that_a_page_shows_works(page: str, sample: Path, program: dict[str, str]) -> None:
    for block in runnable(ROOT / page):
        run(block, sample, program)
