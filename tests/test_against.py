"""Building B against the published A keeps what building A and B together keeps, also where only texts can tell."""

import random
from itertools import pairwise
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.corpus.keys import KnownKeys, WriteKeys, counted
from mmedc.dedup.records import DROP, read_cut
from mmedc.engine.commit import write_table
from mmedc.engine.run import WORK, Inline
from mmedc.engine.selection import KEEP, Selection, Size
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.pipeline.build import Running
from mmedc.pipeline.dedup import Dedup
from mmedc.policy import Policy
from mmedc.storage import Store
from tests.conftest import Notes
from tests.test_groups import LINE, family, keys_of

LANGS = ("en", "fr")


class Made:
    """The units of a build, as ingest would leave them: texts, keys and documents, of two languages in turn."""

    def __init__(self, store: Store, sources: dict[str, list[str]], units: int) -> None:
        self.store, self.sources = store, sources
        self.keys: list[DataFile] = []
        self.documents: list[DataFile] = []
        self.units: list[tuple[str, list[str], list[str]]] = []
        for source, texts in sources.items():
            for low, high in pairwise(np.linspace(0, len(texts), units + 1).astype(int).tolist()):
                part = texts[low:high]
                langs = [LANGS[len(text) % 2] for text in part]
                table = keys_of(part, source)
                table = table.set_column(table.schema.get_field_index("lang"), "lang", pa.array(langs, pa.string()))
                lines = pa.table({"text": pa.array(part, pa.large_string())})
                self.keys.append(write_table(store, "keys", Stream(table.schema, iter([table]), whole=True), "unit"))
                self.documents.append(write_table(store, "documents", Stream(lines.schema, iter([lines])), "unit"))
                self.units.append((source, part, langs))

    def dropped(self, store: Store, known: list[KnownKeys]) -> dict[str, str]:
        """Return {text: reason} of what the passes drop."""
        dedup = Dedup(Policy("none", "boundary", {}), tuple(self.sources), LINE, True, 0, group_rows=7)
        found = dedup.run(Running(Inline(), store, Notes()), self.keys, self.documents, known)
        rows = pa.concat_tables(
            [read_cut(self.store, found.drops, group, DROP) for group in range(len(found.groups) - 1)]
        ).to_pylist()
        return {self.units[row["place"] >> 32][1][row["place"] & 0xFFFFFFFF]: row["reason"] for row in rows}

    def publish(self, corpus: Store, dropped: dict[str, str]) -> list[KnownKeys]:
        """Write what stays as a corpus of small shards, and its keys by the work that publishes them."""
        selections, texts = [], {}
        for number, (source, part, langs) in enumerate(self.units):
            rows = [row for row, text in enumerate(part) if text not in dropped]
            keep = pa.table([rows, [langs[row] for row in rows], [len(part[row]) for row in rows]], schema=KEEP)
            sizes: dict[str, Size] = {}
            for lang in LANGS:
                mine = [part[row] for row in rows if langs[row] == lang]
                texts.setdefault((lang, source), []).extend(mine)
                if mine:
                    sizes[lang] = Size(len(mine), sum(map(len, mine)))
            file = write_table(self.store, "keep", keep, "unit")
            selections.append(Selection(number, source, self.documents[number], file, sizes))
        shards = []
        for (lang, source), mine in sorted(texts.items()):
            for low in range(0, len(mine), 4):
                table = pa.table({"text": pa.array(mine[low : low + 4], pa.large_string())})
                shards.append((lang, source, write_table(corpus, f"data/{lang}", table, f"{source}-{low:04d}")))
        found = []
        for kept in counted(self.keys, selections):
            left = WriteKeys().run(Unit.of(kept, "keys", 0), UnitFiles(self.store, "published", "unit")).keys
            corpus.put(left.path, self.store.get(left.path))
            found.append(KnownKeys(corpus.url, left, tuple(shards)))
        return found


def differing(texts: list[str], old: set[int], units: int = 2) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is dropped of all `texts` together, and in two builds, the texts numbered `old` first."""
    split = {
        "a": [text for number, text in enumerate(texts) if number in old],
        "b": [text for number, text in enumerate(texts) if number not in old],
    }
    with TemporaryDirectory() as one, TemporaryDirectory() as two, TemporaryDirectory() as three:
        store = Store(one)
        together = Made(store.below(WORK), split, units).dropped(store, [])
        store = Store(two)
        first = Made(store.below(WORK), {"a": split["a"]}, units)
        dropped = first.dropped(store, [])
        known = first.publish(Store(two).below("corpus"), dropped)
        store = Store(three)
        return together, dropped | Made(store.below(WORK), {"b": split["b"]}, units).dropped(store, known)


@given(st.integers(0, 2**32), st.integers(4, 40), st.sets(st.integers(0, 39)))
@settings(max_examples=15, deadline=None)
def test_two_builds_keep_what_one_keeps(seed: int, documents: int, old: set[int]) -> None:
    texts = list(dict.fromkeys(family(random.Random(seed), documents, [1, 2, 3, 4])))
    together, apart = differing(texts, old)
    assert set(together) == set(apart)
    assert all(apart[text] == "already_published" or apart[text] == together[text] for text in apart)


def test_texts_of_a_corpus_are_read_where_only_they_can_tell() -> None:
    """Of 40 pairs near the line, half of each build, about half are alike; estimates would get several wrong."""
    draw = random.Random(5)
    texts, old = [], set()
    for number in range(40):
        one, other = family(random.Random(1000 + number), 2, [draw.randint(1, 3)])
        old.add(len(texts))
        texts += [one, other]
    together, apart = differing(texts, old)
    assert set(together) == set(apart) and 8 < len(apart) < 40
