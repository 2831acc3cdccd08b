"""Runs a training: the token pass, then the loop in one process, in several processes, or on Ray.

Ray runs the token pass and, where a cluster is named, the workers of Ray Train. The loop does not depend on it.
"""

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedc.corpus.manifest import Manifest, read_manifest
from mmedc.corpus.tokens import FOLDER
from mmedc.engine.run import Runner, Watcher
from mmedc.storage import Store, is_local
from mmedc.tokenizer import Tokenizer, open_tokenizer
from mmedc.train.accuracy import AccuracyWindows, MultipleChoice
from mmedc.train.config import Train
from mmedc.train.examples import ExampleStream, read_examples
from mmedc.train.loop import Prepared, Report
from mmedc.train.loop import run as run_loop
from mmedc.train.measure import HeldOut
from mmedc.train.mixture import Component, components_of, counts, shares
from mmedc.train.stopping import Stopping
from mmedc.train.stream import PackedStream
from mmedc.train.tokens import Tokenised, lay_out, tokenise

RECORD = "run.json"
Corpora = dict[str, tuple[str, Manifest, list[Tokenised]]]


@dataclass(frozen=True)
class Job:
    """A training whose corpora are tokenised. It is picklable, so that every process can prepare itself from it."""

    settings: Train
    out: str
    corpora: Corpora
    questions: tuple[MultipleChoice, ...] = ()
    """The questions of `watch.questions`."""

    def components(self, rank: int = 0, ranks: int = 1) -> list[Component]:
        """Return the components of the corpora, after laying their tokens out on this machine.

        Each process begins with another shard, so that those of a machine share the work.
        """
        cache = Path(self.settings.data.cache or Path(self.out) / "tokens")
        data = self.settings.data
        files = [(url, left.file) for url, _, tokenised in self.corpora.values() for left in tokenised]
        lay_out(files, cache, rank / ranks)
        return components_of(self.corpora, data.held_out, cache, data.buckets)

    def prepare(self, rank: int = 0, ranks: int = 1) -> Prepared:
        """Lay the tokens out on this machine, and return what the loop needs. Raises: RecipeError."""
        settings, folder = self.settings, Path(self.out)
        tokenizer = open_tokenizer(settings.tokenizer)
        questions = AccuracyWindows(self.questions, tokenizer, settings.data.context)
        if settings.examples is not None:
            stream = _examples(settings, tokenizer)
            return Prepared(stream, HeldOut([], 0, settings.data.context), questions, tokenizer, folder)
        components = self.components(rank, ranks)
        table = shares(components, settings.data, settings.steps * settings.batch)
        identity = {
            "corpora": {name: manifest.digest for name, (_, manifest, _) in self.corpora.items()},
            "tokenizer": tokenizer.digest,
            "held_out": settings.data.held_out,
        }
        packed = PackedStream(components, table, settings.data.context, settings.seed, identity)
        held_out = HeldOut(components, settings.watch.evaluate_documents, settings.data.context)
        return Prepared(packed, held_out, questions, tokenizer, folder)


def tokenised(
    settings: Train, out: str, runner: Runner, watcher: Watcher, questions: tuple[MultipleChoice, ...] = ()
) -> Job:
    """Run the token pass over every corpus of a training, and return the job that remains.

    The counts by this tokenizer are written to each corpus as `tokens/<tokenizer>.json`, for `mmedc stats`.

    Raises: CorpusError where there is no corpus; RecipeError for the tokenizer; UnitsFailed.
    """
    tokenizer = open_tokenizer(settings.tokenizer)
    corpora: Corpora = {}
    out = os.path.abspath(out)  # the processes of other machines have other working folders
    for name, given in settings.data.corpora.items():
        url = os.path.abspath(given) if is_local(given) else given
        manifest = read_manifest(url)
        corpora[name] = url, manifest, tokenise(url, manifest, tokenizer, runner, watcher)
    if settings.epochs:
        sequences = _examples(settings, tokenizer).sequences(settings.epochs)
        steps = max(1, round(sequences / settings.batch))
        settings = settings.model_copy(update={"steps": steps, "epochs": 0.0})
    return Job(settings, out, corpora, questions)


def _examples(settings: Train, tokenizer: Tokenizer) -> ExampleStream:
    assert settings.examples is not None
    return ExampleStream(read_examples(settings.examples), tokenizer, settings.data.context, settings.seed)


def train(job: Job, report: Report) -> dict[str, float]:
    """Run the loop of a job on this machine, in as many processes as it asks for, and return the last values.

    A signal that asks to stop is kept until the step is saved (`mmedc.train.stopping`).

    Raises: what the loop raises, and WorkError when a process dies or waits too long for another.
    """
    folder = Path(job.out)
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(job)
    if job.settings.processes == 1 and not _wants_cuda(job.settings):
        with Stopping() as stopping:
            return run_loop(job.settings, job.prepare(), report, stopping)
    from mmedc.train.processes import train_in_processes

    return train_in_processes(job, "cuda" if _wants_cuda(job.settings) else "cpu", report)


def _wants_cuda(settings: Train) -> bool:
    if settings.device != "auto":
        return settings.device == "cuda"
    import torch

    return torch.cuda.is_available()


def train_on_ray(job: Job, address: str, report: Report) -> dict[str, float]:
    """Run the loop of a job in workers of Ray Train; see `mmedc.train.workers`."""
    from mmedc.train.workers import train_in_workers

    Path(job.out).mkdir(parents=True, exist_ok=True)
    _write_record(job)
    return train_in_workers(job, address, report)


def _cut(job: Job) -> dict[str, int]:
    """Return, with a warning, how many examples and questions are too long for a sequence."""
    settings, tokenizer = job.settings, open_tokenizer(job.settings.tokenizer)
    context = settings.data.context
    found = {"questions": AccuracyWindows(job.questions, tokenizer, context).cut}
    if settings.examples is not None:
        stream = _examples(settings, tokenizer)
        found |= {"examples": stream.cut, "examples_left_out": stream.left_out}
    said = {
        "questions": "questions lose the beginning of their prompt",
        "examples": "examples lose the beginning of their prompt",
        "examples_left_out": "examples are left out, because their answer alone is longer",
    }
    for name, count in found.items():
        if count:
            warnings.warn(f"data.context is {context:,}: {count:,} {said[name]}; raise data.context", stacklevel=2)
    return found


def _write_record(job: Job) -> None:
    """Write the record of a run to its folder: the settings, and the documents and tokens of each component."""
    record: dict[str, Any] = {
        "settings": job.settings.model_dump(mode="json"),
        "corpora": {name: [url, manifest.digest] for name, (url, manifest, _) in job.corpora.items()},
        "mixture": counts(job.components()),
        "cut": _cut(job),
    }
    if job.settings.examples is not None:
        stream = _examples(job.settings, open_tokenizer(job.settings.tokenizer))
        record["padding"] = round(stream.padding(), 4)
    Path(job.out, RECORD).write_text(json.dumps(record, ensure_ascii=False, indent=1))
    tokenizer = open_tokenizer(job.settings.tokenizer)
    for name, (url, _, _) in job.corpora.items():
        by_lang: dict[str, dict[str, int]] = {}
        for component, have in record["mixture"].items():
            corpus, lang, *_ = component.split("/")
            if corpus == name:
                total = by_lang.setdefault(lang, {"documents": 0, "tokens": 0})
                total["documents"] += have["documents"] + have["held_out_documents"]
                total["tokens"] += have["tokens"] + have["held_out_tokens"]
        counted = {"tokenizer": tokenizer.name, "digest": tokenizer.digest, "languages": by_lang}
        Store(url).put(f"{FOLDER}/{tokenizer.digest[:16]}.json", json.dumps(counted, indent=1).encode())
