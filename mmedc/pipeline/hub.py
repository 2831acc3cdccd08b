"""The Hugging Face hub as a place where a corpus is published: contents first, then one commit that names them all.

The hub knows contents by their hashes, so what has arrived before a stop is not sent again. Readers see the old version
until the commit, and the new one after it. The token comes from `HF_TOKEN` or from `hf auth login`.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from mmedc.corpus.manifest import FOLDERS
from mmedc.errors import RequestError, StorageError
from mmedc.pipeline.push import Item, There
from mmedc.redact import first_line

URL = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?/?")
REFUSED = (401, 403)


def repository_of(url: str) -> tuple[str, str]:
    """Return (owner/name, revision) of a URL. Raises: RequestError."""
    found = URL.fullmatch(url)
    if not found:
        raise RequestError(f"{url}: expected hf://datasets/OWNER/NAME, or hf://datasets/OWNER/NAME@BRANCH")
    return found[1], found[2] or "main"


class HubTarget:
    """A dataset repository."""

    def __init__(self, repository: str, revision: str, private: bool) -> None:
        try:
            from huggingface_hub import HfApi
        except ImportError:
            raise RequestError("publishing to hf:// needs `pip install 'mmedc[hf]'`") from None
        self.repository, self.revision, self.private = repository, revision, private
        self.api = HfApi()
        self._added: list[Any] = []
        self._where = {"repo_id": repository, "repo_type": "dataset", "revision": revision}

    def look(self, items: list[Item]) -> There:
        """See `mmedc.pipeline.push.Target`."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        with self._asked():
            try:
                tree = list(self.api.list_repo_tree(recursive=True, **self._where))
            except (RepositoryNotFoundError, RevisionNotFoundError):
                tree = []
        known = {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in tree if hasattr(file, "size")}
        present = {item.path for item in items if known.get(item.path, "") in (item.sha256, _blob(item))}
        paths = {item.path for item in items}
        stale = sorted(name for name in known if name.split("/")[0] in FOLDERS and name not in paths)
        return There(frozenset(present), tuple(stale), len(present) == len(items) and not stale)

    def begin(self, items: list[Item], there: There) -> None:
        """Create the repository and the branch, if they are not there."""
        with self._asked():
            self.api.create_repo(self.repository, repo_type="dataset", private=self.private, exist_ok=True)
            if self.revision != "main":
                self.api.create_branch(self.repository, branch=self.revision, repo_type="dataset", exist_ok=True)

    def send(self, item: Item, data: bytes) -> None:
        """Send a content; it has no name until the commit."""
        from huggingface_hub import CommitOperationAdd

        added = CommitOperationAdd(item.path, data)
        with self._asked():
            self.api.preupload_lfs_files(additions=[added], **self._where)
        self._added.append(added)

    def finish(self, last: list[Item], there: There) -> None:
        """Commit all contents under their names."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations = [
            *(CommitOperationDelete(name) for name in there.stale),
            *self._added,
            *(CommitOperationAdd(item.path, item.data or b"") for item in last),
        ]
        with self._asked():
            self.api.create_commit(operations=operations, commit_message="A version built by mmedc", **self._where)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Raise what the hub says as our own errors, without secrets."""
        import httpx
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

        where = f"hf://datasets/{self.repository}"
        try:
            yield
        except LocalTokenNotFoundError:
            raise RequestError(f"{where}: no token; put one into HF_TOKEN, or give `hf auth login`") from None
        except HfHubHTTPError as problem:
            status = problem.response.status_code if problem.response is not None else 0
            if status in REFUSED:
                raise RequestError(
                    f"{where}: refused ({status}); put a token that may write there into HF_TOKEN, or give "
                    "`hf auth login`"
                ) from None
            raise StorageError(f"{where}: {first_line(problem)}; give the same command again later") from None
        except RuntimeError as problem:  # which wraps what went wrong with one of several contents
            what = first_line(problem.__cause__ or problem)
            raise StorageError(f"{where}: a content did not arrive ({what}); give the same command again") from None
        except (httpx.HTTPError, OSError) as problem:
            raise StorageError(f"{where}: {first_line(problem)}; give the same command again later") from None


def _blob(item: Item) -> str | None:
    """Return the name that git gives to the content of a small file."""
    if item.data is None:
        return None
    return hashlib.sha1(b"blob %d\0" % len(item.data) + item.data, usedforsecurity=False).hexdigest()
