"""Stand-ins for the decoder, run in its processes: they misbehave as the name of the clip's file says."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from avbalance.features.clip import extract_clip


def faulty(job, audio, visual):
    """Hang, leave, be killed or crash for good; `once_*` dies at the first attempt only."""
    path = Path(job.audio or job.visual)
    name = path.name
    if name.startswith("hang"):
        time.sleep(1000)
    if name.startswith("exit"):
        os._exit(3)
    if name.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("segv"):
        ctypes.string_at(0)
    if name.startswith("raise"):
        raise RuntimeError("no such luck")
    marker = path.with_suffix(".tried")
    if name.startswith("once") and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return extract_clip(job, audio, visual)


def slow(job, audio, visual):
    """Takes a while, and writes down which clip it was given."""
    path = Path(job.audio)
    with (path.parent / "calls.log").open("a") as log:
        log.write(path.name + "\n")
    time.sleep(0.01)
    return extract_clip(job, audio, visual)
