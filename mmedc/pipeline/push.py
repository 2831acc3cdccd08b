"""`mmedc publish`: a copy of a corpus in another folder, an object store or on the Hugging Face hub.

What is sent are the documents, their statistics and what describes them. Records that were removed, keys and the pages
of a crawl are sent only if asked for: they hold texts that the recipe did not choose to publish. Nothing is sent twice:
a file that is there with its hash is left, and a copy that was stopped goes on. The manifest comes last.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from mmedc.corpus.card import card
from mmedc.corpus.leftovers import remove_empty
from mmedc.corpus.manifest import FOLDERS, NAME, Manifest, read_manifest, stats
from mmedc.corpus.summed import private_items
from mmedc.engine.run import WORK
from mmedc.errors import CorpusError, RequestError, StorageError, VerifyError
from mmedc.storage import Store, is_local

OPTIONAL = ("rejects", "keys", "crawl")
"""The folders that are sent only if asked for."""
DESCRIBING = ("croissant.json", "forget.txt")
"""Files beside the card that are sent where they are there."""
CARD = "README.md"
MARKS = ".publish"
"""The folder of a copy under way: a file for each that has arrived, named by its hash."""


@dataclass(frozen=True)
class Item:
    """A file to send."""

    path: str
    size: int
    """In bytes."""
    sha256: str
    data: bytes | None = field(default=None, repr=False)
    """The content, where it is not a file of the corpus."""


@dataclass(frozen=True)
class There:
    """What a target has."""

    present: frozenset[str]
    """The paths of items that are there with their hash."""
    stale: tuple[str, ...]
    """Files of an earlier version that are to be deleted."""
    complete: bool
    """Whether there is nothing to do."""


class Target(Protocol):
    """Where a corpus is published."""

    def look(self, items: list[Item]) -> There:
        """Return what is there. Raises: CorpusError where something else is."""

    def begin(self, items: list[Item], there: There) -> None:
        """Prepare for files to come."""

    def send(self, item: Item, data: bytes) -> None:
        """Send a file."""

    def finish(self, last: list[Item], there: There) -> None:
        """Delete what is stale and send the last files, of which the manifest is the last."""


@dataclass
class Publication:
    """A corpus and where it is published."""

    corpus: str
    url: str
    manifest: Manifest
    """As it is published: without the folders that are not."""
    items: list[Item]
    last: list[Item]
    """The card and the manifest."""
    target: Target
    there: There

    @property
    def missing(self) -> list[Item]:
        """The files that are to be sent, without the last."""
        return [item for item in self.items if item.path not in self.there.present]

    def send(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Send what is missing. Raises: VerifyError for a file that is not as the manifest says, StorageError."""
        if self.there.complete:
            return
        store = Store(self.corpus)
        try:
            self.target.begin(self.items, self.there)
            for item in self.missing:
                report(item.path)
                self.target.send(item, item.data if item.data is not None else _checked(store, item))
            self.target.finish(self.last, self.there)
        except FileNotFoundError as problem:
            raise StorageError(f"{self.url}: cannot be written ({problem.strerror or problem})") from None


def publication(corpus: str, url: str, more: Iterable[str] = (), private: bool = False) -> Publication:
    """Return what would be sent from a corpus to `url`; nothing is sent yet. `more` are some of OPTIONAL.

    Raises: CorpusError where there is no corpus, or something else at `url`; RequestError for a wrong `url`.
    """
    manifest = read_manifest(corpus)
    wanted = set(more)
    left_out = {
        **({} if "rejects" in wanted else {"rejects": ()}),
        **({} if "crawl" in wanted else {"crawled": ()}),
        **({} if "keys" in wanted else {"keys": None}),
    }
    manifest = manifest.model_copy(update=left_out)
    items = [Item(file.path, file.bytes, file.sha256) for file in manifest.files]
    store = Store(corpus)
    items += [_item(name, store.get(name)) for name in DESCRIBING if store.exists(name)]
    text = card(manifest, stats(manifest), private_items(corpus, manifest))
    last = [_item(CARD, text.encode()), _item(NAME, manifest.to_json())]
    target = target_of(url, private)
    if is_local(url) and is_local(corpus) and _is_inside(url, corpus):
        raise RequestError(f"{url}: lies in the corpus itself; name another folder")
    return Publication(corpus, url, manifest, items, last, target, target.look([*items, *last]))


def _is_inside(path: str, folder: str) -> bool:
    return (os.path.realpath(path) + os.sep).startswith(os.path.realpath(folder) + os.sep)


def target_of(url: str, private: bool = False) -> Target:
    """Return the target of a URL. Raises: RequestError."""
    if url.startswith("hf://"):
        from mmedc.pipeline.hub import HubTarget, repository_of

        return HubTarget(*repository_of(url), private)
    if "://" in url and not url.startswith(("s3://", "gs://")):
        raise RequestError(f"{url}: expected a folder, s3://BUCKET/…, gs://BUCKET/… or hf://datasets/OWNER/NAME")
    if is_local(url) and os.path.isfile(url):
        raise RequestError(f"{url}: is a file; name a folder, which may be new")
    return StoreTarget(Store(url.rstrip("/")))


def _item(path: str, data: bytes) -> Item:
    return Item(path, len(data), hashlib.sha256(data).hexdigest(), data)


def _checked(store: Store, item: Item) -> bytes:
    """Return the content of a file. Raises: VerifyError when it is not as the manifest says."""
    try:
        data = store.get(item.path)
    except FileNotFoundError:
        raise VerifyError(f"{store.url}/{item.path}: missing, but the manifest names it") from None
    if hashlib.sha256(data).hexdigest() != item.sha256:
        raise VerifyError(f"{store.url}/{item.path}: was changed since it was built; give its `mmedc run` again")
    return data


@dataclass(frozen=True)
class StoreTarget:
    """A folder or a prefix of an object store."""

    store: Store

    def look(self, items: list[Item]) -> There:
        """See `Target`."""
        sizes = self.store.sizes()
        if any(name.startswith(f"{WORK}/") for name in sizes):  # its rejects and keys would be deleted as stale
            raise CorpusError(f"{self.store.url}: is where a recipe builds its corpus; name another place")
        marks = {name.removeprefix(f"{MARKS}/") for name in sizes if name.startswith(f"{MARKS}/")}
        old = read_manifest(self.store.url) if NAME in sizes else None
        if old is None and not marks and sizes:
            raise CorpusError(f"{self.store.url}: is not empty and holds no corpus; name another place")
        known = {(file.path, file.sha256) for file in old.files} if old else set()
        present = {
            item.path
            for item in items
            if sizes.get(item.path) == item.size
            and ((item.path, item.sha256) in known or item.sha256 in marks or self._holds(item))
        }
        paths = {item.path for item in items}
        stale = sorted(name for name in sizes if name.split("/")[0] in FOLDERS and name not in paths)
        return There(frozenset(present), tuple(stale), len(present) == len(items) and not stale and not marks)

    def _holds(self, item: Item) -> bool:
        return item.data is not None and self.store.get(item.path) == item.data

    def begin(self, items: list[Item], there: There) -> None:
        """Note what is there, then delete the old manifest: what follows is no whole corpus until the end."""
        for item in items:
            if item.path in there.present:
                self.store.put(f"{MARKS}/{item.sha256}", item.path.encode())
        self.store.put(f"{MARKS}/begun", b"")
        self.store.delete(NAME)

    def send(self, item: Item, data: bytes) -> None:
        """See `Target`."""
        self.store.put(item.path, data)
        self.store.put(f"{MARKS}/{item.sha256}", item.path.encode())

    def finish(self, last: list[Item], there: There) -> None:
        """See `Target`."""
        for name in there.stale:
            self.store.delete(name)
        for item in last:
            self.store.put(item.path, item.data or b"")
        sizes = self.store.sizes()
        for file in read_manifest(self.store.url).files:
            if sizes.get(file.path) != file.bytes:
                raise StorageError(f"{self.store.url}/{file.path}: did not arrive whole; give the same command again")
        for name in sizes:
            if name.startswith(f"{MARKS}/"):
                self.store.delete(name)
        if is_local(self.store.url):
            remove_empty(self.store.url)
