"""mmedc and plain datatrove over the same WARC files, in turn, with equal workers; one command.

    python benchmarks/side_by_side.py --warc FOLDER [--workers 2] [--rounds 3] [--medical]

`--medical` adds mmedc's medical rule to the end of datatrove's pipeline. datatrove runs in an environment of its
own, which is made at the first call (`.venv-datatrove`).
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmedc.policy import find_model, read_policy

HERE = Path(__file__).parent
LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")


def environment() -> str:
    """Return the Python of datatrove's environment, made if it is not there."""
    folder = HERE.parent / ".venv-datatrove"
    python = folder / "bin" / "python"
    done = folder / ".done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "datatrove.txt"], check=True)
        done.touch()
    return str(python)


def terms_file(folder: Path) -> Path:
    """Write mmedc's lexicons and limits for datatrove's last filter and return the file."""
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


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Run a command from an empty folder and return (wall seconds, its output)."""
    shutil.rmtree(folder, ignore_errors=True)
    begun = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - begun, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--medical", action="store_true")
    given = parser.parse_args()
    python = environment()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        theirs = [python, str(HERE / "datatrove_pipeline.py"), given.warc, str(folder / "datatrove")]
        theirs += ["--workers", str(given.workers), "--lid", str(find_model("lid"))]
        if given.medical:
            theirs += ["--terms", str(terms_file(folder))]
        ours = [sys.executable, "-m", "mmedc", "run", "web", "--out", str(folder / "mmedc"), "--json", "--quiet"]
        ours += ["--cpus", str(given.workers), "--set", f"sources.pages.warc={Path(given.warc).resolve()}/*.warc.gz"]
        for number in range(given.rounds):
            seconds, out = timed(ours, folder / "mmedc")
            stats = json.loads(out)
            read = stats["funnel"][0]["read"]
            rows.append(("mmedc", read / seconds, seconds, read, stats["documents"]))
            seconds, out = timed(theirs, folder / "datatrove")
            stats = json.loads(out.strip().splitlines()[-1])
            # The peer is given its pages as mmedc counted them, also those that its reader loses.
            rows.append(("datatrove", read / seconds, seconds, stats["read"], stats["kept"]))
            for name, rate, spent, read_here, kept in rows[-2:]:
                counts = f"read {read_here:,} kept {kept:,}"
                print(f"round {number + 1} {name:<10} {rate:7.1f} documents/s  {spent:6.1f} s  {counts}", flush=True)
    median = {name: statistics.median(rate for who, rate, *_ in rows if who == name) for name in ("mmedc", "datatrove")}
    ratios = [a[1] / b[1] for a, b in zip(rows[::2], rows[1::2], strict=True)]
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {given.workers} workers each")
    print(f"mmedc {median['mmedc']:.1f} documents/s, datatrove {median['datatrove']:.1f} documents/s (medians)")
    print(f"ratio {statistics.median(ratios):.2f} (median of pairs; {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
