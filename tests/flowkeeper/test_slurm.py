"""What is asked of Slurm and made of its answers; commands of a pretended Slurm stand in for the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowkeeper import slurm
from flowkeeper.errors import UserError


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let commands of these names run these shell scripts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def pretend(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return pretend


def test_who_answers_does_not_refuse(pretended):
    pretended("squeue", "exit 0")
    assert slurm.complaint("squeue") is None


def test_what_slurm_complains_of_is_told_in_one_line(pretended):
    pretended("sacct", "echo 'Slurm accounting storage'>&2; echo 'is disabled'>&2; exit 1")
    assert slurm.complaint("sacct") == "sacct: Slurm accounting storage is disabled"
    pretended("squeue", "exit 3")
    assert slurm.complaint("squeue") == "squeue: exit status 3 without a word"


def test_an_answer_that_never_comes_is_a_refusal(pretended, monkeypatch):
    monkeypatch.setattr(slurm, "ANSWER_S", 0.3)
    pretended("squeue", "exec sleep 20")
    assert "has not answered" in (slurm.complaint("squeue") or "")


def test_without_slurm_the_login_node_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "start snakemake on a login node" in (slurm.complaint("squeue") or "")


@pytest.mark.parametrize(("said", "seconds"), [("MinJobAge               = 300 sec", 300), ("nothing", None)])
def test_how_long_slurm_remembers(pretended, said, seconds):
    pretended("scontrol", f"echo '{said}'")
    assert slurm.remembered_s() == seconds


def test_jobs_left_behind_are_those_of_this_folder_that_have_not_ended(pretended, tmp_path):
    here, other = tmp_path / "here | there", tmp_path / "other"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    lines = [
        f"1|RUNNING|avbalance_a|{here}",
        f"2|COMPLETED|avbalance_a|{here}",
        f"3|PENDING|avbalance_b|{tmp_path / 'link'}",
        f"4|RUNNING|avbalance_c|{other}",
        f"5|RUNNING|somethingelse|{here}",
        "slurm says something",
    ]
    (tmp_path / "jobs").write_text("\n".join(lines))
    pretended("squeue", f"cat '{tmp_path}/jobs'")
    assert [job.number for job in slurm.left_behind(here, "avbalance")] == ["1", "3"]


def test_cancelling_waits_until_slurm_has_ended_the_jobs(pretended, tmp_path):
    (tmp_path / "jobs").write_text("7|RUNNING|avbalance_a|/x\n")
    pretended("scancel", f"echo \"$@\" > '{tmp_path}/cancelled'")
    pretended("squeue", f"cat '{tmp_path}/jobs'")

    def pause(seconds: float) -> None:
        (tmp_path / "jobs").write_text("7|CANCELLED|avbalance_a|/x\n")

    slurm.cancel(slurm.own_jobs(), pause)
    assert (tmp_path / "cancelled").read_text().split() == ["7"]


def test_jobs_that_do_not_end_are_told(pretended, monkeypatch):
    monkeypatch.setattr(slurm, "CANCEL_S", 0.2)
    pretended("scancel", "exit 0")
    pretended("squeue", "echo '7|RUNNING|avbalance_a|/x'")
    with pytest.raises(UserError, match="Slurm has not ended the jobs 7"):
        slurm.cancel(slurm.own_jobs(), lambda seconds: os.times())
