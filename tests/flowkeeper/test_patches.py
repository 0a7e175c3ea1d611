"""Each patch does what it is for, and the other program still needs it: else it goes, with its test."""

from __future__ import annotations

import inspect
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from small import PREDICTIONS, TABLE, Clone, address
from snakemake.jobs import GroupJob
from snakemake.scheduling.job_scheduler import JobScheduler

from flowkeeper.patches import answer_in_a_thread, shorten_names_of_groups

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
    assert not lost.exists(), "pushing single objects can go"
    publisher.publish()
    assert lost.read_bytes() == (publisher.root / TABLE).read_bytes()
    assert publisher.git("status", "--porcelain") == "", "nothing is left of the pointer to them"
