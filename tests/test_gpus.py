"""GPUs are dealt out evenly among processes, and a killed process gives its own free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from avbalance import gpus
from avbalance.errors import UserError

HOLDER = """
import sys
from pathlib import Path
from avbalance.gpus import own_gpu
with own_gpu(folder=Path(sys.argv[1])) as name:
    import os
    assert os.environ["CUDA_VISIBLE_DEVICES"] == name
    print(name, flush=True)
    sys.stdin.readline()
"""


class Holder:
    """A process that takes a GPU of four and keeps it until it is told to end."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "0,1,2,3", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def gpu(self) -> str:
        """The GPU that it has, once it has one."""
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate("\n", timeout=120)

    def die(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=120)


@pytest.fixture
def holders():
    """Processes that surely end."""
    found: list[Holder] = []
    yield found
    for holder in found:
        if holder.process.poll() is None:
            holder.die()


def started(holders: list[Holder], folder: Path, number: int, **environment: str) -> list[str]:
    """Start processes at the same time; the GPUs that they have."""
    new = [Holder(folder, **environment) for _ in range(number)]
    holders += new
    return [holder.gpu for holder in new]


def test_processes_at_the_same_time_have_different_gpus(tmp_path, holders):
    assert sorted(started(holders, tmp_path, 4)) == ["0", "1", "2", "3"]


def test_more_processes_than_gpus_share_them_evenly(tmp_path, holders):
    assert Counter(started(holders, tmp_path, 6)).most_common()[0][1] == 2
    assert sorted(Counter(started(holders, tmp_path, 2)).values()) == [1, 1]


@pytest.mark.parametrize("end", [Holder.leave, Holder.die])
def test_who_ends_or_is_killed_gives_the_gpu_free(tmp_path, holders, end):
    taken = started(holders, tmp_path, 4)
    end(holders[2])
    assert started(holders, tmp_path, 1) == [taken[2]]


def test_with_a_limit_the_next_process_waits(tmp_path, holders):
    taken = started(holders, tmp_path, 4, AVBALANCE_JOBS_PER_GPU="1")
    late = Holder(tmp_path, AVBALANCE_JOBS_PER_GPU="1")
    holders.append(late)
    with pytest.raises(subprocess.TimeoutExpired):
        late.process.wait(2.0)
    holders[1].die()
    assert late.gpu == taken[1]


@pytest.mark.parametrize(
    ("given", "found"),
    [("0,1", ["0", "1"]), ("GPU-8a, MIG-7f", ["GPU-8a", "MIG-7f"]), ("", []), ("-1", []), ("NoDevFiles", [])],
)
def test_devices_that_are_given(given, found, tmp_path):
    assert gpus.devices({"CUDA_VISIBLE_DEVICES": given}, tmp_path) == found


def test_devices_of_the_machine(tmp_path):
    for name in ("nvidia2", "nvidia5", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus.devices({}, tmp_path) == ["0", "1"], "numbers as CUDA counts, not those of the files"


def test_without_gpus_nothing_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with gpus.own_gpu(folder=tmp_path / "slots") as name:
        assert name is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert not (tmp_path / "slots").exists()


def test_who_wants_no_gpu_takes_none(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with gpus.own_gpu(wanted=False, folder=tmp_path / "slots") as name:
        assert name is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_afterwards_the_environment_is_as_before(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with gpus.own_gpu(folder=tmp_path) as name:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == name == "5"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"


def test_each_job_of_a_scheduler_has_slots_of_its_own():
    mine, other = (gpus._folder({"SLURM_JOB_ID": number}) for number in ("7", "8"))
    assert len({mine, other, gpus._folder({})}) == 3
    assert gpus._folder({"PBS_JOBID": "../12[3].host"}).parent == mine.parent


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "²", "9999"])
def test_a_bad_limit_is_told(text, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("AVBALANCE_JOBS_PER_GPU", text)
    with pytest.raises(UserError, match="not a number of processes"), gpus.own_gpu(folder=tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), gpus.own_gpu(folder=tmp_path / "file" / "slots"):
        pass
