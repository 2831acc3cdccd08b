"""Feeds every reader and every step of ingest with broken files: each record must be accounted for.

    python benchmarks/fuzz.py [--mutations 100000] [--seed 1] [--workers 2] [--warc FOLDER]
    python benchmarks/fuzz.py --read [--mutations 100000]      # containers only, and readers only: fast
    python benchmarks/fuzz.py --only warc --first 4217 --mutations 1     # one of them again

Seeds are the quickstart's pages (with `--warc`, pages of that folder too) as HTML, Parquet, WARC, WET and JSON
lines, the latter plain and packed by gzip, zstd and lz4, and the shipped recipes as YAML. Mutation `n` of a kind
depends on the seed, the kind and `n` only. Each goes through the very parser process and chain of a build. It fails
when a unit fails, a record is unaccounted for, a byte of a packed file is neither sound nor reported as damaged, a
record is removed without a reason, or a unit takes longer than its limits allow.
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
import re
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from mmedc.engine.chain import Funnel, add_funnel, check_funnel
from mmedc.engine.supervisor import Supervisor, produce_here
from mmedc.engine.unit import Streamed
from mmedc.errors import RequestError
from mmedc.pipeline.ingest import ingest_pass
from mmedc.policy import read_policy
from mmedc.recipe import Recipe, read_recipe
from mmedc.shipped import shipped
from mmedc.sources import Reader, list_units
from mmedc.unpack import Unpacked

SHARES = {
    "html": 28, "warc": 10, "warc-plain": 6, "warc-bgzf": 6, "warc-zst": 5, "warc-lz4": 5, "wet": 4, "page": 8,
    "jsonl": 5, "gzip": 6, "zstd": 5, "lz4": 4, "parquet": 5, "yaml": 3,
}  # fmt: skip
"""Of 100 mutations; `page` mutates the blocks inside sound WARC records, the others the file. In `warc-bgzf` members
end in the middle of records, and some are empty."""
PER_JOB = dict.fromkeys(SHARES, 20) | {"html": 50, "page": 10, "yaml": 1}
LOST = re.compile(r"(?<!unpacked )(?<!\d)([\d,]+) bytes at offset ([\d,]+) are damaged")
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


def record(url: str, block: bytes, kind: str = "response", media: str = "application/http; msgtype=response") -> bytes:
    head = f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Date: 2026-01-02T03:04:05Z\r\nWARC-Target-URI: {url}\r\n"
    head += f"Content-Type: {media}\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def member(url: str, block: bytes) -> bytes:
    return gzip.compress(record(url, block), 1, mtime=0)


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
        if kind in FORMATS and kind != "parquet":
            return self._lines(kind, draw)
        if kind != "parquet":
            return self._archive(kind, draw)
        texts = [draw.choice(self.pages)[:4000].decode("utf-8", "replace") for _ in range(8)]
        if kind == "parquet":
            sink = io.BytesIO()
            pq.write_table(
                pa.table({"text": texts, "url": [f"u{n}" for n in range(8)]}), sink, write_page_checksum=True
            )
            return sink.getvalue()
        raise ValueError(kind)

    def _lines(self, kind: str, draw: random.Random) -> bytes:
        """Return JSON lines, packed in one to three members."""
        texts = [draw.choice(self.pages)[:4000].decode("utf-8", "replace") for _ in range(8)]
        lines = [json.dumps({"text": text, "url": f"u{n}"}).encode() + b"\n" for n, text in enumerate(texts)]
        if kind == "jsonl":
            return b"".join(lines)
        parts = draw.randint(1, 3)
        return b"".join(PACK[kind](b"".join(lines[at::parts])) for at in range(parts))

    def _archive(self, kind: str, draw: random.Random) -> bytes:
        """Return a WARC or WET file of three pages."""
        blocks = [draw.choice(self.blocks) for _ in range(3)]
        if kind == "wet":
            texts = [block.partition(b"\r\n\r\n")[2][:5000] for block in blocks]
            return b"".join(
                PACK["gzip"](record(f"http://a.example/{n}", text, "conversion", "text/plain"))
                for n, text in enumerate(texts)
            )
        records = [record(f"http://a.example/{n}", block) for n, block in enumerate(blocks)]
        if kind == "warc-bgzf":
            return blocks_of(b"".join(records), draw)
        pack = {"warc-plain": bytes, "warc-zst": PACK["zstd"], "warc-lz4": PACK["lz4"]}.get(kind, PACK["gzip"])
        return b"".join(map(pack, records))


NAMES = {"html": "p.html", "warc": "x.warc.gz", "page": "x.warc.gz", "jsonl": "x.jsonl", "gzip": "x.jsonl.gz",
         "parquet": "x.parquet", "yaml": "x.yaml", "warc-plain": "x.warc", "warc-bgzf": "x.warc.gz",
         "warc-zst": "x.warc.zst", "warc-lz4": "x.warc.lz4", "wet": "x.warc.wet.gz", "zstd": "x.jsonl.zst",
         "lz4": "x.jsonl.lz4"}  # fmt: skip
FORMATS = {"html": "files", "jsonl": "jsonl", "gzip": "jsonl", "zstd": "jsonl", "lz4": "jsonl", "parquet": "parquet"}
"""The key of a source; of the other kinds it is `warc`."""
PACK = {
    "zstd": zstandard.ZstdCompressor(level=1, write_checksum=True).compress,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
}


def blocks_of(data: bytes, draw: random.Random) -> bytes:
    """Return `data` as gzip members that end anywhere, with empty ones between."""
    out, at = b"", 0
    while at < len(data):
        size = draw.randint(1, 9000)
        out += gzip.compress(data[at : at + size], 1, mtime=0) + (
            gzip.compress(b"", mtime=0) if draw.random() < 0.3 else b""
        )
        at += size
    return out


def sound_bytes(data: bytes, codec: str) -> int:
    """Return how many bytes of a packed file are in members that end and whose checksums agree."""
    at = found = 0
    magic = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}[codec]
    while 0 <= at < len(data):
        size = member_size(data, at, codec, magic)
        if size:
            found, at = found + size, at + size
        else:
            at = data.find(magic, at + 1)
    return found


def member_size(data: bytes, at: int, codec: str, magic: bytes) -> int:
    """Return the bytes of the sound member at `at`, 0 where there is none."""
    if codec != "gzip" and data[at + 1 : at + 4] == b"\x2a\x4d\x18" and 0x50 <= data[at] <= 0x5F:
        size = 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        return size if at + size <= len(data) else 0
    if not data.startswith(magic, at):
        return 0
    try:
        if codec == "lz4":
            return int(lz4.frame.decompress(data[at:], return_bytes_read=True)[1])
        member = zlib.decompressobj(31) if codec == "gzip" else zstandard.ZstdDecompressor().decompressobj()
        member.decompress(data[at:])
        return len(data) - at - len(member.unused_data) if member.eof else 0
    except (zlib.error, zstandard.ZstdError, RuntimeError):
        return 0


READ_ONLY = Streamed(Reader(), (), lambda *_: None)  # type: ignore[arg-type,return-value]


class Fuzzer:
    """One process of the run, with a parser process of its own."""

    def __init__(self, seed: int, warc: str | None, read_only: bool) -> None:
        self.read_only = read_only
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
        if kind not in ("html", "page"):  # planning looks at the first file, and refuses what is of another format
            (self.folder / f"!-{NAMES[kind]}").write_bytes(self.seeds.file(kind, random.Random(kind)))
        source = {FORMATS.get(kind, "warc"): place}
        recipe = Recipe.model_validate({"name": "fuzz", "sources": {"s": source}, "limits": limits})
        try:
            units = list_units(recipe)
            work = READ_ONLY if self.read_only else ingest_pass(recipe, self.policy, units).work
        except RequestError as problem:
            return str(problem), Counter({f"{kind}: refused with a reason": len(numbers)})
        assert isinstance(work, Streamed)
        produce = produce_here if self.read_only else self.supervisor.produce
        counts: Counter[str] = Counter()
        funnel: Funnel = {}
        kept = gone = 0
        for unit in units:
            lost: list[str] = []
            for produced in produce(work, unit, lambda *_: None):
                add_funnel(funnel, produced.funnel)
                kept += produced.kept.num_rows if produced.kept is not None else 0
                gone += len(produced.removed)
                assert all(row["reason"] and row["step"] for row in produced.removed), "a row went without a reason"
                lost += [
                    row["detail"] for row in produced.removed if row["step"] == "read" and row["fate"] == "rejected"
                ]
            if FORMATS.get(kind, "warc") in ("warc", "jsonl"):
                check_bytes(unit.spec.inputs[0].url, lost, counts)
        check_funnel(funnel, f"{kind} {numbers}")
        read = funnel["read"].read if funnel else 0
        assert read == kept + gone, f"read {read}, kept {kept}, gone {gone}"
        for step, count in funnel.items():
            for fate, reasons in (("dropped", count.dropped), ("rejected", count.rejected)):
                for reason, times in reasons.items():
                    counts[f"{kind}: {fate} at {step}: {reason}"] += times
        counts[f"{kind}: kept"] += kept
        return json.dumps(sorted((name, times) for name, times in counts.items())), counts


def check_bytes(path: str, lost: list[str], counts: Counter[str]) -> None:
    """Check that what was reported as damaged and what the libraries find sound is the whole file."""
    data = Path(path).read_bytes()
    codec = Unpacked(io.BytesIO(data), path).codec
    counts["bytes"] += len(data)
    if not codec or any("unpack to over" in said for said in lost):
        return
    spans = {(int(at.replace(",", "")), int(size.replace(",", ""))) for said in lost for size, at in LOST.findall(said)}
    damaged, sound = sum(size for _, size in spans), sound_bytes(data, codec)
    counts["packed bytes"] += len(data)
    if damaged + sound != len(data):
        counts["bytes unaccounted for"] += abs(len(data) - damaged - sound)
        raise AssertionError(f"{path}: {len(data):,} bytes, {sound:,} sound, {damaged:,} reported as damaged")


_fuzzer: Fuzzer | None = None


def _open(seed: int, warc: str | None, read_only: bool) -> None:
    global _fuzzer
    _fuzzer = Fuzzer(seed, warc, read_only)
    os.nice(5)


def _run(job: tuple[str, range]) -> tuple[str, Counter[str], list[str], float]:
    assert _fuzzer is not None
    return _fuzzer.run(*job)


def jobs(mutations: int, only: str | None, first: int, read_only: bool) -> Iterator[tuple[str, range]]:
    shares = {kind: share for kind, share in SHARES.items() if not (read_only and kind in ("html", "yaml"))}
    for kind, share in shares.items():
        if only in (None, kind):
            wanted = mutations if only else mutations * share // sum(shares.values())
            step = PER_JOB.get(kind, 1)
            yield from ((kind, range(at, min(at + step, first + wanted))) for at in range(first, first + wanted, step))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--warc", help="a folder of *.warc.gz whose pages are seeds too")
    parser.add_argument("--only", choices=SHARES)
    parser.add_argument("--read", action="store_true", help="containers through their readers, without the steps")
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    todo = list(jobs(given.mutations, given.only, given.first, given.read))
    total: Counter[str] = Counter()
    became, wrong, slowest, begun = hashlib.sha256(), 0, (0.0, ""), time.monotonic()
    with multiprocessing.get_context("spawn").Pool(given.workers, _open, (given.seed, given.warc, given.read)) as pool:
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
    print(
        f"\n{total['bytes']:,} bytes of WARC, WET and JSON lines, {total['packed bytes']:,} of them packed; "
        f"{total['bytes unaccounted for']:,} unaccounted for"
    )
    print(f"\n{many:,} mutations in {seconds:.0f} s; {wrong} went wrong; slowest {slowest[1]}: {slowest[0]:.1f} s")
    print(f"seed {given.seed}, digest of all outcomes {became.hexdigest()[:16]}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
