"""What goes wrong between a driver and Slurm ends in a sentence or in a wait, never in silence. Small jobs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import wait_for
from drivers_at_work import REPOSITORY, Driver
from slurm_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

WORKFLOW = """
rule all:
    input:
        expand("out/{number}", number=range(%(jobs)d)),


rule wait:
    output:
        "out/{number}",
    group:
        "waiting"
    resources:
        gpu=1,
    shell:
        "%(command)s"
"""
SAYS_WHERE = (
    "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES > {output}.begun;"
    " until [ $(ls out/*.begun | wc -l) = 6 ]; do sleep 0.2; done; cp {output}.begun {output}"
)
UNTIL_TOLD = "touch {output}.begun; until [ -e go ]; do sleep 0.2; done; touch {output}"


class Site:
    """Folders with a workflow of some jobs that all do the same, and the drivers that were started there."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.drivers: list[Driver] = []

    def begin(self, command: str, jobs: int, *arguments: str, name: str = "w", **own: str) -> Driver:
        root = self.folder / name
        root.mkdir(exist_ok=True)
        (root / "Snakefile").write_text(WORKFLOW % {"jobs": jobs, "command": command})
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), **self.cluster.environment, **own}
        log = self.folder / f"{name}-{len(self.drivers)}.log"
        self.drivers.append(Driver(root, log, environment, arguments))
        return self.drivers[-1]

    def wait_for_jobs(self, number: int) -> None:
        """Wait until so many jobs in all folders have begun."""
        wait_for(lambda: len([*self.folder.glob("*/out/*.begun")]) == number, 600, self.drivers[-1].text)

    def go(self, name: str = "w") -> None:
        """Let the jobs end."""
        (self.folder / name / "go").touch()


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path, cluster)
    yield found
    for driver in found.drivers:
        driver.end()


def test_jobs_at_the_same_time_have_different_gpus(cluster, site):
    driver = site.begin(SAYS_WHERE, 6)
    assert driver.finish() == 0, driver.text()[-3000:]
    places = [(site.folder / "w" / "out" / str(number)).read_text().split() for number in range(6)]
    assert sorted(places) == [[node, gpu] for node in ("n1", "n2", "n3") for gpu in ("0", "1")]


def test_while_slurm_is_away_the_driver_waits_and_then_goes_on(cluster, site):
    driver = site.begin(UNTIL_TOLD, 2)
    site.wait_for_jobs(2)
    cluster.stop_controller()
    driver.wait_until_it_says("Slurm does not answer")
    cluster.start_controller()
    site.go()
    assert driver.finish() == 0, driver.text()[-3000:]
    assert len(driver.submitted) == 2, "nothing was submitted twice"


def test_when_slurm_stays_away_the_driver_ends_with_a_sentence_and_the_next_one_goes_on(cluster, site):
    driver = site.begin(UNTIL_TOLD, 2, "--slurm-guarded-patience", "5")
    site.wait_for_jobs(2)
    cluster.stop_controller()
    assert driver.finish(90) == 1
    assert "Slurm has not answered for 5 s" in driver.text()
    assert "type the same command again" in driver.text()
    cluster.start_controller()
    site.go()
    again = site.begin(UNTIL_TOLD, 2, "--unlock")
    assert again.finish() == 0
    again = site.begin(UNTIL_TOLD, 2)
    assert again.finish() == 0, again.text()[-3000:]


def test_a_driver_does_not_start_without_slurm(cluster, site):
    cluster.stop_controller()
    begun = time.monotonic()
    driver = site.begin(UNTIL_TOLD, 1)
    assert driver.finish(90) == 1
    assert time.monotonic() - begun < 60
    assert "Slurm does not answer" in driver.text() and "start again when `squeue` does" in driver.text()
    assert driver.submitted == []


def test_a_status_command_that_cannot_answer_is_named_before_anything_is_submitted(cluster, site):
    driver = site.begin(UNTIL_TOLD, 1, "--slurm-guarded-status-command", "sacct")
    assert driver.finish(90) == 1
    assert "set `slurm-guarded-status-command: squeue` in the profile" in driver.text()
    assert driver.submitted == []


def test_a_submission_that_slurm_refuses_is_a_failed_job(cluster, site):
    driver = site.begin(UNTIL_TOLD, 1, "--retries", "0", SBATCH_PARTITION="nowhere")
    assert driver.finish(90) == 1
    assert "invalid partition" in driver.text()


def test_a_submission_of_a_group_that_fails_before_slurm_is_asked_is_a_failed_job_too(cluster, site):
    """The executor beneath dies of it in a thread, and would wait for ever."""
    (site.folder / "w").mkdir()
    (site.folder / "w" / "file").touch()
    driver = site.begin(UNTIL_TOLD, 1, "--retries", "0", "--slurm-guarded-logdir", "file/logs")
    assert driver.finish(90) == 1
    assert "The submission failed: [Errno 20] Not a directory" in driver.text()


def test_jobs_of_a_killed_driver_are_cancelled_by_the_next_one(cluster, site):
    driver = site.begin(UNTIL_TOLD, 2)
    other = site.begin(UNTIL_TOLD, 1, name="other")
    site.wait_for_jobs(3)
    driver.kill()
    assert site.begin(UNTIL_TOLD, 2, "--unlock").finish() == 0
    again = site.begin(UNTIL_TOLD, 2)
    again.wait_until_it_says("has been submitted")
    states = {job.number: job.state for job in cluster.jobs()}
    assert [states[number] for number in driver.submitted] == ["CANCELLED", "CANCELLED"]
    assert f"jobs of an earlier snakemake in this folder ({', '.join(sorted(driver.submitted))})" in again.text()
    assert [states[number] for number in other.submitted] == ["RUNNING"], "of another folder"
    for name in ("w", "other"):
        site.go(name)
    assert again.finish() == 0, again.text()[-3000:]
    assert other.finish() == 0, other.text()[-3000:]
