"""Which items stand in the corpora that a checkpoint was trained on, by what their builds found."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from mmedc.corpus.manifest import TRAINED_ON, Manifest, read_manifest, read_reject
from mmedc.dedup.questions import quoted
from mmedc.errors import CorpusError
from mmedc.questions import Item


@dataclass(frozen=True)
class Contamination:
    """What is known about items in corpora."""

    hits: dict[str, list[str]] = field(default_factory=dict)
    """Item → the documents that hold it (their locators)."""
    removed: int = 0
    """Items that were found, and whose documents or passages were taken out before training."""
    warnings: list[str] = field(default_factory=list)


def corpora_of(model: str) -> tuple[list[str], list[str]]:
    """Return the corpora that an exported model names and that are still here, and warnings for the others."""
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
            warnings.append(f"corpus {name} of this model is not at {path} any more; name it with bench.corpora")
    return found, warnings


def look(items: list[Item], corpora: list[str]) -> Contamination:
    """Return which of `items` the builds of `corpora` found in what they published.

    Raises: CorpusError for a folder that is no corpus.
    """
    asked = {quoted(item.question): item.id for item in items}
    hits: dict[str, list[str]] = {}
    removed: set[str] = set()
    warnings = []
    for corpus in corpora:
        manifest = read_manifest(corpus)
        if manifest.contamination is None:
            warnings.append(f"{corpus} was built without `decontaminate`: nobody looked for these items in it")
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
            warnings.append(f"{corpus}: its build found more hits than the {len(rows):,} that it wrote down")
    if hits:
        warnings.insert(0, f"{len(hits):,} of {len(items):,} items stand in the corpora that this model was trained on")
    return Contamination(hits, len(removed - set(hits)), warnings)


def _hits_of(manifest: Manifest) -> str:
    settings = manifest.recipe.get("decontaminate")
    return str(settings.get("hits", "drop")) if isinstance(settings, dict) else "drop"
