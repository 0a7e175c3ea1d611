"""What `avbalance diagnose` refuses before it looks at a clip, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from diagnosis_clips import pairs

from avbalance.cli import main
from avbalance.diagnosis import command
from avbalance.diagnosis.command import DiagnosisRequest, diagnose
from avbalance.errors import UserError


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", "x{y}", "", "-x", "caf\u00e9", "n" * 101])
def test_a_name_that_cannot_serve_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs(tmp_path / "pets")
    with pytest.raises(UserError, match="cannot serve as a name of results"):
        diagnose(DiagnosisRequest(Path("pets"), name=name, plan_only=True), print)
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


@pytest.mark.parametrize("kind", ["datasets", "tiers"])
def test_a_name_of_the_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    taken = tmp_path / "config" / kind / "pets.yaml"
    taken.parent.mkdir(parents=True)
    taken.touch()
    with pytest.raises(UserError, match=rf"'pets' is the name of config/{kind}/pets\.yaml; give the results another"):
        diagnose(DiagnosisRequest(Path("pets")), print)


def test_folders_of_any_name_get_one_that_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    pairs(tmp_path / "my p\u00e4ts $(touch x)")
    assert diagnose(DiagnosisRequest(tmp_path / "my p\u00e4ts $(touch x)", plan_only=True), told.append) == 0
    assert told[-1] == "run it with: snakemake --configfile config/user/my-p-ts-touch-x.yaml"
    with pytest.raises(UserError, match="its name cannot serve"):
        diagnose(DiagnosisRequest(tmp_path / "\u732b", plan_only=True), print)


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf", "many"])
@pytest.mark.parametrize("option", ["--minutes", "--cores"])
def test_numbers_above_zero_are_wanted(option: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["diagnose", "pets", f"{option}={number}"])
    assert f"argument {option}: " in capsys.readouterr().err


def test_the_workflow_ends_in_its_own_time_after_ctrl_c(tmp_path: Path) -> None:
    tidied = tmp_path / "tidied"
    script = (
        "import os, pathlib, signal, sys, time\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        f"time.sleep(1); pathlib.Path({str(tidied)!r}).touch(); sys.exit(7)"
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert command._run([sys.executable, "-c", script], os.environ) == 7
    finally:
        signal.signal(signal.SIGINT, before)
    assert tidied.exists()
