"""The manifest of a corpus: every file with its hash, the account of every document, one digest.

`Manifest` is what `manifest.json` holds. Its JSON Schema is in the reference part of the documentation.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mmedc.engine.chain import Count, Funnel
from mmedc.errors import CorpusError
from mmedc.storage import Store, is_local

NAME = "manifest.json"
FORMAT = 1
FOLDERS = ("data", "rejects", "keys", "crawl", "statistics")
"""The folders of a corpus whose files the manifest names."""
TRAINED_ON = "trained_on.json"
"""Beside an exported model: the corpora of its training, name → [path, digest]."""


class Described(BaseModel):
    """A part of the manifest. Keys that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class File(Described):
    """A file of the corpus: Parquet, but for the WARC files of a crawl."""

    path: str
    """The path below the folder of the corpus."""
    rows: int
    """The number of rows."""
    bytes: int
    """The size in bytes."""
    sha256: str
    """The SHA-256 of the file."""


class KindTotal(Described):
    """The documents of one kind in a shard."""

    rows: int
    """The number of documents."""
    tokens: int
    """The number of their tokens."""
    text_bytes: int
    """The size of their texts in bytes, as UTF-8."""


class Shard(File):
    """A file of documents, all of one language and one source."""

    lang: str
    """The language of all documents."""
    source: str
    """The source of all documents, by its name in the recipe."""
    kind: str
    """The kind of most of its documents; each document has its own."""
    kinds: dict[str, KindTotal] = {}
    """The documents of each kind; empty in a corpus of an older version."""
    licences: dict[str, int] = {}
    """The number of documents of each licence; of more than 100 licences, the rarest together as `other`."""
    identified: dict[str, int] = {}
    """The number of documents with an identifier of each scheme: `isbn`, `doi`, `pmid`, `pmcid`, `issn`."""
    authored: int = 0
    """The number of documents whose authors are known."""
    reserved: int = 0
    """The number of documents that were kept although their publisher reserves text and data mining, or asks not
    to be used to train models."""
    tokens: int
    """The number of tokens, by the tokenizer that the manifest names."""
    text_bytes: int
    """The size of the texts in bytes, as UTF-8."""


class FunnelRow(Described):
    """What one step did: read = kept + sum(dropped) + rejected."""

    step: str
    """The name of the step."""
    read: int
    """The number of documents that the step read."""
    kept: int
    """The number of documents that it kept."""
    dropped: dict[str, int]
    """The number of documents that it dropped, by reason."""
    rejected: int
    """The number of documents that it rejected."""
    rejected_by: dict[str, int]
    """The number of documents that it rejected, by reason."""
    seconds: float
    """The seconds of one core over all documents; for `read`, the time in which the input was read."""


class Share(Described):
    """What became of a part of the records: read = kept + sum(dropped) + sum(rejected)."""

    name: str
    """The name of the part."""
    kept: int = 0
    """The number of documents in the corpus."""
    dropped: dict[str, int] = {}
    """The number of records that were dropped, by reason."""
    rejected: dict[str, int] = {}
    """The number of records that were rejected, by reason."""

    @property
    def read(self) -> int:
        """The number of records that were read."""
        return self.kept + sum(self.dropped.values()) + sum(self.rejected.values())


class SourceShare(Share):
    """What became of the records of a source."""

    name: str
    """The name of the source in the recipe."""
    files: int
    """The number of its files."""
    cut: int = 0
    """The number of these files that end early, or whose rest could not be read."""
    cut_files: tuple[str, ...] = ()
    """The names of the first of them."""


class LanguageShare(Share):
    """What became of the records of a language."""

    name: str
    """The language; empty for the records that were removed before their language was known."""


class PairCounts(Described):
    """What deduplication compared."""

    compared: int
    """The number of pairs that were compared by their sketches."""
    edges: int
    """The number of these pairs that are certainly alike."""
    doubts: int
    """The number of these pairs so near the threshold that their texts decide."""
    released: int
    """The number of documents that were compared again because the better one that they are like was removed."""
    verified: int = 0
    """The number of pairs whose texts were compared."""
    alike: int = 0
    """The number of these pairs whose texts are alike."""


class LineCounts(Described):
    """What the removal of repeated lines changed."""

    documents: int
    """The number of documents from which lines were removed."""
    passages: int
    """The number of duplicated passages that were removed."""
    boilerplate: int
    """The number of lines of boilerplate that were removed."""
    characters: int
    """The number of characters that were removed."""


class Contamination(Described):
    """What the search for benchmark questions found."""

    questions: int
    """The number of questions that were looked for."""
    too_short: int
    """The number of questions too short to be looked for."""
    hits: int
    """The number of times that a question was found in a document."""


class KeyFiles(Described):
    """The keys by which a later build knows what this corpus has, and what they were made with."""

    sign: int
    """The version of the signatures."""
    bands: tuple[int, ...]
    """The number of bands, and of rows in each."""
    layout: int = 0
    """The version of their columns; 0 where the keys do not say where texts are."""
    files: tuple[File, ...] = ()
    """The files of keys."""


class Manifest(Described):
    """A published corpus."""

    format: int
    """The version of the manifest."""
    name: str
    """The name of the build."""
    digest: str
    """The SHA-256 of the paths, hashes and rows of the shards: equal for equal documents."""
    build: str
    """The digest of the passes that made the corpus, and of everything that they left."""
    tokenizer: str
    """The tokenizer that counted the tokens."""
    policy: str
    """The name of the policy."""
    languages: tuple[str, ...]
    """The languages of the recipe."""
    recipe: dict[str, JsonValue]
    """The recipe, without defaults."""
    versions: dict[str, str]
    """The versions of mmedc and of the packages that the result depends on."""
    funnel: tuple[FunnelRow, ...]
    """What each step read, kept, dropped and rejected, in order."""
    by_source: tuple[SourceShare, ...] = ()
    """What became of the records of each source; empty in a corpus of an older version."""
    by_language: tuple[LanguageShare, ...] = ()
    """What became of the records of each language; empty in a corpus of an older version."""
    dedup: PairCounts
    """What deduplication compared."""
    shards: tuple[Shard, ...]
    """The files of documents."""
    columns: tuple[str, ...] = ()
    """The columns that the recipe's own steps and measures add to the documents."""
    contamination: Contamination | None = None
    """What the search for benchmark questions found; null where the recipe named none."""
    lines: LineCounts | None = None
    """What the removal of repeated lines changed; null where the recipe did not ask for it."""
    rejects: tuple[File, ...] = ()
    """The files in `rejects/`."""
    crawled: tuple[File, ...] = ()
    """The files in `crawl/`: WARC files, whose rows are records, and tables of hosts and of opt-outs."""
    keys: KeyFiles | None = None
    """The keys for later builds; null in a corpus of an older version."""
    statistics: tuple[File, ...] = ()
    """The files in `statistics/`; empty in a corpus of an older version."""
    forgotten: tuple[str, ...] = ()
    """What is forgotten, and must not be brought back: kinds (url, domain, doi, id) and hashes of their values."""

    @property
    def documents(self) -> int:
        """How many documents the corpus has."""
        return sum(shard.rows for shard in self.shards)

    @property
    def policies(self) -> dict[str, str]:
        """The policies of the sources that have one of their own, by source."""
        sources = self.recipe.get("sources")
        given = sources.items() if isinstance(sources, dict) else ()
        return {name: str(one["policy"]) for name, one in given if isinstance(one, dict) and one.get("policy")}

    @property
    def files(self) -> tuple[File, ...]:
        """All files that belong to the corpus."""
        keys = self.keys.files if self.keys else ()
        return (*self.shards, *self.rejects, *self.crawled, *keys, *self.statistics)

    def to_json(self) -> bytes:
        """Return the content of `manifest.json`."""
        return self.model_dump_json(indent=1, exclude_none=True).encode()


class Total(Described):
    """The size of a part of a corpus."""

    documents: int = 0
    tokens: int = 0
    bytes: int = 0


class Stats(Total):
    """What `mmedc stats` shows."""

    digest: str
    shards: int
    tokenizer: str
    languages: dict[str, Total]
    sources: dict[str, Total]
    kinds: dict[str, Total]
    """By the kind of each document. The bytes of a file with several kinds are divided by the bytes of their texts."""
    licences: dict[str, int]
    """Documents by licence, the most frequent first."""
    identified: dict[str, int]
    """Documents with an identifier, by its scheme."""
    authored: int
    """Documents whose authors are known."""
    reserved: int
    """Documents that were kept although their publisher reserves text and data mining, or asks not
    to be used to train models."""
    funnel: tuple[FunnelRow, ...]


def digest_of_shards(shards: Iterable[File]) -> str:
    """Return the digest of a corpus: SHA-256 over the sorted paths, hashes and rows of its shards."""
    lines = sorted(f"{shard.path} {shard.sha256} {shard.rows}" for shard in shards)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tokens_per_byte(shards: Iterable[Shard]) -> dict[str, float]:
    """Return the tokens per byte of the published texts by language, and of all under the empty name."""
    tokens, sizes = Counter[str](), Counter[str]()
    for shard in shards:
        for lang in ("", shard.lang):
            tokens[lang] += shard.tokens
            sizes[lang] += shard.text_bytes
    return {lang: tokens[lang] / size for lang, size in sizes.items() if size}


def funnel_rows(funnel: Funnel) -> tuple[FunnelRow, ...]:
    """Return the funnel as the manifest has it."""
    return tuple(
        FunnelRow(
            step=step,
            read=count.read,
            kept=count.kept,
            dropped=dict(sorted(count.dropped.items())),
            rejected=sum(count.rejected.values()),
            rejected_by=dict(sorted(count.rejected.items())),
            seconds=round(count.seconds, 3),
        )
        for step, count in funnel.items()
    )


def funnel_of(rows: Iterable[FunnelRow]) -> Funnel:
    """Return the funnel that `funnel_rows` wrote."""
    return {row.step: Count(row.read, row.kept, row.dropped, row.rejected_by, row.seconds) for row in rows}


def read_manifest(corpus: str) -> Manifest:
    """Return the manifest of the corpus at `corpus`.

    Raises: CorpusError when there is none, or it is not one that this version reads.
    """
    store = Store(corpus)
    try:
        data = store.get(NAME)
    except FileNotFoundError:
        under_way = bool(store.names(".work"))
        hint = "its build is not finished; give the same `mmedc run` again" if under_way else nearby(corpus)
        raise CorpusError(f"{corpus}: there is no {NAME}; {hint}") from None
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as problem:
        error = problem.errors()[0]
        key = ".".join(map(str, error["loc"]))
        raise CorpusError(f"{corpus}/{NAME}: not a manifest ({key + ': ' if key else ''}{error['msg']})") from None
    if manifest.format != FORMAT:
        raise CorpusError(f"{corpus}/{NAME}: its format is {manifest.format}; this version of mmedc reads {FORMAT}")
    return manifest


def nearby(corpus: str) -> str:
    """Return what a message says where `corpus` has none: the corpus inside or around it, or what is there."""
    if not is_local(corpus):
        return "is it the right folder?"
    place = Path(corpus)
    for near in (place / "corpus", "corpus" / place, *list(place.parents)[:3]):
        if (near / NAME).is_file():
            return f'did you mean "{near}"?'
    if not place.exists():
        return "the folder does not exist"
    return "is it the right folder?" if place.is_dir() else "expected the folder of a corpus; found a file"


def read_reject(corpus: str, name: str, hint: str) -> list[dict[str, Any]]:
    """Return the rows of `rejects/<name>.parquet` of a corpus. Raises: CorpusError, with `hint`, when it has none."""
    import pyarrow.parquet as pq

    path = f"rejects/{name}.parquet"
    if path not in [file.path for file in read_manifest(corpus).rejects]:
        raise CorpusError(f"{corpus}: there is no {path}; {hint}")
    with Store(corpus).open_input(path) as handle:
        return pq.read_table(handle).to_pylist()  # type: ignore[no-any-return]


def stats(manifest: Manifest) -> Stats:
    """Return the totals of a corpus, by language, source and kind."""
    shards = manifest.shards
    return Stats(
        digest=manifest.digest,
        **_total(shards).model_dump(),
        shards=len(shards),
        tokenizer=manifest.tokenizer,
        languages=_totals(shards, [shard.lang for shard in shards]),
        sources=_totals(shards, [shard.source for shard in shards]),
        kinds=_by_kind(shards),
        licences=_summed(shard.licences for shard in shards),
        identified=_summed(shard.identified for shard in shards),
        authored=sum(shard.authored for shard in shards),
        reserved=sum(shard.reserved for shard in shards),
        funnel=manifest.funnel,
    )


def _total(shards: Iterable[Shard]) -> Total:
    documents = tokens = size = 0
    for shard in shards:
        documents, tokens, size = documents + shard.rows, tokens + shard.tokens, size + shard.bytes
    return Total(documents=documents, tokens=tokens, bytes=size)


def _by_kind(shards: Iterable[Shard]) -> dict[str, Total]:
    found: dict[str, list[int]] = {}
    for shard in shards:
        whole = KindTotal(rows=shard.rows, tokens=shard.tokens, text_bytes=shard.text_bytes)
        before = 0
        for kind, part in (shard.kinds or {shard.kind: whole}).items():
            total = found.setdefault(kind, [0, 0, 0])
            after = before + part.text_bytes
            share = _portion(shard, after) - _portion(shard, before)
            total[:] = [total[0] + part.rows, total[1] + part.tokens, total[2] + share]
            before = after
    return {
        kind: Total(documents=rows, tokens=tokens, bytes=size) for kind, (rows, tokens, size) in sorted(found.items())
    }


def _portion(shard: Shard, text_bytes: int) -> int:
    """Return the bytes of the file for the first `text_bytes` of its texts."""
    return shard.bytes * text_bytes // shard.text_bytes if shard.text_bytes else 0


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the sums by name, the largest first."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _totals(shards: tuple[Shard, ...], names: list[str]) -> dict[str, Total]:
    groups: dict[str, list[Shard]] = {}
    for name, shard in zip(names, shards, strict=True):
        groups.setdefault(name, []).append(shard)
    return {name: _total(group) for name, group in sorted(groups.items())}
