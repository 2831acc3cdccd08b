"""What is asked to be forgotten and is nowhere in a corpus: the request is refused, and what is like it is named."""

import difflib
import zlib
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.manifest import Manifest
from mmedc.errors import CorpusError
from mmedc.forgetting import URL, Entry, Forgotten, host_key, url_keys
from mmedc.pipeline.forgotten import named
from mmedc.pipeline.traces import members, target_of
from mmedc.sitelists import domains_of
from mmedc.storage import Store

HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"
LIKE = 0.6
"""How alike a name must be to be suggested, as difflib measures it."""
COMPARED = 20_000
"""The number of addresses of a host that are compared."""
SHOWN = 3
CHARS = 120
"""The length of a value in a message."""


def check_known(
    store: Store, manifest: Manifest, entries: tuple[Entry, ...], addresses: Iterable[str], domains: Iterable[str]
) -> None:
    """Check that something in the folder of a corpus is to be forgotten. Raises: CorpusError where nothing is.

    Besides published documents, which are not looked at here, the folder has removed records, pages of a crawl and what
    the passes of the build left. An entry that was forgotten before is no mistake.
    """
    if set(map(str, entries)) <= set(manifest.forgotten) or _anywhere(store, Forgotten(entries)):
        return
    asked = [*domains, *addresses]
    others = len(entries) - len(asked)
    shown = [one if len(one) <= CHARS else f"{one[: CHARS - 1]}…" for one in asked[:SHOWN]]
    said = [*shown, *([f"{len(asked) - SHOWN:,} more"] if len(asked) > SHOWN else [])]
    said += [f"{others:,} {'id, DOI or hash' if others == 1 else 'ids, DOIs or hashes'}"] if others > 0 else []
    like = list(dict.fromkeys(name for one in asked[:SHOWN] for name in _nearest(store, manifest, one)))
    advice = f"the nearest are {', '.join(like)}" if like else "look for the document with `mmedc inspect`"
    raise CorpusError(
        f"{store.url}: nothing here is to be forgotten for {', '.join(said)}, so nothing was changed; {advice}"
    )


def _anywhere(store: Store, known: Forgotten) -> bool:
    """Return whether any record in the folder of a corpus is to be forgotten, but for published documents."""
    for name in store.names():
        if name.endswith(".parquet") and not name.startswith("data/"):
            if any(named(known, table).any() for table in _names_in(store, name, list(known.tests))):
                return True
        elif name.endswith(".warc.gz"):
            with store.open_input(name) as file:
                if any(known.locator(target_of(zlib.decompress(member, 31))) for member in members(file)):
                    return True
    return False


def _names_in(store: Store, path: str, names: list[str]) -> Iterator[pa.Table]:
    """Yield the columns of a file by which rows are named, in parts."""
    with store.open_input(path) as handle:
        parquet = pq.ParquetFile(handle)
        if columns := [name for name in names if name in parquet.schema_arrow.names]:
            for batch in parquet.iter_batches(columns=columns, use_threads=False):
                yield pa.Table.from_batches([batch])


def _nearest(store: Store, manifest: Manifest, asked: str) -> list[str]:
    """Return the domains, or the addresses of documents, that are most like the one that was asked for."""
    url = URL.match(asked)
    wanted = host_key(url["host"] if url else asked)
    locators: dict[str, list[str]] = {}
    for shard in manifest.shards:
        for table in _names_in(store, shard.path, ["locator"]):
            hosts = pc.struct_field(pc.extract_regex(table["locator"], HOST), "host")
            for host in pc.unique(hosts.drop_null()).to_pylist():
                if url is None:
                    locators.setdefault(host_key(host), [])
                elif _alike(wanted, host_key(host)) and len(mine := locators.setdefault(host_key(host), [])) < COMPARED:
                    mine += table["locator"].filter(pc.equal(hosts, host)).to_pylist()
    if url is None:
        return _close(wanted, {name for host in locators for name in domains_of(host)})
    own = locators.get(wanted) or [one for found in locators.values() for one in found]
    keys = {url_keys(one)[0]: one for one in own[:COMPARED]}
    return [keys[key] for key in _close(url_keys(asked)[0], keys)]


def _close(wanted: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(wanted, [one for one in known if _alike(wanted, one)], SHOWN, LIKE)


def _alike(wanted: str, name: str) -> bool:
    """Return quickly whether two names may be as alike as LIKE: by their lengths, then by their letters."""
    shorter, longer = sorted((len(wanted), len(name)))
    return 2 * shorter >= LIKE * (shorter + longer) and (
        difflib.SequenceMatcher(None, wanted, name).quick_ratio() >= LIKE
    )
