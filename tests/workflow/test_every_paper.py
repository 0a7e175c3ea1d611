"""The smoke tier of all papers as a newcomer runs it, and what is done again in it after an edit.

The other tests of the workflow run one paper, which is quicker; here all of them share one checkout.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from workspace import Done, Workspace, borrow_environment, copy_working_tree

from avbalance.plan.plan import Plan, load_plan

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("every-paper")]

PARSING = "avvp-gradient-modulation"
RUNS = f"results/smoke/runs/{PARSING}/synthetic-llp-smoke"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Done]:
    workspace = Workspace(tmp_path_factory.mktemp("every-paper") / "checkout")
    workspace.root.mkdir()
    copy_working_tree(workspace.root)
    borrow_environment(workspace.root)
    return workspace, workspace.run("make smoke")


@pytest.fixture(scope="module")
def plan(made: tuple[Workspace, Done]) -> Plan:
    return load_plan(made[0].root, {"tier": "smoke"})


def planned(workspace: Workspace) -> Counter[str]:
    """Jobs that would be done, by rule; the many rules of training and data by name."""
    jobs = workspace.plan("--config tier=smoke").jobs
    return Counter({name: number for name, number in jobs.items() if name != "all"})


def cell(name: str) -> str:
    return f"train_avvp_gradient_modulation_synthetic_llp_smoke_{name.replace('-', '_')}"


def test_every_paper_is_made_and_a_second_call_is_idle(made: tuple[Workspace, Done], plan: Plan) -> None:
    workspace, done = made
    assert done.status == 0, done.output[-3000:]
    # Starting processes takes most of the time, on any machine; those that train import torch, which takes the longest.
    assert done.kinds["train"] <= 25 and done.kinds.total() <= 60, done.kinds
    assert len(plan.papers) >= 2
    for slug in plan.papers:
        for path in plan.report_files(slug):
            assert (workspace.root / path).stat().st_size > 0, path
    assert workspace.plan("--config tier=smoke").idle


def test_every_published_cell_of_parsing_has_ours_beside_it_or_says_that_it_was_not_made(
    made: tuple[Workspace, Done], plan: Plan
) -> None:
    import pandas as pd

    folder = made[0].root / plan.paper_folder(PARSING)
    shown = sum(len(pd.read_csv(path)) for path in sorted(folder.glob("table?.csv")))
    assert shown > 0
    for path in sorted(Path(plan.papers[PARSING]["folder"]).glob("published/table?.csv")):
        table = pd.read_csv(folder / path.name)
        numbers = pd.read_csv(path).drop(columns=["method", "variant"], errors="ignore").notna().sum().sum()
        assert table["published"].notna().sum() >= numbers, path.name


def test_an_edit_of_a_parsing_method_trains_its_runs_and_those_that_wait_for_them(
    made: tuple[Workspace, Done], tmp_path: Path
) -> None:
    workspace = made[0].copy(tmp_path / "checkout")
    workspace.edit("src/avbalance/methods/ma_labels.py", '"""MA, stage', '"""Of MA, stage')
    assert planned(workspace) == {}, "a docstring changes nothing"
    workspace.edit("src/avbalance/methods/ma_labels.py", "predicts=False,", "predicts=bool(0),")
    again = planned(workspace)
    trained = {name for name in again if name.startswith("train_")}
    assert trained == {cell("methods")}
    assert again["measure"] == again["claims"] == 1


def test_runs_joined_by_files_are_found_in_the_run_cache_after_their_outputs_are_lost(
    made: tuple[Workspace, Done], tmp_path: Path
) -> None:
    workspace = made[0].copy(tmp_path / "checkout")
    names = ("jomold/seed0/predictions.parquet", "jomold-ratios/seed0/noise_ratios.json")
    before = [(workspace.root / RUNS / name).read_bytes() for name in names]
    for name in names:
        (workspace.root / RUNS / name).unlink()
    done = workspace.snakemake(f"--config tier=smoke -- {RUNS}/{names[0]}")
    assert done.status == 0, done.output[-3000:]
    assert [(workspace.root / RUNS / name).read_bytes() for name in names] == before
