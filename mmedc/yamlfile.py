"""Safe reading of YAML 1.2; the line of every key is recorded, so that an error can point at it."""

import datetime
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ruamel.yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from mmedc.compiled import compiled
from mmedc.errors import RequestError
from mmedc.redact import first_line

MAX_BYTES = 4 << 20
MAX_DEPTH = 50
_INDENTATION = re.compile(r"^[ \t?:-]*", re.MULTILINE)
LISTED = 60  # names that an error lists
MAX_NODES = 200_000  # 271 bytes of aliases can stand for 43 million leaves

INDENTED = ("mapping values are not allowed here", "expected <block end>", "expected '<document start>'")
"""What the parser says of a line that begins too far to the right or left."""

Keys = tuple[str | int, ...]


def dotted(keys: Iterable[str | int]) -> str:
    """Return keys as `key.sub.0`."""
    return ".".join(map(str, keys))


@dataclass
class YamlFile:
    """A YAML document as plain Python values, with the 1-based line of every key."""

    path: str
    data: Any
    lines: dict[Keys, int] = field(default_factory=dict)
    settings: set[Keys] = field(default_factory=set)
    """The keys whose values were given on the command line."""

    def where(self, keys: Iterable[str | int]) -> str:
        """Return `file:line`, or `--set KEY`, for `keys` or for the nearest parent that has a line."""
        at = tuple(keys)
        while at and at not in self.lines and at not in self.settings:
            at = at[:-1]
        if at in self.settings:
            return f"--set {dotted(at)}"
        line = self.lines.get(at)
        return f"{self.path}:{line}" if line else self.path

    def subject(self, keys: Iterable[str | int], word: str = "") -> str:
        """Return what a message is about: `file:line: WORD "key"`; for a key of the command line `--set KEY`."""
        at = tuple(keys)
        given = next((at[:size] for size in range(len(at), 0, -1) if at[:size] in self.settings), None)
        below = next((known for known in sorted(self.settings, key=str) if known[: len(at)] == at), None)
        if given is None and below is not None and at not in self.lines:
            given = at = below
        if given is not None:
            rest = () if all(isinstance(part, int) for part in at[len(given) :]) else at[len(given) :]
            said = " ".join(filter(None, (word, f'"{dotted(rest)}"' if rest else "")))
            return f"--set {dotted(given)}" + f": {said}" * bool(said)
        place = f"{self.where(at)}: " if self.path else ""
        with_set = f" (with --set {dotted(below)})" if below else ""
        shown = at[:-1] if self._is_scalar_of_list(at) else at  # a message quotes the value itself
        return f'{place}{word}{" " * bool(word)}"{dotted(shown)}"{with_set}'

    def _is_scalar_of_list(self, at: Keys) -> bool:
        inside = any(len(keys) > len(at) and keys[: len(at)] == at for keys in self.lines)
        return bool(at) and isinstance(at[-1], int) and not inside

    def part(self, key: str) -> "YamlFile":
        """Return the value of `key` as a document of its own, with the lines of its keys."""
        lines = {keys[1:]: line for keys, line in self.lines.items() if keys[:1] == (key,)}
        return YamlFile(self.path, self.data[key], lines)


def read_yaml(path: str | Path, error: type[RequestError], keep: bool = False) -> YamlFile:
    """Read the YAML file `path`. With `keep`, what was parsed is kept for the next process (`mmedc.compiled`).

    Raises: `error` with file and line for a file that can't be read or parsed, is too large, nests too
    deep, repeats a key or expands without bound.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as problem:
        raise error(f"{path}: can't be read ({problem.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise error(f"{path}: {len(raw):,} bytes; a YAML file here has at most {MAX_BYTES:,}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        raise error(f"{path}:{line}: not UTF-8 (byte {problem.start}); save the file as UTF-8") from None
    if not keep:
        return parse_yaml(text, str(path), error)

    def compile_() -> list[Any]:
        parsed = parse_yaml(text, str(path), error)
        return [parsed.data, [[line, *keys] for keys, line in parsed.lines.items()]]

    data, lines = compiled("yaml", (__name__,), [raw, ruamel.yaml.__version__.encode()], compile_)
    return YamlFile(str(path), data, {tuple(keys): line for line, *keys in lines})


def parse_yaml(text: str, path: str, error: type[RequestError]) -> YamlFile:
    """Parse `text`, which came from `path`; see `read_yaml`."""
    result = YamlFile(path, None)
    try:
        _check_depth(text)
        loaded = YAML(typ="rt", pure=True).load(text)
        result.data = _plain(loaded, (), result.lines, [0])
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = mark.line + 1 if mark else 1
        message = (problem.problem or problem.context or "is not YAML").strip().splitlines()[0]
        if r"'\t'" in message:
            message = "a tab stands where YAML takes spaces only; indent this line with spaces"
        if message.startswith(INDENTED):
            message += "; check the indentation of this line and of those before it"
        raise error(f"{path}:{line}: {message}") from None
    except RecursionError:
        raise error(f"{path}: nested too deep") from None
    except (YAMLError, ValueError) as problem:
        raise error(f"{path}: {first_line(problem)}") from None
    return result


def _check_depth(text: str) -> None:
    """Check that the text does not nest too deep for the loader, which recurses. Raises: ValueError, YAMLError."""
    # Blocks nest by indentation (a list may stand at that of its key, one may begin behind a tag), others by brackets.
    indentation = max(map(len, _INDENTATION.findall(text)))
    if 2 * (indentation + 2) + text.count("[") + text.count("{") <= MAX_DEPTH:
        return  # parsing takes as long as loading
    depth = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested too deep (over {MAX_DEPTH} levels)")


def _plain(node: Any, at: Keys, lines: dict[Keys, int], count: list[int]) -> Any:
    count[0] += 1
    if count[0] > MAX_NODES:
        raise ValueError(f"more than {MAX_NODES:,} values once aliases are expanded")
    if isinstance(node, CommentedMap):
        for key in node:
            lines[(*at, str(key))] = node.lc.key(key)[0] + 1 if key in (node.lc.data or {}) else node.lc.line + 1
        return {str(key): _plain(value, (*at, str(key)), lines, count) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node) if node.lc.data else 0):
            lines[(*at, index)] = node.lc.item(index)[0] + 1
        return [_plain(value, (*at, index), lines, count) for index, value in enumerate(node)]
    if isinstance(node, datetime.date):
        return node.isoformat()
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    raise ValueError(
        f"a value of type {type(node).__name__} is not supported; expected text, a number, true, false or a date"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the known name most like `name`, otherwise the known names, unless too many."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(names)}" if len(names) <= LISTED else ""
