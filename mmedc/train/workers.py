"""A training in workers of Ray Train, on a cluster.

Workers do not receive signals, so they are asked to stop by a file in the folder of the run, which all nodes see. When
workers or their nodes are lost, Ray Train starts all workers again, and they go on from the last checkpoint.
"""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmedc.errors import RecipeError, RequestError, WorkError
from mmedc.redact import redact
from mmedc.train.group import RESUME
from mmedc.train.loop import Report
from mmedc.train.loop import run as run_loop
from mmedc.train.measure import METRICS, read_lines
from mmedc.train.stopping import StopFile, Stopping

if TYPE_CHECKING:
    from mmedc.train.launch import Job


def train_in_workers(job: "Job", address: str, report: Report) -> dict[str, float]:
    """Run the loop of a job in workers of Ray Train on the cluster at `address`. All nodes must see the folder `out`.

    Raises: RecipeError where Ray Train is missing; RequestError where the cluster has fewer devices than the job
    asks for, because Ray would wait for them without end; WorkError when workers failed more often than
    `max_failures`; KeyboardInterrupt when the training was asked to stop, after the step is saved.
    """
    try:
        import ray
        import ray.train.torch
    except ImportError:
        raise RecipeError("training on a cluster needs `pip install 'mmedc[train]'`") from None
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    settings = job.settings
    have, wanted = ray.cluster_resources(), settings.processes
    cuda = settings.device == "cuda" or (settings.device == "auto" and have.get("GPU", 0) > 0)
    device = "GPU" if cuda else "CPU"
    if have.get(device, 0) < wanted:
        raise RequestError(
            f"the cluster has {have.get(device, 0):.0f} {device}s and the training asks for {wanted} processes; "
            "set processes (or device), or add nodes"
        )
    stop = StopFile(Path(job.out))
    stop.clear()
    failures = ray.train.FailureConfig(
        max_failures=settings.max_failures,
        controller_failure_limit=max(1, round(settings.wait_minutes)),  # it tries for a minute each time
    )
    trainer = ray.train.torch.TorchTrainer(
        _work,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(num_workers=wanted, use_gpu=cuda),
        torch_config=ray.train.torch.TorchConfig(timeout_s=round(60 * settings.wait_minutes)),
        run_config=ray.train.RunConfig(storage_path=os.path.join(job.out, "ray"), failure_config=failures),
    )
    try:
        stopped = _fit(trainer, stop)
    finally:
        stop.clear()
    if stopped:
        raise KeyboardInterrupt
    last: dict[str, float] = {}
    for line in read_lines(Path(job.out, METRICS)):
        last |= line
    report(settings.steps - 1, last)
    return last


def _fit(trainer: Any, stop: StopFile) -> bool:
    """Wait for the workers, passing on a request to stop; return whether there was one. Raises: WorkError.

    Ray Train waits in a thread, because in the main thread it would take Ctrl-C and abort without a save.
    """
    raised: list[Exception] = []

    def fit() -> None:
        try:
            trainer.fit()
        except Exception as problem:
            raised.append(problem)

    thread = threading.Thread(target=fit, daemon=True)
    with Stopping(keeps=True) as stopping:
        thread.start()
        told = False
        while thread.is_alive():
            thread.join(0.2)
            if stopping.asked and not told:
                told = True
                stop.ask()
    if raised:
        said = redact(str(raised[0]).strip().splitlines()[-1])
        raise WorkError(f"workers of Ray Train failed: {said}\n{RESUME}") from raised[0]
    return stopping.asked


def _work(config: dict[str, Any]) -> None:
    """Run the loop in one worker."""
    import ray.train

    job: Job = config["job"]
    context = ray.train.get_context()
    prepared = job.prepare(context.get_world_rank(), context.get_world_size())
    try:
        run_loop(job.settings, prepared, stopping=StopFile(Path(job.out)))
    except KeyboardInterrupt:
        return  # the step is saved, and the driver knows that it asked
