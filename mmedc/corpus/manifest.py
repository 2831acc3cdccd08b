"""The manifest of a corpus: every file with its hash, the account of every document, one digest."""

import hashlib
import json
from typing import Any

from mmedc.engine.chain import Count, Funnel
from mmedc.errors import CorpusError
from mmedc.storage import Store

NAME = "manifest.json"
FORMAT = 1
TRAINED_ON = "trained_on.json"
"""Beside an exported model: the corpora of its training, name → [path, digest]."""


def digest_of_shards(shards: list[dict[str, Any]]) -> str:
    """Return the digest of a corpus: SHA-256 over the sorted paths and hashes of its shards."""
    lines = sorted(f"{shard['path']} {shard['sha256']} {shard['rows']}" for shard in shards)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def totals_by(shards: list[dict[str, Any]], key: str) -> dict[str, dict[str, int]]:
    """Return documents, tokens and bytes of the shards by their `key`, sorted by it."""
    out: dict[str, dict[str, int]] = {}
    for shard in shards:
        total = out.setdefault(shard[key], {"documents": 0, "tokens": 0, "bytes": 0})
        for ours, theirs in (("documents", "rows"), ("tokens", "tokens"), ("bytes", "bytes")):
            total[ours] += shard[theirs]
    return dict(sorted(out.items()))


def funnel_rows(funnel: Funnel) -> list[dict[str, Any]]:
    """Return the funnel as the rows of `mmedc stats --json`."""
    return [
        {
            "step": step,
            "read": count.read,
            "kept": count.kept,
            "dropped": dict(sorted(count.dropped.items())),
            "rejected": sum(count.rejected.values()),
            "rejected_by": dict(sorted(count.rejected.items())),
            "seconds": round(count.seconds, 3),
        }
        for step, count in funnel.items()
    ]


def funnel_of(rows: list[dict[str, Any]]) -> Funnel:
    """Return the funnel that `funnel_rows` wrote."""
    return {
        row["step"]: Count(row["read"], row["kept"], row["dropped"], row["rejected_by"], row["seconds"]) for row in rows
    }


def read_manifest(corpus: str) -> dict[str, Any]:
    """Return the manifest of the corpus at `corpus`.

    Raises: CorpusError when there is none, or it is not one that this version reads.
    """
    store = Store(corpus)
    try:
        manifest: dict[str, Any] = json.loads(store.get(NAME))
    except FileNotFoundError:
        under_way = bool(store.names(".work"))
        hint = "its build is not finished; give the same `mmedc run` again" if under_way else "is it the right folder?"
        raise CorpusError(f"{corpus}: there is no {NAME}; {hint}") from None
    except ValueError as problem:
        raise CorpusError(f"{corpus}/{NAME}: not JSON ({problem})") from None
    if manifest.get("format") != FORMAT:
        raise CorpusError(f"{corpus}/{NAME}: format {manifest.get('format')}; this version reads {FORMAT}")
    return manifest


def read_reject(corpus: str, name: str, hint: str) -> list[dict[str, Any]]:
    """Return the rows of `rejects/<name>.parquet` of a corpus. Raises: CorpusError, with `hint`, when it has none."""
    import pyarrow.parquet as pq

    path = f"rejects/{name}.parquet"
    if path not in [one["path"] for one in read_manifest(corpus)["rejects"]]:
        raise CorpusError(f"{corpus}: there is no {path}; {hint}")
    with Store(corpus).open_input(path) as file:
        return pq.read_table(file).to_pylist()  # type: ignore[no-any-return]


def stats(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what `mmedc stats --json` prints."""
    shards = manifest["shards"]
    return {
        "digest": manifest["digest"],
        "documents": sum(shard["rows"] for shard in shards),
        "tokens": sum(shard["tokens"] for shard in shards),
        "bytes": sum(shard["bytes"] for shard in shards),
        "shards": len(shards),
        "tokenizer": manifest["tokenizer"],
        "languages": totals_by(shards, "lang"),
        "sources": totals_by(shards, "source"),
        "kinds": totals_by(shards, "kind"),
        "funnel": manifest["funnel"],
    }
