"""Where the real files of published data sets lie, for the tests that read some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real(*names: str) -> Path:
    """A folder or file below AVBALANCE_REAL_DATA, or a skip that says what is not there."""
    root = os.environ.get("AVBALANCE_REAL_DATA")
    if not root:
        pytest.skip("AVBALANCE_REAL_DATA is not set: no real files to read")
    path = Path(root, *names)
    if not path.exists():
        pytest.skip(f"{path}: not there; AVBALANCE_REAL_DATA has other files")
    return path
