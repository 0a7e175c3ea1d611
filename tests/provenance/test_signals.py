"""A signal that arrives while the main thread holds the lock that the signal's handler wants."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from avbalance.provenance.signals import answer_in_a_thread


@pytest.fixture(autouse=True)
def former() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, handler)


def test_the_handler_waits_for_a_lock_of_the_interrupted_thread() -> None:
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


def test_a_signal_without_a_handler_keeps_its_meaning() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    answer_in_a_thread(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
