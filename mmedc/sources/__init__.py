"""Where documents come from: each module reads one family of formats into raw records.

A source lists its inputs as pieces, and reads a piece as batches of `mmedc.document.RAW`. What it
can't read is a record with a reason, never an exception that loses a file.
"""

from mmedc.sources.listing import Piece, Reader, list_units

__all__ = ["Piece", "Reader", "list_units"]
