"""Makes Parquet files of texts, as text corpora come, from the pages of a WARC folder.

    python benchmarks/texts.py --warc FOLDER --out OUT [--times 8] [--files 8]

Columns `text` (by resiliparse) and `url`; a copy of a page has a URL of its own (`copy=N`).
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from mixes import pages

from mmedc.decoding import decode_page
from mmedc.steps.extract.engines import resiliparse_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--times", type=int, default=8)
    parser.add_argument("--files", type=int, default=8)
    given = parser.parse_args()
    texts = []
    for url, _, block in pages(given.warc):
        html, _ = decode_page(block.partition(b"\r\n\r\n")[2], None)
        texts.append((url, resiliparse_text(html or "")))
    rows = [(f"{url}&copy={number}", text) for number in range(given.times) for url, text in texts if text]
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    for number in range(given.files):
        part = rows[number :: given.files]
        table = pa.table({"url": [url for url, _ in part], "text": [text for _, text in part]})
        pq.write_table(table, out / f"part-{number:03d}.parquet", compression="zstd", row_group_size=2_000)
    plain = sum(len(text.encode()) for _, text in rows)
    print(f"{out}: {len(rows):,} texts in {given.files} files, {plain / 1e6:.1f} MB of text")


if __name__ == "__main__":
    main()
