"""Finds the items that occur in the training corpora of a checkpoint, according to the builds of these corpora."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from mmedc.corpus.manifest import TRAINED_ON, Manifest, read_manifest, read_reject
from mmedc.dedup.questions import quoted
from mmedc.errors import CorpusError
from mmedc.questions import Item


@dataclass(frozen=True)
class CorpusOverlap:
    """The items that are known to occur in corpora."""

    hits: dict[str, list[str]] = field(default_factory=dict)
    """Item → the locators of the documents that contain it."""
    removed: int = 0
    """How many items were found whose documents or passages were removed before training."""
    warnings: list[str] = field(default_factory=list)


def corpora_of(model: str) -> tuple[list[str], list[str]]:
    """Return the corpora that an exported model names and that still exist, and a warning for each other one."""
    file = Path(model, TRAINED_ON)
    if not file.is_file():
        return [], []
    found, warnings = [], []
    for name, (path, digest) in json.loads(file.read_text(encoding="utf-8")).items():
        try:
            same = read_manifest(path).digest == digest
        except CorpusError:
            same = False
        if same:
            found.append(path)
        else:
            warnings.append(f"corpus {name} of this model is no longer at {path}; name it with bench.corpora")
    return found, warnings


def look(items: list[Item], corpora: list[str]) -> CorpusOverlap:
    """Return which of `items` the builds of `corpora` found in their documents.

    Raises: CorpusError for a folder that is no corpus.
    """
    asked = {quoted(item.question): item.id for item in items}
    hits: dict[str, list[str]] = {}
    removed: set[str] = set()
    warnings = []
    for corpus in corpora:
        manifest = read_manifest(corpus)
        if manifest.contamination is None:
            warnings.append(f"{corpus} was built without `decontaminate`, so these items were not searched for in it")
            continue
        rows = read_reject(corpus, "contamination", "build it again")
        kept = _hits_of(manifest) == "report"
        for row in rows:
            if (item := asked.get(row["in_question"])) is None:
                continue
            if kept:
                hits.setdefault(item, []).append(row["locator"])
            else:
                removed.add(item)
        if manifest.contamination.hits > len(rows):
            warnings.append(f"{corpus}: its build found more hits than the {len(rows):,} that it recorded")
    if hits:
        warnings.insert(0, f"{len(hits):,} of {len(items):,} items occur in the corpora that this model was trained on")
    return CorpusOverlap(hits, len(removed - set(hits)), warnings)


def _hits_of(manifest: Manifest) -> str:
    settings = manifest.recipe.get("decontaminate")
    return str(settings.get("hits", "drop")) if isinstance(settings, dict) else "drop"
