"""What is proposed for a folder, and that the workflow takes it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from diagnosis_clips import pairs

from avbalance.diagnosis import frozen
from avbalance.diagnosis.checks import with_parts
from avbalance.diagnosis.command import DiagnosisRequest, diagnose
from avbalance.diagnosis.folder import FolderClips, read_folder
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
    assert any("0.01 minutes are too few" in sentence for sentence in shorter.told)


def test_four_hundred_clips_of_two_seconds_take_ten_minutes_unless_more_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avbalance.diagnosis.proposal.lengths", lambda clips: {"seconds": 2.0, "rate": 25.0})
    blank = dict.fromkeys(("split", "group", "audio", "image", "frames"), "")
    rows = [{**blank, "id": str(n), "label": "abcd"[n % 4], "video": f"{n}.mp4"} for n in range(400)]
    clips = with_parts(FolderClips(tmp_path, pd.DataFrame(rows)))
    proposal, longer = (propose("words", clips, tmp_path / "t.csv", minutes) for minutes in (None, 60))
    assert proposal.minutes < 10 < longer.minutes < 20
    assert any(f"with --minutes {math.ceil(longer.minutes)}: all" in sentence for sentence in proposal.told)
    assert "greedy" in proposal.configuration["papers"]["diagnosis"]["leave_out"]
    assert "greedy" not in longer.configuration["papers"]["diagnosis"]["leave_out"]


def test_the_configuration_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(tmp_path / "pets")
    monkeypatch.chdir(tmp_path)
    Path("config/user").mkdir(parents=True)
    said: list[str] = []
    assert diagnose(DiagnosisRequest(tmp_path / "pets", plan_only=True), said.append) == 0
    assert any("40 clips of 2 classes" in line for line in said) and "run it with" in said[-1]
    with pytest.raises(UserError, match="not made by this command"):
        Path("config/user/own.yaml").write_text("name: own\n")
        diagnose(DiagnosisRequest(tmp_path / "pets", name="own", plan_only=True), said.append)
    written = yaml.safe_load(Path("config/user/pets.yaml").read_text())
    plan = load_plan(REPOSITORY, written)
    check_settings(plan)
    assert re.fullmatch(r"about \d+ minutes on .* by the estimate of avbalance diagnose", plan.config["takes"])
    assert any(line.endswith(f"a whole run takes {plan.config['takes']}") for line in said)
    assert {row.run for row in plan.rows["diagnosis"]} >= {"audio", "visual", "baseline", "late-ensemble"}


def test_methods_of_ones_own_and_a_frozen_network_are_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(tmp_path / "pets")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("config/user").mkdir(parents=True)
    with pytest.raises(UserError, match="mine: has no methods"):
        diagnose(DiagnosisRequest(tmp_path / "pets", plan_only=True, methods=Path("mine")), print)
    (tmp_path / "mine" / "my_own.py").touch()
    (tmp_path / "weights").mkdir()
    monkeypatch.setenv("AVBALANCE_WEIGHTS", str(tmp_path / "weights"))
    said: list[str] = []
    diagnose(DiagnosisRequest(tmp_path / "pets", plan_only=True, methods=Path("mine")), said.append)
    assert said[-1] == "run it with: AVBALANCE_METHODS=mine snakemake --configfile config/user/pets.yaml"
    assert any("few clips teach a network little; with --frozen" in sentence for sentence in said)
    written = yaml.safe_load(Path("config/user/pets.yaml").read_text())
    plan = load_plan(REPOSITORY, written)
    runs = {row.run: row for row in plan.rows["diagnosis"]}
    assert runs["my-own"].method == "my-own" and "frozen-visual" not in runs
    monkeypatch.setattr("avbalance.diagnosis.frozen.at_hand", lambda: True)
    diagnose(DiagnosisRequest(tmp_path / "pets", plan_only=True), said.append)
    plan = load_plan(REPOSITORY, yaml.safe_load(Path("config/user/pets.yaml").read_text()))
    check_settings(plan)
    assert "logistic-regression-uniform8-imagenetr50" in {cell.name for cell in plan.cells}


def test_weights_that_do_not_arrive_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("AVBALANCE_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refused)
    with pytest.raises(UserError, match=r"resnet50-0676ba61\.pth: did not arrive \(no network\); try again"):
        frozen.fetch(print)
