"""Verification that a corpus matches its manifest."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.manifest import FOLDERS, File, Manifest, Shard, digest_of_shards, funnel_of, read_manifest, stats
from mmedc.corpus.summed import read_statistics
from mmedc.document import DOCUMENT
from mmedc.engine.chain import check_funnel
from mmedc.errors import AccountingError, VerifyError
from mmedc.storage import Store


def verify(corpus: str, report: Callable[[str], None] = lambda _: None) -> Manifest:
    """Hash every file, count every row and check the funnel; return the manifest.

    8 bytes per document are held in memory, to find ids that occur twice.
    Raises: VerifyError at the first difference, with the file, what was found and what was expected; CorpusError if
    there is no corpus.
    """
    manifest = read_manifest(corpus)
    store = Store(corpus)
    shards = manifest.shards
    _equal(f"{corpus}: digest", digest_of_shards(shards), manifest.digest)
    try:
        funnel = funnel_of(manifest.funnel)
        check_funnel(funnel, corpus)
    except AccountingError as problem:
        raise VerifyError(str(problem)) from None
    _equal(f"{corpus}: documents after the last step", list(funnel.values())[-1].kept, manifest.documents)
    known = {file.path for file in manifest.files}
    for name in [name for folder in FOLDERS for name in store.names(folder)]:
        if name not in known:
            raise VerifyError(f"{corpus}/{name}: the manifest does not know this file; delete it")
    for file in manifest.files:
        report(file.path)
        _check_hash(store, file)
    ids = [_check_shard(store, shard, manifest.columns) for shard in shards]
    every = np.sort(np.concatenate(ids)) if ids else np.zeros(0, np.uint64)
    doubled = every[1:][every[1:] == every[:-1]]
    if len(doubled):
        raise VerifyError(f"{corpus}: a document occurs twice: id {int(doubled[0]):016x}…")
    if manifest.statistics and shards:
        _check_statistics(corpus, manifest)
    return manifest


def _check_hash(store: Store, file: File) -> None:
    where = f"{store.url}/{file.path}"
    try:
        digest, size = store.sha256(file.path)
    except FileNotFoundError:
        raise VerifyError(f"{where}: missing, but the manifest names it") from None
    _equal(f"{where}: bytes", size, file.bytes)
    _equal(f"{where}: SHA-256", digest, file.sha256)


def _check_shard(store: Store, shard: Shard, columns: tuple[str, ...]) -> npt.NDArray[np.uint64]:
    """Check rows, schema, language, kinds and tokens of a shard; return the first 64 bits of its ids."""
    where = f"{store.url}/{shard.path}"
    try:
        with store.open_input(shard.path) as handle:
            parquet = pq.ParquetFile(handle, page_checksum_verification=True)
            _equal(f"{where}: rows", parquet.metadata.num_rows, shard.rows)
            _equal(f"{where}: columns", parquet.schema_arrow.names, [*DOCUMENT.names, *columns])
            table = parquet.read(["id", "lang", "kind", "tokens"], use_threads=False)
    except (pa.ArrowInvalid, OSError) as problem:
        raise VerifyError(f"{where}: can't be read as Parquet ({problem})") from None
    _equal(f"{where}: languages", sorted(set(table["lang"].to_pylist())), [shard.lang])
    _equal(f"{where}: tokens", int(np.sum(table["tokens"].to_numpy())), shard.tokens)
    if shard.kinds:
        kinds = {kind: total.rows for kind, total in shard.kinds.items()}
        _equal(f"{where}: documents by kind", dict(sorted(Counter(table["kind"].to_pylist()).items())), kinds)
    return np.array([int(value[:16], 16) for value in table["id"].to_pylist()], np.uint64)


def _check_statistics(corpus: str, manifest: Manifest) -> None:
    """Check that documents, tokens and bytes of the statistics add up to those of the shards."""
    tokens = read_statistics(corpus, manifest, "histograms").filter(pc.field("measure") == "tokens")
    by_language = tokens.group_by("lang").aggregate([("documents", "sum"), ("tokens", "sum")]).to_pylist()
    found = {row["lang"]: (row["documents_sum"], row["tokens_sum"]) for row in by_language}
    expected = {lang: (total.documents, total.tokens) for lang, total in stats(manifest).languages.items()}
    _equal(f"{corpus}/statistics/histograms.parquet: documents and tokens by language", found, expected)
    groups = read_statistics(corpus, manifest, "row_groups").group_by("path").aggregate([("rows", "sum")]).to_pylist()
    rows = {row["path"]: row["rows_sum"] for row in groups}
    _equal(f"{corpus}/statistics/row_groups.parquet: rows", rows, {shard.path: shard.rows for shard in manifest.shards})


def _equal(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise VerifyError(f"{what}: found {found}, the manifest says {expected}")
