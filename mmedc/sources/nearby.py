"""What is said of a pattern that matches no file: how far it leads, and what lies there."""

import difflib
import os
from collections import Counter

from mmedc.inputs import list_inputs
from mmedc.sources.formats import FORMATS
from mmedc.storage import bucket_of, has_bucket, is_local

LISTED = 4
BOOK_SUFFIXES = (".epub", ".pdf", ".docx", ".nxml", ".xml")


def nearest_file(pattern: str) -> str:
    """Return how far `pattern` leads and the nearest name there, as the end of a message; empty for a remote one."""
    if not has_bucket(pattern):
        return f"; there is no bucket {bucket_of(pattern)}"
    if not is_local(pattern):
        return ""
    parts = pattern.split("/")
    for at in range(1, len(parts)):
        folder = "/".join(parts[:at]) or "/"
        wanted = parts[at]
        if not os.path.isdir(folder):
            return f"; {folder} is no folder"
        path = os.path.join(folder, wanted)
        if os.path.isdir(path) or (at == len(parts) - 1 and os.path.exists(path)):
            continue
        try:
            there = sorted(os.listdir(folder))
        except OSError as problem:
            return f"; {folder} can't be read ({problem.strerror})"
        if not there:
            return f"; {folder} is empty"
        close = difflib.get_close_matches(wanted, there, n=1, cutoff=0.5)
        if close and not any(sign in wanted for sign in "*?["):
            return f'; {folder} has "{close[0]}"; did you mean that?'
        more = f" and {len(there) - LISTED:,} more" if len(there) > LISTED else ""
        return f"; {folder} has {', '.join(there[:LISTED])}{more}"
    return f"; the folder has no file with a suffix of this format{_what_it_has(pattern)}"


def _what_it_has(folder: str) -> str:
    """Return the suffixes of the files in a folder, the commonest first, and the keys that read them."""
    suffixes = Counter(os.path.splitext(file.name.lower())[1] for file in list_inputs(folder, ("",)))
    read: dict[str, list[str]] = {}
    for suffix, _ in suffixes.most_common(LISTED):
        if suffix:
            read.setdefault(_key_of(suffix), []).append(suffix)
    known = [f"{', '.join(named)}: use `{key}:`" for key, named in read.items() if key]
    return f"; it has {'; '.join(known or [', '.join(read[''])])}" if read else ""


def _key_of(suffix: str) -> str:
    """Return the key of the format that reads files of a suffix; empty for none."""
    suffixes = {known.key: BOOK_SUFFIXES if known.key == "books" else known.suffixes for known in FORMATS}
    return next((key for key, read in suffixes.items() if suffix in read), "")
