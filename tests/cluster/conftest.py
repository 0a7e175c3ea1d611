"""A real Slurm, and a real SSH server, where the machine has the packages; else the tests skip and say why."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from daemons import need
from slurm_cluster import PACKAGES, PROGRAMS, Cluster


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """Three nodes with two GPUs each."""
    need(PROGRAMS, PACKAGES)
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # short: sockets lie in it
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(slurm: Cluster) -> Iterator[Cluster]:
    """The same, with an empty queue and every node up, before and after."""
    slurm.recover()
    yield slurm
    slurm.recover()
