"""The token pass turns every shard of a corpus into token ids once, keyed by the shard's and the tokenizer's digests.

It runs on the engine, so it is parallel, resumable and exactly once like any other pass. It leaves Parquet
(`id`, `kind`, `tokens`, `text_bytes`), which each machine that trains lays out flat, once, to map it into memory.
"""

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.manifest import Manifest
from mmedc.engine.identity import NO_EFFECT, digest_of
from mmedc.engine.run import WORK, Runner, Watcher, run_pass
from mmedc.engine.unit import DataFile, Pass, Stream, Unit, UnitFiles
from mmedc.storage import Store
from mmedc.tokenizer import Tokenizer, open_tokenizer

__all__ = ["FlatShard", "Tokenise", "Tokenizer", "flat_shard", "lay_out", "open_tokenizer", "tokenise"]

SCHEMA = pa.schema(
    [("id", pa.string()), ("kind", pa.string()), ("tokens", pa.large_list(pa.uint32())), ("text_bytes", pa.int64())]
)
ROWS = 512
VERSION = 3
THREADS = 4
"""Shards that a process lays out at a time."""


@dataclass(frozen=True)
class Tokenised:
    """What `Tokenise` leaves of a shard: its token ids, and how many tokens and documents they are."""

    file: DataFile
    tokens: int
    documents: int


@dataclass(frozen=True)
class Tokenise:
    """Turns a shard into token ids. The spec of a unit is the path of a shard in `corpus`.

    Every document begins with the tokenizer's begin tokens, where it has some, and ends with its end token.
    """

    corpus: Store = field(metadata=NO_EFFECT)
    tokenizer: Tokenizer
    version: ClassVar[int] = VERSION

    def run(self, unit: Unit[str], out: UnitFiles) -> Tokenised:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        notes = {"tokens": 0, "documents": 0}
        file = out.write("tokens", Stream(SCHEMA, self._tables(unit.spec, notes)))
        return Tokenised(file, **notes)

    def _tables(self, path: str, notes: dict[str, int]) -> Iterator[pa.Table]:
        begin, end = np.array(self.tokenizer.begin, np.uint32), np.array([self.tokenizer.eos], np.uint32)
        with self.corpus.open_input(path) as handle:
            file = pq.ParquetFile(handle, page_checksum_verification=True)
            for batch in file.iter_batches(ROWS, columns=["id", "kind", "text"]):
                texts = batch.column("text").to_pylist()
                ids = [part for tokens in self.tokenizer.arrays(texts) for part in (begin, tokens, end)]
                ends = np.cumsum([0, *map(len, ids)])[::3]
                notes["documents"] += len(texts)
                notes["tokens"] += int(ends[-1])
                sizes = pc.binary_length(batch.column("text")).cast(pa.int64())
                tokens = pa.LargeListArray.from_arrays(ends, np.concatenate([np.zeros(0, np.uint32), *ids]))
                yield pa.table([batch.column("id"), batch.column("kind"), tokens, sizes], schema=SCHEMA)


def token_pass(corpus: str, manifest: Manifest, tokenizer: Tokenizer) -> Pass[str, Tokenised]:
    """Return the pass that tokenises a published corpus."""
    units = tuple(Unit(digest_of(shard.sha256), shard.path, shard.path, shard.bytes) for shard in manifest.shards)
    return Pass("tokens", Tokenise(Store(corpus), tokenizer), units)


def tokenise(
    corpus: str, manifest: Manifest, tokenizer: Tokenizer, runner: Runner, watcher: Watcher
) -> list[Tokenised]:
    """Run the token pass, or what is left of it; return what it leaves of each shard, in the manifest's order.

    Raises: UnitsFailed.
    """
    done = run_pass(token_pass(corpus, manifest, tokenizer), runner, Store(corpus), watcher)
    return [commit.left for commit in done]


@dataclass(frozen=True)
class FlatShard:
    """The tokens of a shard on this machine, laid end to end."""

    tokens: npt.NDArray[np.uint32]
    """(total,) memory-mapped."""
    offsets: npt.NDArray[np.int64]
    """(documents + 1,) where each document begins, and the end of the last one."""
    ids: npt.NDArray[np.uint64]
    """(documents,) the first 64 bits of the id of each document."""
    text_bytes: npt.NDArray[np.int64]
    """(documents,) UTF-8 bytes of the text of each document."""
    kinds: npt.NDArray[np.bytes_]
    """(documents,) the kind of each document, such as `b"textbook"`."""


_DTYPES: tuple[Any, ...] = (np.uint32, np.int64, np.uint64, np.int64, "S16")


def _names(file: DataFile, cache: Path) -> list[Path]:
    return [cache / f"{file.sha256[:24]}.{part}.npy" for part in ("tokens", "offsets", "ids", "bytes", "kinds")]


def lay_out(files: list[tuple[str, DataFile]], cache: Path, begin: float = 0.0) -> None:
    """Lay the tokens of the shards (corpus, what its token pass left) out in `cache`, if they are not there yet.

    Some shards are laid out at a time, in threads. `begin` (at least 0, below 1) says with which of them to begin, so
    that several processes share the work: what one has laid out the others find. An interruption loses the shards that
    are being laid out.
    """
    first = int(begin * len(files))
    with ThreadPoolExecutor(THREADS) as pool:
        made = [pool.submit(_write_flat, corpus, file, cache) for corpus, file in files[first:] + files[:first]]
        try:
            for one in made:
                one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def flat_shard(corpus: str, file: DataFile, cache: Path) -> FlatShard:
    """Return the tokens of a shard from `cache`, after laying them out there if they are not there yet.

    Many processes may call this at once, because a layout appears whole, by a rename.
    """
    # Not in several threads: NumPy parses each header as Python, which Python 3.11 cannot do in two threads at a time.
    return FlatShard(*(np.load(name, mmap_mode="r") for name in _write_flat(corpus, file, cache)))


def _write_flat(corpus: str, file: DataFile, cache: Path) -> list[Path]:
    """Lay a shard out in `cache`, if it is not there yet; return its files."""
    names = _names(file, cache)
    if not all(name.exists() for name in names):
        cache.mkdir(parents=True, exist_ok=True)
        for name, array in zip(names, _read_flat(corpus, file), strict=True):
            part = name.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.part")
            try:
                with part.open("wb") as sink:
                    np.save(sink, array)
                part.replace(name)
            finally:
                part.unlink(missing_ok=True)
    return names


def _read_flat(corpus: str, file: DataFile) -> list[npt.NDArray[Any]]:
    """Return the columns of `FlatShard`, from what the token pass left of a shard."""
    parts: list[list[Any]] = [[], [], [], [], []]
    with Store(corpus).below(WORK).open_input(file.path) as handle:
        for batch in pq.ParquetFile(handle, page_checksum_verification=True).iter_batches(10 * ROWS):
            column = batch.column("tokens")
            parts[0].append(column.flatten().to_numpy())
            parts[1].append(np.diff(column.offsets.to_numpy()))
            parts[2].append([int(id_[:16], 16) for id_ in batch.column("id").to_pylist()])
            parts[3].append(batch.column("text_bytes").to_numpy())
            parts[4].append(batch.column("kind").to_pylist())
    arrays = [
        np.concatenate([np.empty(0, dtype), *(np.asarray(column, dtype) for column in part)])
        for dtype, part in zip(_DTYPES, parts, strict=True)
    ]
    arrays[1] = np.concatenate([[0], np.cumsum(arrays[1])])
    return arrays
