"""What a build costs the process that drives it, by the number of units, of rejected records and of texts.

    python benchmarks/driver.py units [--units 1000 10000 100000] [--profile]
    python benchmarks/driver.py rejects [--megabytes 60 240]
    python benchmarks/driver.py publish [--megabytes 250 1000]

`units`: the inputs are small Parquet files whose footers are all read; every task returns at once a result as large as
that of a real one, so that what is measured is the driver alone: planning, composing all passes (it makes units,
pickles them and reads results, as it does on Ray), composing them again with everything committed, describing and
laying out. The time in which the results are made is taken off. `rejects`: a build of WARC files of which each record
is broken. `publish`: a build of distinct texts, seconds from the pass before `publish` to the end. The last two run on
Ray with two workers; the bytes are those that the driver read and wrote (`rchar` and `wchar` of `/proc/PID/io`, in
which pipes and sockets count too). Each size has a process of its own.
"""

import argparse
import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

ROWS, TEXT_BYTES, FILE_BYTES = 1_000, 4_000_000, 1_300_000  # of the documents of a unit
LINKS = 30_000  # names of one file; a file system allows about twice as many
QUIET = {"open", "doubtful"}
"""Counts that make further passes run; they are 0 here."""


def peak_mb() -> int:
    """Return the largest resident memory of this process since `reset_peak`, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    raise AssertionError("no VmHWM")


class Stage:
    """Measures a part of the work: wall and CPU seconds, without those of making results, and peak memory."""

    def __init__(self, name: str, runner: "Stub | None" = None, profile: bool = False) -> None:
        self.name, self.runner, self.profile = name, runner, profile

    def __enter__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self.begun = time.perf_counter(), time.process_time(), *(self.runner.spent if self.runner else (0, 0))
        if self.profile:
            import cProfile

            self.profiler = cProfile.Profile()
            self.profiler.enable()

    def __exit__(self, *_: object) -> None:
        spent = self.runner.spent if self.runner else (0, 0)
        wall = time.perf_counter() - self.begun[0] - (spent[0] - self.begun[2])
        cpu = time.process_time() - self.begun[1] - (spent[1] - self.begun[3])
        if self.profile:
            import pstats

            self.profiler.disable()
            pstats.Stats(self.profiler).sort_stats("cumulative").print_stats(30)
        print(f"| {self.name} | {wall:.2f} | {cpu:.2f} | {peak_mb()} |", flush=True)


class Stub:
    """A runner whose tasks return made-up results, and which commits them below the store."""

    def __init__(self, commits: bool) -> None:
        self.commits, self.sent, self.spent = commits, 0, (0.0, 0.0)

    def run(self, current: Any, units: list[Any], store: Any) -> Iterator[Any]:
        """Yield the result of each unit; see `mmedc.engine.run.Runner`."""
        from mmedc.engine.run import Progress
        from mmedc.engine.unit import Commit, CommitFormat, Streamed

        work, form = current.work, CommitFormat(current.work)
        self.sent += len(pickle.dumps(work))
        run: Any = type(work.finish).__call__ if isinstance(work, Streamed) else type(work).run
        kind = get_type_hints(run)["return"]
        folder = Path(store.url, current.folder, "units")
        folder.mkdir(parents=True, exist_ok=True)
        for unit in units:
            self.sent += len(pickle.dumps(unit))
            begun = time.perf_counter(), time.process_time()
            data = form.dump(Commit(unit.id, unit.label, made_up(kind, unit.id, ""), 1.0))
            if self.commits:
                (folder / f"{unit.id}.json").write_bytes(data)
            wall, cpu = self.spent
            self.spent = wall + time.perf_counter() - begun[0], cpu + time.process_time() - begun[1]
            yield Progress(done=form.load(data))


def made_up(kind: Any, unit: str, name: str) -> Any:
    """Return a value of type `kind`, as large as that of a real unit."""
    from mmedc.engine.chain import Count
    from mmedc.engine.selection import Size
    from mmedc.engine.unit import DataFile

    if kind is DataFile:
        digest = hashlib.sha256(f"{unit}{name}".encode()).hexdigest()
        return DataFile(f"{name}/{unit}-{digest[:12]}.parquet", digest, ROWS, FILE_BYTES)
    if kind is str:
        return ""
    if kind is int:
        return 0 if name in QUIET or (name == "rows" and not unit) else 1
    if kind == dict[str, Count]:
        steps = ("limits", "dedup") if name == "funnel-select" else tuple(f"step{number}" for number in range(12))
        return {step: Count(ROWS, ROWS, {"short": 0}, {}, 0.1) for step in steps}
    if kind == dict[str, Size]:
        return {"en": Size(ROWS, TEXT_BYTES)}
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        values = {}
        for field in fields(kind):
            label = field.name
            if label == "funnel" and kind.__name__ == "Selected":
                label = "funnel-select"
            values[field.name] = made_up(hints[field.name], unit, label)
        if "text_bytes" in values:
            values["text_bytes"] = TEXT_BYTES
        if kind.__name__ == "Released":
            values["rows"] = 0
        return kind(**values)
    if getattr(kind, "__origin__", None) is dict:
        return {}
    return None if "None" in str(kind) else ()


def write_inputs(folder: Path, count: int) -> None:
    """Write `count` small Parquet files, which share their content."""
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number:06d}.parquet"
        if number % LINKS:
            os.link(folder / f"{number - number % LINKS:06d}.parquet", path)
        else:
            pq.write_table(pa.table({"text": [f"The fever {number} was gone."] * 8}), path)


def measure_units(count: int, folder: Path, profile: bool) -> None:
    """Print a row of seconds and memory for each stage of a build of `count` units."""
    from mmedc.engine.journal import Journal
    from mmedc.pipeline.build import Build, Running
    from mmedc.pipeline.folder import claim
    from mmedc.pipeline.publish import describe, lay_out
    from mmedc.recipe import read_recipe

    write_inputs(folder / "in", count)
    text = f"name: many\nlanguages: [en]\nsources:\n  texts:\n    parquet: {folder}/in/*.parquet\n"
    text += "    kind: web\n    licence: none\nlimits:\n  unit: 1\n"
    (folder / "recipe.yaml").write_text(text)
    recipe = read_recipe(str(folder / "recipe.yaml"))
    print(f"\n{count:,} units\n\n| stage | wall s | CPU s | peak MB |\n|:--|--:|--:|--:|")
    with Stage("imports, and nothing"):
        pass
    with Stage("plan", profile=profile):
        build = Build.prepare(recipe, str(folder / "out"))
        claim(build.store, build.recipe)
    units = len(build.ingest.units)
    runner, journal = Stub(commits=True), Journal(build.store, "many")
    with Stage("compose", runner, profile), journal:
        running = Running(runner, build.store, journal)
        built = build.compose(running)
    with Stage("describe", profile=profile):
        columns = tuple(field.name for field in build.columns)
        manifest = describe(
            recipe, build.policy.name, columns, running.digest, built.shards, built.accounts, built.shares,
            built.counts, built.rejects, built.keys, built.crawled, None, built.trimmed, (),  # nothing is written
        )  # fmt: skip
    with Stage("lay out", runner, profile):
        lay_out(build.store, manifest, built.placements, runner, journal)
    files, sent = len(built.placements), runner.sent
    del built, running, manifest
    again, journal = Stub(commits=True), Journal(build.store, "many")
    with Stage("resume, all committed", again, profile), journal:
        build.compose(Running(again, build.store, journal))
    assert not again.sent
    print(f"\n{units:,} units, {files:,} files, {sent / 1e6:.0f} MB sent to tasks")


def write_texts(folder: Path, megabytes: int) -> None:
    """Write Parquet files of distinct texts of made-up medical sentences, about 12 KB each."""
    folder.mkdir(parents=True)
    draw, number = random.Random(1), 0
    subjects = [
        "The patient",
        "The nurse",
        "A physician",
        "The surgeon",
        "Our clinic",
        "The trial",
        "This vaccine",
        "The therapy",
    ]
    verbs = ["reported", "treated", "examined", "described", "reduced", "followed", "prevented", "measured"]
    objects = [
        "a fever",
        "the infection",
        "high blood pressure",
        "chronic pain",
        "the tumour",
        "an acute asthma attack",
    ]
    ends = [
        "after surgery",
        "in the second week",
        "with antibiotics",
        "during pregnancy",
        "in older adults",
        "before discharge",
    ]
    for at in range(0, megabytes, 50):
        texts = []
        for _ in range(min(50, megabytes - at) * 1_000_000 // 12_000):
            lines, size = [], 0
            while size < 12_000:
                number += 1
                parts = (draw.choice(subjects), draw.choice(verbs), draw.choice(objects), draw.choice(ends))
                lines.append(f"{' '.join(parts)}, and the dose of case {number} was {draw.randrange(10**6)} mg.")
                size += len(lines[-1]) + 1
            texts.append("\n".join(lines))
        pq.write_table(pa.table({"text": texts}), folder / f"{at:05d}.parquet", row_group_size=500)


def write_broken(folder: Path, megabytes: int) -> None:
    """Write WARC files of pages that say that they are compressed, which they are not: 200 kB of noise each."""
    folder.mkdir(parents=True)
    draw, number = random.Random(1), 0
    for at in range(0, megabytes, 20):
        with open(folder / f"{at:05d}.warc", "wb") as file:
            for _ in range(min(20, megabytes - at) * 5):
                number += 1
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
                body = head + b"\x1f\x8b\x08\x00" + draw.randbytes(200_000)
                file.write(
                    b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://broken.example/%d\r\n"
                    b"WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-%012d>\r\n"
                    b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
                    % (number, number, len(body), body)
                )


def measure_run(what: str, megabytes: int, folder: Path) -> None:
    """Print a row of what a build of `megabytes` of input costs its driver."""
    (write_texts if what == "publish" else write_broken)(folder / "in", megabytes)
    key, suffix = ("parquet", "parquet") if what == "publish" else ("warc", "warc")
    text = f"name: many\nlanguages: [en]\nsources:\n  texts:\n    {key}: {folder}/in/*.{suffix}\n    kind: web\n"
    text += "    licence: none\ndedup:\n  minhash: false\nprivacy: false\nlimits:\n  unit: 25MB\n"
    (folder / "recipe.yaml").write_text(text)
    run = [sys.executable, "-m", "mmedc", "run", str(folder / "recipe.yaml"), "--out", str(folder / "out")]
    begun = time.perf_counter()
    with subprocess.Popen(
        [*run, "--quiet", "--json", "--cpus", "2", "--address", "local"], stdout=subprocess.PIPE, text=True
    ) as process:
        proc, keys, last, peak = Path(f"/proc/{process.pid}"), None, (0, 0), 0
        while process.poll() is None:
            try:
                status, io = (proc / "status").read_text(), (proc / "io").read_text()
                cpu = sum(map(int, (proc / "stat").read_text().rsplit(")", 1)[1].split()[11:13]))
                peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
            except (OSError, IndexError):
                break
            last = (sum(int(line.split()[1]) for line in io.splitlines()[:2]), cpu)
            if keys is None and any((folder / "out/.work").glob("keys-*")):
                keys = time.perf_counter(), last, peak
            time.sleep(0.05)
        out, _ = process.communicate()
    ended = time.perf_counter()
    assert process.returncode == 0 and keys is not None, out
    manifest = json.loads((folder / "out/manifest.json").read_text())
    size = sum(shard["bytes"] for shard in manifest["shards"])
    texts = sum(shard["text_bytes"] for shard in manifest["shards"])
    ticks = os.sysconf("SC_CLK_TCK")
    print(
        f"| {megabytes} | {texts / 1e6:.0f} | {size / 1e6:.0f} | {ended - begun:.0f} | {ended - keys[0]:.1f} | "
        f"{(last[1] - keys[1][1]) / ticks:.1f} | {(last[0] - keys[1][0]) / 1e6:.1f} | {keys[2]} | {peak} |",
        flush=True,
    )


ROW = (
    "| input MB | texts MB | shards MB | build s | from `keys` on: s | driver CPU s | driver MB read and written | "
    "driver peak MB before | at the end |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("units", "rejects", "publish"))
    parser.add_argument("--units", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--megabytes", type=int, nargs="+")
    parser.add_argument("--folder", help="where to write; a temporary folder by default")
    parser.add_argument("--profile", action="store_true", help="of `units`: show where the time is spent")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only is not None:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            measure_units(given.only, Path(folder), given.profile)
    elif given.what == "units":
        for count in given.units:
            own = [sys.executable, __file__, "units", "--only", str(count)]
            own += ["--folder", given.folder] if given.folder else []
            subprocess.run([*own, *(["--profile"] if given.profile else [])], check=True)
    else:
        print(ROW, flush=True)
        for megabytes in given.megabytes or ([60, 240] if given.what == "rejects" else [250, 1000]):
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                measure_run(given.what, megabytes, Path(folder))


if __name__ == "__main__":
    main()
