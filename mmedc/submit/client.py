"""The job server of a Ray cluster: submit a run, find it again, read its output, stop it.

A run is known by its folder: its jobs are called `mmedc-<recipe>-<digest of the folder>-<attempt>`. A second submit
attaches to the job that runs; when it has ended, another attempt resumes the run.
"""

import hashlib
import logging
import os
import re
import shlex
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mmedc.engine.journal import JOB
from mmedc.errors import ClusterLost, RequestError
from mmedc.recipe import Recipe
from mmedc.redact import first_line
from mmedc.settings import resolved
from mmedc.storage import is_local
from mmedc.submit.upload import write_package, write_upload

SERVER = "RAY_API_SERVER_ADDRESS"
"""The environment variable with the address of the job server."""
NODES_PORT = "6379"  # at which the nodes of a cluster meet, by default
READY_S = 60.0  # to wait for the agent that starts jobs, in the first seconds of a cluster
LOST_S = 30.0  # without an answer after which a cluster that is followed is considered lost
POLL_S = (0.5, 5.0)  # between questions, at first and at last
PREFIX = "mmedc-"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
INTERRUPTED, SIGNAL = 130, 128  # of a shell: after Ctrl-C, and above which a signal ended a process
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """A run on a cluster, as its job server knows it."""

    id: str
    recipe: str
    out: str
    digest: str
    """Of the recipe and the files that went along."""
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    code: int | None
    """The exit code of the driver, when it has ended."""
    message: str
    began: float
    """Seconds since 1970."""

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDED

    @property
    def exit_code(self) -> int:
        """The exit code for whoever followed the job: that of its driver.

        130 when the job was stopped, 75 when its driver was killed or lost with its node, as it can be resumed.
        """
        if self.status == "STOPPED":
            return INTERRUPTED
        if self.status == "SUCCEEDED":
            return 0
        if self.code is None:
            return 1 if "runtime environment" in self.message.lower() else ClusterLost.exit_code
        killed = self.code < 0 or (self.code > SIGNAL and self.code != INTERRUPTED)
        return ClusterLost.exit_code if killed else self.code or 1


class JobServer:
    """The job server at `address`, or where RAY_API_SERVER_ADDRESS says.

    Raises: RequestError in one line for a wrong address, no answer, or a wrong token.
    """

    def __init__(self, address: str | None) -> None:
        self.address = (address or os.environ.get(SERVER, "")).rstrip("/")
        if not self.address:
            raise RequestError(
                f"which cluster? Give the address of its job server, --address http://HOST:8265, or set {SERVER}"
            )
        _check_address(self.address)
        try:
            from ray.job_submission import JobSubmissionClient
        except ImportError:
            raise RequestError("submitting needs the job client of Ray: `pip install 'mmedc[submit]'`") from None
        self._open = JobSubmissionClient
        self._client = self._connected()
        for name in ("ray", "ray.dashboard.modules.dashboard_sdk"):  # which files are packed is of no use to the user
            logging.getLogger(name).setLevel(logging.WARNING)

    def _connected(self) -> Any:
        from ray.exceptions import AuthenticationError

        tries: list[dict[str, str]] = [{}]
        if token := _token():  # sent only to a server that asks for one
            tries.append({"Authorization": f"Bearer {token}"})
        for headers in tries:
            try:
                return self._open(self.address, headers=headers)
            except AuthenticationError:
                continue
            except (ConnectionError, OSError, RuntimeError, LookupError, TypeError, ValueError) as problem:
                # of other servers, what their answers lack
                raise RequestError(
                    f"--address {self.address}: no job server answers there{_why(problem)}; is the head up, with "
                    "`pip install 'mmedc[submit]'`, is this the port of its dashboard, and is the tunnel open?"
                ) from None
        found = "the one that was found is not its token" if token else "none was found"
        raise RequestError(
            f"--address {self.address}: the cluster asks for a token, and {found}; set RAY_AUTH_TOKEN_PATH to a file "
            "with the token that its head was started with"
        )

    def jobs(self) -> list[Job]:
        """Return the runs of mmedc, the oldest first."""
        found = [_job(each) for each in self._asked(self._client.list_jobs)]
        return sorted((job for job in found if job.id.startswith(PREFIX)), key=lambda job: job.began)

    def job(self, name: str) -> Job:
        """Return a job by its id, or the newest of a folder. Raises: RequestError naming the jobs that there are."""
        jobs = self.jobs()
        found = [job for job in reversed(jobs) if name == job.id or (job.out and job.out == resolved(name))]
        if not found:
            known = f"; known: {', '.join(job.id for job in jobs[-5:])}" if jobs else "; there is none of mmedc"
            raise RequestError(f"{name}: no such job at {self.address}{known}")
        return found[0]

    def output(self, job: str) -> str:
        """Return what the driver of a job printed so far."""
        return str(self._asked(lambda: self._client.get_job_logs(job)))

    def stop(self, job: str) -> None:
        """Have a job stopped: SIGTERM, and three seconds later SIGKILL."""
        self._asked(lambda: self._client.stop_job(job))

    def submit(
        self, recipe: Recipe, path: str, out: str, sets: list[str], then: tuple[str, ...], ship_code: bool = False
    ) -> tuple[Job, bool]:
        """Submit the stages of a recipe, and return the job, and whether it was there already.

        Raises: RequestError when another version of the recipe is under way in the folder.
        """
        stem = f"{PREFIX}{recipe.name}-{hashlib.sha256(out.encode()).hexdigest()[:8]}"
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "job")
            folder.mkdir()
            digest = write_upload(folder, recipe, path, out, sets, then)
            environment: dict[str, Any] = {"working_dir": str(folder)}
            if ship_code:
                environment["py_modules"] = [str(write_package(Path(place)))]
            while True:
                earlier = [job for job in self.jobs() if re.fullmatch(rf"{re.escape(stem)}-\d+", job.id)]
                for job in earlier:
                    if not job.ended:
                        return self._attached(job, digest), True
                number = max((int(job.id.rpartition("-")[2]) for job in earlier), default=0) + 1
                name = f"{stem}-{number}"
                environment["env_vars"] = {JOB: name}
                command = ["python", "-m", "mmedc", "pipeline", "recipe.yaml", "--address", "auto", "--out", out]
                entry = shlex.join([*command, "--then", ",".join(then)])
                about = {"recipe": recipe.name, "out": out, "digest": digest}
                if self._submitted(entry, environment, name, about):
                    return self.job(name), False

    def _attached(self, job: Job, digest: str) -> Job:
        if job.digest != digest:
            raise RequestError(
                f"{job.id}: a run of another version of this recipe is under way in {job.out}; stop it first: "
                f"mmedc stop {job.id} --address {self.address}"
            )
        return job

    def _submitted(self, entry: str, environment: dict[str, Any], name: str, about: dict[str, str]) -> bool:
        """Submit a job; return False where one of this name is there. Waits for a cluster that has just started."""
        until, pause = time.monotonic() + READY_S, 0.5
        while True:
            try:
                self._client.submit_job(
                    entrypoint=entry, runtime_env=dict(environment), submission_id=name, metadata=about
                )
                return True
            except Exception as problem:
                if "already exists" in str(problem):
                    return False
                early = any(
                    said in str(problem) for said in ("No available agent", "status code 500", "status code 503")
                )
                if not early or time.monotonic() > until:
                    raise ClusterLost(
                        f"--address {self.address}: the job can't be submitted: {_said(problem)}"
                    ) from None
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def follow(self, job: str, show: Callable[[str], None]) -> Job:
        """Show what a job prints until it ends, and return it.

        Raises: RequestError where there is no such job, ClusterLost when no answer comes any more.
        """
        job = self.job(job).id
        shown, pause, heard = 0, POLL_S[0], time.monotonic()
        while True:
            try:
                found = self.job(job)
                text = self.output(job) if found.status != "PENDING" else ""
                heard = time.monotonic()
            except (ClusterLost, RequestError) as problem:
                if time.monotonic() - heard > LOST_S:
                    raise ClusterLost(str(problem)) from None  # a head that has restarted knows of no job
                time.sleep(pause)
                continue
            if len(text) > shown:
                show(text[shown:])
                shown, pause = len(text), POLL_S[0]
            if found.ended:
                return found
            time.sleep(pause)
            pause = min(1.5 * pause, POLL_S[1])

    def _asked(self, ask: Callable[[], T]) -> T:
        """Return the answer of the server. Raises: ClusterLost where it has none."""
        from ray.exceptions import AuthenticationError

        try:
            return ask()
        except AuthenticationError:
            raise ClusterLost(
                f"--address {self.address}: the cluster no longer takes the token: it was replaced, or expired; put "
                "the new one where RAY_AUTH_TOKEN_PATH says, and give the same command again"
            ) from None
        except (ConnectionError, OSError, RuntimeError) as problem:
            raise ClusterLost(
                f"--address {self.address}: the job server does not answer ({_said(problem)}); `mmedc status` and "
                "`mmedc logs` of the run's folder need no cluster, and the same submit resumes the run"
            ) from None


def _job(details: Any) -> Job:
    about = details.metadata or {}
    return Job(
        id=details.submission_id or "",
        recipe=about.get("recipe", ""),
        out=about.get("out", ""),
        digest=about.get("digest", ""),
        status=str(getattr(details.status, "value", details.status)),
        code=details.driver_exit_code,
        message=details.message or "",
        began=(details.start_time or 0) / 1000,
    )


def _check_address(address: str) -> None:
    """Check that an address is that of a job server. Raises: RequestError that says which is meant."""
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.partition("/")[0].rpartition(":")
    if port == NODES_PORT or scheme == "ray":
        host = host or "HOST"
        raise RequestError(
            f"--address {address}: there Ray's own processes meet; the job server has the port of the dashboard, "
            f"such as http://{host}:8265"
        )
    if scheme not in ("http", "https"):
        meant = f"; did you mean http://{address}?" if host and port.isdigit() and not scheme else ""
        raise RequestError(f"--address {address}: expected that of the job server, such as http://HOST:8265{meant}")


def _why(problem: BaseException) -> str:
    """Return what is wrong with an answer; nothing where there was none, of which Ray only says the address."""
    return "" if isinstance(problem, ConnectionError) else f" ({_said(problem)})"


def _said(problem: BaseException) -> str:
    return first_line(problem)[:300]


def _token() -> str:
    """Return the token of this user, from where Ray looks for it; empty where there is none."""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def check_place(out: str) -> None:
    """Check that a run on a cluster could write to `out`. Raises: RequestError."""
    if not out:
        raise RequestError("the recipe has no `out`, and no --out was given: the nodes need a place for the corpus")
    if not is_local(out) and "://" not in out:
        raise RequestError(f"--out {out}: expected a folder that all nodes see, or an s3:// URL")
