"""Answers of a model by the content of what was asked: a run that is stopped goes on, a repeated one is read."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

NAME = "cache.jsonl"
Answer = TypeVar("Answer")


class Cache:
    """Lines of {"key", "value"}, appended and flushed as answers come. A line cut short by a crash is passed over.

    A key is the hash of everything an answer depends on. Without a folder nothing is kept.
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
        self, identity: str, asked: list[Any], ask: Callable[[list[Any]], Iterable[tuple[int, Answer]]]
    ) -> Iterator[tuple[int, Answer]]:
        """Yield (number in `asked`, answer): first those that are known, then those that `ask` gives for the rest.

        `ask` yields (number in its list, answer). Things asked for twice are asked once.
        """
        keys = [hashlib.sha256(f"{identity}\0{one!r}".encode()).hexdigest() for one in asked]
        places: dict[str, list[int]] = {}
        for number, key in enumerate(keys):
            places.setdefault(key, []).append(number)
        new = []
        for key, numbers in places.items():
            if key in self._known:
                yield from ((number, self._known[key]) for number in numbers)
            else:
                new.append(numbers[0])
        for at, answer in ask([asked[number] for number in new]) if new else ():
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
