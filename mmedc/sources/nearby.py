"""What is said of a pattern that matches no file: how far it leads, and what lies there."""

import difflib
import os

from mmedc.storage import bucket_of, has_bucket, is_local

LISTED = 4


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
    return "; the folder has no file with a suffix of this format"
