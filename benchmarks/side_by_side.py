"""mmedc and a peer over the same files, in turn, with equal workers; one command.

    python benchmarks/side_by_side.py FOLDER [--peer datatrove] [--workers 2] [--rounds 3] [--medical]

FOLDER holds WARC files, or Parquet files with the columns `text` and `url`. `--medical` adds mmedc's
medical rule to the end of datatrove's pipeline; Data-Juicer, which reads no WARC, always has it. A peer
runs in an environment of its own, which is made at the first call (`.venv-datatrove`, `.venv-data-juicer`).
"""

import argparse
import ctypes
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmedc.filters import open_filters
from mmedc.policy import read_policy

HERE = Path(__file__).parent
PR_SET_CHILD_SUBREAPER = 36
LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")


PEERS = {"datatrove": "datatrove_pipeline.py", "data-juicer": "juicer_pipeline.py"}


def environment(peer: str) -> str:
    """Return the Python of a peer's environment, made if it is not there."""
    folder = HERE.parent / f".venv-{peer}"
    python = folder / "bin" / "python"
    done = folder / ".done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / f"{peer}.txt"], check=True)
        done.touch()
    return str(python)


def terms_file(folder: Path) -> Path:
    """Write mmedc's lexicons and limits for a peer's last filter and return the file."""
    policy = read_policy("balanced", LANGUAGES)
    config = {
        code: {
            "terms": [term.forms for term in one.lexicon],
            "min_terms": one.limits["medical_terms"].min,
            "min_density": one.limits["medical_density"].min,
        }
        for code, one in policy.languages.items()
    }
    path = folder / "terms.json"
    path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    return path


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends before them, so that their CPU time is counted (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def timed(command: list[str], folder: Path) -> tuple[float, float, dict]:
    """Run a command from an empty folder and return (wall seconds, CPU seconds, the JSON of its last line).

    The CPU time is that of the command and of all processes that it started and that have ended, start-up included.
    """
    shutil.rmtree(folder, ignore_errors=True)
    used, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    while True:  # the workers of a cluster may end a little later than its driver
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return wall, cpu, json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--peer", choices=PEERS, default="datatrove")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--medical", action="store_true")
    given = parser.parse_args()
    adopt_orphans()
    python = environment(given.peer)
    input_folder = Path(given.folder).resolve()
    of_text = any(input_folder.glob("*.parquet"))
    size = sum(path.stat().st_size for path in input_folder.iterdir())
    rates: dict[str, list[tuple[float, float, float]]] = {"mmedc": [], given.peer: []}
    with tempfile.TemporaryDirectory() as temporary:
        out = {name: Path(temporary) / name for name in rates}
        theirs = [python, str(HERE / PEERS[given.peer]), str(input_folder), str(out[given.peer])]
        theirs += ["--workers", str(given.workers), "--lid", open_filters().model("lid").path]
        if given.peer == "datatrove":
            theirs += ["--tasks", str(max(given.workers, len(list(input_folder.glob("part*")))))]
        if given.medical or given.peer == "data-juicer":
            theirs += ["--terms", str(terms_file(Path(temporary)))]
        source = f"{{parquet: {input_folder}/*.parquet, text: text, url: url}}" if of_text else ""
        source = source or f"{{warc: {input_folder}/*.warc.gz}}"
        ours = [sys.executable, "-m", "mmedc", "run", "web", "--out", str(out["mmedc"]), "--json", "--quiet"]
        ours += ["--cpus", str(given.workers), "--set", f"sources.pages={source}"]
        for number in range(given.rounds):
            for name, command in (("mmedc", ours), (given.peer, theirs)):
                seconds, cpu, said = timed(command, out[name])
                if name == "mmedc":
                    # The peer is given its pages as mmedc counted them, also those that its reader loses.
                    read = read_here = said["funnel"][0]["read"]
                    first, kept = said["seconds"]["ingest"], said["documents"]
                else:
                    read_here, first, kept = said["read"], said["stages"]["extract"], said["kept"]
                rates[name].append((read / seconds, read / first, read / cpu))
                print(
                    f"round {number + 1} {name:<11} {seconds:7.1f} s, of which ingest {first:7.1f} s; "
                    f"CPU {cpu:7.1f} s; "
                    f"read {read_here:,} kept {kept:,}",
                    flush=True,
                )
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {given.workers} workers each")
    print(f"{read:,} documents, {size / 1e6:.1f} MB; start-up included\n")
    print(f"| documents/s (medians) | mmedc | {given.peer} | ratio (each pair) |\n|---|--:|--:|--:|")
    for at, what in enumerate(("whole road", "ingest", "whole road, of CPU time")):
        mine, peer = ([rate[at] for rate in rates[name]] for name in rates)
        ratios = sorted(a / b for a, b in zip(mine, peer, strict=True))
        spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        print(f"| {what} | {statistics.median(mine):.1f} | {statistics.median(peer):.1f} | {spread} |")


if __name__ == "__main__":
    main()
