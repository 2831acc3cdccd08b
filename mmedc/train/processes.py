"""A training in several processes of this machine. None outlives the others, and each failure is said once.

Every wait has an end: the processes wait for one another at most `wait_minutes` (`mmedc.train.group`), and once one of
them has ended, the others have GRACE_S seconds to end too before they are killed.
"""

import contextlib
import os
import signal
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from mmedc.errors import MmedcError, WorkError
from mmedc.lifeline import end_with
from mmedc.redact import first_line, redact
from mmedc.train.group import RESUME, PeerLost, losses_explained, wait_of
from mmedc.train.loop import Report
from mmedc.train.loop import run as run_loop
from mmedc.train.stopping import SIGNALS, Stopping

if TYPE_CHECKING:
    from mmedc.train.launch import Job

GRACE_S = 10.0
"""How long the others may go on once a process has failed or was interrupted: they may have something to say."""


class Group:
    """The processes of a training, and what they say."""

    def __init__(self, job: "Job", meeting: str, device: str) -> None:
        context = get_context("spawn")
        self._reader, writer = context.Pipe(duplex=False)
        self._lock = context.Lock()  # held here, because it is gone with the last reference in this process
        arguments = job, f"file://{meeting}/store", os.getpid(), device, writer, self._lock
        self._processes: list[Any] = [
            context.Process(target=_work, args=(rank, *arguments)) for rank in range(job.settings.processes)
        ]
        # A signal that comes before a process can receive it waits, instead of ending it with a traceback.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for process in self._processes:
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        writer.close()  # so that the pipe ends with the processes, even amid a message
        self._raised: dict[int, BaseException] = {}
        self._killed: set[int] = set()
        self.last: dict[str, float] = {}

    def watch(self, report: Report, stopping: Stopping) -> None:
        """Report what the processes say until all have ended, or one has failed and the others had GRACE_S to end.

        A request to stop is passed on to all of them.
        """
        told, ends_by = False, float("inf")
        while running := [process for process in self._processes if process.is_alive()]:
            pipe = [] if self._reader.closed else [self._reader]
            wait([*pipe, *(process.sentinel for process in running)], timeout=0.2)
            self._listen(report)
            if stopping.asked and not told:
                told = True
                for process in running:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGTERM)
            if self._raised or any(process.exitcode for process in self._processes):
                ends_by = min(ends_by, time.monotonic() + GRACE_S)
            if time.monotonic() > ends_by:
                break
        self._listen(report)

    def _listen(self, report: Report) -> None:
        while not self._reader.closed and self._reader.poll():
            try:
                rank, message = self._reader.recv()
            except EOFError:
                self._reader.close()
                return
            if isinstance(message, BaseException):
                self._raised[rank] = message
            else:
                self.last.update(message[1])
                report(*message)

    def end(self) -> None:
        """Kill the processes that are still there."""
        for rank, process in enumerate(self._processes):
            if process.is_alive():
                self._killed.add(rank)
                process.kill()
            process.join()

    def check(self, stopped: bool) -> None:
        """Raise what ended the training, if it is not done: the cause rather than what follows from it."""
        raised = [self._raised[rank] for rank in sorted(self._raised)]
        for problem in raised:
            if isinstance(problem, KeyboardInterrupt):
                raise problem
        for problem in raised:
            if not isinstance(problem, PeerLost):
                raise problem
        if stopped:
            raise KeyboardInterrupt
        for rank, process in enumerate(self._processes):
            if process.exitcode and rank not in self._raised and rank not in self._killed:
                raise WorkError(f"process {rank} of {len(self._processes)} {_ending(process.exitcode)}. {RESUME}")
        if raised:
            raise raised[0]


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL), as the kernel does where memory runs out"
    return f"ended with signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def train_in_processes(job: "Job", device: str, report: Report) -> dict[str, float]:
    """Run the loop of a job in `processes` processes of this machine, and return the last values.

    Raises: what the loop raises; WorkError when a process dies; KeyboardInterrupt when one was asked to stop.
    """
    with tempfile.TemporaryDirectory() as meeting, Stopping(keeps=True) as stopping:
        group = Group(job, meeting, device)
        try:
            group.watch(report, stopping)
        finally:
            group.end()
        group.check(stopping.asked)
        return group.last


def _work(rank: int, job: "Job", meeting: str, parent: int, device: str, writer: Any, lock: Any) -> None:
    """Run the loop in one process of several."""
    end_with(parent)

    def say(message: Any) -> None:
        with lock:
            writer.send((rank, message))

    # Batches of changing shapes would leave holes in the memory of a GPU; the environment may say otherwise.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    try:
        with Stopping() as stopping:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            with losses_explained(rank, job.settings.wait_minutes):
                _run(rank, job, meeting, device, say, stopping)
    except KeyboardInterrupt:
        say(KeyboardInterrupt())
    except MmedcError as problem:
        say(problem)
        raise SystemExit(1) from None
    except Exception as problem:
        what = f"process {rank} of {job.settings.processes}: {type(problem).__name__}: {redact(first_line(problem))}"
        say(WorkError(f"{what}\n{RESUME}"))
        raise SystemExit(1) from None


def _run(rank: int, job: "Job", meeting: str, device: str, say: Any, stopping: Stopping) -> None:
    import torch.distributed as dist

    count, limit = job.settings.processes, wait_of(job.settings.wait_minutes)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=count, timeout=limit)
    try:
        run_loop(job.settings, job.prepare(rank, count), lambda step, values: say((step, values)), stopping)
    finally:
        dist.destroy_process_group()
