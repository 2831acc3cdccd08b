"""Marks that people put on documents: a file of JSON lines beside the corpus, and labels made of it.

A mark is a line; the last line of a document counts. The corpus itself is never changed.
"""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from mmedc.errors import RequestError, StorageError
from mmedc.inspect.files import Opened
from mmedc.inspect.reading import document

KINDS = {
    "right": "right as it is",
    "not_medical": "not medical",
    "wrong_language": "wrong language",
    "bad_extraction": "bad extraction",
    "duplicate": "duplicate",
    "private": "private data",
    "other": "other",
}
NONE = "none"
"""The kind of a mark that takes back the one before."""
NOTE_CHARS = 2_000
LABELS = {
    "medical": {"right": True, "not_medical": False},
    "quality": {"right": True, "bad_extraction": False},
}
"""What a kind says about a question of `mmedc fit`; other kinds say nothing, and their labels are null."""


@dataclass(frozen=True)
class Mark:
    """A line of the file."""

    id: str
    file: str
    """The file and the row below: where the document was in the corpus with this digest."""
    row: int
    kind: str
    note: str
    lang: str
    source: str
    locator: str
    digest: str
    at: str
    """The time in UTC, ISO 8601."""


class Marks:
    """The marks of a corpus."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.known: dict[str, Mark] = {}
        self.unreadable = 0
        """The lines of the file that are no marks."""
        if path.exists():
            self._read()

    def _read(self) -> None:
        names = {each.name for each in fields(Mark)}
        try:
            data = self.path.read_bytes()
        except OSError as problem:
            raise RequestError(f"{self.path}: marks cannot be read ({problem}); name another file by --marks") from None
        for line in data.splitlines():
            try:
                values = json.loads(line)
                mark = Mark(**{name: values[name] for name in names})
                if mark.kind not in (*KINDS, NONE) or not isinstance(mark.id, str) or not isinstance(mark.row, int):
                    raise ValueError
            except (ValueError, TypeError, KeyError):
                self.unreadable += bool(line.strip())
                continue
            self._keep(mark)

    def _keep(self, mark: Mark) -> None:
        self.known.pop(mark.id, None)
        if mark.kind != NONE:
            self.known[mark.id] = mark

    def add(self, mark: Mark) -> None:
        """Append a mark; it is on the disk when the method returns. Raises: StorageError."""
        line = json.dumps(asdict(mark), ensure_ascii=True).encode() + b"\n"
        with self._lock:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                new = not self.path.exists()
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    size = os.fstat(handle).st_size
                    if size and os.pread(handle, 1, size - 1) != b"\n":  # a line that was cut off stays alone
                        line = b"\n" + line
                    while line:
                        line = line[os.write(handle, line) :]
                    os.fsync(handle)
                finally:
                    os.close(handle)
                if new:
                    _sync_folder(self.path.parent)
            except OSError as problem:
                raise StorageError(f"{self.path}: the mark could not be written ({problem})") from None
            self._keep(mark)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def now() -> str:
    """Return the time for a mark."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def labels(opened: Opened, marks: Marks, question: str) -> Iterator[str]:
    """Yield a line for each marked document, as `mmedc fit` reads labelled texts.

    `label` answers `question`; it is null where the mark says nothing about it. A document that is not where it was,
    because the corpus was built again, has an `error`.
    """
    says = LABELS[question]
    for mark in list(marks.known.values()):
        row = {"lang": mark.lang, "label": says.get(mark.kind), "source": mark.source, "locator": mark.locator}
        row |= {"id": mark.id, "mark": mark.kind, "note": mark.note}
        found = document(opened, mark.file, mark.row)
        if found is None or identity(found) != mark.id:
            row |= {"text": "", "label": None, "error": "the document is no longer at its place in the corpus"}
        else:
            row |= {"text": found.get("text") or "", "licence": found.get("licence") or "unknown"}
            if not row["text"]:
                row |= {"label": None, "error": "no text of the document is stored"}
        yield json.dumps(row, ensure_ascii=True) + "\n"


def identity(row: dict[str, object]) -> str:
    """Return the id of a document; of a record that was removed before it had one, its provenance."""
    return str(row.get("id") or row.get("provenance") or "")
