"""A command that joins a Ray cluster has an attendant, which says how it ended.

When the node dies to which a process is connected, Ray ends the process at once with exit code 1: no exception is
raised and nothing is said, so nobody could tell it from a failure of the work. Therefore the command goes on in a
child of the process that was started, which waits for it.
"""

import os
import signal
import sys
from types import FrameType
from typing import ClassVar

from mmedc.errors import TryAgain
from mmedc.lifeline import end_with

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOST = (
    "Ray ended the command without a word, as it does when the node dies that the command is connected to; "
    "committed units are kept: give the same command again when the cluster is up"
)


class _State:
    wanted = False
    pipes: ClassVar[list[int]] = []  # to the attendant, in the process that does the work


def want() -> None:
    """Let this process attend to the command: it is that of the command line, and no thread runs in it yet."""
    _State.wanted = True


def attend(address: str | None) -> str | None:
    """Go on in a child if the address of a cluster is given; the callback of the option `--address`.

    In the parent, it raises what ends the command: SystemExit with the child's exit code, or TryAgain.
    """
    if not address or address == "local" or not _State.wanted:
        return address
    reading, writing = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until it is known who is to have them
    parent, child = os.getpid(), os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(reading)
        os.setpgid(0, 0)  # so that Ctrl-C comes once, from the attendant
        end_with(parent)
        _State.pipes.append(writing)
        return address
    os.close(writing)
    _forward(child)
    with os.fdopen(reading, "rb") as said:
        ended = said.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if not ended and code > 0:
        raise TryAgain(LOST)
    sys.exit(code if code >= 0 else 128 - code)  # what there is to say, the child has said


def end(code: int) -> None:
    """Tell the attendant, if there is one, that the command ends by itself."""
    while _State.pipes:
        os.write(_State.pipes.pop(), b"%d" % code)


def _forward(child: int) -> None:
    def forward(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    for number in SIGNALS:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
