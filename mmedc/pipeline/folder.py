"""The output folder of a build: which recipe it belongs to, where that recipe is, and what is to be read again."""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass

from mmedc.corpus.manifest import NAME, read_manifest
from mmedc.engine.commit import commits
from mmedc.engine.run import WORK
from mmedc.engine.unit import Pass
from mmedc.errors import CorpusError, RequestError
from mmedc.pipeline.ingest import Ingested
from mmedc.recipe import Recipe
from mmedc.sources import InputSplit
from mmedc.storage import Store, bucket_of, has_bucket, is_local
from mmedc.yamlfile import nearest

OWNER = ".work/recipe"
ORIGIN = ".work/origin.json"


@dataclass(frozen=True)
class Origin:
    """The recipe of the last run in a folder: what was given, and in which folder."""

    recipe: str
    sets: tuple[str, ...]
    cwd: str


def check_out(out: str) -> None:
    """Check that a corpus could be written to `out`; creates nothing. Raises: CorpusError."""
    if not is_local(out):
        if not has_bucket(out):
            raise CorpusError(f"--out {out}: there is no bucket {bucket_of(out)}; create it, or correct its name")
        return
    place = os.path.abspath(out)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        what = "is a file" if place == os.path.abspath(out) else f"{place} is a file, which can hold no folder"
        raise CorpusError(f"--out {out}: {what}; name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CorpusError(f"--out {out}: {place} can't be written to by this user; choose another folder, or change it")


def claim(store: Store, recipe: Recipe) -> None:
    """Claim a folder for a recipe.

    Raises: CorpusError if it belongs to another recipe, or contains other files.
    """
    name = recipe.name.encode()
    if not store.exists(OWNER) and store.names():
        published = read_manifest(store.url).name if store.exists(NAME) else None  # `.work` was deleted
        if published != recipe.name:
            what = f'holds the corpus "{published}"' if published else "is not empty and holds no corpus"
            raise CorpusError(f"{store.url}: the folder {what}; choose another with --out")
    if not store.put_new(OWNER, name) and (owner := store.get(OWNER)) != name:
        raise CorpusError(
            f'{store.url}: belongs to the recipe "{owner.decode()}", this one is "{recipe.name}"; '
            "choose another folder with --out, or delete it"
        )


def remember(store: Store, recipe: Recipe) -> None:
    """Write where the recipe of a run is, for `origin_of`; one that was made in Python is nowhere."""
    file, sets = recipe.origin
    if file:
        store.put_changed(ORIGIN, json.dumps(asdict(Origin(file, sets, os.getcwd()))).encode())


def origin_of(corpus: str) -> Origin:
    """Return where the recipe of a corpus is. Raises: CorpusError where that is not known."""
    try:
        found = json.loads(Store(corpus).get(ORIGIN))
    except FileNotFoundError:
        raise CorpusError(
            f"{corpus}: there is no {ORIGIN}, which says where its recipe is; name the recipe with --recipe"
        ) from None
    return Origin(found["recipe"], tuple(found["sets"]), found["cwd"])


def forget_rejected(store: Store, ingest: Pass[InputSplit, Ingested], reason: str) -> list[str]:
    """Delete the commits of the units that rejected a record for `reason`, so that they are read again.

    Returns their labels.

    Raises: RequestError where there is no such unit, with the reasons that there are.
    """
    work, found = store.below(WORK), Counter[str]()
    done = commits(work, ingest)
    chosen: list[str] = []
    if not done:
        return chosen  # a setting changed on which all units depend: they are all read again
    for unit in ingest.units:
        if unit.id not in done:
            continue
        reasons = {name for count in done[unit.id].left.funnel.values() for name in count.rejected}
        found.update(reasons)
        if any(name == reason or name.split()[0] == reason for name in reasons):
            work.delete(f"{ingest.folder}/units/{unit.id}.json")
            chosen.append(unit.label)
    if not chosen:
        known = nearest(reason, found) if found else "; no record was rejected"
        raise RequestError(f'{store.url}: no unit that this recipe would read again rejected "{reason}"{known}')
    return chosen
