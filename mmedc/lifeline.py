"""Processes that must not outlive the one that started them."""

import os
import signal
import sys


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent, the process `parent`, ends for whatever reason (Linux)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it has ended already
