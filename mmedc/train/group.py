"""The processes of a training as a group: how long one waits for the others, and what is said when they do not come."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from mmedc.errors import WorkError

RESUME = "Run the same command again to resume from the last checkpoint."
_ENDED = ("connection closed", "connection reset", "broken pipe", "remote process", "socket closed")
_LATE = ("timed out", "timeout")


class PeerLost(WorkError):
    """Another process of the training ended or did not answer. What that process says is the better explanation."""


def wait_of(minutes: float) -> timedelta:
    """Return the longest wait of one process for another."""
    return timedelta(minutes=minutes)


def host_group(minutes: float) -> Any:
    """Return a new group of all processes whose messages go through host memory, or None without processes.

    A group must not be used from two threads at a time, so each thread has one of its own.
    """
    return dist.new_group(backend="gloo", timeout=wait_of(minutes)) if dist.is_initialized() else None


@contextlib.contextmanager
def losses_explained(rank: int, minutes: float) -> Iterator[None]:
    """Raise PeerLost where a collective operation fails because another process ended, or did not come in time."""
    try:
        yield
    except RuntimeError as problem:
        text = " ".join(str(problem).lower().split())
        if any(word in text for word in _LATE):
            raise PeerLost(
                f"process {rank} waited {minutes:g} minutes (wait_minutes) for another one, which hangs or has ended. "
                + RESUME
            ) from problem
        if any(word in text for word in _ENDED):
            raise PeerLost(f"process {rank} lost another process of the training. {RESUME}") from problem
        raise


def any_of(flags: list[bool], group: Any) -> list[bool]:
    """Return for each flag whether any process has it set, alike in all of them."""
    if group is None:
        return flags
    import torch

    values = torch.tensor(flags, dtype=torch.int32)
    dist.all_reduce(values, dist.ReduceOp.MAX, group=group)
    return [bool(value) for value in values.tolist()]


def from_first(rank: int, made: Any, group: Any) -> Any:
    """Return what `made()` returns in process 0, in every process. Raises: in every process what it raises there."""
    if group is None:
        return made()
    box: list[Any] = [None, None]
    if rank == 0:
        try:
            box[0] = made()
        except Exception as problem:
            box[1] = problem
    dist.broadcast_object_list(box, src=0, group=group)
    if box[1] is not None:
        raise box[1]
    return box[0]
