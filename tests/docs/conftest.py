"""A newcomer's clone: a copy of the workspace in which the smoke tier was run, shared by all tests of this folder."""

from __future__ import annotations

import shutil

import pytest
from workspace import Done, Workspace


@pytest.fixture(scope="session")
def clone(smoke_run: tuple[Workspace, dict[str, Done]]) -> Workspace:
    """The one clone of this test session; whoever changes it holds `clone.alone()` and puts things back."""
    smoke, _ = smoke_run
    found = Workspace(smoke.root.with_name("newcomer"))
    with found.alone():
        if not found.root.exists():
            draft = found.root.with_suffix(".partial")
            shutil.rmtree(draft, ignore_errors=True)
            smoke.copy(draft).root.rename(found.root)
    return found


@pytest.fixture(scope="session")
def made(smoke_run: tuple[Workspace, dict[str, Done]]) -> dict[str, Done]:
    """What `make smoke` (first) and the `snakemake` after it (second) said."""
    return smoke_run[1]
