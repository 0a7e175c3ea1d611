"""What is changed of other programs, and worked around: all of it, each with its reason and what happens without.

docs/explanation/architecture.md lists them; tests/flowkeeper/test_patches.py has a test for each that fails when the
other program no longer needs it. Where a version has not what a patch is for, the patch does nothing.
"""

from __future__ import annotations

import json
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TRANSFER = "flowkeeper-transfer"  # no result set has this name


def answer_in_a_thread(number: int) -> None:
    """Let a thread run the handler of a signal, so that it may wait for locks that the interrupted thread holds.

    For Snakemake 9.27, whose handler of SIGTERM takes the lock of its scheduler (JobScheduler.exit_gracefully). Python
    runs handlers in the main thread, between any two of its instructions; where these are inside the scheduler's own
    `with lock`, the handler waits for ever and so does every job. Does nothing where the signal has no handler in
    Python, or outside the main thread; then `kill -9` is what is left.
    """
    handler = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        return

    def answer(received: int, frame: object) -> None:
        threading.Thread(target=handler, args=(received, frame), daemon=True).start()

    signal.signal(number, answer)


def shorten_names_of_groups() -> None:
    """Let the name of a group of jobs be that of the group, and not of all its rules.

    For snakemake-executor-plugin-slurm 2.8, which names a folder after it: the names of four rules together are longer
    than a name may be, and the submission fails. Without it groups must be small, or names of rules short.
    """
    from snakemake.jobs import GroupJob

    if hasattr(GroupJob, "groupid"):
        GroupJob.name = property(lambda group: group.groupid)


@contextmanager
def dvc_without_memory() -> Iterator[dict[str, str]]:
    """Variables with which DVC knows nothing of a remote from earlier calls.

    For DVC 3.67: after a fetch that had nothing to bring, it takes the files asked for then for all there are; and what
    it pushed once counts as present for ever. Without it a colleague gets a part for the whole, and what a remote
    lost is never sent again.
    """
    with tempfile.TemporaryDirectory(prefix="flowkeeper-dvc-") as folder:
        yield {"DVC_SITE_CACHE_DIR": folder}


@contextmanager
def pointer_to_objects(folder: Path, md5s: Iterable[str]) -> Iterator[Path]:
    """A pointer of DVC's, in `folder` for as long as the block runs, to single objects of its cache.

    For DVC 3.67: where a remote has the listing of a folder, `dvc push` believes that it has every file of it. Files
    that the remote lost are sent through this pointer; without it they would have to be copied there by hand. Single
    files are fetched through it, too, whichever version of a folder this commit has.
    """
    pointer = folder / f"{TRANSFER}.dvc"
    outs = [{"md5": md5, "hash": "md5", "path": f"{TRANSFER}/{md5}"} for md5 in sorted(set(md5s))]
    try:
        pointer.write_text(json.dumps({"outs": outs}), encoding="utf-8")  # JSON is YAML, too
        yield pointer
    finally:
        pointer.unlink(missing_ok=True)
