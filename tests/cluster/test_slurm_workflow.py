"""The workflow on a real Slurm: the smoke tier, and trainings that are cancelled, lose their node or driver."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from drivers_at_work import Driver, lose_power, results, wait_for_training
from slurm_cluster import Cluster
from workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

MOST = 10  # submissions for the whole smoke tier of a paper
CELLS = "results/smoke/runs/balanced-audiovisual/synthetic-balanced-smoke"
TRAINED_AGAIN = ("greedy", "ogm-ge")


@dataclass(frozen=True)
class Site:
    """A workspace, and the drivers that work in it."""

    workspace: Workspace
    cluster: Cluster
    drivers: list[Driver]

    def begin(self, *arguments: str) -> Driver:
        root = self.workspace.root
        log = root.with_name(f"{root.name}-{len(self.drivers)}.log")
        environment = self.workspace.environment(AVBALANCE_CHECKPOINT_EVERY="0.2", **self.cluster.environment)
        self.drivers.append(Driver(root, log, environment, arguments))
        return self.drivers[-1]

    def end(self) -> None:
        for driver in self.drivers:
            driver.end()


@pytest.fixture(scope="module")
def done(slurm: Cluster, smoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The smoke tier, run on the cluster from nothing."""
    slurm.recover()
    workspace = smoke.copy(tmp_path_factory.mktemp("slurm") / "workspace")
    workspace.clear()
    site = Site(workspace, slurm, [])
    driver = site.begin()
    try:
        assert driver.finish(900) == 0, driver.text()[-3000:]
        yield site
    finally:
        site.end()


@pytest.fixture
def untrained(cluster: Cluster, smoke: Workspace, tmp_path: Path) -> Iterator[Site]:
    """The smoke tier, run here, in which two trainings are to be done again; each is a submission of its own."""
    workspace = smoke.copy(tmp_path / "workspace")
    shutil.rmtree(workspace.root / ".avbalance" / "runs")
    for run in TRAINED_AGAIN:
        shutil.rmtree(workspace.root / CELLS / run)
    site = Site(workspace, cluster, [])
    yield site
    site.end()


def train_again(site: Site) -> Driver:
    targets = [f"{CELLS}/{run}/seed0/predictions.parquet" for run in TRAINED_AGAIN]
    return site.begin("--group-components", "train0=1", "--", *targets)


def all_is_as_in(smoke: Workspace, site: Site) -> None:
    """Every file has the bytes of the run on this machine, and nothing is left to be done."""
    expected, made = results(smoke.root), results(site.workspace.root)
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name]] == []
    assert site.workspace.plan().settled


def test_the_smoke_tier_takes_few_submissions(done):
    assert 0 < len(done.drivers[0].submitted) <= MOST
    states = {job.number: job.state for job in done.cluster.jobs()}
    assert {states[number] for number in done.drivers[0].submitted} == {"COMPLETED"}


def test_results_have_the_bytes_of_a_run_on_one_machine(done, smoke):
    all_is_as_in(smoke, done)


def test_each_training_has_one_gpu(done):
    logs = list((done.workspace.root / "logs" / "smoke" / "train").rglob("*.log"))
    assert logs
    for log in logs:
        assert re.search(r"^uses GPU [01]$", log.read_text(encoding="utf-8"), re.MULTILINE), log


def test_a_second_driver_has_nothing_to_do(done):
    again = done.begin()
    assert again.finish() == 0
    assert "Nothing to be done" in again.text() and again.submitted == []


def test_a_cancelled_job_is_submitted_again(untrained, smoke):
    driver = train_again(untrained)
    job = wait_for_training(untrained.cluster, driver)
    untrained.cluster.ask("scancel", job.number)
    assert driver.finish() == 0, driver.text()[-3000:]
    assert "SLURM status is: 'CANCELLED'" in driver.text()
    assert len(driver.submitted) == len(TRAINED_AGAIN) + 1
    all_is_as_in(smoke, untrained)


def test_a_job_whose_node_dies_goes_to_another_one(untrained, smoke):
    driver = train_again(untrained)
    job = wait_for_training(untrained.cluster, driver)
    lose_power(untrained.cluster, job)
    assert driver.finish() == 0, driver.text()[-3000:]
    places = {known.number: known.node for known in untrained.cluster.jobs()}
    again = driver.submitted[len(TRAINED_AGAIN) :] or [job.number]  # by snakemake, or by Slurm under the same number
    assert [number for number in again if places[number] == job.node] == []
    all_is_as_in(smoke, untrained)


def test_after_a_killed_driver_the_next_one_goes_on(untrained, smoke):
    driver = train_again(untrained)
    job = wait_for_training(untrained.cluster, driver)
    driver.kill()
    again = train_again(untrained)
    assert again.finish() == 0, again.text()[-3000:]
    assert "the lock of a snakemake that was killed" in again.text()
    assert re.search(rf"jobs of an earlier snakemake in this folder \(.*\b{job.number}\b.*\)", again.text())
    assert "LockException" not in again.text()
    all_is_as_in(smoke, untrained)
