"""How fast `mmedc inspect` answers on a generated corpus, and how much memory it takes.

    python benchmarks/inspector.py [--gb 5] [--keep FOLDER]

The corpus has published shards only, of GB gigabytes on disk (64 MB each), of documents of about 4 kB in six languages
with scores drawn at random. The command is started as users start it and asked over HTTP; a figure is the median of
several requests after the first, except where it says "first". Memory is the largest resident size (VmHWM), which
counts pages of mapped files too.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median as middle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.corpus.grams import BLOCK_ROWS, BlockFilters, grams_of
from mmedc.corpus.manifest import FORMAT, File, FunnelRow, Manifest, PairCounts, Shard, digest_of_shards
from mmedc.document import DOCUMENT, MEASURES

LANGUAGES = ("en", "es", "fr", "ja", "ru", "zh")
ROWS = 10_000
SHARD_BYTES = 64e6
SEEDED, RAREST, ABSENT = "paracetamolum", "zolpidemicum", "quetiapinorum"
"""Words that one document in 50,000, one in 1,000,000 and none has."""
ALPHABETS = {
    "ru": "абвгдежзиклмнопрстуфхцчшщыэюя",
    "zh": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小",
    "ja": "のにはをたがでてとしれさあるいもするからなこととしていやまつくみきねほへふ医師患者薬病院治療検査症状",
}


def sentences(lang: str, rng: np.random.Generator) -> list[str]:
    """Return a pool of sentences of made-up words, large enough that compression does not find them again."""
    letters = np.array(list(ALPHABETS.get(lang, "etaoinshrdlucmfwypvbgkqjxz")))
    weights = 1 / np.arange(1, len(letters) + 1)
    spaced = lang not in ("zh", "ja")
    drawn = rng.choice(letters, (40_000, 7), p=weights / weights.sum())
    lengths = rng.integers(2, 8, len(drawn))
    words = ["".join(row[:length]) for row, length in zip(drawn.tolist(), lengths.tolist(), strict=True)]
    picked = (rng.pareto(0.8, (120_000, 14)) * 20).astype(np.int64) % len(words)
    gap = " " if spaced else ""
    return [gap.join(words[at] for at in row) + ("." if spaced else "。") for row in picked.tolist()]


def table(lang: str, pool: list[str], first: int, rng: np.random.Generator) -> pa.Table:
    """Return a row group of documents."""
    counts = rng.integers(10, 80, ROWS)
    chosen = rng.integers(0, len(pool), int(counts.sum())).tolist()
    ends = np.cumsum(counts).tolist()
    texts = ["\n".join(pool[at] for at in chosen[end - count : end])
             for end, count in zip(ends, counts.tolist(), strict=True)]  # fmt: skip
    for row in np.flatnonzero(rng.random(ROWS) < 1 / 50_000).tolist():
        texts[row] += f" {SEEDED}"
    for row in np.flatnonzero(rng.random(ROWS) < 1 / 1_000_000).tolist():
        texts[row] += f" {RAREST}"
    columns: dict[str, object] = {
        "id": [f"{lang}{first + row:030x}" for row in range(ROWS)],
        "text": texts,
        "lang": [lang] * ROWS,
        "source": ["crawl"] * ROWS,
        "kind": ["web"] * ROWS,
        "locator": [f"https://{lang}.example/{first + row}" for row in range(ROWS)],
        "title": [text[:60] for text in texts],
        "licence": ["unknown"] * ROWS,
        "tokens": np.array([len(text) // 4 for text in texts], np.int32),
        "provenance": [f"crawl.warc.gz#offset={first + row}" for row in range(ROWS)],
    }
    for name in MEASURES:
        columns[name] = rng.beta(2, 2, ROWS).astype(np.float32)
    columns["chars"] = np.array([len(text) for text in texts], np.float32)
    columns["words"] = (np.asarray(columns["chars"]) / 6).astype(np.float32)
    columns["medical_terms"] = rng.poisson(12, ROWS).astype(np.float32)
    arrays = [pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(ROWS, field.type)
              for field in DOCUMENT]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=DOCUMENT)


def write_corpus(folder: Path, size: float) -> int:
    """Write a corpus of about `size` bytes; return the number of its documents."""
    rng, shards, total, first = np.random.default_rng(1), list[Shard](), 0, 0
    statistics = list[File]()
    pools = {lang: sentences(lang, rng) for lang in LANGUAGES}
    while total < size:
        lang = LANGUAGES[len(shards) % len(LANGUAGES)]
        path = f"data/{lang}/crawl-{len(shards):05d}-of-99999.parquet"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        rows = tokens = text_bytes = 0
        filters = BlockFilters()
        with pq.ParquetWriter(folder / path, DOCUMENT, compression="zstd", compression_level=3) as writer:
            while (folder / path).stat().st_size < SHARD_BYTES:
                part = table(lang, pools[lang], first, rng)
                writer.write_table(part, row_group_size=ROWS)
                rows, first = rows + ROWS, first + ROWS
                tokens += int(part["tokens"].to_numpy().sum())
                text_bytes += part["text"].nbytes
                filters.add(part["text"].to_pylist())
        written = (folder / path).stat().st_size
        (folder / grams_of(path)).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(filters.table(), folder / grams_of(path), compression="zstd")
        size_of = (folder / grams_of(path)).stat().st_size
        statistics.append(File(path=grams_of(path), rows=-(-rows // BLOCK_ROWS), bytes=size_of, sha256=""))
        total += written
        shards.append(Shard(path=path, rows=rows, bytes=written, sha256="", lang=lang, source="crawl", kind="web",
                            tokens=tokens, text_bytes=text_bytes))  # fmt: skip
    funnel = FunnelRow(step="read", read=first, kept=first, dropped={}, rejected=0, rejected_by={}, seconds=1.0)
    recipe = {"name": "generated", "out": "x", "languages": [*LANGUAGES], "sources": {"crawl": {"warc": "*.warc.gz"}}}
    manifest = Manifest(
        format=FORMAT,
        name="generated",
        digest=digest_of_shards(shards),
        build="0",
        tokenizer="qwen",
        policy="balanced",
        languages=LANGUAGES,
        recipe=recipe,
        versions={},
        funnel=(funnel,),
        dedup=PairCounts(compared=0, edges=0, doubts=0, released=0),
        shards=tuple(shards),
        statistics=tuple(statistics),
    )
    (folder / "manifest.json").write_bytes(manifest.to_json())
    return first


class Server:
    """`mmedc inspect` as a process."""

    def __init__(self, corpus: Path) -> None:
        self.begun = time.monotonic()
        command = [sys.executable, "-m", "mmedc", "inspect", str(corpus), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.address = self.process.stdout.readline().strip().rstrip("/")
        self.started = time.monotonic() - self.begun

    def get(self, path: str) -> tuple[float, str]:
        """Return (seconds, body)."""
        begun = time.monotonic()
        with urllib.request.urlopen(self.address + path, timeout=120) as reply:
            body = reply.read().decode()
        return time.monotonic() - begun, body

    def memory(self) -> int:
        """Return the largest resident size so far, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        return int(found[1]) // 1024 if found else 0


def median(server: Server, *paths: str) -> float:
    return middle(server.get(path)[0] for path in paths)


def measure(corpus: Path, documents: int) -> None:
    server = Server(corpus)

    def say(what: str, seconds: float) -> None:
        print(f"{what:<100}{1000 * seconds:>9,.0f} ms", flush=True)

    try:
        say("start, until the address is printed", server.started)
        say("first page, while scores are read", server.get("/")[0])
        while not json.loads(server.get("/progress")[1])["done"]:
            time.sleep(0.1)
        say(f"scores of {documents:,} documents read (since the start)", time.monotonic() - server.begun)
        print(f"memory then: {server.memory():,} MiB")
        say("overview", median(server, *["/"] * 5))
        say("first list of documents", server.get("/documents")[0])
        filters = [f"/documents?lang=es&quality=0.{at}..0.{at}5" for at in range(2, 8)]
        say("filter by language and score", median(server, *filters))
        say("filter by three scores", median(server, *[f"/documents?quality=0.5..&medical_model=0.{at}..&chars=2000.."
                                                    for at in range(2, 8)]))  # fmt: skip
        say("sorted by a score, page 3", median(server, *[f"/documents?sort=-{name}&page=3" for name in
                                                       ("quality", "chars", "medical_model")]))  # fmt: skip
        say("histograms of all measures", median(server, *[f"/measures?medical_terms={at}.." for at in range(2, 8)]))
        say("search of a common word", median(server, *[f"/documents?q={word}" for word in ("et", "ta", "on")]))
        for what, query in (
            ("search of a word that one document in 50,000 has", f"q={SEEDED}"),
            ("… filtered by language and score", f"lang=es&medical_terms=20..&q={SEEDED}"),
            ("search of a word that one document in 1,000,000 has", f"q={RAREST}"),
            ("search of a word that no document has", f"q={ABSENT}"),
            ("… filtered by language and score", f"lang=es&medical_terms=20..&q={ABSENT}"),
            ("search of three letters that no document has", "q=%C3%B8%C3%B8%C3%B8"),
        ):
            found = [server.get(f"/documents?{query}&quality=0.000{at}..") for at in range(1, 4)]
            said = re.search(r"([\d,]+) documents? found among documents [\d,]+ to ([\d,]+) of ([\d,]+)", found[0][1])
            numbers = [int(number.replace(",", "")) for number in said.groups()] if said else [0, 0, 0]
            facts = f" ({numbers[0]} found, looked through {numbers[1] / max(numbers[2], 1):.0%})"
            say(what + facts, middle(seconds for seconds, _ in found))
        moved = [f"/limits?all.medical_model.min={at / 100:g}" for at in range(70, 96, 5)]
        say("limits: page after a limit was dropped", median(server, *moved))
        say("limits: answers for every place of every slider", median(server, *[path.replace("?", ".json?")
                                                                             for path in moved]))  # fmt: skip
        say(
            "a document", median(server, *re.findall(r'href="(/documents/data[^"]+)"', server.get("/documents")[1])[:5])
        )
        print(f"memory at the end: {server.memory():,} MiB")
    finally:
        server.process.terminate()
        server.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gb", type=float, default=5.0, help="the size of the corpus on disk")
    parser.add_argument("--keep", type=Path, help="where the corpus is written, or lies already")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        corpus = given.keep or Path(temporary)
        if (corpus / "manifest.json").exists():
            manifest = Manifest.model_validate_json((corpus / "manifest.json").read_bytes())
            documents = manifest.documents
        else:
            documents = write_corpus(corpus, given.gb * 1e9)
        size = sum(path.stat().st_size for path in corpus.rglob("*.parquet"))
        print(f"{size / 1e9:.2f} GB, {documents:,} documents")
        measure(corpus, documents)


if __name__ == "__main__":
    main()
