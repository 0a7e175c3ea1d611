"""Each patch does what it is for, and the other program still needs it: else it goes, with its test."""

from __future__ import annotations

import inspect
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from small import FILES, PREDICTIONS, TABLE, Clone, address
from snakemake.jobs import GroupJob
from snakemake.scheduling.job_scheduler import JobScheduler

from flowkeeper.patches import answer_in_a_thread, look_once_at_a_time, pointer_to_files, shorten_names_of_groups

# --- SIGTERM ---


@pytest.fixture
def former() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, handler)


def test_the_handler_waits_for_a_lock_of_the_interrupted_thread(former: None) -> None:
    lock, answered = threading.Lock(), threading.Event()

    def handler(*_: object) -> None:
        assert lock.acquire(timeout=10)
        answered.set()

    signal.signal(signal.SIGUSR1, handler)
    answer_in_a_thread(signal.SIGUSR1)
    with lock:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.05)
        assert not answered.is_set()
    assert answered.wait(10)


def test_a_signal_without_a_handler_keeps_its_meaning(former: None) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    answer_in_a_thread(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN


def test_snakemakes_handler_still_takes_the_lock_of_its_scheduler() -> None:
    assert "with self._lock" in inspect.getsource(JobScheduler.exit_gracefully), "answer_in_a_thread can go"


# --- Looks of the scheduler ---


class Scheduler:
    def __init__(self) -> None:
        self._open_jobs = threading.Semaphore(0)

    def _schedule_reevalutation(self, delay: float) -> None:
        raise AssertionError("replaced")


def test_many_requests_are_one_look_and_each_look_may_ask_for_the_next() -> None:
    look_once_at_a_time(Scheduler)
    one, other = Scheduler(), Scheduler()
    before = set(threading.enumerate())
    for _ in range(20):
        one._schedule_reevalutation(0.2)
    other._schedule_reevalutation(0.2)
    timers = set(threading.enumerate()) - before
    assert len(timers) == 2 and all(timer.daemon for timer in timers), "the end of snakemake waits for none"
    for _ in range(2):
        assert one._open_jobs.acquire(timeout=10)
        assert not one._open_jobs.acquire(blocking=False)
        one._schedule_reevalutation(0.05)
    assert other._open_jobs.acquire(timeout=10)


def test_snakemakes_scheduler_still_starts_a_timer_for_every_request() -> None:
    asked = JobScheduler.__dict__.get("_schedule_reevalutation")
    assert asked is not None, "look whether the scheduler still wakes itself up"
    assert "threading.Timer" in inspect.getsource(asked) and "if " not in inspect.getsource(asked)
    without = type("Without", (), {})
    look_once_at_a_time(without)
    assert not hasattr(without, "_schedule_reevalutation")


# --- Names of groups ---


def test_a_group_is_named_without_all_its_rules_which_snakemake_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    group = GroupJob.__new__(GroupJob)
    rules = [SimpleNamespace(rule=SimpleNamespace(name=f"a_rule_with_a_rather_long_name_{n}")) for n in range(4)]
    monkeypatch.setattr(GroupJob, "jobs", rules, raising=False)
    monkeypatch.setattr(GroupJob, "groupid", "train", raising=False)
    monkeypatch.setattr(GroupJob, "name", GroupJob.name)  # put back afterwards
    assert "a_rule_with" in group.name, "shorten_names_of_groups can go"
    shorten_names_of_groups()
    assert group.name == "train"


# --- DVC ---


def test_dvc_still_takes_an_earlier_request_for_all_there_is(colleague: Clone) -> None:
    """After `dvc fetch PART` that brought nothing new, plain DVC fetches nothing else of the set, and says so."""
    colleague.dvc("fetch", "results/demo/papers")
    colleague.dvc("fetch", "results/demo/papers")
    assert "up to date" in colleague.dvc("fetch", "results/demo/runs"), "dvc_without_memory can go"
    colleague.fetch()
    assert (colleague.root / PREDICTIONS).is_file()


def test_dvc_still_believes_that_a_remote_with_a_listing_has_every_file(
    publisher: Clone, nothing_pending: None, remote: Path
) -> None:
    lost = address(remote, (publisher.root / TABLE).read_bytes())
    lost.unlink()
    publisher.dvc("push", "--quiet", "results/demo.dvc", "data.dvc")
    assert not lost.exists(), "pointer_to_files can go"
    assert f"store lost 1 file that it had: {TABLE}" in publisher.publish().splitlines()
    assert lost.read_bytes() == (publisher.root / TABLE).read_bytes()
    assert publisher.git("status", "--porcelain") == ""


def test_the_pointer_to_single_files_is_there_for_a_moment(tmp_path: Path) -> None:
    with pytest.raises(KeyError), pointer_to_files(tmp_path, {FILES[0]: "0" * 32}) as pointer:
        assert json.loads(pointer.read_text())["outs"][0]["md5"] == "0" * 32
        raise KeyError
    assert list(tmp_path.iterdir()) == []
