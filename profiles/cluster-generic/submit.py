#!/usr/bin/env python3
"""submit.py SCRIPT: start a job script on this machine, free of this terminal, and print the job's number.

What it prints is in .avbalance/jobs/NUMBER.log. The watching process holds a lock on NUMBER.lock for as long as the
job runs, and leaves the exit status in NUMBER.status: so a job that was killed is told from one that runs.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(".avbalance/jobs")


def watch(number: str, script: str) -> None:
    """Run the script in this process's session, and leave its exit status."""
    with open(FOLDER / f"{number}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(os.getpid(), file=lock, flush=True)
        print("started", flush=True)
        with open(FOLDER / f"{number}.log", "wb") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        status = subprocess.run(["bash", script], stdin=subprocess.DEVNULL).returncode
        draft = FOLDER / f"{number}.draft"
        draft.write_text(str(status), encoding="ascii")
        draft.rename(FOLDER / f"{number}.status")


def main() -> None:
    if len(sys.argv) == 3:
        watch(*sys.argv[1:])
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    number = f"{time.time_ns()}-{os.getpid()}"
    command = [sys.executable, __file__, number, sys.argv[1]]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    if watcher.stdout is None or not watcher.stdout.readline():
        sys.exit("submit: the job did not start")
    print(number)


if __name__ == "__main__":
    main()
