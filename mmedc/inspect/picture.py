"""Pictures of PDF pages, drawn in a process of their own, because a PDF may crash or occupy what draws it."""

import resource
import subprocess
import sys
import threading
from collections import OrderedDict

from mmedc.inputs import list_inputs
from mmedc.inspect.files import Opened
from mmedc.storage import is_local

SECONDS = 20
MEMORY = 2 << 30
KEPT = 16
DPI = 100.0


class Pictures:
    """The PDF files of a corpus that are reachable on this machine, and the last pictures of their pages."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self._paths: dict[str, dict[str, str]] = {}
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def path(self, source: str, provenance: str) -> str | None:
        """Return the PDF file of a document; None for one of another kind, or that is not here.

        Only files that the recipe's source lists are found, by their whole names: what a document says is no path.
        """
        name = provenance.partition("#")[0]
        if not name.lower().endswith(".pdf"):
            return None
        if source not in self._paths:
            self._paths[source] = self._listed(source)
        return self._paths[source].get(name)

    def _listed(self, source: str) -> dict[str, str]:
        from mmedc.sources import format_of  # brings the parsers, which take a second to import

        recipe = self.opened.recipe
        config = recipe.sources.get(source) if recipe else None
        if config is None:
            return {}
        try:
            suffixes = format_of(config).suffixes
            every = [each for path in config.paths if is_local(path) for each in list_inputs(path, suffixes)]
        except Exception:  # a source that is gone has no files
            return {}
        return {each.name: each.url for each in every if each.url.lower().endswith(".pdf")}

    def png(self, path: str, page: int) -> bytes | None:
        """Return page `page`, from 1, as PNG; None where it cannot be drawn."""
        with self._lock:  # one at a time
            if (path, page) in self._kept:
                self._kept.move_to_end((path, page))
                return self._kept[path, page]
            command = [sys.executable, "-m", "mmedc.inspect.picture", path, str(page)]
            try:
                done = subprocess.run(
                    command, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
                )
            except (subprocess.TimeoutExpired, OSError):
                return None
            if done.returncode or not done.stdout.startswith(b"\x89PNG"):
                return None
            self._kept[path, page] = done.stdout
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return done.stdout


def draw(path: str, page: int) -> bytes:
    """Return a page as PNG. Raises: Unreadable, IndexError."""
    from mmedc.books.pdf.glyphs import Pdfium
    from mmedc.books.pdf.picture import pixels, png

    file = Pdfium(path)
    if not 1 <= page <= file.pages:
        raise IndexError(page)
    return png(pixels(file, page - 1, DPI))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stdout.buffer.write(draw(sys.argv[1], int(sys.argv[2])))
