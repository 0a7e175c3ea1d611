"""A polite end for a snakemake that receives SIGTERM at any moment."""

from __future__ import annotations

import signal
import threading


def answer_in_a_thread(number: int) -> None:
    """Let a thread run the handler of a signal, so that it may wait for locks that the interrupted thread holds.

    Snakemake's handler of SIGTERM takes the lock of its scheduler (JobScheduler.exit_gracefully, 9.27). Python runs
    handlers in the main thread, between any two of its instructions; where these are inside the scheduler's own
    `with lock`, the handler waits for ever and so does every job. Does nothing where the signal has no handler in
    Python, or outside the main thread.
    """
    handler = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        return

    def answer(received: int, frame: object) -> None:
        threading.Thread(target=handler, args=(received, frame), daemon=True).start()

    signal.signal(number, answer)
