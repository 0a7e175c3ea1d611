"""Makes the helper module of this folder importable; a published set and a checkout that fetched it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from published_set import Checkout, make_everything


@pytest.fixture
def maker(tmp_path: Path) -> Checkout:
    """A checkout in which everything was made, and published."""
    checkout = make_everything(tmp_path / "maker")
    checkout.publish()
    return checkout


@pytest.fixture
def reader(maker: Checkout, tmp_path: Path) -> Checkout:
    """A fresh checkout to which all files came, without records and with times of their own."""
    checkout = Checkout(tmp_path / "reader")
    checkout.fetch(maker)
    return checkout
