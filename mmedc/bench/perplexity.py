"""How well a checkpoint predicts held-out text, by language: bits per byte, and perplexity per token.

A text is cut into windows of the model's context. Every token is predicted once: the first from the token that begins
a text, and those of the last window from as many tokens before them as fit (as in lm-evaluation-harness).
"""

import hashlib
import heapq
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from mmedc.bench.cache import Cache
from mmedc.errors import RecipeError
from mmedc.jsonlines import BadLine, read_json_lines

if TYPE_CHECKING:
    from mmedc.bench.local import Local

Window = tuple[tuple[int, ...], int]
"""Tokens, and how many of the last ones are predicted."""


def read_texts(paths: tuple[str, ...], limit: int) -> list[tuple[str, str]]:
    """Return (language, text) of JSON-lines or Parquet files, at most `limit` of each language (0: all).

    They are drawn by the hashes of the texts, because files are often sorted, and stay in their order.

    Raises: RecipeError for missing files, and for rows without `text` and `lang`.
    """
    drawn: dict[str, list[tuple[int, int, str]]] = {}
    for place, (lang, text) in enumerate(_texts(paths)):
        group = drawn.setdefault(lang, [])
        # The largest hash of those that are kept is at the top, and leaves first.
        least = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        heapq.heappush(group, (-least, place, text))
        if limit and len(group) > limit:
            heapq.heappop(group)
    kept = sorted((place, lang, text) for lang, group in drawn.items() for _, place, text in group)
    return [(lang, text) for _, lang, text in kept]


def _texts(paths: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for path in paths:
        place = Path(path)
        files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.suffix in SUFFIXES)
        if not files:
            raise RecipeError(f"bench.texts: {path}: no such file, and no folder of .jsonl, .gz or .parquet files")
        for file in files:
            for number, row in enumerate(_rows(file), 1):
                if not isinstance(row.get("text"), str) or not isinstance(row.get("lang"), str):
                    raise RecipeError(f"{file}, row {number}: expected `text` and `lang`; it has {sorted(row)[:8]}")
                if row["text"].strip():
                    yield row["lang"], row["text"]


SUFFIXES = {".jsonl", ".gz", ".parquet"}


def _rows(file: Path) -> Any:
    if file.suffix == ".parquet":
        for batch in pq.ParquetFile(file).iter_batches(1_000, columns=["text", "lang"]):
            yield from batch.to_pylist()
        return
    for number, row in read_json_lines(file):
        if isinstance(row, BadLine) or not isinstance(row, dict):
            raise RecipeError(f"{file}:{number}: not a row of JSON ({row})")
        yield row


def windows(tokens: list[int], begin: int, context: int) -> list[Window]:
    """Return the windows of a text, with at most `context` inputs each; every token is predicted once."""
    whole = (begin, *tokens)
    out: list[Window] = []
    for low in range(0, len(tokens), context):
        high = min(low + context, len(tokens))
        out.append((whole[max(0, high - context) : high + 1], high - low))
    return out


def perplexities(texts: list[tuple[str, str]], model: "Local", cache: Cache) -> dict[str, dict[str, float]]:
    """Return the texts, tokens, bytes, `bits_per_byte` and `perplexity` (per token) of each language."""
    requests: list[Window] = []
    owner: list[str] = []
    found: dict[str, dict[str, float]] = {}
    for lang, text in texts:
        tokens = model.encode_plain(text)
        row = found.setdefault(lang, {"texts": 0, "tokens": 0, "bytes": 0, "nats": 0.0})
        row["texts"] += 1
        row["tokens"] += len(tokens)
        row["bytes"] += len(text.encode())
        for window in windows(tokens, model.begin, model.context):
            requests.append(window)
            owner.append(lang)
    for number, value in cache.answered(f"{model.identity} perplexity", requests, model.predict):
        found[owner[number]]["nats"] -= value
    for row in found.values():
        nats = row.pop("nats")
        row["bits_per_byte"] = nats / math.log(2) / row["bytes"]
        row["perplexity"] = math.exp(min(700.0, nats / row["tokens"]))
    return dict(sorted(found.items()))
