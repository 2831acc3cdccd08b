"""Runs the tutorial notebook and writes its outputs into it: `python -m docs.notebook`.

The notebook runs in an empty folder, by the kernel of this environment. The kernel talks over files instead of ports.
"""

import json
import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "tutorial" / "explore-a-corpus.ipynb"
CELL_TIMEOUT_S = 300
COLUMNS = 100
COLOUR = re.compile(r"\\u001b\[[0-9;]*m")


def read() -> Any:
    """Return the notebook as it is stored."""
    return nbformat.read(NOTEBOOK, as_version=4)


def executed(notebook: Any, folder: Path) -> Any:
    """Run the cells of a notebook in `folder`, and return it with their outputs. Raises: CellExecutionError."""
    # A socket's path has 107 bytes at most, so it does not lie in `folder`.
    with tempfile.TemporaryDirectory() as sockets, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own libraries
        client = NotebookClient(
            notebook,
            km=AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel"),
            timeout=CELL_TIMEOUT_S,
            resources={"metadata": {"path": str(folder)}},
            shutdown_kernel="immediate",
            coalesce_streams=True,
        )
        client.execute(env={**os.environ, "COLUMNS": str(COLUMNS)})
    shown = json.dumps(notebook).replace(f"{folder}/", "")  # no folder of this machine is stored
    return nbformat.from_dict(json.loads(COLOUR.sub("", shown)))


def texts(notebook: Any) -> list[str]:
    """Return what each cell of code shows, as text."""
    return ["".join(_text(output) for output in cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: Any) -> str:
    found: Any = output.get("text") or output.get("data", {}).get("text/plain", "")
    return str(found)


def main() -> None:
    """Run the notebook and store it with its outputs."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(read(), Path(folder))
    for cell in notebook.cells:
        cell.metadata = {}
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
