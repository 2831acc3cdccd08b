"""Kills what builds a corpus, at random, again and again, and compares what is left with a calm build.

    python benchmarks/chaos.py [--rounds 10] [--every 3] [--times 6]     # N builds under fire, a row each
    python benchmarks/chaos.py --minutes 30                              # a soak: builds until the time is over

The input is the quickstart's, its pages `--times` over. From when workers are at work a victim is drawn by
`--seed` among the processes of the build: a parser, a Ray worker, the raylet, or the driver itself; each gets
SIGKILL. When the driver is gone the same command is given again. Exits with 1 when a document is lost or
doubled, a digest differs, or a process is left behind: but for Ray's own two agents, which outlive a raylet
that is killed (Ray 2.60) and are ended here.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

HERE = Path(__file__).parent
QUICKSTART = HERE.parent / "pipelines" / "quickstart"
WEIGHTS = {"parser": 4, "worker": 4, "raylet": 1, "driver": 1}
LEAVE_S = 90.0  # for what a build started to go after it
MOST_STARTS = 60  # of the driver in one round


def command(out: Path, pages: Path, cpus: int) -> list[str]:
    sets = ["--set", f"sources.pages.warc={pages}/*.warc.gz", "--set", f"sources.broken.warc={QUICKSTART}/broken*.gz"]
    return [
        sys.executable,
        "-m",
        "mmedc",
        "run",
        "quickstart",
        "--out",
        str(out),
        "--cpus",
        str(cpus),
        "--address",
        "local",
        "--json",
        *sets,
    ]


def kind(process: psutil.Process) -> str:
    """Return which part of a build a process is, or nothing."""
    words = process.cmdline()
    line = " ".join(words)
    if "mmedc.engine.child" in line:
        return "parser"
    if line.startswith(("ray::_", "ray::IDLE")):  # not Ray's own agents, without which its node ends itself
        return "worker"
    if line.startswith("ray::"):
        return "agent"
    return "raylet" if words and words[0].endswith("/raylet/raylet") else "other"


def victims(driver: psutil.Process) -> dict[str, list[psutil.Process]]:
    found: dict[str, list[psutil.Process]] = {"driver": [driver]}
    for one in driver.children(recursive=True):
        try:
            found.setdefault(kind(one), []).append(one)
        except psutil.NoSuchProcess:
            continue
    return found


@dataclass
class Round:
    """One build under fire."""

    said: dict[str, Any] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    seconds: float = 0.0
    orphans: int = 0


def under_fire(build: list[str], every: float, draw: random.Random) -> Round:
    """Give `build` until it is done, killing something about each `every` seconds."""
    done, begun = Round(), time.monotonic()
    while done.starts < MOST_STARTS:
        done.starts += 1
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(build, stdout=out, stderr=errors)
            family: dict[int, psutil.Process] = {}
            while process.poll() is None:
                try:
                    if not ({"worker", "parser"} & set(victims(psutil.Process(process.pid)))):
                        time.sleep(0.05)  # Ray is starting: nothing is under way that could be lost
                        continue
                except psutil.NoSuchProcess:
                    break
                pause = time.monotonic() + draw.expovariate(1 / every)
                while time.monotonic() < pause and process.poll() is None:
                    time.sleep(0.05)
                try:
                    found = victims(psutil.Process(process.pid))
                except psutil.NoSuchProcess:
                    break
                family |= {one.pid: one for some in found.values() for one in some}
                chosen = [name for name in WEIGHTS if found.get(name)]
                name = draw.choices(chosen, [WEIGHTS[one] for one in chosen])[0]
                if process.poll() is None:
                    try:
                        draw.choice(found[name]).kill()
                    except psutil.NoSuchProcess:
                        continue
                    done.faults[name] += 1
            process.wait()
            # A raylet takes up to half a minute to see that its driver is gone, and longer on a busy machine.
            _, alive = psutil.wait_procs([one for one in family.values() if one.is_running()], timeout=LEAVE_S)
            for one in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if (what := kind(one)) != "agent":
                        done.orphans += 1
                        print(f"left behind: {what} {' '.join(one.cmdline())[:200]}", file=sys.stderr)
                    one.kill()
            if process.returncode == 0:
                out.seek(0)
                done.said = json.loads(out.read().strip().splitlines()[-1])
                break
            errors.seek(0)
            words = errors.read()
            if "Traceback" in words and process.returncode > 0:
                print(f"a traceback (exit {process.returncode}):\n{words[-2000:]}", file=sys.stderr)
    done.seconds = time.monotonic() - begun
    return done


def ids(corpus: Path) -> list[str]:
    return [
        one for path in corpus.glob("data/*/*.parquet") for one in pq.read_table(path, columns=["id"])[0].to_pylist()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--minutes", type=float, help="as many rounds as fit in this time")
    parser.add_argument("--every", type=float, default=3.0, help="mean seconds between two kills")
    parser.add_argument("--times", type=int, default=6)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    wrong, total, begun = 0, Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "seed").mkdir()
        (folder / "seed" / "pages.warc.gz").symlink_to(QUICKSTART / "pages.warc.gz")
        mix = [sys.executable, str(HERE / "mixes.py"), "--warc", str(folder / "seed"), "--out", str(folder / "pages")]
        subprocess.run(
            [*mix, "--times", str(given.times), "--files", str(given.files)], check=True, capture_output=True
        )
        calm_out = folder / "calm"
        calm = json.loads(
            subprocess.run(command(calm_out, folder / "pages", given.cpus), check=True, capture_output=True).stdout
        )
        calm_ids = set(ids(calm_out))
        print(f"calm: {calm['funnel'][0]['read']:,} documents in, {calm['documents']:,} kept, {calm['digest']}\n")
        print(
            "| round | parser | worker | raylet | driver | starts | s | documents in | lost | doubled | orphans "
            "| digest equal |"
        )
        print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|", flush=True)
        number = 0
        while number < given.rounds if given.minutes is None else time.monotonic() - begun < 60 * given.minutes:
            number += 1
            out = folder / f"round-{number}"
            done = under_fire(
                command(out, folder / "pages", given.cpus), given.every, random.Random(given.seed * 1000 + number)
            )
            read = done.said["funnel"][0]["read"] if done.said else 0
            found = ids(out)
            lost, doubled = len(calm_ids - set(found)), len(found) - len(set(found))
            sound = (
                subprocess.run([sys.executable, "-m", "mmedc", "verify", str(out)], capture_output=True).returncode == 0
            )
            equal = done.said.get("digest") == calm["digest"] and read == calm["funnel"][0]["read"] and sound
            wrong += not equal or bool(lost or doubled or done.orphans)
            total += done.faults
            faults = " | ".join(str(done.faults[one]) for one in WEIGHTS)
            print(
                f"| {number} | {faults} | {done.starts} | {done.seconds:.0f} | {read:,} | {lost} | {doubled} | "
                f"{done.orphans} | {'yes' if equal else 'NO'} |",
                flush=True,
            )
            subprocess.run(["rm", "-rf", str(out)], check=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"\n{number} rounds in {minutes:.0f} minutes, {total.total()} faults ({dict(total)}), {wrong} rounds wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
