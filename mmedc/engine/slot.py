"""The slot in which a parser process states which records it is working on, so that a crash can be attributed.

A slot is 24 bytes of shared memory: step, first ordinal, count. Writing it takes less than a
microsecond, so it is written before every call that may crash, for every document.
"""

import mmap
import struct

_LAYOUT = struct.Struct("<qqq")
SIZE = _LAYOUT.size

_current: mmap.mmap | None = None
_step = 0
_singly_until = 0


def attach(shared: mmap.mmap) -> None:
    """Make `shared` the slot of this process."""
    global _current
    _current = shared


def enter(step: int, ordinal: int, count: int) -> None:
    """Record that `step` begins on `count` records from `ordinal` on; step 0 is the source."""
    global _step
    _step = step
    if _current is not None:
        _LAYOUT.pack_into(_current, 0, step, ordinal, count)


def mark(ordinal: int) -> None:
    """Record that the step of the last `enter` now works on this one record."""
    if _current is not None:
        _LAYOUT.pack_into(_current, 0, _step, ordinal, 1)


def narrow(until: int) -> None:
    """Record that the records before `until` are handled one at a time, to find the one that breaks the process."""
    global _singly_until
    _singly_until = until


def narrowed(ordinal: int) -> bool:
    """Return whether a source that reads several records at once is to read this one alone."""
    return ordinal < _singly_until


def write(shared: mmap.mmap, step: int, ordinal: int, count: int) -> None:
    """Record in the slot of another process that its `step` begins on `count` records from `ordinal` on."""
    _LAYOUT.pack_into(shared, 0, step, ordinal, count)


def read(shared: mmap.mmap) -> tuple[int, int, int]:
    """Return (step, first ordinal, count) as the parser process last wrote them."""
    step, ordinal, count = _LAYOUT.unpack_from(shared, 0)
    return step, ordinal, count
