"""Feeds every reader and every step of gather with broken files: each record must be accounted for.

    python benchmarks/fuzz.py [--mutations 100000] [--seed 1] [--workers 2] [--warc FOLDER]
    python benchmarks/fuzz.py --only warc --first 4217 --mutations 1     # one of them again

Seeds are the quickstart's pages (with `--warc`, pages of that folder too) as WARC, HTML, JSON lines, gzip,
Parquet, and the shipped recipes as YAML. Mutation `n` of a kind depends on the seed, the kind and `n` only.
Each goes through the very parser process and chain of a build. It fails when a unit fails, a record is
unaccounted for, a record goes without a reason, or a unit takes longer than its limits allow.
"""

import argparse
import glob
import gzip
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

from mmedc.engine.chain import Funnel, add_funnel, check_funnel
from mmedc.engine.supervisor import Supervisor
from mmedc.engine.unit import Streamed
from mmedc.errors import RequestError
from mmedc.pipeline.ingest import ingest_pass
from mmedc.policy import read_policy
from mmedc.recipe import Recipe, read_recipe
from mmedc.shipped import shipped
from mmedc.sources import list_units

SHARES = {"html": 45, "warc": 20, "page": 10, "jsonl": 6, "gzip": 6, "parquet": 6, "yaml": 7}
"""Of 100 mutations; `page` mutates the blocks inside sound WARC records, `warc` the file."""
PER_JOB = {"html": 50, "page": 10, "warc": 20, "jsonl": 20, "gzip": 20, "parquet": 20}
SECONDS = 5.0  # of CPU, that one record may take in a step
BLOCKS = (
    b"\0" * 64, b"\xff" * 64, b"\xf0\x9f", b"\xed\xa0\x80", b"<div>" * 3000, b"</", b"<!--", b"<script>", b"&#x10ffff;",
    b"&lt;" * 500, b"\x1f\x8b\x08\x00", b"PAR1", b"\r\n\r\n", b"WARC/1.1\r\n", b"Content-Length: 99999999999\r\n",
    b"Content-Length: -1\r\n", b"HTTP/1.1 200 OK\r\n", b"{[" * 500, b'"', b"\\ud800", b"1e999999", b"&a *a\n",
    b"- " * 500, b"!!python/object/apply:os.system ['true']\n", b"\xef\xbb\xbf", b"\xfe\xff", b"\xe2\x80\xae",
    b"<svg><math>" * 50, b"<table><tr><td>" * 200, b"<a href='" + b"a" * 5000, b"\x1b$B",
)  # fmt: skip


def mutate(data: bytes, draw: random.Random, other: bytes) -> bytes:
    """Return `data` with one to six things done to it that happen to files, or that people do to them."""
    out = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(out) + 1)
        size = min(1 << draw.randint(0, 12), len(out) - at)
        match draw.randrange(8):
            case 0:
                for _ in range(draw.randint(1, 16)):
                    if out:
                        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
            case 1:
                out[at : at + size] = draw.randbytes(size)
            case 2:
                del out[at : at + size]
            case 3:
                out[at:at] = out[at : at + size] * draw.randint(1, 8)
            case 4 | 5:
                out[at:at] = draw.choice(BLOCKS)
            case 6:
                start = draw.randrange(len(other) + 1)
                out[at : at + size] = other[start : start + size]
            case _:
                if draw.random() < 0.3:
                    del out[at:]
    return bytes(out)


def member(url: str, block: bytes) -> bytes:
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Date: 2026-01-02T03:04:05Z\r\nWARC-Target-URI: {url}\r\n"
    head += f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n", 1, mtime=0)


class Seeds:
    """Sound files of every kind."""

    def __init__(self, folder: str | None) -> None:
        pages = shipped("pipelines") / "quickstart" / "pages.warc.gz"
        paths = [str(pages), *sorted(glob.glob(f"{folder}/*.warc.gz") if folder else [])]
        self.blocks: list[bytes] = []
        for path in paths:
            records = ArchiveIterator(path, record_types=WarcRecordType.response, parse_http=False)
            self.blocks += [block for one in itertools.islice(records, 400) if len(block := one.reader.read()) < 60_000]
        self.pages = [block.partition(b"\r\n\r\n")[2] for block in self.blocks]
        self.recipes = [path.read_bytes() for path in sorted(shipped("pipelines").glob("*.yaml"))]
        self.recipes += [path.read_bytes() for path in sorted((shipped("filters") / "policies").glob("*.yaml"))]

    def file(self, kind: str, draw: random.Random) -> bytes:
        """Return one sound file of `kind`."""
        if kind == "html":
            return draw.choice(self.pages)
        if kind in ("warc", "page"):
            return b"".join(member(f"http://a.example/{n}", draw.choice(self.blocks)) for n in range(3))
        if kind == "yaml":
            return draw.choice(self.recipes)
        texts = [draw.choice(self.pages)[:4000].decode("utf-8", "replace") for _ in range(8)]
        if kind == "parquet":
            sink = io.BytesIO()
            pq.write_table(
                pa.table({"text": texts, "url": [f"u{n}" for n in range(8)]}), sink, write_page_checksum=True
            )
            return sink.getvalue()
        lines = "".join(json.dumps({"text": text, "url": f"u{n}"}) + "\n" for n, text in enumerate(texts)).encode()
        return gzip.compress(lines, 1, mtime=0) if kind == "gzip" else lines


NAMES = {"html": "p.html", "warc": "x.warc.gz", "page": "x.warc.gz", "jsonl": "x.jsonl", "gzip": "x.jsonl.gz",
         "parquet": "x.parquet", "yaml": "x.yaml"}  # fmt: skip
FORMATS = {"html": "files", "warc": "warc", "page": "warc", "jsonl": "jsonl", "gzip": "jsonl", "parquet": "parquet"}


class Fuzzer:
    """One process of the run, with a parser process of its own."""

    def __init__(self, seed: int, warc: str | None) -> None:
        self.seed, self.seeds, self.supervisor = seed, Seeds(warc), Supervisor()
        shared = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="mmedc-fuzz-", dir=shared if shared.is_dir() else None))
        self.policy = read_policy("mmedc", ("en", "zh", "ja", "fr", "ru", "es"))

    def _case(self, kind: str, number: int) -> bytes:
        draw = random.Random(f"{self.seed} {kind} {number}")
        other = self.seeds.file(kind, draw)
        if kind == "page":
            return member(f"http://a.example/{number}", mutate(draw.choice(self.seeds.blocks), draw, other))
        return mutate(self.seeds.file(kind, draw), draw, other)

    def run(self, kind: str, numbers: range) -> tuple[str, Counter[str], list[str], float]:
        """Run some mutations of a kind; return (digest of what became of them, counts, what went wrong, seconds)."""
        begun = time.monotonic()
        try:
            became, counts = self._read(kind, numbers) if kind == "yaml" else self._build(kind, numbers)
            wrong: list[str] = []
        except Exception as problem:
            became, counts = f"{type(problem).__name__}", Counter()
            wrong = [f"{kind} {numbers}: {type(problem).__name__}: {str(problem)[:500]}"]
        seconds = time.monotonic() - begun
        if seconds > 60 + 20 * SECONDS:
            wrong.append(f"{kind} {numbers}: took {seconds:.0f} s")
        return hashlib.sha256(became.encode()).hexdigest(), counts, wrong, seconds

    def _read(self, kind: str, numbers: range) -> tuple[str, Counter[str]]:
        counts: Counter[str] = Counter()
        said = []
        for number in numbers:
            path = self.folder / "x.yaml"
            path.write_bytes(self._case(kind, number))
            for read in (read_recipe, lambda one: read_policy(one, ("en", "zh"))):
                try:
                    read(str(path))
                    said.append("read")
                except RequestError as problem:
                    said.append(str(problem).replace(str(path), ""))
            counts["yaml: read" if "read" in said[-2:] else "yaml: refused with a reason"] += 1
        return "\n".join(said), counts

    def _build(self, kind: str, numbers: range) -> tuple[str, Counter[str]]:
        for path in self.folder.iterdir():
            path.unlink()
        place = str(self.folder)
        if kind == "page":  # sound records around broken pages
            place = str(self.folder / NAMES[kind])
            Path(place).write_bytes(b"".join(self._case(kind, number) for number in numbers))
        else:
            for number in numbers:
                (self.folder / f"{number}-{NAMES[kind]}").write_bytes(self._case(kind, number))
        limits = {"document_seconds": SECONDS, "document_memory": 1 << 30, "document": 4 << 20}
        source = {FORMATS[kind]: place}
        recipe = Recipe.model_validate({"name": "fuzz", "sources": {"s": source}, "limits": limits})
        try:
            one = ingest_pass(recipe, self.policy, list_units(recipe))
        except RequestError as problem:
            return str(problem), Counter({f"{kind}: refused with a reason": len(numbers)})
        assert isinstance(one.work, Streamed)
        counts: Counter[str] = Counter()
        funnel: Funnel = {}
        kept = gone = 0
        for unit in one.units:
            for produced in self.supervisor.produce(one.work, unit, lambda *_: None):
                add_funnel(funnel, produced.funnel)
                kept += produced.kept.num_rows if produced.kept is not None else 0
                gone += len(produced.gone)
                assert all(row["reason"] and row["step"] for row in produced.gone), "a row went without a reason"
        check_funnel(funnel, f"{kind} {numbers}")
        read = funnel["read"].read if funnel else 0
        assert read == kept + gone, f"read {read}, kept {kept}, gone {gone}"
        for step, count in funnel.items():
            for fate, reasons in (("dropped", count.dropped), ("rejected", count.rejected)):
                for reason, times in reasons.items():
                    counts[f"{kind}: {fate} at {step}: {reason}"] += times
        counts[f"{kind}: kept"] += kept
        return json.dumps(sorted((name, times) for name, times in counts.items())), counts


_fuzzer: Fuzzer | None = None


def _open(seed: int, warc: str | None) -> None:
    global _fuzzer
    _fuzzer = Fuzzer(seed, warc)
    os.nice(5)


def _run(job: tuple[str, range]) -> tuple[str, Counter[str], list[str], float]:
    assert _fuzzer is not None
    return _fuzzer.run(*job)


def jobs(mutations: int, only: str | None, first: int) -> Iterator[tuple[str, range]]:
    for kind, share in SHARES.items():
        if only in (None, kind):
            wanted = mutations if only else mutations * share // 100
            step = PER_JOB.get(kind, 1)
            yield from ((kind, range(at, min(at + step, first + wanted))) for at in range(first, first + wanted, step))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--warc", help="a folder of *.warc.gz whose pages are seeds too")
    parser.add_argument("--only", choices=SHARES)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    todo = list(jobs(given.mutations, given.only, given.first))
    total: Counter[str] = Counter()
    became, wrong, slowest, begun = hashlib.sha256(), 0, (0.0, ""), time.monotonic()
    with multiprocessing.get_context("spawn").Pool(given.workers, _open, (given.seed, given.warc)) as pool:
        for number, (job, result) in enumerate(zip(todo, pool.imap(_run, todo, 4), strict=True), 1):
            digest, counts, problems, seconds = result
            became.update(digest.encode())
            total += counts
            slowest = max(slowest, (seconds, f"{job[0]} {job[1]}"))
            wrong += len(problems)
            for problem in problems:
                print(problem, file=sys.stderr, flush=True)
            if number % 200 == 0:
                print(
                    f"{number:,} of {len(todo):,} jobs, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True
                )
    many = sum(len(numbers) for _, numbers in todo)
    print("| what became of them | records |\n|---|--:|")
    for name, times in sorted(total.items()):
        print(f"| {name} | {times:,} |")
    seconds = time.monotonic() - begun
    print(f"\n{many:,} mutations in {seconds:.0f} s; {wrong} went wrong; slowest {slowest[1]}: {slowest[0]:.1f} s")
    print(f"seed {given.seed}, digest of all outcomes {became.hexdigest()[:16]}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
