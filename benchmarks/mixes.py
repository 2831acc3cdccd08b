"""Makes WARC folders of a wished mix from one that is there: natural or web-like, once or many times over.

    python benchmarks/mixes.py --warc FOLDER --out OUT [--times 4] [--medical 0.02] [--files 8]

`--medical SHARE` takes that share of medical pages (those that mmedc keeps) and fills up with the
others; without it the mix stays as it is. A copy of a page has a URL of its own (`copy=N`).
"""

import argparse
import glob
import gzip
from collections.abc import Iterator
from pathlib import Path

from chains import ingest, recipe_of
from fastwarc.warc import ArchiveIterator, WarcRecordType

KEPT = ("WARC-Identified-Payload-Type",)


def pages(folder: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield (URL, WARC header, block) of the responses of a folder."""
    for path in sorted(glob.glob(f"{folder}/*.warc.gz")):
        for record in ArchiveIterator(path, record_types=WarcRecordType.response, parse_http=False):
            url = record.headers["WARC-Target-URI"]
            block = record.reader.read()
            fields = ["WARC-Type: response", f"WARC-Date: {record.headers['WARC-Date']}"]
            # Without it datatrove guesses what a page is from its bytes, and loses a third of the web's.
            fields += [f"{name}: {record.headers[name]}" for name in KEPT if name in record.headers]
            head = "WARC/1.1\r\n" + "\r\n".join(fields) + "\r\nContent-Type: application/http; msgtype=response\r\n"
            yield url, head.encode(), block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--medical", type=float)
    parser.add_argument("--files", type=int, default=8)
    given = parser.parse_args()
    found = list(pages(given.warc))
    chosen = [(number, page) for number in range(given.times) for page in found]
    if given.medical:
        kept = set(ingest(recipe_of(given.warc))[1])
        medical = [page for page in found if page[0] in kept]
        others = [page for page in found if page[0] not in kept]
        chosen = [(number, page) for number in range(given.times) for page in others]
        wished = round(len(chosen) * given.medical / (1 - given.medical))
        step = max(1, len(chosen) // wished)
        for place in range(wished):  # spread evenly
            chosen.insert(min(place * (step + 1), len(chosen)), (place // len(medical), medical[place % len(medical)]))
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    files = [(out / f"part-{number:03d}.warc.gz").open("wb") for number in range(given.files)]
    for place, (number, (url, head, block)) in enumerate(chosen):
        if number:
            url += f"{'&' if '?' in url else '?'}copy={number}"
        lengths = f"WARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
        files[place % given.files].write(gzip.compress(head + lengths.encode() + block + b"\r\n\r\n", 6, mtime=0))
    for file in files:
        file.close()
    size = sum(path.stat().st_size for path in out.glob("*.warc.gz"))
    print(f"{out}: {len(chosen):,} pages in {given.files} files, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
