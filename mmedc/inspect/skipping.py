"""Which blocks of documents a search may skip, by the filters that a corpus has of them.

The filters are copied into a temporary file, of which a search reads a few bytes a block, so memory does not grow with
the corpus. Until that is done, and for files without filters, no block is skipped.
"""

import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from mmedc.corpus.grams import BLOCK_ROWS, grams_of, places_of
from mmedc.inspect.files import PUBLISHED, UNREADABLE, Opened

Bools = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]


class Skipping:
    """The filters of the files of an opened corpus."""

    def __init__(self) -> None:
        self._blocks: dict[int, tuple[I64, I64]] = {}
        """By file: where the filter of each block begins, and the number of its bits."""
        self._data: Any = None

    def fill(self, opened: Opened) -> None:
        """Copy the filters. Those that cannot be read skip nothing: `mmedc verify` names them."""
        known = {file.path for file in opened.manifest.statistics} if opened.manifest else set()
        blocks: dict[int, tuple[I64, I64]] = {}
        with tempfile.TemporaryFile(prefix="mmedc-inspect-") as held:
            for number, file in enumerate(opened.files):
                if file.what != PUBLISHED or grams_of(file.path) not in known:
                    continue
                try:
                    with opened.store.open_input(grams_of(file.path)) as handle:
                        column = pq.read_table(handle, columns=["grams"], use_threads=False)["grams"].combine_chunks()
                except UNREADABLE:
                    continue
                if len(column) * BLOCK_ROWS < file.rows:  # of another version of the shard
                    continue
                ends = column.offsets.to_numpy().astype(np.int64) * 8
                blocks[number] = held.tell() + ends[:-1], np.diff(ends) * 8
                held.write(column.values.to_numpy()[ends[0] // 8 : ends[-1] // 8].astype("<u8").data)
            held.flush()
            if blocks:
                self._data = np.memmap(held, np.uint8, "r")
        self._blocks = blocks

    def may_have(self, files: npt.NDArray[Any], rows: npt.NDArray[Any], text: str) -> Bools:
        """Return which rows of files, given by their numbers, are in blocks that may have a text."""
        found, places = np.ones(len(rows), bool), places_of(text)
        for number in np.unique(files).tolist() if len(places) else ():
            if number in self._blocks:
                begins, sizes = self._blocks[number]
                bits = places & (sizes[:, None] - 1)  # (blocks, grams)
                whole = (self._data[begins[:, None] + (bits >> 3)] >> (bits & 7).astype(np.uint8) & 1).all(axis=1)
                mine = files == number
                found[mine] = whole[rows[mine] // BLOCK_ROWS]
        return found
