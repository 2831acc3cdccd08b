"""Precision, recall and F1 of every medical filter, per language, on texts whose origin it never saw.

    python benchmarks/medical_filter.py --data FOLDER [--inherited] [--speed] [--out medical_filter.json]
    python benchmarks/medical_filter.py --data FOLDER --write texts.jsonl    # what the shipped model is made of

FOLDER has labelled sets, `text_*/*.jsonl.gz`, `book_*/*.jsonl.gz`, `sent_*/*.jsonl.gz` (text, lang, label,
source). Paragraphs of one article are put together, up to 2,000 characters, and sentences by eights of one
label, since neither is a document; --paragraphs leaves the paragraphs apart.

The sets label by article, book or corpus, not by text: a law suit over a disease bears the disease's label. So the
texts that the filters and their labels disagree on, those near the limits, and a sample of the rest were read, each
twice, without label or score in sight; `medical_labels.tsv` has what the readers said (see README.md), and that is the
label here. --inherited leaves the labels of the sets.

Short texts are judged, too: beside each document, a piece of 150 to 400 characters and one of 400 to 1,000 (half as
many in zh, ja and ko), which begin at a sentence drawn by chance and have the label of their document. Some of them
say nothing medical, so their recall cannot be whole. --bands prints the tables by the length of texts.

The split is by origin, that is by data set: all languages and parts of a set are held out together. Each text's score
comes from a model trained on other origins; the limits of each policy are fitted on the scores of other origins, then
applied. Some terms were chosen with these sets in view (README.md says which); model and limits are blind.
"""

import argparse
import csv
import hashlib
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.filters import open_filters
from mmedc.fit.labelled import SCHEMA, read_labelled
from mmedc.fit.measured import array, quality, with_terms
from mmedc.fit.model import folds, held_out, held_out_mix, words_as_texts
from mmedc.fit.thresholds import POLICIES, Choice, fewer_terms, fit, needed
from mmedc.policy import read_policy
from mmedc.steps.medical import mmedc_matcher
from mmedc.steps.score import scorer

SHORTEST, LONGEST = 150, 2_000  # characters of a document; half as many in scripts that say it in half
JOINED = 8  # sentences
BANDS = ((150, 400), (400, 1_000), (1_000, 10**9))  # characters
SENTENCE_END = re.compile(r"(?<=[.!?。！？।؟])\s*")
BATCH = 500
ARTICLES = ("XQuAD", "JaQuAD", "CMRC2018", "DRCD", "TICO-19", "NTREX-128")
"""Sets that come in paragraphs, with the article as `source`."""
THRESHOLDS = {"en": (5, 0.04), "zh": (5, 0.05), "ja": (5, 0.05), "fr": (4, 0.04), "ru": (4, 0.02), "es": (4, 0.04)}
DENSE = ("zh", "ja", "ko")
LABELS = Path(__file__).with_name("medical_labels.tsv")
NOT_FREE = ("NEREL", "NEREL-BIO", "TCM-Ancient-Books", "UD_French-Sequoia")
"""Sets without a stated licence for their texts, or with one that asks more than the model's own."""


def documents(data: Path, paragraphs: bool) -> pa.Table:
    """Return the labelled texts as documents: paragraphs of an article joined, sentences too; short ones left out."""
    table = read_labelled([f"{data}/{kind}_*/*.jsonl.gz" for kind in ("text", "book")])
    rows: list[dict[str, Any]] = []
    for row in table.to_pylist():
        most = LONGEST // 2 if row["lang"] in DENSE else LONGEST
        same = rows and all(rows[-1][key] == row[key] for key in ("lang", "label", "source"))
        if not paragraphs and same and row["origin"] in ARTICLES and len(rows[-1]["text"]) + len(row["text"]) < most:
            rows[-1]["text"] += "\n\n" + row["text"]
        else:
            rows.append(row)
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in read_labelled([f"{data}/sent_*/*.jsonl.gz"]).to_pylist():
        groups.setdefault((row["lang"], row["label"]), []).append(row)
    for some in groups.values():
        for at in range(0, len(some) - JOINED + 1, JOINED):
            rows.append({**some[at], "text": " ".join(row["text"] for row in some[at : at + JOINED])})
    rows = [row for row in rows if len(row["text"]) >= SHORTEST / (2 if row["lang"] in DENSE else 1)]
    return pa.Table.from_pylist(rows, schema=table.schema)


def as_read(table: pa.Table) -> pa.Table:
    """Return the texts with their readers' labels where they were read, and `sure`, false where a reader was not."""
    read = {row["text"]: row for row in read_labels()}
    names, labels = [text_key(text) for text in table["text"].to_pylist()], table["label"].to_pylist()
    label = [read[name]["medical"] == "1" if name in read else own for name, own in zip(names, labels, strict=True)]
    sure = [name not in read or "b" not in read[name]["readings"] for name in names]
    changed = sum(one != own for one, own in zip(label, labels, strict=True))
    here = f"{len(read.keys() & set(names)):,} of {len(read):,} texts that were read are here"
    print(
        f"{here}, {changed:,} of them with another label than their set's; of {sure.count(False):,} a reader was unsure"
    )
    table = table.set_column(table.schema.get_field_index("label"), "label", pa.array(label))
    return table.append_column("sure", pa.array(sure))


def with_pieces(table: pa.Table) -> pa.Table:
    """Return the documents and pieces of them, one in each of the shorter `BANDS`, with the label of their document."""
    choice, rows = random.Random(5), []
    for row in table.to_pylist():
        sentences = SENTENCE_END.split(row["text"])
        for low, high in BANDS[:-1]:
            dense = 2 if row["lang"] in DENSE else 1
            at, piece = choice.randrange(max(len(sentences) // 2, 1)), ""
            while at < len(sentences) and len(piece) * dense < (2 * low + high) / 3:
                piece, at = (piece + (" " if dense == 1 else "") + sentences[at]).strip(), at + 1
            if len(row["text"]) * dense > 1.3 * high and low <= len(piece) * dense <= high:
                rows.append({**row, "text": piece})
    return pa.concat_tables([table, pa.Table.from_pylist(rows, table.schema)])


def bands_of(table: pa.Table) -> Any:
    """Return the number of the band of each text, (D,)."""
    dense = np.where(np.isin(np.array(table["lang"].to_pylist()), DENSE), 2, 1)
    sizes = pc.utf8_length(table["text"]).to_numpy() * dense
    return np.searchsorted([low for low, _ in BANDS[1:]], sizes, side="right")


def read_labels() -> list[dict[str, str]]:
    """Return what the readers said: `text` (see `text_key`), `lang`, `medical` and `readings`."""
    if not LABELS.is_file():
        return []
    with LABELS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def text_key(text: str) -> str:
    """Return the name of a text in `medical_labels.tsv`."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def write(table: pa.Table, path: Path) -> None:
    """Write the texts whose licence allows a model of them to be given away, as `mmedc.fit.labelled` reads them."""
    with path.open("w", encoding="utf-8") as out:
        for row in table.select(SCHEMA.names).to_pylist():
            if row["origin"] not in NOT_FREE:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def scored(table: pa.Table) -> pa.Table:
    """Return the texts with what the lexicon finds, what the words say (`words`) and `medical_model`, held out."""
    policy = read_policy("balanced", tuple(sorted(set(table["lang"].to_pylist()))))
    table = with_terms(table, policy)
    words = held_out(table, terms=words_as_texts(policy))
    table = table.append_column("words", pa.array(words))
    return table.append_column("medical_model", pa.array(held_out_mix(table, words)))


def by_choice(table: pa.Table, choice: Choice) -> Any:
    """Return which texts the limits of a choice keep."""
    return (
        (array(table, "medical_terms") >= needed(table, choice.terms, fewer_terms(open_filters())))
        & (array(table, "medical_density") >= np.float32(choice.density))
        & (array(table, "medical_model") >= choice.model)
    )


def fitted_elsewhere(table: pa.Table) -> dict[str, Any]:
    """Return what each policy keeps, its limits fitted on other origins; and the lexicon or the words alone."""
    kept = {name: np.zeros(len(table), bool) for name in (*POLICIES, "lexicon alone")}
    for mask in folds(table["origin"].to_pylist(), len(table)):
        others, rows = table.filter(pa.array(~mask)), table.filter(pa.array(mask))
        for name, choice in fit(others, fewer_terms(open_filters()))[0].items():
            kept[name][mask] = by_choice(rows, choice)
        bare = fit(others.drop_columns("medical_model"), {})[0]["balanced"]
        kept["lexicon alone"][mask] = by_choice(rows, Choice(bare.terms, bare.density, 0.0, bare.quality))
    return kept


def paper_rule(table: pa.Table, data: Path) -> dict[str, Any]:
    """Return what MMedC's rule keeps, with its own keywords where they are at hand and with the project's terms."""
    import gzip

    kept = {}
    policy = read_policy("mmedc", tuple(THRESHOLDS))
    lists = {
        "MMedC rule, our terms": {c: [f for t in one.lexicon for f in t.forms] for c, one in policy.languages.items()}
    }
    path = data / "lexicon_mmedc_keywords" / "all.jsonl.gz"
    if path.is_file():
        theirs: dict[str, list[str]] = {}
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                theirs.setdefault(row["lang"], []).append(row["term"])
        lists["MMedC rule, its terms"] = theirs
    for name, terms in lists.items():
        rules = {code: mmedc_matcher(terms[code], policy.languages[code].spaced) for code in THRESHOLDS}
        found = np.zeros(len(table), bool)
        for index, (lang, text) in enumerate(zip(table["lang"].to_pylist(), table["text"].to_pylist(), strict=True)):
            if lang in rules:
                least, share = THRESHOLDS[lang]
                unique, density, _ = rules[lang](text)
                found[index] = unique >= least and density >= share
        kept[name] = found
    return kept


def speeds(table: pa.Table) -> dict[str, float]:
    """Return documents a second of CPU of MMedC's rule, the lexicon, the words, and a policy, which has both."""
    table = table.filter(pc.is_in(table["lang"], pa.array(THRESHOLDS, pa.string()))).combine_chunks()
    ours, theirs = read_policy("balanced", tuple(THRESHOLDS)), read_policy("mmedc", tuple(THRESHOLDS))
    score = scorer(open_filters().model("medical").path)
    bare = table.select(["text", "lang"])

    def judge() -> None:
        for at in range(0, len(table), BATCH):
            score(table["text"].slice(at, BATCH).combine_chunks(), None)

    def both() -> None:
        with_terms(bare, ours)
        judge()

    rates = {}
    for name, work in (
        ("MMedC rule, our terms", lambda: with_terms(bare, theirs)),
        ("lexicon alone", lambda: with_terms(bare, ours)),
        ("words alone", judge),
        ("a policy: words and lexicon", both),
    ):
        began = time.process_time()
        work()
        rates[name] = len(table) / (time.process_time() - began)
    return rates


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--inherited", action="store_true", help="labels as the sets have them, not as texts were read")
    parser.add_argument(
        "--write", type=Path, help="only write the texts of a free licence, as mmedc fit model reads them"
    )
    parser.add_argument("--paragraphs", action="store_true", help="paragraphs of articles apart, as the sets have them")
    parser.add_argument("--bands", action="store_true", help="tables by the length of texts, too")
    parser.add_argument("--speed", action="store_true", help="documents a second too")
    given = parser.parse_args()
    table = documents(given.data, given.paragraphs)
    if not given.inherited:
        table = as_read(table)
    table = with_pieces(table)
    if given.write:
        return write(table, given.write)
    table = scored(table)
    words, codes = array(table, "words"), sorted(set(table["lang"].to_pylist()))
    kept = paper_rule(table, given.data) | fitted_elsewhere(table)
    kept |= {"words alone": words >= 0.5, "model (words and lexicon) at 0.5": array(table, "medical_model") >= 0.5}
    label, langs = table["label"].to_numpy(zero_copy_only=False), np.array(table["lang"].to_pylist())
    everything = np.ones(len(table), bool)
    looks = [(name, decision, everything) for name, decision in kept.items()]
    if not given.inherited:
        sure = table["sure"].to_numpy(zero_copy_only=False)
        looks += [(f"{name}, of texts that no reader was unsure of", kept[name], sure) for name in POLICIES]
    if given.bands:
        bands = bands_of(table)
        looks += [
            (f"{name}, {low:,} to {high:,} characters", kept[name], bands == number)
            for name in (*POLICIES, "MMedC rule, our terms")
            for number, (low, high) in enumerate(BANDS)
        ]
    results: dict[str, Any] = {}
    for name, decision, among in looks:
        print(f"\n{name}\nlang  positive negative  precision recall    F1")
        for code in codes:
            if name.startswith("MMedC") and code not in THRESHOLDS:
                continue
            these = (langs == code) & among
            one = quality(decision[these], label[these])
            results.setdefault(name, {})[code] = one._asdict()
            print(f"{code:5} {one.positives:8} {one.negatives:8}  {one.precision:9.3f} {one.recall:6.3f} {one.f1:5.3f}")
    if given.speed:
        results["documents a second"] = speeds(table)
        print({name: f"{rate:,.0f} documents/s" for name, rate in results["documents a second"].items()})
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
