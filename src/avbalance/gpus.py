"""Which GPU a training takes where a machine has several: each process takes the one that the fewest others use.

Snakemake counts GPUs (`--resources gpu=4`) but does not say which of them a job may use. Here a process holds a lock
on a slot of its GPU for as long as it trains; who dies, however, gives the slot free. GPUs that a scheduler has given
to a job are dealt out among the processes of this job alone.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from flowkeeper.errors import UserError
from flowkeeper.files import writing

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
PER_GPU = "AVBALANCE_JOBS_PER_GPU"  # processes that may share a GPU; without it as many as there are
_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")  # each job has GPUs 0, 1, ... of its own
_NODES = Path("/dev")
_POLL_S = 1.0
_ANY = 1024  # more processes than any GPU can take


def devices(environment: Mapping[str, str], nodes: Path = _NODES) -> list[str]:
    """Names of the GPUs that this process may use, as in CUDA_VISIBLE_DEVICES; none where there is none.

    nodes: the folder in which the system has a file for each GPU (nvidia0, nvidia1, ...).
    """
    given = environment.get(VISIBLE)
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        return [] if any(name in ("", "-1", "NoDevFiles") for name in names) else names
    files = [path for path in nodes.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(number) for number in range(len(files))]


@contextmanager
def own_gpu(wanted: bool = True, folder: Path | None = None) -> Iterator[str | None]:
    """Let torch, which must not have been imported yet, see one GPU for as long as the block runs; yields its name.

    None, and nothing changes, where there is no GPU or none is `wanted`. folder: of the slots, by default one that
    all processes of this user on this machine share. Raises UserError when it cannot be written to, or for a bad
    AVBALANCE_JOBS_PER_GPU.
    """
    names = devices(os.environ) if wanted else []
    if not names:
        yield None
        return
    before = os.environ.get(VISIBLE)
    lock, name = _take(names, folder or _folder(os.environ), _limit(os.environ))
    os.environ[VISIBLE] = name
    log.info("uses GPU %s", name)
    try:
        yield name
    finally:
        lock.release()
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before


def _limit(environment: Mapping[str, str]) -> int | None:
    text = environment.get(PER_GPU)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _ANY:
        raise UserError(f"{PER_GPU}={text}: not a number of processes; unset it, or give 1 or more.")
    return int(text)


def _folder(environment: Mapping[str, str]) -> Path:
    """Where the slots lie: of this user, and of the scheduler's job if there is one."""
    job = next((f"{name}-{environment[name]}" for name in _SCHEDULERS if environment.get(name)), "machine")
    return Path(tempfile.gettempdir()) / f"avbalance-gpus-{os.getuid()}" / re.sub(r"[^\w.-]", "_", job)


def _take(names: Sequence[str], folder: Path, limit: int | None) -> tuple[FileLock, str]:
    """The lock of a free slot and its GPU, waiting for one while each GPU has `limit` processes."""
    told = False
    while True:
        for slot in range(limit or _ANY):  # first all GPUs that no other process uses, then those with one, ...
            for name in names:
                path = folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.{slot}.lock"
                lock = FileLock(path, fallback_to_soft=False)
                with writing(path), suppress(Timeout):
                    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                    lock.acquire(blocking=False)
                    return lock, name
        if not told:
            log.info("waiting: %s processes on each of %d GPUs, see %s", limit, len(names), PER_GPU)
            told = True
        time.sleep(_POLL_S)
