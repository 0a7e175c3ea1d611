#!/usr/bin/env python3
"""cancel.py NUMBER...: end jobs that `submit.py` started; what they had saved stays."""

import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path

FOLDER = Path(".avbalance/jobs")


def cancel(number: str) -> None:
    """Send SIGTERM to all processes of the job, if its watching process, of which the lock tells, lives."""
    with open(FOLDER / f"{number}.lock", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.killpg(int(lock.read()), signal.SIGTERM)


def main() -> None:
    for number in sys.argv[1:]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            cancel(number)


if __name__ == "__main__":
    main()
