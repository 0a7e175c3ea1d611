"""What is proposed for a folder, and that the workflow takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from diagnosis_clips import pairs

from avbalance.diagnosis.checks import with_parts
from avbalance.diagnosis.command import Request, diagnose
from avbalance.diagnosis.folder import read_folder
from avbalance.diagnosis.proposal import propose
from avbalance.errors import UserError
from avbalance.plan.plan import load_plan
from avbalance.reporting.check import check_settings

REPOSITORY = Path(__file__).parents[2]


def test_recipes_follow_the_clips_and_minutes_bound_the_work(tmp_path: Path) -> None:
    pairs(tmp_path)
    clips = with_parts(read_folder(tmp_path))
    proposal = propose("pets", clips, tmp_path / "pets.csv")
    data = proposal.configuration["papers"]["diagnosis"]["settings"]["data"]
    assert (data["audio_recipe"], data["visual_recipe"]) == ("logmel64x32-1s", "still-32")
    assert proposal.configuration["seeds"] == [0, 1, 2]
    shorter = propose("pets", clips, tmp_path / "pets.csv", minutes=0.01)
    assert shorter.minutes < proposal.minutes and shorter.configuration["seeds"] == [0, 1]
    assert any("too short" in sentence for sentence in shorter.told)


def test_the_configuration_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(tmp_path / "pets")
    monkeypatch.chdir(tmp_path)
    Path("config/user").mkdir(parents=True)
    said: list[str] = []
    assert diagnose(Request(tmp_path / "pets", plan_only=True), said.append) == 0
    assert any("40 clips of 2 classes" in line for line in said) and "run it with" in said[-1]
    with pytest.raises(UserError, match="not made by this command"):
        Path("config/user/own.yaml").write_text("name: own\n")
        diagnose(Request(tmp_path / "pets", name="own", plan_only=True), said.append)
    written = yaml.safe_load(Path("config/user/pets.yaml").read_text())
    plan = load_plan(REPOSITORY, written)
    check_settings(plan)
    assert {row.run for row in plan.rows["diagnosis"]} >= {"audio", "visual", "baseline", "late-ensemble"}
