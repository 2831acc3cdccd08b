"""Wall and CPU seconds of a process and the children that it waited for; for sides in any environment."""

import os
import time


def clocks():
    """Return (wall, CPU) seconds by clocks that begin somewhere."""
    return time.perf_counter(), sum(os.times()[:4])


def since(begun):
    """Return (wall, CPU) seconds since `begun`."""
    return tuple(now - then for now, then in zip(clocks(), begun, strict=True))
