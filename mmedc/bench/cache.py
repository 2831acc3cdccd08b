"""Keeps the answers of a model by what was asked, so that a stopped run resumes and a repeated one only reads."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

NAME = "cache.jsonl"
Answer = TypeVar("Answer")


class Cache:
    """Lines of {"key", "value"}, appended and flushed as answers arrive. A line that a crash cut off is ignored.

    A key is the hash of everything that an answer depends on. Without a folder nothing is kept.
    """

    def __init__(self, folder: str) -> None:
        self._known: dict[str, Any] = {}
        self._file: IO[bytes] | None = None
        if folder:
            path = Path(folder, NAME)
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = path.read_bytes() if path.exists() else b""
            for line in whole.splitlines():
                try:
                    row = json.loads(line)
                    self._known[row["key"]] = row["value"]
                except (ValueError, KeyError, TypeError):
                    continue
            self._file = path.open("ab")
            if whole and not whole.endswith(b"\n"):
                self._file.write(b"\n")

    def answered(
        self, identity: str, requests: list[Any], ask: Callable[[list[Any]], Iterable[tuple[int, Answer]]]
    ) -> Iterator[tuple[int, Answer]]:
        """Yield (number in `requests`, answer): the known answers first, then those that `ask` gives for the rest.

        `ask` yields (number in its list, answer). Equal requests are asked once.
        """
        keys = [hashlib.sha256(f"{identity}\0{request!r}".encode()).hexdigest() for request in requests]
        places: dict[str, list[int]] = {}
        for number, key in enumerate(keys):
            places.setdefault(key, []).append(number)
        new = []
        for key, numbers in places.items():
            if key in self._known:
                yield from ((number, self._known[key]) for number in numbers)
            else:
                new.append(numbers[0])
        for at, answer in ask([requests[number] for number in new]) if new else ():
            key = keys[new[at]]
            self._keep(key, answer)
            yield from ((number, answer) for number in places[key])

    def _keep(self, key: str, value: Any) -> None:
        self._known[key] = value
        if self._file is not None:
            self._file.write(json.dumps({"key": key, "value": value}, ensure_ascii=False).encode() + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
