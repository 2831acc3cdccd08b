"""Nodes added and removed under a build: its result is that of a calm build on one machine.

    python benchmarks/cluster/nodes.py --warc FOLDER [--nodes 4] [--files 16] [--folder FOLDER]

Raylets with one CPU each, started in different folders, run the shipped recipe `web`. While it runs, one node is killed
and another joins, twice. Then a node that does not see `--out` joins, and the preflight refuses it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from raylets import Raylets


def mmedc(*words: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mmedc", *words, "--json"]
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def ended(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=1800)
    if out and not out.startswith("{"):
        print(f"not JSON: {out[:2000]}", flush=True)
    last = out.strip().splitlines()[-1:]
    return {"code": process.returncode, "said": err.strip()[-300:], **(json.loads(last[0]) if last else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        for part in ("here", "hidden"):
            (folder / part).mkdir()
        mixes = [sys.executable, str(Path(__file__).parent.parent / "mixes.py"), "--warc", given.warc]
        subprocess.run([*mixes, "--out", str(folder / "here/warc"), "--files", str(given.files)], check=True)
        build = ("run", "web", "--set", "sources.pages.warc=warc/*.warc.gz")
        begun = time.monotonic()
        calm = ended(mmedc(*build, "--out", "calm", "--inline", cwd=folder / "here"))
        print(f"one process: {time.monotonic() - begun:.0f} s, {calm['digest']}", flush=True)
        with Raylets(folder, given.nodes, folder / "hidden") as cluster:
            for moving in (False, True):
                begun = time.monotonic()
                out = "moving" if moving else "still"
                process = mmedc(*build, "--out", out, "--address", cluster.address, cwd=folder / "here")
                changes = 0
                while moving and process.poll() is None and changes < 2:
                    done = list((folder / "here" / out / ".work").glob("ingest-*/units/*.json"))
                    if len(done) >= 2 + 4 * changes:
                        cluster.remove(given.nodes - 1 - changes)
                        cluster.add(given.nodes + changes)
                        changes += 1
                    time.sleep(0.1)
                found = ended(process)
                same = found.get("digest") == calm["digest"]
                what = f"{changes} nodes killed, {changes} joined" if moving else f"{given.nodes} nodes"
                print(
                    f"{what}: {time.monotonic() - begun:.0f} s, exit {found['code']}, same digest: {same}", flush=True
                )
                if not same:
                    print(found)
            cluster.add(given.nodes + 9, blind=True)
            refused = ended(mmedc(*build, "--out", "../hidden/out", "--address", cluster.address, cwd=folder / "here"))
            print(f"a node that does not see --out: exit {refused['code']}\n{refused['said']}", flush=True)
            asked = ("check", *build[1:], "--out", "../hidden/out", "--address", cluster.address)
            print(f"mmedc check: exit {ended(mmedc(*asked, cwd=folder / 'here'))['code']}", flush=True)


if __name__ == "__main__":
    main()
