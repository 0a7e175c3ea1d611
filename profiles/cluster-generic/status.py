#!/usr/bin/env python3
"""status.py NUMBER: say of a job that `submit.py` started whether it is running, a success or failed."""

import fcntl
import sys
from pathlib import Path

FOLDER = Path(".avbalance/jobs")


def ended(number: str) -> str | None:
    try:
        return (FOLDER / f"{number}.status").read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def running(number: str) -> bool:
    """Whether the watching process lives: then it holds the lock."""
    try:
        with open(FOLDER / f"{number}.lock", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def main() -> None:
    number = sys.argv[1]
    alive = running(number)  # first: one that ends meanwhile has left its status
    status = ended(number)
    print("success" if status == "0" else "running" if status is None and alive else "failed")


if __name__ == "__main__":
    main()
