"""`mmedc doctor`: what mmedc finds on this machine, what is missing, and the command that gets it.

A check is a function that yields rows; `CHECKS` names them in the order of the screen. What the extras contain is read
from the metadata of the installed mmedc, so a new extra has a row at once; a program or font that one needs is a line
in `PROGRAMS`.
"""

import os
import platform
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from rich.console import Group
from rich.text import Text

from mmedc import __version__
from mmedc.errors import MmedcError
from mmedc.extras import NOT_FOR_USERS
from mmedc.filters import open_filters
from mmedc.recipe_parts import Limits
from mmedc.report.grid import Column, Grid, Passage
from mmedc.report.tables import human_bytes

PYTHON = (3, 11)
LEAST_DISK = 10 << 30  # bytes free below which a build of a real crawl will not fit
LEAST_FILES = 1_024  # open files of a process
CONNECT_S = 3.0

State = Literal["ok", "missing", "optional", "note"]


@dataclass(frozen=True)
class Row:
    """What one check found."""

    group: str
    subject: str
    state: State
    """`missing` is needed for building a corpus; `optional` is missing too, but only some commands need it."""
    found: str
    cure: str = ""
    """The command that gets what is missing, or what to do."""


@dataclass(frozen=True)
class Program:
    """A program that an extra needs and pip does not install."""

    name: str
    extra: str
    use: str
    cure: str


PROGRAMS = (
    Program("lmplz", "lm", "mmedc fit kenlm", "build it: https://github.com/kpu/kenlm, then give --tools its folder"),
)
"""Programs that are looked for where the extra that needs them is installed."""


def versions(_: str | None) -> Iterator[Row]:
    """Check Python, mmedc and the packages that it cannot do without."""
    here = platform.python_version()
    new_enough = sys.version_info[:2] >= PYTHON
    wanted = ".".join(map(str, PYTHON))
    yield Row(
        "versions", "Python", "ok" if new_enough else "missing", here, "" if new_enough else f"Python {wanted} or later"
    )
    yield Row("versions", "mmedc", "ok", f"{__version__} in {Path(__file__).parent.parent}")
    wrong = [problem for line in _requirements("") if (problem := _problem(line))]
    names = [re.split(r"[^\w.-]", line)[0] for line in _requirements("")]
    if not names:
        yield Row("versions", "packages", "missing", "no metadata of mmedc", "pip install mmedc")
    elif wrong:
        yield Row("versions", "packages", "missing", "; ".join(wrong), "pip install --upgrade mmedc")
    else:
        key = ", ".join(f"{name} {metadata.version(name)}" for name in ("ray", "pyarrow", "numpy") if name in names)
        yield Row("versions", "packages", "ok", f"all {len(names)} that mmedc needs: {key} …")


def models(_: str | None) -> Iterator[Row]:
    """Check the models that the shipped filters name."""
    filters = open_filters()
    for name in filters.models():
        try:
            yield Row("models", name, "ok", filters.model(name).path)
        except MmedcError as problem:
            cure = f"mmedc models get {name}" if name == "lid" else "install mmedc again"
            yield Row("models", name, "missing", str(problem).split(";")[0], cure)


def extras(_: str | None) -> Iterator[Row]:
    """Check the optional packages, extra by extra, and the programs that the installed ones need."""
    installed = set[str]()
    for extra in sorted(metadata.metadata("mmedc").get_all("Provides-Extra") or ()):
        if extra in NOT_FOR_USERS:
            continue
        missing = [problem for line in _requirements(extra) if (problem := _problem(line))]
        if missing:
            yield Row("extras", extra, "optional", "; ".join(missing), f"pip install 'mmedc[{extra}]'")
        else:
            installed.add(extra)
            yield Row("extras", extra, "ok", "installed")
    for program in PROGRAMS:
        if program.extra in installed:
            path = shutil.which(program.name)
            found = path or f"not on the PATH; {program.use} needs it"
            yield Row("extras", program.name, "ok" if path else "optional", found, "" if path else program.cure)


def ray(address: str | None) -> Iterator[Row]:
    """Check Ray: its version, the token, and whether a cluster answers."""
    try:
        yield Row("Ray", "package", "ok", metadata.version("ray"))
    except metadata.PackageNotFoundError:
        yield Row("Ray", "package", "missing", "not installed", "pip install mmedc, or give every run --inline")
        return
    where = address or os.environ.get("RAY_ADDRESS", "")
    if where:
        host, _, port = where.removeprefix("ray://").rpartition(":")
        answers = port.isdigit() and _answers(host, int(port))
        cure = "" if answers else "is Ray up there, and is this HOST:PORT of its head (6379)?"
        yield Row("Ray", where, "ok" if answers else "missing", "answers" if answers else "does not answer", cure)
    else:
        yield Row("Ray", "cluster", "note", "none named; mmedc run starts Ray here; --address HOST:PORT checks one")
    token = os.environ.get("RAY_AUTH_TOKEN_PATH") or str(Path.home() / ".ray" / "auth_token")
    if "RAY_AUTH_TOKEN" in os.environ:
        yield Row("Ray", "token", "ok", "in RAY_AUTH_TOKEN")
    elif Path(token).is_file():
        yield Row("Ray", "token", "ok", token)
    elif where:
        yield Row("Ray", "token", "note", "none", "a cluster with RAY_AUTH_MODE=token asks for it: RAY_AUTH_TOKEN_PATH")
    else:
        yield Row("Ray", "token", "note", "none yet; the first run here makes one")


def machine(_: str | None) -> Iterator[Row]:
    """Check cores, memory, disks and limits of this machine."""
    import psutil

    cores, memory = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        psutil.virtual_memory(),
    )
    yield Row("machine", "cores", "ok", f"{cores} for this process, {os.cpu_count()} in all")
    each = Limits().memory
    enough = memory.available >= each
    fits = max(memory.available // each, 1)
    cure = f"--cpus {fits}, or a lower limits.memory in the recipe" if cores > fits else ""
    found = f"{human_bytes(memory.available)} available of {human_bytes(memory.total)}"
    found += f"; a parser process may take {human_bytes(each)}"
    yield Row("machine", "memory", "ok" if enough and not cure else "note", found, cure)
    places = {"disk here": ".", "disk for temporary files": tempfile.gettempdir(), "/dev/shm": "/dev/shm"}
    for name, folder in places.items():
        if os.path.isdir(folder):
            free = shutil.disk_usage(folder).free
            found = f"{human_bytes(free)} free in {os.path.abspath(folder)}"
            if free < LEAST_DISK and name != "/dev/shm":
                yield Row("machine", name, "note", found, "a build needs about the size of its compressed input")
            else:
                yield Row("machine", name, "ok", found)
    files = _open_files()
    if files is not None:
        low = files < LEAST_FILES
        cure = "ulimit -n 65536" if low else ""
        yield Row("machine", "open files", "note" if low else "ok", f"{files:,} at once", cure)
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    found = f"{gpus} of NVIDIA" if gpus else "none; only training, scoring and the pass classify use them"
    yield Row("machine", "GPUs", "ok" if gpus else "note", found)


CHECKS: tuple[Callable[[str | None], Iterator[Row]], ...] = (versions, models, ray, machine, extras)
"""Every check takes the address of a Ray cluster, if one is named."""


def examine(address: str | None = None) -> list[Row]:
    """Return what all checks found."""
    return [row for check in CHECKS for row in check(address)]


def _requirements(extra: str) -> list[str]:
    """Return the packages that mmedc needs with `extra`; without one, those that it always needs."""
    try:
        lines = metadata.requires("mmedc") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for line in lines:
        package, _, marker = line.partition(";")
        named = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if (named[1] if named else "") == extra:
            found.append(package.strip())
    return found


def _problem(requirement: str) -> str:
    """Return what is wrong with a required package, or nothing: it is not installed, or of another version."""
    name = re.split(r"[^\w.-]", requirement)[0]
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"
    try:
        from packaging.requirements import Requirement  # Ray brings it
    except ImportError:
        return ""
    wanted = Requirement(requirement).specifier
    return "" if wanted.contains(version, prereleases=True) else f"{name} is {version}, not {wanted}"


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def _open_files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


STYLES: dict[State, str] = {"ok": "green", "missing": "bold red", "optional": "", "note": "yellow"}


def doctor_tables(rows: list[Row]) -> Group:
    """Return the screen of `mmedc doctor`: a table for each group, then what to do."""
    parts: list[Any] = []
    for group in dict.fromkeys(row.group for row in rows):
        mine = [
            (row.subject, Text("not installed" if row.state == "optional" else row.state, STYLES[row.state]), row.found)
            for row in rows
            if row.group == group
        ]
        parts += [Grid([Column(group), Column(""), Column("found", wrap=True)], mine), ""]
    cures = [row for row in rows if row.cure]
    if cures:
        parts.append(
            Grid([Column("to change it"), Column("do", wrap=True)], [(row.subject, row.cure) for row in cures])
        )
        parts.append("")
    missing = [row.subject for row in rows if row.state == "missing"]
    last = f"missing: {', '.join(missing)}" if missing else "mmedc has all that it needs to build a corpus"
    parts.append(Passage(last, style="bold red" if missing else "bold green"))
    return Group(*parts)


def as_json(rows: list[Row]) -> dict[str, Any]:
    """Return the rows as JSON values; `sound` is false where something is missing that every build needs."""
    return {"sound": all(row.state != "missing" for row in rows), "checks": [asdict(row) for row in rows]}
