"""`/ai.txt`: a file in which a site says which of its content may train models; two formats share the name.

That of Spawning has the lines of a robots.txt, with patterns of file names such as `*.html`. That of
draft-car-ai-txt-wellknown-00 (an individual Internet-Draft) has `Training: deny`, or `conditional` with paths.
"""

import re
from dataclasses import dataclass, field

from mmedc.crawl.paths import path_matches, path_of
from mmedc.crawl.robots import TOKEN, text_of
from mmedc.crawl.types import OptOut

AITXT = "/ai.txt"
MAX_AITXT = 64_000  # bytes that are read
MAX_LINES = 2_000
LINE = re.compile(r"[ \t]*([\w-]+)[ \t]*:[ \t]*([^#\r\n]*)")
NAMED = re.compile(r"\.[A-Za-z0-9]{1,5}$")


@dataclass(slots=True)
class _Group:
    """What holds for one agent: (pattern, whether it is allowed), in the order of the file, and the word `Training`."""

    paths: list[tuple[str, bool]] = field(default_factory=list)
    training: str = ""


@dataclass(frozen=True, slots=True)
class AiTxt:
    """What the file says to this crawler."""

    paths: tuple[tuple[str, bool], ...] = ()
    """(pattern, whether it may train models)."""
    training: str = ""

    @classmethod
    def read(cls, body: bytes) -> "AiTxt":
        """Return what a file says; a page, or text of another kind, says nothing. Never raises."""
        text = text_of(body[:MAX_AITXT])
        if text.lstrip()[:1] == "<":
            return cls()
        groups: dict[str, _Group] = {"*": _Group()}
        current, naming = [groups["*"]], False
        for line in text.splitlines()[:MAX_LINES]:
            if not (parts := LINE.match(line)):
                continue
            name, value = parts[1].lower(), parts[2].strip()
            if name in ("user-agent", "agent"):
                current = [*(current if naming else ()), groups.setdefault(value.lower(), _Group())]
                naming = True
                continue
            naming = False
            for group in current:
                if name in ("disallow", "training-deny") and value:
                    group.paths.append((value, False))
                elif name in ("allow", "training-allow") and value:
                    group.paths.append((value, True))
                elif name == "training":
                    group.training = value.lower()
        own = groups.get(TOKEN, groups["*"])
        return cls(tuple(own.paths), own.training or groups["*"].training)

    def optouts(self, url: str) -> tuple[OptOut, ...]:
        """Return the wish for the page at `url`: the longest pattern that matches decides, of equal ones a refusal."""
        path = path_of(url)
        path = path if NAMED.search(path.partition("?")[0]) else f"{path.partition('?')[0]}.html"  # a page, by its type
        matching = [(len(pattern), not allowed, pattern) for pattern, allowed in self.paths if _matches(pattern, path)]
        if matching:
            _, refused, pattern = max(matching)
            return (OptOut("ai-txt", AITXT, f"disallowed: {pattern}"[:200]),) if refused else ()
        if self.training in ("deny", "conditional"):
            return (OptOut("ai-txt", AITXT, f"training: {self.training}"),)
        return ()


def _matches(pattern: str, path: str) -> bool:
    """Return whether a pattern matches: a path, or a file name such as `*.html`, which ends the path."""
    ends = pattern.startswith("*") and not pattern.endswith(("*", "$"))
    return path_matches(pattern + "$" if ends else pattern, path)
