"""The location of the data that ships with mmedc: `filters/`, `pipelines/`, `cluster/`, installed or in a checkout."""

from pathlib import Path

from mmedc.errors import RequestError

SHIPPED = "shipped:"
"""The prefix of paths below the shipped `pipelines/`, as in `shipped:quickstart/pages.warc.gz`."""


def shipped(name: str) -> Path:
    """Return the shipped folder `name` (`filters`, `pipelines` or `cluster`).

    A wheel carries it inside the package; a checkout has it beside the package.

    Raises: RequestError when neither has it (a broken installation).
    """
    package = Path(__file__).parent
    for folder in (package / "_shipped" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise RequestError(f"{package}: the folder {name}/ that ships with mmedc is missing; install mmedc again")


def shipped_file(path: str) -> Path:
    """Return the file or folder that `shipped:NAME` names, below `pipelines/`; it need not exist."""
    return shipped("pipelines") / path.removeprefix(SHIPPED)
