"""The steps of the Dockerfile where there is no builder of images: in a clean folder, with its paths in place of `/`.

    python benchmarks/cluster/image.py --folder FOLDER [--target cpu]

COPY and RUN are carried out in order, stage by stage; what changes users of the system is left out, and said. At the
end: the versions that are installed, and how large the result is.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LEFT_OUT = ("groupadd",)


def stages(text: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Return stage → (what it begins with, its instructions)."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.split()
            found[name] = base, []
        elif name:
            found[name][1].append((word, rest.strip()))
    return found


class Build:
    """A build of a target below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.done = folder, set[str]()
        self.environment = {"HOME": str(folder / "home"), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        self.environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        (folder / "home").mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
        self.environment["PATH"] = f"{folder / 'bin'}:/usr/bin:/bin"

    def below(self, text: str) -> str:
        """Return a text with the paths of the image as paths below the folder."""
        return re.sub(r"(?<![\w.])/(opt/mmedc|src|tmp/try)\b", lambda found: str(self.folder / found[1]), text)

    def stage(self, name: str, all_stages: dict[str, tuple[str, list[tuple[str, str]]]]) -> None:
        """Carry out a stage, and before it those that it needs."""
        base, lines = all_stages[name]
        if name in self.done:
            return
        self.done.add(name)
        if base in all_stages:
            self.stage(base, all_stages)
        here = self.folder
        for word, rest in lines:
            if word == "WORKDIR":
                here = Path(self.below(rest)) if rest.startswith("/src") else self.folder
                here.mkdir(parents=True, exist_ok=True)
            elif word == "ENV":
                for key, value in re.findall(r"(\w+)=(\S+)", self.below(rest)):
                    self.environment[key] = value.replace("$PATH", self.environment["PATH"])
            elif word == "COPY" and rest.startswith("--from="):
                self.stage(rest.split()[0].removeprefix("--from="), all_stages)  # into the same folder
            elif word == "COPY":
                self.copy(rest.split(), here)
            elif word == "RUN" and rest.startswith(LEFT_OUT):
                print(f"left out: {rest}", flush=True)
            elif word == "RUN":
                self.run(self.below(rest), here)

    def copy(self, words: list[str], here: Path) -> None:
        """Copy files and folders of the repository."""
        *sources, target = words
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, here / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, here)

    def run(self, command: str, here: Path) -> None:
        """Run a command, and stop where it fails."""
        begun = time.monotonic()
        subprocess.run(["sh", "-euc", command], cwd=here, env=self.environment, check=True)
        print(f"{time.monotonic() - begun:.0f} s: {command[:100]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="A folder that is not there yet.")
    parser.add_argument("--target", default="cpu")
    given = parser.parse_args()
    folder = Path(given.folder).resolve()
    folder.mkdir(parents=True)
    build = Build(folder)
    build.stage(given.target, stages((ROOT / "cluster" / "docker" / "Dockerfile").read_text("utf-8")))
    build.run("mmedc --version && ray --version && python --version", folder)
    size = sum(path.lstat().st_size for path in (folder / "opt").rglob("*"))
    print(f"/opt/mmedc: {size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
