"""One run at a time in an output folder, and what becomes of the locks of dead runs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mmedc.engine.lock import NAME, Holder, Lock, holder
from mmedc.errors import FolderBusy, WorkError
from mmedc.storage import Store


def leave(store: Store, **changes: object) -> Holder:
    """Leave the lock of a run that is no longer there."""
    dead = replace(Holder.here(), **changes)  # type: ignore[arg-type]
    store.put(NAME, json.dumps(asdict(dead)).encode())
    return dead


def elsewhere(store: Store) -> Lock:
    return Lock(store, beat_s=0.05, silent_s=0.5)


def test_a_second_run_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with Lock(store), pytest.raises(FolderBusy, match=rf"host .*, process {os.getpid()}, since 20"), Lock(store):
        pass
    assert not store.names(".work")
    with Lock(store) as lock:
        lock.check()


def test_the_lock_of_a_process_that_has_ended_is_taken_over_at_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    leave(store, pid=process.pid)
    with Lock(store) as lock, pytest.raises(FolderBusy), Lock(store):
        lock.check()
    assert not store.names(".work")
    leave(store, started=1.0)  # the number of the process is that of another one now
    with Lock(store):
        pass
    assert not store.names(".work")


def test_a_chain_of_dead_runs_is_followed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = leave(store, started=1.0)
    second = replace(Holder.here(), started=1.0)
    store.put(f"{NAME}.after-{first.token}", json.dumps(asdict(second)).encode())
    with Lock(store), pytest.raises(FolderBusy), Lock(store):
        pass
    assert holder(store) is None
    with Lock(store):
        pass


@pytest.mark.filterwarnings("ignore:.*locked by another machine")
def test_a_run_on_another_machine_is_alive_while_its_count_goes_up(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    far = leave(store, machine="another", token="far")
    ended = threading.Event()

    def beat() -> None:
        for number in range(1, 1000):
            if ended.wait(0.02):
                return
            store.put(NAME, json.dumps(asdict(replace(far, beat=number))).encode())

    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(FolderBusy, match="another run is under way"), elsewhere(store):
        pass
    ended.set()
    thread.join()
    with elsewhere(store):
        assert holder(store, f"{NAME}.after-far") is not None


@pytest.mark.filterwarnings("ignore:.*locked by another machine")
def test_of_many_who_find_a_dead_run_one_goes_on(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    leave(store, machine="another")
    holding, most, refused, guard = [0], [0], [0], threading.Lock()

    def contend() -> None:
        try:
            with elsewhere(store) as lock:
                with guard:
                    holding[0] += 1
                    most[0] = max(most[0], holding[0])
                time.sleep(0.1)
                lock.check()
                with guard:
                    holding[0] -= 1
        except FolderBusy:
            with guard:
                refused[0] += 1

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] and holding == [0] and refused[0] <= 7


def test_a_run_whose_lock_is_gone_stops(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(WorkError, match="deleted during the run"), Lock(store) as lock:
        store.delete(NAME)
        store.put(".work/another", b"")  # a unit that was under way writes again
        lock.check()
    store.delete(".work/another")
    with pytest.raises(WorkError, match="another run took this one for dead"), Lock(store) as lock:
        mine = holder(store)
        assert mine is not None
        store.put(f"{NAME}.after-{mine.token}", json.dumps(asdict(Holder.here())).encode())
        lock.check()


def test_two_commands_in_one_folder(tmp_path: Path) -> None:
    """The second is refused; when the first is killed, the second resumes at once."""
    out = tmp_path / "out"
    (tmp_path / "slow.py").write_text(
        "import time\ndef slow(text: str) -> float:\n    time.sleep(0.05)\n    return 1.0\n"
    )
    command = [sys.executable, "-m", "mmedc", "run", "quickstart", "--out", str(out), "--inline", "--quiet"]
    slow = [*command, "--set", "measures=[{use: 'slow:slow', name: slow}]"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    first = subprocess.Popen(slow, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL)
    while not (out / ".work" / "lock").exists():
        assert first.poll() is None
        time.sleep(0.02)
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 75 and f"process {first.pid}, since" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (out / ".work" / "lock").exists()
    third = subprocess.run(command, capture_output=True, text=True)
    assert third.returncode == 0, third.stderr
    assert not list((out / ".work").glob("lock*"))
