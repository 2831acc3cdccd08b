"""Brings a recipe to a published corpus, pass by pass; what is done is passed over."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmedc.corpus.keys import Kept, PublishKeys, published_keys
from mmedc.corpus.passes import Gathered, Publish, Select, ShardPlan
from mmedc.corpus.tokens import check_tokenizer
from mmedc.dedup.clean import Decontaminate, Selected
from mmedc.dedup.lines import Chosen
from mmedc.dedup.questions import Questions, find_questions
from mmedc.engine.commit import entries
from mmedc.engine.run import WORK, Runner, Watcher, run_pass
from mmedc.engine.unit import Entry, Output, Pass, Unit, digest_of
from mmedc.errors import CorpusError
from mmedc.pipeline.classify import checkpoint_digest, classified, classify_pass
from mmedc.pipeline.dedup import Dedup
from mmedc.pipeline.gather import gather_pass
from mmedc.pipeline.lines import line_passes, trimmed
from mmedc.pipeline.publish import keys_made_by, publish
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.sources import Piece, list_units
from mmedc.storage import Store

OWNER = ".work/recipe"


@dataclass(frozen=True)
class Build:
    """A recipe with all that it names found and checked: ready to run."""

    recipe: Recipe
    policy: Policy
    store: Store
    gather: Pass
    questions: Questions | None
    """The benchmark questions that must not stand in the corpus."""
    checkpoint: str
    """Digest of the classifier's files; empty without one."""
    known: list[tuple[str, Output]]
    """(URL, file of keys) of the published corpora whose documents must not come again."""

    @classmethod
    def prepare(cls, recipe: Recipe, out: str) -> "Build":
        """Check everything that can be checked before work begins.

        Raises: RequestError of some kind for what is wrong.
        """
        policy = recipe.read_policy()
        check_tokenizer(recipe.publish.tokenizer)
        if out in recipe.dedup.against:
            raise CorpusError(
                f"{out}: the recipe's dedup.against names the folder that it builds; choose another --out"
            )
        known = published_keys(recipe.dedup.against, keys_made_by(recipe))
        clean = recipe.decontaminate
        questions = find_questions(clean.questions, clean.words, clean.characters) if clean.questions else None
        checkpoint = checkpoint_digest(recipe.classify.checkpoint) if recipe.classify else ""
        gather = gather_pass(recipe, policy, list_units(recipe))
        return cls(recipe, policy, Store(out), gather, questions, checkpoint, known)

    def claim(self) -> None:
        """Make the out folder this recipe's. Raises: CorpusError when it is another's, or holds other files."""
        name = self.recipe.name.encode()
        if not self.store.exists(OWNER) and self.store.names():
            raise CorpusError(
                f"{self.store.url}: the folder is not empty and holds no corpus; choose another with --out"
            )
        if not self.store.put_new(OWNER, name) and (owner := self.store.get(OWNER)) != name:
            raise CorpusError(
                f'{self.store.url}: belongs to the recipe "{owner.decode()}", this one is "{self.recipe.name}"; '
                "choose another folder with --out, or delete it"
            )

    def run(self, runner: Runner, watcher: Watcher) -> dict[str, Any]:
        """Build the corpus and return its manifest.

        Raises: UnitsFailed when units could not be done; the same call goes on where it stopped.
        """
        self.claim()
        done: dict[str, list[Entry]] = {}
        passes = self.passes(done)
        one = next(passes)
        while True:
            done[one.name] = run_pass(one, runner, self.store, watcher)
            try:
                one = next(passes)
            except StopIteration:
                break
        return publish(self.recipe, self.policy, self.store, one, done, self.questions)

    def done(self) -> dict[str, tuple[Pass, dict[str, Entry]]]:
        """Return the passes whose units are known, with the entries that are committed; touches nothing."""
        found: dict[str, tuple[Pass, dict[str, Entry]]] = {}
        done: dict[str, list[Entry]] = {}
        work = self.store.below(WORK)
        for one in self.passes(done):
            have = entries(work, one) if self.store.exists(OWNER) else {}
            found[one.name] = one, have
            if len(have) < len(one.units):
                break
            done[one.name] = [have[unit.id] for unit in one.units]
        return found

    def passes(self, done: dict[str, list[Entry]]) -> Iterator[Pass]:
        """Yield the passes in their order; each is planned from the entries in `done` of those before it."""
        recipe, policy = self.recipe, self.policy
        yield self.gather
        gathered = done["gather"]
        if recipe.classify is not None:
            yield classify_pass(recipe, policy, self.checkpoint, gathered)
            gathered = classified(gathered, done["classify"])
        keys, documents = ([entry.outputs[role] for entry in gathered] for role in ("keys", "documents"))
        retries = recipe.limits.retries
        dedup = Dedup(policy, tuple(recipe.sources), recipe.dedup.jaccard, recipe.dedup.minhash, retries)
        for one in dedup.passes(keys, documents, self.known, done):
            yield one
        key = one.key
        drops = tuple(entry.outputs["drops"] for entry in done["settle"])
        groups = dedup.groups([output.rows for output in keys])
        units = []
        for number, entry in enumerate(gathered):
            unit = self.gather.units[number]
            piece: Piece = unit.spec
            group = bisect_right(groups, number) - 1
            spec = Gathered(number, piece.source, entry.outputs["documents"], entry.outputs["keys"], group)
            units.append(Unit(f"{number:06d}", unit.label, spec, entry.outputs["keys"].bytes))
        key = digest_of(key, VERSIONS["select"])
        yield Pass(
            "select",
            key,
            Select(policy, drops, len(gathered), tuple(url for url, _ in self.known)),
            tuple(units),
            retries,
        )

        selected = done["select"]
        if self.questions is not None:
            key = digest_of(key, self.questions.digest, recipe.decontaminate.hits, VERSIONS["decontaminate"])
            units = [
                Unit(unit.id, unit.label, Selected(entry.outputs["documents"], chosen.outputs["keep"]), unit.bytes)
                for unit, entry, chosen in zip(units, gathered, selected, strict=True)
            ]
            clean = Decontaminate(self.questions, recipe.decontaminate.hits)
            yield Pass("decontaminate", key, clean, tuple(units), retries)
            selected = done["decontaminate"]
        chosen = [
            Chosen(number, entry.outputs["documents"], one.outputs["keep"], one.outputs.get("edits"))
            for number, (entry, one) in enumerate(zip(gathered, selected, strict=True))
        ]
        sizes: list[dict[str, list[int]]] = [one.notes for one in selected]
        if recipe.dedup.lines is not None:
            for one in line_passes(
                key, policy, tuple(recipe.sources), recipe.dedup.lines, chosen, sizes, done, retries
            ):
                key = one.key
                yield one
            chosen, sizes = trimmed(chosen, done["trim"])
        units = [
            Unit(unit.id, unit.label, Kept(output, one.keep), output.bytes)
            for unit, output, one in zip(units, keys, chosen, strict=True)
        ]
        yield Pass("keys", digest_of(key, VERSIONS["keys"]), PublishKeys(), tuple(units), retries)

        shards = self._shards(gathered, chosen, sizes)
        key = digest_of(key, recipe.publish.model_dump(), VERSIONS["publish"])
        units = [Unit(digest_of(shard.path), shard.path, shard, int(shard.high - shard.low)) for shard in shards]
        yield Pass("publish", key, Publish(recipe.publish.tokenizer), tuple(units), retries)

    def _shards(
        self, gathered: list[Entry], chosen: list[Chosen], sizes: list[dict[str, list[int]]]
    ) -> list[ShardPlan]:
        """Return the files of the corpus: for each language and source as many as its bytes need, of even size."""
        stored = sum(entry.outputs["documents"].bytes for entry in gathered)
        plain = sum(entry.notes["text_bytes"] for entry in gathered)
        text_per_shard = self.recipe.publish.shard * (plain / stored if stored else 1.0)
        cells: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for number, by_lang in enumerate(sizes):
            piece: Piece = self.gather.units[number].spec
            for lang, (_, size) in by_lang.items():
                cells.setdefault((lang, piece.source), []).append((number, size))
        shards = []
        for (lang, source), parts in sorted(cells.items()):
            total = sum(size for _, size in parts)
            count = max(1, -(-total // max(int(text_per_shard), 1)))
            for number in range(count):
                low, high = total * number / count, total * (number + 1) / count
                mine, before = [], 0
                for gather_unit, size in parts:
                    if before < high and before + size > low:
                        one = chosen[gather_unit]
                        mine.append((one.documents, one.keep, one.edits, before))
                    before += size
                shards.append(ShardPlan(lang, source, number, count, tuple(mine), low, high))
        return shards


VERSIONS = {"select": 1, "decontaminate": 3, "keys": 1, "publish": 2}
"""Raised when the code of a pass changes what it leaves."""
