"""A publisher, a colleague, and a remote between them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "provenance"))

from people_at_work import Person, SmallPlan, begin

from avbalance.provenance.dryrun import DryRun
from avbalance.sharing import publish, refusals


def pretend(patch: pytest.MonkeyPatch, plan: SmallPlan) -> None:
    """A plan whose jobs are all done, in place of a configuration and of snakemake."""
    patch.setattr(publish, "load_plan_for", lambda root, files, pairs: plan)
    patch.setattr(publish, "steps", lambda plan: ())
    patch.setattr(refusals, "dry_run", lambda root, words, targets: DryRun(()))


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> SmallPlan:
    plan = SmallPlan()
    pretend(monkeypatch, plan)
    return plan


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a publisher who has published nothing yet, and an empty remote."""
    folder = tmp_path_factory.mktemp("made")
    begin(folder / "publisher", folder / "remote")
    return folder


@pytest.fixture(scope="session")
def shared(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same after publishing and committing."""
    folder = tmp_path_factory.mktemp("shared") / "site"
    shutil.copytree(made, folder, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, SmallPlan())
        publisher = Person(folder / "publisher")
        publisher.publish()
        publisher.commit()
    yield folder


@pytest.fixture
def newcomer(made: Path, planned: SmallPlan, tmp_path: Path) -> Person:
    """Somebody who has made a result set and has not published it; the remote lies beside."""
    shutil.copytree(made, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Person(tmp_path / "publisher")


@pytest.fixture
def publisher(shared: Path, planned: SmallPlan, tmp_path: Path) -> Person:
    """Somebody who has published and committed a result set; the remote lies beside."""
    shutil.copytree(shared, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Person(tmp_path / "publisher")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def colleague(publisher: Person, tmp_path: Path) -> Person:
    """Somebody with a fresh clone of what the publisher published, and nothing fetched."""
    return publisher.clone(tmp_path / "colleague")
