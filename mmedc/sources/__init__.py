"""The readers of sources: each module reads one family of formats into raw records.

A source lists its inputs as splits, and reads a split as batches of `mmedc.document.RAW`. Bytes that
contain no sound record become a record with a reason; a file that cannot be read at all fails its unit.
"""

from mmedc.sources.formats import FORMATS, format_of
from mmedc.sources.listing import Reader, list_units
from mmedc.sources.raw import InputSplit

__all__ = ["FORMATS", "InputSplit", "Reader", "format_of", "list_units"]
