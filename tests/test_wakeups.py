"""One pending look of Snakemake's scheduler at a time."""

from __future__ import annotations

import threading

from snakemake.scheduling.job_scheduler import JobScheduler

from avbalance.wakeups import look_once_at_a_time


class Scheduler:
    def __init__(self) -> None:
        self._open_jobs = threading.Semaphore(0)

    def _schedule_reevalutation(self, delay: float) -> None:
        raise AssertionError("replaced")


def test_many_requests_are_one_look_and_each_look_may_ask_for_the_next() -> None:
    look_once_at_a_time(Scheduler)
    one, other = Scheduler(), Scheduler()
    before = threading.active_count()
    for _ in range(20):
        one._schedule_reevalutation(0.2)
    other._schedule_reevalutation(0.2)
    assert threading.active_count() == before + 2
    for _ in range(2):
        assert one._open_jobs.acquire(timeout=10)
        assert not one._open_jobs.acquire(blocking=False)
        one._schedule_reevalutation(0.05)
    assert other._open_jobs.acquire(timeout=10)


def test_the_end_does_not_wait_for_a_look() -> None:
    look_once_at_a_time(Scheduler)
    known = set(threading.enumerate())
    Scheduler()._schedule_reevalutation(60)
    (timer,) = set(threading.enumerate()) - known
    assert isinstance(timer, threading.Timer)
    assert timer.daemon
    timer.cancel()


def test_snakemake_has_the_method_still_and_others_are_left_alone() -> None:
    assert hasattr(JobScheduler, "_schedule_reevalutation"), "look whether the scheduler still wakes itself up"
    without = type("Without", (), {})
    look_once_at_a_time(without)
    assert not hasattr(without, "_schedule_reevalutation")
