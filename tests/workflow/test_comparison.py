"""The comparison as tiny as it can be: everything is made, every choice is on record, and a second call is idle."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from workspace import Workspace, borrow_environment, copy_working_tree

from avbalance.plan.plan import Plan, load_plan

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("comparison")]

SLUG, TIER = "comparison", "comparison-smoke"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("comparison") / "checkout")
    workspace.root.mkdir()
    copy_working_tree(workspace.root)
    borrow_environment(workspace.root)
    done = workspace.snakemake(f"--cores 2 --config tier={TIER}")
    assert done.status == 0, done.output[-3000:]
    return workspace


@pytest.fixture(scope="module")
def plan(made: Workspace) -> Plan:
    return load_plan(made.root, {"tier": TIER})


def test_everything_is_made_and_a_second_call_is_idle(made: Workspace, plan: Plan) -> None:
    for path in [*plan.report_files(SLUG), plan.page_file]:
        assert (made.root / path).stat().st_size > 0, path
    assert made.plan(f"--config tier={TIER}").idle


def test_every_run_has_the_settings_of_its_best_trial(made: Workspace, plan: Plan) -> None:
    rows = {(row.dataset, row.run): row for row in plan.rows[SLUG]}
    chosen = 0
    for (dataset, _), row in rows.items():
        for seed in row.seeds if row.choose else ():
            record = json.loads(
                (made.root / plan.runs / SLUG / dataset / row.run / f"seed{seed}/record.json").read_text()
            )
            choice = record["choice"]
            scores = {each["run"]: each["score"] for each in choice["candidates"]}
            assert scores[choice["chosen"]] == max(scores.values()) and len(scores) == 2
            best = rows[dataset, choice["chosen"]].settings
            assert record["settings"] == {**best, "data": row.settings["data"]}
            chosen += 1
    assert chosen > 20


def test_tables_tell_costs_choices_and_verdicts(made: Workspace, plan: Plan) -> None:
    folder = made.root / plan.paper_folder(SLUG)
    costs = pd.read_csv(folder / "table3.csv").dropna(subset="ours_mean")
    baseline = costs[costs["method"] == "Baseline (tuned)"]
    assert (baseline["ours_mean"] == 1).all() and len(baseline) == 2 * 3
    assert costs.loc[costs["quantity"] == "time", "ours_mean"].between(0.01, 50).all()
    verdicts = pd.read_csv(folder / "table2.csv")
    told = verdicts[(verdicts["quantity"] == "verdict") & verdicts["text"].notna()]
    words = set(told["text"].str.partition(":")[0])  # so few clips leave some differences without any spread
    assert words <= {"better", "worse", "not told apart", "too few clips"} and len(told) > 10
    choices = pd.read_csv(folder / "tableS1.csv")
    assert set(choices.loc[choices["quantity"] == "trials", "text"].dropna().astype(int)) == {2}


def test_the_page_says_who_is_told_apart(made: Workspace, plan: Plan) -> None:
    page = Path(made.root / plan.page_file).read_text(encoding="utf-8")
    assert "Positive control: better than Baseline (tuned):" in page
    assert "Critical difference (Nemenyi, 5 %):" in page
