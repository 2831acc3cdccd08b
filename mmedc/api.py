"""The Python front door: read a recipe, build it, open a corpus. The command line is written on it.

import mmedc

corpus = mmedc.build("recipe.yaml", out="corpus/mine")
print(corpus.stats().documents)
for batch in corpus.documents(lang="fr", columns=["text", "medical_model"]):
    ...  # an Arrow record batch
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from mmedc import recipe as recipes
from mmedc.corpus.manifest import Manifest, Shard, Stats, read_manifest
from mmedc.corpus.manifest import stats as stats_of
from mmedc.corpus.outcome import problems_of, summary
from mmedc.corpus.summed import read_statistics
from mmedc.corpus.verify import verify
from mmedc.engine import nursery
from mmedc.engine.run import AnyPass, Inline, Progress, Runner, Watcher
from mmedc.errors import CorpusError, OutcomeError, RecipeError
from mmedc.recipe import Recipe
from mmedc.settings import resolved
from mmedc.storage import Store
from mmedc.yamlfile import nearest

if TYPE_CHECKING:
    from mmedc.pipeline.build import Build

BATCH_ROWS = 1_000

Place = str | PathLike[str]


@dataclass(frozen=True)
class Corpus:
    """A published corpus: a folder, or a prefix of an object store, with a manifest."""

    url: str

    @cached_property
    def manifest(self) -> Manifest:
        """What the corpus holds, file by file. Raises: CorpusError where there is no corpus."""
        return read_manifest(self.url)

    def stats(self) -> Stats:
        """Return documents, tokens and bytes by language, source and kind, and the funnel."""
        return stats_of(self.manifest)

    def statistics(self, name: str) -> pa.Table:
        """Return a table that was made as the shards were written: histograms, extremes, hosts or row_groups.

        Raises: CorpusError for another name, and where an older version built the corpus.
        """
        return read_statistics(self.url, self.manifest, name)

    def documents(
        self,
        lang: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the documents as record batches of at most `batch_rows` rows, in the order of the shards.

        Only the shards of the languages `lang` and the sources `source` are read, and of them only `columns`. Memory:
        a row group and a batch.

        Raises: CorpusError for a language, a source or a column that the corpus does not have.
        """
        shards = self._shards("language", lang, lambda shard: shard.lang)
        shards = [shard for shard in self._shards("source", source, lambda shard: shard.source) if shard in shards]
        return self._batches(shards, list(columns) if columns is not None else None, batch_rows)

    def verify(self, on_file: Callable[[str], None] | None = None) -> Manifest:
        """Hash every file, count every row and check the account; return the manifest.

        `on_file` is called with the path of each file before it is read. Raises: VerifyError at the first difference.
        """
        return verify(self.url, on_file or (lambda _: None))

    def _shards(self, what: str, wanted: str | Sequence[str] | None, name: Callable[[Shard], str]) -> list[Shard]:
        if wanted is None:
            return list(self.manifest.shards)
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        known = sorted({name(shard) for shard in self.manifest.shards})
        for one in names:
            if one not in known:
                raise CorpusError(f'{self.url}: no {what} "{one}"{nearest(one, known)}')
        return [shard for shard in self.manifest.shards if name(shard) in names]

    def _batches(self, shards: list[Shard], columns: list[str] | None, batch_rows: int) -> Iterator[pa.RecordBatch]:
        store = Store(self.url)
        for shard in shards:
            with store.open_input(shard.path) as handle:
                parquet = pq.ParquetFile(handle, page_checksum_verification=True)
                known = parquet.schema_arrow.names
                for column in columns or ():
                    if column not in known:
                        raise CorpusError(f'{self.url}: no column "{column}"{nearest(column, known)}')
                yield from parquet.iter_batches(batch_rows, columns=columns, use_threads=False)


def read_recipe(path: Place, sets: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe: a file, or the name of a shipped one. `sets` are `key.sub=value` overrides.

    Raises: RecipeError with file, line and key.
    """
    return recipes.read_recipe(str(path), list(sets))


def open_corpus(url: Place) -> Corpus:
    """Open a published corpus: a folder, or an `s3://` URL. Raises: CorpusError where there is none."""
    corpus = Corpus(str(url))
    corpus.manifest  # noqa: B018 (says at once when there is no corpus)
    return corpus


def prepare(recipe: Recipe | Place, out: Place | None = None) -> "Build":
    """Return the build of a recipe, checked and ready to run; `out` overrides that of the recipe.

    Raises: RequestError of some kind for what is wrong.
    """
    from mmedc.pipeline.build import Build

    name = recipe.name if isinstance(recipe, Recipe) else recipe
    found = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    where = resolved(str(out)) if out else found.out
    if not where:
        raise RecipeError(f"{name}: no `out` in the recipe, and no --out")
    return Build.prepare(found, where)


def build(
    recipe: Recipe | Place,
    out: Place | None = None,
    *,
    address: str | None = None,
    cpus: int | None = None,
    inline: bool = False,
    watcher: Watcher | None = None,
) -> Corpus:
    """Build a corpus and return it; the same call resumes a build that was interrupted.

    It runs on `cpus` CPUs of this machine, where Ray is started if there is much to do, or on the Ray at `address`;
    with `inline` always without Ray. `watcher` sees how it goes.

    Raises: RequestError of some kind before work begins; UnitsFailed when units could not be done; OutcomeError when
    the corpus is written, but is empty, or a source could not be read or has too many rejects (`fail_above`).
    """
    from mmedc.engine.journal import Journal
    from mmedc.pipeline.folder import OWNER
    from mmedc.report.log import Watchers

    ready = prepare(recipe, out)
    with Journal(ready.store, ready.recipe.name, anchor=OWNER) as journal:
        with runner(inline, address, cpus) as running:
            manifest = ready.run(running, Watchers(watcher or Unwatched(), journal))
        if problems := problems_of(manifest):
            raise OutcomeError(summary(ready.store.url, problems))
    return Corpus(ready.store.url)


def runner(
    inline: bool = False,
    address: str | None = None,
    cpus: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> AbstractContextManager[Runner]:
    """Return what runs passes: this process, this machine (on Ray where there is much to do), or the Ray at `address`.

    This process parses in `cpus` child processes at once, by default in as many as there are CPUs. The address `local`
    starts Ray on this machine in any case. `tell` is given what the user may want to know of the choice.
    """
    if inline:
        return _without_ray(cpus or os.cpu_count() or 1)
    if not address:
        from mmedc.engine.local import OnThisMachine

        return OnThisMachine(cpus, tell)
    from mmedc.engine.runner import OnRay

    return OnRay(cpus, address)


@contextlib.contextmanager
def _without_ray(processes: int) -> Iterator[Runner]:
    try:
        yield Inline(isolate=True, processes=processes)
    finally:
        nursery.end()


class Unwatched:
    """Shows nothing of how a build goes; see `mmedc.engine.run.Watcher`."""

    def begin(self, current: AnyPass, done: int) -> None:
        """See `Watcher`."""

    def update(self, progress: Progress) -> None:
        """See `Watcher`."""

    def end(self, current: AnyPass, seconds: float) -> None:
        """See `Watcher`."""
