"""Does cost grow with the input, and memory not? The same pages once, twice, 4 and 8 times over.

python benchmarks/scaling.py --warc FOLDER [--times 1 2 4 8] [--workers 2]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil

HERE = Path(__file__).parent


class Peak(threading.Thread):
    """Watches a process and all below it: the largest resident memory of any one parser process and worker."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.parser, self.worker = psutil.Process(pid), 0, 0
        self.over = threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        while not self.over.wait(0.2):
            for child in self.process.children(recursive=True):
                try:
                    command, resident = " ".join(child.cmdline()), child.memory_info().rss
                except psutil.Error:
                    continue
                if "mmedc.engine.child" in command:
                    self.parser = max(self.parser, resident)
                elif command.startswith("ray::"):
                    self.worker = max(self.worker, resident)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print("| times | pages | ingest s | pages/s | ms a page and core | parser process MB | worker MB |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for times in given.times:
        with tempfile.TemporaryDirectory() as folder:
            mix = [sys.executable, str(HERE / "mixes.py"), "--warc", given.warc, "--out", f"{folder}/warc"]
            subprocess.run([*mix, "--times", str(times), "--files", str(8 * times)], check=True, capture_output=True)
            run = [sys.executable, "-m", "mmedc", "run", "web", "--out", f"{folder}/out", "--json", "--quiet"]
            run += ["--cpus", str(given.workers), "--set", f"sources.pages.warc={folder}/warc/*.warc.gz"]
            with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
                peak = Peak(process.pid)
                peak.start()
                out, _ = process.communicate()
                peak.over.set()
            said = json.loads(out.strip().splitlines()[-1])
            pages, seconds = said["funnel"][0]["read"], said["seconds"]["ingest"]
            each = 1000 * sum(row["seconds"] for row in said["funnel"]) / pages
            sizes = f"{peak.parser / 1e6:.0f} | {peak.worker / 1e6:.0f}"
            print(f"| {times} | {pages:,} | {seconds:.1f} | {pages / seconds:.0f} | {each:.2f} | {sizes} |", flush=True)


if __name__ == "__main__":
    main()
