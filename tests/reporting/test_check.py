"""Wrong declarations of claims, tables and figures end planning, before data or features are made."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avbalance.errors import Faults, UserError
from avbalance.plan.plan import Plan, load_plan
from avbalance.reporting.check import check_reports, check_settings

REPOSITORY = Path(__file__).parents[2]
SLUG = "gmm-adaptive-loss"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(REPOSITORY, {"tier": "smoke", "papers": {SLUG: {}}})


def changed(plan: Plan, part: str, number: int, key: str, value: Any, block: int | None = None) -> Plan:
    """The plan with one key of one table, figure, or block of a claim, set to something else."""
    papers = deepcopy(plan.papers)
    entry = papers[SLUG][part][number]
    (entry if block is None else entry["tests"][block])[key] = value
    return replace(plan, papers=papers)


def test_what_the_papers_declare_passes(plan: Plan) -> None:
    check_reports(plan)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("claims", 1, "at_leats", 2, 0), r"claims\.yaml, .*unknown key 'at_leats'; did you mean 'at_least'"),
        (
            ("claims", 1, "metrics", ["segment_A"], 0),
            r"claims\.yaml, C1: run 'ours' does not parse videos and has no 'seg",
        ),
        (("tables", 0, "sizes", "rowz"), r"tables\.yaml, table1.*sizes: is 'rowz'; use 'columns', 'rows' or 'none'"),
        (("figures", 0, "nuls", True), r"figures\.yaml, figure1.*unknown key 'nuls'; did you mean 'nulls'"),
    ],
)
def test_a_wrong_key_value_or_name_is_told_with_file_and_place(plan: Plan, change: tuple[Any, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_reports(changed(plan, *change))


def test_a_file_that_no_run_makes_is_told_with_those_that_are(plan: Plan) -> None:
    runs = [*plan.papers[SLUG]["figures"][0]["runs"], {"run": "audio", "file": "gaps.json"}]
    with pytest.raises(
        UserError, match=r", figure1: reads .*/audio/seed0/gaps.json, which no run .*history.csv, model"
    ):
        check_reports(changed(plan, "figures", 0, "runs", runs))


@pytest.mark.parametrize(
    ("cut", "sentence"),
    [
        ({"papers": ["gmm-adaptive-los"]}, r"cuts\[1\].papers: there is no paper .*; did you mean 'gmm-adaptive-loss'"),
        ({"papers": [SLUG], "tables": ["tabel1"]}, r"cuts\[1\].tables: no table .* 'tabel1'; did you mean 'table1'"),
    ],
)
def test_a_cut_names_what_there_is(plan: Plan, cut: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_reports(replace(plan, config={**plan.config, "cuts": [{"what": "w", "reason": "r", **cut}]}))


def test_a_file_that_the_method_does_not_write_is_told_before_it_is_trained(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_settings(plan)  # remembered as right
    rows = [replace(row, artifacts=("gap.json",)) if row.run == "ours" else row for row in plan.rows[SLUG]]
    with pytest.raises(UserError, match=r"artifacts: adaptive-loss writes no 'gap.json'; did you mean 'gaps.json'"):
        check_settings(replace(plan, rows={SLUG: rows}))


def told(plan: Plan, part: str, change: dict[str, Any]) -> Plan:
    """The plan with further keys in one part of the settings of its adaptive loss."""
    rows = [
        replace(row, settings=row.settings | {part: {**row.settings[part], **change}}) if row.run == "ours" else row
        for row in plan.rows[SLUG]
    ]
    return replace(plan, rows={SLUG: rows})


@pytest.mark.parametrize(
    ("part", "change", "sentence"),
    [
        ("method", {"alhpa": 2.0}, r"run ours on .*settings\.method: unknown key 'alhpa'; did you mean 'alpha'"),
        ("method", {"alpha": "much"}, r"run ours on .*settings\.method, alpha"),
        ("model", {"widht": 8}, r"settings\.model: unknown key 'widht'; did you mean 'width'"),
        ("protocol", {"ephocs": 3}, r"settings\.protocol: unknown key 'ephocs'; did you mean 'epochs'"),
        ("data", {"task": "classificaton"}, r"run ours on .*'classificaton'"),
    ],
)
def test_a_wrong_setting_of_a_run_is_told_before_it_is_trained(
    plan: Plan, part: str, change: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        check_settings(told(plan, part, change))


def test_wrong_settings_of_many_runs_are_told_once_and_all_of_them(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Faults) as caught:
        check_settings(told(plan, "data", {"audio_recipe": "logmel", "visual_recipe": "fsp1"}))
    assert [sum(name in sentence for sentence in caught.value.sentences) for name in ("'logmel'", "'fsp1'")] == [1, 1]


def test_right_settings_are_read_once(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_settings(plan)
    monkeypatch.setitem(sys.modules, "avbalance.training.settings", None)  # reading them again would raise ImportError
    check_settings(plan)
    with pytest.raises(ImportError):
        check_settings(told(plan, "protocol", {"epochs": 77}))
