"""Checkouts of a small workflow: one in which everything was made, a publisher, a colleague, a remote between them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small import Clone, begin

from flowkeeper import publish_checks
from flowkeeper.dry_run import DryRun


@pytest.fixture
def maker(tmp_path: Path) -> Clone:
    """A checkout in which everything was made, with the ledger of that."""
    clone = Clone(tmp_path / "maker").run_all()
    clone.write_down()
    return clone


@pytest.fixture
def reader(maker: Clone, tmp_path: Path) -> Clone:
    """A fresh checkout to which all files came, without records and with times of their own."""
    clone = Clone(tmp_path / "reader")
    clone.copy_from(maker)
    return clone


@pytest.fixture
def nothing_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """No dry run: to Snakemake all jobs are done."""
    monkeypatch.setattr(publish_checks, "dry_run", lambda root, words, targets: DryRun(()))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a publisher who has published nothing yet, and an empty remote."""
    folder = tmp_path_factory.mktemp("made")
    begin(folder / "publisher", folder / "remote")
    return folder


@pytest.fixture(scope="session")
def shared(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after publishing and committing."""
    folder = tmp_path_factory.mktemp("shared") / "site"
    shutil.copytree(made, folder, symlinks=True)
    publisher = Clone(folder / "publisher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_checks, "dry_run", lambda root, words, targets: DryRun(()))
        publisher.publish()
    publisher.commit()
    return folder


@pytest.fixture
def newcomer(made: Path, nothing_pending: None, tmp_path: Path) -> Clone:
    """Somebody who has made a result set and has not published it; the remote lies beside."""
    shutil.copytree(made, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Clone(tmp_path / "publisher")


@pytest.fixture
def publisher(shared: Path, tmp_path: Path) -> Clone:
    """Somebody who has published and committed a result set; the remote lies beside."""
    shutil.copytree(shared, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Clone(tmp_path / "publisher")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def colleague(publisher: Clone, tmp_path: Path) -> Clone:
    """Somebody with a fresh clone of what the publisher published, and nothing fetched."""
    return publisher.clone(tmp_path / "colleague")
